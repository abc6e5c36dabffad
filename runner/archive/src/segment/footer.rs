//! The index at the end of a segment.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::frame::HEADER_LEN;
use crate::columns::columns;
use crate::json::{JsonError, from_json_beside};
use crate::limit::{BLOCK, UNPACKED, readable, within_limit};
use crate::{ArchiveError, Digest};

/// Format number of the footer.
const FORMAT: u32 = 1;

columns! {
    /// A stored block.
    pub struct BlockRow as BlockColumns {
        /// First byte in the segment.
        at: u64 = "at",
        /// Stored bytes.
        length: u64 = "length",
        /// Codec of the block, numbered as in Kafka's batch attributes.
        codec: u8 = "codec",
        /// Bytes after decompression.
        size: u64 = "size",
        /// BLAKE3 of the stored bytes, 128 bits.
        digest: Digest = "digest",
    }
}

columns! {
    /// One partition's share of one block: whole batches, side by side.
    pub struct ShareRow as ShareColumns {
        /// Position in the footer's topics.
        topic: u32 = "topic",
        /// Partition.
        partition: i32 = "partition",
        /// Timeline of the partition; it grows when the source was truncated.
        timeline: u32 = "timeline",
        /// Position in the footer's blocks.
        block: u32 = "block",
        /// First byte in the decompressed block.
        at: u64 = "at",
        /// Bytes in the decompressed block.
        length: u64 = "length",
        /// First offset that counts: the first batch's base offset, unless the log start cut through it.
        first: i64 = "first",
        /// Offset after the last batch.
        next: i64 = "next",
        /// Leader epoch of the last batch.
        epoch: i32 = "epoch",
        /// Records stored, control records included.
        records: u64 = "records",
        /// Records of committed data from `first` on: what a read-committed consumer sees.
        committed: u64 = "committed",
        /// Largest timestamp of committed records, exact; 0 when there are none.
        max_timestamp: i64 = "maxTimestamp",
        /// Lower bound of their timestamps.
        min_timestamp: i64 = "minTimestamp",
        /// Whether the lower bound is exact.
        min_exact: bool = "minExact",
    }
}

columns! {
    /// Aborted data: transactional batches of this producer with a base offset in `from..=to` were rolled back.
    pub struct AbortedRow as AbortedColumns {
        /// Position in the footer's topics.
        topic: u32 = "topic",
        /// Partition.
        partition: i32 = "partition",
        /// Producer id.
        producer: i64 = "producer",
        /// First aborted offset seen in this segment.
        from: i64 = "from",
        /// Last aborted offset seen in this segment.
        to: i64 = "to",
    }
}

/// A topic of a footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRow {
    /// Topic id.
    pub id: Uuid,
    /// Name when the segment was written.
    pub name: String,
}

/// The index of a segment. Shares are sorted by topic, partition and offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Footer {
    format: u32,
    /// Claim that wrote the segment.
    pub claim: u64,
    /// Its nonce.
    pub nonce: String,
    /// Number of the segment within the claim.
    pub seq: u64,
    /// Topics, in order of their ids.
    pub topics: Vec<TopicRow>,
    /// Blocks in file order.
    #[serde(with = "BlockRow")]
    pub blocks: Vec<BlockRow>,
    /// Shares.
    #[serde(with = "ShareRow")]
    pub shares: Vec<ShareRow>,
    /// Aborted ranges.
    #[serde(with = "AbortedRow")]
    pub aborted: Vec<AbortedRow>,
}

/// Aborted ranges in order, those of one producer apart from each other: so one look finds the range of an offset.
fn in_order(mut rows: Vec<AbortedRow>) -> Vec<AbortedRow> {
    let key = |row: &AbortedRow| (row.topic, row.partition, row.producer);
    rows.sort_unstable_by_key(|row| (key(row), row.from));
    rows.dedup_by(|next, before| {
        let joins = key(next) == key(before) && next.from <= before.to;
        if joins {
            before.to = before.to.max(next.to);
        }
        joins
    });
    rows
}

/// Whether offsets and counts of a share can be.
fn can_be(share: &ShareRow) -> bool {
    share.partition >= 0 && (0..share.next).contains(&share.first) && share.records.max(share.committed) <= BLOCK
}

/// What every format of the footer has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Footer {
    /// The footer of a segment that holds nothing yet.
    #[must_use]
    pub fn new(claim: u64, nonce: &str, seq: u64) -> Self {
        Self {
            format: FORMAT,
            claim,
            nonce: nonce.to_owned(),
            seq,
            topics: Vec::new(),
            blocks: Vec::new(),
            shares: Vec::new(),
            aborted: Vec::new(),
        }
    }

    /// The bytes to store.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ArchiveError> {
        let json = within_limit(serde_json::to_vec(self).map_err(ArchiveError::unencodable)?)?;
        zstd::bulk::compress(&json, 3).map_err(ArchiveError::unencodable)
    }

    /// Reads a footer whose digest was checked.
    ///
    /// # Errors
    /// When it is not a footer, or blocks and shares contradict each other.
    pub fn decode(key: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut json = Vec::new();
        let damaged = |reason: &dyn std::fmt::Display| ArchiveError::damaged(key, format!("footer: {reason}"));
        batch::Decompressor::default()
            .decompress(batch::Codec::Zstd, bytes, readable(), &mut json)
            .map_err(|error| damaged(&error))?;
        let unreadable = |fault: JsonError| match fault {
            JsonError::Fault(_) => damaged(&fault),
            JsonError::TooLarge(_) => ArchiveError::unreadable(key, fault),
        };
        let format: Format = from_json_beside(&json, bytes.len()).map_err(unreadable)?;
        if format.format > FORMAT {
            return Err(ArchiveError::Newer {
                key: key.to_owned(),
                format: format.format,
                known: FORMAT,
                feature: None,
            });
        }
        let mut footer: Self = from_json_beside(&json, bytes.len()).map_err(unreadable)?;
        footer.aborted = in_order(std::mem::take(&mut footer.aborted));
        footer.check().map_err(|rule| damaged(&rule))?;
        Ok(footer)
    }

    /// Whether a transactional batch of this producer was rolled back.
    pub(crate) fn rolled_back(&self, (topic, partition): (u32, i32), producer: i64, offset: i64) -> bool {
        let begins = (topic, partition, producer, offset);
        let after = self.aborted.partition_point(|row| (row.topic, row.partition, row.producer, row.from) <= begins);
        let last = after.checked_sub(1).and_then(|place| self.aborted.get(place));
        last.is_some_and(|row| {
            (row.topic, row.partition, row.producer) == (topic, partition, producer) && offset <= row.to
        })
    }

    /// First byte after the blocks.
    pub(crate) fn end(&self) -> u64 {
        self.blocks.last().map_or(HEADER_LEN, |block| block.at.saturating_add(block.length))
    }

    /// Blocks tile the file; shares lie inside their blocks and are sorted.
    fn check(&self) -> Result<(), &'static str> {
        let mut at = HEADER_LEN;
        for block in &self.blocks {
            let Some(codec) = batch::Codec::from_id(block.codec).filter(|_| block.at == at) else {
                return Err("blocks do not lie side by side");
            };
            let (length, size) = if codec == batch::Codec::None { (BLOCK, BLOCK) } else { (BLOCK, UNPACKED) };
            if block.length > length || block.size > size {
                return Err("a block is larger than any writer makes them");
            }
            at = at.checked_add(block.length).ok_or("a block's length is impossible")?;
        }
        for share in &self.shares {
            let block = self.blocks.get(share.block as usize).ok_or("a share names a block that is not there")?;
            let end = share.at.checked_add(share.length).ok_or("a share's length is impossible")?;
            if end > block.size || share.topic as usize >= self.topics.len() || !can_be(share) {
                return Err("a share does not fit its block");
            }
        }
        if self.aborted.iter().any(|row| row.topic as usize >= self.topics.len()) {
            return Err("an aborted range names a topic that is not there");
        }
        let sorted = self.shares.is_sorted_by_key(|s| (s.topic, s.partition, s.timeline, s.first));
        if sorted { Ok(()) } else { Err("shares are not sorted") }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // it looks at a clock of its own
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row((topic, partition, producer, from, length): (u32, i32, i64, i64, i64)) -> AbortedRow {
        AbortedRow { topic, partition, producer, from, to: from + length }
    }

    fn read(rows: Vec<AbortedRow>) -> Footer {
        let mut footer = Footer::new(0, "n", 0);
        footer.topics = vec![TopicRow { id: Uuid::nil(), name: "t".into() }; 3];
        footer.aborted = rows;
        Footer::decode("k", &footer.encode().unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_rolled_back_is_found_in_any_order(
            rows in proptest::collection::vec((0u32..3, 0i32..2, 0i64..3, 0i64..40, 0i64..8), 0..30),
            asked in proptest::collection::vec((0u32..3, 0i32..2, 0i64..3, 0i64..50), 30),
        ) {
            let rows: Vec<_> = rows.into_iter().map(row).collect();
            let footer = read(rows.clone());
            for (topic, partition, producer, offset) in asked {
                let expected = rows.iter().any(|row| {
                    (row.topic, row.partition, row.producer) == (topic, partition, producer)
                        && (row.from..=row.to).contains(&offset)
                });
                prop_assert_eq!(footer.rolled_back((topic, partition), producer, offset), expected);
            }
        }
    }

    /// A segment of many small transactions, of which half were rolled back.
    #[test]
    fn a_hundred_thousand_transactions_are_told_apart_at_once() {
        let footer = read((0..100_000).rev().map(|n| row((0, 0, n % 50, n * 10, 4))).collect());
        let since = std::time::Instant::now();
        let found = (0..200_000i64).filter(|n| footer.rolled_back((0, 0), n / 2 % 50, n * 5)).count();
        assert_eq!(found, 100_000);
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    }
}
