//! Documents beside the log: the set itself, topic configs and group positions.

use std::collections::BTreeMap;

use contract::GroupPresence;
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::entry::{FORMAT, Owner};

/// `set.json`: written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetDocument {
    /// Format number.
    pub format: u32,
    /// Features that a reader must know.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Features that a reader may ignore.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Identity of the set.
    pub uuid: String,
    /// Its first owner; an `adopt` entry names a later one.
    pub owner: Owner,
    /// Whether several runs extend it.
    pub incremental: bool,
    /// Digest of the document that was lost and that this one was made in place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
}

impl SetDocument {
    /// Whether this document, whose bytes have `digest`, is the one that the log names.
    #[must_use]
    pub fn is_named(&self, digest: &Digest, by_log: &Digest) -> bool {
        digest == by_log || self.replaces.as_ref() == Some(by_log)
    }
}

/// Points a recovery point's stamp to its seal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hint {
    pub(crate) format: u32,
    pub(crate) entry: u64,
    pub(crate) digest: Digest,
}

/// Configs that topics had of their own, by topic name.
pub type TopicConfigs = BTreeMap<String, BTreeMap<String, String>>;

/// Committed positions of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSnapshot {
    /// Group id.
    pub group: String,
    /// `classic`, `consumer`, `share` or `streams`.
    pub kind: String,
    /// State when it was read.
    pub state: String,
    /// Positions in topic and partition order.
    pub offsets: Vec<GroupPosition>,
    /// Configs that were set on the group itself (KIP-848); `None` where nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configs: Option<BTreeMap<String, String>>,
    /// Why the positions of a group that is known from an earlier point are missing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<GroupPresence>,
}

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPosition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset that the group would read; a share group's start offset.
    pub offset: i64,
    /// Leader epoch of the commit, -1 for none.
    pub leader_epoch: i32,
    /// Metadata of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

/// A side document with its format number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SideDocument<T> {
    /// Format number.
    pub format: u32,
    /// The content.
    pub content: T,
}

impl<T> SideDocument<T> {
    /// The content in the current format.
    pub fn new(content: T) -> Self {
        Self { format: FORMAT, content }
    }
}
