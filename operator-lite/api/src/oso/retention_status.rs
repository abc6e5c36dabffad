//! What is known of the retention of a backup, whichever group it is of. An addition of ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunClaim;

/// What is known of retention.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RetentionStatus {
    /// From when on the rules apply (RFC 3339): recovery points are removed after the first backup that ends later.
    pub since: String,
    /// The newest recovery point when the last run of retention was claimed, or when the rules were seen first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// The value of the annotation `kafka-backup.dev/prune` that a run was claimed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_trigger: Option<String>,
    /// When retention last ended well (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_time: Option<String>,
    /// When it runs again if no backup ends before (RFC 3339): after the grace period, or to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_time: Option<String>,
    /// Recovery points that the last run looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspected: Option<u64>,
    /// Those of them that the rules take away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible: Option<u64>,
    /// Those of them that it removed: no restore finds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
    /// Bytes that it deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_bytes: Option<u64>,
    /// Bytes of removed points that are deleted after the grace period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_bytes: Option<u64>,
    /// When the first of them may be deleted (RFC 3339, by the clock of the store).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<String>,
    /// Whether nothing was removed on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Why the last run failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The claimed run of retention, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
}
