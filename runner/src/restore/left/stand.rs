//! How far one source partition is known to be in its target: parts of it are passed over in their order, each only when the
//! target has all its records. Pure.

use std::collections::VecDeque;

use archive::{SegmentRow, ShareRow};
use batch::Window;

use crate::restore::part::{Part, Restored};

/// A row that is in the way: the target does not have all of it, or it is not known how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Its segment, by position in the point.
    pub(super) segment: u32,
    timeline: u32,
    first: i64,
    next: i64,
    committed: u64,
}

impl Row {
    /// Whether a share of its partition, in its segment, belongs to it.
    pub(super) fn holds(&self, share: &ShareRow) -> bool {
        share.timeline == self.timeline && self.first <= share.first && share.next <= self.next
    }
}

/// Where one source partition stands.
#[derive(Debug)]
pub(super) struct Stand {
    /// Its place in the target.
    pub(super) place: usize,
    /// Records of the target that nothing was passed over for.
    pub(super) left: u64,
    /// Everything below this offset was passed over.
    pub(super) from: i64,
    /// The parts of the row that is in the way.
    pub(super) parts: VecDeque<Part>,
    row: Option<Row>,
    /// Where the timeline of that row ends.
    end: i64,
    /// Rows that were passed over, and rows that this walk brought.
    passed: usize,
    brought: usize,
    is_done: bool,
    /// All rows were passed over.
    is_through: bool,
}

impl Stand {
    pub(super) fn new(place: usize, left: u64) -> Self {
        Self {
            place,
            left,
            from: i64::MIN,
            parts: VecDeque::new(),
            row: None,
            end: i64::MAX,
            passed: 0,
            brought: 0,
            is_done: false,
            is_through: false,
        }
    }

    /// Whether more may be passed over.
    pub(super) fn is_open(&self) -> bool {
        !self.is_done
    }

    /// The row that is in the way.
    pub(super) fn row(&self) -> Option<Row> {
        self.row
    }

    /// Whether the target has all of the partition, and perhaps more.
    pub(super) fn is_through(&self) -> bool {
        self.is_through
    }

    /// All rows came: none was in the way.
    pub(super) fn end_walk(&mut self) {
        self.is_through = !self.is_done && self.row.is_none();
    }

    /// The rows come again, from the first one on.
    pub(super) fn begin_walk(&mut self) {
        self.brought = 0;
    }

    /// Takes the next row.
    pub(super) fn take(&mut self, row: &SegmentRow, window: Window, end: i64) {
        self.brought += 1;
        if self.is_done || self.row.is_some() || self.brought <= self.passed {
            return;
        }
        if self.left == 0 {
            self.is_done = true;
        } else if self.passes(&Part::of(row), window, end) == Some(true) {
            self.passed = self.brought;
        } else {
            let SegmentRow { segment, timeline, first, next, committed, .. } = *row;
            (self.row, self.end) = (Some(Row { segment, timeline, first, next, committed }), end);
        }
    }

    /// Passes over a part that the target has whole, as the index says; `None` when only reading tells.
    fn passes(&mut self, part: &Part, window: Window, end: i64) -> Option<bool> {
        match part.restored(window, end) {
            Restored::Nothing => Some(true),
            Restored::All => Some(self.pass(part, part.committed)),
            Restored::Replaced => Some(false),
            Restored::Cut => None,
        }
    }

    /// Passes over a part with so many restored records, when the target has them.
    fn pass(&mut self, part: &Part, restored: u64) -> bool {
        let has = self.left.checked_sub(restored);
        if let Some(left) = has {
            (self.left, self.from) = (left, part.next);
        }
        has.is_some()
    }

    /// All parts of the row in the way came. Where they are not what it says, the partition is read from here: whoever reads finds
    /// what is damaged.
    pub(super) fn hold_against_row(&mut self) {
        let held: u64 = self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.committed));
        self.is_done |= self.row.is_some_and(|row| row.committed != held);
    }

    /// Passes over parts of the row that is in the way, up to one that the window cuts or that the target does not have whole.
    pub(super) fn pass_known(&mut self, window: Window) {
        while let Some(part) = self.parts.front().copied().filter(|_| !self.is_done) {
            match self.passes(&part, window, self.end) {
                Some(true) => drop(self.parts.pop_front()),
                Some(false) => self.is_done = true,
                None => return,
            }
        }
    }

    /// The next parts that the window cuts, as far as they may be counted. Where none may, the partition is read from here.
    pub(super) fn cut_run(&mut self, window: Window, may_count: &mut u64) -> Option<Vec<Part>> {
        let is_cut = |part: &&Part| part.restored(window, self.end) == Restored::Cut;
        if self.is_done || !self.parts.front().is_some_and(|part| is_cut(&part)) {
            return None;
        }
        let mut run = Vec::new();
        if self.left > 0 {
            for part in self.parts.iter().take_while(is_cut) {
                let Some(rest) = may_count.checked_sub(part.bytes) else { break };
                *may_count = rest;
                run.push(*part);
            }
        }
        self.is_done = run.is_empty();
        (!self.is_done).then_some(run)
    }

    /// Passes over parts that were counted.
    pub(super) fn pass_counted(&mut self, run: &[Part], restored: impl Fn(&Part) -> Option<u64>) {
        for part in run {
            let passed = restored(part).is_some_and(|count| self.pass(part, count));
            if !passed {
                self.is_done = true;
                return;
            }
            self.parts.pop_front();
        }
    }

    /// The row in the way was looked into: whether all of it was passed over, and there was one.
    pub(super) fn end_row(&mut self) -> bool {
        if self.row.take().is_none() {
            return false;
        }
        if self.parts.is_empty() && !self.is_done {
            self.passed += 1;
            return true;
        }
        self.parts.clear();
        self.is_done = true;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn part(first: i64, times: (i64, i64)) -> Part {
        Part { first, next: first + 10, committed: 10, bytes: MIB, latest: times.1, earliest: Some(times.0) }
    }

    fn row(first: i64, times: (i64, i64)) -> SegmentRow {
        SegmentRow {
            segment: 0,
            topic: 0,
            partition: 0,
            timeline: 0,
            first,
            next: first + 10,
            bytes: MIB,
            records: 10,
            committed: 10,
            max_timestamp: times.1,
            min_timestamp: times.0,
            min_exact: true,
        }
    }

    fn walk(stand: &mut Stand, window: Window, rows: &[SegmentRow]) {
        stand.begin_walk();
        for row in rows {
            stand.take(row, window, i64::MAX);
        }
        stand.end_walk();
    }

    #[test]
    fn a_partition_is_through_when_nothing_of_it_is_left() {
        let rows: Vec<_> = (0..3).map(|n| row(n * 10, (n, n))).collect();
        let through = |left, rows: &[SegmentRow]| {
            let mut stand = Stand::new(0, left);
            walk(&mut stand, Window::ALL, rows);
            (stand.is_through(), stand.left)
        };
        // What meets it in the target partition stands behind it.
        assert_eq!((through(30, &rows), through(41, &rows), through(5, &[])), ((true, 0), (true, 11), (true, 5)));
        assert_eq!(through(29, &rows), (false, 9));
        // Nothing is left to pass over before the last row.
        assert_eq!(through(20, &rows), (false, 0));
        // Of a row in the way its blocks are there: behind it more may come.
        let mut stand = Stand::new(0, 35);
        let window = Window { start: 0, end: 1000 };
        let rows = [SegmentRow { min_exact: false, ..row(0, (0, 0)) }, row(10, (1, 1))];
        walk(&mut stand, window, &rows);
        stand.parts = [part(0, (0, 0))].into();
        stand.pass_known(window);
        assert!(stand.end_row() && !stand.is_through());
        walk(&mut stand, window, &rows);
        assert!(stand.is_through());
    }

    #[test]
    fn whole_rows_are_passed_up_to_the_one_in_which_the_target_stands() {
        let rows: Vec<_> = (0..5).map(|n| row(n * 10, (n, n))).collect();
        let mut stand = Stand::new(0, 25);
        walk(&mut stand, Window::ALL, &rows);
        assert_eq!((stand.from, stand.left, stand.row().unwrap().first), (20, 5, 20));
        // Of its blocks one is there; the next one is read again, without the record that the target has.
        stand.parts =
            [Part { next: 24, committed: 4, ..part(20, (2, 2)) }, Part { first: 24, ..part(20, (2, 2)) }].into();
        stand.pass_known(Window::ALL);
        assert!(!stand.end_row() && !stand.is_open());
        assert_eq!((stand.from, stand.left), (24, 1));
        // Nothing moves any more.
        walk(&mut stand, Window::ALL, &rows);
        assert_eq!((stand.from, stand.left, stand.row()), (24, 1, None));
    }

    #[test]
    fn a_window_is_passed_by_counting_what_it_cuts() {
        let window = Window { start: 15, end: 1000 };
        // Times 0 to 9 are outside, 10 to 19 are cut, the others are inside.
        let rows: Vec<_> = (0..6).map(|n| row(n * 10, (n * 10, n * 10 + 9))).collect();
        let mut stand = Stand::new(0, 5 + 10 + 3);
        walk(&mut stand, window, &rows);
        assert_eq!((stand.from, stand.left, stand.row().unwrap().first), (i64::MIN, 18, 10));
        stand.parts = [part(10, (10, 19))].into();
        stand.pass_known(window);
        let mut may_count = 2 * MIB;
        let run = stand.cut_run(window, &mut may_count).unwrap();
        stand.pass_counted(&run, |part| (part.first == 10).then_some(5));
        assert_eq!(stand.cut_run(window, &mut may_count), None);
        assert!(stand.end_row());
        assert_eq!((stand.from, stand.left, may_count), (20, 13, MIB));
        // The next walk begins behind the row that was looked into.
        walk(&mut stand, window, &rows);
        assert_eq!((stand.from, stand.left, stand.row().unwrap().first), (30, 3, 30));
    }

    #[test]
    fn what_is_not_counted_is_not_passed() {
        let window = Window { start: 15, end: 1000 };
        let stand = |left| {
            let mut stand = Stand::new(0, left);
            walk(&mut stand, window, &[row(10, (10, 19))]);
            stand.parts = [part(10, (10, 19)), part(20, (14, 30))].into();
            stand
        };
        // Too much to count.
        let mut one = stand(9);
        assert_eq!(one.cut_run(window, &mut (MIB - 1)), None);
        assert!(!one.end_row() && one.from == i64::MIN && one.left == 9);
        // One of two may be counted, and the target has less than it holds.
        let mut one = stand(4);
        let run = one.cut_run(window, &mut (MIB + 1)).unwrap();
        assert_eq!(run.len(), 1);
        one.pass_counted(&run, |_| Some(5));
        assert!(!one.end_row() && one.from == i64::MIN && one.left == 4);
        // Nobody could count it.
        let mut one = stand(9);
        let run = one.cut_run(window, &mut (9 * MIB)).unwrap();
        one.pass_counted(&run, |_| None);
        assert!(!one.end_row() && one.from == i64::MIN);
    }

    #[test]
    fn blocks_that_are_not_what_their_row_says_are_not_passed() {
        for (parts, passes) in [(vec![part(0, (0, 0))], true), (vec![], false)] {
            let mut stand = Stand::new(0, 20);
            walk(&mut stand, Window { start: 0, end: 1000 }, &[SegmentRow { min_exact: false, ..row(0, (0, 0)) }]);
            stand.parts = parts.into();
            stand.hold_against_row();
            stand.pass_known(Window { start: 0, end: 1000 });
            assert_eq!((stand.end_row(), stand.left), if passes { (true, 10) } else { (false, 20) });
        }
    }

    #[test]
    fn a_row_that_a_later_timeline_cuts_is_read_again_from_its_cut_block() {
        let mut stand = Stand::new(0, 20);
        stand.begin_walk();
        stand.take(&row(0, (0, 0)), Window::ALL, 6);
        assert_eq!((stand.from, stand.left), (i64::MIN, 20));
        stand.parts = [Part { next: 5, committed: 5, ..part(0, (0, 0)) }, Part { first: 5, ..part(0, (0, 0)) }].into();
        stand.pass_known(Window::ALL);
        assert!(!stand.end_row());
        assert_eq!((stand.from, stand.left), (5, 15));
    }
}
