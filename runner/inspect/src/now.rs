//! Where consumer groups stand in the source now, as a pod that may ask its brokers tells it. Values only: nothing here asks.

use serde::{Deserialize, Serialize};

/// The source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceNow {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Whether brokers list every group for the user of the backup. `Some(false)`: they leave out, without a word, the groups
    /// that it may not describe. `None` where brokers do not tell.
    pub sees_all: Option<bool>,
    /// Brokers that did not list their groups, each with what kept it from that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
}

/// A consumer group that the brokers list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupNow {
    /// Group id.
    pub group: String,
    /// `classic`, `consumer`, `share` or `streams`.
    pub kind: String,
    /// State as the broker names it.
    pub state: String,
    /// Committed offsets in topic and partition order.
    pub offsets: Vec<OffsetNow>,
    /// Why the offsets are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetNow {
    /// Topic.
    pub topic: String,
    /// Id of the topic of that name; `None` when there is none, or it is not described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Partition.
    pub partition: i32,
    /// Next offset that the group reads.
    pub offset: i64,
}
