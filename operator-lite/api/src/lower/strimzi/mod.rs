//! The kinds of the Strimzi groups as runs. How the brokers are reached is found out before, by `strimzi::discovery`: what
//! comes in here is whole, and what goes out is what the kinds of `kafka.oso.sh` become, too.

mod placement;
mod restore;
mod storage;

use contract::{
    BackupSpec, Compression, ConnectionSpec, KafkaSpec, MetricsSpec, OnGap, OnMissingSegments, PatternSyntax,
    RateLimit, RunSpec, StartOffset,
};

pub use placement::{Pods, placement};
pub use restore::{Source, restore};
pub(super) use storage::storage as store;

use super::{
    ANY_LEVEL, CHECKPOINT_SECS, Identity, LEAST_SEGMENT, PARTITIONS, TOPIC_REFRESH_SECS, TRANSACTION_WAIT_SECS, run,
    unknown, unread,
};
use crate::finding::Finding;
use crate::strimzi::config::Own;
use crate::strimzi::patterns::{of_groups, of_topics};
use crate::strimzi::{BackupOptions, BackupSelection, Connection, Group, KafkaBackupSpec, Metrics, Patterns};

/// Bytes after which a segment ends when nothing is said.
const SEGMENT: u64 = 128 << 20;
/// Milliseconds after which one ends when nothing is said.
const SEGMENT_MILLIS: u64 = 60_000;
/// Milliseconds between two looks for new records when nothing is said.
const POLL_MILLIS: u64 = 100;
/// Port of metrics when nothing is said.
const METRICS_PORT: u16 = 8080;

/// The run of a KafkaBackup of a Strimzi group. `kafka` is how its brokers are reached.
///
/// # Errors
/// A value that validation refuses.
pub fn backup<G: Group>(identity: Identity, spec: &KafkaBackupSpec, kafka: KafkaSpec) -> Result<RunSpec, Finding> {
    let merged = spec.merged();
    let (spec, none) = (merged.as_ref(), BackupOptions::default());
    let options = spec.backup.as_ref().unwrap_or(&none);
    let continuous = options.continuous == Some(true);
    let own = Own(options.config.as_ref());
    let compression = compression(options.compression.as_deref())?;
    let (topics, exclude) = topics(spec.topics.as_ref(), G::PATTERNS);
    let groups = |of: fn(&BackupSelection) -> &Vec<String>| {
        spec.consumer_groups.iter().flat_map(of).map(|pattern| of_groups(pattern)).collect()
    };
    let segment = options.segment_size.map(|size| positive("spec.backup.segmentSize", size)).transpose()?;
    let backup = BackupSpec {
        topics: if topics.is_empty() { vec!["*".to_owned()] } else { topics },
        on_missing_topic: own.on_missing_topic(),
        exclude,
        pattern_syntax: PatternSyntax::Glob,
        include_internal_topics: options.include_internal_topics == Some(true),
        internal_topics: if options.include_internal_topics == Some(true) {
            options.internal_topics.clone()
        } else {
            Vec::new()
        },
        incremental: spec.offset_storage.is_some() && !continuous,
        continuous,
        start_offset: match options.start_offset.as_deref() {
            None | Some("earliest") => StartOffset::Earliest,
            Some("latest") => StartOffset::Latest,
            Some(other) => return Err(unknown("spec.backup.startOffset", other, "earliest, latest")),
        },
        poll_interval_ms: options.poll_interval_ms.unwrap_or(POLL_MILLIS),
        topic_refresh_secs: TOPIC_REFRESH_SECS,
        rate_limit: RateLimit::default(),
        max_concurrent_partitions: Some(partitions("spec.backup.parallelism", options.parallelism)?),
        checkpoint_folder: None,
        compression,
        compression_level: match compression {
            Compression::Zstd => options.compression_level.unwrap_or(ANY_LEVEL),
            Compression::None | Compression::Gzip | Compression::Snappy | Compression::Lz4 => ANY_LEVEL,
        },
        segment_max_bytes: segment.unwrap_or(SEGMENT).max(LEAST_SEGMENT),
        segment_max_interval_ms: options.segment_max_interval_ms.unwrap_or(SEGMENT_MILLIS),
        checkpoint_interval_secs: Some(checkpoint_secs(spec)),
        open_transaction_wait_secs: TRANSACTION_WAIT_SECS,
        include_offset_headers: options.include_offset_headers.unwrap_or(true),
        source_cluster_id: options.source_cluster_id.clone(),
        consumer_group_snapshot: options.consumer_group_snapshot.unwrap_or(true),
        groups: groups(|selection| &selection.include),
        exclude_groups: groups(|selection| &selection.exclude),
        on_gap: OnGap::default(),
        on_missing_segments: OnMissingSegments::default(),
        adopt: false,
    };
    let storage = storage::storage(&spec.storage)?;
    let kafka = connected(kafka, spec.connection.as_ref());
    let metrics = metrics(spec.metrics.as_ref());
    let circuit_breaker = own.circuit_breaker();
    Ok(RunSpec { metrics, circuit_breaker, backup: Some(backup), ..run(identity, kafka, storage, None) })
}

/// Seconds between two saves of a backup's progress.
#[must_use]
pub fn checkpoint_secs(spec: &KafkaBackupSpec) -> u64 {
    let merged = spec.merged();
    merged.backup.as_ref().and_then(|options| options.checkpoint_interval_secs).unwrap_or(CHECKPOINT_SECS)
}

/// Patterns of topics that are taken, and of those that are left out, as runs read them.
fn topics(selection: Option<&BackupSelection>, patterns: Patterns) -> (Vec<String>, Vec<String>) {
    let read = |all: &Vec<String>| all.iter().map(|pattern| of_topics(pattern, patterns)).collect();
    selection.map(|selection| (read(&selection.include), read(&selection.exclude))).unwrap_or_default()
}

fn compression(name: Option<&str>) -> Result<Compression, Finding> {
    match name {
        None | Some("zstd") => Ok(Compression::Zstd),
        Some("none") => Ok(Compression::None),
        Some("gzip") => Ok(Compression::Gzip),
        Some("snappy") => Ok(Compression::Snappy),
        Some("lz4") => Ok(Compression::Lz4),
        Some(other) => Err(unknown("spec.backup.compression", other, "none, gzip, snappy, lz4, zstd")),
    }
}

fn positive<T: TryInto<U> + Copy + std::fmt::Display, U: Default + PartialEq>(
    field: &str,
    value: T,
) -> Result<U, Finding> {
    let number = value.try_into().ok().filter(|number| *number != U::default());
    number.ok_or_else(|| unread(field, &value.to_string(), "must be above 0", "set at least 1, or leave it out"))
}

fn partitions(field: &str, parallelism: Option<i32>) -> Result<u32, Finding> {
    parallelism.map_or(Ok(PARTITIONS), |count| positive(field, count))
}

fn connected(kafka: KafkaSpec, connection: Option<&Connection>) -> KafkaSpec {
    let Some(block) = connection else { return kafka };
    let usual = ConnectionSpec::default();
    let connection = ConnectionSpec {
        tcp_keepalive: block.tcp_keepalive.unwrap_or(usual.tcp_keepalive),
        keepalive_time_secs: block.keepalive_time_secs.unwrap_or(usual.keepalive_time_secs),
        keepalive_interval_secs: block.keepalive_interval_secs.unwrap_or(usual.keepalive_interval_secs),
        tcp_nodelay: block.tcp_nodelay.unwrap_or(usual.tcp_nodelay),
        connections_per_broker: block.connections_per_broker.unwrap_or(usual.connections_per_broker),
        ..usual
    };
    KafkaSpec { connection, ..kafka }
}

fn metrics(block: Option<&Metrics>) -> Option<MetricsSpec> {
    let block = block.filter(|block| block.enabled != Some(false))?;
    let usual = MetricsSpec::default();
    Some(MetricsSpec {
        bind_address: block.bind_address.clone().unwrap_or(usual.bind_address),
        port: block.port.unwrap_or(METRICS_PORT),
        path: block.path.clone().unwrap_or(usual.path),
        update_interval_ms: block.update_interval_ms.unwrap_or(usual.update_interval_ms),
        max_partition_labels: block.max_partition_labels.unwrap_or(usual.max_partition_labels),
        keep_alive_secs: block.keep_alive_seconds.unwrap_or(usual.keep_alive_secs),
    })
}

#[cfg(test)]
mod tests;
