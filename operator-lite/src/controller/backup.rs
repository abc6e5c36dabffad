//! KafkaBackup of `kafka.oso.sh`.

use api::lower::{self, Identity};
use api::oso::{KafkaBackup, KafkaBackupStatus, RunClaim, Storage};
use api::promise::Promise;
use api::schedule::Schedule;
use api::ticks;
use contract::{RunRef, RunSpec};
use jiff::Timestamp;
use kube::ResourceExt;

use super::Context;
use super::kind::{Kind, Pending};
use crate::capacity::Class;
use crate::decide::Mode;
use crate::error::Error;
use crate::status::{Moment, State, backup, is_overdue, taken_over};

impl Kind for KafkaBackup {
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
        self.status.as_ref()?.last_backup_time.as_ref()
    }

    fn is_overdue(&self) -> Option<bool> {
        is_overdue(&self.status.as_ref()?.conditions)
    }

    fn late_at(&self) -> Option<Timestamp> {
        Promise::of(self).filter(|_| !self.spec.suspend).map(|promise| promise.late)
    }

    fn phase(&self) -> Option<&String> {
        self.status.as_ref()?.phase.as_ref()
    }

    fn is_taken_over(&self) -> bool {
        self.status.as_ref().is_some_and(|status| taken_over(&status.conditions))
    }

    // The log of the archive takes an entry of one writer only.
    const FENCED: bool = true;
    const TRIGGERED: bool = true;

    fn mode(&self) -> Option<Mode> {
        if self.spec.continuous {
            return Some(Mode::Continuous);
        }
        match &self.spec.schedule {
            Some(text) => Schedule::parse(text).ok().map(|schedule| Mode::Scheduled(Box::new(schedule))),
            None => Some(Mode::Once),
        }
    }

    fn class(&self) -> Class {
        if self.spec.continuous { Class::Continuous } else { Class::Backup }
    }

    fn suspended(&self) -> bool {
        self.spec.suspend
    }

    fn not_implemented(&self) -> Vec<&'static str> {
        // Retention is told by a condition of its own: a backup without it is still a backup.
        Vec::new()
    }

    fn with_status(&self, state: &State, moment: Moment) -> Option<Self> {
        let old = self.status.clone().unwrap_or_default();
        let seen = KafkaBackupStatus { last_trigger: self.settled_trigger(), ..old.clone() };
        let mut new = backup(&seen, &self.spec, state, moment);
        let noted = ticks::note(self, new.last_schedule_time.as_ref(), new.run.as_ref(), moment.now);
        new.next_scheduled_backup = noted.next.map(|next| next.to_string()).or(new.next_scheduled_backup.take());
        (new.observed_schedule, new.schedule_since) = (noted.observed, noted.since);
        new.missed_ticks = noted.missed;
        if let (State::Running(_) | State::Retrying(..), Some(message)) = (state, &mut new.message) {
            message.push_str(&ticks::meanwhile_words(new.missed_ticks));
        }
        (new != old).then(|| Self { status: Some(new), ..self.clone() })
    }

    async fn lower(&self, _: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let identity = Identity { namespace, name: self.name_any(), run };
        lower::backup(identity, &self.spec).map_err(|finding| Err(finding.into()))
    }

    fn says_metrics(&self) -> bool {
        self.spec.metrics.is_some()
    }

    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        Some(&self.spec.storage)
    }
}
