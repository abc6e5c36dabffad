//! Topics that exist, and where the logs of their partitions begin and end. A missing or late answer is never a value: what is
//! not known yet is asked again until it is known.

use std::collections::HashMap;

use contract::Failure;
use serde::{Deserialize, Serialize};
use wire::{BrokerId, Cluster, Isolation, OffsetAt, Request, Topic, WireError, code};

/// Log start and end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// Log start and end of every partition of these topics.
///
/// # Errors
/// When one is not known until the deadline.
pub(crate) async fn spans(cluster: &Cluster, topics: &[Topic]) -> Result<HashMap<(String, i32), Span>, Failure> {
    let starts = cluster.offsets(topics, OffsetAt::Start, Isolation::Uncommitted).await?;
    let ends = cluster.offsets(topics, OffsetAt::End, Isolation::Uncommitted).await?;
    let mut out = HashMap::new();
    for topic in topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.index);
            let span = starts.get(&key).zip(ends.get(&key)).map(|(start, end)| Span { start: *start, end: *end });
            let span = span.ok_or_else(|| unknown(&key))?;
            out.insert(key, span);
        }
    }
    Ok(out)
}

/// Leaders by topic and partition, -1 where there is none.
pub(crate) fn leaders(topics: &[Topic]) -> HashMap<(&str, i32), BrokerId> {
    let mut out = HashMap::new();
    for topic in topics {
        out.extend(topic.partitions.iter().map(|partition| ((topic.name.as_str(), partition.index), partition.leader)));
    }
    out
}

/// That the log of a partition is not known.
pub(crate) fn unknown((topic, partition): &(String, i32)) -> WireError {
    unanswered(Request::ListOffsets, format!("{topic}/{partition}"))
}

/// That a broker left something out of its answer.
pub(crate) fn unanswered(request: Request, subject: String) -> WireError {
    WireError::Unanswered { request, subject }
}

/// The topics of these names that exist, with all their leaders. That one does not exist, several looks of the client have
/// agreed on.
///
/// # Errors
/// When one may not be described, or not everything is known until the deadline.
pub(crate) async fn present(cluster: &Cluster, names: &[String]) -> Result<Vec<Topic>, Failure> {
    let mut backoff = cluster.backoff();
    loop {
        let topics = cluster.topics(Some(names)).await?;
        let Some(waiting) = unsettled(&topics, names) else {
            return Ok(topics.into_iter().filter(|topic| topic.error == 0).collect());
        };
        backoff.wait(waiting).await?;
    }
}

/// What is not known yet, or may not be asked.
fn unsettled(topics: &[Topic], names: &[String]) -> Option<WireError> {
    names.iter().find_map(|name| {
        let subject = format!("topic {name}");
        let Some(topic) = topics.iter().find(|topic| topic.name == *name) else {
            return Some(unanswered(Request::Metadata, subject));
        };
        match topic.error {
            0 if topic.partitions.is_empty() || topic.partitions.iter().any(|p| p.leader < 0) => {
                Some(WireError::no_leader(format!("a partition of {subject}")))
            }
            0 | code::UNKNOWN_TOPIC_OR_PARTITION => None,
            other => Some(WireError::broker(Request::Metadata, subject, other)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, error: i16, leaders: &[i32]) -> Topic {
        let partitions = leaders.iter().zip(0..).map(|(leader, index)| wire::Partition {
            index,
            leader: *leader,
            leader_epoch: 0,
            replicas: 1,
            in_sync: Vec::new(),
        });
        let (id, partitions) = (uuid::Uuid::from_u128(1), partitions.collect());
        Topic { id, wire_id: id, name: name.into(), internal: false, partitions, error }
    }

    #[test]
    fn an_answer_counts_only_when_it_says_everything() {
        let names = ["a".to_owned(), "b".to_owned()];
        let waits = |topics: &[Topic]| unsettled(topics, &names).is_some();
        let a = || topic("a", 0, &[1, 2]);
        assert!(!waits(&[a(), topic("b", 0, &[3])]));
        assert!(!waits(&[a(), topic("b", 3, &[])]), "it does not exist");
        for waiting in [topic("b", 5, &[]), topic("b", 0, &[]), topic("b", 0, &[-1]), topic("b", 29, &[])] {
            assert!(waits(&[a(), waiting.clone()]), "{waiting:?}");
            // What is not known yet weighs more than what is gone.
            assert!(waits(&[topic("a", 3, &[]), waiting]));
        }
        assert!(waits(&[a()]));
    }
}
