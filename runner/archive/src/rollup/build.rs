//! Making a roll-up: sorted runs of rows are merged and written page by page.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use bytes::Bytes;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::rows::{RowReader, RowWriter};
use super::{Directory, MAGIC, PageRow, SealedPoint};
use crate::entry::{FORMAT, Fork, Gap, SegmentRef, SegmentRow, encode_document};
use crate::lost::{LostSegment, required_for};
use crate::rollup_ref::RollupRef;
use crate::segment::TopicRow;
use crate::{ArchiveError, Digest, Entry, Layout, Store};

/// Decompressed bytes of a page.
const PAGE: usize = 256 << 10;
/// Bytes of a part of an upload.
const PART: usize = 8 << 20;

/// Rows in order of topic, partition and segment: those of an entry, or the pages of a roll-up.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Digest of the entry before it.
    before: Option<Digest>,
    seals: Vec<SealedPoint>,
    pub(crate) topics: Vec<TopicRow>,
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) forks: Vec<Fork>,
    pub(crate) lost: Vec<LostSegment>,
    reader: RowReader,
    /// Pages that come after what `reader` holds.
    rest: VecDeque<PageRow>,
    rollup: Option<RollupRef>,
}

/// An entry's rows, encoded: they take a fraction of the memory.
pub(crate) fn run_of_entry(entry: &Entry, digest: &Digest) -> Run {
    let mut order: Vec<u32> = (0u32..).take(entry.topics.len()).collect();
    order.sort_by_key(|place| entry.topics.get(*place as usize).map(|topic| topic.id));
    let mut moved = vec![0u32; order.len()];
    for (new, old) in (0u32..).zip(&order) {
        if let Some(slot) = moved.get_mut(*old as usize) {
            *slot = new;
        }
    }
    let place = |row: &SegmentRow| moved.get(row.topic as usize).copied().unwrap_or(0);
    let mut rows: Vec<&SegmentRow> = entry.rows.iter().collect();
    rows.sort_by_key(|row| (place(row), row.partition, row.segment));
    let mut writer = RowWriter::default();
    for row in rows {
        writer.push(&SegmentRow { topic: place(row), ..row.clone() });
    }
    Run {
        before: entry.previous.clone(),
        seals: SealedPoint::of(entry, digest).into_iter().collect(),
        topics: order.iter().filter_map(|old| entry.topics.get(*old as usize).cloned()).collect(),
        segments: entry.segments.clone(),
        gaps: entry.gaps.clone(),
        forks: entry.forks.clone(),
        lost: entry.lost.clone(),
        reader: RowReader::new(writer.bytes, writer.rows),
        rest: VecDeque::new(),
        rollup: None,
    }
}

impl Run {
    /// Bytes that it takes while the log is in use.
    pub(crate) fn weight(&self) -> u64 {
        let lists = super::weight((&self.topics, &self.segments), (&self.gaps, &self.forks, &self.lost));
        lists.saturating_add(self.reader.held() as u64)
    }

    /// The pages of a roll-up.
    pub(crate) fn of_rollup(rollup: RollupRef, directory: Directory) -> Self {
        Self {
            before: directory.before,
            seals: directory.seals.unwrap_or_default(),
            topics: directory.topics,
            segments: directory.segments,
            gaps: directory.gaps,
            forks: directory.forks,
            lost: directory.lost,
            reader: RowReader::new(Vec::new(), 0),
            rest: directory.pages.into(),
            rollup: Some(rollup),
        }
    }

    async fn next(&mut self, store: &Store, layout: &Layout) -> Result<Option<SegmentRow>, ArchiveError> {
        loop {
            if let Some(row) = self.reader.next()? {
                return Ok(Some(row.clone()));
            }
            let (Some(page), Some(rollup)) = (self.rest.pop_front(), &self.rollup) else { return Ok(None) };
            let mut readers = Directory::pages(store, layout, rollup, &[page]).await?;
            if let Some(reader) = readers.pop() {
                self.reader = reader;
            }
        }
    }

    /// Takes the rows out, when they are all in memory.
    pub(crate) fn into_reader(self) -> RowReader {
        self.reader
    }
}

/// Runs whose rows come out in one order, with topics and segments numbered anew.
pub(crate) struct Runs {
    sources: Vec<Run>,
    before: Option<Digest>,
    seals: Vec<SealedPoint>,
    pub(crate) topics: Vec<TopicRow>,
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) forks: Vec<Fork>,
    pub(crate) lost: Vec<LostSegment>,
    /// New numbers of each run's topics, and of its first segment.
    places: Vec<(Vec<u32>, u32)>,
}

impl Runs {
    pub(crate) fn new(mut runs: Vec<Run>) -> Self {
        let mut by_id: BTreeMap<Uuid, String> = BTreeMap::new();
        // A later name of a topic counts.
        by_id.extend(runs.iter().flat_map(|run| &run.topics).map(|topic| (topic.id, topic.name.clone())));
        let number: BTreeMap<Uuid, u32> = by_id.keys().copied().zip(0u32..).collect();
        let (mut segments, mut gaps, mut forks, mut places) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut lost = Vec::new();
        let before = runs.first().and_then(|run| run.before.clone());
        let seals = runs.iter_mut().flat_map(|run| std::mem::take(&mut run.seals)).collect();
        for run in &mut runs {
            let topics = run.topics.iter().map(|topic| number.get(&topic.id).copied().unwrap_or(0)).collect();
            places.push((topics, u32::try_from(segments.len()).unwrap_or(u32::MAX)));
            segments.append(&mut run.segments);
            gaps.append(&mut run.gaps);
            forks.append(&mut run.forks);
            lost.append(&mut run.lost);
        }
        let topics = by_id.into_iter().map(|(id, name)| TopicRow { id, name }).collect();
        Self { sources: runs, before, seals, topics, segments, gaps, forks, lost, places }
    }

    /// The next row of one run, with its new numbers.
    async fn next(&mut self, run: usize, store: &Store, layout: &Layout) -> Result<Option<SegmentRow>, ArchiveError> {
        let (Some(source), Some((topics, first))) = (self.sources.get_mut(run), self.places.get(run)) else {
            return Ok(None);
        };
        let Some(row) = source.next(store, layout).await? else { return Ok(None) };
        let topic = topics.get(row.topic as usize).copied().ok_or_else(|| {
            let reason = format!("a row of partition {} names topic number {}", row.partition, row.topic);
            ArchiveError::damaged("roll-up", format!("{reason}, which is not there"))
        })?;
        Ok(Some(SegmentRow { topic, segment: row.segment.saturating_add(*first), ..row }))
    }
}

/// The rows of runs, one after the other: by topic and partition, of one partition in log order.
pub(crate) struct Merge {
    pub(crate) runs: Runs,
    heads: BinaryHeap<Reverse<(u32, i32, usize)>>,
    waiting: Vec<Option<SegmentRow>>,
}

impl Merge {
    /// Reads the first row of each run.
    pub(crate) async fn new(mut runs: Runs, store: &Store, layout: &Layout) -> Result<Self, ArchiveError> {
        // Runs are in log order: of equal partitions the older run comes first.
        let (mut heads, mut waiting) = (BinaryHeap::new(), Vec::new());
        for number in 0..runs.sources.len() {
            let row = runs.next(number, store, layout).await?;
            heads.extend(row.iter().map(|row| Reverse((row.topic, row.partition, number))));
            waiting.push(row);
        }
        Ok(Self { runs, heads, waiting })
    }

    /// The next row; `None` after the last.
    pub(crate) async fn next(&mut self, store: &Store, layout: &Layout) -> Result<Option<SegmentRow>, ArchiveError> {
        let Some(Reverse((_, _, number))) = self.heads.pop() else { return Ok(None) };
        let following = self.runs.next(number, store, layout).await?;
        self.heads.extend(following.iter().map(|row| Reverse((row.topic, row.partition, number))));
        Ok(self.waiting.get_mut(number).and_then(|slot| std::mem::replace(slot, following)))
    }
}

/// Where a roll-up stands in the log.
#[derive(Debug, Clone)]
pub(crate) struct Coverage {
    pub(crate) level: u32,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Digest of entry `to`.
    pub(crate) last: Digest,
    pub(crate) previous: Option<RollupRef>,
    pub(crate) earlier: Vec<RollupRef>,
    /// Whether it says what release 0.1 said, and no more.
    pub(crate) first_release: bool,
}

/// Writes a roll-up of these runs to `target`; pages of older roll-ups come from `store`.
pub(crate) async fn build(
    store: &Store,
    target: &Store,
    layout: &Layout,
    place: Coverage,
    runs: Runs,
) -> Result<RollupRef, ArchiveError> {
    let Coverage { level, from, to, last, previous, earlier, first_release } = place;
    let key = layout.rollup(level, from, to);
    let mut out = Output::new(target, &key);
    out.write(MAGIC).await?;
    let mut merge = Merge::new(runs, store, layout).await?;
    let (mut pages, mut page, mut key_of_page) = (Vec::new(), RowWriter::default(), (0, 0));
    while let Some(row) = merge.next(store, layout).await? {
        if page.rows == 0 {
            key_of_page = (row.topic, row.partition);
        }
        page.push(&row);
        if page.bytes.len() >= PAGE {
            pages.push(out.page(std::mem::take(&mut page), key_of_page).await?);
        }
    }
    if page.rows > 0 {
        pages.push(out.page(page, key_of_page).await?);
    }
    let Runs { before, seals, topics, segments, gaps, forks, lost, .. } = merge.runs;
    let (before, seals) = if first_release { (None, None) } else { (before, Some(seals)) };
    let (format, requires) = (FORMAT, required_for(&lost));
    let directory = Directory {
        format,
        requires,
        last,
        before,
        previous,
        earlier,
        seals,
        topics,
        segments,
        gaps,
        forks,
        lost,
        pages,
    };
    let bytes = encode_document(&directory)?;
    let directory_at = out.written;
    out.write(&bytes).await?;
    let size = out.finish().await?;
    Ok(RollupRef { level, from, to, size, directory_at, digest: Digest::of(&bytes) })
}

/// An object that is written front to back.
struct Output {
    writer: BufWriter,
    shown: String,
    written: u64,
}

impl Output {
    fn new(store: &Store, key: &object_store::path::Path) -> Self {
        let writer = BufWriter::with_capacity(std::sync::Arc::clone(store.inner()), store.path(key), PART);
        Self { writer, shown: store.show(key), written: 0 }
    }

    fn fail(&self, error: &std::io::Error) -> ArchiveError {
        if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<object_store::Error>()) {
            return ArchiveError::store("write", &self.shown, inner);
        }
        let reason = contract::words::of_system(error);
        ArchiveError::Store {
            operation: "write",
            key: self.shown.clone(),
            reason,
            code: contract::Code::StoreUnreachable,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let result = self.writer.write_all(bytes).await;
        result.map_err(|error| self.fail(&error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    async fn page(&mut self, page: RowWriter, (topic, partition): (u32, i32)) -> Result<PageRow, ArchiveError> {
        let packed = zstd::bulk::compress(&page.bytes, 3).map_err(|error| self.fail(&error))?;
        let packed = Bytes::from(packed);
        let row = PageRow {
            at: self.written,
            length: packed.len() as u64,
            size: page.bytes.len() as u64,
            rows: page.rows,
            topic,
            partition,
            digest: Digest::half_of(&packed),
        };
        self.write(&packed).await?;
        Ok(row)
    }

    async fn finish(mut self) -> Result<u64, ArchiveError> {
        let result = self.writer.shutdown().await;
        result.map_err(|error| self.fail(&error))?;
        Ok(self.written)
    }
}
