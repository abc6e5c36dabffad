//! What became of the topics and consumer groups that a backup set knows: the lines of a report, and the events.

use serde::{Deserialize, Serialize};

/// A topic of a set that is not as the set knew it, or that the set did not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberChange {
    /// Topic name.
    pub topic: String,
    /// Topic id, as the archive names it; empty for a topic that was never there.
    pub topic_id: String,
    /// What happened.
    pub change: Membership,
    /// Partitions that the set knew; absent for a new topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions_before: Option<i32>,
    /// Partitions now; absent when the topic was not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
}

/// What became of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Membership {
    /// The set did not know it.
    New,
    /// It has more partitions.
    PartitionsAdded,
    /// It has fewer partitions, which Kafka itself never does to a topic.
    PartitionsGone,
    /// The cluster no longer has it.
    Deleted,
    /// The cluster has another topic of this name.
    Recreated,
    /// The cluster gave its topics no ids before, and has an id for this one now: whether it is the topic that was read before
    /// cannot be told.
    Identified,
    /// The patterns of the backup no longer match it.
    NoLongerMatched,
    /// The user of the backup may not describe or read it any more: what is new of it is missing.
    Forbidden,
    /// The cluster does not describe it for now: what is new of it is missing.
    Unavailable,
    /// It was missing, or not matched, and is read again.
    Returned,
    /// The backup names it, and the cluster has no such topic; `onMissingTopic` says that the others are backed up without it.
    Absent,
}

impl Membership {
    /// Whether records are missing that the backup was asked for.
    #[must_use]
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Forbidden | Self::Unavailable | Self::Absent)
    }

    /// What happened, in words that follow the topic's name.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::New => "is new in the set and begins at its start",
            Self::PartitionsAdded => "has more partitions; the new ones begin at their start",
            Self::PartitionsGone => "has fewer partitions than the set knows",
            Self::Deleted => "is no longer in the cluster; what was read before stays in earlier points",
            Self::Recreated => "was deleted and created again; the new one begins a lineage of its own",
            Self::Identified => {
                "has an id in the cluster now and had none before; nobody tells whether it is the same topic, so it is read from its start as a lineage of its own"
            }
            Self::NoLongerMatched => "is no longer matched by the patterns of the backup and is not read any more",
            Self::Forbidden => "may not be described or read by this user any more",
            Self::Unavailable => "is not described by the cluster for now",
            Self::Returned => "is there again and is read on",
            Self::Absent => "is named by the backup and does not exist in the cluster",
        }
    }
}

impl std::fmt::Display for MemberChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} {}", self.topic, self.change.words())?;
        match (self.partitions_before, self.partitions) {
            (Some(before), Some(now)) if before != now => write!(f, " ({before} before, {now} now)"),
            (Some(_), Some(_)) | (None, _) | (_, None) => Ok(()),
        }
    }
}

/// A consumer group of the last recovery point whose positions are not in this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupChange {
    /// Group id.
    pub group: String,
    /// What happened.
    pub change: GroupPresence,
}

/// What became of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupPresence {
    /// It has no positions any more: it was deleted, or they expired.
    Gone,
    /// The user of the backup may not describe it.
    Forbidden,
    /// Its coordinator does not answer for now.
    Unavailable,
}

impl GroupPresence {
    /// Whether positions are missing that the group may still have.
    #[must_use]
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Forbidden | Self::Unavailable)
    }
}

impl std::fmt::Display for GroupChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.change {
            GroupPresence::Gone => "has no positions any more",
            GroupPresence::Forbidden => "may not be described by this user",
            GroupPresence::Unavailable => "has a coordinator that does not answer for now",
        };
        write!(f, "consumer group {} {what}", self.group)
    }
}
