//! The committed offsets that groups of the target have before a restore changes them, saved in the form that offset snapshots
//! of this API group have.

use std::collections::{BTreeMap, HashMap};

use contract::{Code, Failure, OffsetsBefore};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use wire::{Cluster, CoordinatorPatience, Group};

use super::commit::{AT_ONCE, PATIENCE, offsets_of};
use crate::restore::Restore;

/// The document.
#[derive(Debug, Serialize)]
struct Snapshot<'a> {
    #[serde(rename = "snapshot_id")]
    id: &'a str,
    created_at: &'a str,
    /// By group id; groups that the target does not have are left out.
    group_offsets: BTreeMap<String, GroupOffsets>,
    restore_id: &'a str,
    cluster_id: &'a str,
    description: String,
}

#[derive(Debug, Serialize)]
struct GroupOffsets {
    group_id: String,
    /// `classic`, `consumer`, `share` or `streams`.
    kind: String,
    /// By topic and partition.
    offsets: BTreeMap<String, BTreeMap<i32, Offset>>,
    partition_count: usize,
}

#[derive(Debug, Serialize)]
struct Offset {
    offset: i64,
    metadata: Option<String>,
}

/// Saves the offsets of all topics of these groups of the target.
///
/// # Errors
/// When a group cannot be read, or the store fails: then nothing is committed either.
pub(super) async fn save(
    restore: &Restore<'_>,
    there: &HashMap<String, Group>,
    groups: &[String],
) -> Result<OffsetsBefore, Failure> {
    let patience = CoordinatorPatience::new(PATIENCE);
    let found = futures::stream::iter(groups.iter().filter_map(|id| there.get(id)));
    let read = found.map(|group| one(&restore.cluster, group, &patience)).buffered(AT_ONCE);
    let group_offsets: BTreeMap<_, _> = read.try_collect().await?;
    let at = restore.context.now_text();
    let nonce = restore.context.nonce();
    let id =
        format!("before-{}-{}", contract::stamp::stamp(restore.context.clock.now()), nonce.get(..8).unwrap_or(&nonce));
    let document = Snapshot {
        id: &id,
        created_at: &at,
        group_offsets,
        restore_id: &restore.state.name,
        cluster_id: restore.identity.cluster(),
        description: format!("before restore {}", restore.state.name),
    };
    let bytes = serde_json::to_vec_pretty(&document);
    let bytes = bytes.map_err(|error| Failure::new(Code::Internal, format!("offsets as JSON: {error}")))?;
    let path = restore.journal.save_offsets(&id, bytes).await?;
    Ok(OffsetsBefore { id, at, path })
}

async fn one(
    cluster: &Cluster,
    group: &Group,
    patience: &CoordinatorPatience,
) -> Result<(String, GroupOffsets), Failure> {
    let found = offsets_of(cluster, group, patience).await?;
    let partition_count = found.len();
    let mut offsets: BTreeMap<String, BTreeMap<i32, Offset>> = BTreeMap::new();
    for at in found {
        let offset = Offset { offset: at.offset, metadata: at.metadata };
        offsets.entry(at.topic).or_default().insert(at.partition, offset);
    }
    let (group_id, kind) = (group.id.clone(), group.kind.clone());
    Ok((group_id.clone(), GroupOffsets { group_id, kind, offsets, partition_count }))
}
