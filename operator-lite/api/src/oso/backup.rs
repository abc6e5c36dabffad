//! KafkaBackup.

use contract::{OnGap, OnMissingSegments, OnMissingTopic, PointLine};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::yes;
use super::{CircuitBreaker, KafkaCluster, RateLimiting, RetentionStatus, RunClaim, Storage, VolumePlace};

/// Backs up topics: once, on a schedule, or continuously.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kafka.oso.sh",
    version = "v1alpha1",
    kind = "KafkaBackup",
    plural = "kafkabackups",
    shortname = "kb",
    category = "kafka-backup",
    doc = "A backup of topics: once, on a schedule, or continuously.",
    namespaced,
    status = "KafkaBackupStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Last Backup", type_ = "string", json_path = ".status.lastBackupTime"),
    printcolumn(name = "Records", type_ = "integer", json_path = ".status.recordsProcessed"),
    printcolumn(name = "Resumable", type_ = "boolean", json_path = ".status.resumable"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduledBackup"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaBackupSpec {
    /// The source cluster. Nothing is ever written to it.
    pub kafka_cluster: KafkaCluster,
    /// Topics by name, glob (`*`, `?`), or regular expression after `~`. At least one. Of a name
    /// that does not exist, `onMissingTopic` says what happens.
    pub topics: Vec<String>,
    /// What happens when a topic that is named without wildcards does not exist: with `fail` the run fails, with `warn` it names it
    /// and backs up the others. Where no topic is left, it fails.
    #[serde(default)]
    pub on_missing_topic: OnMissingTopic,
    /// Where the archive lies.
    pub storage: Storage,
    /// When to run: six fields, seconds first, weekdays 0-6 from Sunday, UTC. Runs once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether no run is started.
    #[serde(default)]
    pub suspend: bool,
    /// none, lz4 or zstd; for records that their producer left uncompressed.
    #[serde(default = "zstd")]
    pub compression: String,
    /// Level of zstd, 1 to 22.
    #[serde(default = "three")]
    pub compression_level: i32,
    /// Bytes after which a segment ends; more than 0.
    #[serde(default = "segment_max_bytes")]
    pub segment_max_bytes: u64,
    /// Milliseconds after which a segment ends; more than 0.
    #[serde(default = "minute_ms")]
    pub segment_max_interval_ms: u64,
    /// Whether the run goes on until it is stopped. Not with `stopAtCurrentOffsets`.
    #[serde(default)]
    pub continuous: bool,
    /// Whether the run ends at the offsets that were the newest when it began.
    #[serde(default)]
    pub stop_at_current_offsets: bool,
    /// Milliseconds between two looks for new records in a continuous run.
    #[serde(default = "hundred")]
    pub poll_interval_ms: u64,
    /// Whether restores of these backups add the headers `x-original-offset`, `x-original-timestamp` and
    /// `x-source-cluster` to records.
    #[serde(default = "yes")]
    pub include_offset_headers: bool,
    /// A name for the source cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_cluster_id: Option<String>,
    /// Whether the committed offsets of all groups are saved, too.
    #[serde(default)]
    pub consumer_group_snapshot: bool,
    /// What happens when partitions cannot be read, because nobody leads them or a batch is damaged on every replica. An
    /// addition of this operator.
    #[serde(default)]
    pub on_gap: OnGap,
    /// What happens when segments that the set builds on are gone from the store. With `reread`, what the source still has
    /// is read again and the rest is named as gaps. An addition of this operator.
    #[serde(default)]
    pub on_missing_segments: OnMissingSegments,
    /// How often progress is saved. With `stopAtCurrentOffsets`, this block makes runs incremental.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Most that a run may move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiting: Option<RateLimiting>,
    /// When requests to the store are held back after failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Metrics of the run's pod. When absent it serves none, unless the installation has a monitor of all runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Which recovery points are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

fn zstd() -> String {
    "zstd".to_owned()
}

fn three() -> i32 {
    3
}

fn segment_max_bytes() -> u64 {
    134_217_728
}

fn minute_ms() -> u64 {
    60_000
}

fn hundred() -> u64 {
    100
}

/// How often progress is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Whether it is saved at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Seconds between two saves.
    #[serde(default = "thirty")]
    pub interval_secs: u64,
    /// A volume that gets a copy of the newest entry's digest: an archive that was rolled back is then noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<VolumePlace>,
}

fn thirty() -> u64 {
    30
}

/// Metrics of the run's pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Whether they are served.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Port.
    #[serde(default = "metrics_port")]
    pub port: u16,
    /// Address that the pod listens on.
    #[serde(default = "any_address")]
    pub bind_address: String,
    /// Path.
    #[serde(default = "metrics_path")]
    pub path: String,
    /// Milliseconds between two updates.
    #[serde(default = "five_hundred")]
    pub update_interval_ms: u64,
    /// Most partitions that get a label of their own.
    #[serde(default = "hundred_labels")]
    pub max_partition_labels: u32,
}

fn metrics_port() -> u16 {
    9090
}

fn any_address() -> String {
    "0.0.0.0".to_owned()
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn five_hundred() -> u64 {
    500
}

fn hundred_labels() -> u32 {
    100
}

/// Which recovery points are removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Whether any is removed.
    #[serde(default)]
    pub enabled: bool,
    /// Days after which a point may go; more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
    /// Newest points that always stay; more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// Stored bytes of all points together above which the oldest may go; more than 0. An addition of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_total_bytes: Option<u64>,
    /// Whether the status only says what would go, and nothing is removed.
    #[serde(default)]
    pub dry_run: bool,
    /// Secret with credentials that may delete, under the keys that `storage` names; those of `storage` when absent. An addition of
    /// ours: with it no other run of the resource needs the right to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretName>,
}

/// A Secret of the resource's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Name of the Secret.
    pub name: String,
}

/// What is known of the backups of a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaBackupStatus {
    /// Pending, Ready, Running, Completed or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the last run ended well (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup_time: Option<String>,
    /// The newest tick that a run was claimed for (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<String>,
    /// The schedule whose ticks are counted; empty after one was taken back. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_schedule: Option<String>,
    /// From when on ticks count, if not from the creation (RFC 3339): since the schedule was written, or since missed ticks
    /// were left out. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_since: Option<String>,
    /// Ticks that came while a run worked, 100 at most: the newest of them runs next. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_ticks: Option<u32>,
    /// The next tick (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_scheduled_backup: Option<String>,
    /// Records of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_processed: Option<u64>,
    /// Bytes of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_processed: Option<u64>,
    /// Segments of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments_completed: Option<u64>,
    /// Whether progress is saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_enabled: Option<bool>,
    /// When progress was saved last (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_checkpoint_time: Option<String>,
    /// Whether an unfinished run goes on where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumable: Option<bool>,
    /// Records per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput_records_per_sec: Option<f64>,
    /// Bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput_bytes_per_sec: Option<f64>,
    /// The newest recovery point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// The newest recovery points that runs told of, by time, 64 at most. An addition of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_points: Vec<PointLine>,
    /// When recovery points were last looked at for removal (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_retention_time: Option<String>,
    /// Points that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_inspected_backups: Option<u64>,
    /// Points that may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_eligible_backups: Option<u64>,
    /// Points that were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_deleted_backups: Option<u64>,
    /// Bytes that this gave back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_reclaimed_bytes: Option<u64>,
    /// Whether nothing was removed on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_dry_run: Option<bool>,
    /// Why removal failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_error: Option<String>,
    /// What is known of retention, and of its runs. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionStatus>,
    /// The claimed run, or the last one. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
    /// The value of the annotation `kafka.oso.sh/trigger-backup` that a run was claimed for. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_trigger: Option<String>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
