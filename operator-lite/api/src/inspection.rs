//! KafkaBackupInspection: a look into the archive of a KafkaBackup, or a check of what a resource connects to, for the one who
//! made it. A kind of this project's own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The group of this kind.
pub const GROUP: &str = "kafka-backup.dev";

/// How much an inspection may show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InspectionLevel {
    /// Recovery points, topics, offsets, times, sizes, configs and groups; whether all is whole.
    #[default]
    Inspect,
    /// What records hold, too.
    Peek,
    /// What `inspect` shows, and where the consumer groups of the source stand now.
    Compare,
    /// What `inspect` shows, and how the source differs from a recovery point now: its records are read and compared, and none
    /// is shown.
    Diff,
    /// Nothing of an archive: whether a run reaches its brokers and its store, and may do there what it will do.
    Check,
}

/// Lets its author ask questions about the archive of a KafkaBackup, through a pod of their own.
#[derive(Debug, Clone, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kafka-backup.dev",
    version = "v1alpha1",
    kind = "KafkaBackupInspection",
    plural = "kafkabackupinspections",
    shortname = "kbi",
    category = "kafka-backup",
    doc = "A look into the archive of a KafkaBackup, for the one who made it; it ends when nobody asks.",
    namespaced,
    status = "KafkaBackupInspectionStatus",
    derive = "PartialEq",
    printcolumn(name = "Backup", type_ = "string", json_path = ".spec.backupRef.name"),
    printcolumn(name = "Level", type_ = "string", json_path = ".spec.level"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaBackupInspectionSpec {
    /// The KafkaBackup of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_ref: Option<InspectedBackup>,
    /// With the level `check`: a KafkaRestore of the same namespace in the place of `backupRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ref: Option<InspectedBackup>,
    /// With the level `check`: a resource of the same namespace of any kind that runs, in the place of `backupRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_ref: Option<CheckedResource>,
    /// With the level `check`: a resource of any kind that runs, which need not be in the cluster, in the place of `backupRef`; its
    /// apiVersion, kind, names and spec, and nothing else. Its author needs what making it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub resource: Option<serde_json::Value>,
    /// How much it may show. Its author needs the verb `inspect` on the KafkaBackup, for records `peek`, too, and to ask its
    /// brokers `compare` or `diff`, too; for `check` the verb `check` on what is checked alone.
    #[serde(default)]
    pub level: InspectionLevel,
    /// BLAKE3-256 of the token that questions must carry, 64 hexadecimal digits. The token itself stands nowhere.
    pub token_digest: String,
    /// Seconds without a question after which it ends; 10 to 3600.
    #[serde(default = "ten_minutes")]
    pub idle_secs: u32,
}

/// An object of any fields: its own kind judges it.
fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn ten_minutes() -> u32 {
    600
}

/// A KafkaBackup or KafkaRestore of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectedBackup {
    /// Its name.
    pub name: String,
}

/// A resource of the same namespace whose run is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckedResource {
    /// Its group and version, as `kafka.oso.sh/v1alpha1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Where questions are taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaBackupInspectionStatus {
    /// Pending, Ready or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The pod that answers, on its own loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
