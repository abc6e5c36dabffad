//! Cutting the records field of a fetch answer into whole batches.
//!
//! A broker cuts the answer at its byte limit, so the last batch may be incomplete; that tail is left out and
//! fetched again. Batches without records (left by compaction) are whole batches like any other.

use bytes::Bytes;

use crate::header::check_crc;
use crate::{BatchError, BatchHeader, HEADER_LEN, LOG_OVERHEAD};

/// One whole batch: its parsed header and all its bytes.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// The parsed header.
    pub header: BatchHeader,
    /// Header and records exactly as the broker sent them.
    pub bytes: Bytes,
}

impl RawBatch {
    /// Reads one batch that must fill `bytes` exactly, and checks its CRC.
    ///
    /// # Errors
    /// When the bytes are not exactly one undamaged batch.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        if header.size() != bytes.len() || bytes.len() < HEADER_LEN {
            return Err(BatchError::Invalid { what: "batch length", position: 8 });
        }
        check_crc(&bytes, &header)?;
        Ok(Self { header, bytes })
    }
}

/// The batches of one fetch answer.
#[derive(Debug, Default)]
pub struct Split {
    /// Whole batches in offset order, CRC checked.
    pub batches: Vec<RawBatch>,
    /// Bytes of a cut-off batch at the end, 0 when the answer ended cleanly.
    pub tail: usize,
    /// Size of the cut-off batch when its length field was there.
    pub tail_size: Option<usize>,
}

/// Splits the records of one partition of a fetch answer. The batches share the memory of `records`.
///
/// # Errors
/// When a whole batch is damaged, of an old format, or when offsets go backwards.
pub fn split(records: &Bytes) -> Result<Split, BatchError> {
    let mut out = Split::default();
    let mut position = 0;
    let mut next_offset = i64::MIN;
    while let Some(rest) = records.get(position..).filter(|rest| !rest.is_empty()) {
        let size = announced_size(rest, position)?;
        let Some(size) = size.filter(|size| *size <= rest.len()) else {
            out.tail = rest.len();
            out.tail_size = size;
            break;
        };
        let bytes = records.slice(position..position + size);
        let header = BatchHeader::parse(&bytes).map_err(|error| at(error, position))?;
        check_crc(&bytes, &header)?;
        if header.base_offset < next_offset {
            return Err(BatchError::Invalid { what: "batch order", position });
        }
        next_offset = header.next_offset();
        out.batches.push(RawBatch { header, bytes });
        position += size;
    }
    Ok(out)
}

/// The size that the batch at the start of `rest` announces; `None` when even its length field is cut off.
fn announced_size(rest: &[u8], position: usize) -> Result<Option<usize>, BatchError> {
    let Some(field) = rest.get(8..LOG_OVERHEAD) else { return Ok(None) };
    let mut length = [0; 4];
    length.copy_from_slice(field);
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    match rest.get(16) {
        Some(magic) if *magic < 2 => Err(BatchError::OldMagic { magic: magic.cast_signed(), position }),
        _ if length + LOG_OVERHEAD < HEADER_LEN => Err(BatchError::Invalid { what: "batch length", position }),
        _ => Ok(Some(length + LOG_OVERHEAD)),
    }
}

fn at(error: BatchError, start: usize) -> BatchError {
    match error {
        BatchError::Truncated { position, what } => BatchError::Truncated { position: start + position, what },
        BatchError::Invalid { what, position } => BatchError::Invalid { what, position: start + position },
        other => other,
    }
}
