//! KafkaRestore of the Strimzi groups.

use api::lower::{Identity, set_owner, strimzi as lower};
use api::strimzi::{BackupOf, Group, RestoreOf};
use contract::{RunRef, RunSpec};
use kube::ResourceExt;

use super::{discover, of_strimzi};
use crate::capacity::Class;
use crate::controller::Context;
use crate::controller::kind::{Kind, Pending, named};
use crate::error::Error;
use crate::metrics::Told;
use crate::status::{Moment, State, strimzi_restore};

// Whether a lost attempt is given up: never. Requests that are on their way to a broker may still arrive.
impl<G: Group> Kind for RestoreOf<G> {
    of_strimzi!();

    fn last_success(&self) -> Option<&String> {
        let status = self.status.as_ref().filter(|status| status.phase.as_deref() == Some("Completed"))?;
        status.run.as_ref()?.finished_at.as_ref()
    }

    // Another operator told it of its run only.
    fn phase(&self) -> Option<&String> {
        let status = self.status.as_ref()?;
        status.phase.as_ref().or_else(|| status.restore.as_ref()?.status.as_ref())
    }

    // They wait behind no backup: somebody stands before a cluster whose consumers are stopped.
    fn class(&self) -> Class {
        let plans = self.spec.merged().restore.as_ref().is_some_and(|options| options.dry_run == Some(true));
        if plans { Class::Plan } else { Class::Restore }
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
        let kafka =
            discover::kafka(&context.client, &namespace, &spec.strimzi_cluster_ref, spec.authentication.as_ref())
                .await?;
        let points = backup.status.as_ref().map_or(&[][..], |status| &status.recent_points);
        let owner = set_owner(&backup, points, spec.backup_ref.point());
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
}
