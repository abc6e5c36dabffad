//! A batch on its way into a target: a header of its own before records that are never copied.

use bytes::Bytes;

use crate::crc::shift;
use crate::header::{CRC_AT, CRC_START};
use crate::{HEADER_LEN, RawBatch};

/// The producer that restored batches go out under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Producer id from the broker.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the batch's first record.
    pub sequence: i32,
}

/// A batch with base offset 0 and without producer.
///
/// Its CRC is never computed from its records again: the one that it came with is carried over to the new header.
/// A record that changed on the way through this process is therefore refused by the broker.
#[derive(Debug, Clone)]
pub struct Outgoing {
    head: [u8; HEADER_LEN],
    payload: Bytes,
    /// The CRC that the batch came with, and that of the header alone that it covers.
    crc: u32,
    old_head_crc: u32,
    records: i32,
}

impl Outgoing {
    /// Prepares a whole batch: the transactional and delete-horizon bits are cleared. The base timestamp stays,
    /// because record times are relative to it whether or not it is a delete horizon.
    #[must_use]
    pub fn new(batch: &RawBatch) -> Self {
        let mut head = batch.bytes.first_chunk().copied().unwrap_or([0; HEADER_LEN]);
        let payload = batch.bytes.slice(HEADER_LEN.min(batch.bytes.len())..);
        let old_head_crc = crc_of(&head);
        patch(&mut head, 0, &0i64.to_be_bytes());
        patch(&mut head, 12, &(-1i32).to_be_bytes());
        patch(&mut head, 21, &(batch.header.attributes.0 & 0x07).to_be_bytes());
        Self { head, payload, crc: batch.header.crc, old_head_crc, records: batch.header.record_count }
    }

    /// Records in it.
    #[must_use]
    pub fn records(&self) -> i32 {
        self.records
    }

    /// Bytes of header and payload.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Header and payload, to be sent one after the other, under this producer.
    #[must_use]
    pub fn sign(mut self, producer: Producer) -> [Bytes; 2] {
        patch(&mut self.head, 43, &producer.id.to_be_bytes());
        patch(&mut self.head, 51, &producer.epoch.to_be_bytes());
        patch(&mut self.head, 53, &producer.sequence.to_be_bytes());
        // A CRC is linear: the CRCs of two heads before the same payload differ by what the difference of the heads'
        // CRCs becomes when it is shifted past the payload.
        let difference = crc_of(&self.head) ^ self.old_head_crc;
        let crc = self.crc ^ shift(difference, self.payload.len());
        patch(&mut self.head, CRC_AT, &crc.to_be_bytes());
        [Bytes::copy_from_slice(&self.head), self.payload]
    }
}

fn crc_of(head: &[u8]) -> u32 {
    crc32c::crc32c(head.get(CRC_START..).unwrap_or_default())
}

fn patch(out: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = out.get_mut(at..at + value.len()) {
        target.copy_from_slice(value);
    }
}
