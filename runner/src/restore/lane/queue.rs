//! The batches of one target partition in one epoch: which may be sent, and what an answer means. Pure.
//!
//! The broker takes an idempotent producer's first batch whatever its sequence, and every later one only in order. So
//! one batch is in flight until the first acknowledgement; then several are, and a batch behind a refused one is
//! refused, too. Of a batch behind one in doubt nothing is known.

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
    /// Sequence of its first record.
    sequence: i32,
    /// Held until the batch is acknowledged: the memory of the input that it came from.
    memory: M,
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
    /// Why nothing more is sent until all answers are there.
    halt: Option<Halt>,
}

/// What happened to the oldest batch in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    /// It was not appended, and goes again as it is.
    Refused,
    /// It was not appended, and goes again in halves.
    TooLarge,
    /// It may have been appended.
    Doubt,
}

impl<M: Clone> Queue<M> {
    /// A partition whose next record gets this offset.
    pub(super) fn new(expected: i64) -> Self {
        Self { sequence: 0, expected, batches: VecDeque::new(), sent: 0, known: false, halt: None }
    }

    pub(super) fn expected(&self) -> i64 {
        self.expected
    }

    /// Adds a batch under the producer's id and epoch.
    pub(super) fn push(&mut self, batch: Outgoing, id: i64, epoch: i16, memory: M) {
        let ready = Ready::new(batch, Producer { id, epoch, sequence: self.sequence }, memory);
        self.sequence = after(self.sequence, ready.records);
        self.batches.push_back(ready);
    }

    /// The batch that was too large, once nothing is in flight.
    pub(super) fn too_large(&self) -> Option<&Ready<M>> {
        self.batches.front().filter(|_| self.halt == Some(Halt::TooLarge))
    }

    /// Puts smaller batches with the same records in the place of the first one.
    pub(super) fn replace_first(&mut self, parts: Vec<Outgoing>, id: i64, epoch: i16) {
        let Some(Ready { mut sequence, memory, .. }) = self.batches.pop_front() else { return };
        for (place, part) in parts.into_iter().enumerate() {
            let ready = Ready::new(part, Producer { id, epoch, sequence }, memory.clone());
            sequence = after(sequence, ready.records);
            self.batches.insert(place, ready);
        }
    }

    /// The next batch that may be sent.
    pub(super) fn next(&self) -> Option<&Ready<M>> {
        let most = if self.known { IN_FLIGHT } else { 1 };
        self.batches.get(self.sent).filter(|_| self.sent < most && self.halt.is_none())
    }

    /// Whether a batch is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.sent > 0
    }

    /// That batch is on its way.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// The oldest batch in flight was appended, at this offset where the broker says so. `None` behind a batch in doubt:
    /// the end of the partition tells about both.
    pub(super) fn acknowledged(&mut self, base_offset: Option<i64>) -> Result<Option<Ready<M>>, Misplaced> {
        match self.halt {
            Some(Halt::Doubt) => return Ok(None),
            None if base_offset.is_none_or(|offset| offset == self.expected) => {}
            Some(Halt::Refused | Halt::TooLarge) | None => return Err(Misplaced { expected: self.expected }),
        }
        self.sent = self.sent.saturating_sub(1);
        self.known = true;
        let batch = self.batches.pop_front();
        self.expected += batch.as_ref().map_or(0, |batch| i64::from(batch.records));
        Ok(batch)
    }

    /// The oldest batch in flight was not appended; those behind it will not be, either.
    pub(super) fn refused(&mut self) {
        self.halt.get_or_insert(Halt::Refused);
    }

    /// The oldest batch in flight was not appended and never will be as it is; those behind it will not be, either.
    pub(super) fn refused_as_too_large(&mut self) {
        self.halt.get_or_insert(Halt::TooLarge);
    }

    /// Whether the oldest batch in flight was appended is not known.
    pub(super) fn doubted(&mut self) {
        self.halt = Some(Halt::Doubt);
    }

    /// Whether something was wrong with a batch in flight, so that those behind it cannot be in sequence.
    pub(super) fn is_halted(&self) -> bool {
        self.halt.is_some()
    }

    /// Nothing is in flight any more: what was refused goes again, one at a time.
    pub(super) fn drained(&mut self) {
        if self.halt.is_some() {
            self.known = false;
        }
        self.sent = 0;
        self.halt = None;
    }
}

impl<M> Ready<M> {
    fn new(batch: Outgoing, producer: Producer, memory: M) -> Self {
        let (records, size) = (batch.records(), batch.size());
        Self { bytes: batch.sign(producer), size, records, sequence: producer.sequence, memory }
    }
}

/// Sequences wrap from 2^31-1 to 0.
fn after(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
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

    #[test]
    fn behind_a_batch_in_doubt_an_acknowledgement_says_nothing() {
        let mut queue = queue(3);
        send(&mut queue);
        queue.acknowledged(Some(100)).unwrap();
        send(&mut queue);
        queue.doubted();
        for offset in [110, 120] {
            assert!(queue.acknowledged(Some(offset)).unwrap().is_none(), "the one before may have been appended");
        }
        assert_eq!((queue.expected(), queue.next().is_none()), (110, true));
    }

    #[test]
    fn halves_take_the_sequences_of_the_whole() {
        let mut queue = queue(3);
        send(&mut queue);
        queue.acknowledged(Some(100)).unwrap();
        assert_eq!(send(&mut queue), [10, 20]);
        queue.refused_as_too_large();
        let first = queue.too_large().unwrap().bytes.concat();
        let whole = RawBatch::parse(first.into()).unwrap();
        let half = |records| {
            let meta =
                BatchMeta { base_offset: 0, base_timestamp: 1, max_timestamp: 1, producer: (-1, -1, -1), records };
            let bytes = encode_batch(&meta, &[0; 25], &mut Compressor::new(Codec::None, None)).unwrap();
            Outgoing::new(&RawBatch::parse(bytes.into()).unwrap())
        };
        assert_eq!(whole.header.record_count, 10);
        queue.replace_first(vec![half(4), half(6)], 7, 0);
        queue.drained();
        assert_eq!(send(&mut queue), [10]);
        queue.acknowledged(Some(110)).unwrap();
        assert_eq!(send(&mut queue), [14, 20]);
        queue.acknowledged(Some(114)).unwrap();
        queue.acknowledged(Some(120)).unwrap();
        assert_eq!(queue.expected(), 130);
    }
}
