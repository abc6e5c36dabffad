//! Rewriting archived batches for a restore.
//!
//! Two ways: a whole committed batch without holes goes out under a new header ([`Outgoing::new`]);
//! everything else is decoded into [`Selected`] records and encoded again ([`encode_selected`]), which also
//! leaves out and adds offset headers, merges small neighbours and splits what grew past the limit.

use crate::{
    BatchError, BatchHeader, BatchMeta, Codec, Compressor, Decompressor, Deltas, Header, Outgoing, PAYLOAD_LIMIT,
    RawBatch, Record, RecordIter, RecordPlace, RecordSink, encode::put_header, encode_batch, payload,
};

/// A time window, inclusive at both ends, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Earliest timestamp wanted.
    pub start: i64,
    /// Latest timestamp wanted.
    pub end: i64,
}

impl Window {
    /// Every record.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// Whether this timestamp is wanted.
    #[must_use]
    pub fn contains(self, timestamp: i64) -> bool {
        (self.start..=self.end).contains(&timestamp)
    }

    /// Whether every record of the batch is surely inside.
    #[must_use]
    pub fn covers(self, header: &BatchHeader) -> bool {
        let (min, exact) = header.min_timestamp();
        header.max_timestamp <= self.end && (self.start == i64::MIN || (exact && min >= self.start))
    }

    /// Whether no record of the batch can be inside.
    #[must_use]
    pub fn misses(self, header: &BatchHeader) -> bool {
        let (min, exact) = header.min_timestamp();
        header.max_timestamp < self.start || (exact && min > self.end)
    }
}

/// About what a record's length, deltas and offset headers take.
const RECORD_EXTRA: usize = 96;

/// Key of the header with a record's offset in the source, as eight bytes, the lowest first.
pub const ORIGINAL_OFFSET: &[u8] = b"x-original-offset";
/// Key of the header behind it, with the record's timestamp in the source.
pub const ORIGINAL_TIMESTAMP: &[u8] = b"x-original-timestamp";
/// Key of the header behind that, with the name of the source cluster.
const SOURCE_CLUSTER: &[u8] = b"x-source-cluster";
/// Keys of all headers that restores append: those above, and the one with which the OSO tool names the partition.
const TRACKING: [&[u8]; 4] = [ORIGINAL_OFFSET, ORIGINAL_TIMESTAMP, SOURCE_CLUSTER, b"x-source-partition"];

/// The headers that a restore appends to every record.
#[derive(Debug, Clone, Copy)]
pub struct OffsetHeaders<'a> {
    /// Value of `x-source-cluster`, left out when `None`.
    pub source_cluster: Option<&'a str>,
}

/// What a restore does to the headers of every record: first it leaves out, then it appends.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderChanges<'a> {
    /// Leave out what an earlier restore appended.
    pub strip: bool,
    /// Append these.
    pub append: Option<OffsetHeaders<'a>>,
}

/// Whether a header is one that restores append: by its exact key.
#[must_use]
pub fn is_tracking(header: &Header<'_>) -> bool {
    TRACKING.contains(&header.key)
}

/// Whether [`Outgoing::new`] keeps the records of this batch exactly.
#[must_use]
pub fn can_copy(header: &BatchHeader) -> bool {
    let attributes = header.attributes;
    header.is_dense() && !attributes.control() && !attributes.log_append_time() && attributes.codec().is_some()
}

/// A record that goes into the target, with its place and time in the source.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// The record as archived.
    pub record: Record<'a>,
    /// Its offset in the source.
    pub offset: i64,
    /// Its timestamp as consumers of the source saw it.
    pub timestamp: i64,
}

/// Appends the records of one decompressed batch that lie in `window`, in the order in which they stand there; that is
/// the order in which consumers see them, whatever their deltas say.
///
/// # Errors
/// When the payload is malformed.
pub fn select_records<'a>(
    header: &BatchHeader,
    payload: &'a [u8],
    window: Window,
    out: &mut Vec<Selected<'a>>,
) -> Result<Deltas, BatchError> {
    let mut records = RecordIter::new(header, payload);
    for record in records.by_ref() {
        let record = record?;
        let RecordPlace { offset, timestamp } = RecordPlace::of(header, record.timestamp_delta, record.offset_delta);
        if window.contains(timestamp) {
            out.push(Selected { record, offset, timestamp });
        }
    }
    Ok(records.deltas())
}

/// Encodes records as batches of at most `limit` bytes and `max_records` records.
///
/// # Errors
/// [`BatchError::RecordTooLarge`] when one record alone exceeds the limit, or what the compressor says.
pub fn encode_selected(
    records: &[Selected<'_>],
    headers: HeaderChanges<'_>,
    limit: usize,
    max_records: usize,
    compressor: &mut Compressor,
) -> Result<Vec<Outgoing>, BatchError> {
    let mut out = Vec::new();
    for group in records.chunks(max_records.max(1)) {
        encode_group(group, headers, limit, compressor, &mut out)?;
    }
    Ok(out)
}

/// Two batches with the records of one that goes into a target, of which each has half; fewer than two records cannot
/// be halved and come back as they are.
///
/// # Errors
/// When the batch cannot be read, or what the compressor says.
pub fn halve(batch: &RawBatch) -> Result<Vec<Outgoing>, BatchError> {
    let bytes = payload(batch, &mut Decompressor::default(), PAYLOAD_LIMIT)?;
    let mut records = Vec::new();
    select_records(&batch.header, &bytes, Window::ALL, &mut records)?;
    let codec = batch.header.attributes.codec().ok_or(BatchError::Invalid { what: "codec", position: 21 })?;
    let mut compressor = Compressor::new(codec, None);
    encode_selected(&records, HeaderChanges::default(), usize::MAX, records.len().div_ceil(2).max(1), &mut compressor)
}

fn encode_group(
    records: &[Selected<'_>],
    headers: HeaderChanges<'_>,
    limit: usize,
    compressor: &mut Compressor,
    out: &mut Vec<Outgoing>,
) -> Result<(), BatchError> {
    let Some(first) = records.first() else { return Ok(()) };
    let estimate = |s: &Selected<'_>| s.record.key_value.len() + s.record.headers.len() + RECORD_EXTRA;
    let mut sink = RecordSink::with_capacity(records.iter().map(estimate).sum());
    let mut max_timestamp = i64::MIN;
    for (delta, selected) in (0i32..).zip(records) {
        max_timestamp = max_timestamp.max(selected.timestamp);
        let time_delta = selected.timestamp.wrapping_sub(first.timestamp);
        push_record(&mut sink, selected, time_delta, delta, headers);
    }
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let meta = BatchMeta {
        base_offset: 0,
        base_timestamp: first.timestamp,
        max_timestamp,
        producer: (-1, -1, -1),
        records: count,
    };
    let bytes = sink.finish(&meta, compressor)?;
    if bytes.len() <= limit {
        let header = BatchHeader::parse(&bytes)?;
        out.push(Outgoing::new(&RawBatch { header, bytes: bytes.into() }));
        return Ok(());
    }
    if records.len() == 1 {
        return pack_harder(&bytes, limit, compressor, out);
    }
    // Compressed sizes cannot be known beforehand: halve until it fits.
    let (left, right) = records.split_at(records.len() / 2);
    encode_group(left, headers, limit, compressor, out)?;
    encode_group(right, headers, limit, compressor, out)
}

/// A batch with one record that does not fit: whoever wrote it may have packed it better than the default level does.
fn pack_harder(
    batch: &[u8],
    limit: usize,
    compressor: &mut Compressor,
    out: &mut Vec<Outgoing>,
) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    let raw = RawBatch { header, bytes: bytes::Bytes::copy_from_slice(batch) };
    let plain = payload(&raw, &mut Decompressor::default(), PAYLOAD_LIMIT)?;
    let meta = BatchMeta {
        base_offset: 0,
        base_timestamp: header.base_timestamp,
        max_timestamp: header.max_timestamp,
        producer: (-1, -1, -1),
        records: header.record_count,
    };
    let mut smallest = batch.len();
    // Its own codec at its best, and then the one that packs best.
    for (codec, level) in [(Codec::Gzip, 9), (Codec::Zstd, 19)] {
        if codec != compressor.codec() && codec != Codec::Zstd {
            continue;
        }
        let bytes = encode_batch(&meta, &plain, &mut Compressor::new(codec, Some(level)))?;
        smallest = smallest.min(bytes.len());
        if bytes.len() <= limit {
            let header = BatchHeader::parse(&bytes)?;
            out.push(Outgoing::new(&RawBatch { header, bytes: bytes.into() }));
            return Ok(());
        }
    }
    Err(BatchError::RecordTooLarge { size: smallest, limit })
}

fn push_record(
    sink: &mut RecordSink,
    selected: &Selected<'_>,
    timestamp_delta: i64,
    offset_delta: i32,
    changes: HeaderChanges<'_>,
) {
    let mut kept = Vec::new();
    let record = &if changes.strip { without_tracking(selected.record, &mut kept) } else { selected.record };
    let Some(headers) = changes.append else {
        return sink.push(record, timestamp_delta, offset_delta, &[]);
    };
    let offset = selected.offset.to_le_bytes();
    let timestamp = selected.timestamp.to_le_bytes();
    let own = [
        Header { key: ORIGINAL_OFFSET, value: Some(&offset) },
        Header { key: ORIGINAL_TIMESTAMP, value: Some(&timestamp) },
        Header { key: SOURCE_CLUSTER, value: headers.source_cluster.map(str::as_bytes) },
    ];
    let wanted = if headers.source_cluster.is_some() { &own[..] } else { own.get(..2).unwrap_or_default() };
    sink.push(record, timestamp_delta, offset_delta, wanted);
}

/// The record with its other headers, whose bytes come to lie in `kept`; the record itself where all of them stay.
fn without_tracking<'a>(record: Record<'a>, kept: &'a mut Vec<u8>) -> Record<'a> {
    if !record.headers().any(|header| is_tracking(&header)) {
        return record;
    }
    let mut header_count = 0;
    for header in record.headers().filter(|header| !is_tracking(header)) {
        put_header(kept, &header);
        header_count += 1;
    }
    Record { header_count, headers: kept, ..record }
}

#[cfg(test)]
mod tests;
