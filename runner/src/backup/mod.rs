//! A backup run: discover, claim, read, seal.
//!
//! ```text
//! readers (one per broker connection) -> collector -> writer task -> segments, log entries
//! ```
//! Frames are accounted from before they are read until their bytes are handed to the store, so memory does
//! not depend on topics, partitions or sizes.

mod identity;
mod positions;
mod select;
mod transactions;

mod groups;
mod reader;
mod source;

mod collector;
mod finish;

pub(crate) use select::discover;

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::{Owner, SetWriter, Store, WriterOptions};
use contract::{BackupSpec, Code, Compression, EventKind, Failure, Report, RunSpec};
use wire::Cluster;

use crate::context::Context;
use crate::emit::Emitter;
use crate::spec_file::work_digest;

/// Bytes of frames between the broker and the store: arenas that fill and drain, and answers on their way.
pub(crate) const FRAME_BUDGET: usize = 80 << 20;

/// Runs a backup and fills `report`.
///
/// # Errors
/// The failure that ended it; progress made is in the archive.
pub async fn run(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    backup: &BackupSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let cluster = crate::connect::cluster(context, &spec.kafka).await?;
    let store = crate::connect::store(context, &spec.storage).await?;
    let topics = select::discover(&cluster, backup).await?;
    let identity = identity::resolve(context, &store, spec, backup).await?;
    report.run.clone_from(&identity.run);
    report.point = Some(identity.point.clone());
    let groups = if backup.consumer_group_snapshot { Some(groups::snapshot(&cluster, emitter).await?) } else { None };
    let options = writer_options(context, &cluster, spec, backup, &identity)?;
    let mut writer = match SetWriter::open(store.clone(), options).await? {
        Ok(writer) => writer,
        Err(sealed) => {
            report.outcome = "AlreadyDone".into();
            report.point = Some(sealed.point);
            return Ok(());
        }
    };
    emitter.emit(EventKind::Started {
        run: identity.run.clone(),
        name: identity.point.clone(),
        resumed: writer.claim().resumed,
    });
    if !writer.claim().exclusive {
        emitter.warn(format!(
            "{} does not refuse to create an object twice: two runs at once would not notice each other",
            store.place()
        ));
    }
    let plan = source::plan(&cluster, &topics, writer.state(), emitter).await?;
    report.topics = topics.len() as u64;
    report.partitions = plan.cursors.len() as u64;
    emitter.emit(EventKind::Planned {
        topics: report.topics,
        partitions: report.partitions,
        records: plan.cursors.iter().map(|c| u64::try_from(c.target - c.offset).unwrap_or(0)).sum(),
    });
    for topic in &topics {
        writer.know_topic(archive::TopicState {
            id: topic.id,
            name: topic.name.clone(),
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
            replication: topic.partitions.first().and_then(|p| i16::try_from(p.replicas).ok()).unwrap_or(-1),
            live: true,
        });
    }
    let configs = source::configs(&cluster, &topics).await?;
    let collected = collector::collect(context, emitter, Arc::clone(&cluster), backup, plan, writer).await;
    let outcome = match collected {
        Ok(outcome) => outcome,
        Err((failure, totals)) => {
            totals.fill(report);
            return Err(failure);
        }
    };
    outcome.totals.fill(report);
    report.gaps = outcome.all_gaps.iter().filter_map(|gap| serde_json::to_value(gap).ok()).collect();
    report.held_back = outcome.held_back.iter().filter_map(|held| serde_json::to_value(held).ok()).collect();
    let live: BTreeSet<_> = topics.iter().map(|topic| topic.id).collect();
    finish::seal(context, emitter, &store, backup, &identity, &live, configs, groups, outcome, report).await
}

fn writer_options(
    context: &Context,
    cluster: &Cluster,
    spec: &RunSpec,
    backup: &BackupSpec,
    identity: &identity::Identity,
) -> Result<WriterOptions, Failure> {
    let cluster_id = cluster.cluster_id().ok_or_else(|| {
        Failure::new(Code::BrokerUnsupported, "the cluster does not tell its id; Apache Kafka 2.8 or newer is needed")
    })?;
    Ok(WriterOptions {
        layout: identity.layout.clone(),
        owner: Owner { namespace: spec.namespace.clone(), name: spec.name.clone(), cluster_id },
        incremental: backup.incremental,
        adopt: backup.adopt,
        run: identity.run.clone(),
        spec: work_digest(spec),
        stamp: identity.stamp.clone(),
        nonce: context.nonce(),
        uuid: context.uuid(),
        codec: codec(backup.compression),
        level: backup.compression_level,
        workers: context.workers,
        segment_max_bytes: backup.segment_max_bytes,
    })
}

fn codec(compression: Compression) -> batch::Codec {
    match compression {
        Compression::None => batch::Codec::None,
        Compression::Gzip => batch::Codec::Gzip,
        Compression::Snappy => batch::Codec::Snappy,
        Compression::Lz4 => batch::Codec::Lz4,
        Compression::Zstd => batch::Codec::Zstd,
    }
}

/// Stores the report and the events of a run beside its set, for people.
pub(crate) async fn publish(
    store: &Store,
    layout: &archive::Layout,
    report: &Report,
    emitter: &Emitter,
) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(report).unwrap_or_default();
    store.put(&layout.run(&report.run, "report.json"), text.into()).await?;
    store.put(&layout.run(&report.run, "events.jsonl"), emitter.lines().into_bytes().into()).await?;
    Ok(())
}
