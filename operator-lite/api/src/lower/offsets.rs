//! Runs of KafkaOffsetReset and KafkaOffsetRollback.

use contract::{
    MappingPlace, OffsetResetSpec, OffsetRollbackSpec, OffsetSaving, ResetTo, RunSpec, SavedOffsets, StoreSpec,
};

use super::{Identity, cluster, run};
use crate::finding::{Finding, Level};
use crate::oso::{KafkaOffsetResetSpec, KafkaOffsetRollbackSpec, OffsetMappingRef, ResetStrategy, Storage};

/// The run of a KafkaOffsetReset. `storage` is where positions are saved: that of the resource, else that of the
/// installation. `mapping` is where the offset mapping lies, with from-mapping.
///
/// # Errors
/// A value that validation refuses.
pub fn offset_reset(
    identity: Identity,
    spec: &KafkaOffsetResetSpec,
    storage: &Storage,
    mapping: Option<MappingPlace>,
) -> Result<RunSpec, Finding> {
    let needs = |field: &str| Finding {
        level: Level::Error,
        field: field.to_owned(),
        value: None,
        rule: "is required with this resetStrategy".to_owned(),
        fix: "add it".to_owned(),
    };
    let to = match spec.reset_strategy {
        ResetStrategy::ToEarliest => ResetTo::Earliest,
        ResetStrategy::ToLatest => ResetTo::Latest,
        ResetStrategy::ToTimestamp => {
            ResetTo::Timestamp(spec.reset_timestamp.ok_or_else(|| needs("spec.resetTimestamp"))?)
        }
        ResetStrategy::ToOffset => ResetTo::Offset(spec.reset_offset.ok_or_else(|| needs("spec.resetOffset"))?),
        ResetStrategy::FromMapping => {
            ResetTo::Mapping(Box::new(mapping.ok_or_else(|| needs("spec.offsetMappingRef"))?))
        }
    };
    let reset = OffsetResetSpec {
        groups: spec.consumer_groups.clone(),
        to,
        topics: spec.topics.clone(),
        parallelism: spec.parallelism.min(contract::offset_spec::MOST_AT_ONCE),
        continue_on_error: spec.continue_on_error,
        saving: OffsetSaving { skip: !spec.snapshot_before_reset, ..OffsetSaving::default() },
        dry_run: spec.dry_run,
    };
    let kafka = cluster::cluster(&spec.kafka_cluster)?;
    let storage = super::storage::storage("spec.stateStorage", storage)?;
    Ok(RunSpec { offset_reset: Some(reset), ..run(identity, kafka, storage, None) })
}

/// The run of a KafkaOffsetRollback. `storage` is where the saved positions are, `id` their name where another resource
/// knows it.
///
/// # Errors
/// A value that validation refuses.
pub fn offset_rollback(
    identity: Identity,
    spec: &KafkaOffsetRollbackSpec,
    storage: StoreSpec,
    id: Option<String>,
) -> Result<RunSpec, Finding> {
    let reference = &spec.snapshot_ref;
    let named = Some(reference.name.clone()).filter(|name| !name.is_empty());
    let from = match reference.path.clone().filter(|path| !path.is_empty()) {
        Some(path) => SavedOffsets::Path(path.trim_matches('/').to_owned()),
        None => SavedOffsets::Id(named.or(id).ok_or_else(|| Finding {
            level: Level::Error,
            field: "spec.snapshotRef".to_owned(),
            value: None,
            rule: "names no saved positions".to_owned(),
            fix: "set name, path, restoreRef or offsetResetRef".to_owned(),
        })?),
    };
    let rollback = OffsetRollbackSpec {
        from,
        groups: spec.consumer_groups.clone(),
        without_verification: !spec.verify_after_rollback,
        dry_run: spec.dry_run,
    };
    let kafka = cluster::cluster(&spec.kafka_cluster)?;
    Ok(RunSpec { offset_rollback: Some(rollback), ..run(identity, kafka, storage, None) })
}

/// The path of an offset mapping that a reference names: from the root of a volume, else as it is written.
#[must_use]
pub fn mapping_path(reference: &OffsetMappingRef) -> Option<String> {
    let path = reference.path.as_deref().filter(|path| !path.is_empty())?;
    let of_volume = reference.pvc_name.as_ref().is_some_and(|name| !name.is_empty());
    Some(if of_volume { path.trim_matches('/') } else { path }.to_owned())
}

/// A storage block as a store, for whoever looks for saved positions.
///
/// # Errors
/// A value that validation refuses.
pub fn offset_store(storage: &Storage) -> Result<StoreSpec, Finding> {
    super::storage::storage("spec.stateStorage", storage)
}

/// The store of `snapshotRef.pvcName`; a `path` is taken from its root.
#[must_use]
pub fn offset_volume(claim: &str) -> StoreSpec {
    super::storage::in_volume(claim, None)
}
