//! Records inside a decompressed batch payload. Headers are ordered lists of byte strings: keys may repeat,
//! need not be UTF-8, and values may be null.

use bytes::Bytes;

use crate::varint::Reader;
use crate::{BatchError, Codec, Decompressor, HEADER_LEN, RawBatch};

/// One record, borrowing from the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Record attributes; no Kafka release uses them.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp; may be negative.
    pub timestamp_delta: i64,
    /// Offset after the batch's base offset.
    pub offset_delta: i32,
    /// Key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// Value, `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Key and value with their lengths, as they stand in the payload.
    pub(crate) key_value: &'a [u8],
    /// Number of headers.
    pub header_count: i32,
    /// The headers as they stand in the payload, after their count.
    pub(crate) headers: &'a [u8],
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Key bytes, not necessarily UTF-8.
    pub key: &'a [u8],
    /// Value, `None` for null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// The headers in their order. The bytes were checked when the record was read.
    #[must_use]
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter { reader: Reader::new(self.headers), left: self.header_count }
    }
}

/// Iterator over the headers of a record.
#[derive(Debug, Clone)]
pub struct HeaderIter<'a> {
    reader: Reader<'a>,
    left: i32,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        // The record was checked as a whole before.
        read_header(&mut self.reader).ok()
    }
}

fn read_header<'a>(r: &mut Reader<'a>) -> Result<Header<'a>, BatchError> {
    let len = r.length("header key length")?;
    let key = r.take(len, "header key")?;
    Ok(Header { key, value: r.nullable("header value")? })
}

/// Whether the records of a batch count its offsets upwards, as every client of Kafka writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deltas {
    /// Each record has a larger offset than the one before, and none lies beyond the batch.
    Ascending,
    /// Offsets repeat, go backwards, or lie outside the batch. Brokers take such batches when they are not compressed,
    /// and consumers read them: they are data, not damage.
    Odd,
}

/// Follows the deltas of a batch's records.
#[derive(Debug)]
pub(crate) struct DeltaOrder {
    last: i32,
    previous: i64,
    odd: bool,
}

impl DeltaOrder {
    pub(crate) fn of(batch: &crate::BatchHeader) -> Self {
        Self { last: batch.last_offset_delta, previous: -1, odd: false }
    }

    /// Takes in the delta of the next record.
    pub(crate) fn note(&mut self, delta: i32) {
        self.odd |= i64::from(delta) <= self.previous || delta > self.last;
        self.previous = i64::from(delta);
    }

    pub(crate) fn deltas(&self) -> Deltas {
        if self.odd { Deltas::Odd } else { Deltas::Ascending }
    }
}

/// Iterator over the records of a payload, in their order; stops after the first error.
#[derive(Debug)]
pub struct RecordIter<'a> {
    reader: Reader<'a>,
    left: i32,
    order: DeltaOrder,
}

impl<'a> RecordIter<'a> {
    /// Reads `batch`'s records from its decompressed `payload`.
    #[must_use]
    pub fn new(batch: &crate::BatchHeader, payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload), left: batch.record_count, order: DeltaOrder::of(batch) }
    }

    /// What is known of the deltas of the records that were read so far.
    #[must_use]
    pub fn deltas(&self) -> Deltas {
        self.order.deltas()
    }

    fn read(&mut self) -> Result<Record<'a>, BatchError> {
        let length = self.reader.length("record length")?;
        let body = self.reader.take(length, "record")?;
        let record = read_record(body)?;
        self.order.note(record.offset_delta);
        Ok(record)
    }

    /// Reads on to the next record, and of this one its delta only.
    fn pass_over(&mut self) -> Result<(), BatchError> {
        let length = self.reader.length("record length")?;
        let mut body = Reader::new(self.reader.take(length, "record")?);
        body.i8("record attributes")?;
        body.varlong("timestamp delta")?;
        let delta = body.varint("offset delta")?;
        self.order.note(delta);
        Ok(())
    }
}

pub(crate) fn read_record(body: &[u8]) -> Result<Record<'_>, BatchError> {
    let mut r = Reader::new(body);
    let attributes = r.i8("record attributes")?;
    let timestamp_delta = r.varlong("timestamp delta")?;
    let offset_delta = r.varint("offset delta")?;
    let key_at = r.position();
    let key = r.nullable("key")?;
    let value = r.nullable("value")?;
    let key_value = r.slice(key_at);
    let count_at = r.position();
    let header_count = r.varint("header count")?;
    if header_count < 0 {
        return Err(BatchError::Invalid { what: "header count", position: count_at });
    }
    let headers_at = r.position();
    for _ in 0..header_count {
        read_header(&mut r)?;
    }
    let headers = r.slice(headers_at);
    if !r.is_empty() {
        return Err(BatchError::Invalid { what: "record length", position: r.position() });
    }
    Ok(Record { attributes, timestamp_delta, offset_delta, key, value, key_value, header_count, headers })
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            let clean = self.reader.is_empty() || self.left < 0;
            self.left = -1;
            let position = self.reader.position();
            return (!clean).then_some(Err(BatchError::Invalid { what: "payload after the last record", position }));
        }
        self.left -= 1;
        let item = self.read();
        if item.is_err() {
            self.left = -1;
        }
        Some(item)
    }
}

/// The deltas of a batch, without decoding its records. Only batches that are not compressed are looked at: brokers
/// write the offsets of compressed ones anew when they are not in order.
///
/// # Errors
/// When the records cannot be told apart.
pub fn deltas(batch: &RawBatch) -> Result<Deltas, BatchError> {
    if batch.header.attributes.codec() != Some(Codec::None) {
        return Ok(Deltas::Ascending);
    }
    let mut records = RecordIter::new(&batch.header, batch.bytes.get(HEADER_LEN..).unwrap_or_default());
    for _ in 0..batch.header.record_count {
        records.pass_over()?;
    }
    Ok(records.deltas())
}

/// A bound on the decompressed records of one batch, for callers that have no tighter one.
pub const PAYLOAD_LIMIT: usize = 512 << 20;

/// The decompressed records of `batch`; what was not compressed is not copied.
///
/// # Errors
/// When the codec is unknown, the payload is damaged, or it would grow past `limit` bytes.
pub fn payload(batch: &RawBatch, decompressor: &mut Decompressor, limit: usize) -> Result<Bytes, BatchError> {
    let codec = batch.header.attributes.codec().ok_or(BatchError::Invalid { what: "codec", position: 21 })?;
    if codec == Codec::None {
        let records = batch.bytes.slice(HEADER_LEN.min(batch.bytes.len())..);
        return if records.len() > limit { Err(BatchError::TooLarge { limit }) } else { Ok(records) };
    }
    let mut out = Vec::new();
    decompressor.decompress(codec, batch.bytes.get(HEADER_LEN..).unwrap_or_default(), limit, &mut out)?;
    Ok(out.into())
}
