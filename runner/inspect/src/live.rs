//! What the source of a recovery point holds now, as a pod that may read it tells. Values only: nothing here asks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The recovery point and the source that are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveHead {
    /// Name of the point.
    pub name: String,
    /// Its second (RFC 3339).
    pub at: String,
    /// Id of the cluster: of the point and of the source.
    pub cluster_id: String,
    /// Topics that the backup covers and the point does not have.
    pub new_topics: Vec<String>,
}

/// A topic of the recovery point, beside the source's topic of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveTopic {
    /// Name.
    pub name: String,
    /// What became of it.
    pub state: LiveState,
    /// Replicas in the point and now; absent when they are the same, or there is no such topic now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<(i16, i16)>,
    /// Configs of its own that differ, each with the value in the point and now; `None` where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Why the configs were not compared; absent when they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configs_unknown: Option<String>,
    /// Partitions of the point, by number. Of another topic or none, nothing was compared.
    pub partitions: Vec<LivePartition>,
    /// Partitions that only the source has.
    #[serde(default)]
    pub new_partitions: u64,
}

/// What became of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LiveState {
    /// The source has it.
    Same,
    /// The source does not have it, or the user of the backup may not see it.
    Gone,
    /// The source has another topic of that name: it was deleted and made again.
    Recreated,
}

/// A partition of the recovery point, beside the source's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LivePartition {
    /// Number.
    pub partition: i32,
    /// First offset of the point.
    pub first: i64,
    /// Offset after the last of the point.
    pub next: i64,
    /// First offset of the source; `None` when the source does not have the partition.
    pub start: Option<i64>,
    /// Offset after the last that consumers of the source may read; `None` as with `start`.
    pub end: Option<i64>,
    /// Batches that are the same in both.
    pub same: Batches,
    /// Batches of the point below the source's first offset: retention or a deletion of records removed them there.
    pub expired: Batches,
    /// Batches of the point that the source's cleaner removed or made smaller. Of compacted topics only.
    pub compacted: Batches,
    /// Batches of the point that the source does not have.
    pub missing: Batches,
    /// Batches with the same first offset and another checksum.
    pub different: Batches,
    /// Batches of the source, below the end of the point, that the point does not have and that no gap explains.
    pub not_archived: Batches,
    /// Why the rest was not compared; absent when everything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl LivePartition {
    /// Whether the point and the source contradict each other.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        [&self.missing, &self.different, &self.not_archived].iter().any(|found| found.batches > 0)
            || self.end.is_none()
            || self.end.is_some_and(|end| end < self.next)
    }
}

/// Configs that differ, each with its value before and after; `None` where there is none.
#[must_use]
pub fn changed_configs(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differs.map(|key| (key.clone(), (before.get(key).cloned(), after.get(key).cloned()))).collect()
}

/// Some batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batches {
    /// How many.
    pub batches: u64,
    /// Records that they hold.
    pub records: u64,
    /// First offset of the first; `None` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
}

impl Batches {
    /// Counts one more.
    pub fn add(&mut self, first: i64, records: u64) {
        self.batches += 1;
        self.records += records;
        self.first.get_or_insert(first);
    }
}
