//! Where offsets of the source stand among the records that a restore takes from their partition: computed for the
//! offsets that are asked, from the counts in the index and the blocks around them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use archive::{Point, SegmentRow, Timelines, TopicIdPartition, Wanted};
use batch::{Decompressor, RawBatch, Window};
use contract::{Code, Failure, OffsetFound, OnUnreadable};
use uuid::Uuid;

use super::each_record::each_place;
use super::plan::RestorePlan;
use super::windows::Windows;

/// Places of one partition that are looked at one by one; where more are asked for, neighbours are read together with all
/// between them.
const ROUNDS: usize = 256;

/// Where an offset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Restored records before it.
    pub(crate) before: u64,
    /// Whether the record with this offset is restored.
    pub(crate) is_there: bool,
    /// Whether a restored record has this offset or a later one.
    pub(crate) has_more: bool,
}

impl Standing {
    /// How the place of an offset was found, in a partition whose first restored offset is `first`.
    pub(crate) fn found(self, offset: i64, first: i64, ends_in_time: bool) -> OffsetFound {
        match self {
            Self { is_there: true, .. } => OffsetFound::Record,
            Self { has_more: false, .. } => end(ends_in_time),
            Self { .. } if offset < first => OffsetFound::Start,
            Self { .. } => OffsetFound::NextRecord,
        }
    }
}

/// The end of what is restored.
pub(crate) fn end(ends_in_time: bool) -> OffsetFound {
    if ends_in_time { OffsetFound::EndOfWindow } else { OffsetFound::End }
}

/// The offsets of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standings {
    /// Restored records of the partition.
    pub(crate) total: u64,
    pub(crate) at: BTreeMap<i64, Standing>,
}

/// Looks up the offsets of several partitions. `skips` says that records were left out because they cannot be read: then
/// every batch is looked at, since the index counts them.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(crate) async fn standings(
    point: &Point,
    plan: &RestorePlan,
    asked: &BTreeMap<TopicIdPartition, BTreeSet<i64>>,
    skips: bool,
) -> Result<BTreeMap<TopicIdPartition, Standings>, Failure> {
    let timelines = plan.timelines();
    let whole = skips || !plan.windows().is_everything();
    let mut counts: BTreeMap<TopicIdPartition, Counts> =
        asked.iter().map(|(key, offsets)| (*key, Counts::new(offsets, whole))).collect();
    let only: HashSet<TopicIdPartition> = counts.keys().copied().collect();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if let Some(counts) = counts.get_mut(&(topic, row.partition)) {
            counts.take(row, timelines.end_of(topic, row.partition, row.timeline));
        }
    };
    point.each_row(Some(&only), &mut take).await?;
    let mut open: BTreeMap<TopicIdPartition, Vec<Start>> = BTreeMap::new();
    let mut out: BTreeMap<TopicIdPartition, Standings> = BTreeMap::new();
    for (key, counts) in counts {
        let (total, starts) = counts.starts();
        out.insert(key, Standings { total: total.unwrap_or(0), at: BTreeMap::new() });
        open.insert(key, starts);
    }
    let reader = Reader { point, timelines, windows: plan.windows(), on_unreadable: plan.on_unreadable };
    for round in 0.. {
        let starts = open.iter_mut().filter_map(|(key, starts)| Some((*key, Walk::new(starts.get(round)?))));
        let walks: HashMap<TopicIdPartition, Walk> = starts.collect();
        if walks.is_empty() {
            break;
        }
        for (key, walk) in reader.read(walks).await? {
            let Some(found) = out.get_mut(&key) else { continue };
            if walk.to_the_end {
                found.total = walk.count;
            }
            let total = found.total;
            found.at.extend(walk.ended(total));
        }
    }
    Ok(out)
}

/// Offsets whose records are counted from the same place on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    /// Restored records before.
    count: u64,
    from: i64,
    offsets: Vec<i64>,
    /// Whether all that follows is read, since the index does not say how much of it is restored.
    to_the_end: bool,
}

/// What the rows of one partition say.
#[derive(Debug)]
struct Counts {
    /// Offsets that no row had so far, ascending.
    left: Vec<i64>,
    starts: Vec<Start>,
    count: u64,
    from: i64,
    /// From here on counts of whole rows are not exact.
    is_closed: bool,
}

impl Counts {
    fn new(offsets: &BTreeSet<i64>, whole: bool) -> Self {
        let left = offsets.iter().copied().collect();
        Self { left, starts: Vec::new(), count: 0, from: i64::MIN, is_closed: whole }
    }

    /// Takes the next row; offsets of its timeline count below `end`.
    fn take(&mut self, row: &SegmentRow, end: i64) {
        self.is_closed |= row.next > end;
        if self.is_closed {
            return;
        }
        let within = self.left.partition_point(|offset| *offset < row.next);
        self.begin(within);
        self.count += row.committed;
        self.from = row.next;
    }

    /// The first `many` of the offsets are counted from here on.
    fn begin(&mut self, many: usize) {
        let offsets: Vec<_> = self.left.drain(..many).collect();
        if !offsets.is_empty() {
            self.starts.push(Start { count: self.count, from: self.from, offsets, to_the_end: false });
        }
    }

    /// How many records there are, where the rows say so, and where to begin to read.
    fn starts(mut self) -> (Option<u64>, Vec<Start>) {
        if self.is_closed {
            let offsets = std::mem::take(&mut self.left);
            self.starts.push(Start { count: self.count, from: self.from, offsets, to_the_end: true });
        } else {
            self.begin(self.left.len());
        }
        let total = (!self.is_closed).then_some(self.count);
        (total, merged(self.starts))
    }
}

/// At most [`ROUNDS`] places: neighbours become one that begins where the first of them does.
fn merged(starts: Vec<Start>) -> Vec<Start> {
    let together = starts.len().div_ceil(ROUNDS).max(1);
    let merge = |neighbours: &[Start]| {
        let first = neighbours.first()?.clone();
        let offsets = neighbours.iter().flat_map(|start| start.offsets.iter().copied()).collect();
        Some(Start { offsets, to_the_end: neighbours.iter().any(|start| start.to_the_end), ..first })
    };
    starts.chunks(together).filter_map(merge).collect()
}

/// Counts the records of one partition as they come.
#[derive(Debug)]
struct Walk {
    from: i64,
    count: u64,
    offsets: Vec<i64>,
    found: Vec<Standing>,
    to_the_end: bool,
}

impl Walk {
    fn new(start: &Start) -> Self {
        let Start { count, from, offsets, to_the_end } = start.clone();
        Self { from, count, offsets, found: Vec::new(), to_the_end }
    }

    fn next(&self) -> Option<i64> {
        self.offsets.get(self.found.len()).copied()
    }

    /// The offset after the last one that is asked for.
    fn until(&self) -> i64 {
        self.offsets.last().map_or(i64::MIN, |last| last.saturating_add(1))
    }

    /// The next restored record.
    fn pass(&mut self, offset: i64) {
        while let Some(next) = self.next().filter(|next| *next <= offset) {
            self.found.push(Standing { before: self.count, is_there: next == offset, has_more: true });
        }
        self.count += 1;
    }

    /// Whether the records of a batch may be counted without a look at each of them.
    fn is_behind(&self, last_offset: i64) -> bool {
        self.next().is_none_or(|next| last_offset < next)
    }

    /// All standings; offsets that no record followed have more only where the partition has.
    fn ended(mut self, total: u64) -> BTreeMap<i64, Standing> {
        while self.found.len() < self.offsets.len() {
            self.found.push(Standing { before: self.count, is_there: false, has_more: self.count < total });
        }
        self.offsets.into_iter().zip(self.found).collect()
    }
}

/// Reads batches and counts their records.
struct Reader<'a> {
    point: &'a Point,
    timelines: Timelines,
    windows: Windows,
    on_unreadable: OnUnreadable,
}

impl Reader<'_> {
    async fn read(
        &self,
        mut walks: HashMap<TopicIdPartition, Walk>,
    ) -> Result<HashMap<TopicIdPartition, Walk>, Failure> {
        let from = walks.iter().map(|(key, walk)| (*key, walk.from)).collect();
        let mut wanted = Wanted::new(from, self.timelines.clone(), self.windows.all());
        let bounded = walks.iter().filter(|(_, walk)| !walk.to_the_end);
        wanted.until = bounded.map(|(key, walk)| (*key, walk.until())).collect();
        let mut stream = self.point.stream(wanted).await?;
        let mut decompressor = Decompressor::default();
        while let Some(share) = stream.next().await? {
            let Some(walk) = walks.get_mut(&(share.topic, share.partition)) else { continue };
            let (range, from) = (share.from..share.until, walk.from);
            let window = self.windows.of((share.topic, share.partition));
            for batch in share.batches.iter().filter(|batch| batch.header.last_offset() >= from) {
                let is_whole = batch.header.base_offset >= range.start && batch.header.last_offset() < range.end;
                let may_skip = window == Window::ALL && self.on_unreadable == OnUnreadable::Fail;
                if is_whole && may_skip && walk.is_behind(batch.header.last_offset()) {
                    walk.count += batch.header.records();
                    continue;
                }
                self.look(batch, (window, &range), walk, &mut decompressor)?;
            }
        }
        Ok(walks)
    }

    /// Counts the records of one batch; of one that cannot be read none was restored, where that was allowed.
    fn look(
        &self,
        batch: &RawBatch,
        inside: (Window, &std::ops::Range<i64>),
        walk: &mut Walk,
        decompressor: &mut Decompressor,
    ) -> Result<(), Failure> {
        let mut offsets = Vec::new();
        let read = each_place(batch, inside, self.on_unreadable, decompressor, |offset, _| {
            offsets.push(offset);
        });
        match read {
            Ok(()) => offsets.into_iter().for_each(|offset| walk.pass(offset)),
            Err(_) if self.on_unreadable == OnUnreadable::Skip => {}
            Err(error) => return Err(Failure::new(Code::ArchiveDamaged, error.to_string())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(next: i64, committed: u64) -> SegmentRow {
        SegmentRow {
            segment: 0,
            topic: 0,
            partition: 0,
            timeline: 0,
            first: 0,
            next,
            bytes: 0,
            records: committed,
            committed,
            max_timestamp: 0,
            min_timestamp: 0,
            min_exact: true,
        }
    }

    fn counts(offsets: &[i64], rows: &[(i64, u64)], whole: bool) -> (Option<u64>, Vec<Start>) {
        let mut counts = Counts::new(&offsets.iter().copied().collect(), whole);
        for (next, committed) in rows {
            counts.take(&row(*next, *committed), i64::MAX);
        }
        counts.starts()
    }

    fn start(count: u64, from: i64, offsets: &[i64]) -> Start {
        Start { count, from, offsets: offsets.to_vec(), to_the_end: false }
    }

    #[test]
    fn only_the_row_around_an_offset_is_read() {
        let rows = [(100, 90), (200, 80), (300, 70)];
        let (total, starts) = counts(&[5, 99, 100, 250, 300, 999], &rows, false);
        assert_eq!(total, Some(240));
        let expected = [
            start(0, i64::MIN, &[5, 99]),
            start(90, 100, &[100]),
            start(170, 200, &[250]),
            start(240, 300, &[300, 999]),
        ];
        assert_eq!(starts, expected);
        let (total, starts) = counts(&[150], &rows, true);
        assert_eq!((total, starts.len(), starts[0].from, starts[0].to_the_end), (None, 1, i64::MIN, true));
        // Too many places: neighbours are read together.
        let many: Vec<_> = (0..=ROUNDS as i64).map(|n| n * 10 + 5).collect();
        let rows: Vec<_> = (1..=many.len() as i64).map(|n| (n * 10, 10)).collect();
        let (_, starts) = counts(&many, &rows, false);
        assert_eq!(starts.len(), ROUNDS / 2 + 1);
        assert_eq!(starts[..2], [start(0, i64::MIN, &[5, 15]), start(20, 20, &[25, 35])]);
    }

    #[test]
    fn a_replaced_timeline_closes_the_counts() {
        let mut counts = Counts::new(&BTreeSet::from([50, 150]), false);
        counts.take(&row(100, 100), i64::MAX);
        counts.take(&row(200, 100), 170);
        let (total, starts) = counts.starts();
        assert_eq!(total, None);
        assert_eq!(starts[0], start(0, i64::MIN, &[50]));
        assert_eq!((starts[1].count, starts[1].from, starts[1].to_the_end), (100, 100, true));
    }

    #[test]
    fn offsets_stand_at_their_record_in_a_hole_or_at_the_end() {
        let mut walk = Walk::new(&start(7, 0, &[3, 5, 8, 20]));
        for offset in [3, 4, 9] {
            walk.pass(offset);
        }
        let found = walk.ended(10);
        let standing = |before, is_there, has_more| Standing { before, is_there, has_more };
        assert_eq!(found[&3], standing(7, true, true));
        assert_eq!((found[&5], found[&8]), (standing(9, false, true), standing(9, false, true)));
        assert_eq!(found[&20], standing(10, false, false));
        // Later rows have more, though none of the batches that were read has.
        assert!(Walk::new(&start(2, 0, &[4])).ended(3)[&4].has_more);
    }
}
