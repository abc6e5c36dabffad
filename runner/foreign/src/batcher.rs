//! Records of a segment as batches of Kafka, and what was done with each that does not go there.
//!
//! Which records stand together depends on the segment and the offsets that are taken of it alone: a batch that was counted is
//! the one that is read later.

use std::ops::ControlFlow;

use archive::ArchiveError;
use archive::segment::ShareRow;
use batch::{BatchMeta, Codec, Compressor, Header, RawBatch, RecordParts, RecordSink};
use bytes::Bytes;

use crate::object::Sink;
use crate::record::{Marker, Record};

/// Bytes after which a batch is full.
const BYTES: usize = 1 << 20;
/// Records after which it is.
const RECORDS: u64 = 10_000;
/// Ranges of offsets that are named; more are only counted.
const NAMED: usize = 1_000;

/// What is done with the records of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Offsets that are taken, both ends included.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Whether the headers go that the backup added.
    pub(crate) strip: bool,
    /// Whether markers go.
    pub(crate) drop_markers: bool,
}

/// Offsets that were met, ascending, as ranges with both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) count: u64,
    pub(crate) ranges: Vec<(i64, i64)>,
}

impl Offsets {
    fn note(&mut self, offset: i64) {
        self.count += 1;
        let is_room = self.ranges.len() < NAMED;
        match self.ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(offset) => *last = offset,
            _ if is_room => self.ranges.push((offset, offset)),
            _ => {}
        }
    }

    /// In words: the ranges, and how many more there are.
    pub(crate) fn words(&self) -> String {
        let shown: Vec<String> = self
            .ranges
            .iter()
            .take(8)
            .map(|(from, to)| if from == to { from.to_string() } else { format!("{from} to {to}") })
            .collect();
        let more = if self.ranges.len() > shown.len() { ", and more" } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}

/// What was met in the records of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Records that were taken.
    pub(crate) taken: u64,
    /// Records with headers that the backup added, which were left out.
    pub(crate) stripped: u64,
    /// Markers that were left out.
    pub(crate) dropped: Offsets,
    /// Records that look like markers and were kept.
    pub(crate) kept: Offsets,
    /// Of both, those that say that a transaction was rolled back.
    pub(crate) aborts: Offsets,
    /// Records with headers of their own.
    pub(crate) with_headers: Offsets,
    /// Records whose offset is not behind the one before: they were left out.
    pub(crate) repeated: Offsets,
    /// Records whose offset the segment does not answer for: another one has them.
    pub(crate) elsewhere: u64,
}

/// Where batches go.
pub(crate) trait Out: Send + 'static {
    /// Whether the batch with these facts is wanted.
    fn wants(&mut self, share: &ShareRow) -> bool;

    /// Takes it.
    fn send(&mut self, batch: RawBatch) -> ControlFlow<()>;
}

/// Makes batches of what it takes.
pub(crate) struct Batcher<O> {
    rule: Rule,
    pub(crate) out: O,
    pub(crate) met: Met,
    group: Option<Group>,
    last: Option<i64>,
    pub(crate) failed: Option<ArchiveError>,
    place: (i32, u32),
}

struct Group {
    sink: RecordSink,
    first: (i64, i64),
    last: i64,
    records: u64,
    newest: i64,
    oldest: i64,
}

impl<O: Out> Batcher<O> {
    pub(crate) fn new(rule: Rule, partition: i32, out: O) -> Self {
        let met = Met::default();
        Self { rule, out, met, group: None, last: None, failed: None, place: (partition, 0) }
    }

    /// Sends what is left.
    pub(crate) fn finish(&mut self) -> ControlFlow<()> {
        match self.group.take() {
            Some(group) => self.close(group),
            None => ControlFlow::Continue(()),
        }
    }

    /// Whether the record goes into a batch.
    fn takes(&mut self, record: &Record<'_>) -> bool {
        let met = &mut self.met;
        if !(self.rule.from..=self.rule.to).contains(&record.offset) {
            met.elsewhere += 1;
            return false;
        }
        if self.last.is_some_and(|last| record.offset <= last) {
            met.repeated.note(record.offset);
            return false;
        }
        self.last = Some(record.offset);
        if let Some(marker) = record.marker() {
            if marker == Marker::Abort {
                met.aborts.note(record.offset);
            }
            if self.rule.drop_markers {
                met.dropped.note(record.offset);
                return false;
            }
            met.kept.note(record.offset);
        }
        true
    }

    fn close(&mut self, group: Group) -> ControlFlow<()> {
        let Group { sink, first: (base_offset, base_timestamp), last, records, newest, oldest } = group;
        let (partition, number) = self.place;
        self.place.1 = number.saturating_add(1);
        let share = ShareRow {
            topic: 0,
            partition,
            timeline: 0,
            block: number,
            at: 0,
            length: sink.size() as u64,
            first: base_offset,
            next: last + 1,
            epoch: -1,
            records,
            committed: records,
            max_timestamp: newest,
            min_timestamp: oldest,
            min_exact: true,
        };
        if !self.out.wants(&share) {
            return ControlFlow::Continue(());
        }
        let meta = BatchMeta {
            base_offset,
            base_timestamp,
            max_timestamp: newest,
            producer: (-1, -1, -1),
            records: i32::try_from(records).unwrap_or(i32::MAX),
        };
        // Offsets between may have no record: a consumer that goes by the header would meet the rest a second time.
        let delta = i32::try_from(last - base_offset).unwrap_or(i32::MAX);
        let made = sink.finish_up_to(&meta, delta, &mut Compressor::new(Codec::None, None));
        match made.and_then(|bytes| RawBatch::parse(Bytes::from(bytes))) {
            Ok(batch) => self.out.send(batch),
            Err(source) => {
                self.failed = Some(ArchiveError::Batch { key: format!("batch at offset {base_offset}"), source });
                ControlFlow::Break(())
            }
        }
    }
}

impl<O: Out> Sink for Batcher<O> {
    fn take(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        if !self.takes(record) {
            return ControlFlow::Continue(());
        }
        let added = record.added_headers();
        let own = record.headers.len() - added;
        self.met.taken += 1;
        if own > 0 {
            self.met.with_headers.note(record.offset);
        }
        let headers: &[Header<'_>] = if self.rule.strip {
            self.met.stripped += u64::from(added > 0);
            record.headers.get(..own).unwrap_or_default()
        } else {
            &record.headers
        };
        let parts = RecordParts { key: record.key, value: record.value, headers };
        // A delta of offsets is an i32, and one of times must be a number.
        let fits = |group: &Group| {
            let offset = i32::try_from(record.offset - group.first.0).ok()?;
            let time = record.timestamp.checked_sub(group.first.1)?;
            (group.sink.size() < BYTES && group.records < RECORDS).then_some((time, offset))
        };
        let fitting = self.group.as_ref().and_then(fits);
        if fitting.is_none()
            && let Some(group) = self.group.take()
            && self.close(group).is_break()
        {
            return ControlFlow::Break(());
        }
        let (time, offset) = fitting.unwrap_or((0, 0));
        let group = self.group.get_or_insert_with(|| Group {
            sink: RecordSink::with_capacity(64 << 10),
            first: (record.offset, record.timestamp),
            last: record.offset,
            records: 0,
            newest: record.timestamp,
            oldest: record.timestamp,
        });
        group.sink.push_parts(&parts, time, offset);
        group.last = record.offset;
        group.records += 1;
        group.newest = group.newest.max(record.timestamp);
        group.oldest = group.oldest.min(record.timestamp);
        ControlFlow::Continue(())
    }
}
