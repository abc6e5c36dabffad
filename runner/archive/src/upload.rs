//! Writing one segment: blocks go out in parts of 8 MiB (5 on a slow line) while the next ones are packed. To a store that takes no parts
//! a segment goes whole.
//!
//! Whatever the store answers at the end, the object decides: its size, and its last bytes.

use std::collections::HashMap;

use bytes::Bytes;
use contract::{Code, CrashPoint, crash};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use crate::entry::{SegmentRef, SegmentRow, rows_of};
use crate::segment::{
    AbortedRange, AbortedRow, BlockRow, Footer, HEADER_LEN, PackedBlock, TRAILER_LEN, TopicRow, Trailer, header,
};
use crate::{ArchiveError, Digest, Store};

/// Bytes of a part; every part of an upload but the last has exactly the same size.
const PART: usize = 8 << 20;
/// The same on a slow line: the least that S3 takes.
const SMALL_PART: usize = 5 << 20;
/// Parts on their way at once.
const PARTS_IN_FLIGHT: usize = 4;
/// Most that is kept of a segment which cannot go in parts.
const WHOLE: usize = 64 << 20;

/// A segment that is being written.
#[derive(Debug)]
pub(crate) struct SegmentUpload {
    store: Store,
    key: Path,
    footer: Footer,
    /// Bytes that do not fill a part yet.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    position: u64,
    /// Bytes of each part.
    part: usize,
    multipart: Option<Box<dyn MultipartUpload>>,
    /// The store takes no parts.
    whole: bool,
    parts: JoinSet<Result<(), object_store::Error>>,
}

/// A finished segment, not yet named by the log.
#[derive(Debug, Clone)]
pub(crate) struct FinishedSegment {
    pub(crate) reference: SegmentRef,
    pub(crate) rows: Vec<SegmentRow>,
    pub(crate) topics: Vec<TopicRow>,
}

impl SegmentUpload {
    pub(crate) fn new(store: Store, key: Path, claim: u64, nonce: &str, seq: u64) -> Self {
        let head = Bytes::from(header(claim, nonce, seq));
        let part = if store.is_slow() { SMALL_PART } else { PART };
        Self {
            part,
            store,
            key,
            footer: Footer::new(claim, nonce, seq),
            waiting_bytes: head.len(),
            waiting: vec![head],
            position: HEADER_LEN,
            multipart: None,
            whole: false,
            parts: JoinSet::new(),
        }
    }

    /// Bytes of blocks so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.position
    }

    /// Adds a block; returns when it is on its way, but for what does not fill a part.
    pub(crate) async fn push(
        &mut self,
        block: PackedBlock,
        name_of: impl Fn(uuid::Uuid) -> Option<String>,
    ) -> Result<(), ArchiveError> {
        let number = u32::try_from(self.footer.blocks.len()).map_err(|_| self.too_many("blocks"))?;
        self.footer.blocks.push(BlockRow {
            at: self.position,
            length: block.length,
            codec: block.codec.id(),
            size: block.size,
            digest: block.digest,
        });
        self.position += block.length;
        for share in block.shares {
            let mut row = share.row;
            row.topic = self.topic(share.topic, &name_of)?;
            row.block = number;
            self.footer.shares.push(row);
        }
        for part in block.parts {
            self.waiting_bytes += part.len();
            self.waiting.push(part);
        }
        while self.waiting_bytes >= self.part && !self.whole {
            if let Err(error) = self.send_part(self.part).await {
                self.abandon().await;
                return Err(error);
            }
        }
        if self.whole && self.waiting_bytes > WHOLE {
            let reason = format!(
                "the store takes no objects in parts, and a segment of more than {WHOLE} bytes cannot go whole; set backup.segmentMaxBytes to 1048576, or use another store"
            );
            return Err(ArchiveError::Config { reason, code: Code::StoreRefused });
        }
        Ok(())
    }

    /// Ends an upload that will not be finished, so that its parts do not stay.
    async fn abandon(&mut self) {
        self.parts.abort_all();
        if let Some(mut upload) = self.multipart.take()
            && let Err(error) = upload.abort().await
        {
            tracing::info!(%error, "parts of an upload stay in the store");
        }
    }

    fn too_many(&self, what: &str) -> ArchiveError {
        let reason = format!("{}: a segment has no room for so many {what}", self.store.show(&self.key));
        ArchiveError::Config { reason, code: Code::Internal }
    }

    /// Notes the transactions among the blocks that were rolled back.
    pub(crate) fn note_aborted(
        &mut self,
        aborted: Vec<AbortedRange>,
        name_of: impl Fn(uuid::Uuid) -> Option<String>,
    ) -> Result<(), ArchiveError> {
        for (id, partition, producer, from, to) in aborted {
            let topic = self.topic(id, &name_of)?;
            self.footer.aborted.push(AbortedRow { topic, partition, producer, from, to });
        }
        Ok(())
    }

    /// Copies what waits: whoever owns the memory it came in can have that back.
    pub(crate) fn let_go(&mut self) {
        let copy = self.waiting.concat();
        self.waiting = vec![copy.into()];
    }

    fn topic(&mut self, id: uuid::Uuid, name_of: &impl Fn(uuid::Uuid) -> Option<String>) -> Result<u32, ArchiveError> {
        let known = self.footer.topics.iter().rposition(|topic| topic.id == id);
        let position = if let Some(known) = known {
            known
        } else {
            let name = name_of(id).ok_or_else(|| ArchiveError::unknown_topic(id))?;
            self.footer.topics.push(TopicRow { id, name });
            self.footer.topics.len() - 1
        };
        u32::try_from(position).map_err(|_| self.too_many("topics"))
    }

    /// Cuts `len` bytes off what waits and sends them as a part, unless the store takes none.
    async fn send_part(&mut self, len: usize) -> Result<(), ArchiveError> {
        if self.multipart.is_none() && !self.begin_parts().await? {
            return Ok(());
        }
        let payload = self.cut(len);
        while self.parts.len() >= PARTS_IN_FLIGHT {
            self.part_done().await?;
        }
        if let Some(upload) = &mut self.multipart {
            self.parts.spawn(upload.put_part(payload));
            crash::at(CrashPoint::PartSent);
        }
        Ok(())
    }

    /// Begins an upload in parts. Returns whether the store takes them.
    async fn begin_parts(&mut self) -> Result<bool, ArchiveError> {
        match self.store.inner().put_multipart(&self.store.path(&self.key)).await {
            Ok(upload) => self.multipart = Some(upload),
            Err(error) => {
                let failure = self.failed(&error);
                if failure.code() != Code::StoreRefused {
                    return Err(failure);
                }
                tracing::warn!(%failure, "segments go whole: the store takes no objects in parts");
                self.whole = true;
            }
        }
        Ok(!self.whole)
    }

    fn cut(&mut self, len: usize) -> PutPayload {
        let mut missing = len;
        let mut taken = Vec::new();
        let mut rest = std::mem::take(&mut self.waiting).into_iter();
        for mut bytes in rest.by_ref() {
            if bytes.len() > missing {
                taken.push(bytes.split_to(missing));
                self.waiting.push(bytes);
                break;
            }
            missing -= bytes.len();
            taken.push(bytes);
            if missing == 0 {
                break;
            }
        }
        self.waiting.extend(rest);
        self.waiting_bytes -= len;
        taken.into_iter().collect()
    }

    async fn part_done(&mut self) -> Result<(), ArchiveError> {
        match self.parts.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(self.failed(&error)),
            Some(Err(error)) => Err(ArchiveError::damaged(self.store.show(&self.key), error)),
        }
    }

    fn failed(&self, error: &object_store::Error) -> ArchiveError {
        ArchiveError::store("write", self.store.show(&self.key), error)
    }

    /// Writes footer and trailer, waits for everything, and has the store confirm the size.
    pub(crate) async fn finish(mut self) -> Result<FinishedSegment, ArchiveError> {
        self.sort_footer()?;
        let footer = Bytes::from(self.footer.encode()?);
        let digest = blake3::hash(&footer);
        let trailer = Trailer { footer_length: footer.len() as u64, footer_digest: *digest.as_bytes() };
        let footer_at = self.position;
        let size = footer_at + footer.len() as u64 + TRAILER_LEN;
        for bytes in [footer.clone(), trailer.encode().into()] {
            self.waiting_bytes += bytes.len();
            self.waiting.push(bytes);
        }
        crash::at(CrashPoint::SegmentClosing);
        let tail = [footer.as_ref(), &trailer.encode()].concat();
        if let Err(error) = self.complete().await {
            let (store, key) = (self.store.clone(), self.key.clone());
            if !is_there(&store, &key, &error, footer_at, &tail).await {
                self.abandon().await;
                return Err(error);
            }
        } else {
            self.store.shows(&self.key, size).await?;
        }
        crash::at(CrashPoint::SegmentDurable);
        let reference = SegmentRef {
            claim: self.footer.claim,
            nonce: self.footer.nonce.clone(),
            seq: self.footer.seq,
            size,
            footer_at,
            footer_length: footer.len() as u64,
            digest: Digest(digest.to_hex().to_string()),
        };
        Ok(FinishedSegment { rows: rows_of(&self.footer), topics: self.footer.topics.clone(), reference })
    }

    async fn complete(&mut self) -> Result<(), ArchiveError> {
        let in_parts = self.multipart.is_some() || self.waiting_bytes > self.part;
        while in_parts && !self.whole && self.waiting_bytes > 0 {
            self.send_part(self.waiting_bytes.min(self.part)).await?;
        }
        while !self.parts.is_empty() {
            self.part_done().await?;
        }
        match &mut self.multipart {
            None => {
                let payload = self.cut(self.waiting_bytes);
                self.store.put(&self.key, payload).await
            }
            Some(upload) => upload.complete().await.map(drop).map_err(|error| self.failed(&error)),
        }
    }

    /// Topics by id, then shares and aborted ranges in the order that readers rely on.
    fn sort_footer(&mut self) -> Result<(), ArchiveError> {
        let mut order: Vec<u32> = (0u32..).take(self.footer.topics.len()).collect();
        order.sort_by_key(|old| self.footer.topics.get(*old as usize).map(|topic| topic.id));
        let place: HashMap<u32, u32> = order.into_iter().zip(0u32..).collect();
        let moved = |old: u32| {
            let stray = || ArchiveError::unencodable(format!("a footer names topic number {old}, which is not there"));
            place.get(&old).copied().ok_or_else(stray)
        };
        self.footer.topics.sort_by_key(|topic| topic.id);
        for share in &mut self.footer.shares {
            share.topic = moved(share.topic)?;
        }
        for row in &mut self.footer.aborted {
            row.topic = moved(row.topic)?;
        }
        self.footer.shares.sort_by_key(|s| (s.topic, s.partition, s.timeline, s.first));
        self.footer.aborted.sort_by_key(|a| (a.topic, a.partition, a.from, a.producer));
        Ok(())
    }
}

/// Whether the object is whole although the store's last answer was `error`: the answer may be what was lost. The
/// size is known to the byte, and the last bytes hold the digest of all before them.
async fn is_there(store: &Store, key: &Path, error: &ArchiveError, footer_at: u64, tail: &[u8]) -> bool {
    let size = footer_at + tail.len() as u64;
    let there = match error.code() {
        Code::StoreUnreachable => store.shows(key, size).await.is_ok(),
        // The store answers: one look is enough.
        _ => matches!(store.size(key).await, Ok(Some(found)) if found == size),
    };
    let same = there && store.get_range(key, footer_at..size).await.is_ok_and(|bytes| bytes == tail);
    if same {
        tracing::info!(%error, "the segment is whole: only the store's answer was lost");
    }
    same
}
