//! Blocks: the batches of a group become the bytes of a block, their digest, and rows of the index. Pure, but for the
//! CPU it burns.

use batch::{BatchError, Codec, Compressor};
use bytes::Bytes;
use uuid::Uuid;

use super::PendingBatch;
use crate::Digest;
use crate::limit::UNPACKED;

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

/// Packs blocks one after the other in memory that it keeps.
pub(crate) struct Packer {
    compressor: Compressor,
    joined: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(codec: Codec, level: i32) -> Self {
        Self { compressor: Compressor::for_blocks(codec, Some(level)), joined: Vec::new(), packed: Vec::new() }
    }

    pub(crate) fn pack(&mut self, batches: &[PendingBatch]) -> Result<PackedBlock, BatchError> {
        let size: usize = batches.iter().map(|b| b.raw.bytes.len()).sum();
        let plain = |b: &&PendingBatch| b.raw.header.attributes.codec() == Some(Codec::None);
        let uncompressed: usize = batches.iter().filter(plain).map(|b| b.raw.bytes.len()).sum();
        let mut parts: Vec<Bytes> = Vec::new();
        let mut codec = Codec::None;
        if uncompressed * 2 >= size && size as u64 <= UNPACKED && self.compressor.codec() != Codec::None {
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

/// One share per partition of a block, and another for each batch that the log start cut through: a share has no hole of
/// records that its batches hold and that do not count.
fn shares(batches: &[PendingBatch]) -> Vec<Share> {
    let mut out = Vec::new();
    let mut at = 0u64;
    let cut = |b: &PendingBatch| b.from > b.raw.header.base_offset;
    let same = |a: &PendingBatch, b: &PendingBatch| a.partition == b.partition && a.timeline == b.timeline && !cut(b);
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
