//! The state of a set: which topics it knows and how far each partition is archived. Rebuilt from the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::columns::columns;
use crate::{ArchiveError, Entry};

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
        /// Of `committed`, what later timelines replaced: a reader of the newest one does not see it. Releases that did not
        /// count it say 0.
        replaced: u64 = "replaced" or 0,
        /// The same of `bytes`.
        replaced_bytes: u64 = "replacedBytes" or 0,
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
            replaced: 0,
            replaced_bytes: 0,
        }
    }

    /// Committed records that a recovery point has of it: each offset counts once, however often it was read.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.committed.saturating_sub(self.replaced)
    }

    /// Decompressed bytes that a recovery point has of it.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.replaced_bytes)
    }

    /// What later timelines replaced of it from now on.
    pub fn replace(&mut self, by: Replaced) {
        (self.replaced, self.replaced_bytes) = (by.records, by.bytes);
    }
}

/// Committed records and bytes of a partition that no reader of its newest timeline sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Committed records.
    pub records: u64,
    /// Decompressed bytes of batches of which nothing is left.
    pub bytes: u64,
}

impl Replaced {
    pub(crate) fn add(&mut self, records: u64, bytes: u64) {
        self.records = self.records.saturating_add(records);
        self.bytes = self.bytes.saturating_add(bytes);
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
    /// Of one that is not live any more, number of the newest seal in which it was, or of a later one; absent where an older
    /// release saw it end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Of a topic that came with a converted archive: the id that the source's brokers give it, once a run has compared its
    /// records with the source's; nil until then. Absent: `id` is that id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<Uuid>,
}

impl TopicState {
    /// A topic that the source has now, and of which the set knows nothing yet.
    #[must_use]
    pub fn new(id: Uuid, name: &str, partitions: i32, replication: i16) -> Self {
        Self {
            id,
            name: name.to_owned(),
            partitions,
            replication,
            live: true,
            since: None,
            first_partitions: None,
            until: None,
            source_id: None,
        }
    }

    /// The id that the source gives it, as far as somebody knows.
    #[must_use]
    pub fn source_topic(&self) -> Uuid {
        self.source_id.filter(|id| !id.is_nil()).unwrap_or(self.id)
    }

    /// Whether it came with a converted archive, and no run knows yet which topic of the source it is.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.live && self.source_id.is_some_and(|id| id.is_nil())
    }
}

/// A partition by the id of its topic and its number.
pub type TopicIdPartition = (Uuid, i32);

/// What a writer or reader knows after replaying the log.
#[derive(Debug, Clone, Default)]
pub struct SetState {
    /// Topics by id.
    pub topics: BTreeMap<Uuid, TopicState>,
    /// Partitions by topic id and number; `topic` of the rows has no meaning here.
    pub partitions: BTreeMap<TopicIdPartition, PartitionState>,
}

impl SetState {
    /// Takes in what the source says of a topic; when it joined the set stays as it was, and which topic of the source it
    /// is, where this does not say it. `entry` is the next one.
    pub fn know(&mut self, topic: TopicState, entry: u64) {
        let known = self.topics.get(&topic.id);
        let joined = known.map(|known| (known.since, known.first_partitions));
        let (since, first_partitions) = joined.unwrap_or((Some(entry), Some(topic.partitions)));
        let source_id = topic.source_id.or_else(|| known.and_then(|known| known.source_id));
        self.topics.insert(topic.id, TopicState { since, first_partitions, source_id, ..topic });
    }

    /// Takes in one entry, in order.
    ///
    /// # Errors
    /// A row of a topic that the entry does not name: nobody could tell whose it is.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        for member in &entry.members {
            self.know(member.clone(), entry.n);
        }
        if let Some(seal) = &entry.seal {
            let own = |row: &PartitionState| {
                let topic = seal.topics.get(row.topic as usize).ok_or_else(|| stray(entry.n, row))?;
                Ok(((topic.id, row.partition), row.clone()))
            };
            self.partitions = seal.partitions.iter().map(own).collect::<Result<_, ArchiveError>>()?;
            self.topics = seal.topics.iter().map(|topic| (topic.id, topic.clone())).collect();
            return Ok(());
        }
        for row in &entry.positions {
            let topic = entry.topics.get(row.topic as usize).ok_or_else(|| stray(entry.n, row))?;
            self.partitions.insert((topic.id, row.partition), row.clone());
            // Entries of before members were recorded name a topic by its first position only.
            let known = self
                .topics
                .entry(topic.id)
                .or_insert_with(|| TopicState { since: Some(entry.n), ..TopicState::new(topic.id, &topic.name, 0, 1) });
            known.partitions = known.partitions.max(row.partition + 1);
        }
        Ok(())
    }

    /// The state as a document holds it: topics, and partitions that point into them.
    ///
    /// # Errors
    /// A partition of a topic that the state does not know: the document would be silent about it.
    pub fn to_document(&self) -> Result<(Vec<TopicState>, Vec<PartitionState>), ArchiveError> {
        let topics: Vec<_> = self.topics.values().cloned().collect();
        let place: BTreeMap<Uuid, u32> = (0u32..).zip(&topics).map(|(place, topic)| (topic.id, place)).collect();
        let row = |(key, row): (&(Uuid, i32), &PartitionState)| {
            let topic = *place.get(&key.0).ok_or_else(|| ArchiveError::unknown_topic(key.0))?;
            Ok(PartitionState { topic, partition: key.1, ..row.clone() })
        };
        let partitions = self.partitions.iter().map(row).collect::<Result<_, ArchiveError>>()?;
        Ok((topics, partitions))
    }
}

fn stray(entry: u64, row: &PartitionState) -> ArchiveError {
    let reason = format!("a row of partition {} names topic number {}, which is not there", row.partition, row.topic);
    ArchiveError::damaged(format!("entry {entry}"), reason)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn which_topic_of_the_source_it_is_stays_once_it_is_known() {
        let (id, source) = (Uuid::from_u128(1), Uuid::from_u128(9));
        let mut state = SetState::default();
        state.know(TopicState { source_id: Some(Uuid::nil()), ..TopicState::new(id, "t", 1, 1) }, 0);
        assert!(state.topics[&id].is_undecided());
        // A run that only looks at it leaves that as it is.
        state.know(TopicState::new(id, "t", 2, 1), 3);
        assert!(state.topics[&id].is_undecided());
        state.know(TopicState { source_id: Some(source), ..TopicState::new(id, "t", 2, 1) }, 4);
        state.know(TopicState::new(id, "t", 3, 1), 5);
        let known = &state.topics[&id];
        assert_eq!((known.source_id, known.since, known.partitions), (Some(source), Some(0), 3));
        assert!(!known.is_undecided());
        // One that is not live any more is no matter of a run.
        state.know(TopicState { live: false, source_id: Some(Uuid::nil()), ..TopicState::new(id, "t", 1, 1) }, 6);
        assert!(!state.topics[&id].is_undecided());
    }

    #[test]
    fn a_partition_of_an_unknown_topic_is_never_left_out() {
        let (known, unknown) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut state = SetState::default();
        state.know(TopicState::new(known, "t", 1, 1), 0);
        state.partitions.insert((known, 0), PartitionState::new(0, 7));
        let (topics, partitions) = state.to_document().unwrap();
        assert_eq!((topics.len(), partitions.len()), (1, 1));
        state.partitions.insert((unknown, 3), PartitionState::new(3, 7));
        let error = state.to_document().unwrap_err();
        assert_eq!(error.code(), contract::Code::Internal);
        assert!(error.to_string().contains(&unknown.to_string()), "{error}");
    }
}
