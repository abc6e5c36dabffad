//! KafkaBackup of the Strimzi groups.

use api::finding::Finding;
use api::lower::{Identity, strimzi as lower};
use api::oso::RetentionStatus;
use api::promise::Promise;
use api::strimzi::{BackupOf, Group};
use api::ticks::Scheduled;
use contract::{PointLine, RunRef, RunSpec};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::{discover, of_strimzi};
use crate::capacity::Class;
use crate::controller::kind::{Kind, Pending, with_ticks};
use crate::controller::retention::{self, Retains};
use crate::controller::{Action, Context};
use crate::decide::Mode;
use crate::error::Error;
use crate::metrics::Told;
use crate::status::{Moment, State, is_overdue, strimzi_backup};

impl<G: Group> Kind for BackupOf<G> {
    // The log of the archive takes an entry of one writer only.
    const FENCED: bool = true;
    const TRIGGERED: bool = true;
    const UNTRIGGERS: bool = true;

    of_strimzi!();

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

    fn with_status(&self, state: &State, moment: Moment) -> Option<Self> {
        with_ticks!(self, strimzi_backup, next_scheduled_backup, state, moment).map(|new| self.with(new))
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

    fn retention_ends(&self) -> Option<[Option<Timestamp>; 2]> {
        self.status.as_ref()?.retention.as_ref().map(retention::ends)
    }

    async fn beside(&self, context: &Context, moment: Moment) -> Result<Action, Error> {
        Box::pin(retention::look(self, context, moment)).await
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
}

impl<G: Group> Retains for BackupOf<G> {
    fn prune(&self, identity: Identity) -> Result<Option<RunSpec>, Finding> {
        let known = self.status.as_ref().map_or(&[][..], |status| &status.recent_points);
        let cluster_id = api::lower::set_owner(self, known, None).cluster_id;
        api::lower::strimzi_prune(identity, &self.spec, cluster_id)
    }

    fn retention(&self) -> Option<&RetentionStatus> {
        self.status.as_ref()?.retention.as_ref()
    }

    fn newest_point(&self) -> Option<&String> {
        self.status.as_ref()?.backup_id.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn with_retention(
        &self,
        new: Option<RetentionStatus>,
        conditions: Vec<Condition>,
        forgets: impl FnOnce(&mut Vec<PointLine>),
    ) -> Self {
        let mut status = self.status.clone().unwrap_or_default();
        status.retention = new;
        status.conditions = conditions;
        forgets(&mut status.recent_points);
        self.with(status)
    }
}
