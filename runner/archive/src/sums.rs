//! Whether a recovery point adds up: what the rows of its segments hold of each partition is what its seal counts. Pure.
//!
//! A writer that loses a row, or counts what it did not store, is found by this, whoever looks: the writer before it
//! seals, `verify`, and a restore before it writes.

use std::collections::HashMap;

use uuid::Uuid;

use crate::entry::{Gap, Seal, SegmentRow};
use crate::state::PartitionState;

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
    let mut out = Vec::new();
    for row in &seal.partitions {
        let Some(topic) = seal.topics.get(row.topic as usize) else {
            out.push(format!("the seal has a row of topic number {}, which it does not name", row.topic));
            continue;
        };
        let place = format!("{}/{}", topic.name, row.partition);
        let held = left.remove(&(topic.id, row.partition)).unwrap_or_default();
        out.extend(difference(&place, held, row));
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
        format!("the seal does not name partition {partition} of topic {topic}, of which the log has {} records", held.committed)
    }));
    out
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
