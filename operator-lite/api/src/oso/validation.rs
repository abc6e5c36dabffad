//! KafkaBackupValidation.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Notifications};
use super::limits::yes;
use super::validation_status::KafkaBackupValidationStatus;
use super::{BackupRef, KafkaCluster};

/// Checks a recovery point, and a cluster that it was restored into, once or on a schedule. Neither is changed.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kafka.oso.sh",
    version = "v1alpha1",
    kind = "KafkaBackupValidation",
    plural = "kafkabackupvalidations",
    shortname = "kbv",
    category = "kafka-backup",
    doc = "A check of a recovery point, once or on a schedule.",
    namespaced,
    status = "KafkaBackupValidationStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.validationResult"),
    printcolumn(name = "Checks", type_ = "integer", json_path = ".status.checksCompleted"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Point", type_ = "string", json_path = ".status.recoveryPoint"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduledValidation"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaBackupValidationSpec {
    /// What to check.
    pub backup_ref: BackupRef,
    /// A cluster that the recovery point was restored into; needed for checks of consumer groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_cluster: Option<KafkaCluster>,
    /// The KafkaRestore that wrote what the cluster holds: the cluster is compared with what it noted, so that mapped,
    /// repartitioned and partial restores compare right. Without it, topics and partitions are compared by their names and
    /// numbers. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ref: Option<RestoreRef>,
    /// The checks; at least one must be enabled.
    pub checks: Checks,
    /// How much of the archive checksum and decode read; everything when absent. An addition of this operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Which evidence is kept of each result: what was asked, what was read and what came of it, for auditors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Who is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<Notifications>,
    /// When to check: six fields, seconds first, weekdays 0-6 from Sunday, UTC. Once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether no check is started.
    #[serde(default)]
    pub suspend: bool,
    /// Results of past validations that `status.history` keeps, 0 to 100. An addition of this operator.
    #[serde(default = "ten")]
    pub history_limit: u32,
}

fn ten() -> u32 {
    10
}

/// A KafkaRestore of the same namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRef {
    /// Its name.
    pub name: String,
}

/// A part of the archive, drawn by chance: whole segments, until they have that many bytes. One of percent and bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sample {
    /// Share of the bytes of all segments, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Bytes of segments; more than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The same seed draws the same segments of the same point. Drawn anew for each run when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The checks. Those of the archive itself (structure, checksum, decode) are made unless they are disabled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Checks {
    /// The log, its links and counts, and that every segment is there with its size. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<ArchiveCheck>,
    /// The digest of every block of the segments. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ArchiveCheck>,
    /// Every batch and record: CRC, counts, order of offsets, times. Looks at structure and digests, too. An addition of this
    /// operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<ArchiveCheck>,
    /// Counts records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_count: Option<MessageCountCheck>,
    /// Compares ranges of offsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_range: Option<OffsetRangeCheck>,
    /// Compares positions of consumer groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_group_offsets: Option<ConsumerGroupCheck>,
    /// Asks services of the user.
    pub custom_webhooks: Vec<WebhookCheck>,
}

/// A check of the archive itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveCheck {
    /// Whether the check is made.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Counts records: those of the cluster against those that the restore wrote, or that the recovery point holds. Without
/// kafkaCluster, decode counts the records of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageCountCheck {
    /// Whether the check is made.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Most records by which a partition may differ.
    #[serde(default)]
    pub fail_threshold: u64,
    /// Topics of the archive by name, glob (`*`, `?`), or regular expression after `~`; all when empty.
    #[serde(default)]
    pub topics: Vec<String>,
}

/// Compares ranges of offsets of the cluster. Without kafkaCluster, structure looks at the ranges of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OffsetRangeCheck {
    /// Whether the check is made.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// Compares positions of consumer groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerGroupCheck {
    /// Whether the check is made.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Consumer groups of the recovery point by id, glob (`*`, `?`), or regular expression after `~`; all when empty.
    #[serde(default)]
    pub consumer_groups: Vec<String>,
}

/// Asks a service of the user, with one POST.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookCheck {
    /// Name of the check, 1 to 63 characters; each once, and none of the other checks'.
    pub name: String,
    /// Its URL, http or https. Only host and port of it are shown.
    pub url: String,
    /// Seconds that it may take, 1 to 3600.
    #[serde(default = "hundred_twenty")]
    pub timeout_secs: u64,
    /// The HTTP status of success, 100 to 599.
    #[serde(default = "two_hundred")]
    pub expected_status_code: u16,
}

fn hundred_twenty() -> u64 {
    120
}

fn two_hundred() -> u16 {
    200
}
