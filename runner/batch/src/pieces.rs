//! The records of a batch a few at a time: memory holds a piece, or one record that is larger than a piece, whatever the
//! batch unpacks to. Pure.

use std::ops::Range;

use crate::record::read_record;
use crate::{BatchError, Deltas, RawBatch, RecordPlace, RecordStream, Selected};

/// Most bytes of a record that is read as a whole: anybody can produce one that packs to a few kilobytes and stands for far more.
pub const LARGEST_RECORD: usize = 128 << 20;

/// A batch that is read piece by piece.
#[derive(Debug)]
pub struct Pieces<'a> {
    stream: RecordStream<'a>,
    /// Bytes of a piece, but for a single record that is larger.
    most: usize,
    /// Most bytes of a record.
    largest: usize,
    bytes: Vec<u8>,
    records: Vec<(RecordPlace, Range<usize>)>,
    /// Whether the stream stands at a record that the next piece begins with.
    pending: Option<RecordPlace>,
}

impl<'a> Pieces<'a> {
    /// Begins to read a batch, in pieces of at most so many bytes.
    ///
    /// # Errors
    /// When the codec is unknown, or the first bytes are damaged.
    pub fn new(batch: &'a RawBatch, most: usize) -> Result<Self, BatchError> {
        let (stream, largest) = (RecordStream::new(batch)?, LARGEST_RECORD);
        Ok(Self { stream, most, largest, bytes: Vec::new(), records: Vec::new(), pending: None })
    }

    /// The same, of which no record that is larger than this is read.
    #[must_use]
    pub fn records_up_to(self, largest: usize) -> Self {
        Self { largest, ..self }
    }

    /// The next records for which `wanted` says so, in the order in which they stand; none after the last.
    ///
    /// # Errors
    /// When a record is malformed, or larger than what is read ([`LARGEST_RECORD`]): nothing of it was held then.
    pub fn next_piece(&mut self, wanted: impl Fn(RecordPlace) -> bool) -> Result<Vec<Selected<'_>>, BatchError> {
        self.bytes.clear();
        self.records.clear();
        loop {
            let place = match self.pending.take() {
                Some(place) => place,
                None => match self.stream.advance()? {
                    Some(place) if wanted(place) => place,
                    Some(_) => continue,
                    None => break,
                },
            };
            let is_full = self.bytes.len() as u64 + self.stream.rest() > self.most as u64;
            if is_full && !self.records.is_empty() {
                self.pending = Some(place);
                break;
            }
            let begin = self.bytes.len();
            self.stream.append(self.largest, &mut self.bytes)?;
            self.records.push((place, begin..self.bytes.len()));
        }
        let select = |(place, range): &(RecordPlace, Range<usize>)| {
            let record = read_record(self.bytes.get(range.clone()).unwrap_or_default())?;
            Ok(Selected { record, offset: place.offset, timestamp: place.timestamp })
        };
        self.records.iter().map(select).collect()
    }

    /// How many bytes the batch unpacked to so far.
    #[must_use]
    pub fn unpacked(&self) -> u64 {
        self.stream.unpacked()
    }

    /// What is known of the deltas of the records that were read so far.
    #[must_use]
    pub fn deltas(&self) -> Deltas {
        self.stream.deltas()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BatchMeta, Codec, Compressor, Record, RecordSink, Window, select_records};

    fn batch(values: &[usize], codec: Codec) -> RawBatch {
        let mut sink = RecordSink::with_capacity(0);
        let mut key_value = Vec::new();
        for (delta, length) in (0i32..).zip(values) {
            let value = vec![b'v'; *length];
            key_value.clear();
            key_value.push(1); // a null key
            let mut rest = (length << 1) as u64;
            while rest >= 0x80 {
                key_value.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            key_value.push(rest as u8);
            key_value.extend(&value);
            let record = Record {
                attributes: 0,
                timestamp_delta: 0,
                offset_delta: delta,
                key: None,
                value: Some(&value),
                key_value: &key_value,
                header_count: 0,
                headers: &[],
            };
            sink.push(&record, i64::from(delta), delta, &[]);
        }
        let records = i32::try_from(values.len()).unwrap();
        let meta = BatchMeta { base_offset: 7, base_timestamp: 5, max_timestamp: 9, producer: (-1, -1, -1), records };
        let bytes = sink.finish(&meta, &mut Compressor::new(codec, None)).unwrap();
        RawBatch::parse(bytes.into()).unwrap()
    }

    /// Its length is known before it is read.
    #[test]
    fn a_record_that_is_too_large_is_not_read() {
        let batch = batch(&[10, 3 << 20, 10], Codec::Zstd);
        let mut pieces = Pieces::new(&batch, 1_000).unwrap().records_up_to(1 << 20);
        assert_eq!(pieces.next_piece(|_| true).unwrap().len(), 1);
        assert!(matches!(pieces.next_piece(|_| true), Err(BatchError::TooLarge { limit: 0x10_0000 })));
        assert!(pieces.bytes.capacity() < 100_000, "{}", pieces.bytes.capacity());
        // Nobody asks for it: it is passed over.
        let mut pieces = Pieces::new(&batch, 1_000).unwrap().records_up_to(1 << 20);
        assert_eq!(pieces.next_piece(|place| place.offset != 8).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn pieces_together_are_the_batch(
            values in proptest::collection::vec(0usize..300, 1..60), codec in 0u8..5, most in 1usize..2_000, odd: bool,
        ) {
            let batch = batch(&values, Codec::from_id(codec).unwrap());
            let wanted = |place: RecordPlace| !odd || place.offset % 2 == 1;
            let mut pieces = Pieces::new(&batch, most).unwrap();
            let mut found = Vec::new();
            loop {
                let piece = pieces.next_piece(wanted).unwrap();
                if piece.is_empty() {
                    break;
                }
                let bytes: usize = piece.iter().map(|one| one.record.value.unwrap().len()).sum();
                prop_assert!(piece.len() == 1 || bytes <= most);
                found.extend(piece.iter().map(|one| (one.offset, one.timestamp, one.record.value.unwrap().len())));
            }
            let plain = crate::payload(&batch, &mut crate::Decompressor::default(), 1 << 20).unwrap();
            let mut all = Vec::new();
            let deltas = select_records(&batch.header, &plain, Window::ALL, &mut all).unwrap();
            let place = |one: &Selected<'_>| RecordPlace { offset: one.offset, timestamp: one.timestamp };
            let all = all.iter().filter(|one| wanted(place(one)));
            let expected: Vec<_> =
                all.map(|one| (one.offset, one.timestamp, one.record.value.unwrap().len())).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!((pieces.deltas(), pieces.unpacked()), (deltas, plain.len() as u64));
        }
    }
}
