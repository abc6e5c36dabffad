//! KafkaBackupValidation of `kafka.oso.sh`.

use api::lower::{self, Identity};
use api::oso::{KafkaBackupValidation, KafkaRestore, Storage};
use api::promise::Promise;
use contract::{RestoreName, RunRef, RunSpec, StoreSpec};
use jiff::Timestamp;
use kube::ResourceExt;

use super::Context;
use super::kind::{Kind, Pending, by_schedule, named, runs_again};
use super::restore::place;
use crate::capacity::Class;
use crate::decide::Mode;
use crate::error::Error;
use crate::status::validation;

impl Kind for KafkaBackupValidation {
    runs_again!(validation, last_pass_time, next_scheduled_validation);

    // It only reads: what a lost attempt still does harms nothing.
    const FENCED: bool = true;

    fn late_at(&self) -> Option<Timestamp> {
        Promise::of_validation(self).filter(|_| !self.spec.suspend).map(|promise| promise.late)
    }

    fn mode(&self) -> Option<Mode> {
        by_schedule(self.spec.schedule.as_ref())
    }

    fn class(&self) -> Class {
        Class::Validation
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let reference = &self.spec.backup_ref;
        let (storage, owner) = place(reference, &context.client, &namespace, "ValidationNotAllowed").await?;
        let restore = match &self.spec.restore_ref {
            Some(reference) => Some(restored(context, &namespace, &reference.name).await?),
            None => None,
        };
        let identity = Identity { namespace, name: self.name_any(), run };
        lower::validation(identity, &self.spec, &storage, owner, restore).map_err(|finding| Err(finding.into()))
    }

    // What is checked is there already; where evidence goes may not be.
    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        self.spec.evidence.as_ref().and_then(|evidence| evidence.storage.as_ref())
    }
}

/// The restore that wrote what the cluster holds: it must be over, and its state says what it wrote.
async fn restored(context: &Context, namespace: &str, name: &str) -> Result<RestoreName, Result<Pending, Error>> {
    const FIELD: &str = "spec.restoreRef";
    let found = named::<KafkaRestore>(context, namespace, name).await.map_err(|error| Err(error.into()))?;
    let restore =
        found.map_err(|why| Ok(("RestoreNotFound", format!("{FIELD}: {why}; correct the name, or remove it"))))?;
    let not_yet = |reason, text: String| Err(Ok((reason, format!("{FIELD}: KafkaRestore {name:?} {text}"))));
    if restore.spec.dry_run {
        return not_yet("RestoreWroteNothing", "is a dry run and wrote nothing; name one that restored".to_owned());
    }
    match restore.phase().map(String::as_str) {
        Some("Completed") => {}
        Some("Failed" | "RolledBack") => {
            return not_yet("RestoreFailed", "failed; name one that is completed, or remove it".to_owned());
        }
        _ => return not_yet("RestoreNotFinished", "is not finished yet".to_owned()),
    }
    let run = restore.lower(context, None).await.map_err(|error| match error {
        Ok((reason, text)) => Ok((reason, format!("{FIELD}: where KafkaRestore {name:?} keeps its state: {text}"))),
        Err(error) => Err(error),
    })?;
    Ok(RestoreName { name: run.name.clone(), namespace: run.namespace.clone(), state_storage: Some(state_of(run)) })
}

/// Where a restore keeps its state.
fn state_of(run: RunSpec) -> StoreSpec {
    run.restore.and_then(|part| part.state_storage).unwrap_or(run.storage)
}
