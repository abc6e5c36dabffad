//! The blocks of one segment: their digests, and at the deepest level every batch and record in them.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use batch::{Decompressor, RecordIter, payload};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;

use super::{Level, Verification};
use crate::read::{batches_of, is_committed, open_block, wrong_digest};
use crate::segment::{Footer, ShareRow};
use crate::{ArchiveError, Digest, Store};

/// A bound on decompressed records of one batch.
const RECORDS_LIMIT: usize = 1 << 30;
/// Stored bytes that are read with one request.
const READ: u64 = 4 << 20;
/// Such requests, and the checks of what they bring, at once.
const AT_ONCE: usize = 6;
/// What is read and hashed at a time: it stays in the cache of a core.
const SIP: usize = 64 << 10;

/// Reads and checks the blocks of a segment, several pieces at once.
pub(super) async fn check_blocks(
    store: &Store,
    key: &Path,
    footer: Footer,
    level: Level,
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    let footer = Arc::new(footer);
    let check = |piece: Range<usize>| {
        let (store, key) = (store.clone(), key.clone());
        let footer = Arc::clone(&footer);
        tokio::spawn(async move { read_piece(&store, &key, footer, piece, level).await })
    };
    let mut results = futures::stream::iter(cut_pieces(&footer)).map(check).buffered(AT_ONCE);
    while let Some(result) = results.next().await {
        match result.map_err(|error| ArchiveError::damaged(store.show(key), error))? {
            Ok(found) => out.add(found),
            Err(error @ ArchiveError::Store { .. }) => return Err(error),
            Err(error) => out.error(&error),
        }
    }
    Ok(())
}

/// Blocks side by side that are read with one request, by their numbers.
fn cut_pieces(footer: &Footer) -> Vec<Range<usize>> {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    for (number, block) in footer.blocks.iter().enumerate() {
        match pieces.last_mut() {
            Some(piece) if block.at + block.length - start <= READ => piece.end = number + 1,
            _ => {
                start = block.at;
                pieces.push(number..number + 1);
            }
        }
    }
    pieces
}

async fn read_piece(
    store: &Store,
    key: &Path,
    footer: Arc<Footer>,
    piece: Range<usize>,
    level: Level,
) -> Result<Verification, ArchiveError> {
    let shown = store.show(key);
    let blocks = footer.blocks.get(piece.clone()).unwrap_or_default();
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(Verification::default()) };
    let range = first.at..last.at + last.length;
    if level < Level::Decode {
        store.read_range(key, range, move |reader| check_digests(&shown, &footer, piece, reader)).await
    } else {
        let start = range.start;
        store.with_range(key, range, move |bytes| check_piece(&shown, &footer, piece, &bytes, start)).await
    }
}

/// Compares the digests of the blocks `piece` of a segment, which `reader` gives from the first on.
fn check_digests(
    key: &str,
    footer: &Footer,
    piece: Range<usize>,
    reader: &mut dyn Read,
) -> std::io::Result<Verification> {
    let mut out = Verification::default();
    let mut sip = vec![0; SIP];
    // Each block begins where the one before ends: a footer that says otherwise does not read.
    for block in footer.blocks.get(piece).unwrap_or_default() {
        let mut hasher = blake3::Hasher::new();
        let mut left = block.length;
        while left > 0 {
            let part = sip.get_mut(..SIP.min(usize::try_from(left).unwrap_or(SIP))).unwrap_or_default();
            reader.read_exact(part)?;
            hasher.update(part);
            left -= part.len() as u64;
        }
        if Digest::half(&hasher) != block.digest {
            out.error(&wrong_digest(key, block));
        }
        out.bytes += block.length;
    }
    Ok(out)
}

/// Checks the blocks `piece` of a segment and all that is in them; `bytes` were read from `start` on.
fn check_piece(key: &str, footer: &Footer, piece: Range<usize>, bytes: &Bytes, start: u64) -> Verification {
    let mut out = Verification { bytes: bytes.len() as u64, ..Verification::default() };
    let mut decompressor = Decompressor::default();
    for number in piece {
        let Some(block) = footer.blocks.get(number) else { continue };
        match open_block(key, block, bytes, start, &mut decompressor) {
            Err(error) => out.error(&error),
            Ok(plain) => {
                let shares = footer.shares.iter().filter(|share| share.block as usize == number);
                shares.for_each(|share| check_share(key, footer, share, &plain, &mut decompressor, &mut out));
            }
        }
    }
    out
}

fn check_share(
    key: &str,
    footer: &Footer,
    share: &ShareRow,
    plain: &bytes::Bytes,
    decompressor: &mut Decompressor,
    out: &mut Verification,
) {
    let batches = match batches_of(key, share, plain) {
        Ok(batches) => batches,
        Err(error) => return out.error(&error),
    };
    let (mut records, mut committed, mut max, mut min) = (0, 0, i64::MIN, i64::MAX);
    for batch in &batches {
        out.batches += 1;
        records += batch.header.records();
        let plain_records = match payload(batch, decompressor, RECORDS_LIMIT) {
            Ok(records) => records,
            Err(error) => {
                out.problem(key, format!("partition {} offset {}: {error}", share.partition, batch.header.base_offset));
                continue;
            }
        };
        let counts = is_committed(batch, share.topic, share.partition, &footer.aborted);
        for record in RecordIter::new(&batch.header, &plain_records) {
            match record {
                Err(error) => {
                    out.problem(
                        key,
                        format!("partition {} offset {}: {error}", share.partition, batch.header.base_offset),
                    );
                    break;
                }
                Ok(record) if counts && batch.header.base_offset + i64::from(record.offset_delta) >= share.first => {
                    committed += 1;
                    let client_time = batch.header.base_timestamp.wrapping_add(record.timestamp_delta);
                    let appended = batch.header.attributes.log_append_time();
                    let time = if appended { batch.header.max_timestamp } else { client_time };
                    max = max.max(time);
                    min = min.min(time);
                }
                Ok(_) => {}
            }
        }
    }
    out.records += records;
    // The largest time of a batch may belong to a record that compaction removed.
    let times_fit = committed == 0 || (max <= share.max_timestamp && (!share.min_exact || min >= share.min_timestamp));
    if records != share.records || committed != share.committed || !times_fit {
        out.problem(
            key,
            format!(
                "partition {} at offset {}: counts or times are not what the index says",
                share.partition, share.first
            ),
        );
    }
}
