//! What a KafkaBackupValidation leaves behind: evidence, and who is told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Storage;

/// Which evidence is kept of each result: what was asked, what was read and what came of it, for auditors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// json, pdf or both. The document in JSON is always written: pdf adds pages that show it.
    #[serde(default = "json")]
    pub formats: Vec<String>,
    /// How it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Where it is kept; beside the archive when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Days for which it is kept, at least. A later run with evidence deletes what is older; deleting the resource deletes none.
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
    /// Key of the public key. It must belong to the private one.
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
