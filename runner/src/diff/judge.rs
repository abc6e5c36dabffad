//! Batches of an archive beside batches of the source, by their headers. Pure.
//!
//! A batch that nobody changed has the same first offset and the same checksum in both: the archive keeps batches as brokers
//! sent them. What a broker may change on its own is known: retention removes batches from the front, the cleaner of a
//! compacted topic removes records. Anything else is a contradiction.

use std::collections::VecDeque;

use batch::BatchHeader;
use inspect::LivePartition;

/// What is known of the source's partition beforehand.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// The source's first offset.
    pub(super) start: i64,
    /// Whether a cleaner may remove records.
    pub(super) is_compacted: bool,
    /// Offsets that the point is known to lack, as ranges without their ends.
    pub(super) gaps: Vec<(i64, i64)>,
}

/// Takes one batch of the archive and the source's batches up to it. `ahead` holds what the source has from the last place
/// on, in order, and reaches beyond the archived batch, or to the end of the source's log. Only committed data is in it.
pub(super) fn take(archived: &BatchHeader, ahead: &mut VecDeque<BatchHeader>, facts: &Facts, out: &mut LivePartition) {
    while let Some(found) = next_if(ahead, |found| found.last_offset() < archived.base_offset) {
        only_in_source(&found, facts, out);
    }
    let (first, records) = (archived.base_offset, archived.records());
    let found = next_if(ahead, |found| found.base_offset <= archived.last_offset());
    match found {
        Some(found) if found.base_offset == first && found.crc == archived.crc => out.same.add(first, records),
        Some(_) if facts.is_compacted => out.compacted.add(first, records),
        Some(found) if found.base_offset == first => out.different.add(first, records),
        // It lies across: neither has what the other has.
        Some(found) => {
            out.missing.add(first, records);
            only_in_source(&found, facts, out);
        }
        None if archived.last_offset() < facts.start => out.expired.add(first, records),
        None if facts.is_compacted => out.compacted.add(first, records),
        None => out.missing.add(first, records),
    }
}

/// What the source has behind the last archived batch, up to where the point ends.
pub(super) fn rest(ahead: &mut VecDeque<BatchHeader>, facts: &Facts, out: &mut LivePartition) {
    while let Some(found) = next_if(ahead, |found| found.last_offset() < out.next) {
        only_in_source(&found, facts, out);
    }
}

/// Takes the next one if it is such a one.
fn next_if(ahead: &mut VecDeque<BatchHeader>, is_it: impl Fn(&BatchHeader) -> bool) -> Option<BatchHeader> {
    if ahead.front().is_some_and(is_it) { ahead.pop_front() } else { None }
}

fn only_in_source(found: &BatchHeader, facts: &Facts, out: &mut LivePartition) {
    let (from, to) = (found.base_offset, found.next_offset());
    let is_known = facts.gaps.iter().any(|(start, end)| *start < to && from < *end);
    // What begins before the point was never asked for; an empty batch is a rest of the cleaner's work.
    if from >= out.first && found.last_offset() < out.next && !is_known && found.records() > 0 {
        out.not_archived.add(from, found.records());
    }
}

#[cfg(test)]
mod tests {
    use batch::{BatchMeta, Codec, Compressor, encode_batch};
    use proptest::prelude::*;

    use super::*;

    /// A batch with `records` records, whose content is told apart by `mark`.
    fn header(base_offset: i64, records: i32, mark: i64) -> BatchHeader {
        let meta =
            BatchMeta { base_offset, base_timestamp: mark, max_timestamp: mark, producer: (-1, -1, -1), records };
        BatchHeader::parse(&encode_batch(&meta, &[0; 8], &mut Compressor::new(Codec::None, None)).unwrap()).unwrap()
    }

    fn compare(archived: &[BatchHeader], source: &[BatchHeader], facts: &Facts, next: i64) -> LivePartition {
        let mut out = LivePartition { next, start: Some(facts.start), end: Some(i64::MAX), ..LivePartition::default() };
        let mut ahead: VecDeque<_> = source.iter().copied().collect();
        for batch in archived {
            take(batch, &mut ahead, facts, &mut out);
        }
        rest(&mut ahead, facts, &mut out);
        out
    }

    fn three() -> Vec<BatchHeader> {
        vec![header(0, 5, 1), header(5, 5, 2), header(10, 5, 3)]
    }

    #[test]
    fn what_nobody_touched_is_the_same() {
        let newer = [three(), vec![header(15, 3, 4)]].concat();
        let out = compare(&three(), &newer, &Facts::default(), 15);
        assert_eq!((out.same.batches, out.same.records, out.is_contradiction()), (3, 15, false));
    }

    #[test]
    fn a_changed_a_lost_and_a_foreign_batch_are_found() {
        let changed = vec![header(0, 5, 1), header(5, 5, 9), header(10, 5, 3)];
        let out = compare(&three(), &changed, &Facts::default(), 15);
        assert_eq!((out.different.first, out.same.batches), (Some(5), 2));
        let lost = vec![header(0, 5, 1), header(10, 5, 3)];
        assert_eq!(compare(&three(), &lost, &Facts::default(), 15).missing.first, Some(5));
        let tail = &three()[..2];
        assert_eq!(compare(&three(), tail, &Facts::default(), 15).missing.first, Some(10));
        let out = compare(&lost, &three(), &Facts::default(), 15);
        assert_eq!((out.not_archived.first, out.not_archived.records), (Some(5), 5));
        // The source's log was cut and written again: its batches lie across.
        let across = vec![header(0, 5, 1), header(5, 8, 7), header(13, 2, 8)];
        let out = compare(&three(), &across, &Facts::default(), 15);
        assert_eq!((out.same.batches, out.is_contradiction()), (1, true));
    }

    #[test]
    fn retention_and_the_cleaner_contradict_nothing() {
        let facts = Facts { start: 10, ..Facts::default() };
        let out = compare(&three(), &three()[2..], &facts, 15);
        assert_eq!((out.expired.records, out.same.batches, out.is_contradiction()), (10, 1, false));
        let facts = Facts { is_compacted: true, ..Facts::default() };
        let out = compare(&three(), &[header(5, 5, 9), header(10, 5, 3)], &facts, 15);
        assert_eq!((out.compacted.batches, out.same.batches, out.is_contradiction()), (2, 1, false));
    }

    #[test]
    fn a_gap_of_the_point_explains_what_only_the_source_has() {
        let facts = Facts { gaps: vec![(5, 10)], ..Facts::default() };
        let archived = vec![header(0, 5, 1), header(10, 5, 3)];
        assert!(!compare(&archived, &three(), &facts, 15).is_contradiction());
    }

    proptest! {
        /// However batches are lost or changed: each archived one is counted once, and only an untouched log is all the same.
        #[test]
        fn each_archived_batch_is_counted_once(
            fates in prop::collection::vec(0u8..4, 1..20), start in 0i64..40, is_compacted: bool,
        ) {
            let mut base = 0;
            let (mut archived, mut source) = (Vec::new(), Vec::new());
            for fate in &fates {
                let batch = header(base, 3, 1);
                match fate {
                    0 => source.push(header(base, 3, 2)),
                    1 => {}
                    _ => source.push(batch),
                }
                archived.push(batch);
                base += 3;
            }
            source.retain(|batch| batch.last_offset() >= start);
            let facts = Facts { start, is_compacted, gaps: Vec::new() };
            let out = compare(&archived, &source, &facts, base);
            let all = [out.same, out.expired, out.compacted, out.missing, out.different];
            prop_assert_eq!(all.iter().map(|found| found.batches).sum::<u64>(), archived.len() as u64);
            prop_assert_eq!(all.iter().map(|found| found.records).sum::<u64>(), 3 * archived.len() as u64);
            prop_assert_eq!(out.not_archived.batches, 0);
            let is_untouched = fates.iter().enumerate().all(|(place, fate)| *fate > 1 || place as i64 * 3 + 2 < start);
            prop_assert_eq!(out.is_contradiction(), !is_untouched && !is_compacted);
        }
    }
}
