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
pub(crate) mod folder;
pub(crate) mod rights;

pub(crate) mod group_configs;

mod cluster;
mod storage;

use contract::{Action, BackupSpec, CheckLine, Code, Failure, RunSpec};
use futures::future::join_all;
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
    let reads_only = match action {
        // A restore that keeps its state elsewhere only reads its archive.
        Action::Restore(part) => part.state_storage.is_some(),
        Action::Validation(_) => true,
        Action::Prune(part) => part.dry_run,
        Action::Backup(_) | Action::OffsetReset(_) | Action::OffsetRollback(_) => false,
    };
    let stores = spec.stores().map(|(field, store)| async move {
        let (part, writes) = part(field, reads_only);
        storage::check(context, store, writes, &Lines::of(part, sender)).await;
    });
    let folder = async {
        let Action::Backup(BackupSpec { checkpoint_folder: Some(folder), .. }) = action else { return };
        let lines = Lines::of("checkpoint", sender);
        if let Some(found) = lines.unless("write", folder::check(context, folder).await) {
            lines.ok("write", found);
        }
    };
    tokio::join!(Box::pin(cluster::check(context, spec, action, &kafka)), join_all(stores), folder);
}

/// What the lines about a store are called, and whether the run writes there.
fn part(field: &'static str, reads_only: bool) -> (&'static str, bool) {
    match field {
        "storage" => (field, !reads_only),
        "restore.stateStorage" => ("stateStorage", true),
        "validation.restore.stateStorage" => ("stateStorage", false),
        "offsetReset.to.mapping.storage" => ("mapping", false),
        _ => ("savedOffsets", true), // of a restore, or of a reset
    }
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
