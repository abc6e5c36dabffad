//! The state of a set: which topics it knows and how far each partition is archived. Rebuilt from the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Entry;
use crate::columns::columns;

/// The target of a partition of which no run said where it was to read to: seals of release 0.1 have none.
pub const UNKNOWN_TARGET: i64 = -1;

columns! {
    /// How far one partition is archived, and what the source said of it.
    pub struct PartitionState as PartitionStateColumns {
        /// Position in the topics of the document.
        topic: u32 = "topic",
        /// Partition.
        partition: i32 = "partition",
        /// Timeline.
        timeline: u32 = "timeline",
        /// First archived offset.
        first: i64 = "first",
        /// Next offset to read.
        next: i64 = "next",
        /// Leader epoch of the last archived batch, or of the batch behind `next` when the source has nothing between;
        /// -1 for none.
        epoch: i32 = "epoch",
        /// First offset that the source had.
        log_start: i64 = "logStart",
        /// Last stable offset of the source.
        last_stable: i64 = "lastStable",
        /// High watermark of the source.
        high_watermark: i64 = "highWatermark",
        /// Records of committed data archived so far.
        committed: u64 = "committed",
        /// Decompressed bytes archived so far.
        bytes: u64 = "bytes",
        /// Largest timestamp of committed records, 0 when there are none.
        max_timestamp: i64 = "maxTimestamp",
        /// Size of the largest batch.
        largest_batch: u64 = "largestBatch",
        /// Where the run that moved it was to read to; [`UNKNOWN_TARGET`] when no run said so.
        target: i64 = "target" or UNKNOWN_TARGET,
    }
}

impl PartitionState {
    /// A partition of which nothing is archived yet: reading begins at `start`.
    #[must_use]
    pub fn new(partition: i32, start: i64) -> Self {
        Self {
            topic: 0,
            partition,
            timeline: 0,
            first: start,
            next: start,
            epoch: -1,
            log_start: start,
            last_stable: 0,
            high_watermark: 0,
            committed: 0,
            bytes: 0,
            max_timestamp: 0,
            largest_batch: 0,
            target: UNKNOWN_TARGET,
        }
    }
}

/// A topic of a set: one lineage, named by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicState {
    /// Topic id.
    pub id: Uuid,
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Replicas of its first partition.
    pub replication: i16,
    /// Whether the source had this lineage when the document was written.
    pub live: bool,
    /// Number of the entry that named it first; absent in sets of before members were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Partitions that it had then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_partitions: Option<i32>,
}

impl TopicState {
    /// A topic that the source has now, and of which the set knows nothing yet.
    #[must_use]
    pub fn new(id: Uuid, name: &str, partitions: i32, replication: i16) -> Self {
        Self { id, name: name.to_owned(), partitions, replication, live: true, since: None, first_partitions: None }
    }
}

/// What a writer or reader knows after replaying the log.
#[derive(Debug, Clone, Default)]
pub struct SetState {
    /// Topics by id.
    pub topics: BTreeMap<Uuid, TopicState>,
    /// Partitions by topic id and number; `topic` of the rows has no meaning here.
    pub partitions: BTreeMap<(Uuid, i32), PartitionState>,
}

impl SetState {
    /// Takes in what the source says of a topic; when it joined the set stays as it was. `entry` is the next one.
    pub fn know(&mut self, topic: TopicState, entry: u64) {
        let joined = self.topics.get(&topic.id).map(|known| (known.since, known.first_partitions));
        let (since, first_partitions) = joined.unwrap_or((Some(entry), Some(topic.partitions)));
        self.topics.insert(topic.id, TopicState { since, first_partitions, ..topic });
    }

    /// Takes in one entry, in order.
    pub fn apply(&mut self, entry: &Entry) {
        for member in &entry.members {
            self.know(member.clone(), entry.n);
        }
        if let Some(seal) = &entry.seal {
            self.topics = seal.topics.iter().map(|topic| (topic.id, topic.clone())).collect();
            let id = |row: &PartitionState| seal.topics.get(row.topic as usize).map(|topic| topic.id);
            let rows = seal.partitions.iter().filter_map(|row| Some(((id(row)?, row.partition), row.clone())));
            self.partitions = rows.collect();
            return;
        }
        for row in &entry.positions {
            let Some(topic) = entry.topics.get(row.topic as usize) else { continue };
            self.partitions.insert((topic.id, row.partition), row.clone());
            // Entries of before members were recorded name a topic by its first position only.
            let known = self
                .topics
                .entry(topic.id)
                .or_insert_with(|| TopicState { since: Some(entry.n), ..TopicState::new(topic.id, &topic.name, 0, 1) });
            known.partitions = known.partitions.max(row.partition + 1);
        }
    }

    /// The state as a document holds it: topics, and partitions that point into them.
    #[must_use]
    pub fn to_document(&self) -> (Vec<TopicState>, Vec<PartitionState>) {
        let topics: Vec<_> = self.topics.values().cloned().collect();
        let place: BTreeMap<Uuid, u32> = (0u32..).zip(&topics).map(|(place, topic)| (topic.id, place)).collect();
        let row = |(key, row): (&(Uuid, i32), &PartitionState)| {
            Some(PartitionState { topic: *place.get(&key.0)?, partition: key.1, ..row.clone() })
        };
        let partitions = self.partitions.iter().filter_map(row).collect();
        (topics, partitions)
    }
}
