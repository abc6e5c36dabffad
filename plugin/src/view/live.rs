//! How the source differs from a recovery point now. Pure.

use inspect::{Batches, LiveHead, LivePartition, LiveState, LiveTopic};
use serde::Serialize;

/// A recovery point beside its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveDifference {
    /// The point and the source.
    #[serde(flatten)]
    pub head: LiveHead,
    /// Whether the source lost or changed something that the point holds, or has records below the end of the point that the
    /// point does not have.
    pub contradicts: bool,
    /// Whether something could not be compared.
    pub incomplete: bool,
    /// The topics of the point.
    pub topics: Vec<LiveTopic>,
}

impl LiveDifference {
    /// Judges what was found.
    #[must_use]
    pub fn of(head: LiveHead, topics: Vec<LiveTopic>) -> Self {
        let contradicts = topics.iter().any(is_contradiction);
        let incomplete = topics.iter().flat_map(|topic| &topic.partitions).any(|part| part.unknown.is_some());
        Self { head, contradicts, incomplete, topics }
    }
}

/// Whether a topic of the source contradicts the point.
#[must_use]
pub fn is_contradiction(topic: &LiveTopic) -> bool {
    topic.state != LiveState::Same || topic.partitions.iter().any(LivePartition::is_contradiction)
}

/// Batches of all partitions of a topic.
#[must_use]
pub fn sum(topic: &LiveTopic, of: fn(&LivePartition) -> Batches) -> u64 {
    topic.partitions.iter().map(|part| of(part).batches).sum()
}

/// Offsets of the source behind the end of the point.
#[must_use]
pub fn newer(topic: &LiveTopic) -> u64 {
    let beyond = |part: &LivePartition| part.end.and_then(|end| u64::try_from(end - part.next).ok());
    topic.partitions.iter().filter_map(beyond).sum()
}

/// What is wrong with a partition, in words.
#[must_use]
pub fn findings(topic: &LiveTopic, part: &LivePartition) -> Vec<String> {
    let place = format!("{}/{}", topic.name, part.partition);
    let mut out = Vec::new();
    if topic.state == LiveState::Same {
        match part.end {
            None => out.push(format!("{place}: the source does not have this partition")),
            Some(end) if end < part.next => {
                out.push(format!("{place}: the source ends at offset {end}, the point at offset {}", part.next));
            }
            Some(_) => {}
        }
    }
    let kinds = [
        (part.missing, "of the point are not in the source"),
        (part.different, "have another checksum in the source"),
        (part.not_archived, "of the source are not in the point, and no gap explains it"),
    ];
    for (found, words) in kinds {
        if let Some(first) = found.first {
            let Batches { batches, records, .. } = found;
            out.push(format!(
                "{place}: {batches} batches ({records} records) {words}; the first begins at offset {first}"
            ));
        }
    }
    out.extend(part.unknown.as_ref().map(|why| format!("{place}: the rest was not compared: {why}")));
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn topic(state: LiveState, part: LivePartition) -> LiveTopic {
        LiveTopic {
            name: "orders".into(),
            state,
            replication: None,
            configs: BTreeMap::new(),
            configs_unknown: None,
            partitions: vec![part],
            new_partitions: 0,
        }
    }

    fn part(end: i64) -> LivePartition {
        LivePartition { partition: 3, next: 10, start: Some(0), end: Some(end), ..LivePartition::default() }
    }

    #[test]
    fn what_grew_contradicts_nothing() {
        let grown = topic(LiveState::Same, part(14));
        assert_eq!((is_contradiction(&grown), newer(&grown)), (false, 4));
        assert!(findings(&grown, &grown.partitions[0]).is_empty());
        for (found, words) in [
            (topic(LiveState::Same, part(9)), "orders/3: the source ends at offset 9, the point at offset 10"),
            (topic(LiveState::Same, LivePartition { end: None, ..part(0) }), "orders/3: the source does not have"),
        ] {
            assert!(is_contradiction(&found));
            assert!(findings(&found, &found.partitions[0])[0].starts_with(words), "{found:?}");
        }
        assert!(is_contradiction(&topic(LiveState::Gone, part(10))));
        assert!(is_contradiction(&topic(LiveState::Recreated, part(10))));
    }

    #[test]
    fn batches_that_disagree_are_told_with_their_first_offset() {
        let mut bad = part(10);
        bad.missing.add(4, 2);
        bad.missing.add(6, 1);
        let found = topic(LiveState::Same, bad);
        let told = findings(&found, &found.partitions[0]);
        assert_eq!(
            told,
            ["orders/3: 2 batches (3 records) of the point are not in the source; the first begins at offset 4"]
        );
        let head = LiveHead { name: "p".into(), at: String::new(), cluster_id: "c".into(), new_topics: Vec::new() };
        assert!(LiveDifference::of(head, vec![found]).contradicts);
    }
}
