//! Roll-ups: what many log entries say of segments, in one object, sorted by partition, so that a plan reads pages
//! instead of entries. FORMAT.md, "Roll-ups".

mod build;
mod rows;
mod sealed;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::again::reread;
use crate::columns::columns;
use crate::entry::{Fork, Gap, SegmentRef, check, decode_document};
use crate::limit::{readable, total};
use crate::lost::LostSegment;
use crate::rollup_ref::RollupRef;
use crate::segment::TopicRow;
use crate::{ArchiveError, Digest, Layout, Store};

pub(crate) use build::{Coverage, Merge, Run, Runs, build, run_of_entry};
pub(crate) use rows::RowReader;
pub use sealed::SealedPoint;

/// Entries of a roll-up of level 1; a roll-up of level 2 covers as many of level 1.
pub(crate) const FANOUT: u64 = 64;
/// First bytes of a roll-up.
const MAGIC: &[u8; 8] = b"KBROLLUP";
/// A bound on what a damaged page can make us allocate.
const PAGE_LIMIT: usize = 16 << 20;

columns! {
    /// One page of rows.
    pub(crate) struct PageRow as PageColumns {
        /// First byte.
        at: u64 = "at",
        /// Stored bytes.
        length: u64 = "length",
        /// Decompressed bytes.
        size: u64 = "size",
        /// Rows inside.
        rows: u32 = "rows",
        /// Topic of the first row.
        topic: u32 = "topic",
        /// Partition of the first row.
        partition: i32 = "partition",
        /// BLAKE3 of the stored bytes, 128 bits.
        digest: Digest = "digest",
    }
}

/// The directory of a roll-up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Directory {
    pub(crate) format: u32,
    /// Features that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) requires: Vec<String>,
    /// Digest of entry `to`.
    pub(crate) last: Digest,
    /// Digest of entry `from - 1`; none at the beginning of the log, and in roll-ups of release 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Digest>,
    /// The newest roll-up that ends before this one.
    pub(crate) previous: Option<RollupRef>,
    /// Roll-ups before `previous`, newest first, so that all can be read at once; the links still decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<RollupRef>,
    /// Seals among the entries; none in roll-ups of release 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "sealed::optional")]
    pub(crate) seals: Option<Vec<SealedPoint>>,
    /// In order of id; rows point into it.
    pub(crate) topics: Vec<TopicRow>,
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) forks: Vec<Fork>,
    /// Segments that claims among the entries gave up, of these entries or of earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lost: Vec<LostSegment>,
    #[serde(with = "PageRow")]
    pub(crate) pages: Vec<PageRow>,
}

/// Bytes that lists of this kind take, in the directory or run and in the index: rounded up.
pub(crate) fn weight(
    (topics, segments): (&[TopicRow], &[SegmentRef]),
    (gaps, forks, lost): (&[Gap], &[Fork], &[LostSegment]),
) -> u64 {
    let names = topics.iter().map(|topic| topic.name.len()).chain(gaps.iter().map(|gap| gap.name.len()));
    let names = total(names.chain(forks.iter().map(|fork| fork.name.len())).map(|length| length as u64));
    let texts = total(segments.iter().map(|segment| (segment.nonce.len() + segment.digest.0.len()) as u64));
    let texts = texts.saturating_add(total(lost.iter().map(|segment| segment.nonce.len() as u64)));
    let rows = [(topics.len(), 64), (segments.len(), 160), (gaps.len(), 112), (forks.len(), 96), (lost.len(), 80)];
    let rows = total(rows.into_iter().map(|(count, bytes)| (count as u64).saturating_mul(bytes)));
    rows.saturating_add(names).saturating_add(texts).saturating_mul(2)
}

impl Directory {
    /// Bytes that it takes while the log is in use.
    pub(crate) fn weight(&self) -> u64 {
        let seals = self.seals.as_ref().map_or(0, Vec::len).saturating_add(self.earlier.len());
        let rows = (seals as u64).saturating_mul(512).saturating_add((self.pages.len() as u64).saturating_mul(256));
        rows.saturating_add(weight((&self.topics, &self.segments), (&self.gaps, &self.forks, &self.lost)))
    }

    /// Reads and checks the directory of a roll-up.
    pub(crate) async fn load(store: &Store, layout: &Layout, rollup: &RollupRef) -> Result<Self, ArchiveError> {
        reread(|| Self::load_once(store, layout, rollup)).await
    }

    async fn load_once(store: &Store, layout: &Layout, rollup: &RollupRef) -> Result<Self, ArchiveError> {
        let key = layout.rollup(rollup.level, rollup.from, rollup.to);
        let shown = store.show(&key);
        let length = rollup.size.saturating_sub(rollup.directory_at);
        let most = readable();
        if length > most as u64 {
            let reason = format!("a directory of {length} bytes; at most {most} are read");
            return Err(ArchiveError::damaged(shown, reason));
        }
        let bytes = store.get_range(&key, rollup.directory_at..rollup.size).await?;
        if Digest::of(&bytes) != rollup.digest {
            return Err(ArchiveError::damaged(shown, "its directory does not match the digest in the log"));
        }
        let directory: Self = decode_document(&shown, &bytes)?;
        match directory.impossible(rollup) {
            Some(why) => Err(ArchiveError::damaged(shown, why)),
            None => Ok(directory),
        }
    }

    /// Why the directory of this roll-up cannot be: links only lead back, pages lie side by side, numbers are numbers.
    fn impossible(&self, rollup: &RollupRef) -> Option<&'static str> {
        let mut first = rollup.from;
        for before in self.previous.iter().chain(&self.earlier) {
            if !check::can_be(before) || before.to >= first {
                return Some("it names a roll-up before it that comes later");
            }
            first = before.from;
        }
        let mut at = MAGIC.len() as u64;
        for page in &self.pages {
            if page.at != at || page.length > PAGE_LIMIT as u64 || page.size > PAGE_LIMIT as u64 {
                return Some("its pages do not lie side by side, or are too large");
            }
            at += page.length;
        }
        let inside = |seal: &SealedPoint| (rollup.from..=rollup.to).contains(&seal.entry);
        let sound = self.segments.iter().all(check::is_segment)
            && self.gaps.iter().all(check::is_gap)
            && self.forks.iter().all(check::is_fork)
            && self.seals.iter().flatten().all(inside);
        (!sound).then_some("it has numbers that cannot be")
    }

    /// The rows of some pages that stand side by side.
    pub(crate) async fn rows(
        store: &Store,
        layout: &Layout,
        rollup: &RollupRef,
        pages: &[PageRow],
    ) -> Result<Vec<RowReader>, ArchiveError> {
        reread(|| Self::pages(store, layout, rollup, pages)).await
    }

    /// Reads some pages that stand side by side, and checks them.
    pub(crate) async fn pages(
        store: &Store,
        layout: &Layout,
        rollup: &RollupRef,
        pages: &[PageRow],
    ) -> Result<Vec<RowReader>, ArchiveError> {
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else { return Ok(Vec::new()) };
        let key = layout.rollup(rollup.level, rollup.from, rollup.to);
        let bytes = store.get_range(&key, first.at..last.at.saturating_add(last.length)).await?;
        let open = |page: &PageRow| open_page(&store.show(&key), page, &bytes, first.at);
        pages.iter().map(open).collect()
    }
}

fn open_page(key: &str, page: &PageRow, bytes: &Bytes, start: u64) -> Result<RowReader, ArchiveError> {
    let from = usize::try_from(page.at.saturating_sub(start)).unwrap_or(usize::MAX);
    let length = usize::try_from(page.length).unwrap_or(usize::MAX);
    let stored = bytes.get(from..from.saturating_add(length)).unwrap_or_default();
    if Digest::half_of(stored) != page.digest {
        return Err(ArchiveError::damaged(key, format!("the page at byte {} does not match its digest", page.at)));
    }
    let size = usize::try_from(page.size).unwrap_or(usize::MAX).min(PAGE_LIMIT);
    let plain = zstd::bulk::decompress(stored, size).map_err(|error| ArchiveError::damaged(key, error))?;
    Ok(RowReader::new(plain, page.rows))
}
