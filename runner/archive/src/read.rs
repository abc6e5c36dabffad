//! Reading the committed batches of chosen partitions of a recovery point as a stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use batch::{Codec, Decompressor, RawBatch};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::again::reread;
use crate::entry::SegmentRef;
use crate::guest::{ReadBatch, Served};
use crate::limit::total;
use crate::point::{Point, load_footer};
use crate::pruned::Pruned;
use crate::segment::{BlockRow, Footer, ShareRow};
use crate::wanted::Wanted;
use crate::{ArchiveError, Digest, Layout, Store};

/// Stored bytes of neighbouring blocks that are read with one request.
const PIECE: u64 = 4 << 20;
/// Decompressed bytes of one such piece.
const PIECE_SIZE: u64 = 8 << 20;
/// Unwanted bytes between two blocks that are cheaper to read than a second request.
const MERGE_GAP: u64 = 1 << 20;
/// Pieces that are read and decompressed at once.
const AHEAD: usize = 3;

/// Neighbouring blocks of one segment and the shares wanted from them.
#[derive(Debug)]
struct Piece {
    segment: SegmentRef,
    footer: Arc<Footer>,
    wanted: Arc<Wanted>,
    blocks: Vec<(BlockRow, Vec<ShareRow>)>,
}

/// A piece that is being read.
type Reading = JoinHandle<Result<Vec<ReadBatch>, ArchiveError>>;

impl Piece {
    fn size(&self) -> u64 {
        total(self.blocks.iter().map(|(block, _)| block.size))
    }
}

/// The stream of a point's batches. Dropping it stops all reading.
#[derive(Debug)]
pub struct BatchStream {
    store: Store,
    layout: Layout,
    wanted: Arc<Wanted>,
    /// What retention took away.
    pruned: Option<Arc<Pruned>>,
    segments: VecDeque<SegmentRef>,
    pieces: VecDeque<Piece>,
    /// With the decompressed bytes of each.
    running: VecDeque<(u64, Reading)>,
    ready: VecDeque<ReadBatch>,
    /// Where the batches come from, when the archive has another layout.
    served: Option<Served>,
}

impl Point {
    /// Streams the committed batches of `wanted`, segment by segment; each partition comes in offset order.
    ///
    /// # Errors
    /// When a roll-up is missing or damaged.
    pub async fn stream(&self, wanted: Wanted) -> Result<BatchStream, ArchiveError> {
        let wanted = Arc::new(wanted);
        let (segments, served) = match &self.guest {
            Some(guest) => (Vec::new(), Some(guest.read(Arc::clone(&wanted)).await?)),
            None => (self.plan(&wanted).await?.segments, None),
        };
        let mut stream = BatchStream::of((&self.store, &self.layout), segments, wanted, self.pruned().cloned());
        stream.served = served;
        Ok(stream)
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.running.iter().for_each(|(_, task)| task.abort());
    }
}

impl BatchStream {
    /// The stream of what is wanted of these segments.
    pub(crate) fn of(
        (store, layout): (&Store, &Layout),
        segments: Vec<SegmentRef>,
        wanted: Arc<Wanted>,
        pruned: Option<Arc<Pruned>>,
    ) -> Self {
        Self {
            store: store.clone(),
            layout: layout.clone(),
            segments: segments.into(),
            wanted,
            pruned,
            pieces: VecDeque::new(),
            running: VecDeque::new(),
            ready: VecDeque::new(),
            served: None,
        }
    }

    /// The next batches; `None` at the end.
    ///
    /// # Errors
    /// When something of the archive is missing or damaged.
    pub async fn next(&mut self) -> Result<Option<ReadBatch>, ArchiveError> {
        self.peek_bytes().await?;
        Ok(self.take_ready())
    }

    /// Waits until the next batches are there and returns their size; `None` at the end. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// When something of the archive is missing or damaged.
    pub async fn peek_bytes(&mut self) -> Result<Option<usize>, ArchiveError> {
        loop {
            if let Some(ready) = self.ready.front() {
                return Ok(Some(ready.bytes));
            }
            if let Some(served) = &mut self.served {
                match served.recv().await {
                    Some(next) => self.ready.push_back(next?),
                    None => return Ok(None),
                }
                continue;
            }
            self.start_reading().await?;
            let Some((_, task)) = self.running.front_mut() else { return Ok(None) };
            let done = task.await.map_err(|error| ArchiveError::damaged("read task", error));
            self.running.pop_front();
            self.ready.extend(done??);
        }
    }

    /// The batches that [`Self::peek_bytes`] found.
    pub fn take_ready(&mut self) -> Option<ReadBatch> {
        self.ready.pop_front()
    }

    async fn start_reading(&mut self) -> Result<(), ArchiveError> {
        while self.running.len() < AHEAD {
            let size = self.pieces.front().map_or(0, Piece::size);
            let ahead = total(self.running.iter().map(|(size, _)| *size));
            if ahead > 0 && ahead.saturating_add(size) > AHEAD as u64 * PIECE_SIZE {
                break; // a large block is read alone
            }
            if let Some(piece) = self.pieces.pop_front() {
                let (store, layout) = (self.store.clone(), self.layout.clone());
                self.running.push_back((size, tokio::spawn(read_piece(store, layout, piece))));
            } else if let Some(segment) = self.segments.front() {
                let mut footer = load_footer(&self.store, &self.layout, segment).await?;
                if let Some(pruned) = &self.pruned {
                    pruned.strip(&mut footer);
                }
                if let Some(segment) = self.segments.pop_front() {
                    self.pieces = cut_pieces(segment, footer, &self.wanted).into();
                }
            } else {
                break;
            }
        }
        Ok(())
    }
}

/// Blocks with wanted shares, in file order, as pieces of bounded size.
fn cut_pieces(segment: SegmentRef, footer: Footer, wanted: &Arc<Wanted>) -> Vec<Piece> {
    let mut by_block: BTreeMap<u32, Vec<ShareRow>> = BTreeMap::new();
    for share in &footer.shares {
        let topic = footer.topics.get(share.topic as usize).map(|topic| topic.id);
        if topic.is_some_and(|topic| wanted.wants_share(topic, share)) {
            by_block.entry(share.block).or_default().push(share.clone());
        }
    }
    let footer = Arc::new(footer);
    let mut pieces: Vec<Piece> = Vec::new();
    let (mut start, mut end, mut size) = (0, 0, 0);
    for (number, shares) in by_block {
        let Some(block) = footer.blocks.get(number as usize).cloned() else { continue };
        let joins =
            block.at <= end + MERGE_GAP && block.at + block.length - start <= PIECE && size + block.size <= PIECE_SIZE;
        size = if joins { size + block.size } else { block.size };
        end = block.at + block.length;
        match pieces.last_mut() {
            Some(piece) if joins => piece.blocks.push((block, shares)),
            _ => {
                start = block.at;
                let (footer, wanted) = (Arc::clone(&footer), Arc::clone(wanted));
                pieces.push(Piece { segment: segment.clone(), footer, wanted, blocks: vec![(block, shares)] });
            }
        }
    }
    pieces
}

async fn read_piece(store: Store, layout: Layout, piece: Piece) -> Result<Vec<ReadBatch>, ArchiveError> {
    let piece = Arc::new(piece);
    reread(|| read_piece_once(&store, &layout, Arc::clone(&piece))).await
}

async fn read_piece_once(store: &Store, layout: &Layout, piece: Arc<Piece>) -> Result<Vec<ReadBatch>, ArchiveError> {
    let key = layout.segment(piece.segment.claim, &piece.segment.nonce, piece.segment.seq);
    let shown = store.show(&key);
    let start = piece.blocks.first().map_or(0, |(block, _)| block.at);
    let end = piece.blocks.last().map_or(0, |(block, _)| block.at + block.length);
    let work = move |bytes: Bytes| {
        let mut out = Vec::new();
        let mut decompressor = Decompressor::default();
        for (block, shares) in &piece.blocks {
            let plain = open_block(&shown, block, &bytes, start, &mut decompressor)?;
            for share in shares {
                out.extend(read_share(&shown, &piece, share, &plain)?);
            }
        }
        Ok(out)
    };
    store.with_range(&key, start..end, work).await?
}

/// Cuts a block out of `bytes`, which were read from `start` on and hold it whole, and checks its digest.
pub(crate) fn stored_block(key: &str, block: &BlockRow, bytes: &Bytes, start: u64) -> Result<Bytes, ArchiveError> {
    let from = usize::try_from(block.at - start).unwrap_or(usize::MAX);
    let length = usize::try_from(block.length).unwrap_or(usize::MAX);
    let stored = bytes.slice(from..from + length);
    if Digest::half_of(&stored) != block.digest {
        return Err(ArchiveError::damaged(key, format!("the block at byte {} does not match its digest", block.at)));
    }
    Ok(stored)
}

/// As [`stored_block`], decompressed.
pub(crate) fn open_block(
    key: &str,
    block: &BlockRow,
    bytes: &Bytes,
    start: u64,
    decompressor: &mut Decompressor,
) -> Result<Bytes, ArchiveError> {
    unpack_block(key, block, stored_block(key, block, bytes, start)?, decompressor)
}

/// The plain bytes of a block whose digest was checked.
pub(crate) fn unpack_block(
    key: &str,
    block: &BlockRow,
    stored: Bytes,
    decompressor: &mut Decompressor,
) -> Result<Bytes, ArchiveError> {
    let unknown = || ArchiveError::damaged(key, format!("the block at byte {} has codec {}", block.at, block.codec));
    let codec = Codec::from_id(block.codec).ok_or_else(unknown)?;
    let size = usize::try_from(block.size).unwrap_or(usize::MAX);
    let plain = if codec == Codec::None {
        stored
    } else {
        let mut out = Vec::new();
        let result = decompressor.decompress(codec, &stored, size, &mut out);
        result.map_err(|source| ArchiveError::Batch { key: format!("{key} block at byte {}", block.at), source })?;
        out.into()
    };
    if plain.len() != size {
        return Err(ArchiveError::damaged(
            key,
            format!("the block at byte {} has {} bytes, not {size}", block.at, plain.len()),
        ));
    }
    Ok(plain)
}

/// The batches of a share, all of them.
pub(crate) fn batches_of(key: &str, share: &ShareRow, plain: &Bytes) -> Result<Vec<RawBatch>, ArchiveError> {
    let from = usize::try_from(share.at).unwrap_or(usize::MAX);
    let length = usize::try_from(share.length).unwrap_or(usize::MAX);
    let end = from.saturating_add(length).min(plain.len());
    let split = batch::split(&plain.slice(from.min(end)..end));
    let split = split.map_err(|source| ArchiveError::Batch { key: key.to_owned(), source })?;
    let fits = split.tail == 0
        && split
            .batches
            .first()
            .is_some_and(|b| b.header.base_offset <= share.first && b.header.last_offset() >= share.first)
        && split.batches.last().is_some_and(|b| b.header.next_offset() == share.next);
    if !fits {
        return Err(ArchiveError::damaged(
            key,
            format!("partition {} at offset {} is not what the index says", share.partition, share.first),
        ));
    }
    Ok(split.batches)
}

/// Whether the read-committed view has this batch.
pub(crate) fn is_committed(batch: &RawBatch, share: &ShareRow, footer: &Footer) -> bool {
    let header = &batch.header;
    let rolled_back = || footer.rolled_back((share.topic, share.partition), header.producer_id, header.base_offset);
    !(header.attributes.control() || header.attributes.transactional() && rolled_back())
}

fn read_share(key: &str, piece: &Piece, share: &ShareRow, plain: &Bytes) -> Result<Option<ReadBatch>, ArchiveError> {
    let footer = &piece.footer;
    let Some(topic) = footer.topics.get(share.topic as usize) else { return Ok(None) };
    let mut batches = batches_of(key, share, plain)?;
    let is_marker = |batch: &RawBatch| batch.header.attributes.control();
    batches.retain(|batch| {
        let wanted = is_committed(batch, share, footer) || (piece.wanted.markers && is_marker(batch));
        batch.header.record_count > 0 && wanted
    });
    let data = batches.iter().filter(|batch| !is_marker(batch));
    let records: u64 = data.map(|batch| batch.header.records()).sum();
    // A batch that the log start cuts through holds records that do not count.
    let cut = batches.first().is_some_and(|batch| batch.header.base_offset < share.first);
    if records != share.committed && !(cut && records > share.committed) {
        let reason = format!(
            "partition {} at offset {} has {records} committed records, the index says {}",
            share.partition, share.first, share.committed
        );
        return Err(ArchiveError::damaged(key, reason));
    }
    let until = piece.wanted.timelines.end_of(topic.id, share.partition, share.timeline);
    batches.retain(|batch| batch.header.base_offset < until);
    let bytes = batches.iter().map(|batch| batch.bytes.len()).sum();
    Ok(Some(ReadBatch { topic: topic.id, partition: share.partition, batches, from: share.first, until, bytes }))
}
