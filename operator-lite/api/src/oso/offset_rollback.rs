//! KafkaOffsetRollback.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::yes;
use super::{KafkaCluster, RunClaim, Storage};

/// Puts back positions of consumer groups that were saved before, once.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kafka.oso.sh",
    version = "v1alpha1",
    kind = "KafkaOffsetRollback",
    plural = "kafkaoffsetrollbacks",
    shortname = "korb",
    category = "kafka-backup",
    doc = "A rollback of positions of consumer groups that were saved before, once.",
    namespaced,
    status = "KafkaOffsetRollbackStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Groups", type_ = "integer", json_path = ".status.groupsRolledBack"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaOffsetRollbackSpec {
    /// The saved positions.
    pub snapshot_ref: SnapshotRef,
    /// The cluster of the groups.
    pub kafka_cluster: KafkaCluster,
    /// Groups by name; all that were saved when empty.
    #[serde(default)]
    pub consumer_groups: Vec<String>,
    /// Whether the plan is reported and nothing is written.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether positions are read back and compared.
    #[serde(default = "yes")]
    pub verify_after_rollback: bool,
    /// Where the saved positions are, and how far the run is kept. When absent: where the resource that `snapshotRef` names
    /// saved them, else the installation's `positions.storage`. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_storage: Option<Storage>,
}

/// Saved positions, found in one of several ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRef {
    /// Their name; may be empty when another way is given.
    pub name: String,
    /// Path of their file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Name of the PersistentVolumeClaim that holds `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc_name: Option<String>,
    /// Name of the KafkaRestore that saved them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ref: Option<String>,
    /// Name of the KafkaOffsetReset that saved them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_reset_ref: Option<String>,
}

/// What is known of an offset rollback.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaOffsetRollbackStatus {
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
    /// Groups whose positions were put back, all of them exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_rolled_back: Option<u64>,
    /// Groups that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_failed: Option<u64>,
    /// What the comparison found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<RollbackVerification>,
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

/// What the comparison after a rollback found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackVerification {
    /// Whether all groups stand exactly where they stood.
    pub all_matched: bool,
    /// Groups compared.
    pub total_groups: u64,
    /// Groups that stand exactly where they stood.
    pub matched_groups: u64,
    /// Names of the others; of many, those of the first.
    #[serde(default)]
    pub mismatched_groups: Vec<String>,
    /// Groups that `mismatchedGroups` leaves out: the report has all of them. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatched_groups_left_out: Option<u64>,
    /// Positions that could not be put back exactly, because the cluster does not have those places any more; of many, the first.
    /// An addition of this operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatched_positions: Vec<MismatchedPosition>,
}

/// A position that could not be put back exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MismatchedPosition {
    /// Name of the group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset that was saved.
    pub wanted: i64,
    /// The offset that takes its place; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<i64>,
    /// Why.
    pub reason: String,
}
