//! Blocks that several kinds share: rates, circuit breaker, and references.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Storage;

/// Most that a run may move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimiting {
    /// Records per second; 0 for no limit.
    #[serde(default)]
    pub records_per_sec: u64,
    /// Bytes per second; 0 for no limit.
    #[serde(default)]
    pub bytes_per_sec: u64,
    /// Partitions that are worked on at once; at least 1.
    #[serde(default = "four")]
    pub max_concurrent_partitions: u32,
}

pub(crate) fn four() -> u32 {
    4
}

/// When requests to the store are held back after failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Whether it works.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Failures in a row that open it.
    #[serde(default = "five")]
    pub failure_threshold: u32,
    /// Seconds after which requests are tried again.
    #[serde(default = "sixty")]
    pub reset_timeout_secs: u64,
    /// Successes in a row that close it.
    #[serde(default = "three")]
    pub success_threshold: u32,
    /// Milliseconds after which a request counts as failed.
    #[serde(default = "thirty_thousand")]
    pub operation_timeout_ms: u64,
}

pub(crate) fn yes() -> bool {
    true
}

fn five() -> u32 {
    5
}

pub(crate) fn sixty() -> u64 {
    60
}

fn three() -> u32 {
    3
}

fn thirty_thousand() -> u64 {
    30_000
}

/// A recovery point: of a KafkaBackup, or in a place of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRef {
    /// Name of the KafkaBackup; may be empty with `storage`.
    pub name: String,
    /// Its namespace; that of the resource when absent. Only coordinates are taken from another namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The recovery point; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// Where the archive lies; wins over `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

impl BackupRef {
    /// The recovery point that is named; an empty text names none.
    #[must_use]
    pub fn point(&self) -> Option<&str> {
        self.backup_id.as_deref().filter(|point| !point.is_empty())
    }

    /// What a run reads: the point, else the newest one of the backup. Empty where neither is named: only then the newest of the
    /// storage is meant.
    #[must_use]
    pub fn from(&self) -> &str {
        self.point().unwrap_or(&self.name)
    }
}

/// A place on a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumePlace {
    /// Name of the PersistentVolumeClaim.
    pub pvc_name: String,
    /// Folder inside the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
}
