//! What a reader wants of a recovery point, and what reading that touches. Pure.

use std::collections::HashMap;

use batch::Window;
use uuid::Uuid;

use crate::entry::{SegmentRef, SegmentRow};
use crate::segment::ShareRow;
use crate::timeline::Timelines;

/// Which records a reader wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// First offset wanted of each partition; others are not wanted at all.
    pub from: HashMap<(Uuid, i32), i64>,
    /// Offsets from here on are not wanted; without an entry, all are. Whole blocks before may still come.
    pub until: HashMap<(Uuid, i32), i64>,
    /// Which timelines count, and how far.
    pub timelines: Timelines,
    /// Time window; records outside may still come, whole blocks outside do not.
    pub window: Window,
    /// Whether the markers that end transactions come too.
    pub markers: bool,
}

/// What decides on a row.
struct RowFacts {
    timeline: u32,
    committed: u64,
    first: i64,
    next: i64,
    max: i64,
    min: i64,
    exact: bool,
}

impl Wanted {
    /// Committed records of these partitions from these offsets on.
    #[must_use]
    pub fn new(from: HashMap<(Uuid, i32), i64>, timelines: Timelines, window: Window) -> Self {
        Self { from, until: HashMap::new(), timelines, window, markers: false }
    }

    pub(crate) fn wants_row(&self, topic: Uuid, row: &SegmentRow) -> bool {
        let facts = RowFacts {
            timeline: row.timeline,
            committed: row.committed,
            first: row.first,
            next: row.next,
            max: row.max_timestamp,
            min: row.min_timestamp,
            exact: row.min_exact,
        };
        self.wants(topic, row.partition, &facts)
    }

    fn wants(&self, topic: Uuid, partition: i32, row: &RowFacts) -> bool {
        let from = self.from.get(&(topic, partition));
        let outside = row.max < self.window.start || (row.exact && row.min > self.window.end);
        let replaced = row.first >= self.timelines.end_of(topic, partition, row.timeline);
        let beyond = self.until.get(&(topic, partition)).is_some_and(|until| row.first >= *until);
        let counts = row.committed > 0 || self.markers;
        counts && !outside && !replaced && !beyond && from.is_some_and(|from| row.next > *from)
    }

    /// Whether a share has something that is wanted.
    #[must_use]
    pub fn wants_share(&self, topic: Uuid, share: &ShareRow) -> bool {
        let facts = RowFacts {
            timeline: share.timeline,
            committed: share.committed,
            first: share.first,
            next: share.next,
            max: share.max_timestamp,
            min: share.min_timestamp,
            exact: share.min_exact,
        };
        self.wants(topic, share.partition, &facts)
    }
}

/// What a read will touch.
#[derive(Debug, Clone, Default)]
pub struct ReadPlan {
    /// Segments in order.
    pub segments: Vec<SegmentRef>,
    /// Committed records in the rows that are touched: an upper bound of what is wanted.
    pub records: u64,
    /// Decompressed bytes of those rows.
    pub bytes: u64,
}
