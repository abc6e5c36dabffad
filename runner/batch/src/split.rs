//! Cutting the records field of a fetch answer into whole batches.
//!
//! A broker cuts the answer at its byte limit, so the last batch may be incomplete; that tail is left out and
//! fetched again. Batches without records (left by compaction) are whole batches like any other.

use bytes::Bytes;

use crate::header::check_crc;
use crate::legacy::Converter;
use crate::raw::RawBatch;
use crate::{BatchError, BatchHeader, Codec, HEADER_LEN, LOG_OVERHEAD};

/// Offset, length, checksum, magic, attributes and two empty fields of a message of format 0.
const OLD_LEAST: usize = LOG_OVERHEAD + 14;

/// The batches of one fetch answer.
#[derive(Debug, Default)]
pub struct Split {
    /// Whole batches in offset order, CRC checked.
    pub batches: Vec<RawBatch>,
    /// Bytes of a cut-off batch at the end, 0 when the answer ended cleanly.
    pub tail: usize,
    /// Size of the cut-off batch when its length field was there.
    pub tail_size: Option<usize>,
    /// Some of the batches were messages of format 0 or 1.
    pub converted: bool,
}

/// Splits the records of one partition of a fetch answer. The batches share the memory of `records`; messages of
/// formats 0 and 1 become batches of format 2.
///
/// # Errors
/// When a whole batch is damaged, or when offsets go backwards.
pub fn split(records: &Bytes) -> Result<Split, BatchError> {
    let mut out = Split::default();
    let mut old = Converter::default();
    let mut position = 0;
    while let Some(rest) = records.get(position..).filter(|rest| !rest.is_empty()) {
        let size = announced_size(rest, position)?;
        let Some(size) = size.filter(|size| *size <= rest.len()) else {
            out.tail = rest.len();
            out.tail_size = size;
            break;
        };
        let bytes = records.slice(position..position + size);
        if is_old(rest) {
            out.converted = true;
            old.push(&bytes, position, &mut out.batches)?;
            position += size;
            continue;
        }
        old.flush(Codec::None, &mut out.batches)?;
        let header = BatchHeader::parse(&bytes).map_err(|error| at(error, position))?;
        check_crc(&bytes, &header)?;
        out.batches.push(RawBatch { header, bytes });
        position += size;
    }
    old.flush(Codec::None, &mut out.batches)?;
    let mut next_offset = i64::MIN;
    for RawBatch { header, .. } in &out.batches {
        if header.base_offset < next_offset {
            return Err(BatchError::Invalid { what: "batch order", position: 0 });
        }
        next_offset = header.next_offset();
    }
    Ok(out)
}

/// Magic 0 and 1: the byte stands at the same place in all formats.
fn is_old(rest: &[u8]) -> bool {
    rest.get(16).is_some_and(|magic| *magic < 2)
}

/// The size that the batch at the start of `rest` announces; `None` when even its length field is cut off.
fn announced_size(rest: &[u8], position: usize) -> Result<Option<usize>, BatchError> {
    let Some(field) = rest.get(8..LOG_OVERHEAD) else { return Ok(None) };
    let mut length = [0; 4];
    length.copy_from_slice(field);
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    let least = if is_old(rest) { OLD_LEAST } else { HEADER_LEN };
    if rest.len() > 16 && length + LOG_OVERHEAD < least {
        return Err(BatchError::Invalid { what: "batch length", position });
    }
    Ok(Some(length + LOG_OVERHEAD))
}

fn at(error: BatchError, start: usize) -> BatchError {
    match error {
        BatchError::Truncated { position, what } => BatchError::Truncated { position: start + position, what },
        BatchError::Invalid { what, position } => BatchError::Invalid { what, position: start + position },
        other => other,
    }
}
