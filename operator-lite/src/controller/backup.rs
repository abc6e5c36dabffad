//! KafkaBackup of `kafka.oso.sh`.

use api::lower::{self, Identity};
use api::oso::{KafkaBackup, Storage};
use api::promise::Promise;
use contract::{RunRef, RunSpec};
use jiff::Timestamp;
use kube::ResourceExt;

use super::Context;
use super::kind::{Kind, Pending, by_schedule, runs_again};
use crate::capacity::Class;
use crate::decide::Mode;
use crate::error::Error;
use crate::status::{backup, is_overdue};

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

    fn not_implemented(&self) -> Vec<&'static str> {
        // Retention is told by a condition of its own: a backup without it is still a backup.
        Vec::new()
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
