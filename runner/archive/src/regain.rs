//! What becomes of the offsets that lost segments held. Pure.
//!
//! Where the source still has some of them, a new timeline begins at the first of those, and all that follows is read
//! again. Everything else that the newest timeline showed is a gap.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::entry::SegmentRow;

/// Where the source's log of a partition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStart {
    /// At this offset.
    At(i64),
    /// Nowhere: the source has this lineage no longer, or the run is not about it.
    Gone,
}

/// Lost offsets `from..to` of one timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LostRange {
    pub(crate) timeline: u32,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The lost offsets of partitions. Rows come oldest first; those that touch are one range.
#[derive(Debug, Default)]
pub(crate) struct LostRanges {
    ranges: BTreeMap<(Uuid, i32), Vec<LostRange>>,
}

impl LostRanges {
    /// Takes in a lost row.
    pub(crate) fn add(&mut self, topic: Uuid, row: &SegmentRow) {
        let ranges = self.ranges.entry((topic, row.partition)).or_default();
        match ranges.last_mut().filter(|last| last.timeline == row.timeline && last.to == row.first) {
            Some(last) => last.to = row.next,
            None => ranges.push(LostRange { timeline: row.timeline, from: row.first, to: row.next }),
        }
    }

    /// Each partition with its ranges.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ((Uuid, i32), &[LostRange])> {
        self.ranges.iter().map(|(key, ranges)| (*key, ranges.as_slice()))
    }

    /// The partitions.
    pub(crate) fn partitions(&self) -> HashSet<(Uuid, i32)> {
        self.ranges.keys().copied().collect()
    }
}

/// What becomes of the lost offsets of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Offsets that the newest timeline lacks from now on.
    pub(crate) gaps: Vec<(i64, i64)>,
    /// Offsets that only an older timeline showed, or that are read again, with that timeline: it lacks them.
    pub(crate) older: Vec<LostRange>,
    /// Where a new timeline begins; everything from there on is read again.
    pub(crate) fork: Option<i64>,
}

/// Decides it. `end_of` says where a timeline ends for a reader of the newest one.
pub(crate) fn outcome(ranges: &[LostRange], end_of: impl Fn(u32) -> i64, start: LogStart) -> Outcome {
    let shown = ranges.iter().map(|range| (range.from, range.to.min(end_of(range.timeline))));
    let shown: Vec<_> = shown.filter(|(from, to)| from < to).collect();
    let fork = match start {
        // Never below the start: what the archive still has there the source has not.
        LogStart::At(start) => shown.iter().filter(|(_, to)| *to > start).map(|(from, _)| start.max(*from)).min(),
        LogStart::Gone => None,
    };
    let end = fork.unwrap_or(i64::MAX);
    let gaps = shown.into_iter().map(|(from, to)| (from, to.min(end))).filter(|(from, to)| from < to);
    let rest = |range: &LostRange| {
        let from = range.from.max(end.min(end_of(range.timeline)));
        (from < range.to).then_some(LostRange { from, ..*range })
    };
    Outcome { gaps: joined(gaps.collect()), older: ranges.iter().filter_map(rest).collect(), fork }
}

/// Ranges in order; those that touch are one.
fn joined(mut ranges: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    ranges.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (from, to) in ranges {
        match out.last_mut().filter(|last| last.1 >= from) {
            Some(last) => last.1 = last.1.max(to),
            None => out.push((from, to)),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Fork, Timelines};

    fn lost(timeline: u32, from: i64, to: i64) -> LostRange {
        LostRange { timeline, from, to }
    }

    fn only(_: u32) -> i64 {
        i64::MAX
    }

    #[test]
    fn what_the_source_has_is_read_again_and_the_rest_is_a_gap() {
        let ranges = [lost(0, 0, 10), lost(0, 50, 60)];
        let found = |start| outcome(&ranges, only, start);
        // All of it is there: from the first lost offset on.
        let all = found(LogStart::At(0));
        assert_eq!((all.gaps.as_slice(), all.fork), (&[][..], Some(0)));
        assert_eq!(all.older, ranges);
        // The start lies inside a lost range, then between both, then behind them.
        let inside = found(LogStart::At(4));
        assert_eq!((inside.gaps.as_slice(), inside.fork), (&[(0, 4)][..], Some(4)));
        assert_eq!(inside.older, [lost(0, 4, 10), lost(0, 50, 60)]);
        let between = found(LogStart::At(20));
        assert_eq!((between.gaps.as_slice(), between.fork), (&[(0, 10)][..], Some(50)));
        assert_eq!(found(LogStart::At(10)).fork, Some(50), "a range that ends at the start is gone");
        for start in [LogStart::At(60), LogStart::At(1_000), LogStart::Gone] {
            let gone = Outcome { gaps: vec![(0, 10), (50, 60)], ..Outcome::default() };
            assert_eq!(found(start), gone);
        }
    }

    #[test]
    fn what_only_an_older_timeline_shows_is_no_gap_of_the_newest() {
        // Timeline 1 began at 30: of timeline 0 the newest shows what lies below.
        let end_of = |timeline| if timeline == 0 { 30 } else { i64::MAX };
        let ranges = [lost(0, 20, 40), lost(0, 60, 70)];
        let gone = outcome(&ranges, end_of, LogStart::Gone);
        assert_eq!((gone.gaps, gone.fork), (vec![(20, 30)], None));
        assert_eq!(gone.older, [lost(0, 30, 40), lost(0, 60, 70)]);
        let again = outcome(&[lost(0, 60, 70)], end_of, LogStart::At(0));
        assert_eq!((again.gaps, again.fork), (vec![], None), "nothing to read again");
        // Neighbours of two timelines are one gap.
        let both = outcome(&[lost(0, 20, 30), lost(1, 30, 35)], end_of, LogStart::Gone);
        assert_eq!(both.gaps, [(20, 35)]);
    }

    /// Rows of a history with forks: each timeline goes on where it began.
    fn rows(parts: &[(u32, i64, bool)]) -> (Vec<Fork>, Vec<(LostRange, bool)>) {
        let (mut forks, mut rows, mut next, mut timeline) = (Vec::new(), Vec::new(), 0i64, 0u32);
        for (back, length, gone) in parts {
            if *back > 0 {
                next = (next - i64::from(*back)).max(0);
                timeline += 1;
                forks.push(Fork { topic: Uuid::nil(), name: "t".into(), partition: 0, timeline, from: next });
            }
            rows.push((lost(timeline, next, next + length), *gone));
            next += length;
        }
        (forks, rows)
    }

    proptest! {
        /// Whatever is lost and wherever the source begins: each offset that the newest timeline showed is still shown,
        /// read again, or named as a gap, and in only one of these ways; nothing below the start is hidden.
        #[test]
        fn every_offset_is_shown_read_again_or_named(
            parts in proptest::collection::vec((prop_oneof![3 => Just(0u32), 1 => 1u32..12], 1i64..8, any::<bool>()), 1..14),
            start in prop_oneof![4 => (0i64..70).prop_map(LogStart::At), 1 => Just(LogStart::Gone)],
        ) {
            let (forks, rows) = rows(&parts);
            let timelines = Timelines::new(&forks);
            let end_of = |timelines: &Timelines, timeline| timelines.end_of(Uuid::nil(), 0, timeline);
            let ranges: Vec<_> = rows.iter().filter(|(_, gone)| *gone).map(|(row, _)| *row).collect();
            let found = outcome(&ranges, |timeline| end_of(&timelines, timeline), start);
            let mut after = forks.clone();
            after.extend(found.fork.map(|from| {
                let timeline = u32::try_from(forks.len()).unwrap() + 1;
                Fork { topic: Uuid::nil(), name: "t".into(), partition: 0, timeline, from }
            }));
            let after = Timelines::new(&after);
            let shows = |timelines: &Timelines, lost: bool, offset: i64| {
                rows.iter().filter(|(row, gone)| {
                    (lost || !*gone) && (row.from..row.to.min(end_of(timelines, row.timeline))).contains(&offset)
                }).count()
            };
            for offset in 0..120 {
                let before = shows(&timelines, true, offset);
                let still = shows(&after, false, offset);
                let again = usize::from(before > 0 && found.fork.is_some_and(|fork| offset >= fork));
                let named = found.gaps.iter().filter(|(from, to)| (*from..*to).contains(&offset)).count();
                prop_assert_eq!(before, still + again + named, "offset {}: {:?}", offset, found);
                if let LogStart::At(start) = start && offset < start {
                    prop_assert_eq!(still, shows(&timelines, false, offset), "{} is hidden", offset);
                }
                if let LogStart::At(start) = start && named > 0 {
                    prop_assert!(offset < start, "{} is named though the source has it", offset);
                }
            }
            // Each lost row is named whole: as a gap, or by its own timeline.
            for (row, _) in rows.iter().filter(|(_, gone)| *gone) {
                for offset in row.from..row.to {
                    let gap = found.gaps.iter().any(|(from, to)| (*from..*to).contains(&offset));
                    let older = found.older.iter()
                        .any(|lost| lost.timeline == row.timeline && (lost.from..lost.to).contains(&offset));
                    prop_assert!(gap || older, "{} of timeline {}", offset, row.timeline);
                }
            }
        }
    }
}
