//! The segments that a log names, several at once: size, header and footer, that the footer says what the log says, that
//! offsets only grow, and at the deeper levels every block.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::path::Path;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::blocks::check_blocks;
use super::sample::Drawn;
use super::{Level, Look, Verification, noted};
use crate::entry::rows_of;
use crate::point::{footer_of, load_footer};
use crate::pruned::Pruned;
use crate::segment::{Footer, HEADER_LEN, header};
use crate::{ArchiveError, Layout, SegmentRef, SegmentRow, Store};

/// Entries, and segments, that are looked at at once.
pub(super) const AT_ONCE: usize = 16;
/// A segment up to this size is read whole, with one request instead of three.
const WHOLE: u64 = 64 << 10;

/// What rows say of one segment, added up in any order: roll-ups sort them by partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    rows: u64,
    sum: u128,
}

impl Said {
    /// Takes in a row of this topic.
    pub(super) fn add(&mut self, topic: Uuid, row: &SegmentRow) {
        let facts = (row.partition, row.timeline, row.first, row.next, row.committed);
        let hash = blake3::hash(format!("{topic} {facts:?}").as_bytes());
        let first = hash.as_bytes().iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(first);
    }

    fn of(footer: &Footer) -> Self {
        let mut out = Self::default();
        for row in rows_of(footer) {
            if let Some(topic) = footer.topics.get(row.topic as usize) {
                out.add(topic.id, &row);
            }
        }
        out
    }
}

/// A segment that was looked at.
pub(super) struct Looked {
    /// Its claim and number.
    id: (u64, u64),
    key: Path,
    footer: Result<Footer, ArchiveError>,
}

/// Looks at the structure of a segment, when `requests` allows; only a store that fails is an error.
pub(super) async fn look(
    store: Store,
    layout: Layout,
    segment: SegmentRef,
    requests: Arc<Semaphore>,
) -> Result<Looked, ArchiveError> {
    let _permit = requests.acquire().await;
    let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
    match check_structure(&store, &layout, &segment, &key).await {
        Err(error @ ArchiveError::Store { .. }) => Err(error),
        footer => Ok(Looked { id: (segment.claim, segment.seq), key, footer }),
    }
}

/// Checks segments in the order of the log.
#[derive(Debug)]
pub(super) struct Check {
    how: Look,
    /// The segments of which blocks are read; all when absent.
    drawn: Option<Drawn>,
    /// Where the shares of each timeline end so far.
    ends: HashMap<(Uuid, i32, u32), i64>,
}

impl Check {
    pub(super) fn new(how: &Look, drawn: Option<Drawn>) -> Self {
        Self { how: how.clone(), drawn, ends: HashMap::new() }
    }

    /// The next segment, what the log says of it, where that could be read, and what retention took away.
    pub(super) async fn segment(
        &mut self,
        store: &Store,
        looked: Looked,
        (said, pruned): (Option<Said>, Option<&Pruned>),
        out: &mut Verification,
    ) -> Result<(), ArchiveError> {
        out.segments += 1;
        let Some(footer) = noted(looked.footer, out)? else { return Ok(()) };
        let shown = store.show(&looked.key);
        if said.is_some_and(|said| said != Said::of(&footer)) {
            out.problem(&shown, "the log and the footer disagree on what it holds");
        }
        self.check_order(&footer, &shown, out);
        let hidden = pruned.map_or(0, |pruned| pruned.hidden_records(&footer));
        let is_drawn = self.drawn.as_ref().is_none_or(|drawn| drawn.has(looked.id));
        if self.how.level >= Level::Checksum && is_drawn {
            out.segments_read += 1;
            let before = out.records;
            check_blocks(store, &looked.key, footer, &self.how, out).await?;
            // What is hidden is checked as well, and is no part of the point.
            out.records = out.records.saturating_sub(hidden).max(before);
        }
        Ok(())
    }

    /// Offsets of a timeline only grow from share to share and from segment to segment.
    fn check_order(&mut self, footer: &Footer, key: &str, out: &mut Verification) {
        for share in &footer.shares {
            let Some(topic) = footer.topics.get(share.topic as usize) else { continue };
            let end = self.ends.entry((topic.id, share.partition, share.timeline)).or_insert(i64::MIN);
            if share.first < *end {
                out.problem(key, format!("{}/{} goes back from {end} to {}", topic.name, share.partition, share.first));
            }
            *end = share.next;
        }
    }
}

/// Size, header and footer of a segment.
async fn check_structure(
    store: &Store,
    layout: &Layout,
    segment: &SegmentRef,
    key: &Path,
) -> Result<Footer, ArchiveError> {
    let shown = store.show(key);
    let missing = || ArchiveError::damaged(&shown, "the segment is missing");
    let (size, head, footer) = if segment.size <= WHOLE {
        let bytes = store.get(key).await?.ok_or_else(missing)?;
        let footer_at = usize::try_from(segment.footer_at).unwrap_or(usize::MAX).min(bytes.len());
        let head_length = usize::try_from(HEADER_LEN).unwrap_or(usize::MAX).min(bytes.len());
        let footer = footer_of(&shown, segment, &bytes.slice(footer_at..));
        (bytes.len() as u64, bytes.slice(..head_length), footer)
    } else {
        let size = store.size(key).await?.ok_or_else(missing)?;
        if size != segment.size {
            return Err(ArchiveError::damaged(shown, format!("{size} bytes instead of {}", segment.size)));
        }
        let (head, footer) = futures::join!(store.get_range(key, 0..HEADER_LEN), load_footer(store, layout, segment));
        (size, head?, footer)
    };
    if size != segment.size {
        return Err(ArchiveError::damaged(shown, format!("{size} bytes instead of {}", segment.size)));
    }
    if head != header(segment.claim, &segment.nonce, segment.seq) {
        return Err(ArchiveError::damaged(shown, "the header is not that of this segment"));
    }
    footer
}
