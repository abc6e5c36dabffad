//! Timelines of partitions: which offsets of each still count for a reader. Pure.
//!
//! A timeline begins where the source's log was cut; below its first offset it inherits from those before it.

use std::collections::HashMap;

use uuid::Uuid;

use crate::Fork;

/// The timelines that a reader follows: the newest of each partition, unless told otherwise.
#[derive(Debug, Clone, Default)]
pub struct Timelines {
    /// First offsets of timelines 1, 2, ... by partition.
    starts: HashMap<(Uuid, i32), Vec<i64>>,
    /// Where timelines 0, 1, ... end for the reader: at the smallest of the first offsets behind them.
    ends: HashMap<(Uuid, i32), Vec<i64>>,
    /// Partitions that are read as they were before a cut.
    chosen: HashMap<(Uuid, i32), u32>,
}

impl Timelines {
    /// The timelines that these forks began, oldest first.
    #[must_use]
    pub fn new(forks: &[Fork]) -> Self {
        let mut starts: HashMap<(Uuid, i32), Vec<i64>> = HashMap::new();
        for fork in forks {
            starts.entry((fork.topic, fork.partition)).or_default().push(fork.from);
        }
        let ends = starts.iter().map(|(key, starts)| (*key, ends_of(starts))).collect();
        Self { starts, ends, chosen: HashMap::new() }
    }

    /// Reads a partition as timeline `timeline` saw it.
    pub fn choose(&mut self, topic: Uuid, partition: i32, timeline: u32) {
        self.chosen.insert((topic, partition), timeline);
        if let Some(starts) = self.starts.get(&(topic, partition)) {
            let before = starts.get(..(timeline as usize).min(starts.len())).unwrap_or_default();
            self.ends.insert((topic, partition), ends_of(before));
        }
    }

    /// Number of the newest timeline of a partition.
    #[must_use]
    pub fn newest(&self, topic: Uuid, partition: i32) -> u32 {
        self.starts.get(&(topic, partition)).map_or(0, |starts| u32::try_from(starts.len()).unwrap_or(u32::MAX))
    }

    /// Where a timeline ends for the reader: offsets from here on belong to a later one, or to none that is read.
    #[must_use]
    pub fn end_of(&self, topic: Uuid, partition: i32, timeline: u32) -> i64 {
        let Some(ends) = self.ends.get(&(topic, partition)) else { return i64::MAX };
        if self.chosen.get(&(topic, partition)).is_some_and(|last| timeline > *last) {
            return i64::MIN;
        }
        ends.get(timeline as usize).copied().unwrap_or(i64::MAX)
    }
}

/// Where each timeline ends behind which these begin; timeline n begins at the n-1st of them.
fn ends_of(starts: &[i64]) -> Vec<i64> {
    let mut least = i64::MAX;
    let mut out: Vec<_> = starts
        .iter()
        .rev()
        .map(|start| {
            least = least.min(*start);
            least
        })
        .collect();
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_timelines_end_earlier_ones_where_they_begin() {
        let fork = |timeline, from| Fork { topic: Uuid::nil(), name: "t".into(), partition: 0, timeline, from };
        let mut timelines = Timelines::new(&[fork(1, 100), fork(2, 150), fork(3, 120)]);
        let ends = |t: &Timelines| (0..4).map(|n| t.end_of(Uuid::nil(), 0, n)).collect::<Vec<_>>();
        // Timeline 3 cut below the start of timeline 2: nothing of timeline 2 is left, of timeline 1 up to 120.
        assert_eq!(ends(&timelines), [100, 120, 120, i64::MAX]);
        assert_eq!(timelines.newest(Uuid::nil(), 0), 3);
        timelines.choose(Uuid::nil(), 0, 1);
        assert_eq!(ends(&timelines), [100, i64::MAX, i64::MIN, i64::MIN]);
        timelines.choose(Uuid::nil(), 0, 0);
        assert_eq!(ends(&timelines), [i64::MAX, i64::MIN, i64::MIN, i64::MIN]);
        assert_eq!(timelines.end_of(Uuid::nil(), 1, 0), i64::MAX);
    }

    /// A log that says so is hostile, but rows are judged by it.
    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_cuts_of_one_partition_cost_no_more_than_one() {
        let fork = |timeline: u32| Fork {
            topic: Uuid::nil(),
            name: "t".into(),
            partition: 0,
            timeline,
            from: timeline.into(),
        };
        let timelines = Timelines::new(&(1..=100_000).map(fork).collect::<Vec<_>>());
        let since = std::time::Instant::now();
        let sum: i64 = (0..100_000).map(|timeline| timelines.end_of(Uuid::nil(), 0, timeline)).sum();
        assert_eq!(sum, 100_000 * 100_001 / 2);
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    }
}
