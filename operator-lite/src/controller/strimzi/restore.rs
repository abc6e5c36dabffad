//! KafkaRestore of the Strimzi groups.

use std::borrow::Cow;

use api::lower::job::Placement;
use api::lower::{Identity, strimzi as lower};
use api::oso::{RunClaim, Storage};
use api::strimzi::{BackupOf, Group, RestoreOf};
use contract::{RunRef, RunSpec, SetOwner};
use kube::{Resource, ResourceExt};

use super::discover;
use crate::capacity::Class;
use crate::controller::Context;
use crate::controller::kind::{Kind, Pending, named};
use crate::error::Error;
use crate::metrics::Told;
use crate::status::{Moment, State, strimzi_restore, taken_over};

// Whether a lost attempt is given up: never. Requests that are on their way to a broker may still arrive.
impl<G: Group> Kind for RestoreOf<G> {
    // One that did not read has conditions, and was not looked at.
    fn is_new(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
    }

    fn claim(&self) -> Option<&RunClaim> {
        self.status.as_ref()?.run.as_ref()
    }

    fn last_success(&self) -> Option<&String> {
        let status = self.status.as_ref().filter(|status| status.phase.as_deref() == Some("Completed"))?;
        status.run.as_ref()?.finished_at.as_ref()
    }

    // Another operator told it of its run only.
    fn phase(&self) -> Option<&String> {
        let status = self.status.as_ref()?;
        status.phase.as_ref().or_else(|| status.restore.as_ref()?.status.as_ref())
    }

    fn is_taken_over(&self) -> bool {
        self.status.as_ref().is_some_and(|status| taken_over(&status.conditions))
    }

    // They wait behind no backup: somebody stands before a cluster whose consumers are stopped.
    fn class(&self) -> Class {
        let plans = self.spec.restore.as_ref().is_some_and(|options| options.dry_run == Some(true));
        if plans { Class::Plan } else { Class::Restore }
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
        lower::restore_later(&self.spec)
    }

    fn with_status(&self, state: &State, moment: Moment) -> Option<Self> {
        let old = self.status.clone().unwrap_or_default();
        let new = strimzi_restore(&old, &self.spec, state, moment);
        (new != old).then(|| self.with(new))
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let (spec, name) = (&self.spec, &self.spec.backup_ref.name);
        let backup = match named::<BackupOf<G>>(context, &namespace, name).await {
            Ok(Ok(backup)) => backup,
            Ok(Err(why)) => {
                let text = format!("spec.backupRef.name: {why}; correct the name, or create it");
                return Err(Ok(("BackupNotFound", text)));
            }
            Err(kube::Error::SerdeError(error)) => {
                let text = format!(
                    "spec.backupRef.name: KafkaBackup {name:?} in namespace {namespace:?} does not read: {error}"
                );
                return Err(Ok(("BackupUnreadable", text)));
            }
            Err(error) => return Err(Err(error.into())),
        };
        if let Some(field) = lower::storage_later(&backup.spec.storage) {
            let text = format!(
                "spec.backupRef.name: KafkaBackup {name:?} has {field}, which is not available in this release; use \
                 credentialsSecret there"
            );
            return Err(Ok(("NotImplemented", text)));
        }
        let kafka =
            discover::kafka(&context.client, &namespace, &spec.strimzi_cluster_ref, spec.authentication.as_ref())
                .await?;
        let owner = set_owner(&backup, &namespace, spec.backup_ref.point());
        let identity = Identity { namespace, name: self.name_any(), run };
        let source = lower::Source { spec: &backup.spec, owner };
        lower::restore::<G>(identity, spec, kafka, source).map_err(|finding| Err(finding.into()))
    }

    fn told(&self) -> Option<Told> {
        let status = self.status.as_ref();
        let result = status.and_then(|status| status.restore.as_ref());
        let took = result.and_then(|result| {
            let time = result.completion_time.as_ref()?.0.duration_since(result.start_time.as_ref()?.0);
            Some((self.name_any(), time.as_secs_f64()))
        });
        Some(Told {
            cluster: self.spec.strimzi_cluster_ref.name.clone(),
            restores: true,
            records: status.and_then(|status| status.records_restored).unwrap_or(0),
            bytes: result.and_then(|result| u64::try_from(result.restored_bytes?).ok()).unwrap_or(0),
            runs: took.into_iter().collect(),
            ..Told::default()
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

/// Whose set a restore expects: that of the KafkaBackup; of the cluster that its status tells of the point, of the newest one when
/// none is named.
fn set_owner<G: Group>(backup: &BackupOf<G>, namespace: &str, point: Option<&str>) -> SetOwner {
    let known = backup.status.iter().flat_map(|status| &status.recent_points).rev();
    let meant = known.into_iter().find(|line| point.is_none_or(|point| line.name == point));
    SetOwner {
        name: backup.name_any(),
        namespace: Some(namespace.to_owned()),
        cluster_id: meant.and_then(|line| line.cluster_id.clone()),
    }
}
