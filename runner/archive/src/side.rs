//! What a seal says of its moment beside the data: topic configs and group positions, in the seal or beside it.

use std::collections::BTreeMap;

use contract::GroupPresence;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// The feature that a reader of a seal with content of its own must know.
pub(crate) const FEATURE: &str = "side-in-seal";

/// Content of a seal: in it where it is small, so that a run that finds nothing new writes no object for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Side<T> {
    /// The content itself.
    Here {
        /// The content.
        content: T,
    },
    /// An object beside the seal.
    Beside(SideRef),
}

/// An object beside a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRef {
    /// Bytes of the object.
    pub size: u64,
    /// BLAKE3-256 of the object.
    pub digest: Digest,
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
