//! Summaries of a set for people, beside its log. Nothing is decided by them.

use serde::Serialize;

use crate::{ArchiveError, Entry, GroupSnapshot, Layout, Store, TopicState};

/// Topics named in `manifest.json` at most: it is a summary for people.
const TOPICS: usize = 10_000;

/// Writes the summaries of the recovery point that `entry` seals. `hint`: whether the hint of the point was written;
/// `written`: the time now.
///
/// # Errors
/// The store's failures; the recovery point is complete without them.
pub async fn write_summaries(
    store: &Store,
    layout: &Layout,
    (entry, hint): (&Entry, bool),
    groups: Option<&[GroupSnapshot]>,
    written: &str,
) -> Result<(), ArchiveError> {
    let Some(seal) = &entry.seal else { return Ok(()) };
    let mut sums = vec![(0u64, 0u64); seal.topics.len()];
    for row in &seal.partitions {
        let stray = || ArchiveError::unencodable(format!("a seal names topic number {}", row.topic));
        let (records, bytes) = sums.get_mut(row.topic as usize).ok_or_else(stray)?;
        *records += row.held();
        *bytes += row.held_bytes();
    }
    let live = || seal.topics.iter().zip(&sums).filter(|(topic, _)| topic.live);
    let describe = |(topic, (records, bytes)): (&TopicState, &(u64, u64))| {
        serde_json::json!({
            "name": topic.name, "id": topic.id, "partitions": topic.partitions, "records": records, "bytes": bytes,
        })
    };
    let manifest = serde_json::json!({
        "note": "A summary for people, overwritten by each run; the log is what counts.",
        "set": layout.set(), "newestPoint": seal.point, "at": seal.at, "entry": entry.n, "hint": hint,
        "written": written, "clusterId": seal.owner.cluster_id,
        "sourceClusterId": seal.source_cluster_id, "topicCount": live().count(), "heldBack": seal.held_back,
        "topics": live().take(TOPICS).map(describe).collect::<Vec<_>>(),
    });
    let bytes = pretty(&manifest)?;
    store.put(&layout.summary("manifest.json"), bytes.into()).await?;
    if let Some(groups) = groups {
        let bytes = pretty(groups)?;
        store.put(&layout.summary("consumer-groups-snapshot.json"), bytes.into()).await?;
    }
    Ok(())
}

fn pretty<T: Serialize + ?Sized>(document: &T) -> Result<Vec<u8>, ArchiveError> {
    serde_json::to_vec_pretty(document).map_err(ArchiveError::unencodable)
}
