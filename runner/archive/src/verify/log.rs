//! The entries of a log up to a seal, each read once: the links between them, the segments that they name, and the
//! roll-ups that sum them up.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::blocks::check_blocks;
use super::{Level, Verification, noted};
use crate::entry::{Gap, rows_of};
use crate::index::says_the_same;
use crate::point::{footer_of, load_footer};
use crate::rollup::{Directory, RollupRef, Run, run_of_entry};
use crate::segment::{Footer, HEADER_LEN, header};
use crate::sums::Sums;
use crate::{ArchiveError, Chain, Digest, Entry, Layout, SegmentRef, Store};

/// Entries, and segments, that are looked at at once.
const AT_ONCE: usize = 16;
/// A segment up to this size is read whole, with one request instead of three.
const WHOLE: u64 = 64 << 10;

/// What the entries say.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) sums: Sums,
    pub(super) gaps: Vec<Gap>,
    /// Whether every entry could be read.
    pub(super) complete: bool,
}

/// Where the shares of each timeline end so far.
type Ends = HashMap<(Uuid, i32, u32), i64>;

/// Checks the entries up to `seal`, their segments, and these roll-ups, oldest first.
pub(super) async fn check_log(
    store: &Store,
    layout: &Layout,
    seal: u64,
    rollups: Vec<(RollupRef, Arc<Directory>)>,
    level: Level,
    out: &mut Verification,
) -> Result<Log, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let requests = Arc::new(Semaphore::new(AT_ONCE));
    let read = |number: u64| {
        let (chain, store, layout, requests) = (chain.clone(), store.clone(), layout.clone(), Arc::clone(&requests));
        async move {
            match chain.entry(number).await {
                Err(error @ ArchiveError::Store { .. }) => Err(error),
                Err(error) => Ok((number, Err(error))),
                Ok((entry, digest)) => {
                    let footers = footers(&store, &layout, &entry, &requests).await?;
                    Ok((number, Ok((entry, digest, footers))))
                }
            }
        }
    };
    let mut entries = futures::stream::iter(0..=seal).map(read).buffered(AT_ONCE);
    let mut log = Log { complete: true, ..Log::default() };
    let (mut before, mut ends) = (None::<Digest>, Ends::new());
    let mut sources = Sources::new(rollups);
    while let Some((number, found)) = entries.try_next().await? {
        let Some((entry, digest, footers)) = noted(found, out)? else {
            log.complete = false;
            before = None;
            sources.lose(number);
            continue;
        };
        let linked = if number == 0 { entry.previous.is_none() } else { before.is_none() || entry.previous == before };
        if !linked {
            let what = "it does not follow the entry before it: one of them was replaced";
            out.problem(&store.show(&layout.entry(number)), what);
            log.complete = false;
        }
        for row in &entry.rows {
            if let Some(topic) = entry.topics.get(row.topic as usize) {
                log.sums.add(topic.id, row);
            }
        }
        log.gaps.extend_from_slice(&entry.gaps);
        check_segments(store, (&entry, footers), level, &mut ends, out).await?;
        sources.take(store, layout, &entry, &digest, out).await?;
        before = Some(digest);
    }
    Ok(log)
}

/// The entries of the roll-up that is next to compare, as rows.
struct Sources {
    rollups: std::collections::VecDeque<(RollupRef, Arc<Directory>)>,
    runs: Vec<Run>,
}

impl Sources {
    fn new(rollups: Vec<(RollupRef, Arc<Directory>)>) -> Self {
        Self { rollups: rollups.into(), runs: Vec::new() }
    }

    /// A roll-up with an entry that cannot be read is compared with nothing; the entry is a problem already.
    fn lose(&mut self, number: u64) {
        if self.rollups.front().is_some_and(|(rollup, _)| (rollup.from..=rollup.to).contains(&number)) {
            self.rollups.pop_front();
            self.runs.clear();
        }
    }

    /// Takes in an entry; the last one of a roll-up is where the two are compared.
    async fn take(
        &mut self,
        store: &Store,
        layout: &Layout,
        entry: &Entry,
        digest: &Digest,
        out: &mut Verification,
    ) -> Result<(), ArchiveError> {
        let Some((rollup, directory)) = self.rollups.front() else { return Ok(()) };
        if entry.n < rollup.from {
            return Ok(());
        }
        self.runs.push(run_of_entry(entry, digest));
        if entry.n < rollup.to {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.runs);
        let key = layout.rollup(rollup.level, rollup.from, rollup.to);
        let shown = store.show(&key);
        if noted(says_the_same(store, layout, rollup, directory, runs).await, out)? == Some(false) {
            out.problem(&shown, "it does not say what its entries say");
        }
        if store.size(&key).await? != Some(rollup.size) {
            out.problem(&shown, "it has not the size that the log names");
        }
        self.rollups.pop_front();
        Ok(())
    }
}

/// What came of looking at a segment.
type Looked = Result<Footer, ArchiveError>;

/// Looks at the segments of an entry: as many at once as `requests` allows, over all entries that are on their way.
async fn footers(
    store: &Store,
    layout: &Layout,
    entry: &Entry,
    requests: &Arc<Semaphore>,
) -> Result<Vec<(Path, Looked)>, ArchiveError> {
    let look = |segment: SegmentRef| {
        let (store, layout, requests) = (store.clone(), layout.clone(), Arc::clone(requests));
        async move {
            let _permit = requests.acquire().await;
            let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
            match check_structure(&store, &layout, &segment, &key).await {
                Err(error @ ArchiveError::Store { .. }) => Err(error),
                found => Ok((key, found)),
            }
        }
    };
    futures::stream::iter(entry.segments.clone()).map(look).buffered(AT_ONCE).try_collect().await
}

/// The segments of one entry are what it says of them.
async fn check_segments(
    store: &Store,
    (entry, footers): (&Entry, Vec<(Path, Looked)>),
    level: Level,
    ends: &mut Ends,
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    for ((key, footer), number) in footers.into_iter().zip(0u32..) {
        out.segments += 1;
        let Some(footer) = noted(footer, out)? else { continue };
        let shown = store.show(&key);
        let facts = |row: &crate::SegmentRow| (row.partition, row.timeline, row.first, row.next, row.committed);
        let named = entry.rows.iter().filter(|row| row.segment == number).map(facts);
        if !named.eq(rows_of(&footer).iter().map(facts)) {
            out.problem(&shown, "the log and the footer disagree on what it holds");
        }
        check_order(&footer, ends, &shown, out);
        if level >= Level::Checksum {
            check_blocks(store, &key, footer, level, out).await?;
        }
    }
    Ok(())
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

/// Offsets of a timeline only grow from share to share and from segment to segment.
fn check_order(footer: &Footer, ends: &mut Ends, key: &str, out: &mut Verification) {
    for share in &footer.shares {
        let Some(topic) = footer.topics.get(share.topic as usize) else { continue };
        let end = ends.entry((topic.id, share.partition, share.timeline)).or_insert(i64::MIN);
        if share.first < *end {
            out.problem(key, format!("{}/{} goes back from {end} to {}", topic.name, share.partition, share.first));
        }
        *end = share.next;
    }
}
