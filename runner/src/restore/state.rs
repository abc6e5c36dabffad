//! What a restore remembers between attempts. Stored in the archive; FORMAT.md, "Restore state".

use std::collections::{BTreeMap, BTreeSet};

use archive::{Digest, Point};
use contract::{Failure, Moved, OffsetsBefore};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The state of a restore.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestoreState {
    /// Namespace of the restore, empty outside of a cluster.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Random text, another one each time that the restore begins anew: claims name it.
    pub(crate) life: String,
    /// Set of the recovery point.
    pub(crate) set: String,
    /// Entry of its seal.
    pub(crate) entry: u64,
    /// Digest of its seal.
    pub(crate) digest: Digest,
    /// The entry with which retention had taken something away of the set when the plan was made: what it hid since is still
    /// read by this restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pruned: Option<u64>,
    /// Whether the point was looked at once more after this state was saved first: from then on retention keeps what it needs.
    /// Older releases did not look.
    #[serde(default = "looked")]
    pub(crate) looked: bool,
    /// Digest of the plan that is carried out.
    pub(crate) plan: Digest,
    /// Target topics, in the order of the plan.
    pub(crate) topics: Vec<TargetTopic>,
    /// Target partitions with their start offsets; empty until the first epoch: then nothing is deleted any more.
    pub(crate) partitions: Vec<TargetPartition>,
    /// Producer epochs in order, each with where its records begin.
    pub(crate) epochs: Vec<Epoch>,
    /// Everything is produced: the offset after the last record, by partition. Only configs are left to do.
    pub(crate) produced: Option<Vec<i64>>,
    /// Records that were left out then, because they cannot be read.
    #[serde(default)]
    pub(crate) left_out: u64,
    /// Batch bytes that were produced then: those of attempts that were killed by their share of the plan.
    #[serde(default)]
    pub(crate) bytes: u64,
    /// Segments that the plan reads.
    #[serde(default)]
    pub(crate) segments: u64,
    /// Consumer groups whose offsets are committed.
    #[serde(default)]
    pub(crate) groups: GroupsDone,
    /// How it ended for good: configs are final or put back, and its claims hold no longer.
    pub(crate) ended: Option<Ended>,
}

/// What is done of the committed offsets of consumer groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupsDone {
    /// Digest of `restore.groups` as JSON, which `is_complete` is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<Digest>,
    /// Groups of the target whose offsets are committed and were read back, with the group of the source that they are from.
    /// They are never committed again: their consumers may have gone on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) done: BTreeMap<String, String>,
    /// All of them are.
    #[serde(default)]
    pub(crate) is_complete: bool,
    /// Where the offsets are that the groups had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<OffsetsBefore>,
    /// Groups of the target to which something may have been sent for `of`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) touched: BTreeSet<String>,
    /// The same for earlier specifications.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) touched_before: BTreeSet<String>,
    /// The recovery point whose offsets are taken for `of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<String>,
    /// Where the offset mapping is that was written for `of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mapping: Option<String>,
    /// They are being put back, because the restore failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoing: Option<Undoing>,
}

/// A rollback of committed offsets that has begun: a later attempt ends it before it does anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undoing {
    /// Why the restore failed.
    pub(crate) failure: Failure,
    /// Groups of the target that it may have changed.
    pub(crate) changed: BTreeSet<String>,
}

/// How a restore ended for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ended {
    /// Everything is in the target.
    Completed,
    /// It never goes on; where records were produced, every further attempt ends so, too.
    Failed(Failure),
}

fn looked() -> bool {
    true
}

impl GroupsDone {
    /// Whether the offsets of this group of the source are committed in this group of the target.
    pub(crate) fn has(&self, source: &str, target: &str) -> bool {
        self.done.get(target).is_some_and(|from| from == source)
    }

    /// Goes on with this specification; what is done stays done.
    pub(crate) fn go_on(&mut self, of: Digest) {
        if self.of.as_ref() != Some(&of) {
            (self.of, self.is_complete, self.mapping, self.point) = (Some(of), false, None, None);
            self.touched_before.append(&mut self.touched);
        }
    }

    /// Groups of the target whose offsets may not be those any more that they had before.
    pub(crate) fn may_be_ours(&self) -> BTreeSet<String> {
        self.done.keys().chain(&self.touched).chain(&self.touched_before).cloned().collect()
    }
}

/// A target topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetTopic {
    /// Source topic id.
    pub(crate) source: Uuid,
    /// Target name.
    pub(crate) name: String,
    /// Target topic id, nil until it is known.
    pub(crate) id: Uuid,
    /// Whether this restore creates it.
    pub(crate) created: bool,
    /// Values in force while the restore works.
    pub(crate) held: BTreeMap<String, String>,
    /// What the topic itself said of the held configs before, `None` for nothing.
    pub(crate) previous: BTreeMap<String, Option<String>>,
    /// Values in force before the hold, for the retention guard.
    pub(crate) effective: BTreeMap<String, String>,
    /// The epoch of the topic's guard that this restore holds; `None` without the right to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) guard: Option<Guard>,
}

/// An epoch of the transactional id that all restores into one topic share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Guard {
    /// Producer id.
    pub(crate) producer_id: i64,
    /// Its epoch.
    #[serde(rename = "epoch")]
    pub(crate) number: i16,
    /// The coordinator had forgotten it when this was saved, and this restore was about to take another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forgotten: bool,
}

/// A target partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TargetPartition {
    /// Position in the topics.
    pub(crate) topic: usize,
    /// Partition of the target.
    pub(crate) partition: i32,
    /// Target offset of the first restored record.
    pub(crate) start: i64,
}

/// What one attempt writes under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Epoch {
    /// Producer id.
    pub(crate) producer_id: i64,
    /// Its epoch.
    #[serde(rename = "epoch")]
    pub(crate) number: i16,
    /// Records that earlier epochs restored, by partition in the order of the state.
    pub(crate) bases: Vec<u64>,
    /// Target offset of the first record of this epoch, by partition.
    pub(crate) starts: Vec<i64>,
}

impl RestoreState {
    /// A restore that has changed nothing yet.
    pub(crate) fn new((namespace, name): (&str, &str), life: String, point: &Point, plan: Digest) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            life,
            set: point.set().to_owned(),
            entry: point.entry,
            digest: point.digest.clone(),
            pruned: point.pruned_by(),
            plan,
            ..Self::default()
        }
    }

    /// Whether records may have been produced.
    pub(crate) fn started(&self) -> bool {
        !self.epochs.is_empty()
    }

    /// What all attempts moved, once everything is produced.
    pub(crate) fn moved(&self) -> Moved {
        let ends = self.produced.iter().flatten();
        let epoch = self.epochs.last();
        let begins = epoch.into_iter().flat_map(|epoch| epoch.bases.iter().zip(&epoch.starts));
        let records =
            begins.zip(ends).map(|((base, start), end)| base.saturating_add_signed(end.saturating_sub(*start)));
        Moved { records: records.sum(), bytes: self.bytes, ..Moved::default() }
    }

    /// Name of the topic that a target partition belongs to, and its number, as people write it.
    pub(crate) fn place(&self, partition: &TargetPartition) -> String {
        let topic = self.topics.get(partition.topic).map_or("?", |topic| topic.name.as_str());
        format!("{topic}/{}", partition.partition)
    }

    /// The place of a target partition in `partitions`, which are in order of topic and number.
    pub(crate) fn place_of(&self, topic: usize, partition: i32) -> Option<usize> {
        // Not found is no error.
        self.partitions.binary_search_by_key(&(topic, partition), |known| (known.topic, known.partition)).ok()
    }

    /// Target offset of restored record number `count` (from 0) of a partition.
    pub(crate) fn target_offset(&self, partition: usize, count: u64) -> Option<i64> {
        let first_of = |epoch: &Epoch| Some((*epoch.bases.get(partition)?, *epoch.starts.get(partition)?));
        let (base, start) = self.epochs.iter().filter_map(first_of).rfind(|(base, _)| *base <= count)?;
        Some(start + i64::try_from(count - base).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_offsets_skip_the_markers_between_epochs() {
        let epoch = |base, start| Epoch { producer_id: 1, number: 0, bases: vec![base], starts: vec![start] };
        // 10 records from 100, a marker at 110, the rest from 111; an epoch that wrote nothing; the last from 113.
        let state =
            RestoreState { epochs: vec![epoch(0, 100), epoch(10, 111), epoch(11, 113)], ..RestoreState::default() };
        let found: Vec<_> =
            [0, 9, 10, 11, 20].into_iter().map(|count| state.target_offset(0, count).unwrap()).collect();
        assert_eq!(found, [100, 109, 111, 113, 122]);
    }

    #[test]
    fn records_of_all_epochs_count() {
        let epoch = |bases: [u64; 2], starts: [i64; 2]| Epoch {
            producer_id: 1,
            number: 0,
            bases: bases.into(),
            starts: starts.into(),
        };
        let mut state = RestoreState {
            epochs: vec![epoch([0, 0], [100, 7]), epoch([10, 3], [111, 11])],
            bytes: 500,
            ..RestoreState::default()
        };
        assert_eq!(state.moved().records, 0);
        state.produced = Some(vec![116, 11]);
        assert_eq!((state.moved().records, state.moved().bytes), (18, 500));
    }

    #[test]
    fn a_target_partition_is_found_by_topic_and_number() {
        let of = |(topic, partition): (usize, i32)| TargetPartition { topic, partition, start: 0 };
        let all = [(0, 1), (0, 4), (1, 0), (3, 2)];
        let state = RestoreState { partitions: all.map(of).into(), ..RestoreState::default() };
        for (place, (topic, partition)) in all.into_iter().enumerate() {
            assert_eq!(state.place_of(topic, partition), Some(place));
        }
        assert_eq!((state.place_of(0, 0), state.place_of(2, 0)), (None, None));
    }
}
