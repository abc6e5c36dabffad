//! KafkaBackupValidation of `kafka.oso.sh`.

use api::lower::{self, Identity};
use api::oso::{KafkaBackupValidation, KafkaBackupValidationStatus, KafkaRestore, RunClaim, Storage};
use api::promise::Promise;
use api::schedule::Schedule;
use api::ticks;
use contract::{RestoreName, RunRef, RunSpec, StoreSpec};
use jiff::Timestamp;
use kube::ResourceExt;

use super::Context;
use super::kind::{Kind, Pending, named};
use super::restore::place;
use crate::capacity::Class;
use crate::decide::Mode;
use crate::error::Error;
use crate::status::{Moment, State, taken_over, validation};

impl Kind for KafkaBackupValidation {
    fn is_new(&self) -> bool {
        self.status.is_none()
    }

    fn claim(&self) -> Option<&RunClaim> {
        self.status.as_ref()?.run.as_ref()
    }

    fn last_schedule(&self) -> Option<&String> {
        self.status.as_ref()?.last_schedule_time.as_ref()
    }

    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        ticks::since(self, now)
    }

    fn last_trigger(&self) -> Option<&String> {
        self.status.as_ref()?.last_trigger.as_ref()
    }

    fn last_success(&self) -> Option<&String> {
        self.status.as_ref()?.last_pass_time.as_ref()
    }

    fn late_at(&self) -> Option<Timestamp> {
        Promise::of_validation(self).filter(|_| !self.spec.suspend).map(|promise| promise.late)
    }

    fn phase(&self) -> Option<&String> {
        self.status.as_ref()?.phase.as_ref()
    }

    fn is_taken_over(&self) -> bool {
        self.status.as_ref().is_some_and(|status| taken_over(&status.conditions))
    }

    // It only reads: what a lost attempt still does harms nothing.
    const FENCED: bool = true;
    const TRIGGERED: bool = true;

    fn mode(&self) -> Option<Mode> {
        match &self.spec.schedule {
            Some(text) => Schedule::parse(text).ok().map(|schedule| Mode::Scheduled(Box::new(schedule))),
            None => Some(Mode::Once),
        }
    }

    fn class(&self) -> Class {
        Class::Validation
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn not_implemented(&self) -> Vec<&'static str> {
        if self.spec.evidence.is_some() { vec!["spec.evidence"] } else { Vec::new() }
    }

    fn with_status(&self, state: &State, moment: Moment) -> Option<Self> {
        let old = self.status.clone().unwrap_or_default();
        let seen = KafkaBackupValidationStatus { last_trigger: self.settled_trigger(), ..old.clone() };
        let mut new = validation(&seen, &self.spec, state, moment);
        let noted = ticks::note(self, new.last_schedule_time.as_ref(), new.run.as_ref(), moment.now);
        let next = noted.next.map(|next| next.to_string());
        new.next_scheduled_validation = next.or(new.next_scheduled_validation.take());
        (new.observed_schedule, new.schedule_since) = (noted.observed, noted.since);
        new.missed_ticks = noted.missed;
        if let (State::Running(_) | State::Retrying(..), Some(message)) = (state, &mut new.message) {
            message.push_str(&ticks::meanwhile_words(new.missed_ticks));
        }
        (new != old).then(|| Self { status: Some(new), ..self.clone() })
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

    // What is checked is there already.
    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        None
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
