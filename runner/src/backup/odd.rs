//! Batches that brokers take and few expect: their record offsets repeat, go backwards or lie outside of the batch. They
//! are archived as they are; the backup says so on the day it meets them. Pure.
//!
//! Only batches that are not compressed can be so, because brokers write the offsets of compressed ones anew. Of those
//! one integer per record is read, which costs less than their CRC.

use batch::{Deltas, RawBatch};

/// Batches that are named; of more only their number is told.
const NAMED: u64 = 20;

/// What was met so far.
#[derive(Debug, Default)]
pub(crate) struct Odd {
    met: u64,
}

impl Odd {
    /// Looks at a batch of the partition that `place` names; a warning when there is something to say.
    pub(crate) fn look(&mut self, place: impl FnOnce() -> String, batch: &RawBatch) -> Option<String> {
        let offset = batch.header.base_offset;
        let what = match batch::deltas(batch) {
            Ok(Deltas::Ascending) => return None,
            Ok(Deltas::Odd) => {
                "has record offsets that repeat, go backwards or lie outside of it; it is archived as it is, and a restore \
                 writes its records in the order in which consumers see them"
                    .to_owned()
            }
            Err(error) => format!(
                "cannot be decoded ({error}); it is archived as it is, and a restore needs onUnreadable: skip to go past it"
            ),
        };
        self.met += 1;
        match self.met {
            ..=NAMED => Some(format!("{}: the batch at offset {offset} {what}", place())),
            met if met == NAMED + 1 => {
                Some("more such batches follow; `verify --level decode` names them all".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch::{BatchMeta, Codec, Compressor, encode_batch};

    fn batch(deltas: &[u8], codec: Codec) -> RawBatch {
        // Length, attributes, time, delta, null key, null value, no headers.
        let plain: Vec<u8> = deltas.iter().flat_map(|delta| [12, 0, 0, *delta, 1, 1, 0]).collect();
        let records = i32::try_from(deltas.len()).unwrap();
        let meta = BatchMeta { base_offset: 7, base_timestamp: 5, max_timestamp: 5, producer: (-1, -1, -1), records };
        RawBatch::parse(encode_batch(&meta, &plain, &mut Compressor::new(codec, None)).unwrap().into()).unwrap()
    }

    #[test]
    fn odd_batches_are_named_until_there_are_too_many() {
        let mut odd = Odd::default();
        assert_eq!(odd.look(|| "t/1".to_owned(), &batch(&[0, 2, 4], Codec::None)), None);
        assert_eq!(odd.look(|| "t/1".to_owned(), &batch(&[0, 2, 4], Codec::Zstd)), None);
        let warnings: Vec<_> =
            (0..30).filter_map(|_| odd.look(|| "t/1".to_owned(), &batch(&[0, 0, 2], Codec::None))).collect();
        assert!(warnings[0].starts_with("t/1: the batch at offset 7 has record offsets"), "{}", warnings[0]);
        assert_eq!(warnings.len(), 21);
    }
}
