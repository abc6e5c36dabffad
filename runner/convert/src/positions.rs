//! How far each partition of the new set is. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{ArchiveError, Gap, Moves, PartitionState, Seal, SetState, TopicIdPartition};
use batch::BatchHeader;
use uuid::Uuid;

use crate::request::internal;

/// Positions, and where they must end.
#[derive(Debug)]
pub(crate) struct Positions {
    rows: BTreeMap<TopicIdPartition, PartitionState>,
    /// What the archive holds of each, counted when it was read the first time.
    ends: BTreeMap<TopicIdPartition, PartitionState>,
    names: HashMap<Uuid, String>,
    moved: BTreeSet<TopicIdPartition>,
}

impl Positions {
    /// Those of a point that is about to be converted; what the set has already stays.
    pub(crate) fn new(seal: &Seal, known: &SetState) -> Result<Self, ArchiveError> {
        let mut out = Self {
            rows: BTreeMap::new(),
            ends: BTreeMap::new(),
            names: seal.topics.iter().map(|topic| (topic.id, topic.name.clone())).collect(),
            moved: BTreeSet::new(),
        };
        for end in &seal.partitions {
            let stray = || internal(format!("a partition names topic number {}", end.topic));
            let topic = seal.topics.get(end.topic as usize).ok_or_else(stray)?;
            let key = (topic.id, end.partition);
            let begin = || PartitionState {
                last_stable: end.last_stable,
                high_watermark: end.high_watermark,
                target: end.next,
                ..PartitionState::new(end.partition, end.first)
            };
            if !known.partitions.contains_key(&key) {
                out.moved.insert(key);
            }
            out.rows.insert(key, known.partitions.get(&key).cloned().unwrap_or_else(begin));
            out.ends.insert(key, end.clone());
        }
        Ok(out)
    }

    /// Where reading begins.
    pub(crate) fn starts(&self) -> HashMap<TopicIdPartition, i64> {
        self.rows.iter().map(|(key, row)| (*key, row.next)).collect()
    }

    /// Takes in a batch that goes to the set.
    pub(crate) fn take(&mut self, key: TopicIdPartition, header: &BatchHeader) -> Result<(), ArchiveError> {
        let place = self.place(key);
        let Some(row) = self.rows.get_mut(&key) else { return Err(internal(format!("{place} was not planned"))) };
        if header.base_offset < row.next {
            let (base, next) = (header.base_offset, row.next);
            return Err(internal(format!(
                "{place}: a batch at offset {base} came, and everything below {next} is stored"
            )));
        }
        row.next = header.next_offset();
        let size = header.size() as u64;
        row.bytes = row.bytes.saturating_add(size);
        row.committed = row.committed.saturating_add(header.records());
        row.largest_batch = row.largest_batch.max(size);
        row.max_timestamp = row.max_timestamp.max(header.max_timestamp);
        self.moved.insert(key);
        Ok(())
    }

    /// What the next entry must say.
    pub(crate) fn take_moved(&mut self) -> Moves {
        let moved = std::mem::take(&mut self.moved);
        let positions = moved.iter().filter_map(|key| Some((key.0, self.rows.get(key)?.clone()))).collect();
        Moves { positions, ..Moves::default() }
    }

    /// Records that are taken in.
    pub(crate) fn records(&self) -> u64 {
        self.rows.values().map(|row| row.committed).fold(0, u64::saturating_add)
    }

    /// Records of the archive.
    pub(crate) fn of(&self) -> u64 {
        self.ends.values().map(|row| row.committed).fold(0, u64::saturating_add)
    }

    /// Everything, for the seal: each partition ends where the archive does.
    ///
    /// # Errors
    /// When a partition has not what was counted.
    pub(crate) fn finish(mut self, gaps: Vec<Gap>) -> Result<Moves, ArchiveError> {
        for (key, end) in &self.ends {
            let place = self.place(*key);
            let Some(row) = self.rows.get_mut(key) else { return Err(internal(format!("{place} was not planned"))) };
            if (row.committed, row.bytes) != (end.committed, end.bytes) || row.next > end.next {
                return Err(internal(format!(
                    "{place}: {} records in {} bytes up to offset {} were written, and the archive has {} in {} up to {}",
                    row.committed, row.bytes, row.next, end.committed, end.bytes, end.next
                )));
            }
            (row.next, row.target) = (end.next, end.next);
        }
        let positions = self.rows.into_iter().map(|(key, row)| (key.0, row)).collect();
        Ok(Moves { positions, gaps, forks: Vec::new() })
    }

    fn place(&self, (topic, partition): TopicIdPartition) -> String {
        match self.names.get(&topic) {
            Some(name) => format!("{name}/{partition}"),
            None => format!("{topic}/{partition}"),
        }
    }
}
