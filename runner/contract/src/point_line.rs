//! A recovery point in a list. The runner makes it from a seal; reports, events, statuses and answers about an archive have
//! it, so that all of them say the same of a point.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stamp::stamp_time;

/// A recovery point in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointLine {
    /// Name.
    pub name: String,
    /// Its second (RFC 3339).
    pub at: String,
    /// Live topics.
    pub topics: u64,
    /// Their partitions.
    pub partitions: u64,
    /// Committed records in all of it.
    pub records: u64,
    /// Decompressed bytes in all of it.
    pub bytes: u64,
    /// Largest timestamp of a record (milliseconds since 1970); absent without records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<i64>,
    /// Partitions that end before the source's end.
    pub held_back: u64,
    /// Second of the backup's point before it (RFC 3339), or `none` for the first; absent where that is not known. A list in
    /// which each point names the one before lacks none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub before: Option<Before>,
    /// Id that the source cluster gave itself, where the run that made the point tells it: a restore of the point expects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

/// What lies before a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Before {
    /// It is the first.
    Nothing,
    /// The point of this second (RFC 3339).
    Point(String),
}

/// How [`Before::Nothing`] is written.
const NOTHING: &str = "none";

impl Before {
    /// The point of this stamp, or nothing.
    #[must_use]
    pub fn stamp(stamp: Option<&str>) -> Self {
        stamp.map_or(Self::Nothing, |stamp| Self::Point(stamp_time(stamp)))
    }
}

impl From<String> for Before {
    fn from(text: String) -> Self {
        if text == NOTHING { Self::Nothing } else { Self::Point(text) }
    }
}

impl From<Before> for String {
    fn from(before: Before) -> Self {
        match before {
            Before::Nothing => NOTHING.to_owned(),
            Before::Point(at) => at,
        }
    }
}
