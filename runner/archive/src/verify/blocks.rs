//! The blocks of one segment: their digests, and at the deepest level every batch and record in them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use batch::{Decompressor, Deltas, RawBatch, places};
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use tokio::sync::Semaphore;

use super::{Level, Look, Problem, Verification};
use crate::read::{batches_of, is_committed, stored_block, unpack_block};
use crate::segment::{Footer, ShareRow};
use crate::{ArchiveError, Store};

/// Stored bytes that are asked for with one request.
const READ: u64 = 8 << 20;
/// Such requests, and the checks of what they bring, at once.
const AT_ONCE: usize = 4;

/// Blocks that are read or unpacked at once have so many KiB together; one that is larger waits until it is alone.
const ROOM: u32 = 128 << 10;

/// Reads and checks the blocks of a segment, several pieces at once.
pub(super) async fn check_blocks(
    store: &Store,
    key: &Path,
    footer: Footer,
    how: &Look,
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    let (footer, room) = (Arc::new(footer), Arc::new(Semaphore::new(ROOM as usize)));
    let check = |piece: Range<usize>| {
        let (store, key, footer, room) = (store.clone(), key.clone(), Arc::clone(&footer), Arc::clone(&room));
        let how = how.clone();
        tokio::spawn(async move {
            let blocks = footer.blocks.get(piece.clone()).unwrap_or_default();
            let largest = blocks.iter().map(|block| block.size.max(block.length) >> 10).max().unwrap_or(0);
            let room = room.acquire_many(u32::try_from(largest).unwrap_or(ROOM).min(ROOM)).await;
            let _room = room.map_err(|error| ArchiveError::damaged(key.as_ref(), error))?;
            check_piece(&store, &key, footer, piece, how).await
        })
    };
    let mut results = futures::stream::iter(cut_pieces(&footer)).map(check).buffered(AT_ONCE);
    while let Some(result) = results.next().await {
        match result.map_err(|error| ArchiveError::damaged(store.show(key), error))? {
            Ok(found) => out.add(found),
            Err(error @ ArchiveError::Store { .. }) => return Err(error),
            Err(error) => out.deep_problem(Level::Checksum, Problem::of(&error)),
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

/// Reads and checks the blocks `piece` of a segment.
async fn check_piece(
    store: &Store,
    key: &Path,
    footer: Arc<Footer>,
    piece: Range<usize>,
    how: Look,
) -> Result<Verification, ArchiveError> {
    let shown = store.show(key);
    let blocks = footer.blocks.get(piece.clone()).unwrap_or_default();
    let mut shares = vec![Vec::new(); blocks.len()];
    for (place, share) in footer.shares.iter().enumerate() {
        let of = (share.block as usize).checked_sub(piece.start).and_then(|block| shares.get_mut(block));
        if let Some(shares) = of {
            shares.push(place);
        }
    }
    let ranges = blocks.iter().map(|block| block.at..block.at + block.length).collect();
    let mut decompressor = Decompressor::default();
    let check = move |out: &mut Verification, number: usize, bytes: &Bytes| {
        out.bytes += bytes.len() as u64;
        how.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let places = shares.get(number).into_iter().flatten();
        let shares: Vec<_> = places.filter_map(|place| footer.shares.get(*place)).collect();
        check_block(&shown, &footer, (piece.start + number, &shares), bytes, how.level, &mut decompressor, out);
    };
    store.with_ranges(key, ranges, Verification::default(), check).await
}

fn check_block(
    key: &str,
    footer: &Footer,
    (number, shares): (usize, &[&ShareRow]),
    bytes: &Bytes,
    level: Level,
    decompressor: &mut Decompressor,
    out: &mut Verification,
) {
    let Some(block) = footer.blocks.get(number) else { return };
    let stored = match stored_block(key, block, bytes, block.at) {
        Ok(stored) => stored,
        Err(error) => return out.deep_problem(Level::Checksum, Problem::of(&error)),
    };
    if level < Level::Decode {
        return;
    }
    match unpack_block(key, block, stored, decompressor) {
        Err(error) => out.deep_problem(Level::Decode, Problem::of(&error)),
        Ok(plain) => {
            for share in shares {
                check_share(key, footer, share, &plain, decompressor, out);
            }
        }
    }
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
        Err(error) => return out.deep_problem(Level::Decode, Problem::of(&error)),
    };
    let (mut records, mut committed, mut max, mut min) = (0, 0, i64::MIN, i64::MAX);
    for batch in &batches {
        out.batches += 1;
        records += batch.header.records();
        let counts = is_committed(batch, share, footer);
        let found = places(batch, decompressor, |place| {
            if counts && batch.header.takes(place.offset, &(share.first..i64::MAX)) {
                committed += 1;
                max = max.max(place.timestamp);
                min = min.min(place.timestamp);
            }
        });
        match found {
            Err(error) => {
                let what = format!("partition {} offset {}: {error}", share.partition, batch.header.base_offset);
                out.deep_problem(Level::Decode, Problem::new(key, what));
            }
            Ok(Deltas::Ascending) => {}
            Ok(Deltas::Odd) => odd(key, share, batch, out),
        }
    }
    out.records += committed;
    // The largest time of a batch may belong to a record that compaction removed.
    let times_fit = committed == 0 || (max <= share.max_timestamp && (!share.min_exact || min >= share.min_timestamp));
    if records != share.records || committed != share.committed || !times_fit {
        let what = format!(
            "partition {} at offset {}: counts or times are not what the index says",
            share.partition, share.first
        );
        out.deep_problem(Level::Decode, Problem::new(key, what));
    }
}

/// A batch whose offsets are not in order is no damage.
fn odd(key: &str, share: &ShareRow, batch: &RawBatch, out: &mut Verification) {
    let what = format!(
        "partition {} offset {}: the record offsets of a batch repeat, go backwards or lie outside of it; it is stored as the \
         broker took it, and is restored in the order of its records",
        share.partition, batch.header.base_offset
    );
    out.deep_note(Level::Decode, Problem::new(key, what));
}
