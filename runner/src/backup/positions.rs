//! How far each partition is, what moved since the last commit, and the totals of a run. Pure.

use std::collections::{BTreeMap, BTreeSet};

use archive::{Gap, PartitionState};
use contract::Report;
use uuid::Uuid;

/// Totals of what a run moved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Records stored, markers and rolled-back ones included.
    pub(crate) records: u64,
    /// Batch bytes read.
    pub(crate) bytes: u64,
    /// Segments written.
    pub(crate) segments: u64,
    /// Bytes written.
    pub(crate) stored_bytes: u64,
}

impl Totals {
    pub(crate) fn fill(&self, report: &mut Report) {
        report.records = self.records;
        report.bytes = self.bytes;
        report.segments = self.segments;
        report.stored_bytes = self.stored_bytes;
    }
}

/// Positions of all partitions of a run.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    rows: BTreeMap<(Uuid, i32), PartitionState>,
    moved: BTreeSet<(Uuid, i32)>,
    gaps: Vec<Gap>,
    pub(crate) all_gaps: Vec<Gap>,
}

impl Positions {
    /// Where a partition starts; it counts as moved when the log does not have this position.
    pub(crate) fn start(&mut self, topic: Uuid, row: PartitionState, known: bool) {
        let key = (topic, row.partition);
        self.rows.insert(key, row);
        if !known {
            self.moved.insert(key);
        }
    }

    /// Takes in a batch that goes to the archive.
    pub(crate) fn advance(&mut self, topic: Uuid, partition: i32, header: &batch::BatchHeader, committed: u64) {
        let Some(row) = self.rows.get_mut(&(topic, partition)) else { return };
        row.next = header.next_offset();
        row.epoch = header.leader_epoch;
        let size = header.size() as u64;
        row.bytes += size;
        row.largest_batch = row.largest_batch.max(size);
        if committed > 0 {
            row.committed += committed;
            row.max_timestamp = row.max_timestamp.max(header.max_timestamp);
        }
        self.moved.insert((topic, partition));
    }

    /// Takes in a gap.
    pub(crate) fn gap(&mut self, gap: Gap) {
        if let Some(row) = self.rows.get_mut(&(gap.topic, gap.partition)) {
            row.next = gap.to;
        }
        self.moved.insert((gap.topic, gap.partition));
        self.all_gaps.push(gap.clone());
        self.gaps.push(gap);
    }

    /// What the next log entry must say; the moved marks are taken back.
    pub(crate) fn take_moved(&mut self) -> (Vec<(Uuid, PartitionState)>, Vec<Gap>) {
        let moved = std::mem::take(&mut self.moved);
        let rows = moved.iter().filter_map(|key| Some((key.0, self.rows.get(key)?.clone()))).collect();
        (rows, std::mem::take(&mut self.gaps))
    }

    /// Every position, for a seal.
    pub(crate) fn all(&self) -> Vec<(Uuid, PartitionState)> {
        self.rows.iter().map(|(key, row)| (key.0, row.clone())).collect()
    }

    /// Gaps that no log entry names yet.
    pub(crate) fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }
}
