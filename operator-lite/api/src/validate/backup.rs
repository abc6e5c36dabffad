//! Rules of KafkaBackup.

use jiff::Timestamp;

use super::names::{object_name, sub_path, topic_patterns};
use super::{cluster, metrics, rates, schedule, storage};
use crate::finding::Findings;
use crate::lower::{self, Identity};
use crate::oso::{CircuitBreaker, KafkaBackupSpec};

const CODECS: [&str; 3] = ["none", "lz4", "zstd"];
/// The least that run specifications take.
pub(super) const LEAST_SEGMENT: u64 = 1 << 20;

pub(super) fn backup(out: &mut Findings, spec: &KafkaBackupSpec, now: Timestamp) {
    cluster::cluster(out, "spec.kafkaCluster", &spec.kafka_cluster);
    if spec.topics.is_empty() {
        out.missing("spec.topics", "needs at least one topic", "write names or globs; \"*\" is every topic");
    }
    topic_patterns(out, "spec.topics", &spec.topics);
    storage::storage(out, "spec.storage", &spec.storage);
    schedule(out, spec.schedule.as_deref(), now);
    modes(out, spec);
    sizes(out, spec);
    if let Some(checkpoint) = &spec.checkpoint {
        out.above_zero("spec.checkpoint.intervalSecs", checkpoint.interval_secs);
        if let Some(place) = &checkpoint.storage {
            object_name(out, "spec.checkpoint.storage.pvcName", &place.pvc_name);
            sub_path(out, "spec.checkpoint.storage.subPath", place.sub_path.as_deref());
        }
    }
    rates(out, spec.rate_limiting.as_ref());
    breaker(out, spec.circuit_breaker.as_ref());
    metrics::metrics(out, spec.metrics.as_ref());
    retention(out, spec);
}

fn modes(out: &mut Findings, spec: &KafkaBackupSpec) {
    if spec.continuous && spec.stop_at_current_offsets {
        let fix = "keep one: continuous goes on, stopAtCurrentOffsets ends at a snapshot";
        out.wrong("spec.continuous", true, "excludes stopAtCurrentOffsets", fix);
    }
    if spec.continuous && spec.checkpoint.as_ref().is_some_and(|checkpoint| !checkpoint.enabled) {
        let rule = "must be true in a continuous backup: each checkpoint makes a recovery point";
        out.wrong("spec.checkpoint.enabled", false, rule, "leave checkpoint out, or set continuous: false");
    }
    if spec.continuous && spec.schedule.is_some() {
        let rule = "has no effect on a continuous backup";
        out.warn("spec.schedule", spec.schedule.clone(), rule, "remove the schedule, or set continuous: false");
    }
}

fn sizes(out: &mut Findings, spec: &KafkaBackupSpec) {
    out.one_of("spec.compression", &spec.compression, &CODECS);
    if !(1..=22).contains(&spec.compression_level) {
        let (field, level) = ("spec.compressionLevel", spec.compression_level);
        if spec.compression == "zstd" {
            out.wrong(field, level, "must be 1 to 22 with zstd", "3 is a good start");
        } else {
            out.warn(field, Some(level.to_string()), "has no effect without zstd", "leave it out");
        }
    }
    out.above_zero("spec.segmentMaxBytes", spec.segment_max_bytes);
    if (1..LEAST_SEGMENT).contains(&spec.segment_max_bytes) {
        let rule = "is less than a segment can be: 1048576 (1 MiB) is used";
        out.warn("spec.segmentMaxBytes", Some(spec.segment_max_bytes.to_string()), rule, "set at least that");
    }
    out.above_zero("spec.segmentMaxIntervalMs", spec.segment_max_interval_ms);
    out.above_zero("spec.pollIntervalMs", spec.poll_interval_ms);
}

pub(super) fn breaker(out: &mut Findings, breaker: Option<&CircuitBreaker>) {
    let Some(breaker) = breaker.filter(|breaker| breaker.enabled) else { return };
    let at = |name: &str| format!("spec.circuitBreaker.{name}");
    out.above_zero(&at("failureThreshold"), breaker.failure_threshold);
    out.above_zero(&at("resetTimeoutSecs"), breaker.reset_timeout_secs);
    out.above_zero(&at("successThreshold"), breaker.success_threshold);
    out.above_zero(&at("operationTimeoutMs"), breaker.operation_timeout_ms);
}

fn retention(out: &mut Findings, spec: &KafkaBackupSpec) {
    let Some(retention) = spec.retention.as_ref().filter(|retention| retention.enabled) else { return };
    if retention.max_age_days.is_none() && retention.keep_last.is_none() && retention.max_total_bytes.is_none() {
        let rule = "needs maxAgeDays, keepLast or maxTotalBytes when it is enabled";
        out.missing("spec.retention", rule, "set at least one, or enabled: false");
    }
    if let Some(days) = retention.max_age_days {
        out.above_zero("spec.retention.maxAgeDays", days);
    }
    if let Some(points) = retention.keep_last {
        out.above_zero("spec.retention.keepLast", points);
    }
    if let Some(bytes) = retention.max_total_bytes {
        out.above_zero("spec.retention.maxTotalBytes", bytes);
    }
    if let Some(secret) = &retention.credentials_secret {
        object_name(out, "spec.retention.credentialsSecret.name", &secret.name);
    }
    if out.is_without_error()
        && let Err(finding) = lower::prune(Identity::default(), spec, None)
    {
        out.add(finding);
    }
}
