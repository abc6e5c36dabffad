//! The messages inside a compressed one, one after the other as they are decompressed: a few kilobytes may stand for
//! gigabytes.

use std::io::{BufRead, Read};

use super::size_of;
use crate::codec::{damaged, reader};
use crate::stream::LARGEST;
use crate::{BatchError, Codec, LOG_OVERHEAD, PAYLOAD_LIMIT};

/// Reads inner messages.
pub(super) struct Inner<'a> {
    reader: Box<dyn BufRead + Send + 'a>,
    codec: Codec,
    /// The message that was read last.
    one: Vec<u8>,
    read: u64,
    /// Where the outer message starts.
    position: usize,
}

impl<'a> Inner<'a> {
    pub(super) fn new(codec: Codec, packed: &'a [u8], position: usize) -> Result<Self, BatchError> {
        Ok(Self { reader: reader(codec, packed)?, codec, one: Vec::new(), read: 0, position })
    }

    /// The next message; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, BatchError> {
        self.one.clear();
        self.fill(LOG_OVERHEAD)?;
        if self.one.is_empty() {
            return Ok(None);
        }
        let size = size_of(&self.one).filter(|_| self.one.len() == LOG_OVERHEAD).ok_or_else(|| self.cut())?;
        if size > PAYLOAD_LIMIT {
            return Err(BatchError::TooLarge { limit: PAYLOAD_LIMIT });
        }
        self.fill(size)?;
        self.read += size as u64;
        if self.one.len() < size {
            return Err(self.cut());
        }
        if self.read > LARGEST {
            return Err(BatchError::TooLarge { limit: i32::MAX as usize });
        }
        Ok(Some(&self.one))
    }

    /// Reads until there are so many bytes, or no more come.
    fn fill(&mut self, size: usize) -> Result<(), BatchError> {
        let missing = size.saturating_sub(self.one.len()) as u64;
        let read = self.reader.by_ref().take(missing).read_to_end(&mut self.one);
        read.map(drop).map_err(|error| damaged(self.codec, &error.to_string()))
    }

    fn cut(&self) -> BatchError {
        BatchError::Truncated { position: self.position, what: "compressed message" }
    }
}
