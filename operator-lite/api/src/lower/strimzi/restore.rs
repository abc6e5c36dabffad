//! The run of a KafkaRestore of a Strimzi group.

use std::collections::BTreeMap;

use contract::retention::age_secs;
use contract::{
    ExistingTopics, ForeignRecords, GroupRestore, KafkaSpec, OnUnreadable, PatternSyntax, RateLimit, Repartitioning,
    RestoreSpec, RunSpec, SetOwner, Strategy, WhenNewer,
};
use jiff::Timestamp;

use super::{Identity, connected, metrics, partitions, positive, run, storage, topics, unknown, unread};
use crate::finding::Finding;
use crate::strimzi::config::Own;
use crate::strimzi::patterns::group;
use crate::strimzi::{
    self, ConsumerGroups, ExistingTopicPolicy, Group, KafkaBackupSpec, KafkaRestoreSpec, PointInTime, RestoreOptions,
    TopicCreation,
};

/// Records in a batch when nothing is said.
const BATCH: u32 = 1_000;
/// Milliseconds in which a broker must answer when nothing is said.
const TIMEOUT_MILLIS: i32 = 30_000;

/// The KafkaBackup that a restore refers to.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// What it asks for.
    pub spec: &'a KafkaBackupSpec,
    /// Whose set it must be.
    pub owner: SetOwner,
}

/// The run of a KafkaRestore. `kafka` is how its brokers are reached.
///
/// # Errors
/// A value that validation refuses.
pub fn restore<G: Group>(
    identity: Identity,
    spec: &KafkaRestoreSpec,
    kafka: KafkaSpec,
    source: Source<'_>,
) -> Result<RunSpec, Finding> {
    let merged = spec.merged();
    let (spec, none) = (merged.as_ref(), RestoreOptions::default());
    let options = spec.restore.as_ref().unwrap_or(&none);
    let (topics, exclude) = topics(spec.topics.as_ref(), G::PATTERNS);
    let (start_time, end_time) = spec.point_in_time.as_ref().map_or(Ok((None, None)), window)?;
    let mapping = spec.topic_mapping.iter().map(|entry| (entry.source_topic.clone(), entry.target_topic.clone()));
    let own = Own(options.config.as_ref());
    let backed_up = source.spec.merged();
    let at_source = backed_up.backup.as_ref().and_then(|options| options.include_offset_headers);
    let restore = RestoreSpec {
        from: spec.backup_ref.point().unwrap_or(&spec.backup_ref.name).to_owned(),
        owner: Some(source.owner),
        topics,
        exclude,
        pattern_syntax: PatternSyntax::Glob,
        topic_mapping: mapping.collect(),
        source_partitions: options.source_partitions.clone(),
        partition_mapping: options
            .partition_mapping
            .iter()
            .map(|entry| (entry.source_partition, entry.target_partition))
            .collect(),
        repartitioning: options.repartitioning.iter().map(repartitioned).collect::<Result<_, _>>()?,
        lineages: BTreeMap::new(),
        timelines: BTreeMap::new(),
        groups: spec.consumer_groups.as_ref().map_or(Ok(None), groups)?,
        state_storage: None,
        start_time,
        end_time,
        before_end_secs: spec.point_in_time.as_ref().map_or(Ok(None), before_end)?,
        existing_topics: existing(options),
        create_topics: options.topic_creation != Some(TopicCreation::Manual),
        default_replication_factor: options.default_replication_factor,
        produce_acks: options.produce_acks.unwrap_or(-1),
        produce_batch_size: options.produce_batch_size.unwrap_or(BATCH),
        produce_timeout_ms: options.produce_timeout_ms.unwrap_or(TIMEOUT_MILLIS),
        rate_limit: RateLimit {
            records_per_sec: rate("rateLimitRecordsPerSec", options.rate_limit_records_per_sec)?,
            bytes_per_sec: rate("rateLimitBytesPerSec", options.rate_limit_bytes_per_sec)?,
        },
        max_in_flight_bytes: contract::MAX_IN_FLIGHT_BYTES,
        max_concurrent_partitions: Some(partitions("spec.restore.parallelism", options.parallelism)?),
        // These groups add headers only where somebody asks for them, and kafka.oso.sh unless somebody says no: it is written out.
        include_offset_headers: Some(options.include_original_offset_header.or(at_source).unwrap_or(false)),
        strip_offset_headers: options.strip_offset_headers == Some(true),
        header_preflight: own.header_preflight(),
        on_unreadable: OnUnreadable::default(),
        foreign_records: ForeignRecords::default(),
        plan_fingerprint: None,
        accept: Vec::new(),
        when_newer: WhenNewer::Warn,
        dry_run: options.dry_run == Some(true),
        undo_offsets: None,
    };
    let storage = storage::storage(&source.spec.storage)?;
    let kafka = connected(kafka, spec.connection.as_ref());
    let metrics = metrics(spec.metrics.as_ref());
    let circuit_breaker = own.circuit_breaker();
    Ok(RunSpec { metrics, circuit_breaker, restore: Some(restore), ..run(identity, kafka, storage, None) })
}

/// Both ends as text that reads as a time.
fn window(window: &PointInTime) -> Result<(Option<String>, Option<String>), Finding> {
    let read = |name: &str, text: Option<&String>| match text {
        Some(text) if text.parse::<Timestamp>().is_err() => {
            let (rule, fix) = ("must be a time with its zone (RFC 3339)", "write it like 2026-01-31T12:00:00Z");
            Err(unread(&format!("spec.pointInTime.{name}"), text, rule, fix))
        }
        text => Ok(text.cloned()),
    };
    Ok((read("startTimestamp", window.start_timestamp.as_ref())?, read("timestamp", window.timestamp.as_ref())?))
}

/// Seconds before the end of each partition.
fn before_end(window: &PointInTime) -> Result<Option<u64>, Finding> {
    let Some(text) = &window.offset_from_end else { return Ok(None) };
    let (rule, fix) = ("must be a number above 0 and one of s, m, h, d, w", "write it like 2h");
    age_secs(text).map(Some).ok_or_else(|| unread("spec.pointInTime.offsetFromEnd", text, rule, fix))
}

/// `purgeTopics` says the same as `overwrite`; validation refuses where they differ.
fn existing(options: &RestoreOptions) -> ExistingTopics {
    match (options.existing_topic_policy, options.purge_topics) {
        (Some(ExistingTopicPolicy::Overwrite), _) | (None, Some(true)) => ExistingTopics::Purge,
        (Some(ExistingTopicPolicy::Append), _) => ExistingTopics::Append,
        (Some(ExistingTopicPolicy::Fail), _) | (None, Some(false) | None) => ExistingTopics::Refuse,
    }
}

/// 0 is no limit, as runs read it.
fn rate(name: &str, limit: Option<u64>) -> Result<u64, Finding> {
    limit.map_or(Ok(0), |limit| positive(&format!("spec.restore.{name}"), limit))
}

fn repartitioned(entry: &strimzi::Repartitioning) -> Result<(String, Repartitioning), Finding> {
    let strategy = match entry.strategy.as_deref() {
        None | Some("murmur2") => Strategy::Murmur2,
        Some("automatic") => Strategy::Automatic,
        Some(other) => return Err(unknown("spec.restore.repartitioning.strategy", other, "murmur2, automatic")),
    };
    Ok((entry.topic.clone(), Repartitioning { strategy, target_partitions: entry.target_partitions }))
}

/// Which consumer groups are taken along: those that `groups` and `mapping` name; all with `auto`, and where neither names any.
/// Where a group goes on is known from the archive and from what was written, so that the ways to find out are one.
fn groups(block: &ConsumerGroups) -> Result<Option<GroupRestore>, Finding> {
    if !block.restore {
        return Ok(None);
    }
    let commit = match block.strategy.as_deref() {
        Some("skip") => return Ok(None),
        None | Some("header-based" | "timestamp-based" | "cluster-scan") => true,
        Some("manual") => false,
        Some(other) => {
            let names = "skip, header-based, timestamp-based, cluster-scan, manual";
            return Err(unknown("spec.consumerGroups.strategy", other, names));
        }
    };
    let mapping: BTreeMap<String, String> =
        block.mapping.iter().map(|entry| (entry.source_group.clone(), entry.target_group.clone())).collect();
    let named = block.groups.iter().chain(mapping.keys()).map(|name| group(name));
    let include = if block.auto == Some(true) { Vec::new() } else { named.collect() };
    Ok(Some(GroupRestore { include, mapping, commit, save_mapping: true, ..GroupRestore::default() }))
}
