//! What a run said, as the runner kept it beside the set.

use archive::{Layout, Store, check_set_owner};
use contract::stamp::split_point;
use contract::{Code, Failure, SetOwner};

use crate::Answer;
use crate::replies::Replies;

/// Answers with the kept lines of a run.
pub(crate) async fn log(
    store: &Store,
    name: &str,
    run: &str,
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    // A full backup is a set of its own; points of other sets carry the set's name before their stamp.
    let sets = [Some(name), split_point(name).map(|(base, _)| base)];
    for set in sets.into_iter().flatten() {
        if contract::names::check_name(set).is_err() || contract::names::check_name(run).is_err() {
            break;
        }
        if let Some(expected) = owner {
            check_set_owner(store, &Layout::new(set), expected).await?;
        }
        let Some(bytes) = store.get(&Layout::new(set).run(run, "events.jsonl")).await? else { continue };
        for line in String::from_utf8_lossy(&bytes).lines() {
            replies.send(Answer::Line { text: line.to_owned() }).await?;
        }
        return Ok(());
    }
    let text = format!("{} keeps nothing of run {run:?} of {name:?}", store.place());
    Err(Failure::new(Code::NoSuchPoint, text))
}
