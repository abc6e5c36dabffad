//! Making new batches from records.

use crate::header::write_header;
use crate::varint::{put_varint, varint_len};
use crate::{Attributes, BatchError, BatchHeader, Codec, Compressor, HEADER_LEN, Record};

/// What a new batch says of itself besides its records.
#[derive(Debug, Clone, Copy)]
pub struct BatchMeta {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Time that record deltas count from.
    pub base_timestamp: i64,
    /// Largest record timestamp.
    pub max_timestamp: i64,
    /// Producer id, epoch and first sequence; -1 each for none.
    pub producer: (i64, i16, i32),
    /// Records in the batch.
    pub records: i32,
}

/// A record that does not come from a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordParts<'a> {
    /// Key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// Value, `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in their order.
    pub headers: &'a [crate::Header<'a>],
}

/// Collects the encoded records of one batch.
#[derive(Debug)]
pub struct RecordSink {
    /// Room for the header, and the records one after the other.
    bytes: Vec<u8>,
}

impl RecordSink {
    /// An empty batch with room for this many bytes of records.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut room = Vec::with_capacity(HEADER_LEN + bytes);
        room.resize(HEADER_LEN, 0);
        Self { bytes: room }
    }

    /// Bytes of the batch so far, its header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a record of these parts.
    pub fn push_parts(&mut self, parts: &RecordParts<'_>, timestamp_delta: i64, offset_delta: i32) {
        let count = parts.headers.len() as i64;
        let headers: usize = parts.headers.iter().map(header_len).sum();
        let length = 1
            + varint_len(timestamp_delta)
            + varint_len(i64::from(offset_delta))
            + nullable_len(parts.key)
            + nullable_len(parts.value)
            + varint_len(count)
            + headers;
        let out = &mut self.bytes;
        put_varint(out, length as i64);
        out.push(0);
        put_varint(out, timestamp_delta);
        put_varint(out, i64::from(offset_delta));
        put_nullable(out, parts.key);
        put_nullable(out, parts.value);
        put_varint(out, count);
        for header in parts.headers {
            put_header(out, header);
        }
    }

    /// Makes the batch.
    ///
    /// # Errors
    /// When the compressor refuses.
    pub fn finish(self, meta: &BatchMeta, compressor: &mut Compressor) -> Result<Vec<u8>, BatchError> {
        self.finish_up_to(meta, meta.records - 1, compressor)
    }

    /// Makes a batch in which offsets have no record: the last one is so far behind the base offset.
    ///
    /// # Errors
    /// When the compressor refuses.
    pub fn finish_up_to(
        mut self,
        meta: &BatchMeta,
        last_offset_delta: i32,
        compressor: &mut Compressor,
    ) -> Result<Vec<u8>, BatchError> {
        if compressor.codec() == Codec::None {
            write_meta(&mut self.bytes, meta, last_offset_delta, Codec::None);
            return Ok(self.bytes);
        }
        encode(meta, last_offset_delta, self.bytes.get(HEADER_LEN..).unwrap_or_default(), compressor)
    }

    /// Appends `record` with new deltas and with `extra` headers after its own.
    pub fn push(&mut self, record: &Record<'_>, timestamp_delta: i64, offset_delta: i32, extra: &[crate::Header<'_>]) {
        let count = i64::from(record.header_count) + extra.len() as i64;
        let extra_len: usize = extra.iter().map(header_len).sum();
        let length = 1
            + varint_len(timestamp_delta)
            + varint_len(i64::from(offset_delta))
            + record.key_value.len()
            + varint_len(count)
            + record.headers.len()
            + extra_len;
        let out = &mut self.bytes;
        put_varint(out, length as i64);
        out.push(record.attributes.cast_unsigned());
        put_varint(out, timestamp_delta);
        put_varint(out, i64::from(offset_delta));
        out.extend_from_slice(record.key_value);
        put_varint(out, count);
        out.extend_from_slice(record.headers);
        for header in extra {
            put_header(out, header);
        }
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(bytes.len() as i64) + bytes.len())
}

fn header_len(header: &crate::Header<'_>) -> usize {
    nullable_len(Some(header.key)) + nullable_len(header.value)
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends one header as it stands in a record.
pub(crate) fn put_header(out: &mut Vec<u8>, header: &crate::Header<'_>) {
    put_nullable(out, Some(header.key));
    put_nullable(out, header.value);
}

/// Makes one batch of encoded `records`.
///
/// # Errors
/// When the compressor refuses.
pub fn encode_batch(meta: &BatchMeta, records: &[u8], compressor: &mut Compressor) -> Result<Vec<u8>, BatchError> {
    encode(meta, meta.records - 1, records, compressor)
}

fn encode(
    meta: &BatchMeta,
    last_offset_delta: i32,
    records: &[u8],
    compressor: &mut Compressor,
) -> Result<Vec<u8>, BatchError> {
    let mut out = vec![0; HEADER_LEN];
    compressor.compress(records, &mut out)?;
    // Compressors ask for room for the worst case; what packs to little must not keep it.
    if out.capacity() / 2 > out.len() {
        out.shrink_to_fit();
    }
    write_meta(&mut out, meta, last_offset_delta, compressor.codec());
    Ok(out)
}

fn write_meta(batch: &mut [u8], meta: &BatchMeta, last_offset_delta: i32, codec: Codec) {
    let (producer_id, producer_epoch, base_sequence) = meta.producer;
    let header = BatchHeader {
        base_offset: meta.base_offset,
        batch_length: 0,
        leader_epoch: -1,
        crc: 0,
        attributes: Attributes::plain(codec),
        last_offset_delta,
        base_timestamp: meta.base_timestamp,
        max_timestamp: meta.max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count: meta.records,
    };
    write_header(batch, &header);
}
