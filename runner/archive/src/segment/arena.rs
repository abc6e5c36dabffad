//! Arenas: batches of many partitions, sorted and cut into groups of a block each. Pure.

use std::collections::BTreeMap;

use batch::RawBatch;
use uuid::Uuid;

/// Most decompressed bytes in a block of several batches.
const BLOCK: usize = 1 << 20;

/// A batch on its way into a segment.
#[derive(Debug, Clone)]
pub struct PendingBatch {
    /// Topic id.
    pub topic: Uuid,
    /// Partition.
    pub partition: i32,
    /// Timeline of the partition.
    pub timeline: u32,
    /// First offset that consumers see: the base offset, unless the log start cut through the batch.
    pub from: i64,
    /// Records of committed data that consumers see.
    pub committed: u64,
    /// Whether its records were rolled back.
    pub aborted: bool,
    /// Header and bytes as the broker sent them.
    pub raw: RawBatch,
}

/// Batches in memory, in the order in which they came.
#[derive(Debug, Default)]
pub struct Arena {
    batches: Vec<PendingBatch>,
    bytes: usize,
}

impl Arena {
    /// Adds a batch.
    pub fn push(&mut self, batch: PendingBatch) {
        self.bytes += batch.raw.bytes.len();
        self.batches.push(batch);
    }

    /// Bytes of the batches inside.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
    /// The batches of each block in order, and the ranges of offsets that were rolled back.
    pub(crate) fn into_groups(self) -> (Vec<Vec<PendingBatch>>, Vec<AbortedRange>) {
        let mut batches = self.batches;
        batches.sort_by_key(|b| (b.topic, b.partition, b.timeline, b.raw.header.base_offset));
        let aborted = aborted_ranges(&batches);
        (cut_blocks(batches), aborted)
    }
}

/// Topic, partition, producer, first and last offset of transactions that were rolled back.
pub(crate) type AbortedRange = (Uuid, i32, i64, i64, i64);

/// Blocks hold at most [`BLOCK`] bytes or one batch, and partitions of one topic.
fn cut_blocks(batches: Vec<PendingBatch>) -> Vec<Vec<PendingBatch>> {
    let mut out: Vec<Vec<PendingBatch>> = Vec::new();
    let mut size = 0;
    for batch in batches {
        let len = batch.raw.bytes.len();
        let fits = size + len <= BLOCK;
        match out.last_mut() {
            Some(block) if fits && block.last().is_some_and(|last| last.topic == batch.topic) => {
                size += len;
                block.push(batch);
            }
            _ => {
                size = len;
                out.push(vec![batch]);
            }
        }
    }
    out
}

/// Neighbouring aborted batches of one producer become one range.
fn aborted_ranges(sorted: &[PendingBatch]) -> Vec<AbortedRange> {
    let mut open: BTreeMap<(Uuid, i32, i64), (i64, i64)> = BTreeMap::new();
    let mut out = Vec::new();
    for batch in sorted.iter().filter(|b| b.raw.header.attributes.transactional()) {
        let header = &batch.raw.header;
        let key = (batch.topic, batch.partition, header.producer_id);
        if batch.aborted {
            open.entry(key).or_insert((header.base_offset, 0)).1 = header.last_offset();
        } else if let Some((from, to)) = open.remove(&key) {
            out.push((key.0, key.1, key.2, from, to));
        }
    }
    out.extend(open.into_iter().map(|(key, (from, to))| (key.0, key.1, key.2, from, to)));
    out.sort_unstable();
    out
}
