//! The committed offsets that groups have before a run changes them, saved in the form that offset snapshots of the API group
//! `kafka.oso.sh` have, with what a rollback needs besides.
//!
//! What is read is checked whole before anything is done with it: another cluster's offsets are never committed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::SavedOffsets;
use contract::words::plural;
use contract::{Code, Failure, OffsetSaving, OffsetsBefore, stamp};
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wire::{Cluster, CoordinatorPatience, Group};

use super::commit::{AT_ONCE, PATIENCE, offsets_of};
use crate::context::Context;
use crate::emit::Emitter;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(rename = "snapshot_id")]
    pub(crate) id: String,
    created_at: String,
    /// Until when it is kept for certain. An addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// By group id; a group that the cluster does not have has no offsets.
    pub(crate) group_offsets: BTreeMap<String, GroupOffsets>,
    /// Topics in which the run changes offsets: a rollback deletes those that were not there before. An addition.
    #[serde(default)]
    pub(crate) topics: BTreeSet<String>,
    #[serde(default)]
    cluster_id: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// What one group has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupOffsets {
    group_id: String,
    /// `classic`, `consumer`, `share` or `streams`. An addition.
    #[serde(default = "classic")]
    pub(crate) kind: String,
    /// By topic and partition.
    pub(crate) offsets: BTreeMap<String, BTreeMap<i32, SavedOffset>>,
    #[serde(default)]
    partition_count: Option<usize>,
}

/// The kind of groups of snapshots that do not say it.
fn classic() -> String {
    "classic".to_owned()
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedOffset {
    pub(crate) offset: i64,
    #[serde(default)]
    pub(crate) metadata: Option<String>,
}

/// What a run is about to change.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    /// Who changes it, in words.
    pub(crate) by: String,
    /// Groups, and their kinds where the cluster does not have them.
    pub(crate) groups: Vec<(String, String)>,
    /// Topics in which offsets are changed.
    pub(crate) topics: BTreeSet<String>,
    pub(crate) saving: &'a OffsetSaving,
}

/// Saves the offsets of all topics of these groups, and deletes what was saved before and is over.
///
/// # Errors
/// When a group cannot be read, or the store fails: then nothing is changed either.
pub(crate) async fn keep(
    context: &Context,
    emitter: &Emitter,
    cluster: &Cluster,
    there: &HashMap<String, Group>,
    place: &SavedOffsets,
    changes: Changes<'_>,
) -> Result<OffsetsBefore, Failure> {
    let saved = save(context, cluster, there, place, changes).await?;
    match delete_expired(place, context.clock.now()).await {
        Ok(0) => {}
        Ok(count) => {
            emitter.warn(format!("saved offsets of {} are over, and are deleted", plural(count, "earlier run")));
        }
        Err(error) => emitter.warn(format!("saved offsets that are over could not be deleted: {error}")),
    }
    Ok(saved)
}

async fn save(
    context: &Context,
    cluster: &Cluster,
    there: &HashMap<String, Group>,
    place: &SavedOffsets,
    changes: Changes<'_>,
) -> Result<OffsetsBefore, Failure> {
    let patience = CoordinatorPatience::new(PATIENCE);
    let read = futures::stream::iter(&changes.groups).map(|(id, kind)| {
        let new = || Group { id: id.clone(), kind: kind.clone(), state: "Dead".to_owned() };
        one(cluster, there.get(id).cloned().unwrap_or_else(new), there.contains_key(id), &patience)
    });
    let group_offsets: BTreeMap<_, _> = read.buffered(AT_ONCE).try_collect().await?;
    let now = context.clock.now();
    let (at, nonce) = (context.now_text(), context.nonce());
    let id = id_of(now, changes.saving.keep_hours, nonce.get(..8).unwrap_or(&nonce));
    let expires_at = expiry(&id).map(|at| at.to_string());
    let document = Snapshot {
        id: id.clone(),
        created_at: at.clone(),
        expires_at: expires_at.clone(),
        group_offsets,
        topics: changes.topics,
        cluster_id: cluster.cluster_id(),
        description: Some(format!("before {}", changes.by)),
    };
    let bytes = serde_json::to_vec_pretty(&document);
    let bytes = bytes.map_err(|error| Failure::new(Code::Internal, format!("offsets as JSON: {error}")))?;
    let path = place.save(&id, bytes).await?;
    Ok(OffsetsBefore { id, at, path, expires_at })
}

async fn one(
    cluster: &Cluster,
    group: Group,
    is_there: bool,
    patience: &CoordinatorPatience,
) -> Result<(String, GroupOffsets), Failure> {
    let found = if is_there { offsets_of(cluster, &group, patience).await? } else { Vec::new() };
    let partition_count = Some(found.len());
    let mut offsets: BTreeMap<String, BTreeMap<i32, SavedOffset>> = BTreeMap::new();
    for at in found {
        let offset = SavedOffset { offset: at.offset, metadata: at.metadata };
        offsets.entry(at.topic).or_default().insert(at.partition, offset);
    }
    let saved = GroupOffsets { group_id: group.id.clone(), kind: group.kind, offsets, partition_count };
    Ok((group.id, saved))
}

/// Deletes what is kept for longer than was asked for; says how many.
async fn delete_expired(place: &SavedOffsets, now: Timestamp) -> Result<u64, Failure> {
    let mut deleted = 0;
    for id in place.ids().await? {
        if expiry(&id).is_some_and(|end| end < now) {
            place.delete(&id).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// `before-<stamp>-<hours>h-<nonce>`, without the hours where it is kept for ever: the name says when it may go, so that
/// nobody has to open it.
fn id_of(at: Timestamp, hours: Option<u32>, nonce: &str) -> String {
    let hours = hours.map(|hours| format!("{hours}h-")).unwrap_or_default();
    format!("before-{}-{hours}{nonce}", stamp::stamp(at))
}

/// When saved offsets of this name may be deleted.
fn expiry(id: &str) -> Option<Timestamp> {
    let rest = id.strip_prefix("before-")?;
    let (stamp, rest) = rest.split_at_checked("YYYYMMDD-HHMMSS".len())?;
    let (hours, _nonce) = rest.strip_prefix('-')?.split_once('-')?;
    let hours = hours.strip_suffix('h')?.parse::<u32>().ok()?;
    let at = stamp::stamp_time(stamp).parse::<Timestamp>().ok()?;
    at.checked_add(SignedDuration::from_hours(i64::from(hours))).ok()
}

/// Reads saved offsets, all of them or none.
///
/// # Errors
/// When they are no such document, or of another cluster.
pub(crate) fn read(bytes: &[u8], place: &str, cluster: &str) -> Result<Snapshot, Failure> {
    let damaged = |what: String| Failure::new(Code::ArchiveDamaged, format!("the saved offsets {place} {what}"));
    let snapshot: Snapshot = serde_json::from_slice(bytes)
        .map_err(|error| damaged(format!("are no document of saved offsets, or are cut short: {error}")))?;
    if let Some(other) = snapshot.cluster_id.as_deref().filter(|id| !id.is_empty() && *id != cluster) {
        let text = format!("the saved offsets {place} are those of cluster {other}, and this is cluster {cluster}");
        return Err(Failure::new(Code::NoSavedOffsets, text));
    }
    for (id, group) in &snapshot.group_offsets {
        if group.group_id != *id {
            return Err(damaged(format!("name group {id:?} and group {:?} for the same offsets", group.group_id)));
        }
        let count = group.offsets.values().map(BTreeMap::len).sum::<usize>();
        if group.partition_count.is_some_and(|told| told != count) {
            return Err(damaged(format!("have {count} offsets of group {id:?} and another number of them")));
        }
        for (topic, partitions) in &group.offsets {
            if let Some((partition, at)) = partitions.iter().find(|(p, at)| **p < 0 || at.offset < 0) {
                let text = format!("have offset {} of group {id:?} in {topic}/{partition}", at.offset);
                return Err(damaged(text));
            }
        }
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: &str = r#"{"snapshot_id": "7c", "created_at": "2026-11-01T00:00:00Z", "group_offsets": {"g": {
        "group_id": "g", "partition_count": 2,
        "offsets": {"t": {"0": {"offset": 5, "metadata": null, "timestamp": 7}, "1": {"offset": 0, "metadata": "m"}}}}},
        "restore_id": null, "cluster_id": null, "bootstrap_servers": ["b:9092"], "description": null}"#;

    #[test]
    fn a_snapshot_without_our_additions_is_read() {
        let snapshot = read(FOREIGN.as_bytes(), "x", "c").unwrap();
        let group = &snapshot.group_offsets["g"];
        assert_eq!((group.kind.as_str(), group.offsets["t"][&0].offset, snapshot.topics.len()), ("classic", 5, 0));
        assert_eq!(group.offsets["t"][&1].metadata.as_deref(), Some("m"));
    }

    #[test]
    fn what_is_cut_short_or_of_another_cluster_is_refused() {
        let code = |text: &str| read(text.as_bytes(), "x", "c").unwrap_err().code;
        for length in (0..FOREIGN.len()).step_by(7) {
            assert_eq!(code(&FOREIGN[..length]), Code::ArchiveDamaged, "{length}");
        }
        for (from, to) in [
            (r#""partition_count": 2"#, r#""partition_count": 3"#),
            (r#""offset": 5"#, r#""offset": -1"#),
            (r#""group_id": "g""#, r#""group_id": "h""#),
            (r#""0": {"#, r#""-1": {"#),
        ] {
            assert_eq!(code(&FOREIGN.replace(from, to)), Code::ArchiveDamaged, "{to}");
        }
        assert_eq!(code(&FOREIGN.replace(r#""cluster_id": null"#, r#""cluster_id": "d""#)), Code::NoSavedOffsets);
        assert!(read(FOREIGN.replace(r#""cluster_id": null"#, r#""cluster_id": "c""#).as_bytes(), "x", "c").is_ok());
    }

    #[test]
    fn a_name_says_when_what_is_saved_may_go() {
        let at: Timestamp = "2026-11-29T15:45:00Z".parse().unwrap();
        let id = id_of(at, Some(24), "0123abcd");
        assert_eq!(id, "before-20261129-154500-24h-0123abcd");
        assert!(contract::names::check_name(&id).is_ok());
        assert_eq!(expiry(&id), Some("2026-11-30T15:45:00Z".parse().unwrap()));
        let ever = id_of(at, None, "0123abcd");
        for id in [ever.as_str(), "before-", "mine", "before-20261129-154500", "before-x-24h-0"] {
            assert_eq!(expiry(id), None, "{id}");
        }
        assert_eq!(expiry("before-20261329-154500-24h-0"), None, "no such month");
    }
}
