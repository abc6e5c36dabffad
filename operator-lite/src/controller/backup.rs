//! KafkaBackup of `kafka.oso.sh`.

use api::finding::Finding;
use api::lower::{self, Identity};
use api::oso::{KafkaBackup, RetentionStatus, Storage};
use api::promise::Promise;
use contract::{PointLine, RunRef, RunSpec};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::kind::{Kind, Pending, by_schedule, runs_again};
use super::retention::{self, Retains};
use super::{Action, Context};
use crate::capacity::Class;
use crate::decide::Mode;
use crate::error::Error;
use crate::status::{Moment, backup, is_overdue};

impl Kind for KafkaBackup {
    runs_again!(backup, last_backup_time, next_scheduled_backup);

    // The log of the archive takes an entry of one writer only.
    const FENCED: bool = true;

    fn is_overdue(&self) -> Option<bool> {
        is_overdue(&self.status.as_ref()?.conditions)
    }

    fn late_at(&self) -> Option<Timestamp> {
        Promise::of(self).filter(|_| !self.spec.suspend).map(|promise| promise.late)
    }

    fn mode(&self) -> Option<Mode> {
        if self.spec.continuous { Some(Mode::Continuous) } else { by_schedule(self.spec.schedule.as_ref()) }
    }

    fn class(&self) -> Class {
        if self.spec.continuous { Class::Continuous } else { Class::Backup }
    }

    async fn lower(&self, _: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let identity = Identity { namespace, name: self.name_any(), run };
        lower::backup(identity, &self.spec).map_err(|finding| Err(finding.into()))
    }

    fn retention_ends(&self) -> Option<[Option<Timestamp>; 2]> {
        self.status.as_ref()?.retention.as_ref().map(retention::ends)
    }

    async fn beside(&self, context: &Context, moment: Moment) -> Result<Action, Error> {
        Box::pin(retention::look(self, context, moment)).await
    }

    fn says_metrics(&self) -> bool {
        self.spec.metrics.is_some()
    }

    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        Some(&self.spec.storage)
    }
}

impl Retains for KafkaBackup {
    fn prune(&self, identity: Identity) -> Result<Option<RunSpec>, Finding> {
        lower::prune(identity, &self.spec, lower::set_owner_of(self, None).cluster_id)
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
        // The names that the group has for the same.
        let told = new.clone().unwrap_or_default();
        status.last_retention_time = told.last_time;
        status.retention_inspected_backups = told.inspected;
        status.retention_eligible_backups = told.eligible;
        status.retention_deleted_backups = told.removed;
        status.retention_reclaimed_bytes = told.deleted_bytes;
        status.retention_dry_run = told.dry_run;
        status.retention_error = told.error;
        status.retention = new;
        status.conditions = conditions;
        forgets(&mut status.recent_points);
        Self { status: Some(status), ..self.clone() }
    }
}
