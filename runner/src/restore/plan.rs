//! The plan of a restore: the document that is saved once and carried out to the letter.
//!
//! It is made by `plan/make`, shown with what speaks against it as a [`Proposal`], saved before anything is changed, and
//! read by every attempt. Its fingerprint is the digest of all of its fields: none is left out. What depends on
//! the moment (warnings, what retention would do, how long it takes) is no part of it.

mod count;
mod judge;
mod make;
mod proposal;

pub(crate) mod check;

use std::collections::{BTreeMap, HashMap};

use archive::{Digest, Fork, Timelines, Wanted, from_json};
use batch::Window;
use contract::{Code, Failure, ForeignRecords, GroupRestore, OnUnreadable, RestoreSpec};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use self::count::{ends, retained};
pub(crate) use self::make::{Sealed, make};
pub use self::proposal::Proposal;
use super::route::Route;
use super::windows::Windows;
use crate::logs::Span;

/// Digits of a plan's fingerprint.
const FINGERPRINT: usize = 16;
/// Form of the document.
const FORMAT: u32 = 1;

/// What a restore does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestorePlan {
    pub(crate) format: u32,
    /// The recovery point.
    pub point: String,
    /// Digest of its seal.
    pub(crate) digest: Digest,
    /// Id of the target cluster.
    pub(crate) cluster: String,
    /// Whether offset headers are appended.
    pub offset_headers: bool,
    /// Whether offset headers of an earlier restore are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) strip_offset_headers: bool,
    /// What becomes of records that cannot be read.
    #[serde(default)]
    pub(crate) on_unreadable: OnUnreadable,
    /// What becomes of records that another tool archived otherwise than the source had them.
    #[serde(default, skip_serializing_if = "ForeignRecords::is_default")]
    pub(crate) foreign_records: ForeignRecords,
    /// Which records are read.
    #[serde(with = "window")]
    pub(crate) window: Window,
    /// Partitions that end with a time of their own, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ends: Vec<PartitionEnd>,
    /// Timelines of the source's partitions.
    pub(crate) forks: Vec<Fork>,
    /// Partitions that are read as an older timeline saw them.
    pub(crate) older: Vec<OlderTimeline>,
    /// Topics in order of their target names.
    pub topics: Vec<TopicPlan>,
    /// Which committed offsets are restored, as the specification says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group_restore: Option<GroupRestore>,
}

/// A partition that is read as it was before a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OlderTimeline {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    pub(crate) timeline: u32,
}

/// The newest record time of a source partition that is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PartitionEnd {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    /// Milliseconds since 1970.
    pub(crate) end: i64,
}

/// What happens to one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicPlan {
    /// Source name.
    pub source: String,
    /// Lineage: the source's topic id.
    pub(crate) source_id: Uuid,
    /// Target name.
    pub target: String,
    /// Target topic id; `None` when there is no such topic.
    pub(crate) target_id: Option<Uuid>,
    /// What is done with the target.
    pub action: TargetAction,
    /// Replication factor of a created topic, -1 for the broker's default.
    pub(crate) replication: i16,
    /// Partitions that the target has or gets.
    pub(crate) partition_count: i32,
    /// Source partitions that are restored.
    pub partitions: Vec<i32>,
    /// What is read of each of them.
    pub(crate) sources: Vec<SourceRange>,
    /// Target partitions.
    pub targets: Vec<i32>,
    /// What the target partitions hold now; empty for a topic that is created.
    pub(crate) holds: Vec<TargetRange>,
    /// Which partition of the target a record goes to.
    pub(crate) route: Route,
    /// Committed records; exact when all of `sources` are.
    pub records: u64,
    /// Their bytes as archived.
    pub bytes: u64,
    /// Largest batch.
    pub largest_batch: u64,
    /// Configs that a topic is created with, and keeps at the end.
    pub(crate) configs: BTreeMap<String, String>,
    /// Configs of an existing topic that are held off while the restore works, with what the topic itself says of them
    /// before and at the end (`None`: nothing).
    pub(crate) before: BTreeMap<String, Option<String>>,
    /// Their values meanwhile.
    pub(crate) held: BTreeMap<String, String>,
    /// Lower bound of the timestamps, when there are records.
    pub(crate) oldest: Option<i64>,
    /// Bytes of the largest source partition.
    pub(crate) largest_partition: u64,
}

/// What is done with a target topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetAction {
    /// It does not exist, and is created.
    Create,
    /// It exists and is empty.
    Fill,
    /// Its records stay, the restored ones come after them.
    Append,
    /// The records of the target partitions are deleted first.
    Purge,
    /// A refusal stands in the way.
    Refuse,
}

impl std::fmt::Display for TargetAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Fill => "fill",
            Self::Append => "append",
            Self::Purge => "purge",
            Self::Refuse => "refuse",
        })
    }
}

/// What is read of a source partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SourceRange {
    pub(crate) partition: i32,
    /// First source offset of what may be read.
    pub(crate) first: i64,
    /// Offset after it.
    pub(crate) next: i64,
    /// Committed records in the window, at most.
    pub(crate) records: u64,
    /// Whether it is that number exactly.
    pub(crate) exact: bool,
}

/// What a target partition holds when the plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TargetRange {
    pub(crate) partition: i32,
    /// Its log; a purge deletes below its end, an append begins there or later.
    pub(crate) log: Span,
}

impl RestorePlan {
    /// Committed records of all topics.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.topics.iter().map(|topic| topic.records).sum()
    }

    /// Bytes of all topics, as archived.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.topics.iter().map(|topic| topic.bytes).sum()
    }

    /// Their share of these bytes that so many of its records have.
    pub(crate) fn bytes_of(&self, records: u64) -> u64 {
        let share = u128::from(self.bytes()) * u128::from(records) / u128::from(self.records().max(1));
        // Not more than all of them fits.
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Everything of the plan, from the beginning.
    pub(crate) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::new(HashMap::new(), self.timelines(), self.window);
        for topic in &self.topics {
            wanted.from.extend(topic.partitions.iter().map(|partition| ((topic.source_id, *partition), i64::MIN)));
        }
        wanted
    }

    /// Which record times of each partition are restored.
    pub(crate) fn windows(&self) -> Windows {
        Windows::new(self.window, self.ends.iter().map(|end| ((end.topic, end.partition), end.end)))
    }

    /// The newest record time that is restored; `None` where everything is, up to the end.
    pub(crate) fn ends_at(&self) -> Option<i64> {
        let of_all = Some(self.window.end).filter(|end| *end < i64::MAX);
        of_all.or_else(|| self.ends.iter().map(|end| end.end).max())
    }

    /// Which timelines are read.
    pub(crate) fn timelines(&self) -> Timelines {
        let mut timelines = Timelines::new(&self.forks);
        for older in &self.older {
            timelines.choose(older.topic, older.partition, older.timeline);
        }
        timelines
    }

    /// The plan with the committed offsets that the specification names now: they are restored last, and a later attempt
    /// may be told to restore others.
    pub(crate) fn with_groups_of(self, spec: &RestoreSpec) -> Self {
        Self { group_restore: spec.groups.clone(), ..self }
    }

    /// The document as it is saved.
    // Plain data with text keys: making JSON of it cannot fail, and an empty document would never be read back.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn bytes_to_save(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a saved document.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let plan: Self = from_json(bytes)
            .map_err(|fault| Failure::new(Code::StateMismatch, format!("the saved plan of the restore {fault}")))?;
        if plan.format == FORMAT {
            return Ok(plan);
        }
        let text = format!("the saved plan has form {}, this release knows {FORMAT}", plan.format);
        Err(Failure::new(Code::ArchiveNewer, text))
    }

    /// The first digits of the document's digest.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Digest::of(&self.bytes_to_save()).0.chars().take(FINGERPRINT).collect()
    }
}

impl TopicPlan {
    /// Whether the number of records is exact.
    pub(crate) fn is_exact(&self) -> bool {
        self.sources.iter().all(|source| source.exact)
    }

    /// Records that a purge deletes, by partition: those with offsets in `log`.
    pub(crate) fn purged(&self) -> impl Iterator<Item = &TargetRange> {
        let all = if self.action == TargetAction::Purge { self.holds.as_slice() } else { &[] };
        all.iter().filter(|range| range.log.end > range.log.start)
    }
}

/// A window as its first and last millisecond.
mod window {
    use batch::Window;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
        (window.start, window.end).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Window, D::Error> {
        let (start, end) = Deserialize::deserialize(deserializer)?;
        Ok(Window { start, end })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn topic(name: &str, action: TargetAction, targets: &[i32]) -> TopicPlan {
        let log = Span { start: 0, end: 0 };
        TopicPlan {
            source: name.into(),
            source_id: Uuid::from_u128(7),
            target: name.into(),
            target_id: None,
            action,
            replication: 1,
            partition_count: 3,
            partitions: targets.to_vec(),
            sources: Vec::new(),
            targets: targets.to_vec(),
            holds: targets.iter().map(|partition| TargetRange { partition: *partition, log }).collect(),
            route: Route::Partition(BTreeMap::from([(0, 5)])),
            records: 10,
            bytes: 100,
            largest_batch: 100,
            configs: BTreeMap::from([("a".into(), "b".into())]),
            before: BTreeMap::from([("retention.ms".into(), None)]),
            held: BTreeMap::new(),
            oldest: Some(1),
            largest_partition: 100,
        }
    }

    pub(crate) fn plan(topics: Vec<TopicPlan>) -> RestorePlan {
        RestorePlan {
            format: FORMAT,
            point: "p".into(),
            digest: Digest::of(b"p"),
            cluster: "c".into(),
            offset_headers: true,
            strip_offset_headers: false,
            on_unreadable: OnUnreadable::Fail,
            foreign_records: ForeignRecords::Cleaned,
            window: Window::ALL,
            ends: Vec::new(),
            forks: vec![Fork { topic: Uuid::from_u128(7), name: "t".into(), partition: 0, timeline: 1, from: 5 }],
            older: vec![OlderTimeline { topic: Uuid::from_u128(7), partition: 0, timeline: 0 }],
            topics,
            group_restore: None,
        }
    }

    #[test]
    fn a_saved_plan_reads_back_and_every_field_is_in_the_fingerprint() {
        let saved = plan(vec![topic("t", TargetAction::Create, &[0, 1])]);
        assert_eq!(RestorePlan::read(&saved.bytes_to_save()).unwrap(), saved);
        assert_eq!(saved.timelines().end_of(Uuid::from_u128(7), 0, 0), i64::MAX);
        let changes: [fn(&mut RestorePlan); 21] = [
            |p| p.digest = Digest::of(b"q"),
            |p| p.cluster = "d".into(),
            |p| p.offset_headers = false,
            |p| p.strip_offset_headers = true,
            |p| p.on_unreadable = OnUnreadable::Skip,
            |p| p.foreign_records = ForeignRecords::AsWritten,
            |p| p.window.end = 1,
            |p| p.window.start = 1,
            |p| p.ends.push(PartitionEnd { topic: Uuid::nil(), partition: 0, end: 1 }),
            |p| p.older.clear(),
            |p| p.topics[0].source_id = Uuid::nil(),
            |p| p.topics[0].target_id = Some(Uuid::nil()),
            |p| p.topics[0].action = TargetAction::Purge,
            |p| p.topics[0].replication = 2,
            |p| p.topics[0].partition_count = 4,
            |p| p.topics[0].route = Route::Key(3),
            |p| p.topics[0].route = Route::Partition(BTreeMap::from([(0, 4)])),
            |p| p.topics[0].holds[0].log.end = 1,
            |p| p.topics[0].configs.clear(),
            |p| p.topics[0].records = 11,
            |p| p.group_restore = Some(GroupRestore::default()),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = saved.clone();
            change(&mut other);
            assert_ne!(other.fingerprint(), saved.fingerprint(), "change {number}");
        }
    }

    #[test]
    fn a_purge_deletes_what_the_target_partitions_hold() {
        let mut purge = topic("t", TargetAction::Purge, &[1, 2]);
        purge.holds[1].log = Span { start: 3, end: 9 };
        assert_eq!(purge.purged().map(|range| range.partition).collect::<Vec<_>>(), [2]);
        purge.action = TargetAction::Append;
        assert_eq!(purge.purged().count(), 0);
    }
}
