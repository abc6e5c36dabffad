//! The log of one partition as its leader has it, and the truth about every record that ever stood in it.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::encode::{Head, Kind, NewRecord, batch, stamped};
use crate::producers::Producers;

/// What became of a record's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Consumers see it.
    Committed,
    /// Its transaction is open.
    Open(i64),
    /// It was rolled back.
    Aborted,
}

/// Why the log no longer has a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The cleaner removed it.
    Compacted,
    /// The log was cut, for the n-th time.
    Cut(usize),
}

/// One record that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The number that its value begins with.
    pub id: u64,
    /// What became of its transaction.
    pub fate: Fate,
    /// How often the log had been cut before.
    pub cuts_before: usize,
    /// Why it is no longer in the log; records below the log start are not marked.
    pub gone: Option<Gone>,
}

/// A batch of the log.
#[derive(Debug, Clone)]
pub struct Batch {
    /// First offset.
    pub base: i64,
    /// Last offset.
    pub last: i64,
    /// What it is.
    pub kind: Kind,
    /// Producer id, -1 for none.
    pub producer: i64,
    /// Its records.
    pub(crate) records: Vec<NewRecord>,
    /// The bytes that brokers serve.
    pub bytes: Bytes,
}

/// A transaction that was rolled back.
#[derive(Debug, Clone, Copy)]
pub struct Aborted {
    /// Its producer.
    pub producer: i64,
    /// Its first offset in this log.
    pub first: i64,
    /// Offset of its marker.
    pub marker: i64,
}

/// Offsets of a log at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// First offset.
    pub start: i64,
    /// Last stable offset.
    pub stable: i64,
    /// High watermark.
    pub end: i64,
    /// How often the log had been cut.
    pub cuts: usize,
}

/// The log of one partition.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Batches in offset order.
    pub batches: Vec<Batch>,
    /// First offset.
    pub start: i64,
    /// Next offset: high watermark and end of the log are one here.
    pub end: i64,
    /// Leader epochs and their first offsets.
    pub epochs: Vec<(i32, i64)>,
    /// Open transactions: producer and first offset.
    pub open: BTreeMap<i64, i64>,
    /// Transactions that were rolled back.
    pub aborted: Vec<Aborted>,
    /// Every record ever written, by offset; several where the log was cut.
    pub truth: BTreeMap<i64, Vec<Written>>,
    /// Where the log was cut, in order.
    pub cuts: Vec<i64>,
    /// As brokers before 4.0 keep it.
    pub is_old: bool,
    /// The topic has the broker's times (`message.timestamp.type`).
    pub stamps: bool,
    /// Idempotent producers.
    pub producers: Producers,
}

impl Log {
    /// A log that was compacted and then cut may end in offsets without a batch. What a broker answers there (no error, no
    /// batch, an end above the position) is what it answers where records are slow to come, too, so the run holds the
    /// partition back until something is written.
    pub fn ends_in_nothing(&self, from: i64) -> bool {
        let written = self.batches.last().map_or(self.start, |batch| batch.last + 1);
        !self.cuts.is_empty() && self.start <= from && written <= from && from < self.end
    }

    /// Last stable offset.
    pub fn stable(&self) -> i64 {
        let stable = self.open.values().copied().min().unwrap_or(self.end);
        if stable >= self.start {
            return stable;
        }
        // An administrator deleted the beginning of an open transaction. Since 4.0 the batch that the log's start lies in is
        // not stable as a whole.
        let first = self.batches.first().map_or(self.start, |batch| batch.base);
        if self.is_old { self.start } else { first.min(self.start) }
    }

    /// Offsets now.
    pub fn marks(&self) -> Marks {
        Marks { start: self.start, stable: self.stable(), end: self.end, cuts: self.cuts.len() }
    }

    /// A leader with this epoch begins here; an epoch in which nothing was written is forgotten.
    pub fn note_epoch(&mut self, epoch: i32) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.retain(|(_, start)| *start < self.end);
            self.epochs.push((epoch, self.end));
        }
    }

    /// Appends records; those of a transaction open it where it is not.
    pub fn append(&mut self, epoch: i32, producer: i64, records: &[(u64, usize)], transactional: bool, time_ms: i64) {
        self.note_epoch(epoch);
        let base = self.end;
        let fate = if transactional { Fate::Open(producer) } else { Fate::Committed };
        for (offset, (id, _)) in (base..).zip(records) {
            let written = Written { id: *id, fate, cuts_before: self.cuts.len(), gone: None };
            self.truth.entry(offset).or_default().push(written);
        }
        let kind = if transactional { Kind::Transactional } else { Kind::Plain };
        let producer = if transactional { producer } else { -1 };
        let records = (0..).zip(records).map(|(delta, (id, size))| NewRecord { delta, id: *id, size: *size });
        let records: Vec<_> = records.collect();
        let last_delta = records.len() as i32 - 1;
        let (producer_epoch, sequence) = if transactional { (0, 0) } else { (-1, -1) };
        let head = Head { base, last_delta, epoch, time_ms, producer, producer_epoch, sequence, kind };
        if transactional {
            self.open.entry(producer).or_insert(base);
            self.producers.note(producer, producer_epoch, (sequence, last_delta), base, time_ms);
        }
        let last = base + i64::from(last_delta);
        self.batches.push(Batch { base, last, kind, producer, bytes: batch(&head, &records), records });
        self.end = last + 1;
    }

    /// Ends a transaction here, if it has records here.
    pub fn marker(&mut self, epoch: i32, producer: i64, producer_epoch: i16, committed: bool, time_ms: i64) {
        self.note_epoch(epoch);
        self.producers.note_marker(producer, producer_epoch, time_ms);
        let base = self.end;
        if let Some(first) = self.open.remove(&producer)
            && !committed
        {
            self.aborted.push(Aborted { producer, first, marker: base });
        }
        let fate = if committed { Fate::Committed } else { Fate::Aborted };
        for written in self.truth.values_mut().flatten().filter(|w| w.fate == Fate::Open(producer)) {
            written.fate = fate;
        }
        let kind = Kind::Marker(committed);
        let head = Head { base, last_delta: 0, epoch, time_ms, producer, producer_epoch, sequence: -1, kind };
        let bytes = batch(&head, &[]);
        let bytes = if self.stamps { stamped(&bytes, time_ms, true) } else { bytes };
        self.batches.push(Batch { base, last: base, kind, producer, bytes, records: Vec::new() });
        self.end = base + 1;
    }

    /// Retention by time: deletes the first batches, as long as all their records are older.
    pub(crate) fn trim_older(&mut self, than_ms: i64) {
        let newest =
            |batch: &Batch| batch::BatchHeader::parse(&batch.bytes).map_or(i64::MAX, |head| head.max_timestamp);
        let kept = self.batches.iter().find(|batch| newest(batch) >= than_ms).map_or(self.end, |batch| batch.base);
        self.trim(kept);
    }

    /// Retention: deletes everything below an offset, but nothing of an open transaction.
    pub fn trim(&mut self, to: i64) {
        self.delete_before(to.min(self.stable()));
    }

    /// Deletes everything below an offset; batches that lie across it stay whole.
    pub fn delete_before(&mut self, to: i64) {
        self.start = to.clamp(self.start, self.end);
        self.batches.retain(|batch| batch.last >= self.start);
        let kept = self.epochs.iter().rposition(|(_, start)| *start <= self.start).unwrap_or(0);
        self.epochs.drain(..kept);
        if let Some((_, first)) = self.epochs.first_mut() {
            *first = (*first).max(self.start);
        }
    }

    /// An unclean election: the new leader lacks everything from this offset on, or from the end of the newest
    /// transaction on, whichever is later. Returns where the log was cut. Whoever cuts a log elects a leader, whose
    /// epoch begins there.
    pub fn cut(&mut self, wanted: i64) -> i64 {
        let plain_from = self.batches.iter().rposition(|batch| batch.kind != Kind::Plain).map_or(0, |last| last + 1);
        let wanted = wanted.max(self.start);
        let at = self.batches.iter().skip(plain_from).map(|batch| batch.base).find(|base| *base >= wanted);
        let Some(at) = at else { return self.end };
        let number = self.cuts.len();
        self.cuts.push(at);
        for written in self.truth.range_mut(at..).flat_map(|(_, written)| written) {
            written.gone.get_or_insert(Gone::Cut(number));
        }
        self.batches.retain(|batch| batch.base < at);
        self.epochs.retain(|(_, start)| *start < at);
        self.end = at;
        at
    }

    /// The cleaner: of each batch of data below `below` only the records stay that `keep` wants; a batch without any
    /// is removed, or kept empty where `keep_empty` says so.
    pub fn compact(&mut self, below: i64, mut keep: impl FnMut() -> bool, mut keep_empty: impl FnMut() -> bool) {
        // The newest batch lies in the active segment, which the cleaner never touches.
        let newest = self.batches.last().map_or(0, |batch| batch.base);
        let below = below.min(self.stable()).min(newest);
        let mut batches = Vec::new();
        for mut old in std::mem::take(&mut self.batches) {
            if old.last >= below || matches!(old.kind, Kind::Marker(_)) {
                batches.push(old);
                continue;
            }
            let (kept, gone): (Vec<_>, Vec<_>) = old.records.iter().copied().partition(|_| keep());
            for record in &gone {
                let offset = old.base + i64::from(record.delta);
                for written in self.truth.get_mut(&offset).into_iter().flatten() {
                    written.gone.get_or_insert(Gone::Compacted);
                }
            }
            if kept.is_empty() && !keep_empty() {
                continue;
            }
            if !gone.is_empty() {
                let header = batch::BatchHeader::parse(&old.bytes).unwrap();
                let head = Head {
                    base: old.base,
                    last_delta: (old.last - old.base) as i32,
                    epoch: header.leader_epoch,
                    time_ms: header.max_timestamp,
                    producer: old.producer,
                    producer_epoch: header.producer_epoch,
                    sequence: header.base_sequence,
                    kind: old.kind,
                };
                old.bytes = batch(&head, &kept);
                old.records = kept;
            }
            batches.push(old);
        }
        self.batches = batches;
    }

    /// The bytes from an offset on that a consumer gets, and transactions that were rolled back: those among the bytes,
    /// and, as brokers do, others behind them.
    pub fn read(&self, offset: i64, committed_only: bool, limit: usize, at_least_one: bool) -> (Bytes, Vec<Aborted>) {
        let upper = if committed_only { self.stable() } else { self.end };
        if offset >= upper {
            return (Bytes::new(), Vec::new());
        }
        let from = self.batches.partition_point(|batch| batch.last < offset);
        let mut out = BytesMut::new();
        for batch in self.batches.iter().skip(from).take_while(|batch| batch.base < upper) {
            let fits = out.len() + batch.bytes.len() <= limit;
            if fits || (out.is_empty() && at_least_one) {
                out.extend_from_slice(&batch.bytes);
            } else {
                // A slice of the file: the last batch may be cut off, but never the first one.
                if !out.is_empty() {
                    let rest = limit.saturating_sub(out.len());
                    out.extend_from_slice(&batch.bytes[..rest.min(batch.bytes.len())]);
                }
                break;
            }
        }
        let overlaps = |aborted: &&Aborted| aborted.marker >= offset && aborted.first < upper;
        let aborted = if committed_only { self.aborted.iter().filter(overlaps).copied().collect() } else { Vec::new() };
        (out.freeze(), aborted)
    }

    /// Where a leader epoch ended: the largest epoch that is not newer, and its end (KIP-101).
    pub fn epoch_end(&self, wanted: i32) -> Option<(i32, i64)> {
        if wanted == -1 {
            // What stands for no epoch.
            return None;
        }
        let (latest, _) = *self.epochs.last()?;
        if wanted == latest {
            return Some((wanted, self.end));
        }
        let (_, higher) = *self.epochs.iter().find(|(epoch, _)| *epoch > wanted)?;
        let floor = self.epochs.iter().rev().find(|(epoch, _)| *epoch <= wanted);
        Some((floor.map_or(wanted, |(epoch, _)| *epoch), higher))
    }
}
