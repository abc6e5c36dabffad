//! The records of a batch, read as whoever restores them reads them: where one of them cannot be read, none is restored.

use std::ops::Range;

use batch::{
    BatchError, Decompressor, LARGEST_RECORD, Pieces, RawBatch, RecordPlace, RecordStream, Selected, Window, payload,
    places, select_records,
};
use contract::OnUnreadable;

/// Plain bytes that are looked at together.
const TOGETHER: usize = 4 << 20;

/// Calls `take` for each record of a batch in the window; a huge batch is read piece by piece.
///
/// # Errors
/// When any record of the batch cannot be read: then none of them was restored, whatever `take` saw before.
pub(crate) fn each_record(
    batch: &RawBatch,
    window: Window,
    decompressor: &mut Decompressor,
    take: &mut impl FnMut(&Selected<'_>),
) -> Result<(), BatchError> {
    match payload(batch, decompressor, TOGETHER) {
        Ok(plain) => {
            let mut records = Vec::new();
            select_records(&batch.header, &plain, window, &mut records)?;
            records.iter().for_each(take);
            Ok(())
        }
        Err(BatchError::TooLarge { .. }) => {
            let mut pieces = Pieces::new(batch, TOGETHER)?;
            loop {
                let piece = pieces.next_piece(|place| window.contains(place.timestamp))?;
                if piece.is_empty() {
                    return Ok(());
                }
                piece.iter().for_each(&mut *take);
            }
        }
        Err(error) => Err(error),
    }
}

/// Calls `take` with offset and timestamp of each record of a batch in the window and in a range of offsets. Records are read as
/// a stream: memory does not depend on their sizes.
///
/// # Errors
/// As [`each_record`]. A record that is larger than what is read is no such error where the whole batch is wanted: then it
/// was restored as it came.
pub(crate) fn each_place(
    batch: &RawBatch,
    (window, offsets): (Window, &Range<i64>),
    on_unreadable: OnUnreadable,
    decompressor: &mut Decompressor,
    mut take: impl FnMut(i64, i64),
) -> Result<(), BatchError> {
    let header = &batch.header;
    let is_wanted = |place: RecordPlace| window.contains(place.timestamp) && header.takes(place.offset, offsets);
    let is_whole = window.covers(header) && header.base_offset >= offsets.start && header.last_offset() < offsets.end;
    if is_whole || on_unreadable == OnUnreadable::Fail {
        let mut each = |place: RecordPlace| {
            if is_wanted(place) {
                take(place.offset, place.timestamp);
            }
        };
        return places(batch, decompressor, &mut each).map(drop);
    }
    // Part of a batch is encoded anew: a record that is too large for that left the batch out.
    let mut stream = RecordStream::new(batch)?;
    while let Some(place) = stream.advance()? {
        if !is_wanted(place) {
            continue;
        }
        if stream.rest() > LARGEST_RECORD as u64 {
            return Err(BatchError::TooLarge { limit: LARGEST_RECORD });
        }
        take(place.offset, place.timestamp);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use archive::ReadBatch;
    use batch::{BatchMeta, Codec, Compressor, Outgoing, encode_batch};

    use super::*;
    use crate::restore::transform::{Rules, transform};

    fn varint(out: &mut Vec<u8>, value: usize) {
        let mut rest = value << 1;
        while rest >= 0x80 {
            out.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    /// Two records, at the milliseconds 5 and 6: a small one, and one that is larger than what is read.
    fn batch() -> RawBatch {
        let mut plain = Vec::new();
        for (number, size) in [(0, 10), (1, LARGEST_RECORD + 1)] {
            let mut head = vec![0, 2 * number, 2 * number, 1];
            varint(&mut head, size);
            varint(&mut plain, head.len() + size + 1);
            plain.extend(head);
            plain.resize(plain.len() + size + 1, 0);
        }
        let meta =
            BatchMeta { base_offset: 0, base_timestamp: 5, max_timestamp: 6, producer: (-1, -1, -1), records: 2 };
        let bytes = encode_batch(&meta, &plain, &mut Compressor::new(Codec::Zstd, None)).unwrap();
        RawBatch::parse(bytes.into()).unwrap()
    }

    /// Those count that were restored, also beside one that is too large to be encoded anew.
    #[test]
    fn what_counts_as_restored_is_what_was_restored() {
        let batch = batch();
        let restored = |window: Window, from| {
            let rules = Rules {
                topic: "t".into(),
                windows: window.into(),
                headers: true,
                strip: false,
                source_cluster: None,
                limit: 1 << 20,
                max_records: 100,
                on_unreadable: OnUnreadable::Skip,
                notes: std::sync::Arc::default(),
                space: std::sync::Arc::default(),
            };
            let (topic, bytes) = (uuid::Uuid::nil(), batch.bytes.len());
            let share = ReadBatch { topic, partition: 0, batches: vec![batch.clone()], from, until: i64::MAX, bytes };
            let (made, _) = transform(&share, &rules, 0).unwrap();
            made.iter().map(Outgoing::records).sum::<i32>()
        };
        let counted = |window, from| {
            let mut counted = 0;
            let (wanted, mut decompressor) = ((window, &(from..i64::MAX)), Decompressor::default());
            let read = each_place(&batch, wanted, OnUnreadable::Skip, &mut decompressor, |_, _| counted += 1);
            if read.is_ok() { counted } else { 0 }
        };
        let windows = [Window::ALL, Window { start: 0, end: 5 }, Window { start: 6, end: 7 }];
        let cases = windows.into_iter().flat_map(|window| [(window, 0), (window, 1)]);
        let found: Vec<_> = cases.map(|(window, from)| (restored(window, from), counted(window, from))).collect();
        assert_eq!(found, [(2, 2), (0, 0), (1, 1), (0, 0), (0, 0), (0, 0)]);
    }
}
