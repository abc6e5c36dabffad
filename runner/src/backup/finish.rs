//! The end of a backup: seal, read back, summaries.

use std::collections::BTreeSet;

use archive::{GroupSnapshot, SealFacts, Store, TopicConfigs};
use contract::{BackupSpec, EventKind, Failure, Report};
use uuid::Uuid;

use super::collector::Collected;
use super::identity::Identity;
use crate::VERSION;
use crate::context::Context;
use crate::emit::Emitter;

/// Topics named in `manifest.json` at most: it is a summary for people.
const SUMMARY_TOPICS: usize = 10_000;

/// Makes the recovery point visible and confirms it.
///
/// # Errors
/// When another run took over, or the store does not return what it confirmed.
#[allow(clippy::too_many_arguments)]
pub(crate) async fn seal(
    context: &Context,
    emitter: &Emitter,
    store: &Store,
    backup: &BackupSpec,
    identity: &Identity,
    live: &BTreeSet<Uuid>,
    configs: TopicConfigs,
    groups: Option<Vec<GroupSnapshot>>,
    collected: Collected,
    report: &mut Report,
) -> Result<(), Failure> {
    let Collected { mut writer, mut positions, held_back, .. } = collected;
    let facts = SealFacts {
        point: identity.point.clone(),
        at: identity.at(),
        source_cluster_id: backup.source_cluster_id.clone(),
        include_offset_headers: backup.include_offset_headers,
        held_back,
        configs,
        groups: groups.clone(),
        writer: format!("kafka-backup-runner {VERSION}"),
    };
    let gaps = positions.take_gaps();
    let (entry, digest) = writer.seal(&positions.all(), gaps, live, facts).await?;
    writer.confirm().await?;
    emitter.emit(EventKind::Committed { entry: entry.n, sealed: true });
    report.segments = writer.written().segments;
    report.stored_bytes = writer.written().bytes;
    report.outcome = if report.gaps.is_empty() { "Completed" } else { "CompletedWithGaps" }.into();
    if let Err(error) = writer.write_hint(&entry, &digest).await {
        emitter.warn(format!("the hint of the recovery point could not be written: {error}"));
    }
    if let Err(error) = summaries(context, store, identity, &entry, groups.as_deref()).await {
        emitter.warn(format!("the summaries could not be written: {error}"));
    }
    Ok(())
}

async fn summaries(
    context: &Context,
    store: &Store,
    identity: &Identity,
    entry: &archive::Entry,
    groups: Option<&[GroupSnapshot]>,
) -> Result<(), Failure> {
    let Some(seal) = &entry.seal else { return Ok(()) };
    let live = || seal.topics.iter().zip(0u32..).filter(|(topic, _)| topic.live);
    let describe = |(topic, place): (&archive::TopicState, u32)| {
        let rows = || seal.partitions.iter().filter(move |row| row.topic == place);
        serde_json::json!({
            "name": topic.name, "id": topic.id, "partitions": topic.partitions,
            "records": rows().map(|row| row.committed).sum::<u64>(),
            "bytes": rows().map(|row| row.bytes).sum::<u64>(),
        })
    };
    let manifest = serde_json::json!({
        "note": "A summary for people, overwritten by each run; the log is what counts.",
        "set": identity.layout.set(), "newestPoint": seal.point, "at": seal.at, "entry": entry.n,
        "written": context.now_text(), "clusterId": seal.owner.cluster_id, "sourceClusterId": seal.source_cluster_id,
        "topicCount": live().count(), "heldBack": seal.held_back,
        "topics": live().take(SUMMARY_TOPICS).map(describe).collect::<Vec<_>>(),
    });
    let bytes = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    store.put(&identity.layout.summary("manifest.json"), bytes.into()).await?;
    if let Some(groups) = groups {
        let bytes = serde_json::to_vec_pretty(groups).unwrap_or_default();
        store.put(&identity.layout.summary("consumer-groups-snapshot.json"), bytes.into()).await?;
    }
    Ok(())
}
