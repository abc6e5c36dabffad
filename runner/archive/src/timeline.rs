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
        Self { starts, chosen: HashMap::new() }
    }

    /// Reads a partition as timeline `timeline` saw it.
    pub fn choose(&mut self, topic: Uuid, partition: i32, timeline: u32) {
        self.chosen.insert((topic, partition), timeline);
    }

    /// Number of the newest timeline of a partition.
    #[must_use]
    pub fn newest(&self, topic: Uuid, partition: i32) -> u32 {
        self.starts.get(&(topic, partition)).map_or(0, |starts| u32::try_from(starts.len()).unwrap_or(u32::MAX))
    }

    /// Where a timeline ends for the reader: offsets from here on belong to a later one, or to none that is read.
    #[must_use]
    pub fn end_of(&self, topic: Uuid, partition: i32, timeline: u32) -> i64 {
        let Some(starts) = self.starts.get(&(topic, partition)) else { return i64::MAX };
        let last = self.chosen.get(&(topic, partition)).copied().unwrap_or(u32::MAX) as usize;
        let timeline = timeline as usize;
        if timeline > last {
            return i64::MIN;
        }
        // Timeline n begins at starts[n - 1].
        let later = starts.iter().take(last.min(starts.len())).skip(timeline);
        later.copied().min().unwrap_or(i64::MAX)
    }
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
}
