//! KafkaBackup of the Strimzi groups.

use std::borrow::Cow;

use api::lower::job::Placement;
use api::lower::{Identity, strimzi as lower};
use api::oso::{RunClaim, Storage};
use api::promise::Promise;
use api::strimzi::{BackupOf, Group};
use api::ticks::Scheduled;
use contract::{RunRef, RunSpec};
use jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::discover;
use crate::capacity::Class;
use crate::controller::Context;
use crate::controller::kind::{Kind, Pending, is_ahead};
use crate::decide::Mode;
use crate::error::Error;
use crate::metrics::Told;
use crate::status::{Moment, State, is_overdue, strimzi_backup, taken_over};

impl<G: Group> Kind for BackupOf<G> {
    // The log of the archive takes an entry of one writer only.
    const FENCED: bool = true;
    const TRIGGERED: bool = true;
    const UNTRIGGERS: bool = true;

    // One that did not read has conditions, and was not looked at.
    fn is_new(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
    }

    fn claim(&self) -> Option<&RunClaim> {
        self.status.as_ref()?.run.as_ref()
    }

    fn last_schedule(&self) -> Option<&String> {
        self.status.as_ref()?.last_schedule_time.as_ref()
    }

    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        api::ticks::since(self, now)
    }

    // Once the annotation is gone, the same value asks again.
    fn last_trigger(&self) -> Option<&String> {
        self.annotations().get(&super::trigger::<G>())?;
        self.status.as_ref()?.last_trigger.as_ref()
    }

    fn last_success(&self) -> Option<&String> {
        self.status.as_ref()?.last_backup_time.as_ref()
    }

    fn is_overdue(&self) -> Option<bool> {
        is_overdue(&self.status.as_ref()?.conditions)
    }

    fn late_at(&self) -> Option<Timestamp> {
        Promise::of_strimzi(self).filter(|_| !self.suspended()).map(|promise| promise.late)
    }

    // Another operator told it of its run only.
    fn phase(&self) -> Option<&String> {
        let status = self.status.as_ref()?;
        status.phase.as_ref().or_else(|| status.last_backup.as_ref()?.status.as_ref())
    }

    fn is_taken_over(&self) -> bool {
        self.status.as_ref().is_some_and(|status| taken_over(&status.conditions))
    }

    fn mode(&self) -> Option<Mode> {
        if self.spec.is_continuous() {
            return Some(Mode::Continuous);
        }
        match &self.spec.schedule {
            None => Some(Mode::Once),
            Some(_) => self.ticks().map(|schedule| Mode::Scheduled(Box::new(schedule))),
        }
    }

    fn class(&self) -> Class {
        if self.spec.is_continuous() { Class::Continuous } else { Class::Backup }
    }

    fn suspended(&self) -> bool {
        self.spec.schedule.as_ref().is_some_and(|schedule| schedule.suspend)
    }

    const STRIMZI: bool = true;

    fn refers_to(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let own = self.namespace().unwrap_or_default();
        let from = (own.as_str(), &self.spec.strimzi_cluster_ref, self.spec.authentication.as_ref());
        super::refers_to(from, (kind, namespace, name))
    }

    fn paused(&self) -> Option<String> {
        super::paused(self)
    }

    fn most_failures(&self) -> Option<u32> {
        let limit = self.spec.backoff_limit.and_then(|limit| u32::try_from(limit).ok());
        limit.map(|limit| limit.saturating_add(1))
    }

    fn not_implemented(&self) -> Vec<&'static str> {
        // Retention is told by a condition of its own: a backup without it is still a backup.
        lower::backup_later(&self.spec)
    }

    fn with_status(&self, state: &State, moment: Moment) -> Option<Self> {
        let old = self.status.clone().unwrap_or_default();
        let seen = api::strimzi::KafkaBackupStatus { last_trigger: self.noted_trigger(state), ..old.clone() };
        let mut new = strimzi_backup(&seen, &self.spec, state, moment);
        let noted = api::ticks::note(self, new.last_schedule_time.as_ref(), new.run.as_ref(), moment.now);
        let kept = new.next_scheduled_backup.take().filter(|next| is_ahead(self, next, state, moment));
        new.next_scheduled_backup = noted.next.map(|next| next.to_string()).or(kept);
        (new.observed_schedule, new.schedule_since) = (noted.observed, noted.since);
        new.missed_ticks = noted.missed;
        if let (State::Running(_) | State::Retrying(..), Some(message)) = (state, &mut new.message) {
            message.push_str(&api::ticks::meanwhile_words(new.missed_ticks));
        }
        (new != old).then(|| self.with(new))
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let spec = &self.spec;
        let kafka =
            discover::kafka(&context.client, &namespace, &spec.strimzi_cluster_ref, spec.authentication.as_ref())
                .await?;
        let identity = Identity { namespace, name: self.name_any(), run };
        lower::backup::<G>(identity, spec, kafka).map_err(|finding| Err(finding.into()))
    }

    fn told(&self) -> Option<Told> {
        let none = api::strimzi::KafkaBackupStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let ended = |outcome: &str| {
            let one = status.backup_history.iter().find(|entry| entry.status == outcome)?;
            one.completion_time.as_ref().map(|time| time.0)
        };
        let took = |entry: &api::strimzi::HistoryEntry| {
            let time = entry.completion_time.as_ref()?.0.duration_since(entry.start_time.as_ref()?.0);
            Some((format!("{} {}", entry.id, entry.status), time.as_secs_f64()))
        };
        Some(Told {
            cluster: self.spec.strimzi_cluster_ref.name.clone(),
            restores: false,
            created: self.creation_timestamp().map(|time| time.0),
            records: status.records_total.unwrap_or(0),
            bytes: status.bytes_total.unwrap_or(0),
            stored: status.stored_bytes_total.unwrap_or(0),
            last: (self.last_success().and_then(|time| time.parse().ok()), ended("Failed")),
            runs: status.backup_history.iter().filter_map(took).collect(),
        })
    }

    fn says_metrics(&self) -> bool {
        self.spec.metrics.is_some()
    }

    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        None
    }

    fn placement<'a>(&self, installed: &'a Placement) -> Cow<'a, Placement> {
        let group = Self::group(&());
        Cow::Owned(lower::placement(installed, &group, &self.name_any(), (&self.spec).into()))
    }
}
