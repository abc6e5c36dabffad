//! What the log says of segments, up to one entry: from roll-ups where there are some, from entries for the rest. Rows
//! stay packed; a reader walks over them.

use std::collections::HashSet;

use uuid::Uuid;

use crate::entry::{Fork, Gap, SegmentRef, SegmentRow};
use crate::rollup::{Directory, FANOUT, PageRow, RollupRef, RowReader, Run, build, run_of_entry};
use crate::{ArchiveError, Chain, Digest, Entry, EntryKind, Layout, Store};

/// Stored bytes of pages that are read at once.
const READ: u64 = 4 << 20;

/// Rows of one roll-up, or of one entry.
#[derive(Debug, Clone)]
struct Part {
    /// Position of its first segment in the index.
    first: u32,
    topics: Vec<Uuid>,
    rows: Rows,
}

#[derive(Debug, Clone)]
enum Rows {
    Pages(RollupRef, Vec<PageRow>),
    Packed(Vec<u8>, u32),
}

/// The index up to an entry.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    store: Store,
    layout: Layout,
    parts: Vec<Part>,
    /// Durable segments, oldest first.
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) forks: Vec<Fork>,
}

impl Index {
    /// Loads the index up to entry `upto`, and that entry. Links between entries are checked where entries are read,
    /// digests where roll-ups are.
    pub(crate) async fn load(store: &Store, layout: &Layout, upto: u64) -> Result<(Self, Entry, Digest), ArchiveError> {
        let chain = Chain::new(store.clone(), layout.clone());
        let (last, digest) = chain.entry(upto).await?;
        let mut index = Self {
            store: store.clone(),
            layout: layout.clone(),
            parts: Vec::new(),
            segments: Vec::new(),
            gaps: Vec::new(),
            forks: Vec::new(),
        };
        let (mut next, mut before): (u64, Option<Digest>) = (0, None);
        for (rollup, directory) in rollups(store, layout, last.last_rollup.clone()).await? {
            if rollup.from > next {
                index.add_entries(&chain, next..rollup.from, before.as_ref()).await?;
            }
            next = rollup.to + 1;
            before = Some(directory.last.clone());
            index.add_rollup(rollup, directory);
        }
        index.add_entries(&chain, next..upto + 1, before.as_ref()).await?;
        Ok((index, last, digest))
    }

    fn add_rollup(&mut self, rollup: RollupRef, mut directory: Directory) {
        self.parts.push(Part {
            first: u32::try_from(self.segments.len()).unwrap_or(u32::MAX),
            topics: directory.topics.iter().map(|topic| topic.id).collect(),
            rows: Rows::Pages(rollup, directory.pages),
        });
        self.segments.append(&mut directory.segments);
        self.gaps.append(&mut directory.gaps);
        self.forks.append(&mut directory.forks);
    }

    async fn add_entries(
        &mut self,
        chain: &Chain,
        range: std::ops::Range<u64>,
        before: Option<&Digest>,
    ) -> Result<(), ArchiveError> {
        let mut before = before.cloned();
        let mut from = range.start;
        while from < range.end {
            // A few at a time: what is read is packed at once.
            let to = (from + FANOUT - 1).min(range.end - 1);
            for (entry, digest) in chain.read_after(from, to, before.as_ref()).await? {
                if entry.kind == EntryKind::Prune {
                    let key = self.store.show(&self.layout.entry(entry.n));
                    let feature = Some("prune".to_owned());
                    return Err(ArchiveError::Newer { key, format: entry.format, known: entry.format, feature });
                }
                before = Some(digest);
                self.add_entry(entry);
            }
            from = to + 1;
        }
        Ok(())
    }

    fn add_entry(&mut self, mut entry: Entry) {
        let first = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        if !entry.rows.is_empty() {
            let run = run_of_entry(&entry);
            let topics = run.topics.iter().map(|topic| topic.id).collect();
            let (bytes, rows) = run.into_reader().into_parts();
            self.parts.push(Part { first, topics, rows: Rows::Packed(bytes, rows) });
        }
        self.segments.append(&mut entry.segments);
        self.gaps.append(&mut entry.gaps);
        self.forks.append(&mut entry.forks);
    }

    /// Walks over the rows of these partitions, or of all; of one partition the oldest comes first. A row's `segment` is
    /// its position in [`Self::segments`]; its `topic` has no meaning.
    pub(crate) async fn each_row(
        &self,
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow) + Send),
    ) -> Result<(), ArchiveError> {
        for part in &self.parts {
            match &part.rows {
                Rows::Packed(bytes, rows) => part.walk(RowReader::new(bytes.clone(), *rows), only, take)?,
                Rows::Pages(rollup, pages) => {
                    for group in part.wanted_pages(pages, only) {
                        for reader in Directory::pages(&self.store, &self.layout, rollup, group).await? {
                            part.walk(reader, only, take)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Part {
    /// Neighbouring pages that may hold wanted partitions, in groups of bounded size.
    fn wanted_pages<'a>(&self, pages: &'a [PageRow], only: Option<&HashSet<(Uuid, i32)>>) -> Vec<&'a [PageRow]> {
        let key = |page: &PageRow| (self.topics.get(page.topic as usize).copied().unwrap_or_default(), page.partition);
        let wanted = |place: usize| {
            let Some(only) = only else { return true };
            let first = pages.get(place).map(key);
            let after = pages.get(place + 1).map(key);
            only.iter().any(|wanted| Some(*wanted) >= first && after.is_none_or(|after| *wanted <= after))
        };
        let mut out: Vec<&[PageRow]> = Vec::new();
        let mut start = None;
        for place in 0..=pages.len() {
            let inside = place < pages.len() && wanted(place);
            let bytes =
                |from: usize| pages.get(from..place).unwrap_or_default().iter().map(|page| page.length).sum::<u64>();
            if let Some(from) = start.filter(|from| !inside || bytes(*from) >= READ) {
                out.extend(pages.get(from..place));
                start = None;
            }
            if inside && start.is_none() {
                start = Some(place);
            }
        }
        out
    }

    fn walk(
        &self,
        mut rows: RowReader,
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow) + Send),
    ) -> Result<(), ArchiveError> {
        while let Some(row) = rows.next()? {
            let topic = self.topics.get(row.topic as usize).copied().unwrap_or_default();
            if only.is_none_or(|only| only.contains(&(topic, row.partition))) {
                let mut row = row.clone();
                row.segment = row.segment.saturating_add(self.first);
                take(topic, &row);
            }
        }
        Ok(())
    }
}

/// All roll-ups from the oldest to `newest`, with their directories.
pub(crate) async fn rollups(
    store: &Store,
    layout: &Layout,
    newest: Option<RollupRef>,
) -> Result<Vec<(RollupRef, Directory)>, ArchiveError> {
    let mut out: Vec<(RollupRef, Directory)> = Vec::new();
    let mut next = newest;
    while let Some(rollup) = next.take() {
        if out.last().is_some_and(|(later, _)| rollup.to >= later.from) {
            let key = store.show(&layout.rollup(rollup.level, rollup.from, rollup.to));
            return Err(ArchiveError::damaged(key, "it does not end before the roll-up that follows it"));
        }
        let directory = Directory::load(store, layout, &rollup).await?;
        next.clone_from(&directory.previous);
        out.push((rollup, directory));
    }
    out.reverse();
    Ok(out)
}

/// Writes the roll-ups that end with entry `last`; returns the newest one.
///
/// # Errors
/// When something cannot be read or written. Nothing depends on it: readers read entries instead.
pub(crate) async fn roll_up(
    store: &Store,
    layout: &Layout,
    newest: Option<RollupRef>,
    (last, digest): (u64, &Digest),
) -> Result<Option<RollupRef>, ArchiveError> {
    let mut newest = newest;
    let mut span = 1;
    for level in 1..=2u32 {
        span *= FANOUT;
        if (last + 1) % span != 0 || newest.as_ref().is_some_and(|newest| newest.to >= last && newest.level >= level) {
            continue;
        }
        let from = last + 1 - span;
        let (mut runs, mut previous) = (Vec::new(), newest);
        let mut covered = last + 1;
        let mut found = Vec::new();
        // Roll-ups of the level below, from the newest back; entries where there are none.
        while let Some(rollup) = previous.take_if(|rollup| rollup.from >= from && level > 1) {
            let directory = Directory::load(store, layout, &rollup).await?;
            previous.clone_from(&directory.previous);
            found.push((rollup, directory));
        }
        let chain = Chain::new(store.clone(), layout.clone());
        for (rollup, directory) in found {
            if rollup.to + 1 < covered {
                entries_as_runs(&chain, rollup.to + 1, covered - 1, &mut runs).await?;
            }
            covered = rollup.from;
            runs.push(Run::of_rollup(rollup, directory));
        }
        if covered > from {
            entries_as_runs(&chain, from, covered - 1, &mut runs).await?;
        }
        runs.reverse();
        let runs = crate::rollup::Runs::new(runs);
        newest = Some(build(store, layout, (level, from, last), digest.clone(), previous, runs).await?);
    }
    Ok(newest)
}

/// Whether a roll-up, made again from its entries, has the same pages: their digests tell. The first bytes have no
/// digest and are compared.
pub(crate) async fn remade(
    store: &Store,
    scratch: &Store,
    layout: &Layout,
    rollup: &RollupRef,
    directory: &Directory,
) -> Result<bool, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let mut runs = Vec::new();
    entries_as_runs(&chain, rollup.from, rollup.to, &mut runs).await?;
    runs.reverse();
    let range = (rollup.level, rollup.from, rollup.to);
    let (last, previous) = (directory.last.clone(), directory.previous.clone());
    let again = build(scratch, layout, range, last, previous, crate::rollup::Runs::new(runs)).await?;
    let again = Directory::load(scratch, layout, &again).await?;
    for page in &directory.pages {
        Directory::pages(store, layout, rollup, std::slice::from_ref(page)).await?;
    }
    let key = layout.rollup(rollup.level, rollup.from, rollup.to);
    let magic = store.get_range(&key, 0..8).await? == scratch.get_range(&key, 0..8).await?;
    Ok(magic
        && again.pages == directory.pages
        && again.segments == directory.segments
        && again.topics == directory.topics)
}

/// Adds the entries `from..=to`, newest first.
async fn entries_as_runs(chain: &Chain, from: u64, to: u64, runs: &mut Vec<Run>) -> Result<(), ArchiveError> {
    let mut upto = to + 1;
    while upto > from {
        let start = upto.saturating_sub(FANOUT).max(from);
        let entries = chain.read(start, upto - 1).await?;
        runs.extend(entries.iter().rev().map(|(entry, _)| run_of_entry(entry)));
        upto = start;
    }
    Ok(())
}
