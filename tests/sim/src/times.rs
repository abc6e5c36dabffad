//! Offsets by time: what `ListOffsets` says for times, and for the newest time.

use batch::{Decompressor, PAYLOAD_LIMIT, RawBatch, RecordIter, payload};

use crate::log::{Batch, Log};

/// A record that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its offset.
    pub(crate) offset: i64,
    /// Its time, milliseconds since 1970.
    pub(crate) time: i64,
    /// The epoch of the leader that wrote it.
    pub(crate) epoch: i32,
}

/// Offset and time of each record of a batch, markers included.
fn records(batch: &Batch) -> Vec<Found> {
    let raw = RawBatch::parse(batch.bytes.clone()).expect("the model's batches are sound");
    let plain = payload(&raw, &mut Decompressor::default(), PAYLOAD_LIMIT).expect("they can be decompressed");
    let header = raw.header;
    let found = |record: batch::Record<'_>| Found {
        offset: header.base_offset + i64::from(record.offset_delta),
        time: if header.attributes.log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp + record.timestamp_delta
        },
        epoch: header.leader_epoch,
    };
    RecordIter::new(&header, &plain).map(|record| found(record.expect("its records can be read"))).collect()
}

impl Log {
    /// The first record whose time is not before this one.
    pub(crate) fn at_time(&self, time: i64) -> Option<Found> {
        let all = self.batches.iter().flat_map(records);
        all.into_iter().find(|found| found.offset >= self.start && found.time >= time)
    }

    /// The first record of the newest time.
    pub(crate) fn newest(&self) -> Option<Found> {
        let all = self.batches.iter().flat_map(records);
        all.reduce(|best, next| if next.time > best.time { next } else { best })
    }

    /// The leader epoch of the log's start, where it is known.
    pub(crate) fn first_epoch(&self) -> Option<i32> {
        self.epochs.first().filter(|(_, from)| *from <= self.start).map(|(epoch, _)| *epoch)
    }
}
