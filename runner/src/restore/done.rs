//! A restore that is completed already: is its target still what was written, and is there a newer point?

use archive::Store;
use contract::{Code, Failure, Report, RestoreSpec, WhenNewer};
use foreign::Named;
use wire::Cluster;

use super::facts::same_topics;
use super::groups;
use super::state::RestoreState;
use super::tails::deleted;
use crate::emit::Emitter;
use crate::logs::spans;

/// What is to be done with a restore that is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// It begins anew, from a newer recovery point.
    Anew,
    /// Its records are there; offsets of consumer groups are left to commit.
    Groups,
}

/// Looks at the target of a completed restore and for a newer point.
///
/// # Errors
/// When the target is gone or another one, when restored records were lost, or when there is a newer point and the
/// specification says that this fails.
pub(crate) async fn look(
    cluster: &Cluster,
    store: &Store,
    part: &RestoreSpec,
    state: &RestoreState,
    emitter: &Emitter,
    report: &mut Report,
) -> Result<Next, Failure> {
    // What was begun is ended first, whatever was backed up since.
    if groups::are_begun(state, part)? {
        check_target(cluster, state, emitter).await?;
        return Ok(Next::Groups);
    }
    let (set, entry) = match foreign::find(store, &part.from).await? {
        Named::Ours(found) => (found.layout.set().to_owned(), found.seal),
        Named::Theirs(set) => (set.manifest().id.clone(), 0),
    };
    let newer = (set, entry) != (state.set.clone(), state.entry);
    if newer && part.when_newer == WhenNewer::Restore {
        return Ok(Next::Anew);
    }
    check_target(cluster, state, emitter).await?;
    report.outcome = "AlreadyDone".into();
    report.topics = state.topics.len() as u64;
    report.partitions = state.partitions.len() as u64;
    if newer {
        let from = if part.from.is_empty() { "the storage" } else { part.from.as_str() };
        let text = format!(
            "this restore is done, from entry {} of {}; {from} has a newer recovery point since, which was not restored. Restore under another name, or say restore.whenNewer: restore (anew) or warn (leave it)",
            state.entry, state.set
        );
        if part.when_newer == WhenNewer::Fail {
            return Err(Failure::new(Code::PlanChanged, text));
        }
        emitter.warn(text);
    }
    Ok(if groups::are_left(state, part)? { Next::Groups } else { Next::Nothing })
}

async fn check_target(cluster: &Cluster, state: &RestoreState, emitter: &Emitter) -> Result<(), Failure> {
    let topics = same_topics(cluster, &state.topics).await?;
    let logs = spans(cluster, &topics).await?;
    let ends = state.produced.as_deref().unwrap_or_default();
    for (partition, end) in state.partitions.iter().zip(ends) {
        let subject = state.place(partition);
        let name = state.topics.get(partition.topic).map(|topic| topic.name.clone()).unwrap_or_default();
        match logs.get(&(name, partition.partition)) {
            Some(log) if log.end < *end => {
                let text = format!("{subject} ended at {end} when this restore was done, and ends at {} now", log.end);
                return Err(Failure::new(Code::TargetLost, text));
            }
            // Retention is in force again: that records of a done restore go in the end is the user's own will.
            Some(log) if *end > partition.start && log.start > partition.start => {
                emitter.warn(deleted(&subject, partition.start, log.start).message);
            }
            Some(_) => {}
            None => {
                let text = format!("target partition {subject} does not exist any more");
                return Err(Failure::new(Code::TargetLost, text));
            }
        }
    }
    Ok(())
}
