//! The batches of one target partition in one epoch: which may be sent, and what an answer means. Pure.
//!
//! The broker takes an idempotent producer's first batch whatever its sequence, and every later one only in order. So
//! one batch is in flight until the first acknowledgement; then several are, and a batch behind a refused one is
//! refused, too.

use std::collections::VecDeque;

use batch::{Outgoing, Producer};
use bytes::Bytes;

/// Batches of a partition in flight at once; brokers remember five for each producer.
const IN_FLIGHT: usize = 5;

/// A batch that can be sent.
#[derive(Debug)]
pub(super) struct Ready<M> {
    pub(super) bytes: [Bytes; 2],
    pub(super) size: usize,
    pub(super) records: i32,
    /// Held until the batch is acknowledged: the memory of the input that it came from.
    _memory: M,
}

/// An acknowledgement that cannot be: somebody else writes there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misplaced {
    /// Where the batch belongs.
    pub(super) expected: i64,
}

/// Where a partition stands in this epoch.
#[derive(Debug)]
pub(super) struct Queue<M> {
    /// Sequence of the next batch to be added.
    sequence: i32,
    /// Target offset that the next acknowledgement must name.
    expected: i64,
    batches: VecDeque<Ready<M>>,
    /// Batches at the front that are in flight.
    sent: usize,
    /// The broker knows the producer: an acknowledgement came, and nothing went wrong since.
    known: bool,
    /// A batch in flight was refused.
    refused: bool,
}

impl<M> Queue<M> {
    /// A partition whose next record gets this offset.
    pub(super) fn new(expected: i64) -> Self {
        Self { sequence: 0, expected, batches: VecDeque::new(), sent: 0, known: false, refused: false }
    }

    pub(super) fn expected(&self) -> i64 {
        self.expected
    }

    /// Adds a batch under the producer's id and epoch.
    pub(super) fn push(&mut self, batch: Outgoing, id: i64, epoch: i16, memory: M) {
        let (records, size) = (batch.records(), batch.size());
        let bytes = batch.sign(Producer { id, epoch, sequence: self.sequence });
        // Sequences wrap from 2^31-1 to 0.
        self.sequence = self.sequence.wrapping_add(records) & i32::MAX;
        self.batches.push_back(Ready { bytes, size, records, _memory: memory });
    }

    /// The next batch that may be sent.
    pub(super) fn next(&self) -> Option<&Ready<M>> {
        let most = if self.known { IN_FLIGHT } else { 1 };
        self.batches.get(self.sent).filter(|_| self.sent < most && !self.refused)
    }

    /// Whether a batch is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.sent > 0
    }

    /// That batch is on its way.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// The oldest batch in flight was appended, at this offset where the broker says so.
    pub(super) fn acknowledged(&mut self, base_offset: Option<i64>) -> Result<Option<Ready<M>>, Misplaced> {
        if self.refused || base_offset.is_some_and(|offset| offset != self.expected) {
            return Err(Misplaced { expected: self.expected });
        }
        self.sent = self.sent.saturating_sub(1);
        self.known = true;
        let batch = self.batches.pop_front();
        self.expected += batch.as_ref().map_or(0, |batch| i64::from(batch.records));
        Ok(batch)
    }

    /// The oldest batch in flight was not appended; those behind it will not be, either.
    pub(super) fn refused(&mut self) {
        self.refused = true;
    }

    /// Whether a batch in flight was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Nothing is in flight any more: what was refused goes again, one at a time.
    pub(super) fn drained(&mut self) {
        if self.refused {
            self.known = false;
        }
        self.sent = 0;
        self.refused = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch::{BatchMeta, Codec, Compressor, RawBatch, encode_batch};

    fn queue(batches: usize) -> Queue<()> {
        let meta =
            BatchMeta { base_offset: 0, base_timestamp: 1, max_timestamp: 1, producer: (-1, -1, -1), records: 10 };
        let bytes = encode_batch(&meta, &[0; 50], &mut Compressor::new(Codec::None, None)).unwrap();
        let raw = RawBatch::parse(bytes.into()).unwrap();
        let mut queue = Queue::new(100);
        for _ in 0..batches {
            queue.push(Outgoing::new(&raw), 7, 0, ());
        }
        queue
    }

    /// Sends what may be sent; returns the sequences.
    fn send(queue: &mut Queue<()>) -> Vec<i32> {
        let mut out = Vec::new();
        while let Some(ready) = queue.next() {
            out.push(i32::from_be_bytes(ready.bytes[0][53..57].try_into().unwrap()));
            queue.sent();
        }
        out
    }

    #[test]
    fn one_is_in_flight_until_the_broker_knows_the_producer() {
        let mut queue = queue(9);
        assert_eq!(send(&mut queue), [0]);
        queue.acknowledged(Some(100)).unwrap();
        assert_eq!(send(&mut queue), [10, 20, 30, 40, 50]);
        queue.acknowledged(Some(110)).unwrap();
        assert_eq!((send(&mut queue), queue.expected()), (vec![60], 120));
    }

    #[test]
    fn what_was_refused_goes_again_in_order_one_at_a_time() {
        let mut queue = queue(5);
        send(&mut queue);
        queue.acknowledged(Some(100)).unwrap();
        assert_eq!(send(&mut queue), [10, 20, 30, 40]);
        queue.acknowledged(Some(110)).unwrap();
        queue.refused();
        assert!(queue.next().is_none());
        queue.drained();
        assert_eq!(send(&mut queue), [20]);
        queue.acknowledged(Some(120)).unwrap();
        assert_eq!(send(&mut queue), [30, 40]);
    }

    #[test]
    fn a_batch_that_lands_elsewhere_is_found() {
        let mut queue = queue(2);
        send(&mut queue);
        assert_eq!(queue.acknowledged(Some(101)).unwrap_err(), Misplaced { expected: 100 });
        queue.refused();
        assert!(queue.acknowledged(Some(100)).is_err(), "behind a refused batch nothing may be appended");
    }
}
