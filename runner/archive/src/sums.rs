//! Whether a recovery point adds up: what the rows of its segments hold of each partition is what its seal counts. Pure.
//!
//! A writer that loses a row, or counts what it did not store, is found by this, whoever looks: the writer before it
//! seals, `verify`, and a restore before it writes.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::entry::{Gap, HeldBack, Seal, SegmentRow};
use crate::state::{PartitionState, TopicState, UNKNOWN_TARGET};

/// What rows hold of one partition, all its timelines together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    committed: u64,
    bytes: u64,
}

/// What the rows of a log hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    held: HashMap<(Uuid, i32), Held>,
    /// Where the rows of each timeline end.
    ends: HashMap<(Uuid, i32, u32), i64>,
}

impl Sums {
    /// Takes in a row.
    pub(crate) fn add(&mut self, topic: Uuid, row: &SegmentRow) {
        let held = self.held.entry((topic, row.partition)).or_default();
        held.committed = held.committed.saturating_add(row.committed);
        held.bytes = held.bytes.saturating_add(row.bytes);
        let end = self.ends.entry((topic, row.partition, row.timeline)).or_insert(row.next);
        *end = row.next.max(*end);
    }
}

/// Every difference between a seal and the rows and gaps up to it, in words with the numbers.
pub(crate) fn differences(sums: &Sums, gaps: &[Gap], seal: &Seal) -> Vec<String> {
    let mut left = sums.held.clone();
    let mut lost: HashMap<(Uuid, i32), i64> = HashMap::new();
    for gap in gaps {
        let end = lost.entry((gap.topic, gap.partition)).or_insert(gap.to);
        *end = gap.to.max(*end);
    }
    let waiting = Waiting::new(&seal.held_back);
    let mut out = Vec::new();
    for row in &seal.partitions {
        let Some(topic) = seal.topics.get(row.topic as usize) else {
            out.push(format!("the seal has a row of topic number {}, which it does not name", row.topic));
            continue;
        };
        let place = format!("{}/{}", topic.name, row.partition);
        let held = left.remove(&(topic.id, row.partition)).unwrap_or_default();
        out.extend(difference(&place, held, row));
        out.extend(waiting.lacks(topic, row));
        let end = sums.ends.get(&(topic.id, row.partition, row.timeline)).copied();
        // A later timeline may begin below an older gap.
        let gap = lost.get(&(topic.id, row.partition)).copied().filter(|_| row.timeline == 0);
        if let Some(end) = end.max(gap).filter(|end| *end > row.next) {
            out.push(format!("{place} ends at {end}, behind the position {} of the seal", row.next));
        }
    }
    let mut unnamed: Vec<_> = left.into_iter().collect();
    unnamed.sort_unstable_by_key(|(key, _)| *key);
    out.extend(unnamed.into_iter().map(|((topic, partition), held)| {
        format!(
            "the seal does not name partition {partition} of topic {topic}, of which the log has {} records",
            held.committed
        )
    }));
    out
}

/// Where a seal says that partitions wait: topic, partition and next offset.
pub(crate) struct Waiting<'s>(HashSet<(&'s str, i32, i64)>);

impl<'s> Waiting<'s> {
    pub(crate) fn new(held_back: &'s [HeldBack]) -> Self {
        Self(held_back.iter().map(|held| (held.topic.as_str(), held.partition, held.from)).collect())
    }

    /// What a partition lacks of what was to be read, when nothing says why; in words.
    pub(crate) fn lacks(&self, topic: &'s TopicState, row: &PartitionState) -> Option<String> {
        let is_short = row.target != UNKNOWN_TARGET && row.next < row.target && topic.live;
        let is_held = || self.0.contains(&(topic.name.as_str(), row.partition, row.next));
        (is_short && !is_held()).then(|| {
            format!(
                "{}/{} ends at {}, before {}, where it was to be read to, and nothing says what kept the rest out",
                topic.name, row.partition, row.next, row.target
            )
        })
    }
}

/// The difference of one partition, if there is one.
pub(crate) fn difference(place: &str, held: Held, row: &PartitionState) -> Option<String> {
    let counted = Held { committed: row.committed, bytes: row.bytes };
    (held != counted).then(|| {
        format!(
            "{place}: the segments hold {} committed records in {} bytes, the seal counts {} in {}",
            held.committed, held.bytes, counted.committed, counted.bytes
        )
    })
}

/// What a writer stored since its last seal, beside what the log counted of those partitions before. It knows only the
/// partitions that changed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    changed: HashMap<(Uuid, i32), Held>,
}

impl Ledger {
    /// Before a partition changes: `before` is what the log says of it so far.
    pub(crate) fn touch(&mut self, key: (Uuid, i32), before: Option<&PartitionState>) {
        let counted = || before.map_or_else(Held::default, |row| Held { committed: row.committed, bytes: row.bytes });
        self.changed.entry(key).or_insert_with(counted);
    }

    /// Takes in a row of a partition that was touched.
    pub(crate) fn add(&mut self, key: (Uuid, i32), row: &SegmentRow) {
        let held = self.changed.entry(key).or_default();
        held.committed = held.committed.saturating_add(row.committed);
        held.bytes = held.bytes.saturating_add(row.bytes);
    }

    /// The first partition that a seal would count wrongly, in words; none, and a new beginning, when all adds up.
    pub(crate) fn close(
        &mut self,
        name_of: impl Fn(Uuid) -> String,
        now: impl Fn((Uuid, i32)) -> Option<PartitionState>,
    ) -> Option<String> {
        for (key, held) in std::mem::take(&mut self.changed) {
            let place = format!("{}/{}", name_of(key.0), key.1);
            let found = match now(key) {
                Some(row) => difference(&place, held, &row),
                None => {
                    Some(format!("{place}: the segments hold {} records, the seal does not name it", held.committed))
                }
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::TopicState;
    use crate::entry::{HeldBack, empty_row, seal_of};
    use crate::reason::{GapReason, HeldReason};

    const TOPIC: Uuid = Uuid::from_u128(7);

    fn seal(rows: Vec<PartitionState>) -> Seal {
        seal_of(vec![TopicState::new(TOPIC, "t", 2, 1)], rows)
    }

    fn counts(next: i64, committed: u64, bytes: u64) -> PartitionState {
        PartitionState { next, committed, bytes, ..PartitionState::new(0, 0) }
    }

    fn rows(list: &[(u32, i64, i64, u64, u64)]) -> Sums {
        let mut sums = Sums::default();
        for (timeline, first, next, committed, bytes) in list.iter().copied() {
            sums.add(TOPIC, &SegmentRow { timeline, first, next, bytes, committed, ..empty_row() });
        }
        sums
    }

    fn gap(from: i64, to: i64) -> Gap {
        Gap { topic: TOPIC, name: "t".into(), partition: 0, from, to, reason: GapReason::LogStartMoved, timeline: None }
    }

    #[test]
    fn rows_and_gaps_up_to_a_seal_are_what_it_counts() {
        let found = |list: &[_], gaps: &[Gap], row| differences(&rows(list), gaps, &seal(vec![row]));
        assert!(found(&[(0, 0, 10, 10, 100), (0, 10, 15, 4, 50)], &[], counts(15, 14, 150)).is_empty());
        // A row is missing, or counted twice, or of another size.
        let words = found(&[(0, 0, 10, 10, 100)], &[], counts(15, 14, 150));
        assert!(words[0].contains("hold 10") && words[0].contains("counts 14"), "{words:?}");
        assert_eq!(found(&[(0, 0, 15, 14, 149)], &[], counts(15, 14, 150)).len(), 1);
        // Offsets without records: by compaction, or rolled back.
        assert!(found(&[(0, 0, 10, 0, 100)], &[], counts(12, 0, 100)).is_empty());
        // The seal is behind its rows, or behind a gap.
        assert_eq!(found(&[(0, 0, 10, 10, 100)], &[], counts(9, 10, 100)).len(), 1);
        assert!(found(&[(0, 20, 30, 10, 100)], &[gap(0, 20)], counts(30, 10, 100)).is_empty());
        assert_eq!(found(&[(0, 0, 10, 10, 100)], &[gap(10, 40)], counts(30, 10, 100)).len(), 1);
        // A fork: counts go over all timelines, the end is that of the newest.
        let forked = PartitionState { timeline: 1, ..counts(8, 14, 150) };
        assert!(found(&[(0, 0, 10, 10, 100), (1, 4, 8, 4, 50)], &[], forked).is_empty());
        // A partition that the seal does not name.
        assert_eq!(differences(&rows(&[(0, 0, 10, 10, 100)]), &[], &seal(vec![])).len(), 1);
    }

    #[test]
    fn what_was_to_be_read_was_read_or_held_back() {
        let row = PartitionState { target: 20, ..counts(10, 10, 100) };
        let mut seal = seal(vec![row]);
        let sums = rows(&[(0, 0, 10, 10, 100)]);
        assert_eq!(differences(&sums, &[], &seal).len(), 1);
        let held = |from| HeldBack {
            topic: "t".into(),
            partition: 0,
            from,
            to: 20,
            reason: HeldReason::default(),
            producer_id: None,
            age_ms: None,
        };
        seal.held_back = vec![held(11)];
        assert_eq!(differences(&sums, &[], &seal).len(), 1, "another place");
        seal.held_back = vec![held(10)];
        assert!(differences(&sums, &[], &seal).is_empty());
    }

    /// All brokers were away: each partition was held back.
    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_partitions_that_wait_are_compared_at_once() {
        let count = 100_000;
        let row = |partition| PartitionState { target: 20, partition, ..PartitionState::new(partition, 0) };
        let mut seal = seal((0..count).map(row).collect());
        let held = |partition| HeldBack {
            topic: "t".into(),
            partition,
            from: 0,
            to: 20,
            reason: HeldReason::Unavailable,
            producer_id: None,
            age_ms: None,
        };
        seal.held_back = (0..count).rev().map(held).collect();
        let since = std::time::Instant::now();
        assert!(differences(&Sums::default(), &[], &seal).is_empty());
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    }

    #[test]
    fn a_writer_knows_before_it_seals() {
        let row = |committed, bytes| SegmentRow { bytes, committed, ..empty_row() };
        let before = counts(10, 10, 100);
        let close = |ledger: &mut Ledger, now: PartitionState| ledger.close(|_| "t".into(), move |_| Some(now.clone()));
        let mut ledger = Ledger::default();
        ledger.touch((TOPIC, 0), Some(&before));
        ledger.add((TOPIC, 0), &row(4, 50));
        ledger.touch((TOPIC, 0), Some(&counts(15, 14, 150)));
        assert_eq!(close(&mut ledger, counts(15, 14, 150)), None);
        // From here on the seal before counts.
        ledger.touch((TOPIC, 0), Some(&counts(15, 14, 150)));
        ledger.add((TOPIC, 0), &row(1, 10));
        assert!(close(&mut ledger, counts(20, 16, 170)).is_some_and(|words| words.contains("hold 15")));
    }
}
