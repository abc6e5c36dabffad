//! Message formats 0 and 1 (Kafka before 0.11), turned into record batches of format 2.
//!
//! Offsets, keys, values, timestamps, their type and the codec are kept; the framing is not, and format 0 has no
//! timestamps (-1). Layout: protocol guide, "Old Message Format"; KIP-31 (relative offsets), KIP-32 (timestamps).

mod inner;

use bytes::Bytes;

use self::inner::Inner;

use crate::header::write_header;
use crate::stream::SMALL;
use crate::varint::{put_varint, varint_len};
use crate::{Attributes, BatchError, BatchHeader, Codec, Compressor, Decompressor, HEADER_LEN, LOG_OVERHEAD, RawBatch};

/// Records and bytes of one batch made of messages that were not compressed.
const MOST_RECORDS: usize = 1_000;
const MOST_BYTES: usize = 512 << 10;
/// Bit of the attributes that says that the broker set the timestamp (format 1).
const APPEND_TIME: u8 = 0x08;

/// One message of an old format; the value of a compressed one holds further messages.
struct Message<'a> {
    offset: i64,
    magic: u8,
    codec: Codec,
    append_time: bool,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// Collects old messages until they make a batch.
#[derive(Default)]
pub(crate) struct Converter {
    records: Vec<u8>,
    first: Option<(i64, i64)>,
    last_offset: i64,
    max_timestamp: i64,
    append_time: bool,
    count: usize,
    decompressor: Decompressor,
}

impl Converter {
    /// Takes one whole message that starts at `position` of the answer; finished batches go to `out`.
    pub(crate) fn push(&mut self, bytes: &[u8], position: usize, out: &mut Vec<RawBatch>) -> Result<(), BatchError> {
        let message = Message::read(bytes, position)?;
        if message.codec == Codec::None {
            let other_kind = message.append_time && (!self.append_time || self.max_timestamp != message.timestamp)
                || self.append_time && !message.append_time;
            if self.count >= MOST_RECORDS || self.records.len() >= MOST_BYTES || other_kind {
                self.flush(Codec::None, out)?;
            }
            self.append_time = message.append_time;
            self.add(message.offset, message.timestamp, message.key, message.value);
            return Ok(());
        }
        self.flush(Codec::None, out)?;
        self.open(&message, position, out)?;
        self.flush(message.codec, out)
    }

    /// Adds the messages inside a compressed one. They are read twice, for the offset of the last one. What is too large to
    /// hold is decompressed as it is read, and becomes several batches: memory does not depend on how many there are.
    fn open(&mut self, outer: &Message<'_>, position: usize, out: &mut Vec<RawBatch>) -> Result<(), BatchError> {
        let value = outer.value.ok_or(BatchError::Invalid { what: "compressed message", position })?;
        let fixed = if outer.codec == Codec::Lz4 { lz4_with_checksum(value) } else { None };
        let packed = fixed.as_deref().unwrap_or(value);
        let mut plain = Vec::new();
        let (codec, bytes) = match self.decompressor.decompress(outer.codec, packed, SMALL, &mut plain) {
            Ok(()) => (Codec::None, plain.as_slice()),
            Err(BatchError::TooLarge { .. }) => (outer.codec, packed),
            Err(error) => return Err(error),
        };
        let mut last = 0;
        let mut inner = Inner::new(codec, bytes, position)?;
        while let Some(bytes) = inner.next()? {
            last = Message::read(bytes, position)?.offset;
        }
        self.append_time = outer.append_time;
        let mut before = None;
        let mut inner = Inner::new(codec, bytes, position)?;
        while let Some(bytes) = inner.next()? {
            let message = Message::read(bytes, position)?;
            // Since format 1 inner offsets are relative, and the outer one is that of the last message.
            let offset = if outer.magic == 0 { message.offset } else { outer.offset - last + message.offset };
            let timestamp = if outer.append_time { outer.timestamp } else { message.timestamp };
            if message.codec != Codec::None || before.is_some_and(|before| offset <= before) {
                return Err(BatchError::Invalid { what: "compressed message", position });
            }
            before = Some(offset);
            if self.records.len() >= SMALL {
                self.flush(outer.codec, out)?;
            }
            self.add(offset, timestamp, message.key, message.value);
        }
        Ok(())
    }

    fn add(&mut self, offset: i64, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let (first, base) = *self.first.get_or_insert((offset, timestamp));
        self.last_offset = offset;
        self.max_timestamp = if self.count == 0 { timestamp } else { self.max_timestamp.max(timestamp) };
        self.count += 1;
        // With append time every record has the batch's time, and its own delta counts for nothing.
        put_record(&mut self.records, timestamp.wrapping_sub(base), offset - first, key, value);
    }

    /// Ends the batch that is being collected.
    pub(crate) fn flush(&mut self, codec: Codec, out: &mut Vec<RawBatch>) -> Result<(), BatchError> {
        let Some((base_offset, base_timestamp)) = self.first.take() else { return Ok(()) };
        let position = 0;
        let delta = i32::try_from(self.last_offset - base_offset);
        let last_offset_delta = delta.map_err(|_| BatchError::Invalid { what: "message offsets", position })?;
        let mut bytes = vec![0; HEADER_LEN];
        Compressor::new(codec, None).compress(&self.records, &mut bytes)?;
        let bit = if self.append_time { i16::from(APPEND_TIME) } else { 0 };
        let header = BatchHeader {
            base_offset,
            batch_length: 0,
            leader_epoch: -1,
            crc: 0,
            attributes: Attributes(Attributes::plain(codec).0 | bit),
            last_offset_delta,
            base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: i32::try_from(self.count).unwrap_or(i32::MAX),
        };
        write_header(&mut bytes, &header);
        self.records.clear();
        self.count = 0;
        out.push(RawBatch::parse(Bytes::from(bytes))?);
        Ok(())
    }
}

/// Size of a message with its offset and length fields; `None` when they are cut off or make no sense.
fn size_of(rest: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(*rest.get(8..)?.first_chunk()?);
    usize::try_from(length).ok()?.checked_add(LOG_OVERHEAD)
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8], position: usize) -> Result<Self, BatchError> {
        let mut fields = Fields { rest: bytes, position };
        let offset = i64::from_be_bytes(fields.array("message offset")?);
        fields.array::<4>("message length")?;
        let expected = u32::from_be_bytes(fields.array("message checksum")?);
        let mut crc = flate2::Crc::new();
        crc.update(fields.rest);
        if crc.sum() != expected {
            return Err(BatchError::Checksum { base_offset: offset, expected, actual: crc.sum() });
        }
        let [magic, attributes] = fields.array("message attributes")?;
        let timestamp = if magic == 0 { -1 } else { i64::from_be_bytes(fields.array("message timestamp")?) };
        let codec = Codec::from_id(attributes & 0x07).filter(|codec| *codec != Codec::Zstd);
        let codec = codec.ok_or(BatchError::Invalid { what: "message codec", position })?;
        let append_time = magic > 0 && attributes & APPEND_TIME != 0;
        let (key, value) = (fields.nullable("message key")?, fields.nullable("message value")?);
        Ok(Self { offset, magic, codec, append_time, timestamp, key, value })
    }
}

struct Fields<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], BatchError> {
        let cut = BatchError::Truncated { position: self.position, what };
        let (found, rest) = self.rest.split_first_chunk().ok_or(cut)?;
        self.rest = rest;
        Ok(*found)
    }

    fn nullable(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, BatchError> {
        let length = i32::from_be_bytes(self.array(what)?);
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let cut = BatchError::Truncated { position: self.position, what };
        let (found, rest) = self.rest.split_at_checked(length).ok_or(cut)?;
        self.rest = rest;
        Ok(Some(found))
    }
}

fn put_record(out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
    let field = |bytes: Option<&[u8]>| bytes.map_or(1, |bytes| varint_len(bytes.len() as i64) + bytes.len());
    let length = 1 + varint_len(timestamp_delta) + varint_len(offset_delta) + field(key) + field(value) + 1;
    put_varint(out, length as i64);
    out.push(0);
    put_varint(out, timestamp_delta);
    put_varint(out, offset_delta);
    for bytes in [key, value] {
        put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
        out.extend_from_slice(bytes.unwrap_or_default());
    }
    put_varint(out, 0);
}

/// Kafka's writers of format 0 computed the frame's header checksum over the wrong bytes (KAFKA-3160); readers of
/// LZ4 frames refuse that. Returns the frame with the checksum that its specification asks for.
fn lz4_with_checksum(frame: &[u8]) -> Option<Vec<u8>> {
    let flags = *frame.get(4)?;
    let end = 6 + if flags & 0x08 != 0 { 8 } else { 0 };
    let checksum = twox_hash::XxHash32::oneshot(0, frame.get(4..end)?).to_be_bytes()[2];
    let mut fixed = frame.to_vec();
    *fixed.get_mut(end)? = checksum;
    Some(fixed)
}

#[cfg(test)]
mod tests;
