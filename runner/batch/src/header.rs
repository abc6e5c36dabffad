//! The 61-byte header of a record batch: parse, check, and the meaning of its bits.

use crate::varint::Reader;
use crate::{BatchError, Codec};

/// Bytes of a batch header; the records follow.
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that `batchLength` counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// Where the CRC field stands; it covers everything from [`CRC_START`].
pub(crate) const CRC_AT: usize = 17;
/// First byte that the CRC covers (the attributes).
pub(crate) const CRC_START: usize = 21;

/// The attribute bits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: u8 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec of the payload; `None` for a number that no Kafka release defines.
    #[must_use]
    pub fn codec(self) -> Option<Codec> {
        Codec::from_id(self.0.to_be_bytes()[1] & Self::CODEC)
    }

    /// The broker stamped the records: every one has the batch's maximum timestamp.
    #[must_use]
    pub fn log_append_time(self) -> bool {
        self.0 & Self::LOG_APPEND_TIME != 0
    }

    /// The batch belongs to a transaction.
    #[must_use]
    pub fn transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// The batch holds a transaction marker, not records of a user.
    #[must_use]
    pub fn control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp field holds the cleaner's delete horizon (KIP-534).
    #[must_use]
    pub fn delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The bits of a plain batch with this codec, as a producer sends it.
    #[must_use]
    pub fn plain(codec: Codec) -> Self {
        Self(i16::from(codec.id()))
    }
}

/// A parsed batch header (magic 2). Timestamps are milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record that the batch had when it was written.
    pub base_offset: i64,
    /// Bytes after this field's own position, as in the protocol ([`LOG_OVERHEAD`] is not counted).
    pub batch_length: i32,
    /// Epoch of the leader that wrote the batch.
    pub leader_epoch: i32,
    /// CRC32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transaction and control bits.
    pub attributes: Attributes,
    /// Last offset minus base offset; compaction keeps it.
    pub last_offset_delta: i32,
    /// What record timestamps are relative to: the first record's time, or the delete horizon.
    pub base_timestamp: i64,
    /// Largest record timestamp, or the append time.
    pub max_timestamp: i64,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Records that the batch holds now; compaction may leave 0.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads a header from the start of `bytes`.
    ///
    /// # Errors
    /// When fewer than [`HEADER_LEN`] bytes are there, the magic is not 2, or a count is impossible.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let mut r = Reader::new(bytes);
        let base_offset = r.i64("base offset")?;
        let batch_length = r.i32("batch length")?;
        let leader_epoch = r.i32("leader epoch")?;
        let magic = r.i8("magic")?;
        if magic != 2 {
            return Err(BatchError::Invalid { what: "magic", position: 16 });
        }
        let header = Self {
            base_offset,
            batch_length,
            leader_epoch,
            crc: r.u32("crc")?,
            attributes: Attributes(r.i16("attributes")?),
            last_offset_delta: r.i32("last offset delta")?,
            base_timestamp: r.i64("base timestamp")?,
            max_timestamp: r.i64("max timestamp")?,
            producer_id: r.i64("producer id")?,
            producer_epoch: r.i16("producer epoch")?,
            base_sequence: r.i32("base sequence")?,
            record_count: r.i32("record count")?,
        };
        if header.base_offset < 0 || header.base_offset.checked_add(i64::from(i32::MAX)).is_none() {
            return Err(BatchError::Invalid { what: "base offset", position: 0 });
        }
        if header.last_offset_delta < 0 {
            return Err(BatchError::Invalid { what: "last offset delta", position: 23 });
        }
        if header.record_count < 0 || header.record_count - 1 > header.last_offset_delta {
            return Err(BatchError::Invalid { what: "record count", position: 57 });
        }
        Ok(header)
    }

    /// Size of the whole batch in bytes, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0) + LOG_OVERHEAD
    }

    /// Last offset that the batch covers, whether or not a record still stands there.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Where reading goes on after this batch.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Whether a record of this batch counts in a range of offsets. Where the batch lies inside the range all its records
    /// do, whatever offset they claim.
    #[must_use]
    pub fn takes(&self, offset: i64, range: &std::ops::Range<i64>) -> bool {
        let from = range.start <= self.base_offset || offset >= range.start;
        from && (self.last_offset() < range.end || offset < range.end)
    }

    /// Records as an unsigned count.
    #[must_use]
    pub fn records(&self) -> u64 {
        u64::from(self.record_count.unsigned_abs())
    }

    /// Whether every offset of the range still has its record.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.record_count > 0 && self.record_count - 1 == self.last_offset_delta
    }

    /// A lower bound of the record timestamps, and whether it is exact.
    ///
    /// The header names only the first record's time, so the bound is exact for a single record and for
    /// append time. With a delete horizon nothing is known: the bound is then `i64::MIN`.
    #[must_use]
    pub fn min_timestamp(&self) -> (i64, bool) {
        let one_time = self.attributes.log_append_time() || self.record_count == 1;
        if one_time { (self.max_timestamp, true) } else { (i64::MIN, false) }
    }
}

/// Checks the CRC32C of one whole batch.
///
/// # Errors
/// [`BatchError::Checksum`] when the bytes do not match, or what [`BatchHeader::parse`] says.
pub(crate) fn check_crc(bytes: &[u8], header: &BatchHeader) -> Result<(), BatchError> {
    let covered = bytes.get(CRC_START..).unwrap_or_default();
    let actual = crc32c::crc32c(covered);
    if actual == header.crc {
        return Ok(());
    }
    Err(BatchError::Checksum { base_offset: header.base_offset, expected: header.crc, actual })
}

/// Writes a header with its CRC over `batch`, whose first [`HEADER_LEN`] bytes are replaced.
pub(crate) fn write_header(batch: &mut [u8], header: &BatchHeader) {
    let mut head = Vec::with_capacity(HEADER_LEN);
    head.extend_from_slice(&header.base_offset.to_be_bytes());
    head.extend_from_slice(&i32::try_from(batch.len() - LOG_OVERHEAD).unwrap_or(i32::MAX).to_be_bytes());
    head.extend_from_slice(&header.leader_epoch.to_be_bytes());
    head.push(2);
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&header.attributes.0.to_be_bytes());
    head.extend_from_slice(&header.last_offset_delta.to_be_bytes());
    head.extend_from_slice(&header.base_timestamp.to_be_bytes());
    head.extend_from_slice(&header.max_timestamp.to_be_bytes());
    head.extend_from_slice(&header.producer_id.to_be_bytes());
    head.extend_from_slice(&header.producer_epoch.to_be_bytes());
    head.extend_from_slice(&header.base_sequence.to_be_bytes());
    head.extend_from_slice(&header.record_count.to_be_bytes());
    if let Some(target) = batch.get_mut(..HEADER_LEN) {
        target.copy_from_slice(&head);
    }
    seal_crc(batch);
}

/// Computes the CRC of `batch` and writes it into its field.
pub(crate) fn seal_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(batch.get(CRC_START..).unwrap_or_default());
    if let Some(field) = batch.get_mut(CRC_AT..CRC_START) {
        field.copy_from_slice(&crc.to_be_bytes());
    }
}
