//! KafkaRestore.

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oso::RunClaim;

use super::{Authentication, BackupSelection, ClusterRef, Config, Connection, Logging, Metrics, Resources, Template};

/// Restores topics and positions into a Strimzi cluster, once.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "backup.strimzi.io",
    version = "v1alpha1",
    kind = "KafkaRestore",
    plural = "kafkarestores",
    shortname = "kr",
    category = "kafka-backup",
    doc = "A restore of topics and positions into a Strimzi cluster, once.",
    namespaced,
    status = "KafkaRestoreStatus",
    derive = "PartialEq",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.strimziClusterRef.name"),
    printcolumn(name = "Backup", type_ = "string", json_path = ".spec.backupRef.name"),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaRestoreSpec {
    /// The target cluster.
    pub strimzi_cluster_ref: ClusterRef,
    /// Who the run is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Which backup.
    pub backup_ref: BackupRef,
    /// Which topics, before `topicMapping`; all when absent. Names, globs, or `~` and a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<BackupSelection>,
    /// Up to which time; everything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_in_time: Option<PointInTime>,
    /// Topics that get another name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topic_mapping: Vec<TopicMapping>,
    /// Whether and how positions of consumer groups are restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_groups: Option<ConsumerGroups>,
    /// How the restore is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreOptions>,
    /// How connections are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The log of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Environment variables of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Metrics of the run's pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// What the pod asks for, and may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Changes to the pod of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Image of the runner; that of the installation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Attempts that follow a failed one, as long as none of them gets further; 5 when absent: an attempt goes on where the one
    /// before ended, and writes nothing twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backoff_limit: Option<i32>,
}

/// Which backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRef {
    /// Name of a KafkaBackup of this group, in the same namespace.
    pub name: String,
    /// A recovery point of it; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
}

impl BackupRef {
    /// The recovery point that is named; an empty text names none.
    #[must_use]
    pub fn point(&self) -> Option<&str> {
        self.backup_id.as_deref().filter(|point| !point.is_empty())
    }
}

/// A window of record times, inclusive at both ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointInTime {
    /// The newest record time that is restored (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The oldest record time that is restored (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<String>,
    /// How long before its end each partition stops: a number and s, m, h, d or w, like 2h. It counts back from the time of the newest
    /// record that the recovery point has of that partition, each by its own: where a partition got nothing for a week, it stops a week
    /// and 2h before one that got records until the end. Not with `timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_from_end: Option<String>,
}

/// A topic that gets another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicMapping {
    /// Name in the backup.
    pub source_topic: String,
    /// Name in the target.
    pub target_topic: String,
}

/// Whether and how positions of consumer groups are restored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerGroups {
    /// Whether positions are restored; alone, those of all groups in the backup.
    #[serde(default)]
    pub restore: bool,
    /// Groups that get another name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<GroupMapping>,
    /// Whether all groups in the backup are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<bool>,
    /// Groups by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// skip, header-based, timestamp-based, cluster-scan or manual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Where a report of the positions is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_report: Option<String>,
}

/// A group that gets another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMapping {
    /// Name in the backup.
    pub source_group: String,
    /// Name in the target.
    pub target_group: String,
}

/// How a restore is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreOptions {
    /// Whether topics that do not exist are created; auto when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_creation: Option<TopicCreation>,
    /// What happens to topics that hold records; fail when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_topic_policy: Option<ExistingTopicPolicy>,
    /// Partitions that are written at once; 4 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i32>,
    /// Whether only the plan is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Whether records get headers with their original offset and time; when absent, only where `backup.includeOffsetHeaders`
    /// of the KafkaBackup is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_original_offset_header: Option<bool>,
    /// Whether the offset headers that an earlier restore put into records are left out; no when absent. Headers of exactly these
    /// names go, repeated ones too: `x-original-offset`, `x-original-timestamp`, `x-source-partition`, `x-source-cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_offset_headers: Option<bool>,
    /// Source partitions that are restored; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_partitions: Vec<i32>,
    /// Partitions that go to another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_mapping: Vec<PartitionMapping>,
    /// Most records per second; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_records_per_sec: Option<u64>,
    /// Most bytes per second; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_bytes_per_sec: Option<u64>,
    /// Records in a batch; 1000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produce_batch_size: Option<u32>,
    /// Acknowledgements: -1 all in-sync replicas, 0 or 1; -1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produce_acks: Option<i16>,
    /// Milliseconds in which a broker must answer; 30000 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produce_timeout_ms: Option<i32>,
    /// Has no effect: progress is saved into the archive itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_state: Option<String>,
    /// Has no effect: each acknowledged batch is progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_interval_secs: Option<u64>,
    /// Replicas of topics that are created; those of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_replication_factor: Option<i16>,
    /// Topics that get another number of partitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repartitioning: Vec<Repartitioning>,
    /// Whether target topics are emptied first; must agree with `existingTopicPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_topics: Option<bool>,
    /// Keys of the OSO engine's `restore` section, in its spelling. One that stands for a field of this kind wins over it;
    /// `header_preflight` and `circuit_breaker` work, too. What would change records or configs in a way that is not done here is
    /// refused, any other key is named in a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::config::open")]
    pub config: Option<Config>,
}

/// Whether topics are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicCreation {
    /// Topics that do not exist are created.
    Auto,
    /// They must exist.
    Manual,
}

/// What happens to topics that hold records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExistingTopicPolicy {
    /// The restore is refused.
    Fail,
    /// Records are added behind them.
    Append,
    /// They are emptied first.
    Overwrite,
}

/// A partition that goes to another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionMapping {
    /// Partition in the backup.
    pub source_partition: i32,
    /// Partition in the target.
    pub target_partition: i32,
}

/// A topic that gets another number of partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repartitioning {
    /// The target topic.
    pub topic: String,
    /// murmur2 (by key, as Java producers do) or automatic (by offset); murmur2 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Its partitions; more than 0.
    pub target_partitions: i32,
}

/// What is known of the restore.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaRestoreStatus {
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreResult>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pending, Running, Completed or Failed. An addition of ours, as all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Share of the records that are restored, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_percent: Option<f64>,
    /// Records restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_restored: Option<u64>,
    /// The recovery point that is restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<String>,
    /// The recovery point whose committed offsets are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions_point: Option<String>,
    /// Where the offset mapping lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_mapping_path: Option<String>,
    /// Fingerprint of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_fingerprint: Option<String>,
    /// The plan of a dry run in words; long ones are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The claimed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
}

/// The run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RestoreResult {
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Running, Completed or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Topics that were restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_topics: Option<i32>,
    /// Partitions that were restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_partitions: Option<i32>,
    /// Bytes that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_bytes: Option<i64>,
    /// The time that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_in_time_target: Option<Time>,
    /// Time of the newest record that was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_point_in_time: Option<Time>,
    /// Image of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}
