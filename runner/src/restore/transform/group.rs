//! The way of one source partition into one target partition: batch by batch, small neighbours together.

use std::ops::Range;

use archive::ReadBatch;
use batch::{
    BatchError, Codec, Compressor, Decompressor, Outgoing, Pieces, RawBatch, RecordIter, Selected, Window,
    encode_selected, is_tracking, select_records,
};
use bytes::Bytes;
use contract::Failure;

use super::notes::{Note, is_dense, largest_record};
use super::space::SMALL;
use super::{Rules, codec_of, is_plain_copy, lies_inside, takes};

/// Batches smaller than this, as stored, are merged with their neighbours.
const MERGE_BELOW: usize = 64 << 10;
/// Plain bytes of what is merged.
const MERGED: usize = 1 << 20;

/// A batch with its records, which may be copied or not.
struct Part<'a> {
    batch: &'a RawBatch,
    plain: Bytes,
    unchanged: bool,
}

/// How work on a batch that is read piece by piece ended.
enum Ended {
    /// With its last piece.
    Whole,
    /// It cannot be read.
    Unreadable(BatchError),
    /// At a record that does not fit into a batch of the target.
    TooLarge(BatchError),
    /// It unpacks to too much to be encoded anew, and may go out as it came.
    Dense,
}

/// What is done to one share.
pub(super) struct ShareWork<'a> {
    rules: &'a Rules,
    partition: i32,
    window: Window,
    offsets: Range<i64>,
    /// Records that are still to be left out at the beginning.
    left: u64,
    skip: u64,
    decompressor: Decompressor,
    compressor: Compressor,
    group: Vec<Part<'a>>,
    out: Vec<Outgoing>,
}

impl<'a> ShareWork<'a> {
    pub(super) fn new(share: &ReadBatch, rules: &'a Rules, skip: u64) -> Self {
        Self {
            rules,
            partition: share.partition,
            window: rules.windows.of((share.topic, share.partition)),
            offsets: share.from..share.until,
            left: skip,
            skip,
            decompressor: Decompressor::default(),
            compressor: Compressor::new(Codec::None, None),
            group: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Takes the next batch.
    pub(super) fn add(&mut self, batch: &'a RawBatch) -> Result<(), Failure> {
        let unchanged = match self.unchanged(batch) {
            Ok(unchanged) => unchanged,
            Err(error) => return self.unreadable(batch, &error),
        };
        let fits = batch.bytes.len() <= self.rules.limit;
        let is_large = batch.bytes.len() >= MERGE_BELOW;
        let strip = self.rules.strip;
        if unchanged && fits && is_large && !strip {
            return self.copy(batch);
        }
        let plain = match batch::payload(batch, &mut self.decompressor, MERGED) {
            Ok(plain) => plain,
            Err(BatchError::TooLarge { .. }) if unchanged && fits && !strip => return self.copy(batch),
            Err(BatchError::TooLarge { .. }) => return self.alone(batch),
            Err(error) => return self.unreadable(batch, &error),
        };
        // What has nothing to be left out goes out as it came.
        let unchanged = unchanged && !(strip && has_tracking(batch, &plain));
        if unchanged && fits && is_large {
            return self.copy(batch);
        }
        let merged: usize = self.group.iter().map(|part| part.plain.len()).sum();
        let codec = |batch: &RawBatch| batch.header.attributes.codec();
        let other_codec = self.group.last().is_some_and(|last| codec(last.batch) != codec(batch));
        if other_codec || merged + plain.len() > MERGED.min(self.rules.limit) {
            self.flush()?;
        }
        self.group.push(Part { batch, plain, unchanged: unchanged && fits });
        Ok(())
    }

    /// The batches, and the records that were left out at the beginning.
    pub(super) fn finish(mut self) -> Result<(Vec<Outgoing>, u64), Failure> {
        self.flush()?;
        Ok((self.out, self.skip - self.left))
    }

    /// Whether every record of the batch goes out as it is.
    fn unchanged(&self, batch: &RawBatch) -> Result<bool, BatchError> {
        Ok(!self.rules.headers && self.all_wanted(batch) && is_plain_copy(batch)?)
    }

    /// Whether the whole batch may go out as it came, but for offset headers.
    fn goes_as_it_came(&self, batch: &RawBatch) -> Result<bool, BatchError> {
        Ok(self.all_wanted(batch) && batch.bytes.len() <= self.rules.limit && is_plain_copy(batch)?)
    }

    fn all_wanted(&self, batch: &RawBatch) -> bool {
        self.left == 0 && lies_inside(batch, &self.offsets) && self.window.covers(&batch.header)
    }

    fn copy(&mut self, batch: &RawBatch) -> Result<(), Failure> {
        self.flush()?;
        self.out.push(Outgoing::new(batch));
        Ok(())
    }

    /// Re-encodes a batch that unpacks to more than is merged: as a whole, or piece by piece where it is huge.
    fn alone(&mut self, batch: &RawBatch) -> Result<(), Failure> {
        self.flush()?;
        match batch::payload(batch, &mut self.decompressor, SMALL) {
            Ok(plain) => self.encode(&[Part { batch, plain, unchanged: false }]),
            Err(BatchError::TooLarge { .. }) => self.in_pieces(batch),
            Err(error) => self.unreadable(batch, &error),
        }
    }

    /// Re-encodes a huge batch. Where that ends before the last piece, nothing of it was taken.
    fn in_pieces(&mut self, batch: &RawBatch) -> Result<(), Failure> {
        let rules = self.rules;
        let _turn = rules.space.turn();
        let (made, left) = (self.out.len(), self.left);
        let ended = self.piece_by_piece(batch)?;
        if !matches!(ended, Ended::Whole) {
            self.out.truncate(made);
            self.left = left;
        }
        match ended {
            Ended::Whole => Ok(()),
            Ended::Unreadable(error) => self.unreadable(batch, &error),
            Ended::TooLarge(error) => self.as_it_came(batch, &error),
            Ended::Dense => {
                rules.note(self.partition, batch, Note::Dense);
                self.out.push(Outgoing::new(batch));
                Ok(())
            }
        }
    }

    fn piece_by_piece(&mut self, batch: &RawBatch) -> Result<Ended, Failure> {
        let (rules, window, offsets, codec) = (self.rules, self.window, self.offsets.clone(), codec_of(batch)?);
        let begun =
            self.goes_as_it_came(batch).and_then(|goes| Ok((goes, Pieces::new(batch, MERGED.min(rules.limit))?)));
        let (goes, mut pieces) = match begun {
            Ok((true, pieces)) => (true, pieces.records_up_to(largest_record(batch.bytes.len()))),
            Ok(begun) => begun,
            Err(error) => return Ok(Ended::Unreadable(error)),
        };
        loop {
            let piece = match pieces.next_piece(|place| takes(batch, place, (window, &offsets))) {
                Ok(piece) => piece,
                Err(BatchError::TooLarge { .. }) if goes => return Ok(Ended::Dense),
                Err(error) => return Ok(Ended::Unreadable(error)),
            };
            if piece.is_empty() {
                rules.note_deltas(self.partition, batch, pieces.deltas());
                return Ok(Ended::Whole);
            }
            match self.encode_records(&piece, codec) {
                Ok(()) => {}
                Err(error @ BatchError::RecordTooLarge { .. }) => return Ok(Ended::TooLarge(error)),
                Err(error) => return Err(rules.not_encoded(self.partition, batch, &error)),
            }
            if goes && is_dense(batch.bytes.len(), pieces.unpacked()) {
                return Ok(Ended::Dense);
            }
        }
    }

    /// Encodes the batches of the group together; one that stands alone and needs no change is copied.
    fn flush(&mut self) -> Result<(), Failure> {
        let group = std::mem::take(&mut self.group);
        match group.as_slice() {
            [] => Ok(()),
            [Part { batch, unchanged: true, .. }] => {
                self.out.push(Outgoing::new(batch));
                Ok(())
            }
            parts => self.encode(parts),
        }
    }

    fn encode(&mut self, parts: &[Part<'_>]) -> Result<(), Failure> {
        let mut selected: Vec<Selected<'_>> = Vec::new();
        for part in parts {
            self.select(part, &mut selected)?;
        }
        let Some(first) = parts.first() else { return Ok(()) };
        match self.encode_records(&selected, codec_of(first.batch)?) {
            Ok(()) => Ok(()),
            Err(error @ BatchError::RecordTooLarge { .. }) => match parts {
                [part] => self.as_it_came(part.batch, &error),
                // Which of them it was shows when each is encoded alone.
                parts => parts.iter().try_for_each(|part| self.encode(std::slice::from_ref(part))),
            },
            Err(error) => Err(self.rules.not_encoded(self.partition, first.batch, &error)),
        }
    }

    /// Encodes records, without those that are still to be left out.
    fn encode_records(&mut self, records: &[Selected<'_>], codec: Codec) -> Result<(), BatchError> {
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(records.len());
        let wanted = records.get(skipped..).unwrap_or_default();
        if self.compressor.codec() != codec {
            self.compressor = Compressor::new(codec, None);
        }
        let rules = self.rules;
        let made =
            encode_selected(wanted, rules.header_changes(), rules.limit, rules.max_records, &mut self.compressor)?;
        self.left -= skipped as u64;
        self.out.extend(made);
        Ok(())
    }

    /// The records of a batch that are wanted, in the order in which consumers see them.
    fn select<'p>(&self, part: &'p Part<'_>, selected: &mut Vec<Selected<'p>>) -> Result<(), Failure> {
        let (rules, header, before) = (self.rules, &part.batch.header, selected.len());
        match select_records(header, &part.plain, self.window, selected) {
            Ok(deltas) => rules.note_deltas(self.partition, part.batch, deltas),
            Err(error) => {
                selected.truncate(before);
                return rules.unreadable(self.partition, part.batch, &error);
            }
        }
        if !lies_inside(part.batch, &self.offsets) {
            let inside = selected.split_off(before).into_iter().filter(|r| header.takes(r.offset, &self.offsets));
            selected.extend(inside);
        }
        Ok(())
    }

    /// A batch that no codec makes small enough once offset headers are added: the target took it as it is, or would.
    fn as_it_came(&mut self, batch: &RawBatch, error: &BatchError) -> Result<(), Failure> {
        let rules = self.rules;
        let copyable = match self.goes_as_it_came(batch) {
            Ok(copyable) => copyable,
            Err(error) => return self.unreadable(batch, &error),
        };
        if !copyable {
            return Err(rules.not_encoded(self.partition, batch, error));
        }
        if rules.strip {
            rules.note(self.partition, batch, Note::AsItCame);
        } else if rules.headers {
            rules.note(self.partition, batch, Note::WithoutHeaders);
        }
        self.out.push(Outgoing::new(batch));
        Ok(())
    }

    fn unreadable(&self, batch: &RawBatch, error: &BatchError) -> Result<(), Failure> {
        self.rules.unreadable(self.partition, batch, error)
    }
}

/// Whether a record of a batch has a header of an earlier restore, or cannot be read, which whoever encodes it tells.
fn has_tracking(batch: &RawBatch, plain: &[u8]) -> bool {
    let mut records = RecordIter::new(&batch.header, plain);
    records.any(|record| record.map_or(true, |record| record.headers().any(|header| is_tracking(&header))))
}
