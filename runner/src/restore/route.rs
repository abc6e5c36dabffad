//! Which partition of the target a record goes to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use contract::{RestoreSpec, Strategy};
use serde::{Deserialize, Serialize};

/// How the partitions of one topic are dealt out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Route {
    /// By number, with exceptions.
    Partition(BTreeMap<i32, i32>),
    /// By key, as Java's default partitioner; records without a key by source offset.
    Key(i32),
    /// By source offset.
    Offset(i32),
}

impl Route {
    /// The route of a topic: repartitioning wins over a mapping.
    pub(crate) fn new(spec: &RestoreSpec, target: &str) -> Self {
        match spec.repartitioning.get(target) {
            Some(new) if new.strategy == Strategy::Automatic => Self::Offset(new.target_partitions),
            Some(new) => Self::Key(new.target_partitions),
            None => Self::Partition(spec.partition_mapping.clone()),
        }
    }

    /// The only target of a source partition; `None` when its records go to several.
    pub(crate) fn single(&self, source: i32) -> Option<i32> {
        match self {
            Self::Partition(mapping) => Some(mapping.get(&source).copied().unwrap_or(source)),
            Self::Key(_) | Self::Offset(_) => None,
        }
    }

    /// The target of one record.
    pub(crate) fn of_record(&self, source: i32, offset: i64, key: Option<&[u8]>) -> i32 {
        let by_offset = |count: i32| i32::try_from(offset.rem_euclid(i64::from(count.max(1)))).unwrap_or(0);
        match (self, key) {
            (Self::Partition(_), _) => self.single(source).unwrap_or(source),
            (Self::Key(count), Some(key)) => batch::partition_of_key(key, *count),
            (Self::Key(count) | Self::Offset(count), _) => by_offset(*count),
        }
    }

    /// Every target that these source partitions may reach, in order.
    pub(crate) fn targets(&self, sources: &[i32]) -> Vec<i32> {
        match self {
            Self::Partition(_) => {
                let all: BTreeSet<_> = sources.iter().filter_map(|source| self.single(*source)).collect();
                all.into_iter().collect()
            }
            Self::Key(count) | Self::Offset(count) => (0..*count).collect(),
        }
    }

    /// Whether several source partitions meet in one target: then they are restored one after the other, so that a
    /// second attempt finds the same order.
    pub(crate) fn is_ordered(&self, sources: &[i32]) -> bool {
        self.targets(sources).len() < sources.len() || sources.iter().any(|source| self.single(*source).is_none())
    }

    /// Partitions that a created topic needs.
    pub(crate) fn partitions(&self, source_count: i32, sources: &[i32]) -> i32 {
        match self {
            Self::Partition(_) => self.targets(sources).last().map_or(0, |last| last + 1).max(source_count),
            Self::Key(count) | Self::Offset(count) => *count,
        }
    }

    /// The exact number of partitions that the target must have, where keys decide.
    pub(crate) fn exact(&self) -> Option<i32> {
        match self {
            Self::Partition(_) => None,
            Self::Key(count) | Self::Offset(count) => Some(*count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_move_merge_and_order() {
        let moved = Route::Partition(BTreeMap::from([(0, 5)]));
        assert_eq!((moved.single(0), moved.single(1)), (Some(5), Some(1)));
        assert_eq!(
            (moved.targets(&[0, 1]), moved.is_ordered(&[0, 1]), moved.partitions(2, &[0, 1])),
            (vec![1, 5], false, 6)
        );
        let merged = Route::Partition(BTreeMap::from([(0, 1)]));
        assert!(merged.is_ordered(&[0, 1]) && !merged.is_ordered(&[0]));
        assert_eq!((merged.targets(&[0, 1]), merged.partitions(2, &[0, 1])), (vec![1], 2));
        let keyed = Route::Key(3);
        assert!(keyed.is_ordered(&[0]) && keyed.exact() == Some(3));
        assert_eq!(keyed.of_record(9, 100, Some(b"foobar")), batch::partition_of_key(b"foobar", 3));
        assert_eq!((keyed.of_record(9, 100, None), Route::Offset(7).of_record(9, 100, Some(b"x"))), (1, 2));
    }
}
