//! What stands in an offset mapping. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The newest form.
pub(crate) const FORM: u32 = 2;

/// One partition of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) source_first_offset: i64,
    pub(crate) source_last_offset: i64,
    #[serde(default)]
    pub(crate) target_first_offset: Option<i64>,
    #[serde(default)]
    pub(crate) target_last_offset: Option<i64>,
    #[serde(default)]
    pub(crate) first_timestamp: i64,
    #[serde(default)]
    pub(crate) last_timestamp: i64,
    /// The topic of the source. An addition; without it the topic of the target is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_topic: Option<String>,
    /// The partition of the source. An addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_partition: Option<i32>,
}

/// A group whose offsets the restore computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MappedGroup {
    pub(crate) group_id: String,
    /// `classic`, `consumer`, `share` or `streams`. An addition.
    #[serde(default = "super::super::snapshot::classic")]
    pub(crate) kind: String,
    /// By target topic and partition.
    pub(crate) offsets: BTreeMap<String, BTreeMap<i32, MappedOffset>>,
}

impl MappedGroup {
    /// What cannot be, of a group that the file has under `id`.
    pub(super) fn fault(&self, id: &str) -> Option<String> {
        if self.group_id != id {
            return Some(format!("names group {id:?} and group {:?} for the same offsets", self.group_id));
        }
        let bad = |at: &MappedOffset| at.source_offset < 0 || at.target_offset.is_some_and(|offset| offset < 0);
        self.offsets.iter().find_map(|(topic, partitions)| {
            let (partition, _) = partitions.iter().find(|(partition, at)| **partition < 0 || bad(at))?;
            Some(format!("has an offset of group {id:?} in {topic}/{partition} that cannot be"))
        })
    }
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MappedOffset {
    pub(crate) source_offset: i64,
    #[serde(default)]
    pub(crate) target_offset: Option<i64>,
    #[serde(default)]
    pub(crate) timestamp: i64,
    #[serde(default)]
    pub(crate) metadata: Option<String>,
}

/// Records that follow each other in source and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Run {
    pub(crate) source_start: i64,
    pub(crate) target_start: i64,
    pub(crate) len: u64,
    pub(crate) first_timestamp: i64,
    pub(crate) last_timestamp: i64,
}

impl Run {
    /// The offset after its last record.
    pub(super) fn end(&self, start: i64) -> i64 {
        start.saturating_add(i64::try_from(self.len).unwrap_or(i64::MAX))
    }

    /// Takes the records of the next one in, where they follow in source and target.
    pub(super) fn joined(&mut self, next: &Self) -> bool {
        let follows =
            (self.end(self.source_start), self.end(self.target_start)) == (next.source_start, next.target_start);
        if follows {
            self.len = self.len.saturating_add(next.len);
        }
        follows
    }

    /// Whether it lies before the other one in source and target.
    pub(super) fn is_before(&self, next: &Self) -> bool {
        self.end(self.source_start) <= next.source_start && self.end(self.target_start) <= next.target_start
    }
}
