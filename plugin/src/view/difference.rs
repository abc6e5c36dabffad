//! How two recovery points differ: what came, what went, what is another. Pure.

use std::collections::{BTreeMap, BTreeSet};

use inspect::{PartitionDetail, PointDetail, TopicDetail, changed_configs};
use serde::Serialize;

/// How a later recovery point differs from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The earlier point.
    pub before: Side,
    /// The later point.
    pub after: Side,
    /// Topics that differ, by name.
    pub topics: Vec<TopicDifference>,
    /// Topics that are the same.
    pub same_topics: u64,
    /// Whether something of the earlier point is gone or is another in the later one. What a topic's retention deletes counts
    /// as an ordinary change.
    pub has_losses: bool,
}

/// One of the two points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Name.
    pub point: String,
    /// Its second (RFC 3339).
    pub at: String,
    /// Id of the source cluster.
    pub cluster_id: String,
}

/// What became of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TopicChange {
    /// Only the later point has it.
    Added,
    /// The later point does not have it, or the source no longer had it.
    Removed,
    /// It was deleted and made again: another topic of the same name.
    Recreated,
    /// Both have it, with other contents, partitions or configs.
    Changed,
}

/// How a topic differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicDifference {
    /// Name.
    pub topic: String,
    /// What became of it.
    pub change: TopicChange,
    /// Replicas before and after; absent when they are the same, or one point does not have the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<(i16, i16)>,
    /// Configs of its own that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ConfigDifference>,
    /// Partitions that differ, by number.
    pub partitions: Vec<PartitionDifference>,
}

/// How a config of a topic differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigDifference {
    /// Its key.
    pub key: String,
    /// Its value before; absent when the topic had none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its value after; absent when the topic has none of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// How a partition differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionDifference {
    /// Number.
    pub partition: i32,
    /// What the earlier point holds; absent when it does not have the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Range>,
    /// What the later point holds; absent when it does not have the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Range>,
    /// Offsets that the later point lacks and the earlier one does not, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<NewGap>,
    /// What is gone or another in the later point; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
}

/// What a point holds of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// First offset.
    pub first: i64,
    /// Offset after the last.
    pub next: i64,
    /// Records.
    pub records: u64,
    /// Newest timeline.
    pub timeline: u32,
}

/// Offsets that a point lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewGap {
    /// First offset.
    pub from: i64,
    /// Offset after the last.
    pub to: i64,
    /// Why.
    pub reason: String,
}

/// Why a partition lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    /// The later point does not have the partition.
    Gone,
    /// The source's log was cut, and other records have those offsets now: a new timeline began.
    Replaced,
    /// The later point ends before the earlier one.
    Shorter,
    /// The later point lacks offsets that the source no longer had, or could not give.
    Gap,
}

impl Loss {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Gone => "the partition is gone",
            Self::Replaced => "records were replaced (new timeline)",
            Self::Shorter => "it ends earlier",
            Self::Gap => "new gap",
        }
    }
}

impl TopicDifference {
    /// Whether something of the earlier point is gone or another.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self.change, TopicChange::Removed | TopicChange::Recreated)
            || self.partitions.iter().any(|partition| partition.loss.is_some())
    }

    /// Records in the later point that go beyond the end of the earlier one, or that are in a new partition.
    #[must_use]
    pub fn came(&self) -> u64 {
        self.partitions.iter().map(PartitionDifference::came).sum()
    }

    /// Records less than the earlier point held, by partition.
    #[must_use]
    pub fn went(&self) -> u64 {
        self.partitions.iter().map(PartitionDifference::went).sum()
    }
}

impl PartitionDifference {
    /// Records more than the earlier point held.
    #[must_use]
    pub fn came(&self) -> u64 {
        let (before, after) = self.records();
        after.saturating_sub(before)
    }

    /// Records less than the earlier point held.
    #[must_use]
    pub fn went(&self) -> u64 {
        let (before, after) = self.records();
        before.saturating_sub(after)
    }

    fn records(&self) -> (u64, u64) {
        let of = |range: Option<Range>| range.map_or(0, |range| range.records);
        (of(self.before), of(self.after))
    }
}

impl Difference {
    /// Compares two points; the earlier one counts as the one before, in whichever order they come.
    #[must_use]
    pub fn of(one: &PointDetail, other: &PointDetail) -> Self {
        let (before, after) = if one.at <= other.at { (one, other) } else { (other, one) };
        let live = |point: &PointDetail| -> BTreeMap<String, TopicDetail> {
            let topics = point.topics.iter().filter(|topic| topic.live);
            topics.map(|topic| (topic.name.clone(), topic.clone())).collect()
        };
        let (old, new) = (live(before), live(after));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let same_source = before.cluster_id == after.cluster_id;
        let compare = |name: &&String| {
            let gaps = |partition: i32| new_gaps(before, after, name, partition);
            topic(name, (old.get(*name), new.get(*name)), same_source, gaps)
        };
        let topics: Vec<_> = names.iter().filter_map(compare).collect();
        Self {
            before: side(before),
            after: side(after),
            same_topics: (names.len() - topics.len()) as u64,
            has_losses: topics.iter().any(TopicDifference::is_loss),
            topics,
        }
    }
}

fn side(point: &PointDetail) -> Side {
    Side { point: point.name.clone(), at: point.at.clone(), cluster_id: point.cluster_id.clone() }
}

/// `None` when nothing differs.
fn topic(
    name: &str,
    (old, new): (Option<&TopicDetail>, Option<&TopicDetail>),
    same_source: bool,
    gaps: impl Fn(i32) -> Vec<NewGap>,
) -> Option<TopicDifference> {
    let change = match (old, new) {
        (Some(old), Some(new)) if same_source && old.id != new.id => TopicChange::Recreated,
        (Some(_), Some(_)) => TopicChange::Changed,
        (Some(_), None) => TopicChange::Removed,
        (None, _) => TopicChange::Added,
    };
    let by_number = |topic: Option<&TopicDetail>| -> BTreeMap<i32, Range> {
        let partitions = topic.into_iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| (partition.partition, range(partition))).collect()
    };
    let (before, after) = (by_number(old), by_number(new));
    let numbers: BTreeSet<i32> = before.keys().chain(after.keys()).copied().collect();
    let partitions = numbers.into_iter().filter_map(|number| {
        let (before, after) = (before.get(&number).copied(), after.get(&number).copied());
        let gaps = if change == TopicChange::Changed { gaps(number) } else { Vec::new() };
        let loss = if change == TopicChange::Changed { loss(before, after, &gaps) } else { None };
        (before != after || !gaps.is_empty()).then_some(PartitionDifference {
            partition: number,
            before,
            after,
            gaps,
            loss,
        })
    });
    let (both, partitions) = (old.zip(new), partitions.collect::<Vec<_>>());
    let replication = both.map(|(old, new)| (old.replication, new.replication)).filter(|(old, new)| old != new);
    let configs = both.map_or_else(Vec::new, |(old, new)| {
        let one = |(key, (before, after))| ConfigDifference { key, before, after };
        changed_configs(&old.configs, &new.configs).into_iter().map(one).collect()
    });
    let is_same = partitions.is_empty() && configs.is_empty() && replication.is_none();
    if change == TopicChange::Changed && is_same {
        return None;
    }
    Some(TopicDifference { topic: name.to_owned(), change, replication, configs, partitions })
}

fn range(partition: &PartitionDetail) -> Range {
    let PartitionDetail { first, next, records, timeline, .. } = *partition;
    Range { first, next, records, timeline }
}

fn loss(before: Option<Range>, after: Option<Range>, gaps: &[NewGap]) -> Option<Loss> {
    let before = before?;
    match after {
        None => Some(Loss::Gone),
        Some(after) if after.timeline != before.timeline => Some(Loss::Replaced),
        Some(after) if after.next < before.next => Some(Loss::Shorter),
        Some(_) if !gaps.is_empty() => Some(Loss::Gap),
        Some(_) => None,
    }
}

/// Gaps of a partition that the later point has and the earlier one does not.
fn new_gaps(before: &PointDetail, after: &PointDetail, topic: &str, partition: i32) -> Vec<NewGap> {
    let known = |from: i64, to: i64| {
        before
            .gaps
            .iter()
            .any(|gap| (gap.name.as_str(), gap.partition, gap.from, gap.to) == (topic, partition, from, to))
    };
    let gaps = after.gaps.iter().filter(|gap| gap.name == topic && gap.partition == partition);
    let new = gaps.filter(|gap| !known(gap.from, gap.to));
    new.map(|gap| NewGap { from: gap.from, to: gap.to, reason: gap.reason.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::show::tests::{detail, detail_topic};

    fn partition(number: i32, first: i64, next: i64, timeline: u32) -> PartitionDetail {
        PartitionDetail {
            partition: number,
            first,
            next,
            records: u64::try_from(next - first).unwrap(),
            bytes: 0,
            oldest: None,
            newest: None,
            timeline,
        }
    }

    fn one(id: &str, partitions: Vec<PartitionDetail>) -> TopicDetail {
        TopicDetail { partitions, ..detail_topic("orders", id) }
    }

    fn compare(old: Vec<TopicDetail>, new: Vec<TopicDetail>) -> Difference {
        Difference::of(&detail("a-20261119-020000", old), &detail("a-20261120-020000", new))
    }

    fn losses(found: &Difference) -> Vec<Option<Loss>> {
        found.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.loss).collect()
    }

    #[test]
    fn what_grew_is_no_loss() {
        let old = one("1", vec![partition(0, 0, 10, 0), partition(1, 0, 5, 0)]);
        let new = one("1", vec![partition(0, 4, 25, 0), partition(1, 0, 5, 0), partition(2, 0, 3, 0)]);
        let found = compare(vec![old], vec![new]);
        assert_eq!((losses(&found), found.has_losses), (vec![None, None], false));
        let topic = &found.topics[0];
        assert_eq!((topic.change, topic.came(), topic.went()), (TopicChange::Changed, 11 + 3, 0));
        assert_eq!(topic.partitions.iter().map(|p| p.partition).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn what_is_gone_or_another_is_a_loss() {
        let old = || one("1", vec![partition(0, 0, 10, 0)]);
        for (new, expected) in [
            (vec![one("1", vec![partition(0, 0, 9, 0)])], Loss::Shorter),
            (vec![one("1", vec![partition(0, 0, 12, 1)])], Loss::Replaced),
            (vec![one("1", Vec::new())], Loss::Gone),
        ] {
            let found = compare(vec![old()], new);
            assert_eq!((losses(&found), found.has_losses), (vec![Some(expected)], true));
        }
        for (new, expected) in [
            (vec![one("2", vec![partition(0, 0, 10, 0)])], TopicChange::Recreated),
            (Vec::new(), TopicChange::Removed),
            (vec![TopicDetail { live: false, ..old() }], TopicChange::Removed),
        ] {
            let found = compare(vec![old()], new);
            assert_eq!((found.topics[0].change, found.has_losses), (expected, true));
        }
        let found = compare(Vec::new(), vec![old()]);
        assert_eq!((found.topics[0].change, found.has_losses), (TopicChange::Added, false));
    }

    #[test]
    fn a_gap_is_told_once_where_it_began() {
        let topic = || one("1", vec![partition(0, 0, 10, 0)]);
        let gap = |from: i64| archive_gap("orders", 0, from, from + 2);
        let point = |name: &str, gaps: Vec<i64>| PointDetail {
            gaps: gaps.into_iter().map(gap).collect(),
            ..detail(name, vec![topic()])
        };
        let old = point("a-20261119-020000", vec![3]);
        let found = Difference::of(&old, &point("a-20261120-020000", vec![3, 7]));
        let gaps: Vec<_> = found.topics[0].partitions[0].gaps.iter().map(|gap| (gap.from, gap.to)).collect();
        assert_eq!((gaps, losses(&found)), (vec![(7, 9)], vec![Some(Loss::Gap)]));
        assert!(Difference::of(&old, &point("a-20261120-020000", vec![3])).topics.is_empty());
    }

    fn archive_gap(name: &str, partition: i32, from: i64, to: i64) -> inspect::Gap {
        let gap = serde_json::json!({
            "topic": "00000000-0000-0000-0000-000000000001", "name": name, "partition": partition,
            "from": from, "to": to, "reason": "log-start-moved",
        });
        serde_json::from_value(gap).unwrap()
    }

    #[test]
    fn configs_and_replicas_are_compared() {
        let with = |key: &str, value: &str, replication| TopicDetail {
            configs: BTreeMap::from([(key.to_owned(), value.to_owned())]),
            replication,
            ..one("1", Vec::new())
        };
        let found = compare(vec![with("retention.ms", "1", 1)], vec![with("cleanup.policy", "compact", 3)]);
        let topic = &found.topics[0];
        assert_eq!(topic.replication, Some((1, 3)));
        let told: Vec<_> =
            topic.configs.iter().map(|c| (c.key.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        assert_eq!(told, [("cleanup.policy", None, Some("compact")), ("retention.ms", Some("1"), None)]);
        assert!(!found.has_losses);
    }

    #[test]
    fn another_cluster_has_other_ids_for_the_same_topics() {
        let old = detail("a-20261119-020000", vec![one("1", vec![partition(0, 0, 10, 0)])]);
        let other = PointDetail {
            cluster_id: "other".into(),
            ..detail("b-20261120-020000", vec![one("2", vec![partition(0, 0, 10, 0)])])
        };
        assert!(Difference::of(&old, &other).topics.is_empty());
    }

    proptest! {
        /// Nothing differs from itself; the order of the two does not matter; each topic is counted once.
        #[test]
        fn a_difference_adds_up(
            old in prop::collection::btree_map(0u8..6, (0i64..3, 3i64..9, 0u32..2), 0..6),
            new in prop::collection::btree_map(0u8..6, (0i64..3, 3i64..9, 0u32..2), 0..6),
        ) {
            let topics = |all: &BTreeMap<u8, (i64, i64, u32)>| all.iter().map(|(name, (first, next, timeline))| TopicDetail {
                partitions: vec![partition(0, *first, *next, *timeline)],
                ..detail_topic(&format!("t{name}"), &name.to_string())
            }).collect::<Vec<_>>();
            let (old, new) = (detail("a-20261119-020000", topics(&old)), detail("a-20261120-020000", topics(&new)));
            let found = Difference::of(&old, &new);
            prop_assert_eq!(&found, &Difference::of(&new, &old));
            prop_assert!(Difference::of(&old, &old).topics.is_empty());
            let names: BTreeSet<_> = old.topics.iter().chain(&new.topics).map(|topic| &topic.name).collect();
            prop_assert_eq!(names.len() as u64, found.same_topics + found.topics.len() as u64);
            let held = |point: &PointDetail| point.topics.iter().flat_map(|t| &t.partitions).map(|p| p.records).sum::<u64>();
            let (came, went): (u64, u64) = found.topics.iter().fold((0, 0), |(c, w), t| (c + t.came(), w + t.went()));
            prop_assert_eq!(held(&old) + came, held(&new) + went);
        }
    }
}
