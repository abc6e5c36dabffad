//! What a partition remembers of its idempotent producers, as brokers do.

use std::collections::{BTreeMap, VecDeque};

/// Batches of a producer that are recognised when they come again.
const REMEMBERED: usize = 5;

/// What a broker says of a batch of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is appended.
    New,
    /// It was appended before, at this offset.
    Seen(i64),
    /// It is refused with this code.
    Refused(i16),
}

#[derive(Debug, Default)]
struct Known {
    epoch: i16,
    /// First and last sequence and base offset of the newest batches.
    batches: VecDeque<(i32, i32, i64)>,
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub struct Producers(BTreeMap<i64, Known>);

impl Producers {
    /// Judges a batch by its producer, epoch and sequences.
    pub(crate) fn judge(&self, producer: i64, epoch: i16, first: i32, last: i32) -> Verdict {
        // An unknown producer may begin with any sequence.
        let Some(known) = self.0.get(&producer) else { return Verdict::New };
        if epoch < known.epoch {
            return Verdict::Refused(47);
        }
        if epoch > known.epoch || known.batches.is_empty() {
            return if first == 0 { Verdict::New } else { Verdict::Refused(45) };
        }
        if let Some((_, _, base)) = known.batches.iter().find(|(f, l, _)| (*f, *l) == (first, last)) {
            return Verdict::Seen(*base);
        }
        let follows = known.batches.back().is_some_and(|(_, end, _)| end.checked_add(1).unwrap_or(0) == first);
        if follows { Verdict::New } else { Verdict::Refused(45) }
    }

    /// Notes a batch that was appended.
    pub(crate) fn note(&mut self, producer: i64, epoch: i16, sequences: (i32, i32), base: i64) {
        let known = self.0.entry(producer).or_default();
        if epoch > known.epoch {
            *known = Known { epoch, batches: VecDeque::new() };
        }
        known.batches.push_back((sequences.0, sequences.1, base));
        while known.batches.len() > REMEMBERED {
            known.batches.pop_front();
        }
    }

    /// Notes a marker: a newer epoch begins.
    pub(crate) fn note_marker(&mut self, producer: i64, epoch: i16) {
        let known = self.0.entry(producer).or_default();
        if epoch > known.epoch {
            *known = Known { epoch, batches: VecDeque::new() };
        }
    }

    /// Forgets everything, as brokers do with producers whose records are old.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_once_and_a_fenced_one_never() {
        let mut producers = Producers::default();
        assert_eq!(producers.judge(7, 0, 42, 43), Verdict::New);
        producers.note(7, 0, (42, 43), 100);
        assert_eq!(producers.judge(7, 0, 42, 43), Verdict::Seen(100));
        assert_eq!(producers.judge(7, 0, 45, 45), Verdict::Refused(45));
        assert_eq!(producers.judge(7, 0, 44, 50), Verdict::New);
        producers.note_marker(7, 1);
        assert_eq!(producers.judge(7, 0, 44, 50), Verdict::Refused(47));
        assert_eq!(producers.judge(7, 1, 1, 1), Verdict::Refused(45));
        assert_eq!(producers.judge(7, 1, 0, 0), Verdict::New);
    }
}
