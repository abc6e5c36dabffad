//! KafkaBackup.

use contract::PointLine;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oso::{RetentionStatus, RunClaim};

use super::{
    Authentication, ClusterRef, Config, Connection, Logging, Metrics, Resources, SecretKey, Storage, Template,
};

/// Backs up topics of a Strimzi cluster: once, on a schedule, or continuously.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "backup.strimzi.io",
    version = "v1alpha1",
    kind = "KafkaBackup",
    plural = "kafkabackups",
    shortname = "kb",
    category = "kafka-backup",
    doc = "A backup of topics of a Strimzi cluster: once, on a schedule, or continuously.",
    namespaced,
    status = "KafkaBackupStatus",
    derive = "PartialEq",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.strimziClusterRef.name"),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule.cron"),
    printcolumn(name = "Last Backup", type_ = "date", json_path = ".status.lastBackup.completionTime"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.schedule.suspend"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduledBackup"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaBackupSpec {
    /// The source cluster. Nothing is ever written to it.
    pub strimzi_cluster_ref: ClusterRef,
    /// Who the run is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Which topics; all but internal ones when absent. Regular expressions over the whole name in
    /// `backup.strimzi.io`; names, globs, or `~` and a regular expression in `kafkabackup.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<BackupSelection>,
    /// Which consumer groups, as regular expressions over the whole name; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_groups: Option<BackupSelection>,
    /// How connections are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The log of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Environment variables of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Where the archive lies.
    pub storage: Storage,
    /// How the backup is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupOptions>,
    /// Metrics of the run's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// Its presence makes runs incremental, unless `backup.continuous` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_storage: Option<OffsetStorage>,
    /// When to run; once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Which recovery points are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// What the pod asks for, and may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Changes to the pod of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Image of the runner; that of the installation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Attempts that follow a failed one, as long as none of them saves anything; 5 when absent. Continuous backups are tried for
    /// ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backoff_limit: Option<i32>,
}

impl KafkaBackupSpec {
    /// Whether its run goes on until it is stopped.
    #[must_use]
    pub fn is_continuous(&self) -> bool {
        self.merged().backup.as_ref().is_some_and(|options| options.continuous == Some(true))
    }
}

/// What is taken, and what of it is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupSelection {
    /// Patterns of what is taken; everything when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Patterns of what is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// How a backup is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupOptions {
    /// none, gzip, snappy, lz4 or zstd, for records that their producer left uncompressed; zstd when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Level of zstd, 1 to 22; 3 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_level: Option<i32>,
    /// Encryption of the archive; must not be enabled, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Bytes after which a segment ends; 134217728 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_size: Option<i64>,
    /// Milliseconds after which a segment ends; 60000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_max_interval_ms: Option<u64>,
    /// Partitions that are read at once; 4 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i32>,
    /// earliest or latest: where partitions begin that were never backed up; earliest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_offset: Option<String>,
    /// Whether the run goes on until it is stopped. Not with `stopAtCurrentOffsets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuous: Option<bool>,
    /// Whether internal topics are taken, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_internal_topics: Option<bool>,
    /// Which internal topics, by name; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub internal_topics: Vec<String>,
    /// Seconds between two saves of progress; 30 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_interval_secs: Option<u64>,
    /// Has no effect: progress is saved into the archive itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_interval_secs: Option<u64>,
    /// Whether restores of these backups add headers with the original offset and time; yes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_offset_headers: Option<bool>,
    /// A name for the source cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_cluster_id: Option<String>,
    /// Whether the run ends at the offsets that were the newest when it began; yes unless it is continuous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_at_current_offsets: Option<bool>,
    /// Milliseconds between two looks for new records in a continuous run; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_interval_ms: Option<u64>,
    /// Whether the committed offsets of groups are saved, too; yes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_group_snapshot: Option<bool>,
    /// Keys of the OSO engine's `backup` section, in its spelling. One that stands for a field here wins over it;
    /// `on_missing_topic` and `circuit_breaker` work, too. What would delete or leave out something is refused, any other key is
    /// named in a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::config::open")]
    pub config: Option<Config>,
}

/// Encryption of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Must be false.
    #[serde(default)]
    pub enabled: bool,
    /// Has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretKey>,
}

/// Where positions are kept: in the archive. The fields have no effect, only the block's presence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OffsetStorage {
    /// sqlite or memory; has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_path: Option<String>,
    /// Has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_key: Option<String>,
    /// Has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_interval_secs: Option<u64>,
}

/// When to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Five fields as in a CronJob: minute, hour, day of month, month, weekday 0-6 from Sunday.
    pub cron: String,
    /// IANA time zone, like Europe/Berlin; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether no run is started.
    #[serde(default)]
    pub suspend: bool,
}

/// Which recovery points are removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Newest points that stay; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backups: Option<i32>,
    /// Age after which a point may go: a number and s, m, h, d or w, like 30d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Whether points are removed after each scheduled run.
    #[serde(default)]
    pub prune_on_schedule: bool,
}

/// What is known of the backups of a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaBackupStatus {
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup: Option<BackupRun>,
    /// Earlier runs, the newest first; at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backup_history: Vec<HistoryEntry>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The next tick (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_scheduled_backup: Option<String>,
    /// Pending, Ready, Running, Completed or Failed. An addition of ours, as all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the last run ended well, or a continuous one made a recovery point (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup_time: Option<String>,
    /// The newest recovery point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// The newest tick that a run was claimed for (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<String>,
    /// The schedule whose ticks are counted; empty after one was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_schedule: Option<String>,
    /// From when on ticks count, if not from the creation (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_since: Option<String>,
    /// Ticks that came while a run worked, 100 at most: the newest of them runs next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_ticks: Option<u32>,
    /// Records of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_processed: Option<u64>,
    /// Bytes of its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_processed: Option<u64>,
    /// Records of all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_total: Option<u64>,
    /// Bytes of these records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Bytes that all runs stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes_total: Option<u64>,
    /// The newest recovery points that runs told of, by time, 64 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_points: Vec<PointLine>,
    /// What is known of retention, and of its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionStatus>,
    /// The claimed run, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
    /// The value of the trigger annotation that a run was claimed for, while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_trigger: Option<String>,
}

/// The last run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupRun {
    /// Its recovery point.
    pub id: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Running, Completed or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Bytes that it added to the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// Topics in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics_backed_up: Option<i32>,
    /// Partitions in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions_backed_up: Option<i32>,
    /// Time of its oldest record; not told yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_timestamp: Option<Time>,
    /// Time of its newest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_timestamp: Option<Time>,
    /// Image of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// An earlier run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryEntry {
    /// Its recovery point.
    pub id: String,
    /// Completed or Failed.
    pub status: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Bytes that it added to the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// Topics in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics_backed_up: Option<i32>,
    /// Partitions in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions_backed_up: Option<i32>,
    /// Image of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}
