//! What a partition remembers of its idempotent producers, as brokers do.

use std::collections::{BTreeMap, VecDeque};

/// Batches of a producer that are recognised when they come again.
const REMEMBERED: usize = 5;

/// What a broker says of a batch of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is appended.
    New,
    /// It was appended before, at this offset, with this newest time.
    Seen(i64, i64),
    /// It is refused with this code.
    Refused(i16),
}

/// What an administrator is told of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// Its id.
    pub(crate) id: i64,
    /// Its newest epoch.
    pub(crate) epoch: i16,
    /// Its last sequence, -1 for none in this epoch.
    pub(crate) sequence: i32,
}

#[derive(Debug, Clone, Default)]
struct Known {
    epoch: i16,
    /// Time of its newest record or marker, milliseconds since 1970.
    newest_ms: i64,
    /// First and last sequence, base offset and newest time of the newest batches.
    batches: VecDeque<(i32, i32, i64, i64)>,
}

/// The producers of one partition.
#[derive(Debug, Clone, Default)]
pub struct Producers {
    known: BTreeMap<i64, Known>,
    /// Epoch and smallest sequence of transactional batches that came before their transaction began here (KIP-890).
    verified: BTreeMap<i64, (i16, i32)>,
}

impl Producers {
    /// Judges a batch by its producer, epoch and sequences.
    pub(crate) fn judge(&self, producer: i64, epoch: i16, first: i32, last: i32) -> Verdict {
        let known = self.known.get(&producer);
        if known.is_some_and(|known| epoch < known.epoch) {
            return Verdict::Refused(47);
        }
        if self.verified.get(&producer).is_some_and(|(_, smallest)| first > *smallest) {
            return Verdict::Refused(45);
        }
        // An unknown producer may begin with any sequence.
        let Some(known) = known else { return Verdict::New };
        if epoch > known.epoch || known.batches.is_empty() {
            return if first == 0 { Verdict::New } else { Verdict::Refused(45) };
        }
        if let Some((_, _, base, time)) = known.batches.iter().find(|(f, l, ..)| (*f, *l) == (first, last)) {
            return Verdict::Seen(*base, *time);
        }
        let follows = known.batches.back().is_some_and(|(_, end, ..)| end.checked_add(1).unwrap_or(0) == first);
        if follows { Verdict::New } else { Verdict::Refused(45) }
    }

    /// Notes a transactional batch whose transaction has not begun here.
    pub(crate) fn verify(&mut self, producer: i64, epoch: i16, sequence: i32) {
        let noted = self.verified.entry(producer).or_insert((epoch, sequence));
        if epoch > noted.0 || (epoch == noted.0 && sequence < noted.1) {
            *noted = (epoch, sequence);
        }
    }

    /// The broker started anew: what came before a transaction began is forgotten.
    pub(crate) fn restart(&mut self) {
        self.verified.clear();
    }

    /// A transaction began here, or ended.
    pub(crate) fn settle(&mut self, producer: i64) {
        self.verified.remove(&producer);
    }

    /// Notes a batch that was appended.
    pub(crate) fn note(&mut self, producer: i64, epoch: i16, sequences: (i32, i32), base: i64, time_ms: i64) {
        let known = self.known.entry(producer).or_default();
        if epoch > known.epoch {
            *known = Known { epoch, ..Known::default() };
        }
        known.newest_ms = time_ms;
        known.batches.push_back((sequences.0, sequences.1, base, time_ms));
        while known.batches.len() > REMEMBERED {
            known.batches.pop_front();
        }
    }

    /// Notes a marker: a newer epoch begins.
    pub(crate) fn note_marker(&mut self, producer: i64, epoch: i16, time_ms: i64) {
        self.settle(producer);
        let known = self.known.entry(producer).or_default();
        if epoch > known.epoch {
            *known = Known { epoch, ..Known::default() };
        }
        known.newest_ms = time_ms;
    }

    /// Whether this is the epoch of a producer.
    pub(crate) fn is_epoch(&self, producer: i64, epoch: i16) -> bool {
        self.known.get(&producer).is_some_and(|known| known.epoch == epoch)
    }

    /// Whether a newer epoch of a producer is known.
    pub(crate) fn is_newer(&self, producer: i64, epoch: i16) -> bool {
        self.known.get(&producer).is_some_and(|known| known.epoch > epoch)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = Told> {
        self.known.iter().map(|(id, known)| {
            let sequence = known.batches.back().map_or(-1, |(_, last, ..)| *last);
            Told { id: *id, epoch: known.epoch, sequence }
        })
    }

    /// Forgets producers whose newest record or marker is older, but for those in a transaction
    /// (`producer.id.expiration.ms`: the time of the records counts, not the time at which they came).
    pub(crate) fn forget_older(&mut self, than_ms: i64, is_open: impl Fn(i64) -> bool) {
        self.known.retain(|id, known| known.newest_ms >= than_ms || is_open(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_once_and_a_fenced_one_never() {
        let mut producers = Producers::default();
        assert_eq!(producers.judge(7, 0, 42, 43), Verdict::New);
        producers.note(7, 0, (42, 43), 100, 5);
        assert_eq!(producers.judge(7, 0, 42, 43), Verdict::Seen(100, 5));
        assert_eq!(producers.judge(7, 0, 45, 45), Verdict::Refused(45));
        assert_eq!(producers.judge(7, 0, 44, 50), Verdict::New);
        producers.note_marker(7, 1, 6);
        assert_eq!(producers.judge(7, 0, 44, 50), Verdict::Refused(47));
        assert_eq!(producers.judge(7, 1, 1, 1), Verdict::Refused(45));
        assert_eq!(producers.judge(7, 1, 0, 0), Verdict::New);
        producers.forget_older(6, |_| false);
        producers.forget_older(7, |_| true);
        assert_eq!(producers.judge(7, 0, 44, 50), Verdict::Refused(47));
        producers.forget_older(7, |_| false);
        assert_eq!(producers.judge(7, 0, 44, 50), Verdict::New);
    }
}
