//! What a run would meet: brokers, rights and stores, each step as a line of its own, at once as it is known.
//!
//! What it never does: read a record, or write anything but what `store-check` writes and removes.
//! Data comes from a specification and from what it names, and leaves as [`CheckLine`]s.
//!
//! Modules use only modules listed above them.

mod lines;
mod reach;

pub(crate) mod brokers;
pub(crate) mod certificates;
pub(crate) mod rights;

mod cluster;
mod storage;

use contract::{Action, CheckLine, Code, Failure, RunSpec};
use tokio::sync::mpsc::UnboundedSender;

use self::lines::Lines;
use crate::context::Context;

/// The part of the specification that brokers belong to.
pub(crate) const KAFKA: &str = "kafka";

/// Checks all that a run will meet, brokers and stores at once.
pub(crate) async fn all(context: &Context, spec: &RunSpec, sender: &UnboundedSender<CheckLine>) {
    let kafka = Lines::of(KAFKA, sender);
    let action = match spec.action() {
        Ok(action) => action,
        Err(finding) => return kafka.failed("specification", Failure::new(Code::SpecInvalid, finding.to_string())),
    };
    let state = match action {
        Action::Backup(_) | Action::OffsetReset(_) | Action::OffsetRollback(_) => None,
        Action::Restore(part) => part.state_storage.as_ref(),
    };
    let of_archive = Lines::of("storage", sender);
    let of_state = Lines::of("stateStorage", sender);
    // A restore that keeps its state elsewhere only reads its archive.
    let archive = storage::check(context, &spec.storage, state.is_none(), &of_archive);
    let state = async {
        if let Some(storage) = state {
            storage::check(context, storage, true, &of_state).await;
        }
    };
    tokio::join!(Box::pin(cluster::check(context, spec, action, &kafka)), archive, state);
}

/// Whether the files of these secrets are there. They are mounted before the pod starts: nobody waits for them.
fn secrets(context: &Context, files: Vec<&str>, lines: &Lines) -> bool {
    let missing: Vec<_> = files.into_iter().filter(|file| !context.paths.secret(file).exists()).collect();
    for file in &missing {
        let text = format!("{file} is missing; create the Secret and its key");
        lines.failed("secret", Failure::new(Code::SecretMissing, text));
    }
    missing.is_empty()
}
