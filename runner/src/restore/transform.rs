//! Archived batches become batches for the target: copied where nothing changes, else re-encoded. Pure CPU.
//!
//! Memory follows plain size, not stored size: neighbours are merged only while their records are few bytes, and what
//! unpacks to much is read piece by piece, one at a time ([`Space`]).

mod notes;
mod space;

mod deal;
mod group;

use std::ops::Range;
use std::sync::Arc;

use archive::ReadBatch;
use batch::{
    BatchError, Codec, Deltas, HeaderChanges, OffsetHeaders, Outgoing, RawBatch, RecordPlace, Window, can_copy,
};
use contract::{Code, Failure, OnUnreadable};

use self::group::ShareWork;
use super::windows::Windows;

pub(crate) use self::deal::{Dealt, deal};
pub(crate) use self::notes::{Note, Notes};
pub(crate) use self::space::Space;

/// How batches are changed.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Source topic, for messages.
    pub(crate) topic: String,
    pub(crate) windows: Windows,
    /// Append offset headers.
    pub(crate) headers: bool,
    /// Leave out those that an earlier restore appended.
    pub(crate) strip: bool,
    /// Value of `x-source-cluster`.
    pub(crate) source_cluster: Option<String>,
    /// Most bytes of a batch.
    pub(crate) limit: usize,
    /// Most records of a batch that is not copied.
    pub(crate) max_records: usize,
    /// What happens to a batch that cannot be read.
    pub(crate) on_unreadable: OnUnreadable,
    pub(crate) notes: Arc<Notes>,
    pub(crate) space: Arc<Space>,
}

/// Transforms the batches of one share, leaving out the first `skip` records that would come out. Returns the batches
/// and how many records were left out.
///
/// # Errors
/// When a batch cannot be read and the specification does not say to leave it out, or when a single record exceeds the
/// limit.
pub(crate) fn transform(share: &ReadBatch, rules: &Rules, skip: u64) -> Result<(Vec<Outgoing>, u64), Failure> {
    let mut work = ShareWork::new(share, rules, skip);
    let window = rules.windows.of((share.topic, share.partition));
    for batch in share.batches.iter().filter(|batch| !window.misses(&batch.header)) {
        work.add(batch)?;
    }
    work.finish()
}

impl Rules {
    /// What becomes of the headers of records.
    fn header_changes(&self) -> HeaderChanges<'_> {
        let append = self.headers.then_some(OffsetHeaders { source_cluster: self.source_cluster.as_deref() });
        HeaderChanges { strip: self.strip, append }
    }

    /// A batch that cannot be read: left out and noted, or the end of the restore.
    fn unreadable(&self, partition: i32, batch: &RawBatch, error: &BatchError) -> Result<(), Failure> {
        let (offset, records) = (batch.header.base_offset, batch.header.records());
        match self.on_unreadable {
            OnUnreadable::Skip => {
                self.note(partition, batch, Note::Unreadable { records, reason: error.to_string() });
                Ok(())
            }
            OnUnreadable::Fail => {
                let text = format!(
                    "{}/{partition}: the batch at source offset {offset} cannot be read: {error}; to restore everything \
                     else, set restore.onUnreadable: skip, which leaves its {records} records out and names them",
                    self.topic
                );
                Err(Failure::new(Code::ArchiveDamaged, text))
            }
        }
    }

    /// The records from this batch on cannot be made into a batch that the target takes.
    fn not_encoded(&self, partition: i32, batch: &RawBatch, error: &BatchError) -> Failure {
        let text = format!("{}/{partition} from source offset {}: {error}", self.topic, batch.header.base_offset);
        match error {
            BatchError::RecordTooLarge { .. } => {
                Failure::new(Code::BatchTooLarge, format!("{text}; raise max.message.bytes of the target topic"))
            }
            // The archive's own batches were read before: nothing else may fail.
            _ => Failure::new(Code::Internal, text),
        }
    }

    fn note(&self, partition: i32, batch: &RawBatch, note: Note) {
        self.notes.add((self.topic.clone(), partition, batch.header.base_offset), note);
    }

    fn note_deltas(&self, partition: i32, batch: &RawBatch, deltas: Deltas) {
        if deltas == Deltas::Odd {
            self.note(partition, batch, Note::Odd);
        }
    }
}

/// Whether a record counts: its time, and its place in the range of offsets that the archive has of this batch.
fn takes(batch: &RawBatch, place: RecordPlace, (window, offsets): (Window, &Range<i64>)) -> bool {
    window.contains(place.timestamp) && batch.header.takes(place.offset, offsets)
}

/// Whether every record of a batch counts in a range of offsets.
fn lies_inside(batch: &RawBatch, offsets: &Range<i64>) -> bool {
    batch.header.base_offset >= offsets.start && batch.header.last_offset() < offsets.end
}

/// The codec of a batch that was decompressed.
fn codec_of(batch: &RawBatch) -> Result<Codec, Failure> {
    let unknown = || Failure::new(Code::Internal, "a batch with an unknown codec was decompressed");
    batch.header.attributes.codec().ok_or_else(unknown)
}

/// Whether a batch can go out as it is, as far as its bytes are concerned.
fn is_plain_copy(batch: &RawBatch) -> Result<bool, BatchError> {
    Ok(can_copy(&batch.header) && batch::deltas(batch)? == Deltas::Ascending)
}

#[cfg(test)]
mod tests;
