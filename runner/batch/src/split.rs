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

/// A batch of an answer that cannot be used. What came before it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong with it.
    pub error: BatchError,
    /// Base offset of the batch that follows it, when the damaged one's length leads to a whole one.
    pub next_base: Option<i64>,
}

/// Splits the records of one partition of a fetch answer. The batches share the memory of `records`; messages of
/// formats 0 and 1 become batches of format 2.
///
/// # Errors
/// When a whole batch is damaged, or when offsets go backwards.
pub fn split(records: &Bytes) -> Result<Split, BatchError> {
    match split_sound(records) {
        (split, None) => Ok(split),
        (_, Some(damage)) => Err(damage.error),
    }
}

/// Splits as [`split`] does, up to the first batch that is damaged.
#[must_use]
pub fn split_sound(records: &Bytes) -> (Split, Option<Damage>) {
    let mut out = Split::default();
    let mut old = Converter::default();
    let mut position = 0;
    let cut = cut(records, &mut position, &mut old, &mut out);
    // Old messages before the damaged one are whole: they count in any case.
    let flushed = old.flush(Codec::None, &mut out.batches);
    let error = cut.and(flushed).err();
    if let Some(place) = first_backwards(&out.batches) {
        // A base offset is not under its batch's checksum: either of the two may be wrong, so neither is taken.
        let next_base = out.batches.get(place).map(|batch| batch.header.base_offset);
        out.batches.truncate(place - 1);
        (out.tail, out.tail_size) = (0, None);
        return (out, Some(Damage { error: ORDER, next_base }));
    }
    let damage = error.map(|error| Damage { error, next_base: base_after(records, position) });
    (out, damage)
}

/// Two batches name the same offset.
pub const ORDER: BatchError = BatchError::Invalid { what: "batch order", position: 0 };

/// Cuts whole batches off until one is damaged, which then stands at `position`.
fn cut(records: &Bytes, position: &mut usize, old: &mut Converter, out: &mut Split) -> Result<(), BatchError> {
    while let Some(rest) = records.get(*position..).filter(|rest| !rest.is_empty()) {
        let size = announced_size(rest, *position)?;
        let Some(size) = size.filter(|size| *size <= rest.len()) else {
            (out.tail, out.tail_size) = (rest.len(), size);
            return Ok(());
        };
        let bytes = records.slice(*position..*position + size);
        if is_old(rest) {
            old.push(&bytes, *position, &mut out.batches)?;
            out.converted = true;
        } else {
            old.flush(Codec::None, &mut out.batches)?;
            let header = BatchHeader::parse(&bytes).map_err(|error| at(error, *position))?;
            check_crc(&bytes, &header)?;
            out.batches.push(RawBatch { header, bytes });
        }
        *position += size;
    }
    Ok(())
}

/// Position in the list, never the first, of the first batch whose offsets go back.
fn first_backwards(batches: &[RawBatch]) -> Option<usize> {
    let pairs = batches.iter().zip(batches.iter().skip(1));
    let back = |(a, b): (&RawBatch, &RawBatch)| b.header.base_offset < a.header.next_offset();
    pairs.into_iter().position(back).map(|place| place + 1)
}

/// Base offset of the whole, undamaged batch that stands where the one at `position` ends by its own length.
fn base_after(records: &Bytes, position: usize) -> Option<i64> {
    // Damage is judged by who asks.
    let size = announced_size(records.get(position..)?, position).ok().flatten()?;
    let start = position.checked_add(size)?;
    let rest = records.get(start..)?;
    // The same behind it.
    let next = announced_size(rest, start).ok().flatten()?;
    let bytes = records.slice(start..).get(..next).map(|bytes| records.slice_ref(bytes))?;
    RawBatch::parse(bytes).ok().map(|batch| batch.header.base_offset)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchMeta, Compressor, encode_batch};

    fn batch(offset: i64) -> Vec<u8> {
        let meta =
            BatchMeta { base_offset: offset, base_timestamp: 0, max_timestamp: 0, producer: (-1, -1, -1), records: 1 };
        encode_batch(&meta, &[12, 0, 0, 0, 1, 1, 0], &mut Compressor::new(Codec::None, None)).unwrap()
    }

    fn bases(split: &Split) -> Vec<i64> {
        split.batches.iter().map(|batch| batch.header.base_offset).collect()
    }

    #[test]
    fn what_stands_before_a_damaged_batch_counts_and_what_follows_it_is_named() {
        let mut bytes: Vec<u8> = [3, 4, 5, 9].into_iter().flat_map(batch).collect();
        let size = batch(0).len();
        bytes[2 * size + 65] ^= 1;
        let (split, damage) = split_sound(&bytes.clone().into());
        assert_eq!(bases(&split), [3, 4]);
        let damage = damage.unwrap();
        assert!(matches!(damage.error, BatchError::Checksum { base_offset: 5, .. }), "{damage:?}");
        assert_eq!(damage.next_base, Some(9));
        // A length that leads nowhere names nothing.
        bytes[2 * size + 11] ^= 1;
        assert_eq!(split_sound(&bytes.clone().into()).1.unwrap().next_base, None);
        assert!(super::split(&bytes.into()).is_err());
    }

    #[test]
    fn the_last_batch_of_an_answer_has_nothing_behind_it() {
        let mut bytes: Vec<u8> = [3, 4].into_iter().flat_map(batch).collect();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let (split, damage) = split_sound(&bytes.into());
        assert_eq!((bases(&split), damage.unwrap().next_base), (vec![3], None));
    }

    #[test]
    fn offsets_that_go_back_end_what_is_trusted() {
        let bytes: Vec<u8> = [3, 9, 4].into_iter().flat_map(batch).collect();
        let (split, damage) = split_sound(&bytes.into());
        assert_eq!((bases(&split), damage), (vec![3], Some(Damage { error: ORDER, next_base: Some(4) })));
    }
}
