//! The runs of one partition, as they come out of a file: held against each other, and kept as far as offsets are asked for. Pure.

use std::collections::BTreeSet;
use std::iter::Peekable;

use super::form::Run;

/// Runs that are held at once, so that they can be sorted: about 40 MiB.
const HELD: usize = 1 << 20;

/// Collects the runs of one partition. Pairs become runs as they are read. Runs that come in order are never held whole, however
/// many there are; those that come in no order are sorted.
pub(super) struct Runs<'a> {
    held: Vec<Run>,
    is_ordered: bool,
    /// Whether the first ones were passed on, so that nothing can be sorted in before them.
    is_under_way: bool,
    most: usize,
    kept: Kept<'a>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(asked: &'a BTreeSet<i64>) -> Self {
        Self::of_at_most(HELD, asked)
    }

    fn of_at_most(most: usize, asked: &'a BTreeSet<i64>) -> Self {
        let kept = Kept { asked: asked.iter().peekable(), runs: Vec::new(), last: None };
        Self { held: Vec::new(), is_ordered: true, is_under_way: false, most, kept }
    }

    /// Takes the next one.
    ///
    /// # Errors
    /// When there are too many in no order, in words.
    pub(super) fn push(&mut self, run: Run) -> Result<(), String> {
        if let Some(last) = self.held.last_mut() {
            if last.joined(&run) {
                return Ok(());
            }
            self.is_ordered &= last.is_before(&run);
        }
        if !self.is_ordered && (self.is_under_way || self.held.len() >= self.most) {
            return Err(format!(
                "has more than {} runs of records that overlap or are not in the order of their offsets",
                self.most
            ));
        }
        if self.held.len() >= self.most {
            self.held.drain(..).for_each(|run| self.kept.pass(run));
            self.is_under_way = true;
        }
        self.held.push(run);
        Ok(())
    }

    /// Those that are kept: the first and the last one, and those that the offsets lead to that were asked for.
    ///
    /// # Errors
    /// Where two runs overlap, or go backwards in the target.
    pub(super) fn ended(mut self) -> Result<Vec<Run>, String> {
        if !self.is_ordered {
            self.held.sort_by_key(|run| run.source_start);
            let mut merged: Vec<Run> = Vec::new();
            for run in self.held {
                if !merged.last_mut().is_some_and(|last| last.joined(&run)) {
                    merged.push(run);
                }
            }
            self.held = merged;
            for (a, b) in self.held.iter().zip(self.held.iter().skip(1)) {
                if !a.is_before(b) {
                    return Err(format!("leads source offset {} to two places, or backwards", b.source_start));
                }
            }
        }
        self.held.into_iter().for_each(|run| self.kept.pass(run));
        self.kept.runs.extend(self.kept.last);
        Ok(self.kept.runs)
    }
}

/// Keeps what offsets lead to, of runs in their order.
struct Kept<'a> {
    asked: Peekable<std::collections::btree_set::Iter<'a, i64>>,
    runs: Vec<Run>,
    /// The newest one, if it is not among them.
    last: Option<Run>,
}

impl Kept<'_> {
    fn pass(&mut self, run: Run) {
        let mut is_kept = self.runs.is_empty();
        while self.asked.next_if(|offset| **offset < run.end(run.source_start)).is_some() {
            is_kept = true;
        }
        if is_kept {
            self.runs.push(run);
        }
        self.last = (!is_kept).then_some(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source_start: i64, target_start: i64, len: u64) -> Run {
        Run { source_start, target_start, len, first_timestamp: 0, last_timestamp: 0 }
    }

    fn kept(most: usize, asked: &[i64], runs: &[(i64, i64, u64)]) -> Result<Vec<(i64, i64, u64)>, String> {
        let asked = asked.iter().copied().collect();
        let mut all = Runs::of_at_most(most, &asked);
        runs.iter().try_for_each(|(source, target, len)| all.push(run(*source, *target, *len)))?;
        Ok(all.ended()?.into_iter().map(|run| (run.source_start, run.target_start, run.len)).collect())
    }

    /// The first is the one that an offset before all leads to, the last one that an offset after all leads to.
    #[test]
    fn what_offsets_lead_to_is_kept_and_nothing_else() {
        let many: Vec<_> = (0..1_000).map(|n| (n * 10, n * 5, 5)).collect();
        for most in [4, 5_000] {
            assert_eq!(kept(most, &[], &many), Ok(vec![(0, 0, 5), (9_990, 4_995, 5)]), "{most}");
            let found = kept(most, &[-1, 42, 47, 5_000, 99_999], &many);
            assert_eq!(found, Ok(vec![(0, 0, 5), (40, 20, 5), (50, 25, 5), (5_000, 2_500, 5), (9_990, 4_995, 5)]));
            assert_eq!(kept(most, &[3], &[]), Ok(Vec::new()));
        }
    }

    #[test]
    fn runs_that_follow_are_one_in_any_order() {
        let pairs: Vec<_> = (0..100).map(|n| (n, n + 7, 1)).collect();
        assert_eq!(kept(4, &[50], &pairs), Ok(vec![(0, 7, 100)]), "as they come");
        let backwards: Vec<_> = pairs.into_iter().rev().collect();
        assert_eq!(kept(1_000, &[50], &backwards), Ok(vec![(0, 7, 100)]));
        assert!(kept(4, &[50], &backwards).unwrap_err().contains("more than 4 runs"), "too many to be sorted");
    }

    #[test]
    fn runs_that_contradict_each_other_are_refused_wherever_they_stand() {
        let mut many: Vec<_> = (0..50).map(|n| (n * 10, n * 5, 5)).collect();
        many.push((401, 900, 1));
        assert!(kept(1_000, &[], &many).unwrap_err().contains("leads source offset 401 to two places"));
        assert!(kept(4, &[], &many).unwrap_err().contains("overlap"));
        assert!(kept(9, &[], &[(0, 5, 1), (3, 2, 1)]).unwrap_err().contains("backwards"));
    }
}
