//! The blocks of one segment: their digests, and at the deepest level every batch and record in them.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use batch::{Decompressor, RecordIter, payload};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;

use super::{Level, Verification};
use crate::read::{batches_of, is_committed, open_block, stored_block};
use crate::segment::{Footer, ShareRow};
use crate::{ArchiveError, Store};

/// A bound on decompressed records of one batch.
const RECORDS_LIMIT: usize = 1 << 30;
/// Stored bytes that are read with one request.
const READ: u64 = 2 << 20;
/// Such requests, and the checks of what they bring, at once.
const AT_ONCE: usize = 6;

/// Memory that pieces are read into, again and again: fresh memory costs as much as the hashing.
type Buffers = Mutex<Vec<Vec<u8>>>;

/// Reads and checks the blocks of a segment, several pieces at once.
pub(super) async fn check_blocks(
    store: &Store,
    key: &Path,
    footer: Footer,
    level: Level,
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    let (footer, buffers) = (Arc::new(footer), Arc::new(Buffers::default()));
    let check = |piece: Range<usize>| {
        let (store, key) = (store.clone(), key.clone());
        let (footer, buffers) = (Arc::clone(&footer), Arc::clone(&buffers));
        tokio::spawn(async move { read_piece(&store, &key, footer, buffers, piece, level).await })
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
    buffers: Arc<Buffers>,
    piece: Range<usize>,
    level: Level,
) -> Result<Verification, ArchiveError> {
    let shown = store.show(key);
    let blocks = footer.blocks.get(piece.clone()).unwrap_or_default();
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(Verification::default()) };
    let (start, end) = (first.at, last.at + last.length);
    let buffer = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    let check = move |bytes: Bytes| {
        let out = check_piece(&shown, &footer, piece, &bytes, start, level);
        if let Ok(buffer) = bytes.try_into_mut() {
            buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer.into());
        }
        out
    };
    store.with_range(key, start..end, buffer, check).await
}

/// Checks the blocks `piece` of a segment, whose bytes were read from `start` on.
fn check_piece(
    key: &str,
    footer: &Footer,
    piece: Range<usize>,
    bytes: &Bytes,
    start: u64,
    level: Level,
) -> Verification {
    let mut out = Verification { bytes: bytes.len() as u64, ..Verification::default() };
    let mut decompressor = Decompressor::default();
    for number in piece {
        let Some(block) = footer.blocks.get(number) else { continue };
        if level < Level::Decode {
            if let Err(error) = stored_block(key, block, bytes, start) {
                out.error(&error);
            }
            continue;
        }
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
