//! What a `prune` entry says: which recovery points are no more, and which rows and segments nothing that stays needs. Pure.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::columns::columns;
use crate::lost;

/// The feature that a reader of a `prune` entry, and of every entry behind one, must know.
pub(crate) const FEATURE: &str = "prune";

/// The low of a partition of which every row is hidden.
pub const EVERY_ROW: i64 = -1;

columns! {
    /// What is hidden of one partition: rows of entries before the oldest point that stays.
    pub struct HiddenRow as HiddenColumns {
        /// Position in the entry's topics.
        topic: u32 = "topic",
        /// Partition.
        partition: i32 = "partition",
        /// Rows that end at or below this offset are hidden; [`EVERY_ROW`]: all of them.
        low: i64 = "low",
        /// Claim of the last segment of which rows are hidden, in the order of the log.
        claim: u64 = "claim",
        /// Its number within the claim.
        seq: u64 = "seq",
        /// Number of the `prune` entry that said so first.
        since: u64 = "since",
        /// Their committed records.
        committed: u64 = "committed",
        /// Their decompressed bytes.
        bytes: u64 = "bytes",
        /// Of those records, what later timelines had replaced.
        replaced: u64 = "replaced",
        /// The same of those bytes.
        replaced_bytes: u64 = "replacedBytes",
    }
}

columns! {
    /// Segments of one claim that are needed no more: their numbers from one up to another.
    pub struct DeadRow as DeadColumns {
        /// The claim.
        claim: u64 = "claim",
        /// Number of the first.
        from: u64 = "from",
        /// Number behind the last.
        to: u64 = "to",
    }
}

/// A seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealRef {
    /// Its number.
    pub entry: u64,
    /// Its digest.
    pub digest: Digest,
}

/// What retention takes away of a set. It says all that was taken away so far: the newest `prune` entry counts alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prune {
    /// The oldest recovery point that stays; absent when none of the set does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<SealRef>,
    /// Segments of which every row is hidden, by claim and number.
    #[serde(with = "DeadRow")]
    pub dead: Vec<DeadRow>,
    /// What is hidden of each partition.
    #[serde(with = "HiddenRow")]
    pub hidden: Vec<HiddenRow>,
}

/// Whether this release knows a feature.
pub(crate) fn is_known(feature: &str) -> bool {
    [lost::FEATURE, FEATURE].contains(&feature)
}
