//! Where the consumer groups of a restore stand: the lines of a report.

use serde::{Deserialize, Serialize};

/// Committed offsets of the target's consumer groups that were saved before a restore changed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetsBefore {
    /// Their name.
    pub id: String,
    /// When they were saved (RFC 3339).
    pub at: String,
    /// Where they lie.
    pub path: String,
}

/// One consumer group of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupLine {
    /// Group id in the source.
    pub group: String,
    /// Group id in the target.
    pub target: String,
    /// `classic`, `consumer`, `share` or `streams`, as the source had it.
    pub kind: String,
    /// What became of it.
    pub outcome: GroupOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its offsets, in the order of target topics and partitions.
    pub offsets: Vec<OffsetLine>,
    /// Committed offsets of topics and partitions that the restore does not have: they are left alone.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub elsewhere: u64,
}

/// What became of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupOutcome {
    /// Its offsets are computed, and nothing was committed.
    Planned,
    /// Its offsets are committed, and were read back.
    Committed,
    /// They are not, or not all.
    Failed,
}

/// One committed offset of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetLine {
    /// Topic in the target.
    pub topic: String,
    /// Partition in the target.
    pub partition: i32,
    /// Where the group stood in the source: one place, or several that meet in this partition.
    pub sources: Vec<SourceOffset>,
    /// The offset for the target.
    pub offset: i64,
    /// How it was found.
    pub found: OffsetFound,
    /// What the group had committed in the target before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// What was read back after the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<i64>,
    /// Why it was not committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The committed offset: the next one that the group would have read.
    pub offset: i64,
}

/// How the offset in the target follows from that in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OffsetFound {
    /// The record with the committed offset is there.
    Record,
    /// It is not; the next restored record follows after a hole.
    NextRecord,
    /// The committed offset is before all that is restored: the first record.
    Start,
    /// The group had read everything that is restored.
    End,
    /// The same, and the source has more that the time window leaves out.
    EndOfWindow,
    /// Records of several source partitions meet here: the first one that the group has not read.
    LowestUnread,
}

impl OffsetFound {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Record => "same record",
            Self::NextRecord => "next record after a hole",
            Self::Start => "first restored record",
            Self::End => "end of the restored records",
            Self::EndOfWindow => "end of the time window",
            Self::LowestUnread => "first unread record of several partitions",
        }
    }
}
