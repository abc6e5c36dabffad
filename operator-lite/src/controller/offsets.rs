//! KafkaOffsetReset and KafkaOffsetRollback of `kafka.oso.sh`.

use api::lower::{self, Identity};
use api::oso::{KafkaOffsetReset, KafkaOffsetRollback, KafkaOffsetRollbackSpec, KafkaRestore, Storage};
use contract::{RunRef, RunSpec, StoreSpec};
use kube::{Api, ResourceExt};

use super::Context;
use super::kind::{Kind, Pending, runs_once};
use crate::error::Error;
use crate::status::{offset_reset, offset_rollback};

impl Kind for KafkaOffsetReset {
    runs_once!(offset_reset);

    fn not_implemented(&self) -> Vec<&'static str> {
        lower::offset_reset_not_yet(&self.spec)
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let identity = Identity { namespace: self.namespace().unwrap_or_default(), name: self.name_any(), run };
        let storage = place_of(self, context)?;
        lower::offset_reset(identity, &self.spec, storage).map_err(|finding| Err(finding.into()))
    }
}

/// Where a reset saves the positions.
fn place_of<'a>(reset: &'a KafkaOffsetReset, context: &'a Context) -> Result<&'a Storage, Result<Pending, Error>> {
    let own = reset.spec.state_storage.as_ref();
    own.or(context.offsets_storage.as_deref()).ok_or_else(|| {
        let text = "spec.stateStorage: there is no place for the positions that the groups have before; name one, or set \
                    positions.storage in the values of the chart";
        Ok(("NoPlaceForOffsets", text.to_owned()))
    })
}

impl Kind for KafkaOffsetRollback {
    runs_once!(offset_rollback);

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let (storage, id) = saved(&self.spec, context, &namespace).await?;
        let identity = Identity { namespace, name: self.name_any(), run };
        lower::offset_rollback(identity, &self.spec, storage, id).map_err(|finding| Err(finding.into()))
    }
}

/// Where the saved positions are, and their name where another resource knows it.
async fn saved(
    spec: &KafkaOffsetRollbackSpec,
    context: &Context,
    namespace: &str,
) -> Result<(StoreSpec, Option<String>), Result<Pending, Error>> {
    let reference = &spec.snapshot_ref;
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (store, id) = match (set(&reference.restore_ref), set(&reference.offset_reset_ref), set(&reference.pvc_name)) {
        (Some(name), _, _) => {
            let restore: KafkaRestore = find(context, namespace, &name, "restoreRef").await?;
            let status = restore.status.as_ref().and_then(|status| status.rollback.as_ref());
            let id = status.and_then(|rollback| rollback.snapshot_id.clone());
            let run = restore.lower(context, None).await?;
            let groups = run.restore.as_ref().and_then(|part| part.groups.as_ref());
            let own = groups.and_then(|groups| groups.saving.storage.clone());
            let state = run.restore.as_ref().and_then(|part| part.state_storage.clone());
            (Some(own.or(state).unwrap_or(run.storage)), Some(known::<KafkaRestore>(id, &name, "restoreRef")?))
        }
        (None, Some(name), _) => {
            let reset: KafkaOffsetReset = find(context, namespace, &name, "offsetResetRef").await?;
            let id = reset.status.as_ref().and_then(|status| status.snapshot_id.clone());
            let store = stored(place_of(&reset, context)?)?;
            (Some(store), Some(known::<KafkaOffsetReset>(id, &name, "offsetResetRef")?))
        }
        (None, None, Some(claim)) => (Some(lower::offset_volume(&claim)), None),
        (None, None, None) => (context.offsets_storage.as_deref().map(stored).transpose()?, None),
    };
    let own = spec.state_storage.as_ref().map(stored).transpose()?;
    let store = own.or(store).ok_or_else(|| {
        let text = "spec.stateStorage: it is not known where the saved positions are; name the place, or restoreRef or \
                    offsetResetRef in spec.snapshotRef";
        Ok(("NoPlaceForOffsets", text.to_owned()))
    })?;
    Ok((store, id))
}

fn stored(storage: &Storage) -> Result<StoreSpec, Result<Pending, Error>> {
    lower::offset_store(storage).map_err(|finding| Err(finding.into()))
}

/// The resource that saved the positions.
async fn find<K: Kind>(
    context: &Context,
    namespace: &str,
    name: &str,
    field: &str,
) -> Result<K, Result<Pending, Error>> {
    let found = Api::<K>::namespaced(context.client.clone(), namespace).get_opt(name).await;
    found.map_err(|error| Err(error.into()))?.ok_or_else(|| {
        let text = format!(
            "spec.snapshotRef.{field}: there is no {} {name:?} in namespace {namespace:?}; correct the name, or name the saved \
             positions and stateStorage",
            K::kind(&())
        );
        Ok(("SnapshotNotFound", text))
    })
}

/// The name of what it saved.
fn known<K: Kind>(id: Option<String>, name: &str, field: &str) -> Result<String, Result<Pending, Error>> {
    id.ok_or_else(|| {
        let text = format!(
            "spec.snapshotRef.{field}: {} {name:?} has saved no positions, or its run is not over",
            K::kind(&())
        );
        Ok(("SnapshotNotFound", text))
    })
}
