//! Transactions that a time window cuts: some of their records are inside, others are not. Pure.
//!
//! A window goes by record timestamps, so it may keep a part of what a producer committed as one. A transaction is known
//! by its producer's id and epoch where the epoch grows with each of them (KIP-890: the marker then carries the next
//! epoch). Before, a producer keeps its epoch, and pieces in several partitions are taken for one transaction when
//! their markers were written within a tenth of a second. Times of records do not matter for that: they may be event times.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use batch::BatchHeader;
use contract::stamp::rfc3339;
use serde::Serialize;

/// Transactions that a warning names.
const NAMED: usize = 5;

/// How far apart brokers write the markers of one transaction, milliseconds.
const SPREAD: u64 = 100;

/// A transaction that is restored in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CutTransaction {
    /// Id of the producer.
    pub producer_id: i64,
    /// Epoch of the producer.
    pub producer_epoch: i16,
    /// Records inside the window.
    pub restored: u64,
    /// Records outside.
    pub left_out: u64,
    /// Earliest time of its records, milliseconds; a guess where a batch holds several.
    pub first: i64,
    /// Latest time of its records.
    pub last: i64,
    /// `topic/partition`, as in the source, in order.
    pub partitions: Vec<String>,
}

/// What one transaction has in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    place: String,
    producer: i64,
    epoch: i16,
    inside: u64,
    outside: u64,
    first: i64,
    last: i64,
    /// When its marker was written; `None` where it was not seen.
    ended: Option<i64>,
    /// Whether no other transaction of the producer has this epoch.
    unique: bool,
}

/// Collects pieces from batches that come in offset order within each partition.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    open: HashMap<(String, i64), Piece>,
    done: Vec<Piece>,
}

impl Pieces {
    /// Takes a committed transactional batch, of which `inside` records are in the window.
    pub(crate) fn take(&mut self, place: &str, header: &BatchHeader, inside: u64) {
        let key = (place.to_owned(), header.producer_id);
        let other = self.open.get(&key).is_some_and(|piece| piece.epoch != header.producer_epoch);
        if other && let Some(piece) = self.open.remove(&key) {
            self.done.push(piece);
        }
        // Of the others' times the header says nothing: the first record's is the best guess of the earliest.
        let one_time = header.attributes.log_append_time() || header.attributes.delete_horizon();
        let first = if one_time { header.max_timestamp } else { header.base_timestamp.min(header.max_timestamp) };
        let piece = self.open.entry(key).or_insert_with(|| Piece {
            place: place.to_owned(),
            producer: header.producer_id,
            epoch: header.producer_epoch,
            inside: 0,
            outside: 0,
            first,
            last: header.max_timestamp,
            ended: None,
            unique: false,
        });
        piece.inside += inside;
        piece.outside += header.records().saturating_sub(inside);
        piece.first = piece.first.min(first);
        piece.last = piece.last.max(header.max_timestamp);
    }

    /// Takes the marker that ends what a producer wrote.
    pub(crate) fn end(&mut self, place: &str, header: &BatchHeader) {
        if let Some(mut piece) = self.open.remove(&(place.to_owned(), header.producer_id)) {
            piece.ended = Some(header.max_timestamp);
            piece.unique = header.producer_epoch > piece.epoch;
            self.done.push(piece);
        }
    }

    /// The transactions with records on both sides, in order of time.
    pub(crate) fn cuts(mut self) -> Vec<CutTransaction> {
        self.done.extend(self.open.into_values());
        self.done.sort_by(|a, b| (a.ended, &a.place).cmp(&(b.ended, &b.place)));
        let mut by_producer: BTreeMap<(i64, i16), Vec<Vec<Piece>>> = BTreeMap::new();
        for piece in self.done {
            let known = by_producer.entry((piece.producer, piece.epoch)).or_default();
            // A producer's transactions follow each other, and so do their markers.
            match known.last_mut().filter(|one| belongs(one, &piece)) {
                Some(one) => one.push(piece),
                None => known.push(vec![piece]),
            }
        }
        let mut cuts: Vec<_> = by_producer.into_values().flatten().filter_map(CutTransaction::of).collect();
        cuts.sort_by_key(|one| (one.first, one.producer_id));
        cuts
    }
}

/// Whether a piece is of this transaction.
fn belongs(one: &[Piece], piece: &Piece) -> bool {
    let close = |known: &Piece| Some(known.ended?.abs_diff(piece.ended?) <= SPREAD);
    let same = |known: &Piece| known.unique || piece.unique || close(known) == Some(true);
    one.iter().all(|known| known.place != piece.place) && one.iter().any(same)
}

impl CutTransaction {
    /// `None` when all records are on one side.
    fn of(pieces: Vec<Piece>) -> Option<Self> {
        let first = pieces.first()?;
        let (restored, left_out) = pieces.iter().fold((0, 0), |(i, o), piece| (i + piece.inside, o + piece.outside));
        let mut cut = Self {
            producer_id: first.producer,
            producer_epoch: first.epoch,
            restored,
            left_out,
            first: pieces.iter().map(|piece| piece.first).min()?,
            last: pieces.iter().map(|piece| piece.last).max()?,
            partitions: pieces.into_iter().map(|piece| piece.place).collect(),
        };
        cut.partitions.sort();
        (restored > 0 && left_out > 0).then_some(cut)
    }
}

/// What a person should know of them; `None` when there are none.
pub(crate) fn warning(cuts: &[CutTransaction]) -> Option<String> {
    let mut out = match cuts.len() {
        0 => return None,
        1 => "the time window cuts through a transaction, which is restored in part".to_owned(),
        many => format!("the time window cuts through {many} transactions, which are restored in part"),
    };
    for (number, cut) in cuts.iter().take(NAMED).enumerate() {
        let _ = write!(
            out,
            "{} producer {} epoch {} from {} to {}: {} of {} records, in {}",
            if number == 0 { ":" } else { ";" },
            cut.producer_id,
            cut.producer_epoch,
            rfc3339(cut.first),
            rfc3339(cut.last),
            cut.restored,
            cut.restored + cut.left_out,
            cut.partitions.join(", ")
        );
    }
    if cuts.len() > NAMED {
        let _ = write!(out, "; and {} more", cuts.len() - NAMED);
    }
    Some(out)
}

/// Of shares in offset order, the range of offsets whose records may be at most `reach` away from a moment.
///
/// Shares name their latest time only; each is taken to begin in time where the one before ends.
#[derive(Debug)]
pub(crate) struct Near {
    low: i64,
    high: i64,
    range: Option<(i64, i64)>,
    passed: bool,
}

impl Near {
    pub(crate) fn new(moment: i64, reach: i64) -> Self {
        Self { low: moment.saturating_sub(reach), high: moment.saturating_add(reach), range: None, passed: false }
    }

    /// Takes the next share; `latest` is the latest time of its records, `None` when it has no committed ones.
    pub(crate) fn take(&mut self, first: i64, next: i64, latest: Option<i64>) {
        if self.passed {
            return;
        }
        match &mut self.range {
            Some((_, until)) => *until = next,
            None if latest.is_some_and(|latest| latest >= self.low) => self.range = Some((first, next)),
            None => return,
        }
        self.passed = latest.is_some_and(|latest| latest > self.high);
    }

    /// First offset, and the one after the last.
    pub(crate) fn range(&self) -> Option<(i64, i64)> {
        self.range
    }
}

#[cfg(test)]
mod tests {
    use batch::Attributes;

    use super::*;

    const TRANSACTIONAL: i16 = 0x10;

    fn header(producer_id: i64, producer_epoch: i16, first: i64, last: i64, records: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 0,
            leader_epoch: 0,
            crc: 0,
            attributes: Attributes(TRANSACTIONAL),
            last_offset_delta: records - 1,
            base_timestamp: first,
            max_timestamp: last,
            producer_id,
            producer_epoch,
            base_sequence: 0,
            record_count: records,
        }
    }

    #[test]
    fn a_transaction_is_cut_when_it_has_records_on_both_sides() {
        let mut pieces = Pieces::default();
        pieces.take("a/0", &header(1, 5, 100, 110, 3), 3);
        pieces.take("a/0", &header(1, 5, 111, 120, 4), 1);
        pieces.end("a/0", &header(1, 5, 125, 125, 1));
        // The next of the same producer and epoch, as before KIP-890, lies outside whole.
        pieces.take("a/0", &header(1, 5, 130, 140, 2), 0);
        pieces.end("a/0", &header(1, 5, 145, 145, 1));
        // Another lies inside whole, and is still open where reading ends.
        pieces.take("a/0", &header(2, 0, 90, 95, 9), 9);
        let cuts = pieces.cuts();
        assert_eq!(cuts.len(), 1);
        assert_eq!((cuts[0].producer_id, cuts[0].restored, cuts[0].left_out), (1, 4, 3));
        assert_eq!((cuts[0].first, cuts[0].last), (100, 120));
    }

    #[test]
    fn pieces_of_one_epoch_or_with_markers_of_one_moment_are_one() {
        let mut pieces = Pieces::default();
        // Records of the second partition come after the end of the window; the next epoch stands in the markers.
        pieces.take("a/0", &header(7, 3, 100, 110, 2), 2);
        pieces.take("b/1", &header(7, 3, 121, 122, 5), 0);
        pieces.end("b/1", &header(7, 4, 130, 130, 1));
        pieces.end("a/0", &header(7, 4, 930, 930, 1));
        // Others of that time do not count: an epoch later, or another producer.
        pieces.take("b/1", &header(7, 4, 140, 150, 5), 0);
        pieces.take("a/0", &header(8, 3, 100, 110, 2), 2);
        let cuts = pieces.cuts();
        assert_eq!(cuts.len(), 1);
        assert_eq!((cuts[0].restored, cuts[0].left_out), (2, 5));
        assert_eq!(cuts[0].partitions, ["a/0", "b/1"]);
        let text = warning(&cuts).unwrap();
        assert!(text.contains("producer 7 epoch 3 from 1970-01-01T00:00:00.1Z to"), "{text}");
        assert!(text.ends_with("2 of 7 records, in a/0, b/1"), "{text}");
        assert_eq!(warning(&[]), None);
    }

    #[test]
    fn before_epochs_grew_the_nearest_markers_belong_together() {
        let mut pieces = Pieces::default();
        // Three transactions, 30 ms apart, with event times; the second has records in two partitions.
        for (inside, place, marker) in [(2, "a/0", 1000), (2, "a/0", 1030), (0, "b/0", 1032), (0, "b/0", 1060)] {
            pieces.take(place, &header(7, 3, 100, 110, 2), inside);
            pieces.end(place, &header(7, 3, marker, marker, 1));
        }
        // Long after, another one that lies outside.
        pieces.take("c/0", &header(7, 3, 100, 110, 2), 0);
        pieces.end("c/0", &header(7, 3, 5000, 5000, 1));
        let cuts = pieces.cuts();
        assert_eq!(cuts.len(), 1);
        assert_eq!((cuts[0].restored, cuts[0].left_out), (2, 2));
        assert_eq!(cuts[0].partitions, ["a/0", "b/0"]);
    }

    #[test]
    fn a_new_epoch_is_a_new_transaction_even_without_a_marker() {
        let mut pieces = Pieces::default();
        pieces.take("a/0", &header(7, 3, 100, 110, 2), 2);
        pieces.take("a/0", &header(7, 4, 111, 120, 2), 0);
        assert_eq!(pieces.cuts(), []);
    }

    #[test]
    fn a_warning_names_a_few() {
        let mut pieces = Pieces::default();
        for producer in 0..8 {
            pieces.take("a/0", &header(producer, 0, 100, 110, 2), 1);
        }
        let text = warning(&pieces.cuts()).unwrap();
        assert!(text.contains("through 8 transactions") && text.ends_with("; and 3 more"), "{text}");
        assert_eq!(text.matches("producer").count(), NAMED);
    }

    #[test]
    fn shares_near_a_moment_are_one_range_of_offsets() {
        let all = [(0, 10, Some(100)), (10, 20, Some(500)), (20, 21, None), (21, 30, Some(900)), (30, 40, Some(2000))];
        let range = |moment| {
            let mut near = Near::new(moment, 50);
            for (first, next, latest) in all {
                near.take(first, next, latest);
            }
            near.range()
        };
        assert_eq!(range(500), Some((10, 30)), "up to the first share that ends beyond");
        assert_eq!(range(0), Some((0, 10)));
        assert_eq!(range(600), Some((21, 30)));
        assert_eq!(range(3000), None);
        assert_eq!(range(1000), Some((30, 40)));
        assert_eq!(range(i64::MAX), None);
    }
}
