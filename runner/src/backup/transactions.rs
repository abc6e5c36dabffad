//! Which batches of a fetch answer a read-committed consumer would see. Pure; the same rule as Java's consumer.

use std::collections::HashSet;

use batch::{BatchError, ControlType, Decompressor, RawBatch, control_type};

/// What became of a batch's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Data that consumers see.
    Committed,
    /// Data of a transaction that was rolled back.
    Aborted,
    /// A marker.
    Control,
}

/// Decides the fate of batches that came with one answer, up to the first marker that cannot be read, and what is wrong
/// with it. All of them lie below the last stable offset, and `aborted` lists the rolled-back transactions (producer id,
/// first offset) that overlap them.
pub(crate) fn fates(
    batches: &[RawBatch],
    aborted: &[(i64, i64)],
    decompressor: &mut Decompressor,
) -> (Vec<Fate>, Option<BatchError>) {
    let mut waiting = aborted.to_vec();
    waiting.sort_unstable_by_key(|(_, first)| std::cmp::Reverse(*first));
    let mut rolled_back = HashSet::new();
    let mut out = Vec::with_capacity(batches.len());
    for batch in batches {
        let header = &batch.header;
        while let Some((producer, _)) = waiting.pop_if(|(_, first)| *first <= header.last_offset()) {
            rolled_back.insert(producer);
        }
        out.push(if header.attributes.control() {
            match control_type(batch, decompressor) {
                Err(error) => return (out, Some(error)),
                Ok(Some(ControlType::Abort)) => drop(rolled_back.remove(&header.producer_id)),
                Ok(_) => {}
            }
            Fate::Control
        } else if header.attributes.transactional() && rolled_back.contains(&header.producer_id) {
            Fate::Aborted
        } else {
            Fate::Committed
        });
    }
    (out, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch::{BatchMeta, Codec, Compressor, encode_batch};

    /// A batch of one record: `bits` are the transactional (0x10) and control (0x20) bits.
    fn batch(offset: i64, producer: i64, bits: u8, key: &[u8]) -> RawBatch {
        let mut record = vec![0, 0, 0, u8::try_from(key.len() * 2).unwrap()];
        record.extend_from_slice(key);
        record.extend_from_slice(&[1, 0]);
        let mut records = vec![u8::try_from(record.len() * 2).unwrap()];
        records.extend_from_slice(&record);
        let meta = BatchMeta {
            base_offset: offset,
            base_timestamp: 0,
            max_timestamp: 0,
            producer: (producer, 0, 0),
            records: 1,
        };
        let mut bytes = encode_batch(&meta, &records, &mut Compressor::new(Codec::None, None)).unwrap();
        bytes[22] |= bits;
        let crc = crc(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        RawBatch::parse(bytes.into()).unwrap()
    }

    /// CRC32C bit by bit: independent of the library that the product uses.
    fn crc(bytes: &[u8]) -> u32 {
        let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
    }

    const ABORT: &[u8] = &[0, 0, 0, 0];
    const COMMIT: &[u8] = &[0, 0, 0, 1];

    #[test]
    fn interleaved_transactions_are_told_apart() {
        let batches = [
            batch(0, 7, 0x10, b"a"),
            batch(1, 8, 0x10, b"b"),
            batch(2, -1, 0, b"plain"),
            batch(3, 7, 0x30, ABORT),
            batch(4, 7, 0x10, b"again"),
            batch(5, 8, 0x30, COMMIT),
            batch(6, 7, 0x30, COMMIT),
        ];
        let (fates, unreadable) = fates(&batches, &[(7, 0)], &mut Decompressor::default());
        assert_eq!(unreadable, None);
        let text: Vec<_> = fates.iter().map(|fate| format!("{fate:?}")).collect();
        assert_eq!(text.join(" "), "Aborted Committed Committed Control Committed Control Control");
    }

    #[test]
    fn an_answer_may_begin_in_the_middle_of_a_transaction() {
        let batches = [batch(5, 7, 0x10, b"a"), batch(6, 7, 0x30, ABORT), batch(7, 7, 0x10, b"b")];
        let (fates, _) = fates(&batches, &[(7, 2)], &mut Decompressor::default());
        assert_eq!(fates, [Fate::Aborted, Fate::Control, Fate::Committed]);
    }

    #[test]
    fn a_marker_that_cannot_be_read_ends_what_is_known() {
        let batches = [batch(5, 7, 0x10, b"a"), batch(6, 7, 0x30, &[0]), batch(7, 7, 0x10, b"b")];
        let (fates, unreadable) = fates(&batches, &[], &mut Decompressor::default());
        assert_eq!((fates, unreadable.is_some()), (vec![Fate::Committed], true));
    }
}
