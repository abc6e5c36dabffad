//! Rules of KafkaRestore.

use contract::names::shared_targets;
use jiff::Timestamp;

use super::names::{is_topic, object_name, sub_path, topic_patterns};
use super::{backup, backup_ref, cluster, groups, rates, storage};
use crate::finding::Findings;
use crate::oso::{KafkaRestoreSpec, OffsetReset, PointInTime, Rollback};

/// Most hours for which saved positions are kept: ten years.
const MOST_HOURS: u32 = 87_600;
const STRATEGIES: [&str; 3] = ["manual", "auto", "dry_run"];

pub(super) fn restore(out: &mut Findings, spec: &KafkaRestoreSpec) {
    backup_ref(out, &spec.backup_ref);
    cluster::cluster(out, "spec.kafkaCluster", &spec.kafka_cluster);
    topic_patterns(out, "spec.topics", &spec.topics);
    mappings(out, spec);
    if let Some(window) = &spec.pitr {
        point_in_time(out, window);
    }
    group_mapping(out, spec);
    if let Some(reset) = &spec.offset_reset {
        offset_reset(out, reset, spec.auto_consumer_groups);
    }
    if let Some(block) = &spec.rollback {
        rollback(out, block, spec);
    }
    rates(out, spec.rate_limiting.as_ref());
    backup::breaker(out, spec.circuit_breaker.as_ref());
    producing(out, spec);
    headers(out, spec);
    if let Some(place) = &spec.state_storage {
        storage::storage(out, "spec.stateStorage", place);
    }
}

fn producing(out: &mut Findings, spec: &KafkaRestoreSpec) {
    out.above_zero("spec.produceBatchSize", spec.produce_batch_size);
    out.above_zero("spec.produceTimeoutMs", spec.produce_timeout_ms);
    acks(out, "spec.produceAcks", spec.produce_acks);
    replicas(out, "spec.defaultReplicationFactor", spec.default_replication_factor);
    if spec.purge_topics && spec.dry_run {
        let rule = "has no effect in a dry run: nothing is deleted";
        out.warn("spec.purgeTopics", Some("true".to_owned()), rule, "set dryRun: false to run it");
    }
}

fn headers(out: &mut Findings, spec: &KafkaRestoreSpec) {
    let (include, own) = (spec.include_original_offset_header, spec.include_offset_headers);
    if let (Some(include), Some(own)) = (include, own)
        && include != own
    {
        let rule = format!("contradicts includeOriginalOffsetHeader, which is {include}");
        out.wrong("spec.includeOffsetHeaders", own, &rule, "leave it out: both are the same field");
    }
    if spec.strip_offset_headers && include.or(own) != Some(false) {
        let rule = "leaves out the headers of an earlier restore, and this one adds its own";
        let fix = "set includeOriginalOffsetHeader: false for records as their source had them";
        out.warn("spec.stripOffsetHeaders", Some("true".to_owned()), rule, fix);
    }
}

/// Acknowledgements as a producer asks for them.
pub(super) fn acks(out: &mut Findings, field: &str, acks: i16) {
    if !(-1..=1).contains(&acks) {
        out.wrong(field, acks, "must be -1, 0 or 1", "leave it out for all in-sync replicas");
    }
}

/// Replicas of a topic that is created; -1 is the broker's default.
pub(super) fn replicas(out: &mut Findings, field: &str, replicas: Option<i16>) {
    if let Some(replicas) = replicas.filter(|n| *n != -1 && *n <= 0) {
        out.wrong(field, replicas, "must be more than 0, or -1", "leave it out for that of the source");
    }
}

/// What helps where two sources have one target.
const OWN_TARGET: &str = "give each source a target of its own";

fn mappings(out: &mut Findings, spec: &KafkaRestoreSpec) {
    for (source, target, rule) in shared_targets(&spec.topic_mapping) {
        out.wrong(&format!("spec.topicMapping.{source}"), format!("{target:?}"), &rule, OWN_TARGET);
    }
    for (source, target) in &spec.topic_mapping {
        let field = format!("spec.topicMapping.{source}");
        if !is_topic(target) {
            let rule = "must be a topic name: letters, digits, '.', '_', '-', at most 249";
            out.wrong(&field, format!("{target:?}"), rule, "write a legal name");
        }
    }
    for (source, target) in &spec.partition_mapping {
        let field = format!("spec.partitionMapping.{source}");
        if !source.parse::<i32>().is_ok_and(|partition| partition >= 0) {
            out.wrong(&field, format!("{source:?}"), "must be a partition: 0 or more", "write its number");
        }
        if *target < 0 {
            out.wrong(&field, target, "must be a partition: 0 or more", "write its number");
        }
    }
    for (topic, rule) in &spec.repartitioning {
        let at = format!("spec.repartitioning.{topic}");
        out.one_of(&format!("{at}.strategy"), &rule.strategy, &["murmur2", "automatic"]);
        out.above_zero(&format!("{at}.targetPartitions"), rule.target_partitions);
    }
}

fn point_in_time(out: &mut Findings, window: &PointInTime) {
    let start = bound(out, "start", window.start_timestamp, window.start_time.as_deref());
    let end = bound(out, "end", window.end_timestamp, window.end_time.as_deref());
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        let rule = format!("must not be after the end ({end} ms since 1970)");
        out.wrong("spec.pitr", format!("start {start}"), &rule, "set an earlier start or a later end");
    }
}

/// One end of the window, in milliseconds since 1970.
fn bound(out: &mut Findings, name: &str, millis: Option<i64>, text: Option<&str>) -> Option<i64> {
    let (number, words) = (format!("spec.pitr.{name}Timestamp"), format!("spec.pitr.{name}Time"));
    if let Some(millis) = millis.filter(|millis| *millis < 0) {
        out.wrong(&number, millis, "must be milliseconds since 1970", "write a time that is not before 1970");
    }
    let read = text.map(str::parse::<Timestamp>);
    if let (Some(text), Some(Err(_))) = (text, &read) {
        let fix = "write it like 2026-01-31T12:00:00Z";
        out.wrong(&words, format!("{text:?}"), "must be a time with its zone (RFC 3339)", fix);
    }
    let read = read.and_then(Result::ok).map(Timestamp::as_millisecond);
    if let (Some(millis), Some(read)) = (millis, read)
        && millis != read
    {
        let rule = format!("says another time than {name}Timestamp ({millis} is not {read})");
        out.wrong(&words, format!("{:?}", text.unwrap_or_default()), &rule, "keep one of the two");
    }
    millis.or(read)
}

fn group_mapping(out: &mut Findings, spec: &KafkaRestoreSpec) {
    for (source, target, rule) in shared_targets(&spec.group_mapping) {
        out.wrong(&format!("spec.groupMapping.{source}"), format!("{target:?}"), &rule, OWN_TARGET);
    }
    for (source, _) in spec.group_mapping.iter().filter(|(_, target)| target.is_empty()) {
        let field = format!("spec.groupMapping.{source}");
        out.wrong(&field, "\"\"", "must not be empty", "write the id of a group");
    }
    let enabled = spec.offset_reset.as_ref().is_some_and(|reset| reset.enabled);
    if !spec.group_mapping.is_empty() && !spec.auto_consumer_groups && !enabled {
        let rule = "has no effect where no group is restored";
        out.warn("spec.groupMapping", None, rule, "set autoConsumerGroups: true, or take groupMapping out");
    }
}

fn rollback(out: &mut Findings, block: &Rollback, spec: &KafkaRestoreSpec) {
    if let Some(place) = &block.snapshot_storage {
        object_name(out, "spec.rollback.snapshotStorage.pvcName", &place.pvc_name);
        sub_path(out, "spec.rollback.snapshotStorage.subPath", place.sub_path.as_deref());
    }
    let hours = block.snapshot_retention_hours;
    if !(1..=MOST_HOURS).contains(&hours) {
        let rule = format!("must be 1 to {MOST_HOURS} hours");
        out.wrong("spec.rollback.snapshotRetentionHours", hours, &rule, "leave it out for 24 hours");
    }
    if block.auto_rollback_on_failure && !block.snapshot_before_restore {
        let (field, rule) = ("spec.rollback.autoRollbackOnFailure", "needs the positions that were saved before");
        out.wrong(field, true, rule, "set snapshotBeforeRestore: true");
    }
    let commits = spec.offset_reset.as_ref().is_none_or(|reset| !reset.enabled || reset.strategy == "auto");
    let enabled = spec.offset_reset.as_ref().is_some_and(|reset| reset.enabled);
    if !(commits && (spec.auto_consumer_groups || enabled)) {
        let rule = "has no effect where no position of a group is changed";
        out.warn("spec.rollback", None, rule, "set autoConsumerGroups: true, or take rollback out");
    }
}

fn offset_reset(out: &mut Findings, reset: &OffsetReset, auto_groups: bool) {
    out.one_of("spec.offsetReset.strategy", &reset.strategy, &STRATEGIES);
    groups(out, "spec.offsetReset.consumerGroups", &reset.consumer_groups);
    if reset.enabled && reset.consumer_groups.is_empty() && !auto_groups {
        let rule = "needs at least one group when offsetReset is enabled";
        out.missing("spec.offsetReset.consumerGroups", rule, "name groups, or set autoConsumerGroups: true");
    }
    if reset.enabled && auto_groups && !reset.consumer_groups.is_empty() {
        let rule = "does not go with autoConsumerGroups: true, which takes all groups of the recovery point";
        let fix = "set autoConsumerGroups: false for these groups, or leave consumerGroups out for all of them";
        out.wrong("spec.offsetReset.consumerGroups", format!("{:?}", reset.consumer_groups), rule, fix);
    }
}
