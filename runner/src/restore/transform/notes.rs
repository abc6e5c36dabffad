//! What a restore has to say about single batches: which were odd, which could not be read and were left out, which lost
//! their offset headers. Every batch is told once, however often it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use batch::LARGEST_RECORD;

/// A batch that unpacks to more than this, and to more than so many times its stored bytes, is not encoded anew: what comes out
/// would have to be held, and a few kilobytes that anybody can produce may stand for gigabytes.
const LARGEST: u64 = 64 << 20;
const RATIO: u64 = 128;

/// Whether a batch of so many stored bytes that unpacks to so many is not encoded anew.
pub(super) fn is_dense(stored: usize, unpacked: u64) -> bool {
    unpacked > LARGEST && unpacked / RATIO > stored as u64
}

/// Most plain bytes of a record of such a batch that is read, where the batch may go out as it came: a larger one makes it dense by
/// itself, and is known before it is unpacked.
pub(super) fn largest_record(stored: usize) -> usize {
    let dense = (stored as u64).saturating_add(1).saturating_mul(RATIO).max(LARGEST);
    usize::try_from(dense).map_or(LARGEST_RECORD, |dense| dense.min(LARGEST_RECORD))
}

/// Batches that are told one by one; of more only their number is known.
const NAMED: usize = 1_000;

/// What was found at a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Its records do not count its offsets upwards. They were restored in the order in which consumers see them.
    Odd,
    /// It cannot be read, and its records were left out because the specification says so.
    Unreadable {
        /// Its records.
        records: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// With offset headers it would be larger than the target takes: it went out as it came.
    WithoutHeaders,
    /// Encoded anew, it would be larger than the target takes: it went out as it came, with all headers that it had.
    AsItCame,
    /// It unpacks to so much that it went out as it came, with the headers that it had and no others.
    Dense,
}

/// Where a batch is in the source: topic, partition, first offset.
pub(crate) type Spot = (String, i32, i64);

#[derive(Debug, Default)]
struct Known {
    notes: BTreeMap<Spot, Note>,
    fresh: Vec<(Spot, Note)>,
    /// First offsets of the batches that are not named, by topic and partition: they are met again, too.
    unnamed: BTreeMap<(String, i32), BTreeSet<i64>>,
    left_out: u64,
}

/// All notes of a run.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Known>);

impl Notes {
    /// Notes something about the batch at `spot`, unless it is noted already.
    pub(crate) fn add(&self, spot: Spot, note: Note) {
        let mut known = self.lock();
        if known.notes.contains_key(&spot) {
            return;
        }
        let is_named = known.notes.len() < NAMED;
        let (topic, partition, offset) = &spot;
        if !is_named && !known.unnamed.entry((topic.clone(), *partition)).or_default().insert(*offset) {
            return;
        }
        if let Note::Unreadable { records, .. } = &note {
            known.left_out += records;
        }
        if !is_named {
            return;
        }
        known.notes.insert(spot.clone(), note.clone());
        known.fresh.push((spot, note));
    }

    /// Warnings about what was noted since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().fresh).iter().map(|(spot, note)| text(spot, note)).collect()
    }

    /// Records of batches that could not be read.
    pub(crate) fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    /// A warning about batches that are not named, when there are some.
    pub(crate) fn rest(&self) -> Option<String> {
        let more: usize = self.lock().unnamed.values().map(BTreeSet::len).sum();
        (more > 0).then(|| format!("{more} more batches like those above were met; the list ends at {NAMED}"))
    }

    /// The batches that could not be read: where, their records, and why.
    pub(crate) fn unreadable(&self) -> Vec<(Spot, u64, String)> {
        let known = self.lock();
        let of = |(spot, note): (&Spot, &Note)| match note {
            Note::Unreadable { records, reason } => Some((spot.clone(), *records, reason.clone())),
            Note::Odd | Note::WithoutHeaders | Note::AsItCame | Note::Dense => None,
        };
        known.notes.iter().filter_map(of).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text((topic, partition, offset): &Spot, note: &Note) -> String {
    let place = format!("{topic}/{partition}: the batch at source offset {offset}");
    match note {
        Note::Odd => format!(
            "{place} has record offsets that repeat, go backwards or lie outside of it; its records are restored in the \
             order in which they stand there, which is how consumers see them"
        ),
        Note::Unreadable { records, reason } => format!(
            "{place} cannot be read ({reason}); its {records} records are left out, as restore.onUnreadable says"
        ),
        Note::WithoutHeaders => {
            format!("{place} would not fit into a batch of the target with offset headers; it is restored without them")
        }
        Note::AsItCame => format!(
            "{place} would not fit into a batch of the target when it is encoded anew; it is restored as it is: offset headers were \
             neither left out nor added"
        ),
        Note::Dense => format!(
            "{place} unpacks to more than {} MiB, and to over {RATIO} times its size, or has a record of more than {} MiB; it is \
             restored as it is, without offset headers of this restore",
            LARGEST >> 20,
            LARGEST_RECORD >> 20
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_told_once_and_counted_once() {
        let notes = Notes::default();
        let spot = || ("t".to_owned(), 3, 40);
        let note = || Note::Unreadable { records: 7, reason: "cut".into() };
        notes.add(spot(), note());
        let [warning] = notes.warnings().try_into().unwrap();
        assert!(warning.contains("t/3") && warning.contains("offset 40") && warning.contains("7 records"), "{warning}");
        notes.add(spot(), note());
        assert_eq!((notes.warnings().len(), notes.left_out(), notes.unreadable().len()), (0, 7, 1));
    }

    #[test]
    fn the_list_ends_but_the_count_goes_on() {
        let notes = Notes::default();
        // Everything is read twice.
        for offset in (0..1_010).chain(0..1_010) {
            notes.add(("t".into(), 0, offset), Note::Unreadable { records: 2, reason: "x".into() });
        }
        assert_eq!((notes.warnings().len(), notes.left_out()), (NAMED, 2_020));
        assert!(notes.rest().unwrap().starts_with("10 more"));
    }
}
