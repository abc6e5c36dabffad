//! KafkaOffsetReset.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::yes;
use super::{KafkaCluster, RunClaim, Storage};

/// Sets the positions of consumer groups, once.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kafka.oso.sh",
    version = "v1alpha1",
    kind = "KafkaOffsetReset",
    plural = "kafkaoffsetresets",
    shortname = "kor",
    category = "kafka-backup",
    doc = "A reset of the positions of consumer groups, once.",
    namespaced,
    status = "KafkaOffsetResetStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.groupsReset"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.groupsFailed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaOffsetResetSpec {
    /// The cluster of the groups.
    pub kafka_cluster: KafkaCluster,
    /// Groups by name; at least one.
    pub consumer_groups: Vec<String>,
    /// Where the groups go.
    pub reset_strategy: ResetStrategy,
    /// Milliseconds since 1970, with to-timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_timestamp: Option<i64>,
    /// The offset, with to-offset; not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_offset: Option<i64>,
    /// Topics by name; all that a group has positions in when empty.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Groups that are worked on at once; more than 0.
    #[serde(default = "fifty")]
    pub parallelism: u32,
    /// Whether the plan is reported and nothing is written.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether other groups go on when one fails.
    #[serde(default)]
    pub continue_on_error: bool,
    /// Where the offset mapping lies, with from-mapping; that of the newest finished restore when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_mapping_ref: Option<OffsetMappingRef>,
    /// Whether positions are saved first.
    #[serde(default = "yes")]
    pub snapshot_before_reset: bool,
    /// Where positions are saved, and how far the run is; the installation's `positions.storage` when absent. An addition of
    /// this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_storage: Option<Storage>,
}

fn fifty() -> u32 {
    50
}

/// Where groups go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResetStrategy {
    /// To the start of each partition.
    ToEarliest,
    /// To the end of each partition.
    ToLatest,
    /// To the first record at or after a time.
    ToTimestamp,
    /// To an offset.
    ToOffset,
    /// To where a restore put the records that they stood at.
    FromMapping,
}

/// Where an offset mapping lies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetMappingRef {
    /// Name of the KafkaRestore that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_name: Option<String>,
    /// Path of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Name of the PersistentVolumeClaim that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pvc_name: Option<String>,
}

/// What is known of an offset reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaOffsetResetStatus {
    /// Pending, Running, Completed, Failed or PartiallyCompleted.
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
    /// Groups in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_total: Option<u64>,
    /// Groups that were reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_reset: Option<u64>,
    /// Groups that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_failed: Option<u64>,
    /// How long it took, for example `1.23s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Name of the positions that were saved first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Where they lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_path: Option<String>,
    /// What came of each group; those that failed come first. Of many groups the status has the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_results: Vec<GroupResult>,
    /// Groups that `groupResults` leaves out: the report has all of them. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_results_left_out: Option<u64>,
    /// Where the whole report of the run lies. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_path: Option<String>,
    /// The plan of a dry run in words; long ones are cut. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The claimed run. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What came of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupResult {
    /// Name of the group.
    pub group_id: String,
    /// Whether all went well: each position is where it should be.
    pub success: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Partitions whose position was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions_reset: Option<u64>,
}
