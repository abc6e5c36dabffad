//! What a run said, as the runner kept it beside the set.

use archive::{Layout, Store};
use contract::stamp::split_point;
use contract::{Code, Failure};

use crate::Answer;
use crate::replies::Replies;

/// Answers with the kept lines of a run.
pub(crate) async fn log(store: &Store, name: &str, run: &str, replies: &mut Replies) -> Result<(), Failure> {
    // A full backup is a set of its own; points of other sets carry the set's name before their stamp.
    let sets = [Some(name), split_point(name).map(|(base, _)| base)];
    for set in sets.into_iter().flatten() {
        if contract::names::check_name(set).is_err() || contract::names::check_name(run).is_err() {
            break;
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
