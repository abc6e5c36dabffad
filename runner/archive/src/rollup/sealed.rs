//! Recovery points in a list: what roll-ups say of the seals among their entries, so that nobody reads each seal.

use contract::stamp::stamp_time;
use contract::{Before, PointLine};
use serde::{Deserializer, Serializer};

use crate::columns::columns;
use crate::limit::total;
use crate::{Digest, Entry, Seal};

columns! {
    /// A recovery point in a list.
    pub struct SealedPoint as SealedPointColumns {
        /// Number of the seal.
        entry: u64 = "entry",
        /// Digest of the seal.
        digest: Digest = "digest",
        /// Stamp.
        stamp: String = "stamp",
        /// Name.
        point: String = "point",
        /// Live topics.
        topics: u64 = "topics",
        /// Their partitions.
        partitions: u64 = "partitions",
        /// Committed records of all timelines.
        records: u64 = "records",
        /// Decompressed bytes of all timelines.
        bytes: u64 = "bytes",
        /// Largest timestamp of a committed record; 0 when there are none.
        newest: i64 = "newest",
        /// Partitions that end before the source's end.
        held_back: u64 = "heldBack",
        /// Records that later timelines replaced.
        replaced: u64 = "replaced" or 0,
        /// Their bytes.
        replaced_bytes: u64 = "replacedBytes" or 0,
    }
}

impl SealedPoint {
    /// What an entry seals; `None` when it is no seal.
    #[must_use]
    pub fn of(entry: &Entry, digest: &Digest) -> Option<Self> {
        Some(Self::of_seal(entry.seal.as_ref()?, entry.n, digest, &entry.point))
    }

    /// The same of a seal, its number, digest and stamp.
    pub(crate) fn of_seal(seal: &Seal, number: u64, digest: &Digest, stamp: &str) -> Self {
        let live = || seal.topics.iter().filter(|topic| topic.live);
        let dated = seal.partitions.iter().filter(|row| row.committed > 0);
        Self {
            entry: number,
            digest: digest.clone(),
            stamp: stamp.to_owned(),
            point: seal.point.clone(),
            topics: live().count() as u64,
            partitions: total(live().map(|topic| u64::from(topic.partitions.unsigned_abs()))),
            records: total(seal.partitions.iter().map(|row| row.committed)),
            bytes: total(seal.partitions.iter().map(|row| row.bytes)),
            newest: dated.map(|row| row.max_timestamp).max().unwrap_or(0),
            held_back: seal.held_back.len() as u64,
            replaced: total(seal.partitions.iter().map(|row| row.replaced)),
            replaced_bytes: total(seal.partitions.iter().map(|row| row.replaced_bytes)),
        }
    }

    /// The point as lists show it; `before` where it is known.
    #[must_use]
    pub fn line(&self, before: Option<Before>) -> PointLine {
        PointLine {
            name: self.point.clone(),
            at: stamp_time(&self.stamp),
            topics: self.topics,
            partitions: self.partitions,
            records: self.records.saturating_sub(self.replaced),
            bytes: self.bytes.saturating_sub(self.replaced_bytes),
            newest: (self.records > 0).then_some(self.newest),
            held_back: self.held_back,
            before,
            cluster_id: None,
        }
    }
}

/// As columns, or nothing at all.
pub(super) mod optional {
    use super::{Deserializer, SealedPoint, Serializer};

    // The form that serde asks for.
    #[allow(clippy::ref_option)]
    pub(in crate::rollup) fn serialize<S: Serializer>(
        rows: &Option<Vec<SealedPoint>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match rows {
            Some(rows) => SealedPoint::serialize(rows, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::rollup) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<SealedPoint>>, D::Error> {
        SealedPoint::deserialize(deserializer).map(Some)
    }
}
