//! KafkaRestore of `kafka.oso.sh`.

use api::consent::Consent;
use api::lower::{self, Identity};
use api::oso::{BackupRef, KafkaBackup, KafkaRestore, Storage};
use contract::{RestoreSpec, RunRef, RunSpec, SetOwner};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt};

use super::Context;
use super::kind::{Kind, Pending, runs_once};
use crate::error::Error;
use crate::status::{expires_at, restore};

// Whether a lost attempt is given up: never. Requests that are on their way to a broker may still arrive.
impl Kind for KafkaRestore {
    runs_once!(restore);

    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        self.spec.state_storage.as_ref()
    }

    fn undoes(&self) -> bool {
        lower::undoes(&self.spec)
    }

    fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        expires_at(self.status.as_ref()?.rollback.as_ref()?).filter(|at| *at > now)
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let (storage, owner) = place(&self.spec.backup_ref, &context.client, &namespace, "RestoreNotAllowed").await?;
        let identity = Identity { namespace, name: self.name_any(), run };
        let run = lower::restore(identity, &self.spec, &storage, owner).map_err(|finding| Err(finding.into()))?;
        let undoing = self.claim().and_then(|claim| claim.undoing.clone());
        let restore = run.restore.map(|restore| RestoreSpec { undo_offsets: undoing, ..restore });
        Ok(RunSpec { restore, ..run })
    }
}

/// Where a recovery point lies that a resource refers to: the storage that it names itself, else that of the KafkaBackup. Only
/// coordinates come from another namespace: Secrets and claims resolve in the resource's own. And whose set lies there: of a
/// storage that the resource names itself, only the name of the backup is known. `refused` is the reason where the owner of a
/// KafkaBackup does not allow it.
pub(super) async fn place(
    reference: &BackupRef,
    client: &Client,
    own: &str,
    refused: &'static str,
) -> Result<(Storage, Option<SetOwner>), Result<Pending, Error>> {
    if let Some(storage) = &reference.storage {
        // Without a name, whatever is there is meant.
        let named = Some(reference.name.clone()).filter(|name| !name.is_empty());
        let owner = named.map(|name| SetOwner { name, namespace: None, cluster_id: None });
        return Ok((storage.clone(), owner));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(own);
    let backups = Api::<KafkaBackup>::namespaced(client.clone(), namespace);
    match backups.get_opt(&reference.name).await {
        // Whoever deleted it may still change it, behind a finalizer of their own: it counts as gone.
        Ok(Some(backup)) if backup.metadata.deletion_timestamp.is_some() => {
            let text = format!(
                "spec.backupRef.name: KafkaBackup {:?} in namespace {namespace:?} is being deleted; name another one, or set \
                 spec.backupRef.storage",
                reference.name
            );
            Err(Ok(("BackupNotFound", text)))
        }
        Ok(Some(backup)) => {
            // Asked again whenever a run begins: consent can be taken back.
            let consent = Consent::between(namespace, &reference.name, own);
            if let Some(consent) = consent.filter(|consent| !consent.is_given(backup.annotations())) {
                return Err(Ok((refused, consent.refusal())));
            }
            let owner = lower::set_owner_of(&backup, reference.point());
            Ok((backup.spec.storage, Some(owner)))
        }
        Err(kube::Error::SerdeError(error)) => {
            let text = format!(
                "spec.backupRef.name: KafkaBackup {:?} in namespace {namespace:?} does not read: {error}",
                reference.name
            );
            Err(Ok(("BackupUnreadable", text)))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let text = format!(
                "spec.backupRef.namespace: the operator may not read KafkaBackup {:?} in namespace {namespace:?}; it has \
                 rights in the namespaces that it watches only: set spec.backupRef.storage, or add {namespace:?} to \
                 watchNamespaces of the installation",
                reference.name
            );
            Err(Ok(("BackupForbidden", text)))
        }
        Err(error) => Err(Err(error.into())),
        Ok(None) => {
            let text = format!(
                "spec.backupRef.name: there is no KafkaBackup {:?} in namespace {namespace:?}; create it, or set \
                 spec.backupRef.storage",
                reference.name
            );
            Err(Ok(("BackupNotFound", text)))
        }
    }
}
