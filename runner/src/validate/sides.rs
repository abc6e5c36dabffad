//! What a cluster shall hold of each partition: by what a restore noted, or by the recovery point alone. Pure.

use archive::Seal;
use contract::Selection;
use uuid::Uuid;

use crate::logs::Span;
use crate::restore::finished::Placed;

/// One partition that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    /// Topic of the archive.
    pub(super) source: String,
    /// Topic of the cluster.
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) shall: Shall,
    pub(super) is: Is,
}

/// What a partition shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shall {
    /// What a restore put there.
    Restored(Placed),
    /// What the recovery point has of the partition of the same name and number.
    Archived {
        /// First offset in the source, and the one after the last.
        first: i64,
        next: i64,
        records: u64,
    },
}

impl Shall {
    /// Records that shall be there.
    pub(super) fn records(&self) -> u64 {
        match self {
            Self::Restored(placed) => placed.records(),
            Self::Archived { records, .. } => *records,
        }
    }
}

/// What a partition of the cluster is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    /// Its log.
    Log(Span),
    /// There is no such topic.
    NoTopic,
    /// The topic has another id than the restore wrote to: it was deleted and created again.
    OtherTopic,
    /// The topic has fewer partitions.
    NoPartition,
}

impl Is {
    /// What is wrong with it, where there is no log to compare with.
    pub(super) fn missing(self) -> Option<&'static str> {
        match self {
            Self::Log(_) => None,
            Self::NoTopic => Some("the cluster has no such topic"),
            Self::OtherTopic => Some("the topic was deleted and created again since the restore"),
            Self::NoPartition => Some("the topic has no such partition"),
        }
    }
}

impl Side {
    /// As people write it.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.topic, self.partition)
    }

    /// Whether a check of these topics of the archive is about it.
    pub(super) fn is_of(&self, topics: &Selection) -> bool {
        topics.matches(&self.source)
    }
}

/// What each live partition of a recovery point has: topic, partition, and what shall be there.
pub(super) fn archived(seal: &Seal) -> Vec<(String, i32, Shall)> {
    let row = |row: &archive::PartitionState| {
        let topic = seal.topics.get(row.topic as usize).filter(|topic| topic.live)?;
        let shall = Shall::Archived { first: row.first, next: row.next, records: row.held() };
        Some((topic.name.clone(), row.partition, shall))
    };
    seal.partitions.iter().filter_map(row).collect()
}

/// What a partition is now, by the topic that the cluster has and the log that it told.
pub(super) fn is(topic: Option<Uuid>, wanted: Option<Uuid>, log: Option<Span>) -> Is {
    match (topic, wanted, log) {
        (None, _, _) => Is::NoTopic,
        (Some(is), Some(wanted), _) if is != wanted => Is::OtherTopic,
        (Some(_), _, None) => Is::NoPartition,
        (Some(_), _, Some(log)) => Is::Log(log),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_was_made_again_is_another_one() {
        let (one, two, log) = (Uuid::from_u128(1), Uuid::from_u128(2), Span { start: 0, end: 5 });
        assert_eq!(is(Some(one), Some(one), Some(log)), Is::Log(log));
        assert_eq!(is(Some(two), Some(one), Some(log)), Is::OtherTopic);
        assert_eq!(is(None, Some(one), None), Is::NoTopic);
        assert_eq!(is(Some(one), None, None), Is::NoPartition);
        assert_eq!(is(Some(two), None, Some(log)), Is::Log(log));
    }
}
