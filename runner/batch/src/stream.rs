//! Records of a batch one by one from its compressed bytes: memory depends on neither their number nor what they decompress
//! to. A few kilobytes may stand for gigabytes, and whoever may write to a topic can make such a batch.

use std::io::{BufRead, Read};

use crate::codec::{damaged, reader};
use crate::record::{DeltaOrder, read_record};
use crate::varint::varlong;
use crate::{BatchError, BatchHeader, Codec, Decompressor, Deltas, HEADER_LEN, RawBatch, Record, RecordIter, payload};

/// Payloads up to this size are decompressed as a whole, which is faster.
pub(crate) const SMALL: usize = 4 << 20;
/// Most decompressed bytes of a batch: clients of Kafka cannot count more.
pub(crate) const LARGEST: u64 = i32::MAX as u64;

/// Where and when a record is, as consumers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp (milliseconds since 1970).
    pub timestamp: i64,
}

impl RecordPlace {
    pub(crate) fn of(header: &BatchHeader, timestamp_delta: i64, offset_delta: i32) -> Self {
        let client_time = header.base_timestamp.wrapping_add(timestamp_delta);
        let timestamp = if header.attributes.log_append_time() { header.max_timestamp } else { client_time };
        Self { offset: header.base_offset.wrapping_add(i64::from(offset_delta)), timestamp }
    }
}

/// Tells the place of each record of a batch, in their order; all of them are read as far as their lengths go.
///
/// # Errors
/// When the batch cannot be read, or has more bytes than any client could read.
pub fn places(
    batch: &RawBatch,
    decompressor: &mut Decompressor,
    mut found: impl FnMut(RecordPlace),
) -> Result<Deltas, BatchError> {
    match payload(batch, decompressor, SMALL) {
        Ok(plain) => {
            let mut records = RecordIter::new(&batch.header, &plain);
            for record in records.by_ref() {
                let record = record?;
                found(RecordPlace::of(&batch.header, record.timestamp_delta, record.offset_delta));
            }
            Ok(records.deltas())
        }
        Err(BatchError::TooLarge { .. }) => {
            let mut stream = RecordStream::new(batch)?;
            while let Some(place) = stream.advance()? {
                found(place);
            }
            Ok(stream.deltas())
        }
        Err(error) => Err(error),
    }
}

/// The records of a batch, as they are decompressed.
#[derive(Debug)]
pub struct RecordStream<'a> {
    source: Source<'a>,
    header: BatchHeader,
    left: i32,
    order: DeltaOrder,
}

impl<'a> RecordStream<'a> {
    /// Begins to read a batch.
    ///
    /// # Errors
    /// When the codec is unknown, or the first bytes are damaged.
    pub fn new(batch: &'a RawBatch) -> Result<Self, BatchError> {
        let codec = batch.header.attributes.codec().ok_or(BatchError::Invalid { what: "codec", position: 21 })?;
        let reader = reader(codec, batch.bytes.get(HEADER_LEN..).unwrap_or_default())?;
        let source = Source { reader, codec, position: 0, rest: 0, head: Vec::new() };
        let (header, left, order) = (batch.header, batch.header.record_count, DeltaOrder::of(&batch.header));
        Ok(Self { source, header, left, order })
    }

    /// Goes on to the next record; `None` after the last.
    ///
    /// # Errors
    /// When this record, or what was not read of the one before, is malformed.
    pub fn advance(&mut self) -> Result<Option<RecordPlace>, BatchError> {
        self.source.pass_record()?;
        if self.left <= 0 {
            let position = self.source.place();
            let clean = self.left < 0 || self.source.is_at_end()?;
            self.left = -1;
            let surplus = BatchError::Invalid { what: "payload after the last record", position };
            return if clean { Ok(None) } else { Err(surplus) };
        }
        self.left -= 1;
        self.source.begin_record()?;
        self.source.byte("record attributes")?;
        let timestamp_delta = self.source.varlong("timestamp delta")?;
        let offset_delta = self.source.varint("offset delta")?;
        self.order.note(offset_delta);
        Ok(Some(RecordPlace::of(&self.header, timestamp_delta, offset_delta)))
    }

    /// The current record, read into `room`. It can be read once.
    ///
    /// # Errors
    /// [`BatchError::TooLarge`] when it has more than `most` bytes, after which the next one can be read all the same; when
    /// it is malformed.
    pub fn record<'r>(&mut self, most: usize, room: &'r mut Vec<u8>) -> Result<Record<'r>, BatchError> {
        room.clear();
        self.append(most, room)?;
        read_record(room)
    }

    /// Appends the bytes of the current record to `room`. It can be read once.
    pub(crate) fn append(&mut self, most: usize, room: &mut Vec<u8>) -> Result<(), BatchError> {
        self.source.whole_record(most, room)
    }

    /// Bytes of the current record, which are known before it is read. Once it was read there are none.
    #[must_use]
    pub fn rest(&self) -> u64 {
        self.source.rest.saturating_add(self.source.head.len() as u64)
    }

    /// How many bytes the batch unpacked to so far.
    #[must_use]
    pub fn unpacked(&self) -> u64 {
        self.source.position
    }

    /// What is known of the deltas of the records that were read so far.
    #[must_use]
    pub fn deltas(&self) -> Deltas {
        self.order.deltas()
    }
}

/// Decompressed bytes, and how far the current record goes.
struct Source<'a> {
    reader: Box<dyn BufRead + Send + 'a>,
    codec: Codec,
    position: u64,
    /// Bytes of the current record that were not read yet.
    rest: u64,
    /// Its first bytes, as far as they were read.
    head: Vec<u8>,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("codec", &self.codec).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Source<'_> {
    fn place(&self) -> usize {
        usize::try_from(self.position).unwrap_or(usize::MAX)
    }

    fn truncated(&self, what: &'static str) -> BatchError {
        BatchError::Truncated { position: self.place(), what }
    }

    fn broken(&self, error: &std::io::Error) -> BatchError {
        damaged(self.codec, &error.to_string())
    }

    /// What can be read without decompressing more; empty at the end.
    fn ready(&mut self) -> Result<usize, BatchError> {
        if self.position > LARGEST {
            return Err(BatchError::TooLarge { limit: i32::MAX as usize });
        }
        match self.reader.fill_buf() {
            Ok(bytes) => Ok(bytes.len()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn is_at_end(&mut self) -> Result<bool, BatchError> {
        Ok(self.ready()? == 0)
    }

    /// A byte of whatever comes, and nothing at the end.
    fn next(&mut self, what: &'static str) -> Result<u8, BatchError> {
        if self.ready()? == 0 {
            return Err(self.truncated(what));
        }
        let mut byte = [0];
        self.reader.read_exact(&mut byte).map_err(|error| self.broken(&error))?;
        self.position += 1;
        Ok(byte[0])
    }

    /// A byte of the current record.
    fn byte(&mut self, what: &'static str) -> Result<u8, BatchError> {
        self.rest = self.rest.checked_sub(1).ok_or_else(|| self.truncated(what))?;
        let byte = self.next(what)?;
        self.head.push(byte);
        Ok(byte)
    }

    fn varlong(&mut self, what: &'static str) -> Result<i64, BatchError> {
        varlong(what, self.place(), || self.byte(what))
    }

    fn varint(&mut self, what: &'static str) -> Result<i32, BatchError> {
        let position = self.place();
        i32::try_from(self.varlong(what)?).map_err(|_| BatchError::Invalid { what, position })
    }

    /// Reads the length of the next record.
    fn begin_record(&mut self) -> Result<(), BatchError> {
        const WHAT: &str = "record length";
        let position = self.place();
        let length = varlong(WHAT, position, || self.next(WHAT))?;
        let length = i32::try_from(length).ok().and_then(|length| u64::try_from(length).ok());
        self.rest = length.ok_or(BatchError::Invalid { what: WHAT, position })?;
        self.head.clear();
        Ok(())
    }

    /// Passes over `count` bytes of the current record.
    fn skip(&mut self, count: u64, what: &'static str) -> Result<(), BatchError> {
        self.rest = self.rest.checked_sub(count).ok_or_else(|| self.truncated(what))?;
        let mut left = count;
        while left > 0 {
            let ready = self.ready()?;
            if ready == 0 {
                return Err(self.truncated(what));
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(ready);
            self.reader.consume(step);
            self.position += step as u64;
            left -= step as u64;
        }
        Ok(())
    }

    /// Passes over bytes with a length before them; a length of -1 means null where that may be.
    fn skip_bytes(&mut self, what: &'static str, may_be_null: bool) -> Result<(), BatchError> {
        let position = self.place();
        match self.varint(what)? {
            -1 if may_be_null => Ok(()),
            length => {
                let length = u64::try_from(length).map_err(|_| BatchError::Invalid { what, position })?;
                self.skip(length, what)
            }
        }
    }

    /// Reads what is left of the current record, as its fields say.
    fn pass_record(&mut self) -> Result<(), BatchError> {
        if self.head.is_empty() {
            return Ok(());
        }
        self.skip_bytes("key", true)?;
        self.head.clear();
        self.skip_bytes("value", true)?;
        let position = self.place();
        let headers = self.varint("header count")?;
        if headers < 0 {
            return Err(BatchError::Invalid { what: "header count", position });
        }
        for _ in 0..headers {
            self.skip_bytes("header key length", false)?;
            self.skip_bytes("header value", true)?;
            self.head.clear();
        }
        self.head.clear();
        let position = self.place();
        if self.rest == 0 { Ok(()) } else { Err(BatchError::Invalid { what: "record length", position }) }
    }

    fn whole_record(&mut self, most: usize, room: &mut Vec<u8>) -> Result<(), BatchError> {
        if self.rest.saturating_add(self.head.len() as u64) > most as u64 {
            return Err(BatchError::TooLarge { limit: most });
        }
        room.append(&mut self.head);
        let rest = std::mem::take(&mut self.rest);
        let read = self.reader.by_ref().take(rest).read_to_end(room).map_err(|error| self.broken(&error))?;
        self.position += read as u64;
        if (read as u64) < rest { Err(self.truncated("record")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
