//! Where consumer groups stand after a restore, a reset or a rollback: the lines of a report.

use serde::{Deserialize, Serialize};

/// Committed offsets of consumer groups that were saved before a run changed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetsBefore {
    /// Their name.
    pub id: String,
    /// When they were saved (RFC 3339).
    pub at: String,
    /// Where they lie.
    pub path: String,
    /// Until when they are kept for certain (RFC 3339), so many hours after the end of the run; absent: for ever, or the run is not
    /// over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// One consumer group of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupLine {
    /// Group id in the source; that in the target where there is no other cluster.
    pub group: String,
    /// Group id in the target.
    pub target: String,
    /// `classic`, `consumer`, `share` or `streams`, as the source has it; empty where this attempt did not ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What became of it.
    pub outcome: GroupOutcome,
    /// Why it failed; of a group that was asked for by name, why it has no offsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its offsets, in the order of target topics and partitions.
    pub offsets: Vec<OffsetLine>,
    /// Offsets that a rollback deletes, because the group had none there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<DeletedOffset>,
    /// Configs of the group itself (KIP-848) that a restore sets, or a rollback puts back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigLine>,
    /// Offsets that are not what they should be, because the cluster does not have that place any more. They are no part of
    /// `done` where nothing was committed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inexact: Vec<InexactOffset>,
    /// Committed offsets of topics and partitions that the run does not have: they are left alone.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub elsewhere: u64,
    /// Partitions whose offset is committed, or deleted, and was read back.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub done: u64,
}

impl GroupLine {
    /// Whether it did not fail, and has offsets that are not what they should be.
    #[must_use]
    pub fn is_inexact(&self) -> bool {
        self.outcome != GroupOutcome::Failed && !self.inexact.is_empty()
    }
}

/// A committed offset that is not what it should be, because the cluster does not have that place any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InexactOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset that it should be.
    pub wanted: i64,
    /// The offset that takes its place; absent: the run commits none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<i64>,
    /// Why.
    pub reason: String,
}

impl InexactOffset {
    /// In words.
    #[must_use]
    pub fn words(&self, group: &str) -> String {
        let got = self.got.map_or_else(|| "no offset".to_owned(), |offset| format!("offset {offset}"));
        let Self { topic, partition, wanted, reason, .. } = self;
        format!("group {group:?}, {topic}/{partition}: {got} instead of {wanted}, since {reason}")
    }
}

/// A committed offset that is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeletedOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset that was committed.
    pub before: i64,
    /// Why it is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A config of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigLine {
    /// Its name.
    pub name: String,
    /// The value to set; absent: the group's own value is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What was set on the group before; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Why it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ConfigLine {
    /// A config that is not set yet.
    #[must_use]
    pub fn planned(name: String, value: Option<String>) -> Self {
        Self { name, value, before: None, reason: None }
    }
}

/// What became of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupOutcome {
    /// Its offsets are computed, and nothing was committed.
    Planned,
    /// Its offsets are committed, and were read back.
    Committed,
    /// It has no offset that the run changes: nothing was done.
    NoOffsets,
    /// They are not, or not all.
    Failed,
    /// They are what they were before the run, because the run failed.
    RolledBack,
}

/// One committed offset of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetLine {
    /// Topic in the target.
    pub topic: String,
    /// Partition in the target.
    pub partition: i32,
    /// Where the group stood in the source of a restore: one place, or several that meet in this partition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceOffset>,
    /// The offset to commit.
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

impl OffsetLine {
    /// An offset that is not committed yet.
    #[must_use]
    pub fn planned(topic: String, partition: i32, offset: i64, found: OffsetFound) -> Self {
        Self { topic, partition, sources: Vec::new(), offset, found, before: None, read_back: None, reason: None }
    }
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

/// How the offset to commit was found.
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
    /// The first offset of the log.
    LogStart,
    /// The end of the log.
    LogEnd,
    /// The first record of the time that was asked for, or later.
    SinceTime,
    /// No record is of that time or later: the end of the log.
    NoneSinceTime,
    /// The offset that was asked for.
    Given,
    /// The log does not have the offset that was asked for: the nearer end of the log.
    Nearest,
    /// The offset that was saved.
    Saved,
    /// The offset that a restore computed for this group.
    Mapped,
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
            Self::LogStart => "start of the log",
            Self::LogEnd => "end of the log",
            Self::SinceTime => "first record since that time",
            Self::NoneSinceTime => "end of the log, no record since that time",
            Self::Given => "the offset asked for",
            Self::Nearest => "nearest offset that the log has",
            Self::Saved => "saved offset",
            Self::Mapped => "computed by the restore",
        }
    }
}
