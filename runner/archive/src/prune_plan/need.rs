//! What kept points need of a set, and what is dead: offsets below which nothing that stays reads. Pure.
//!
//! A kept point needs of a partition what its source had then: offsets from the log start of that moment on, of topics that
//! were live. A compacted topic whose log start never moved is needed whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::entry::{Seal, SegmentRow};
use crate::state::{PartitionState, TopicIdPartition, TopicState};

/// Rounds in which lows are brought down row by row; where timelines cross more often, everything is needed.
const ROUNDS: usize = 32;

/// Where the source's logs began at the oldest point that stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogStarts {
    /// By partition; a partition that is not here is needed whole.
    pub(crate) of: BTreeMap<TopicIdPartition, i64>,
    /// Lineages that no point that stays had live.
    pub(crate) gone: BTreeSet<Uuid>,
}

/// The log starts that count when entry `floor` seals the oldest point that stays and `newest` the newest: the smaller ones
/// of both, since a run takes the log start that the source tells when it begins.
pub(crate) fn log_starts(floor: (u64, &Seal), newest: &Seal) -> LogStarts {
    let (number, floor) = floor;
    let by_id = |seal: &Seal| seal.topics.iter().map(|topic| (topic.id, topic.clone())).collect::<HashMap<_, _>>();
    let (then, now) = (by_id(floor), by_id(newest));
    let starts_now: HashMap<TopicIdPartition, i64> = positions(newest).map(|(key, row)| (key, row.log_start)).collect();
    let is_live = |topics: &HashMap<Uuid, TopicState>, id: &Uuid| topics.get(id).is_some_and(|topic| topic.live);
    // The newest seal in which the lineage was live, where that is known and no later one was.
    let until = |id: &Uuid| now.get(id).filter(|topic| !topic.live).and_then(|topic| topic.until);
    let mut out = LogStarts::default();
    for id in now.keys().filter(|id| !is_live(&then, id)) {
        if until(id).is_some_and(|until| until < number) {
            out.gone.insert(*id);
        }
    }
    for (key, row) in positions(floor) {
        let (id, _) = key;
        let was_live = is_live(&then, &id) || is_live(&now, &id) || until(&id).is_some_and(|until| until >= number);
        // A lineage of which nobody knows when it ended is needed whole, and so is a partition that the newest point lacks.
        if let Some(start) = starts_now.get(&key).filter(|_| was_live) {
            out.of.insert(key, row.log_start.min(*start));
        }
    }
    out
}

/// The partitions of a seal, by the id of their topics. A row of a topic that is not there is no partition.
fn positions(seal: &Seal) -> impl Iterator<Item = (TopicIdPartition, &PartitionState)> {
    seal.partitions.iter().filter_map(|row| Some(((seal.topics.get(row.topic as usize)?.id, row.partition), row)))
}

/// How much of a partition is needed no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Low {
    /// Rows that end at or below this offset.
    At(i64),
    /// All rows.
    EveryRow,
}

impl LogStarts {
    /// Another point that stays needs a partition from this offset on.
    pub(crate) fn lower(&mut self, key: TopicIdPartition, start: i64) {
        if let Some(known) = self.of.get_mut(&key) {
            *known = start.min(*known);
        }
    }

    /// The same of all partitions of a seal.
    pub(crate) fn lower_to(&mut self, seal: &Seal) {
        for (key, row) in positions(seal) {
            self.lower(key, row.log_start);
        }
    }
}

/// Offsets below which nothing is needed: at most the log start, and never inside of a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lows {
    of: HashMap<TopicIdPartition, i64>,
    gone: BTreeSet<Uuid>,
    rounds: usize,
}

impl Lows {
    /// The lows before any row was looked at.
    pub(crate) fn new(starts: LogStarts) -> Self {
        Self { of: starts.of.into_iter().collect(), gone: starts.gone, rounds: 0 }
    }

    /// Begins a round over all rows, which is needed while the round before changed something.
    pub(crate) fn next_round(&mut self) {
        self.rounds += 1;
    }

    /// Takes a row into account, and tells whether its partition's low was inside of it.
    pub(crate) fn take(&mut self, topic: Uuid, row: &SegmentRow) -> bool {
        let Some(low) = self.of.get_mut(&(topic, row.partition)) else { return false };
        let is_inside = row.first < *low && *low < row.next;
        if is_inside {
            *low = if self.rounds > ROUNDS { i64::MIN } else { row.first };
        }
        is_inside
    }

    /// Where rows of a partition begin that are needed, `EveryRow` where none is; `None` where all are.
    pub(crate) fn low(&self, key: TopicIdPartition) -> Option<Low> {
        if self.gone.contains(&key.0) {
            return Some(Low::EveryRow);
        }
        self.of.get(&key).map(|low| Low::At(*low))
    }

    /// From here on a partition is needed whole, where `keep` says so of its low.
    pub(crate) fn forget(&mut self, keep: impl Fn(TopicIdPartition, i64) -> bool) {
        self.of.retain(|key, low| !keep(*key, *low));
    }

    /// Whether nothing that stays needs a row from before the floor.
    pub(crate) fn hides(&self, topic: Uuid, row: &SegmentRow) -> bool {
        self.gone.contains(&topic) || self.of.get(&(topic, row.partition)).is_some_and(|low| row.next <= *low)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{empty_row, seal_of};

    const TOPIC: Uuid = Uuid::from_u128(7);

    fn topic(live: bool, until: Option<u64>) -> TopicState {
        TopicState { live, until, ..TopicState::new(TOPIC, "t", 2, 1) }
    }

    fn at(partition: i32, log_start: i64) -> PartitionState {
        PartitionState { log_start, ..PartitionState::new(partition, 0) }
    }

    fn starts(then: &Seal, now: &Seal) -> Vec<(i32, i64)> {
        log_starts((10, then), now).of.into_iter().map(|((_, partition), start)| (partition, start)).collect()
    }

    #[test]
    fn the_smaller_log_start_of_floor_and_newest_counts() {
        let live = |rows| seal_of(vec![topic(true, None)], rows);
        assert_eq!(starts(&live(vec![at(0, 40)]), &live(vec![at(0, 90)])), [(0, 40)]);
        // A leader that came back with an older log start.
        assert_eq!(starts(&live(vec![at(0, 40)]), &live(vec![at(0, 30)])), [(0, 30)]);
        // A partition that one of them does not name is needed whole.
        assert_eq!(starts(&live(vec![at(0, 40)]), &live(vec![at(0, 90), at(1, 5)])), [(0, 40)]);
        assert_eq!(starts(&live(vec![at(0, 40), at(1, 7)]), &live(vec![at(0, 90)])), [(0, 40)]);
        // So is a compacted topic: its log start never moves.
        assert_eq!(starts(&live(vec![at(0, 0)]), &live(vec![at(0, 0)])), [(0, 0)]);
    }

    #[test]
    fn a_lineage_goes_when_no_point_that_stays_had_it() {
        let of = |live, until| seal_of(vec![topic(live, until)], vec![at(0, 40)]);
        let gone = |then: &Seal, now: &Seal| log_starts((10, then), now).gone.contains(&TOPIC);
        assert!(gone(&of(false, Some(6)), &of(false, Some(6))));
        assert!(starts(&of(false, Some(6)), &of(false, Some(6))).is_empty());
        // Releases that did not say when it ended.
        assert!(!gone(&of(false, None), &of(false, None)) && starts(&of(false, None), &of(false, None)).is_empty());
        // A point between floor and newest had it; the floor itself had it; it is there again.
        for (then, now) in [
            (of(false, Some(6)), of(false, Some(12))),
            (of(false, Some(6)), of(false, Some(10))),
            (of(true, None), of(false, Some(10))),
            (of(false, Some(6)), of(true, None)),
        ] {
            assert!(!gone(&then, &now));
            assert_eq!(starts(&then, &now), [(0, 40)]);
        }
    }

    fn row(first: i64, next: i64) -> SegmentRow {
        SegmentRow { first, next, ..empty_row() }
    }

    fn settled(start: i64, rows: &[SegmentRow]) -> Lows {
        let mut lows = Lows::new(LogStarts { of: [((TOPIC, 0), start)].into(), gone: BTreeSet::new() });
        loop {
            lows.next_round();
            let inside: Vec<bool> = rows.iter().map(|row| lows.take(TOPIC, row)).collect();
            if !inside.contains(&true) {
                return lows;
            }
        }
    }

    #[test]
    fn rows_go_whole_or_not_at_all() {
        let rows = [row(0, 10), row(10, 20), row(20, 30)];
        let hidden = |start| {
            let lows = settled(start, &rows);
            rows.iter().filter(|row| lows.hides(TOPIC, row)).count()
        };
        assert_eq!([0, 9, 10, 15, 20, 29, 30, 99].map(hidden), [0, 0, 1, 1, 2, 2, 3, 3]);
        let lows = settled(30, &rows);
        assert!(!lows.hides(Uuid::from_u128(8), &rows[0]), "another topic");
        assert!(!lows.hides(TOPIC, &SegmentRow { partition: 1, ..rows[0].clone() }), "another partition");
    }

    /// Somebody who writes rows that cross each other for ever costs some rounds, and nothing of his goes.
    #[test]
    fn rows_that_cross_for_ever_end_the_search() {
        let rows: Vec<SegmentRow> = (0..1_000).map(|n| row(n * 10, n * 10 + 15)).collect();
        let lows = settled(9_000, &rows);
        assert!(lows.rounds <= ROUNDS + 2 && rows.iter().all(|row| !lows.hides(TOPIC, row)), "{}", lows.rounds);
    }

    proptest! {
        /// Rows of several timelines overlap: the low is the largest offset at or below the log start that none has inside.
        #[test]
        fn the_low_is_the_largest_that_can_be(
            spans in proptest::collection::vec((0i64..30, 1i64..8), 0..12),
            start in 0i64..40,
        ) {
            let rows: Vec<SegmentRow> = spans.iter().map(|(first, length)| row(*first, first + length)).collect();
            let free = |offset: i64| rows.iter().all(|row| !(row.first < offset && offset < row.next));
            let expected = (0..=start).rev().find(|offset| free(*offset)).unwrap();
            let lows = settled(start, &rows);
            prop_assert_eq!(lows.of[&(TOPIC, 0)], expected);
            for row in &rows {
                prop_assert!(!lows.hides(TOPIC, row) || row.next <= start);
            }
        }
    }
}
