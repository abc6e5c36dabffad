//! KafkaOffsetReset and KafkaOffsetRollback of `kafka.oso.sh`.

use std::collections::BTreeSet;

use api::finding::{Finding, Level};
use api::lower::{self, Identity};
use api::oso::{
    KafkaCluster, KafkaOffsetReset, KafkaOffsetRollback, KafkaOffsetRollbackSpec, KafkaRestore, ResetStrategy,
    RunClaim, Storage,
};
use contract::{MappingPlace, RunRef, RunSpec, StoreSpec};
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};

use super::Context;
use super::follows::{self, Candidate};
use super::kind::{Kind, Pending, named, runs_once};
use super::pages::each;
use crate::error::Error;
use crate::status::{offset_reset, offset_rollback};

/// How long a reset waits for the restore that it follows.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

impl Kind for KafkaOffsetReset {
    runs_once!(offset_reset);

    // Also where the installation names the place: the claim is one of the resource's namespace.
    fn storage<'a>(&'a self, context: &'a Context) -> Option<&'a Storage> {
        self.spec.state_storage.as_ref().or(context.offsets_storage.as_deref())
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let identity = Identity { namespace: self.namespace().unwrap_or_default(), name: self.name_any(), run };
        let storage = place_of(self, context)?;
        let mapping = match self.spec.reset_strategy {
            ResetStrategy::FromMapping => Some(mapping_of(self, context).await?),
            ResetStrategy::ToEarliest
            | ResetStrategy::ToLatest
            | ResetStrategy::ToTimestamp
            | ResetStrategy::ToOffset => None,
        };
        lower::offset_reset(identity, &self.spec, storage, mapping).map_err(|finding| Err(finding.into()))
    }

    // Another restore may finish between two attempts: a run goes by one mapping.
    async fn pin(&self, context: &Context, claim: &mut RunClaim) -> Result<bool, Error> {
        if self.spec.reset_strategy != ResetStrategy::FromMapping || is_named(self) {
            return Ok(true);
        }
        match newest_restore(self, context, &self.namespace().unwrap_or_default()).await {
            Ok(name) => {
                claim.mapping_restore = Some(name);
                Ok(true)
            }
            // It was there a moment ago: it is looked for again.
            Err(Ok(_)) => Ok(false),
            Err(Err(error)) => Err(error),
        }
    }
}

/// Whether a reset says where its offset mapping lies.
fn is_named(reset: &KafkaOffsetReset) -> bool {
    let reference = reset.spec.offset_mapping_ref.clone().unwrap_or_default();
    [reference.restore_name, reference.path, reference.pvc_name].into_iter().flatten().any(|text| !text.is_empty())
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

    fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a Storage> {
        self.spec.state_storage.as_ref()
    }

    async fn lower(&self, context: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let namespace = self.namespace().unwrap_or_default();
        let (storage, id) = saved(&self.spec, context, &namespace).await?;
        let identity = Identity { namespace, name: self.name_any(), run };
        lower::offset_rollback(identity, &self.spec, storage, id).map_err(|finding| Err(finding.into()))
    }
}

/// Where the offset mapping of a reset lies: in the volume or the storage that is named, else where the named restore wrote it,
/// else the newest one that was finished when the run was claimed.
async fn mapping_of(reset: &KafkaOffsetReset, context: &Context) -> Result<MappingPlace, Result<Pending, Error>> {
    let namespace = reset.namespace().unwrap_or_default();
    let reference = reset.spec.offset_mapping_ref.clone().unwrap_or_default();
    let path = lower::mapping_path(&reference);
    if let Some(claim) = reference.pvc_name.filter(|name| !name.is_empty()) {
        let path = path.unwrap_or_else(|| "offset-mapping.json".to_owned());
        return Ok(MappingPlace { path, storage: Some(lower::offset_volume(&claim)) });
    }
    let restore = match (reference.restore_name.filter(|name| !name.is_empty()), &path) {
        (Some(name), _) => find(context, &namespace, &name, "spec.offsetMappingRef.restoreName").await?,
        // Beside the saved positions.
        (None, Some(path)) => return Ok(MappingPlace { path: path.clone(), storage: None }),
        (None, None) => {
            let (name, field) = match reset.claim().and_then(|claim| claim.mapping_restore.clone()) {
                Some(name) => (name, "status.run.mappingRestore"),
                None => (newest_restore(reset, context, &namespace).await?, "spec.offsetMappingRef"),
            };
            find(context, &namespace, &name, field).await?
        }
    };
    let path = if let Some(path) = path {
        path
    } else {
        // A claim is made once it is there: only then is it waited for.
        if reset.claim().is_none() {
            in_time(reset, &restore, Timestamp::now())?;
        }
        mapping_path(&restore)?
    };
    Ok(MappingPlace { path, storage: Some(state_store(&restore, context).await?) })
}

/// Refuses a restore that was not finished within [`LONGEST`] after a reset was made that follows it: whoever asked for the reset
/// does not expect it any more, and consumers may work again by now.
fn in_time(reset: &KafkaOffsetReset, restore: &KafkaRestore, now: Timestamp) -> Result<(), Result<Pending, Error>> {
    let Some(made) = reset.meta().creation_timestamp.as_ref() else { return Ok(()) };
    let ended = restore.status.as_ref().and_then(|status| status.completion_time.as_ref());
    // A time that does not read is told with what else is wrong there, and no reason to go on without a limit.
    let ended: Timestamp = ended.and_then(|time| time.parse().ok()).unwrap_or(now);
    if ended.duration_since(made.0) <= LONGEST {
        return Ok(());
    }
    Err(Err(Error::TooLate(Finding {
        level: Level::Error,
        field: "spec.offsetMappingRef.restoreName".to_owned(),
        value: Some(restore.name_any()),
        rule: format!(
            "the restore was not finished within {} hours after this resource was made, and is waited for no longer",
            LONGEST.as_hours()
        ),
        fix: "make the reset anew once the restore is completed".to_owned(),
    })))
}

/// Where a restore wrote its offset mapping, as its status says.
fn mapping_path(restore: &KafkaRestore) -> Result<String, Result<Pending, Error>> {
    let name = restore.name_any();
    let status = restore.status.clone().unwrap_or_default();
    let text = match (status.phase.as_deref(), status.offset_mapping_path) {
        (Some("Completed"), Some(path)) => return Ok(path),
        (Some("Completed"), None) => format!(
            "KafkaRestore {name:?} wrote no offset mapping: it takes autoConsumerGroups, or offsetReset with another strategy \
             than dry_run; restore with one of them, or name the file with path"
        ),
        (Some("Failed" | "RolledBack"), _) => {
            format!("KafkaRestore {name:?} failed; name a restore that is completed, or the file with path")
        }
        _ => return Err(Ok(("RestoreNotFinished", format!("KafkaRestore {name:?} is not finished yet")))),
    };
    Err(Ok(("NoOffsetMapping", format!("spec.offsetMappingRef: {text}"))))
}

/// The name of the restore into the same cluster that finished last and wrote a mapping.
async fn newest_restore(
    reset: &KafkaOffsetReset,
    context: &Context,
    namespace: &str,
) -> Result<String, Result<Pending, Error>> {
    let all = Api::<DeserializeGuard<KafkaRestore>>::namespaced(context.client.clone(), namespace);
    let brokers = |cluster: &KafkaCluster| cluster.bootstrap_servers.iter().cloned().collect::<BTreeSet<_>>();
    let candidate = |restore: KafkaRestore| {
        // One that is not finished, or wrote none, is nothing to follow.
        let path = mapping_path(&restore).ok().filter(|_| restore.meta().deletion_timestamp.is_none())?;
        let servers = brokers(&restore.spec.kafka_cluster);
        let ended = restore.status.as_ref().and_then(|status| status.completion_time.clone());
        Some(Candidate { name: restore.name_any(), servers, path, ended })
    };
    let mut found = Vec::new();
    // One that cannot be read has a condition that says so, and names no mapping.
    let take = |restore: DeserializeGuard<KafkaRestore>| found.extend(restore.0.ok().and_then(candidate));
    each(&all, ListParams::default(), usize::MAX, take).await.map_err(Err)?;
    let here = brokers(&reset.spec.kafka_cluster);
    match follows::newest(&found, &here) {
        Some(restore) => Ok(restore.name.clone()),
        None => Err(Ok(("NoOffsetMapping", follows::none(&found, &here)))),
    }
}

/// Where the state of a restore is, and what it wrote beside it.
async fn state_store(restore: &KafkaRestore, context: &Context) -> Result<StoreSpec, Result<Pending, Error>> {
    let run = restore.lower(context, None).await?;
    let state = run.restore.and_then(|part| part.state_storage);
    Ok(state.unwrap_or(run.storage))
}

/// Where a restore saves the positions of its groups.
async fn saving_store(restore: &KafkaRestore, context: &Context) -> Result<StoreSpec, Result<Pending, Error>> {
    let run = restore.lower(context, None).await?;
    let part = run.restore;
    let own = part.as_ref().and_then(|part| part.groups.as_ref()).and_then(|groups| groups.saving.storage.clone());
    Ok(own.or(part.and_then(|part| part.state_storage)).unwrap_or(run.storage))
}

/// Where the saved positions are, and their name where another resource knows it. `stateStorage` counts more than where the
/// other resource says that it saved them: that one may be gone by now, or another.
async fn saved(
    spec: &KafkaOffsetRollbackSpec,
    context: &Context,
    namespace: &str,
) -> Result<(StoreSpec, Option<String>), Result<Pending, Error>> {
    let reference = &spec.snapshot_ref;
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let own = spec.state_storage.as_ref().map(stored).transpose()?;
    match (set(&reference.restore_ref), set(&reference.offset_reset_ref), set(&reference.pvc_name)) {
        (Some(name), _, _) => {
            let field = "spec.snapshotRef.restoreRef";
            let restore: KafkaRestore = find(context, namespace, &name, field).await?;
            let status = restore.status.as_ref().and_then(|status| status.rollback.as_ref());
            let id = known::<KafkaRestore>(status.and_then(|status| status.snapshot_id.clone()), &name, field)?;
            let store = match own {
                Some(own) => own,
                None => saving_store(&restore, context).await?,
            };
            Ok((store, Some(id)))
        }
        (None, Some(name), _) => {
            let field = "spec.snapshotRef.offsetResetRef";
            let reset: KafkaOffsetReset = find(context, namespace, &name, field).await?;
            let id = reset.status.as_ref().and_then(|status| status.snapshot_id.clone());
            let id = known::<KafkaOffsetReset>(id, &name, field)?;
            let store = match own {
                Some(own) => own,
                None => stored(place_of(&reset, context)?)?,
            };
            Ok((store, Some(id)))
        }
        (None, None, Some(claim)) => Ok((lower::offset_volume(&claim), None)),
        (None, None, None) => {
            let store =
                own.map_or_else(|| context.offsets_storage.as_deref().map(stored).transpose(), |own| Ok(Some(own)))?;
            let nowhere = || {
                let text = "spec.stateStorage: it is not known where the saved positions are; name the place, or restoreRef or \
                            offsetResetRef in spec.snapshotRef";
                Ok(("NoPlaceForOffsets", text.to_owned()))
            };
            Ok((store.ok_or_else(nowhere)?, None))
        }
    }
}

fn stored(storage: &Storage) -> Result<StoreSpec, Result<Pending, Error>> {
    lower::offset_store(storage).map_err(|finding| Err(finding.into()))
}

/// Another resource that `field` names.
async fn find<K: Kind>(
    context: &Context,
    namespace: &str,
    name: &str,
    field: &str,
) -> Result<K, Result<Pending, Error>> {
    let found = named(context, namespace, name).await.map_err(|error| Err(error.into()))?;
    found
        .map_err(|why| Ok(("ReferenceNotFound", format!("{field}: {why}; correct the name, or say where the file is"))))
}

/// The name of what it saved.
fn known<K: Kind>(id: Option<String>, name: &str, field: &str) -> Result<String, Result<Pending, Error>> {
    id.ok_or_else(|| {
        let text = format!("{field}: {} {name:?} has saved no positions, or its run is not over", K::kind(&()));
        Ok(("SnapshotNotFound", text))
    })
}
