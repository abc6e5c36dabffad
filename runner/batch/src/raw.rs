//! A whole batch: its parsed header and its bytes.

use bytes::Bytes;

use crate::header::check_crc;
use crate::{BatchError, BatchHeader, HEADER_LEN};

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
