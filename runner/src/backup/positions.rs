//! How far each partition is, what moved since the last commit, and the totals of a run. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{Fork, Gap, Moves, PartitionState, TopicIdPartition, UNKNOWN_TARGET};
use contract::{Code, Failure, Report};
use uuid::Uuid;
use wire::FetchedPartition;

use crate::metrics::PartitionLag;

/// First offset, last stable offset and high watermark of a partition, as its leader tells them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogEnds {
    pub(crate) start: i64,
    pub(crate) stable: i64,
    pub(crate) end: i64,
}

impl LogEnds {
    pub(crate) fn of(part: &FetchedPartition) -> Self {
        Self { start: part.log_start_offset, stable: part.last_stable_offset, end: part.high_watermark }
    }
}

/// Totals of what a run moved.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Records taken in that consumers see: what the archive, its verification and a restore count, too.
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
    forks: Vec<Fork>,
    pub(crate) all_gaps: Vec<Gap>,
    pub(crate) all_forks: Vec<Fork>,
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
    ///
    /// # Errors
    /// A partition that nothing was planned for: its records would be stored and named nowhere.
    pub(crate) fn advance(
        &mut self,
        topic: Uuid,
        partition: i32,
        header: &batch::BatchHeader,
        committed: u64,
    ) -> Result<(), Failure> {
        let row = self.planned(topic, partition)?;
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
        Ok(())
    }

    fn planned(&mut self, topic: Uuid, partition: i32) -> Result<&mut PartitionState, Failure> {
        let stray = || Failure::new(Code::Internal, format!("partition {partition} of topic {topic} was not planned"));
        self.rows.get_mut(&(topic, partition)).ok_or_else(stray)
    }

    /// Takes in a gap.
    ///
    /// # Errors
    /// A partition that nothing was planned for.
    pub(crate) fn gap(&mut self, gap: Gap) -> Result<(), Failure> {
        let row = self.planned(gap.topic, gap.partition)?;
        row.next = gap.to;
        // The epoch before the gap says nothing about what follows it.
        row.epoch = -1;
        self.moved.insert((gap.topic, gap.partition));
        self.all_gaps.push(gap.clone());
        self.gaps.push(gap);
        Ok(())
    }

    /// Takes in a new timeline.
    pub(crate) fn fork(&mut self, fork: Fork) {
        self.moved.insert((fork.topic, fork.partition));
        self.all_forks.push(fork.clone());
        self.forks.push(fork);
    }

    /// Goes on behind offsets that the source has nothing for.
    pub(crate) fn skip(&mut self, key: TopicIdPartition, to: i64, epoch: i32) {
        if let Some(row) = self.rows.get_mut(&key).filter(|row| row.next < to) {
            (row.next, row.epoch) = (to, epoch);
            self.moved.insert(key);
        }
    }

    /// A run reads a partition up to this target. A target that lies ahead is saved with the next entry, so that another
    /// attempt of the run has the same.
    pub(crate) fn aim(&mut self, key: TopicIdPartition, target: i64) {
        if let Some(row) = self.rows.get_mut(&key) {
            row.target = target;
            if row.next < target {
                self.moved.insert(key);
            }
        }
    }

    /// Whether a partition is read as far as this run said.
    pub(crate) fn is_at_target(&self, key: TopicIdPartition) -> bool {
        self.rows.get(&key).is_some_and(|row| row.target != UNKNOWN_TARGET && row.next >= row.target)
    }

    /// What the source says of a partition now.
    pub(crate) fn mark(&mut self, key: TopicIdPartition, ends: LogEnds) {
        if let Some(row) = self.rows.get_mut(&key) {
            row.log_start = row.log_start.max(ends.start);
            (row.last_stable, row.high_watermark) = (ends.stable, ends.end);
        }
    }

    /// The row of a partition.
    pub(crate) fn row(&self, key: TopicIdPartition) -> Option<&PartitionState> {
        self.rows.get(&key)
    }

    /// Leader epoch of the last batch of each partition.
    pub(crate) fn epochs(&self) -> HashMap<TopicIdPartition, i32> {
        self.rows.iter().map(|(key, row)| (*key, row.epoch)).collect()
    }

    /// Offsets that the source has and the archive does not yet.
    pub(crate) fn lag(&self) -> u64 {
        self.rows.values().map(behind).sum()
    }

    /// Offsets that are left up to the run's targets.
    pub(crate) fn to_targets(&self) -> u64 {
        self.rows.values().map(|row| u64::try_from(row.target - row.next).unwrap_or(0)).sum()
    }

    /// The lag of each partition. `is_known`: whether the source tells now where a partition ends.
    pub(crate) fn lags(
        &self,
        name_of: impl Fn(Uuid) -> String,
        is_known: impl Fn(TopicIdPartition) -> bool,
    ) -> Vec<PartitionLag> {
        let lag = |(key, row): (&(Uuid, i32), &PartitionState)| PartitionLag {
            topic: name_of(key.0),
            partition: key.1,
            records: behind(row),
            is_known: is_known(*key),
            // The log start may be newer than our position, which is a gap then: no margin.
            margin: u64::try_from(row.next - row.log_start).unwrap_or(0),
        };
        self.rows.iter().map(lag).collect()
    }

    /// What the next log entry must say; the moved marks are taken back.
    pub(crate) fn take_moved(&mut self) -> Moves {
        let moved = std::mem::take(&mut self.moved);
        // Only partitions with a row are marked as moved.
        let rows = moved.iter().filter_map(|key| Some((key.0, self.rows.get(key)?.clone()))).collect();
        self.take_with(rows)
    }

    /// Every position, for a seal.
    pub(crate) fn take_all(&mut self) -> Moves {
        self.moved.clear();
        let rows = self.rows.iter().map(|(key, row)| (key.0, row.clone())).collect();
        self.take_with(rows)
    }

    fn take_with(&mut self, positions: Vec<(Uuid, PartitionState)>) -> Moves {
        let (gaps, forks) = (std::mem::take(&mut self.gaps), std::mem::take(&mut self.forks));
        Moves { positions, gaps, forks }
    }
}

/// A high watermark below our position is older than that position: nothing is left.
fn behind(row: &PartitionState) -> u64 {
    u64::try_from(row.high_watermark - row.next).unwrap_or(0)
}
