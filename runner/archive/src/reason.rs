//! Why offsets are missing from a recovery point. Pure.

use serde::{Deserialize, Serialize};

/// Why offsets are missing for good (FORMAT.md, "Entry", `gaps`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// Retention or a deletion moved the log start of the source.
    LogStartMoved,
    /// The topic was deleted while it was read.
    TopicDeleted,
    /// The topic was deleted and created again while it was read.
    TopicRecreated,
    /// No replica has the batch whole.
    Damaged,
    /// The segments that held them are gone from the archive, and the source no longer has them.
    SegmentLost,
    /// A reason of a newer release.
    #[serde(other)]
    Other,
}

/// What kept offsets out of a recovery point for now (FORMAT.md, "Seal", `heldBack`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldReason {
    /// A transaction was open. Seals of release 0.1 know only this reason.
    #[default]
    OpenTransaction,
    /// No broker that leads the partition answered.
    Unavailable,
    /// The next batch is damaged on every replica, and no whole one follows it yet.
    Damaged,
    /// The user lost the right to read the topic.
    Forbidden,
    /// A reason of a newer release.
    #[serde(other)]
    Other,
}

macro_rules! shown_as_stored {
    ($($name:ident),*) => {
        $(impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.serialize(f)
            }
        })*
    };
}
shown_as_stored!(GapReason, HeldReason);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_shown_as_they_are_stored_and_new_ones_are_read() {
        assert_eq!(GapReason::LogStartMoved.to_string(), "log-start-moved");
        assert_eq!(GapReason::SegmentLost.to_string(), "segment-lost");
        assert_eq!(serde_json::to_string(&HeldReason::OpenTransaction).unwrap(), "\"open-transaction\"");
        assert_eq!(serde_json::from_str::<GapReason>("\"eaten-by-a-dog\"").unwrap(), GapReason::Other);
        assert_eq!(serde_json::from_str::<HeldReason>("\"unavailable\"").unwrap(), HeldReason::Unavailable);
    }
}
