//! The records of a batch, read as whoever restores them reads them: where one of them cannot be read, none is restored.

use batch::{
    BatchError, Decompressor, LARGEST_RECORD, PAYLOAD_LIMIT, Pieces, RawBatch, Selected, Window, payload, places,
    select_records,
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
    each_record_up_to(LARGEST_RECORD, batch, window, decompressor, take)
}

fn each_record_up_to(
    largest: usize,
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
            let mut pieces = Pieces::new(batch, TOGETHER)?.records_up_to(largest);
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

/// Calls `take` with offset and timestamp of each record of a batch in the window.
///
/// # Errors
/// As [`each_record`].
pub(crate) fn each_place(
    batch: &RawBatch,
    window: Window,
    on_unreadable: OnUnreadable,
    decompressor: &mut Decompressor,
    mut take: impl FnMut(i64, i64),
) -> Result<(), BatchError> {
    if on_unreadable == OnUnreadable::Skip {
        // Records may be left out: each is read as whoever restored them read them. A batch with a larger one went out as it came.
        let mut take = |record: &Selected<'_>| take(record.offset, record.timestamp);
        return each_record_up_to(PAYLOAD_LIMIT, batch, window, decompressor, &mut take);
    }
    // Else none was left out, and the lengths of records say enough.
    let found = places(batch, decompressor, |place| {
        if window.contains(place.timestamp) {
            take(place.offset, place.timestamp);
        }
    });
    found.map(drop)
}
