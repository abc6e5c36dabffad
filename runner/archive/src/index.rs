//! What the log says of segments, up to one entry: from roll-ups where there are some, from entries for the rest. Rows
//! stay packed; a reader walks over them.

mod roll_up;
mod walk;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

pub(crate) use self::roll_up::{restore_rollup, roll_up, says_the_same};
use self::walk::{Walk, What};
use crate::entry::{Fork, Gap, SegmentRef, SegmentRow, check};
use crate::limit::total;
use crate::lost::{LostSegment, keys};
use crate::problem::Problem;
use crate::pruned::{Hidden, Moment, Pruned};
use crate::rollup::{Directory, PageRow, RowReader, Run, SealedPoint, run_of_entry};
use crate::rollup_ref::RollupRef;
use crate::state::TopicIdPartition;
use crate::wanted::{ReadPlan, Wanted};
use crate::{ArchiveError, Chain, Digest, Entry, Layout, Store};

/// The place of a segment that a claim gave up.
const GIVEN_UP: u32 = u32::MAX;

/// Stored bytes of pages that are read at once, or eighths of what they unpack to.
const READ: u64 = 4 << 20;

/// Rows of one roll-up, or of one entry.
#[derive(Debug, Clone)]
struct Part {
    /// Position of its first segment among all that the log names.
    first: u32,
    topics: Vec<Uuid>,
    rows: Rows,
}

#[derive(Debug, Clone)]
enum Rows {
    /// Pages of a roll-up, and the digest of its last entry.
    Pages(RollupRef, Digest, Vec<PageRow>),
    Packed(RowReader),
}

/// The index up to an entry.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    store: Store,
    layout: Layout,
    parts: Vec<Part>,
    /// Durable segments, oldest first, without those that a claim gave up.
    pub(crate) segments: Vec<SegmentRef>,
    /// Segments that claims gave up: their rows are left out.
    pub(crate) given_up: Vec<LostSegment>,
    /// What retention took away of it: none where the entry that it leads up to is hidden itself.
    pub(crate) pruned: Option<Arc<Pruned>>,
    /// Number of the entry that hides it.
    pub(crate) removed: Option<u64>,
    /// Where each segment that the log names stands in `segments`; none while it is where the log says.
    places: Option<Arc<[u32]>>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) forks: Vec<Fork>,
    /// Seals, oldest first; those of roll-ups of release 0.1 only when they were asked for.
    pub(crate) seals: Vec<SealedPoint>,
    /// Those that retention hides.
    pub(crate) hidden_seals: Vec<SealedPoint>,
    /// Roll-ups that were used, with their directories' say on seals and links.
    pub(crate) rollups: Vec<(RollupRef, Arc<Directory>)>,
    /// Roll-ups that could not be used, and what is wrong with each.
    pub(crate) lost: Vec<RollupRef>,
    problems: Arc<Mutex<Vec<Problem>>>,
}

impl Index {
    /// Loads the index up to entry `upto`, and that entry. Every entry and roll-up is linked to what follows it.
    pub(crate) async fn load(store: &Store, layout: &Layout, upto: u64) -> Result<(Self, Entry, Digest), ArchiveError> {
        let (last, digest) = Chain::new(store.clone(), layout.clone()).entry(upto).await?;
        let index = Self::up_to(store, layout, (&last, &digest), false).await?;
        Ok((index, last, digest))
    }

    /// Loads the index up to an entry that was read; with all seals, when they are asked for.
    pub(crate) async fn up_to(
        store: &Store,
        layout: &Layout,
        last: (&Entry, &Digest),
        seals: bool,
    ) -> Result<Self, ArchiveError> {
        Self::as_of(store, layout, last, seals, Moment::Now).await
    }

    /// The same as of a moment.
    pub(crate) async fn as_of(
        store: &Store,
        layout: &Layout,
        last: (&Entry, &Digest),
        seals: bool,
        moment: Moment,
    ) -> Result<Self, ArchiveError> {
        let chain = Chain::new(store.clone(), layout.clone());
        let walk = Box::pin(Walk::new(store, layout, seals, last).back());
        let (walked, pruned) = futures::try_join!(walk, Box::pin(Pruned::as_read(&chain, last.0, moment)))?;
        let (removes, pruned): (Vec<_>, Vec<_>) = pruned.into_iter().partition(|pruned| pruned.hides_point(last.0.n));
        let mut index = Self {
            pruned: pruned.into_iter().next(),
            removed: removes.first().map(|pruned| pruned.entry),
            lost: walked.lost,
            problems: Arc::new(Mutex::new(walked.problems)),
            ..Self::empty(store, layout)
        };
        for piece in walked.pieces {
            match piece {
                What::Rollup(rollup, directory) => index.add_rollup(rollup, *directory),
                What::Entries(runs) => {
                    for (run, seal) in runs {
                        index.seals.extend(seal);
                        index.add_run(run);
                    }
                }
            }
        }
        index.leave_out();
        index.leave_points_out()?;
        Ok(index)
    }

    fn empty(store: &Store, layout: &Layout) -> Self {
        Self {
            store: store.clone(),
            layout: layout.clone(),
            parts: Vec::new(),
            segments: Vec::new(),
            given_up: Vec::new(),
            pruned: None,
            removed: None,
            places: None,
            gaps: Vec::new(),
            forks: Vec::new(),
            seals: Vec::new(),
            hidden_seals: Vec::new(),
            rollups: Vec::new(),
            lost: Vec::new(),
            problems: Arc::default(),
        }
    }

    /// The index that one entry alone makes.
    pub(crate) fn of_entry(store: &Store, layout: &Layout, entry: &Entry, digest: &Digest) -> Self {
        let mut index = Self::empty(store, layout);
        index.add_run(run_of_entry(entry, digest));
        index
    }

    /// Takes the segments out that claims gave up, and those that retention needs no more.
    fn leave_out(&mut self) {
        let left_out = self.left_out();
        if left_out.is_empty() {
            return;
        }
        let mut next = 0u32;
        let place = |segment: &SegmentRef| {
            if !left_out.counts(segment) {
                return GIVEN_UP;
            }
            next += 1;
            next - 1
        };
        self.places = Some(self.segments.iter().map(place).collect());
        self.segments.retain(|segment| left_out.counts(segment));
    }

    /// Takes the seals out that are hidden, and what is hidden out of the counts of the others.
    fn leave_points_out(&mut self) -> Result<(), ArchiveError> {
        let Some(pruned) = &self.pruned else { return Ok(()) };
        if !pruned.agrees_with(&self.seals) {
            let key = self.store.show(&self.layout.entry(pruned.entry));
            return Err(ArchiveError::damaged(key, "the oldest point that it keeps is another one in the log"));
        }
        let visible = self.seals.partition_point(|seal| pruned.hides_point(seal.entry));
        let seals = self.seals.split_off(visible);
        self.hidden_seals = std::mem::replace(&mut self.seals, seals);
        self.seals.iter_mut().for_each(|seal| pruned.take_out_of_line(seal));
        Ok(())
    }

    /// The same without what only a check of the roll-ups themselves looks at.
    pub(crate) fn slim(self) -> Self {
        Self { rollups: Vec::new(), ..self }
    }

    /// What is hidden of a partition.
    pub(crate) fn hidden_of(&self, key: TopicIdPartition) -> Option<&Hidden> {
        self.pruned.as_ref()?.hidden_of(key)
    }

    /// What of the log does not count.
    pub(crate) fn left_out(&self) -> LeftOut {
        LeftOut { given_up: keys(&self.given_up), pruned: self.pruned.clone() }
    }

    /// What is wrong with roll-ups that were needed so far. What they say was read from the entries.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn place(&self) -> u32 {
        u32::try_from(self.segments.len()).unwrap_or(u32::MAX)
    }

    fn add_rollup(&mut self, rollup: RollupRef, directory: Directory) {
        let topics = directory.topics.iter().map(|topic| topic.id).collect();
        let rows = Rows::Pages(rollup.clone(), directory.last.clone(), directory.pages.clone());
        self.parts.push(Part { first: self.place(), topics, rows });
        self.segments.extend_from_slice(&directory.segments);
        self.gaps.extend_from_slice(&directory.gaps);
        self.forks.extend_from_slice(&directory.forks);
        self.given_up.extend_from_slice(&directory.lost);
        self.seals.extend(directory.seals.iter().flatten().cloned());
        self.rollups.push((rollup, Arc::new(directory)));
    }

    fn add_run(&mut self, mut run: Run) {
        let first = self.place();
        self.segments.append(&mut run.segments);
        self.gaps.append(&mut run.gaps);
        self.forks.append(&mut run.forks);
        self.given_up.append(&mut run.lost);
        let topics = run.topics.iter().map(|topic| topic.id).collect();
        let rows = run.into_reader();
        if !rows.is_empty() {
            self.parts.push(Part { first, topics, rows: Rows::Packed(rows) });
        }
    }

    /// Walks over the rows of these partitions, or of all; of one partition the oldest comes first. A row's `segment` is
    /// its position in [`Self::segments`]; its `topic` has no meaning. A page that cannot be read is read from entries.
    pub(crate) async fn each_row(
        &self,
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow) + Send),
    ) -> Result<(), ArchiveError> {
        let mut shown = |topic: Uuid, row: &SegmentRow, hidden: bool| {
            if !hidden {
                take(topic, row);
            }
        };
        self.each_stored_row(only, &mut shown).await
    }

    /// The same, with the hidden rows of segments that are needed: `take` learns whether a row is hidden.
    pub(crate) async fn each_stored_row(
        &self,
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow, bool) + Send),
    ) -> Result<(), ArchiveError> {
        for part in &self.parts {
            match &part.rows {
                Rows::Packed(rows) => {
                    let mut rows = rows.clone();
                    while let Some(row) = rows.next()? {
                        part.hand_over(row, self, only, take)?;
                    }
                }
                Rows::Pages(rollup, last, pages) => self.each_of_pages(part, (rollup, last, pages), only, take).await?,
            }
        }
        Ok(())
    }

    /// Which segments hold something of `wanted`, and how much that is at most.
    pub(crate) async fn plan(&self, wanted: &Wanted) -> Result<ReadPlan, ArchiveError> {
        let mut plan = ReadPlan::default();
        let mut touched = vec![false; self.segments.len()];
        let only: HashSet<_> = wanted.from.keys().copied().collect();
        let mut take = |topic: Uuid, row: &SegmentRow| {
            if wanted.wants_row(topic, row) {
                plan.records = plan.records.saturating_add(row.committed);
                plan.bytes = plan.bytes.saturating_add(row.bytes);
                if let Some(touched) = touched.get_mut(row.segment as usize) {
                    *touched = true;
                }
            }
        };
        self.each_row(Some(&only), &mut take).await?;
        let hit = self.segments.iter().zip(&touched).filter(|(_, touched)| **touched);
        plan.segments = hit.map(|(segment, _)| segment.clone()).collect();
        Ok(plan)
    }

    async fn each_of_pages(
        &self,
        part: &Part,
        (rollup, last, pages): (&RollupRef, &Digest, &[PageRow]),
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow, bool) + Send),
    ) -> Result<(), ArchiveError> {
        for group in part.wanted_pages(pages, only) {
            let wanted = pages.get(group.clone()).unwrap_or_default();
            match Directory::rows(&self.store, &self.layout, rollup, wanted).await {
                Ok(readers) => {
                    for mut rows in readers {
                        while let Some(row) = rows.next()? {
                            part.hand_over(row, self, only, take)?;
                        }
                    }
                }
                Err(error) if error.is_damage() => {
                    self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(Problem::of(&error));
                    let before = pages.get(..group.start).unwrap_or_default();
                    let mut skip = total(before.iter().map(|page| u64::from(page.rows)));
                    let mut rows = self.rows_again(rollup, last).await?;
                    while let Some(row) = rows.next(&self.store, &self.layout).await? {
                        if skip == 0 {
                            part.hand_over(&row, self, only, take)?;
                        }
                        skip = skip.saturating_sub(1);
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What of a log does not count for its reader: segments that claims gave up or that retention needs no more, and hidden rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftOut {
    pub(crate) given_up: HashSet<(u64, u64)>,
    pub(crate) pruned: Option<Arc<Pruned>>,
}

impl LeftOut {
    fn is_empty(&self) -> bool {
        self.given_up.is_empty() && self.pruned.is_none()
    }

    /// Whether a segment counts.
    pub(crate) fn counts(&self, segment: &SegmentRef) -> bool {
        let is_dead = self.pruned.as_ref().is_some_and(|pruned| pruned.is_dead(segment.claim, segment.seq));
        counts(segment, &self.given_up) && !is_dead
    }

    /// Whether a row of a segment that counts is hidden.
    pub(crate) fn hides(&self, segment: &SegmentRef, topic: Uuid, row: &SegmentRow) -> bool {
        let pruned = self.pruned.as_ref();
        pruned.is_some_and(|pruned| pruned.hides((segment.claim, segment.seq), topic, row.partition, row.next))
    }
}

/// A store in memory, for what is made only to be compared.
fn scratch() -> Store {
    Store::new(Arc::new(object_store::memory::InMemory::new()), "", "memory")
}

/// Whether no claim gave a segment up.
pub(crate) fn counts(segment: &SegmentRef, given_up: &HashSet<(u64, u64)>) -> bool {
    !given_up.contains(&(segment.claim, segment.seq))
}

impl Part {
    /// Neighbouring pages that may hold wanted partitions, in groups of bounded size.
    fn wanted_pages(&self, pages: &[PageRow], only: Option<&HashSet<(Uuid, i32)>>) -> Vec<Range<usize>> {
        // A page of a topic that is not there is read, so that its rows tell.
        let key = |page: &PageRow| Some((*self.topics.get(page.topic as usize)?, page.partition));
        let only: Option<BTreeSet<(Uuid, i32)>> = only.map(|only| only.iter().copied().collect());
        let wanted = |place: usize| {
            let Some(only) = &only else { return true };
            let first = pages.get(place).and_then(key);
            let after = pages.get(place + 1).and_then(key);
            let from_here = match first {
                Some(first) => only.range(first..).next(),
                None => only.first(),
            };
            from_here.is_some_and(|wanted| after.is_none_or(|after| *wanted <= after))
        };
        let mut out: Vec<Range<usize>> = Vec::new();
        let (mut start, mut bytes) = (None, 0u64);
        for place in 0..=pages.len() {
            let inside = place < pages.len() && wanted(place);
            if let Some(from) = start.filter(|_| !inside || bytes >= READ) {
                out.push(from..place);
                start = None;
            }
            if inside && start.is_none() {
                (start, bytes) = (Some(place), 0);
            }
            bytes = bytes.saturating_add(pages.get(place).map_or(0, |page| page.length.max(page.size / 8)));
        }
        out
    }

    /// Gives a row to `take` when it is of a wanted partition and its segment counts, with that segment's place in the
    /// index, and whether it is hidden.
    fn hand_over(
        &self,
        row: &SegmentRow,
        index: &Index,
        only: Option<&HashSet<(Uuid, i32)>>,
        take: &mut (dyn FnMut(Uuid, &SegmentRow, bool) + Send),
    ) -> Result<(), ArchiveError> {
        let Some(topic) = self.topics.get(row.topic as usize).copied() else {
            let what = match &self.rows {
                Rows::Pages(rollup, ..) => format!("roll-up of entries {} to {}", rollup.from, rollup.to),
                Rows::Packed(_) => "the log".to_owned(),
            };
            let reason = format!("a row of partition {} names topic number {}", row.partition, row.topic);
            return Err(ArchiveError::damaged(what, format!("{reason}, which is not there")));
        };
        if !check::is_row(row) {
            return Err(ArchiveError::damaged("the log", format!("a row of partition {} cannot be", row.partition)));
        }
        if only.is_none_or(|only| only.contains(&(topic, row.partition))) {
            let named = row.segment.saturating_add(self.first);
            // A place that is not there is told by whoever looks for the segment.
            let segment = index.places.as_deref().map_or(Some(named), |places| match places.get(named as usize) {
                Some(&GIVEN_UP) => None,
                Some(place) => Some(*place),
                None => Some(named),
            });
            if let Some(segment) = segment {
                let of = index.pruned.as_ref().zip(index.segments.get(segment as usize));
                let hidden =
                    of.is_some_and(|(pruned, of)| pruned.hides((of.claim, of.seq), topic, row.partition, row.next));
                take(topic, &SegmentRow { segment, ..row.clone() }, hidden);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // it looks at a clock of its own
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(topics: u128) -> Part {
        let rows = Rows::Packed(RowReader::new(Vec::new(), 0));
        Part { first: 0, topics: (0..topics).map(Uuid::from_u128).collect(), rows }
    }

    fn pages(keys: impl Iterator<Item = (u32, i32)>) -> Vec<PageRow> {
        let page = |((topic, partition), place): ((u32, i32), u64)| PageRow {
            at: place * 100,
            length: 100,
            size: 800,
            rows: 1,
            topic,
            partition,
            digest: Digest::default(),
        };
        keys.zip(0u64..).map(page).collect()
    }

    proptest! {
        #[test]
        fn every_page_that_may_hold_a_wanted_partition_is_read(
            mut keys in proptest::collection::vec((0u32..4, 0i32..6), 1..20),
            only in proptest::collection::hash_set((0u128..5, 0i32..7), 0..6),
        ) {
            keys.sort_unstable();
            let (part, pages) = (part(4), pages(keys.iter().copied()));
            let only: HashSet<_> = only.into_iter().map(|(topic, partition)| (Uuid::from_u128(topic), partition)).collect();
            let read: HashSet<usize> = part.wanted_pages(&pages, Some(&only)).into_iter().flatten().collect();
            let key = |place: usize| keys.get(place).map(|(topic, partition)| (Uuid::from_u128((*topic).into()), *partition));
            for place in 0..pages.len() {
                let holds = only.iter().any(|wanted| {
                    key(place).is_none_or(|first| *wanted >= first) && key(place + 1).is_none_or(|after| *wanted <= after)
                });
                prop_assert_eq!(read.contains(&place), holds, "page {}", place);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_partitions_find_their_pages_at_once() {
        let count = 100_000;
        let (part, pages) = (part(1), pages((0..count).map(|partition| (0, partition))));
        let only: HashSet<_> = (0..count).map(|partition| (Uuid::nil(), partition)).collect();
        let since = std::time::Instant::now();
        let read: usize = part.wanted_pages(&pages, Some(&only)).iter().map(Range::len).sum();
        assert_eq!(read, pages.len());
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    }
}
