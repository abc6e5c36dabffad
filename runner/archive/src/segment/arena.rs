//! Packing: batches of many partitions become sorted blocks. Pure, but for the CPU it burns.

use std::collections::BTreeMap;

use batch::{Codec, Compressor, RawBatch};
use bytes::Bytes;
use uuid::Uuid;

use crate::{ArchiveError, Digest};

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
}

/// A share before its block has a place: like a `ShareRow`, with the topic's id.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub(crate) topic: Uuid,
    pub(crate) row: super::ShareRow,
}

/// One block, ready to be stored.
#[derive(Debug)]
pub(crate) struct PackedBlock {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) length: u64,
    pub(crate) codec: Codec,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) shares: Vec<Share>,
}

/// Blocks of one arena in order, and the aborted ranges by (topic, partition, producer).
#[derive(Debug, Default)]
pub(crate) struct PackedArena {
    pub(crate) blocks: Vec<PackedBlock>,
    pub(crate) aborted: Vec<(Uuid, i32, i64, i64, i64)>,
}

/// Sorts and packs an arena with `workers` threads' worth of parallel tasks.
pub(crate) async fn pack(arena: Arena, codec: Codec, level: i32, workers: usize) -> Result<PackedArena, ArchiveError> {
    let mut batches = arena.batches;
    batches.sort_by_key(|b| (b.topic, b.partition, b.timeline, b.raw.header.base_offset));
    let aborted = aborted_ranges(&batches);
    let mut groups = cut_blocks(batches);
    // Neighbouring blocks stay together, so that each task touches memory in order.
    let per_task = groups.len().div_ceil(workers.max(1)).max(1);
    let mut tasks = Vec::new();
    while !groups.is_empty() {
        let rest = groups.split_off(per_task.min(groups.len()));
        let mine = std::mem::replace(&mut groups, rest);
        tasks.push(tokio::task::spawn_blocking(move || {
            let mut packer = Packer {
                compressor: Compressor::for_blocks(codec, Some(level)),
                joined: Vec::new(),
                packed: Vec::new(),
            };
            mine.iter().map(|group| packer.pack(group)).collect::<Result<Vec<_>, _>>()
        }));
    }
    let mut blocks = Vec::new();
    for task in tasks {
        let packed = task.await.map_err(|error| ArchiveError::damaged("arena", error))?;
        blocks.extend(packed.map_err(|source| ArchiveError::Batch { key: "block".into(), source })?);
    }
    Ok(PackedArena { blocks, aborted })
}

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

/// Packs blocks one after the other in memory that it keeps.
struct Packer {
    compressor: Compressor,
    joined: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    fn pack(&mut self, batches: &[PendingBatch]) -> Result<PackedBlock, batch::BatchError> {
        let size: usize = batches.iter().map(|b| b.raw.bytes.len()).sum();
        let plain = |b: &&PendingBatch| b.raw.header.attributes.codec() == Some(Codec::None);
        let uncompressed: usize = batches.iter().filter(plain).map(|b| b.raw.bytes.len()).sum();
        let mut parts: Vec<Bytes> = Vec::new();
        let mut codec = Codec::None;
        if uncompressed * 2 >= size && self.compressor.codec() != Codec::None {
            self.joined.clear();
            for b in batches {
                self.joined.extend_from_slice(&b.raw.bytes);
            }
            self.packed.clear();
            self.compressor.compress(&self.joined, &mut self.packed)?;
            // Noise grows by compression: keep it as it is.
            if self.packed.len() < size {
                codec = self.compressor.codec();
                parts.push(Bytes::copy_from_slice(&self.packed));
            }
        }
        if parts.is_empty() {
            parts.extend(batches.iter().map(|b| b.raw.bytes.clone()));
        }
        let mut hasher = blake3::Hasher::new();
        for part in &parts {
            hasher.update(part);
        }
        let length = parts.iter().map(|part| part.len() as u64).sum();
        let digest = Digest::half(&hasher);
        Ok(PackedBlock { parts, length, codec, size: size as u64, digest, shares: shares(batches) })
    }
}

/// One share per partition of a block.
fn shares(batches: &[PendingBatch]) -> Vec<Share> {
    let mut out = Vec::new();
    let mut at = 0u64;
    let same = |a: &PendingBatch, b: &PendingBatch| a.partition == b.partition && a.timeline == b.timeline;
    for group in batches.chunk_by(same) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let length = group.iter().map(|b| b.raw.bytes.len() as u64).sum();
        let data = || group.iter().filter(|b| b.committed > 0).map(|b| &b.raw.header);
        let row = super::ShareRow {
            topic: 0,
            partition: first.partition,
            timeline: first.timeline,
            block: 0,
            at,
            length,
            first: first.from,
            next: last.raw.header.next_offset(),
            epoch: last.raw.header.leader_epoch,
            records: group.iter().map(|b| b.raw.header.records()).sum(),
            committed: group.iter().map(|b| b.committed).sum(),
            max_timestamp: data().map(|h| h.max_timestamp).max().unwrap_or(0),
            min_timestamp: data().map(lower_bound).min().unwrap_or(0),
            min_exact: data().all(|h| h.min_timestamp().1),
        };
        out.push(Share { topic: first.topic, row });
        at += length;
    }
    out
}

/// The smallest time that a header tells of; only exact for some batches.
fn lower_bound(header: &batch::BatchHeader) -> i64 {
    match header.min_timestamp() {
        (min, true) => min,
        _ if header.attributes.delete_horizon() => header.max_timestamp,
        _ => header.base_timestamp.min(header.max_timestamp),
    }
}

/// Neighbouring aborted batches of one producer become one range.
fn aborted_ranges(sorted: &[PendingBatch]) -> Vec<(Uuid, i32, i64, i64, i64)> {
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
