//! Control batches: the markers that end a transaction. Key of the record: version i16, type i16 (KIP-98).

use crate::varint::Reader;
use crate::{BatchError, Decompressor, RawBatch, RecordIter, payload};

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlType {
    /// The producer's open transaction was rolled back.
    Abort,
    /// The producer's open transaction was committed.
    Commit,
    /// A kind that this code does not act on.
    Other(i16),
}

/// More than any control record takes.
const LIMIT: usize = 1 << 20;

/// Reads the type of a control batch; `None` when compaction has removed its record.
///
/// # Errors
/// When the batch cannot be decoded.
pub fn control_type(batch: &RawBatch, decompressor: &mut Decompressor) -> Result<Option<ControlType>, BatchError> {
    let records = payload(batch, decompressor, LIMIT)?;
    let Some(record) = RecordIter::new(&batch.header, &records).next() else { return Ok(None) };
    let mut key = Reader::new(record?.key.unwrap_or_default());
    key.i16("control version")?;
    Ok(Some(match key.i16("control type")? {
        0 => ControlType::Abort,
        1 => ControlType::Commit,
        other => ControlType::Other(other),
    }))
}
