//! KafkaRestore.

use std::collections::BTreeMap;

use contract::{ForeignRecords, HeaderPreflight, OnUnreadable, Risk};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::yes;
use super::{BackupRef, CircuitBreaker, KafkaCluster, RateLimiting, RunClaim, Storage, VolumePlace};

/// Restores topics of a recovery point into a cluster, once.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kafka.oso.sh",
    version = "v1alpha1",
    kind = "KafkaRestore",
    plural = "kafkarestores",
    shortname = "kr",
    category = "kafka-backup",
    doc = "A restore of topics of a recovery point, once.",
    namespaced,
    status = "KafkaRestoreStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "number", json_path = ".status.progressPercent"),
    printcolumn(name = "Records", type_ = "integer", json_path = ".status.recordsRestored"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaRestoreSpec {
    /// What to restore.
    pub backup_ref: BackupRef,
    /// The target cluster.
    pub kafka_cluster: KafkaCluster,
    /// Topics by name, glob (`*`, `?`), or regular expression after `~`. All of the recovery point when empty.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Name in the target by name in the source.
    #[serde(default)]
    pub topic_mapping: BTreeMap<String, String>,
    /// Partition in the target by partition in the source, for all topics that are not repartitioned.
    #[serde(default)]
    pub partition_mapping: BTreeMap<String, i32>,
    /// How the records of a target topic are spread anew, by its name; wins over `partitionMapping`.
    #[serde(default)]
    pub repartitioning: BTreeMap<String, Repartitioning>,
    /// The window of record timestamps, inclusive at both ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitr: Option<PointInTime>,
    /// What happens to the positions of consumer groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_reset: Option<OffsetReset>,
    /// What is kept so that positions can be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// Most that the run may move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiting: Option<RateLimiting>,
    /// When requests to the store are held back after failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Whether the plan is made and reported, and nothing is written.
    #[serde(default)]
    pub dry_run: bool,
    /// Most records of a batch that is put together anew; more than 0.
    #[serde(default = "thousand")]
    pub produce_batch_size: u32,
    /// Acknowledgements: -1 for all in-sync replicas, 1 for the leader, 0 for none.
    #[serde(default = "all")]
    pub produce_acks: i16,
    /// Milliseconds that a broker may take for them; more than 0.
    #[serde(default = "thirty_thousand")]
    pub produce_timeout_ms: i32,
    /// Whether records in existing target topics are deleted first. Without it, a target topic that holds records is
    /// refused when the run begins.
    #[serde(default)]
    pub purge_topics: bool,
    /// Whether the committed offsets of all groups of the recovery point are restored, once all records are, with the configs that
    /// were set on the groups. `offsetReset` says whether they are committed, where it is enabled; it names no groups then.
    #[serde(default)]
    pub auto_consumer_groups: bool,
    /// Consumer group in the target by group in the source, for those that are restored. An addition of this operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group_mapping: BTreeMap<String, String>,
    /// Whether missing target topics are created.
    #[serde(default)]
    pub create_topics: bool,
    /// Replicas of created topics: more than 0, or -1 for the broker's default; those of the source when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_replication_factor: Option<i16>,
    /// Whether records get the headers `x-original-offset`, `x-original-timestamp` and `x-source-cluster`; when absent, yes, unless
    /// the backup was made with `includeOffsetHeaders: false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_original_offset_header: Option<bool>,
    /// Whether the offset headers that an earlier restore put into records are left out: every header of exactly these names,
    /// repeated ones too: `x-original-offset`, `x-original-timestamp`, `x-source-partition`, `x-source-cluster`. A restore that equals
    /// its source needs `includeOriginalOffsetHeader: false` besides.
    #[serde(default)]
    pub strip_offset_headers: bool,
    /// Whether every record is read once before anything is written. `full`: what cannot be read ends the restore before its first
    /// change, and a warning counts records that have offset headers already. `auto` and `skip` read nothing before: committed
    /// offsets are restored from what the archive knows of them, and need no header.
    #[serde(default)]
    pub header_preflight: HeaderPreflight,
    /// The same as `includeOriginalOffsetHeader`, under the name that this operator gave it before; they must agree. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_offset_headers: Option<bool>,
    /// Fingerprint of the plan that was looked at (`status.planFingerprint` of a dry run): a restore whose plan is another
    /// one fails before it writes. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_fingerprint: Option<String>,
    /// What is done although it may not be meant; the plan refuses it otherwise. An addition of this operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Risk>,
    /// What happens with a record batch of the archive that cannot be decoded. An addition of this operator.
    #[serde(default)]
    pub on_unreadable: OnUnreadable,
    /// What happens with records that the OSO tool archived otherwise than the source had them: markers of transactions that it
    /// stored as records, and headers that it added. An addition of this operator.
    #[serde(default)]
    pub foreign_records: ForeignRecords,
    /// Where the restore keeps its state when the archive may only be read. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_storage: Option<Storage>,
}

fn thousand() -> u32 {
    1000
}

fn all() -> i16 {
    -1
}

fn thirty_thousand() -> i32 {
    30_000
}

/// How the records of a topic are spread anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Repartitioning {
    /// murmur2 (by key, as Java's default partitioner) or automatic (evenly).
    #[serde(default = "murmur2")]
    pub strategy: String,
    /// Partitions of the target topic; more than 0.
    pub target_partitions: i32,
}

fn murmur2() -> String {
    "murmur2".to_owned()
}

/// A window of record timestamps; each end in one of two forms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PointInTime {
    /// Earliest timestamp, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<i64>,
    /// Latest timestamp, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_timestamp: Option<i64>,
    /// Earliest timestamp (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// Latest timestamp (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
}

/// What happens to the positions of consumer groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OffsetReset {
    /// Whether anything happens.
    #[serde(default)]
    pub enabled: bool,
    /// Groups of the recovery point by id, glob (`*`, `?`), or regular expression after `~`.
    pub consumer_groups: Vec<String>,
    /// auto commits the offsets once all records are restored; manual and dry_run compute them and report them only.
    #[serde(default = "manual")]
    pub strategy: String,
}

fn manual() -> String {
    "manual".to_owned()
}

/// What is kept so that positions can be put back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Whether the positions of the groups are saved first.
    #[serde(default = "yes")]
    pub snapshot_before_restore: bool,
    /// Where; beside the archive when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_storage: Option<VolumePlace>,
    /// Hours for which they are kept after the end of the run.
    #[serde(default = "day")]
    pub snapshot_retention_hours: u32,
    /// Whether they are put back when the restore fails after it changed some. The records stay.
    #[serde(default)]
    pub auto_rollback_on_failure: bool,
}

fn day() -> u32 {
    24
}

/// What is known of a restore.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaRestoreStatus {
    /// Pending, Running, Completed, Failed or RolledBack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// Share of the records that are restored, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_percent: Option<f64>,
    /// Records restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_restored: Option<u64>,
    /// Bytes restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_restored: Option<u64>,
    /// Segments read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segments_processed: Option<u64>,
    /// The topic that is worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_topic: Option<String>,
    /// Records per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput_records_per_sec: Option<f64>,
    /// Milliseconds until the end at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// Positions that can be put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackStatus>,
    /// Where the offset mapping lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_mapping_path: Option<String>,
    /// The recovery point that is restored. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<String>,
    /// The recovery point whose committed offsets are taken: that one, or an older one where the restore ends with a time. An
    /// addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions_point: Option<String>,
    /// Fingerprint of the plan. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_fingerprint: Option<String>,
    /// The plan of a dry run in words; long ones are cut. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Why the restore that a dry run planned would not start; absent when it would. An addition of ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan_blocked: Vec<PlanRefusal>,
    /// The claimed run. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A reason for which a planned restore would not start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlanRefusal {
    /// Its code; `kafka-backup-runner explain CODE` says more.
    pub code: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Positions that were saved before a restore.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackStatus {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// When they were saved (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_time: Option<String>,
    /// Where they lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_path: Option<String>,
    /// Whether they can be put back; false once they are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_available: Option<bool>,
    /// Until when (RFC 3339); absent: for ever, or the run is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}
