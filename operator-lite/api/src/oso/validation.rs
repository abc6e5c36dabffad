//! KafkaBackupValidation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::yes;
use super::{BackupRef, KafkaCluster, Storage};

/// Checks a recovery point, once or on a schedule, and keeps evidence of it.
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
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaBackupValidationSpec {
    /// What to check.
    pub backup_ref: BackupRef,
    /// A cluster that the recovery point was restored into; needed for checks of consumer groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_cluster: Option<KafkaCluster>,
    /// The checks; at least one must be enabled.
    pub checks: Checks,
    /// Which evidence is kept.
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
}

/// The checks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Checks {
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

/// Counts records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageCountCheck {
    /// Whether the check is made.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Most records that may differ.
    #[serde(default)]
    pub fail_threshold: u64,
    /// Topics; all when empty.
    #[serde(default)]
    pub topics: Vec<String>,
}

/// Compares ranges of offsets.
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
    /// Groups; all when empty.
    #[serde(default)]
    pub consumer_groups: Vec<String>,
}

/// Asks a service of the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookCheck {
    /// Name of the check.
    pub name: String,
    /// Its URL, http or https.
    pub url: String,
    /// Seconds that it may take; more than 0.
    #[serde(default = "hundred_twenty")]
    pub timeout_secs: u64,
    /// The HTTP status of success.
    #[serde(default = "two_hundred")]
    pub expected_status_code: u16,
}

fn hundred_twenty() -> u64 {
    120
}

fn two_hundred() -> u16 {
    200
}

/// Which evidence is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// json, pdf or both.
    #[serde(default = "json")]
    pub formats: Vec<String>,
    /// How it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Where it is kept; beside the archive when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Days for which it is kept.
    #[serde(default = "ninety")]
    pub retention_days: u32,
}

fn json() -> Vec<String> {
    vec!["json".to_owned()]
}

fn ninety() -> u32 {
    90
}

/// How evidence is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signing {
    /// Whether it is.
    #[serde(default)]
    pub enabled: bool,
    /// The key: ECDSA over P-256, PKCS#8 in PEM.
    pub key_secret: KeySecret,
}

/// A Secret with a signing key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySecret {
    /// Name of the Secret.
    pub name: String,
    /// Key of the private key.
    #[serde(default = "private_key")]
    pub private_key_key: String,
    /// Key of the public key.
    #[serde(default = "public_key")]
    pub public_key_key: String,
}

fn private_key() -> String {
    "signing-key.pem".to_owned()
}

fn public_key() -> String {
    "signing-key-pub.pem".to_owned()
}

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Notifications {
    /// A Slack channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// A PagerDuty service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<PagerDuty>,
}

/// A Slack channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// The URL of its incoming webhook.
    pub webhook_secret: SecretKey,
}

/// A PagerDuty service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PagerDuty {
    /// Its routing key.
    pub routing_key_secret: SecretKey,
    /// critical, error, warning or info.
    #[serde(default = "critical")]
    pub severity: String,
}

fn critical() -> String {
    "critical".to_owned()
}

/// One key of a Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// What is known of a validation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaBackupValidationStatus {
    /// Pending, Running, Completed or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Pass, Fail, Warn or Skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<String>,
    /// When it began (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// Checks in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_total: Option<u64>,
    /// Checks that are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_completed: Option<u64>,
    /// Checks that passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_passed: Option<u64>,
    /// Checks that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_failed: Option<u64>,
    /// Checks that warn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_warned: Option<u64>,
    /// What came of each check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub check_results: Vec<CheckResult>,
    /// Where the evidence lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_report_path: Option<String>,
    /// Whether it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_report_signed: Option<bool>,
    /// When the last validation ended (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_validation_time: Option<String>,
    /// The next tick (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_scheduled_validation: Option<String>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Name of the check.
    pub check_name: String,
    /// Passed, Failed, Skipped or Warning.
    pub outcome: String,
    /// The outcome in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Milliseconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}
