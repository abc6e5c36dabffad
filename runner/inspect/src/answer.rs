//! What is answered.

use std::collections::BTreeMap;

use archive::{Fork, Gap, HeldBack, Problem};
use contract::{Failure, GroupPresence, PointLine};
use serde::{Deserialize, Serialize};

use crate::live::{LiveHead, LiveTopic};
use crate::retained::{RetainedPoint, RetentionPlan};
use crate::{GroupNow, Payload, SourceNow};

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "camelCase")]
pub enum Answer {
    /// A set of the store.
    Set(SetLine),
    /// A recovery point of the set before.
    Point(PointLine),
    /// All of one recovery point.
    Detail(Box<PointDetail>),
    /// The recovery point whose groups follow.
    Groups(PointGroups),
    /// A consumer group of the recovery point before.
    Group(Group),
    /// The source whose groups follow.
    Source(SourceNow),
    /// A consumer group of the source before.
    GroupNow(GroupNow),
    /// The recovery point and the source whose topics follow.
    Live(LiveHead),
    /// A topic of the recovery point before, beside the source's.
    LiveTopic(LiveTopic),
    /// A line of what a run said.
    Line {
        /// The line.
        text: String,
    },
    /// A record.
    Record(Record),
    /// The end of a search for records.
    Scanned(Scanned),
    /// The end of a verification.
    Verified(Verified),
    /// What becomes of a point by the rules of retention.
    Retained(RetainedPoint),
    /// The end of what the rules of retention would do.
    Retention(Box<RetentionPlan>),
    /// Why there is no more.
    Failed(Failure),
}

/// A set of backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetLine {
    /// Name.
    pub name: String,
    /// Namespace of its first owner.
    pub namespace: String,
    /// Resource of its first owner.
    pub resource: String,
    /// Id of the source cluster.
    pub cluster_id: String,
    /// Whether several runs extend it.
    pub incremental: bool,
    /// Whether a run goes on, or was interrupted.
    pub unfinished: bool,
    /// What is wrong with it, as far as a list looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// All of a recovery point but its records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PointDetail {
    /// Name.
    pub name: String,
    /// Its set.
    pub set: String,
    /// Its second (RFC 3339).
    pub at: String,
    /// Number of its entry in the set's log.
    pub entry: u64,
    /// Namespace of the owner.
    pub namespace: String,
    /// Resource of the owner.
    pub resource: String,
    /// Id of the source cluster.
    pub cluster_id: String,
    /// The user's label of the source cluster.
    pub source_cluster_id: Option<String>,
    /// Whether restores add offset headers unless told otherwise.
    pub offset_headers: bool,
    /// Release that wrote it.
    pub writer: String,
    /// Segments.
    pub segments: u64,
    /// Bytes of the segments as stored.
    pub stored_bytes: u64,
    /// Topics by name; lineages that the source no longer had come after the live one.
    pub topics: Vec<TopicDetail>,
    /// Offsets that the source no longer had.
    pub gaps: Vec<Gap>,
    /// Timelines that began.
    pub forks: Vec<Fork>,
    /// What open transactions kept out.
    pub held_back: Vec<HeldBack>,
    /// Positions of groups; `None` when they were not asked for.
    pub groups: Option<Vec<Group>>,
}

/// A topic of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicDetail {
    /// Name.
    pub name: String,
    /// Id of the lineage.
    pub id: String,
    /// Whether the source had it.
    pub live: bool,
    /// Replicas.
    pub replication: i16,
    /// Configs of its own.
    pub configs: BTreeMap<String, String>,
    /// Partitions in order.
    pub partitions: Vec<PartitionDetail>,
}

/// A partition of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionDetail {
    /// Number.
    pub partition: i32,
    /// First archived offset.
    pub first: i64,
    /// Offset after the last.
    pub next: i64,
    /// Committed records.
    pub records: u64,
    /// Decompressed bytes.
    pub bytes: u64,
    /// Smallest timestamp (milliseconds), as far as it is known without decoding; `None` without records.
    pub oldest: Option<i64>,
    /// Largest timestamp (milliseconds); `None` without records.
    pub newest: Option<i64>,
    /// Newest timeline.
    pub timeline: u32,
}

/// A recovery point, as far as its consumer groups are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PointGroups {
    /// Name.
    pub name: String,
    /// Its second (RFC 3339).
    pub at: String,
    /// Id of the source cluster.
    pub cluster_id: String,
    /// Whether groups were asked for when it was made.
    pub has_groups: bool,
}

/// Positions of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Group id.
    pub group: String,
    /// `classic`, `consumer`, `share` or `streams`.
    pub kind: String,
    /// State when it was read.
    pub state: String,
    /// Positions in topic and partition order.
    pub offsets: Vec<Offset>,
    /// Why positions are missing that the group had; absent when all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<GroupPresence>,
}

/// A position of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset that the group would read.
    pub offset: i64,
    /// Archived committed positions end here; `None` when the partition is not in the point.
    pub end: Option<i64>,
    /// Where the log ended then (its high watermark); `None` when the partition is not in the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_end: Option<i64>,
    /// Id of the topic; `None` when the partition is not in the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// From here to `end` each offset is a record that consumers see; `None` where that is not known, or not so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_holes_from: Option<i64>,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset in the source.
    pub offset: i64,
    /// Milliseconds, as consumers of the source saw it.
    pub timestamp: i64,
    /// Key, `None` for null.
    pub key: Option<Payload>,
    /// Value, `None` for a tombstone.
    pub value: Option<Payload>,
    /// Headers in their order; names may repeat and need not be text.
    pub headers: Vec<(Payload, Option<Payload>)>,
}

/// Bytes of the largest record that is shown: it is held several times on its way.
pub const LARGEST_RECORD: usize = 16 << 20;

/// What a search for records went through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scanned {
    /// Records that were shown.
    pub shown: u64,
    /// Records that were looked at.
    pub records: u64,
    /// Bytes of those that were read whole.
    pub bytes: u64,
    /// Records that were passed over, because they are larger than what is read at once.
    #[serde(default)]
    pub too_large: u64,
    /// Whether it ended at the limit: there may be more.
    pub more: bool,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// The recovery point.
    pub name: String,
    /// Segments looked at.
    pub segments: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// Batches checked.
    pub batches: u64,
    /// Records counted that consumers see, as the point counts them.
    pub records: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// What is missing and not needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Problem>,
}
