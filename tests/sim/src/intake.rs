//! How a leader takes a batch that a producer sent: what it checks, in which order, and what becomes of the bytes.

use batch::{BatchHeader, Decompressor, PAYLOAD_LIMIT, RawBatch, RecordIter, payload};
use bytes::Bytes;

use crate::encode::{Kind, NewRecord, VALUE_HEAD, stamped};
use crate::log::{Batch, Fate, Log, Written};
use crate::producers::Verdict;

/// What a topic asks of batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Bytes of a batch at most.
    pub(crate) largest: usize,
    /// Records need keys.
    pub(crate) compacted: bool,
    /// Records get this time, milliseconds since 1970.
    pub(crate) stamp: Option<i64>,
}

/// What a producer is told of its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// Where it stands.
    pub(crate) offset: i64,
    /// Its newest time, where the broker gave it or the batch had been there before.
    pub(crate) stamp: Option<i64>,
}

/// The checks that need no log; the codes are those of the protocol guide.
fn check(bytes: &Bytes, rules: Rules) -> Result<RawBatch, i16> {
    if bytes[..8] != [0; 8] {
        return Err(87);
    }
    if bytes.len() > rules.largest {
        return Err(10);
    }
    let header = BatchHeader::parse(bytes).map_err(|_| 87_i16)?;
    let raw = RawBatch::parse(bytes.clone()).map_err(|_| 2_i16)?;
    if !header.is_dense() || header.attributes.control() {
        return Err(87);
    }
    Ok(raw)
}

impl Log {
    /// Appends one batch as a producer sent it (2.20 of the protocol: one batch, from offset 0 on, without holes).
    ///
    /// # Errors
    /// The code that a broker refuses it with.
    pub(crate) fn append_raw(&mut self, epoch: i32, bytes: &Bytes, rules: Rules) -> Result<Taken, i16> {
        let raw = check(bytes, rules)?;
        let header = raw.header;
        let plain = payload(&raw, &mut Decompressor::default(), PAYLOAD_LIMIT).map_err(|_| 2_i16)?;
        let (mut records, transactional) = (Vec::new(), header.attributes.transactional());
        let mut newest = i64::MIN;
        for record in RecordIter::new(&header, &plain) {
            let record = record.map_err(|_| 87_i16)?;
            if rules.compacted && record.key.is_none() {
                return Err(87);
            }
            newest = newest.max(header.base_timestamp + record.timestamp_delta);
            let value = record.value.unwrap_or_default();
            let id = value.first_chunk::<VALUE_HEAD>().map_or(0, |head| u64::from_be_bytes(*head));
            records.push(NewRecord { delta: record.offset_delta, id, size: value.len() });
        }
        let last = header.base_sequence.wrapping_add(header.last_offset_delta) & i32::MAX;
        let sequences = (header.base_sequence, last);
        if header.producer_id >= 0 {
            match self.producers.judge(header.producer_id, header.producer_epoch, sequences.0, sequences.1) {
                Verdict::Seen(offset, time) => return Ok(Taken { offset, stamp: Some(time) }),
                Verdict::Refused(code) => return Err(code),
                // In the middle of its transaction.
                Verdict::New if !transactional && self.open.contains_key(&header.producer_id) => return Err(48),
                Verdict::New => {}
            }
        }
        self.note_epoch(epoch);
        let base = self.end;
        let fate = if transactional { Fate::Open(header.producer_id) } else { Fate::Committed };
        for record in &records {
            let written = Written { id: record.id, fate, cuts_before: self.cuts.len(), gone: None };
            self.truth.entry(base + i64::from(record.delta)).or_default().push(written);
        }
        if header.producer_id >= 0 {
            self.producers.note(
                header.producer_id,
                header.producer_epoch,
                sequences,
                base,
                rules.stamp.unwrap_or(newest),
            );
        }
        if transactional {
            self.producers.settle(header.producer_id);
            self.open.entry(header.producer_id).or_insert(base);
        }
        let last = base + i64::from(header.last_offset_delta);
        let kind = if transactional { Kind::Transactional } else { Kind::Plain };
        let bytes = stored(bytes, base, epoch, newest, rules.stamp);
        self.batches.push(Batch { base, last, kind, producer: header.producer_id, records, bytes });
        self.end = last + 1;
        Ok(Taken { offset: base, stamp: rules.stamp })
    }
}

/// The bytes as the leader keeps them: with its epoch, and a newest time that is right.
fn stored(bytes: &Bytes, base: i64, epoch: i32, newest: i64, stamp: Option<i64>) -> Bytes {
    let mut out = bytes.to_vec();
    out[..8].copy_from_slice(&base.to_be_bytes());
    out[12..16].copy_from_slice(&epoch.to_be_bytes());
    stamped(&out, stamp.unwrap_or(newest), stamp.is_some())
}
