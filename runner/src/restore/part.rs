//! What a row of the index, or a share of a block, holds of one source partition, as far as a restore reads it. Pure.

use archive::{SegmentRow, ShareRow};
use batch::Window;

/// Neighbouring records of one source partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// First offset, and the one after the last.
    pub(crate) first: i64,
    pub(crate) next: i64,
    /// Committed records.
    pub(crate) committed: u64,
    /// Plain bytes.
    pub(crate) bytes: u64,
    /// Latest timestamp of those records.
    pub(crate) latest: i64,
    /// The earliest, where it is known.
    pub(crate) earliest: Option<i64>,
}

/// How many of them are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restored {
    /// None.
    Nothing,
    /// All of them.
    All,
    /// Those in the window: only reading tells how many.
    Cut,
    /// Those that no later timeline replaced.
    Replaced,
}

impl Part {
    /// A row of the index.
    pub(crate) fn of(row: &SegmentRow) -> Self {
        Self {
            first: row.first,
            next: row.next,
            committed: row.committed,
            bytes: row.bytes,
            latest: row.max_timestamp,
            earliest: row.min_exact.then_some(row.min_timestamp),
        }
    }

    /// A share of a block.
    pub(crate) fn of_share(share: &ShareRow) -> Self {
        Self {
            first: share.first,
            next: share.next,
            committed: share.committed,
            bytes: share.length,
            latest: share.max_timestamp,
            earliest: share.min_exact.then_some(share.min_timestamp),
        }
    }

    /// Whether no record is inside for sure.
    pub(crate) fn misses(&self, window: Window) -> bool {
        self.latest < window.start || self.earliest.is_some_and(|earliest| earliest > window.end)
    }

    /// Whether all records are inside for sure.
    pub(crate) fn covers(&self, window: Window) -> bool {
        let begins = window.start == i64::MIN || self.earliest.is_some_and(|earliest| earliest >= window.start);
        begins && self.latest <= window.end
    }

    /// What is restored of it, when its timeline counts up to `end`.
    pub(crate) fn restored(&self, window: Window, end: i64) -> Restored {
        if self.committed == 0 || self.first >= end || self.misses(window) {
            Restored::Nothing
        } else if self.next > end {
            Restored::Replaced
        } else if self.covers(window) {
            Restored::All
        } else {
            Restored::Cut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(earliest: Option<i64>, latest: i64) -> Part {
        Part { first: 0, next: 10, committed: 10, bytes: 1, latest, earliest }
    }

    #[test]
    fn a_part_is_whole_or_outside_only_when_that_is_sure() {
        let until = Window { start: i64::MIN, end: 100 };
        assert!(part(None, 100).covers(until) && !part(Some(5), 101).covers(until));
        assert!(part(Some(101), 200).misses(until) && !part(None, 200).misses(until));
        let since = Window { start: 100, end: i64::MAX };
        assert!(part(Some(100), 200).covers(since) && !part(None, 200).covers(since));
        assert!(part(Some(0), 99).misses(since) && !part(Some(0), 100).misses(since));
    }

    #[test]
    fn what_a_later_timeline_replaces_is_told_from_what_it_leaves() {
        let window = Window { start: 100, end: 200 };
        let inside = part(Some(100), 200);
        let restored = |part: Part, end| part.restored(window, end);
        assert_eq!((restored(inside, i64::MAX), restored(inside, 10)), (Restored::All, Restored::All));
        assert_eq!((restored(inside, 9), restored(inside, 0)), (Restored::Replaced, Restored::Nothing));
        assert_eq!(restored(Part { committed: 0, ..inside }, 10), Restored::Nothing);
        assert_eq!(restored(part(Some(99), 150), 10), Restored::Cut);
        // Outside the window nothing is restored, whatever replaced it.
        assert_eq!(restored(part(Some(0), 99), 5), Restored::Nothing);
    }
}
