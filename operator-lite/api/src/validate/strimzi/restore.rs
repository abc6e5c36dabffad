//! Rules of KafkaRestore.

use std::collections::{BTreeMap, BTreeSet};

use contract::names::shared_target;
use jiff::Timestamp;

use super::{Patterns, age, cluster, config, pod, topics, without_effect};
use crate::finding::Findings;
use crate::strimzi::{ConsumerGroups, ExistingTopicPolicy, KafkaRestoreSpec, PointInTime, RestoreOptions};
use crate::validate::names::{is_topic, object_name};
use crate::validate::restore::{acks, replicas};

const STRATEGIES: [&str; 5] = ["skip", "header-based", "timestamp-based", "cluster-scan", "manual"];

pub(in crate::validate) fn restore(out: &mut Findings, spec: &KafkaRestoreSpec, patterns: Patterns) {
    let mut of_fields = Findings::default();
    fields(&mut of_fields, &spec.merged(), patterns);
    config::config(out, spec, of_fields);
}

/// The fields, with what `restore.config` says in their places.
fn fields(out: &mut Findings, spec: &KafkaRestoreSpec, patterns: Patterns) {
    cluster::cluster(out, &spec.strimzi_cluster_ref);
    cluster::authentication(out, spec.authentication.as_ref());
    cluster::connection(out, spec.connection.as_ref());
    object_name(out, "spec.backupRef.name", &spec.backup_ref.name);
    if let Some(selection) = &spec.topics {
        topics(out, "spec.topics.include", &selection.include, patterns);
        topics(out, "spec.topics.exclude", &selection.exclude, patterns);
    }
    if let Some(window) = &spec.point_in_time {
        point_in_time(out, window);
    }
    topic_mapping(out, spec);
    if let Some(block) = &spec.consumer_groups {
        consumer_groups(out, block);
    }
    if let Some(options) = &spec.restore {
        producing(out, options);
        partitions(out, options);
    }
    pod::logging(out, spec.logging.as_ref());
    pod::environment(out, "spec.env", &spec.env);
    pod::metrics_block(out, spec.metrics.as_ref());
    pod::resources(out, spec.resources.as_ref());
    pod::template(out, spec.template.as_ref());
    pod::image(out, spec.image.as_ref());
}

fn point_in_time(out: &mut Findings, window: &PointInTime) {
    let mut read = |name: &str, text: Option<&String>| {
        let text = text?;
        let time = text.parse::<Timestamp>().ok();
        if time.is_none() {
            let fix = "write it like 2026-01-31T12:00:00Z";
            let field = format!("spec.pointInTime.{name}");
            out.wrong(&field, format!("{text:?}"), "must be a time with its zone (RFC 3339)", fix);
        }
        time
    };
    let end = read("timestamp", window.timestamp.as_ref());
    let start = read("startTimestamp", window.start_timestamp.as_ref());
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        let rule = format!("must not be after timestamp ({end})");
        out.wrong("spec.pointInTime.startTimestamp", start, &rule, "set an earlier start or a later end");
    }
    if let Some(text) = &window.offset_from_end {
        age(out, "spec.pointInTime.offsetFromEnd", text);
        if window.timestamp.is_some() {
            let field = "spec.pointInTime.offsetFromEnd";
            out.wrong(field, format!("{text:?}"), "excludes timestamp: both say where to end", "keep one of them");
        }
    }
}

/// No name stands twice on its side.
fn unique(out: &mut Findings, field: &str, names: &mut BTreeSet<String>, name: &str, rule: &str) {
    if !names.insert(name.to_owned()) {
        out.wrong(field, format!("{name:?}"), rule, "keep one of the entries");
    }
}

/// No target has two sources.
fn shared(out: &mut Findings, field: &str, target: &str, other: Option<&str>) {
    if let Some(other) = other {
        out.wrong(field, format!("{target:?}"), &shared_target(other), "keep one of the entries");
    }
}

fn topic_mapping(out: &mut Findings, spec: &KafkaRestoreSpec) {
    let (mut sources, mut targets) = (BTreeSet::new(), BTreeMap::new());
    for (number, entry) in spec.topic_mapping.iter().enumerate() {
        let at = |name: &str| format!("spec.topicMapping[{number}].{name}");
        unique(out, &at("sourceTopic"), &mut sources, &entry.source_topic, "is mapped twice");
        let other = targets.insert(entry.target_topic.as_str(), entry.source_topic.as_str());
        shared(out, &at("targetTopic"), &entry.target_topic, other);
        if !is_topic(&entry.target_topic) {
            let rule = "must be a topic name: letters, digits, '.', '_', '-', at most 249";
            out.wrong(&at("targetTopic"), format!("{:?}", entry.target_topic), rule, "write a legal name");
        }
    }
}

fn consumer_groups(out: &mut Findings, block: &ConsumerGroups) {
    let (mut sources, mut targets) = (BTreeSet::new(), BTreeMap::new());
    for (number, entry) in block.mapping.iter().enumerate() {
        let at = |name: &str| format!("spec.consumerGroups.mapping[{number}].{name}");
        unique(out, &at("sourceGroup"), &mut sources, &entry.source_group, "is mapped twice");
        let other = targets.insert(entry.target_group.as_str(), entry.source_group.as_str());
        shared(out, &at("targetGroup"), &entry.target_group, other);
    }
    if let Some(strategy) = &block.strategy {
        out.one_of("spec.consumerGroups.strategy", strategy, &STRATEGIES);
    }
    let why = "where offsets went stands beside the state of the restore, and status.offsetMappingPath says where";
    without_effect(out, "spec.consumerGroups.offsetReport", block.offset_report.is_some(), why);
    let named = !block.mapping.is_empty() || !block.groups.is_empty() || block.auto == Some(true);
    without_effect(out, "spec.consumerGroups", named && !block.restore, "consumerGroups.restore is not true");
}

fn producing(out: &mut Findings, options: &RestoreOptions) {
    let at = |name: &str| format!("spec.restore.{name}");
    let positive = [
        ("parallelism", options.parallelism.map(i128::from)),
        ("produceBatchSize", options.produce_batch_size.map(i128::from)),
        ("produceTimeoutMs", options.produce_timeout_ms.map(i128::from)),
        ("rateLimitRecordsPerSec", options.rate_limit_records_per_sec.map(i128::from)),
        ("rateLimitBytesPerSec", options.rate_limit_bytes_per_sec.map(i128::from)),
    ];
    for (name, value) in positive {
        if let Some(value) = value {
            out.above_zero(&at(name), value);
        }
    }
    if let Some(value) = options.produce_acks {
        acks(out, &at("produceAcks"), value);
    }
    replicas(out, &at("defaultReplicationFactor"), options.default_replication_factor);
    let why = "progress is saved into the archive itself";
    without_effect(out, &at("checkpointState"), options.checkpoint_state.is_some(), why);
    without_effect(out, &at("checkpointIntervalSecs"), options.checkpoint_interval_secs.is_some(), why);
    let overwrite = options.existing_topic_policy.map(|policy| policy == ExistingTopicPolicy::Overwrite);
    if let (Some(overwrite), Some(purge)) = (overwrite, options.purge_topics)
        && overwrite != purge
    {
        let rule = "contradicts existingTopicPolicy: overwrite empties topics, the others do not";
        out.wrong(&at("purgeTopics"), purge, rule, "leave purgeTopics out");
    }
}

fn partitions(out: &mut Findings, options: &RestoreOptions) {
    let mut sources = BTreeSet::new();
    let mut legal = |field: &str, partition: i32| {
        if partition < 0 {
            out.wrong(field, partition, "must be a partition: 0 or more", "write its number");
        }
    };
    for (number, partition) in options.source_partitions.iter().enumerate() {
        legal(&format!("spec.restore.sourcePartitions[{number}]"), *partition);
    }
    for (number, entry) in options.partition_mapping.iter().enumerate() {
        let at = format!("spec.restore.partitionMapping[{number}]");
        legal(&format!("{at}.sourcePartition"), entry.source_partition);
        legal(&format!("{at}.targetPartition"), entry.target_partition);
    }
    for (number, entry) in options.partition_mapping.iter().enumerate() {
        let field = format!("spec.restore.partitionMapping[{number}].sourcePartition");
        unique(out, &field, &mut sources, &entry.source_partition.to_string(), "is mapped twice");
    }
    let mut topics = BTreeSet::new();
    for (number, entry) in options.repartitioning.iter().enumerate() {
        let at = format!("spec.restore.repartitioning[{number}]");
        unique(out, &format!("{at}.topic"), &mut topics, &entry.topic, "is repartitioned twice");
        if let Some(strategy) = &entry.strategy {
            out.one_of(&format!("{at}.strategy"), strategy, &["murmur2", "automatic"]);
        }
        out.above_zero(&format!("{at}.targetPartitions"), entry.target_partitions);
    }
}
