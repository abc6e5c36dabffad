//! How entries and roll-ups name a roll-up (FORMAT.md, "Roll-ups"). Pure.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Names a roll-up, with the digest of its directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollupRef {
    /// 1 or 2.
    pub level: u32,
    /// First entry.
    pub from: u64,
    /// Last entry.
    pub to: u64,
    /// Bytes of the object.
    pub size: u64,
    /// First byte of the directory, which ends the object.
    pub directory_at: u64,
    /// BLAKE3-256 of the directory as stored.
    pub digest: Digest,
}
