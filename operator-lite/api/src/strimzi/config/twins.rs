//! Keys of the OSO engine that stand for a typed field, and how their values read as that field's.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A key and the typed field that it stands for.
#[derive(Debug)]
pub(crate) struct Twin {
    /// The key.
    pub(crate) key: &'static str,
    /// The field below `spec`.
    pub(crate) field: &'static str,
    /// The value as the field has it; `None` where it is none.
    pub(crate) read: fn(&Value) -> Option<Value>,
}

const fn same(key: &'static str, field: &'static str) -> Twin {
    Twin { key, field, read: |value| Some(value.clone()) }
}

/// Keys of `backup.config`.
pub(crate) const BACKUP: &[Twin] = &[
    same("segment_max_bytes", "backup.segmentSize"),
    same("segment_max_interval_ms", "backup.segmentMaxIntervalMs"),
    same("compression", "backup.compression"),
    same("compression_level", "backup.compressionLevel"),
    same("start_offset", "backup.startOffset"),
    same("continuous", "backup.continuous"),
    same("stop_at_current_offsets", "backup.stopAtCurrentOffsets"),
    same("include_internal_topics", "backup.includeInternalTopics"),
    same("internal_topics", "backup.internalTopics"),
    same("include_offset_headers", "backup.includeOffsetHeaders"),
    same("source_cluster_id", "backup.sourceClusterId"),
    same("max_concurrent_partitions", "backup.parallelism"),
    same("poll_interval_ms", "backup.pollIntervalMs"),
    same("checkpoint_interval_secs", "backup.checkpointIntervalSecs"),
    same("sync_interval_secs", "backup.syncIntervalSecs"),
    same("consumer_group_snapshot", "backup.consumerGroupSnapshot"),
];

/// Keys of `restore.config`.
pub(crate) const RESTORE: &[Twin] = &[
    Twin { key: "time_window_start", field: "pointInTime.startTimestamp", read: time },
    Twin { key: "time_window_end", field: "pointInTime.timestamp", read: time },
    same("source_partitions", "restore.sourcePartitions"),
    Twin { key: "topic_mapping", field: "topicMapping", read: topics },
    Twin { key: "partition_mapping", field: "restore.partitionMapping", read: partitions },
    Twin { key: "repartitioning", field: "restore.repartitioning", read: repartitioning },
    Twin { key: "create_topics", field: "restore.topicCreation", read: creation },
    same("default_replication_factor", "restore.defaultReplicationFactor"),
    same("purge_topics", "restore.purgeTopics"),
    same("consumer_group_strategy", "consumerGroups.strategy"),
    same("consumer_groups", "consumerGroups.groups"),
    same("reset_consumer_offsets", "consumerGroups.restore"),
    same("auto_consumer_groups", "consumerGroups.auto"),
    same("include_original_offset_header", "restore.includeOriginalOffsetHeader"),
    same("strip_offset_headers", "restore.stripOffsetHeaders"),
    same("dry_run", "restore.dryRun"),
    same("produce_batch_size", "restore.produceBatchSize"),
    same("produce_acks", "restore.produceAcks"),
    same("produce_timeout_ms", "restore.produceTimeoutMs"),
    same("max_concurrent_partitions", "restore.parallelism"),
    same("rate_limit_records_per_sec", "restore.rateLimitRecordsPerSec"),
    same("rate_limit_bytes_per_sec", "restore.rateLimitBytesPerSec"),
    same("checkpoint_state", "restore.checkpointState"),
    same("checkpoint_interval_secs", "restore.checkpointIntervalSecs"),
    same("offset_report", "consumerGroups.offsetReport"),
];

/// Milliseconds since 1970 as RFC 3339.
fn time(value: &Value) -> Option<Value> {
    let stamp = Timestamp::from_millisecond(value.as_i64()?).ok()?; // no time of this calendar
    Some(stamp.to_string().into())
}

/// A map as the list of its entries.
fn list(value: &Value, entry: impl Fn(&str, &Value) -> Option<Value>) -> Option<Value> {
    let entries: Option<Vec<Value>> = value.as_object()?.iter().map(|(key, value)| entry(key, value)).collect();
    entries.map(Value::Array)
}

fn topics(value: &Value) -> Option<Value> {
    list(value, |source, target| Some(json!({"sourceTopic": source, "targetTopic": target.as_str()?})))
}

fn partitions(value: &Value) -> Option<Value> {
    list(value, |source, target| {
        let source: i32 = source.parse().ok()?; // no partition
        Some(json!({"sourcePartition": source, "targetPartition": target}))
    })
}

fn repartitioning(value: &Value) -> Option<Value> {
    list(value, |topic, rule| {
        let Value::Object(rule) = rule else { return None };
        let known = ["strategy", "target_partitions"];
        if rule.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        let mut out = Map::from_iter([("topic".to_owned(), topic.into())]);
        out.insert("targetPartitions".to_owned(), rule.get("target_partitions")?.clone());
        out.extend(rule.get("strategy").map(|strategy| ("strategy".to_owned(), strategy.clone())));
        Some(Value::Object(out))
    })
}

fn creation(value: &Value) -> Option<Value> {
    Some(if value.as_bool()? { "auto" } else { "manual" }.into())
}
