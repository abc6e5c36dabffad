//! What the target cluster says about the topics of a restore. A missing or late answer is never a value: what is not
//! known yet is asked again until it is known.

use std::collections::{BTreeMap, HashMap};

use contract::{Code, Failure};
use serde::{Deserialize, Serialize};
use wire::{Cluster, Isolation, OffsetAt, Request, Topic, WireError, code};

use super::state::TargetTopic;

/// Looks in a row after which a topic of the state counts as gone or as another one: a broker that just started, or is
/// behind, answers so for a moment.
const GONE_LOOKS: u32 = 3;

/// Log start and end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// A topic that exists on the target.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) topic: Topic,
    /// Values in force.
    pub(crate) effective: BTreeMap<String, String>,
    /// Values that the topic itself has.
    pub(crate) own: BTreeMap<String, String>,
    /// Every partition's log.
    pub(crate) spans: BTreeMap<i32, Span>,
}

impl Existing {
    /// Offsets that its partitions hold: end minus start.
    pub(crate) fn held(&self) -> i64 {
        self.spans.values().map(|span| span.end - span.start).sum()
    }
}

/// Looks at target topics; those that do not exist are left out.
///
/// # Errors
/// When a topic may not be described, or not everything is known until the deadline.
pub(crate) async fn existing(cluster: &Cluster, names: &[String]) -> Result<HashMap<String, Existing>, Failure> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let topics = present(cluster, names).await?;
    let found: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut configs = cluster.topic_configs(&found).await?;
    let mut spans = spans(cluster, &topics).await?;
    let mut out = HashMap::new();
    for topic in topics {
        let missing = || unanswered(Request::DescribeConfigs, format!("configs of topic {}", topic.name));
        let entries = configs.remove(&topic.name).ok_or_else(missing)?;
        let own = entries
            .iter()
            .filter(|(_, entry)| entry.own)
            .filter_map(|(k, e)| Some((k.clone(), e.value.clone()?)))
            .collect();
        let effective = entries.into_iter().filter_map(|(name, entry)| Some((name, entry.value?))).collect();
        let mut of_topic = BTreeMap::new();
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.index);
            of_topic.insert(partition.index, spans.remove(&key).ok_or_else(|| unknown(&key))?);
        }
        out.insert(topic.name.clone(), Existing { topic, effective, own, spans: of_topic });
    }
    Ok(out)
}

/// The topics of the state, each under the id that the restore began with.
///
/// # Errors
/// [`Code::StateMismatch`] when one is gone or another one.
pub(crate) async fn same_topics(cluster: &Cluster, state: &[TargetTopic]) -> Result<Vec<Topic>, Failure> {
    let names: Vec<_> = state.iter().map(|topic| topic.name.clone()).collect();
    let mut backoff = cluster.backoff();
    for _ in 0..GONE_LOOKS {
        let found = present(cluster, &names).await?;
        let same = |topic: &TargetTopic| found.iter().any(|f| f.name == topic.name && f.id == topic.id);
        let Some(other) = state.iter().find(|topic| !same(topic)) else { return Ok(found) };
        let waiting = WireError::no_progress(format!("target topic {}", other.name), "it has another id");
        if let Err(WireError::Deadline { .. }) = backoff.wait(waiting).await {
            break;
        }
    }
    let found = present(cluster, &names).await?;
    let other = |topic: &&TargetTopic| !found.iter().any(|f| f.name == topic.name && f.id == topic.id);
    match state.iter().find(other) {
        None => Ok(found),
        Some(topic) => {
            let text = format!(
                "target topic {} is not the one that this restore began with (it was deleted or recreated); restore again under a new name",
                topic.name
            );
            Err(Failure::new(Code::StateMismatch, text))
        }
    }
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

fn unknown((topic, partition): &(String, i32)) -> WireError {
    unanswered(Request::ListOffsets, format!("{topic}/{partition}"))
}

fn unanswered(request: Request, subject: String) -> WireError {
    WireError::Unanswered { request, subject }
}

/// The topics of these names that exist, with all their leaders. That one does not exist, several looks of the client have
/// agreed on.
async fn present(cluster: &Cluster, names: &[String]) -> Result<Vec<Topic>, Failure> {
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
        let subject = format!("target topic {name}");
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
