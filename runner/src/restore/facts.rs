//! What the target cluster says about the topics of a restore. A missing or late answer is never a value: what is not
//! known yet is asked again until it is known.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::{Code, Failure};
use wire::{Cluster, Request, Topic, WireError};

use super::state::TargetTopic;
use crate::logs::{Span, present, spans, unanswered, unknown};

/// Looks in a row after which a topic of the state counts as gone or as another one: a broker that just started, or is
/// behind, answers so for a moment.
const GONE_LOOKS: u32 = 3;

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
        let own = wire::own_configs(&entries);
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
        let Some(other) = first_other(&found, state) else { return Ok(found) };
        let waiting = WireError::no_progress(format!("target topic {}", other.name), "it has another id");
        if let Err(WireError::Deadline { .. }) = backoff.wait(waiting).await {
            break;
        }
    }
    let found = present(cluster, &names).await?;
    match first_other(&found, state) {
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

/// The first topic of the state that was not found, or is another one now.
fn first_other<'a>(found: &[Topic], state: &'a [TargetTopic]) -> Option<&'a TargetTopic> {
    let found: HashSet<_> = found.iter().map(|topic| (topic.name.as_str(), topic.id)).collect();
    state.iter().find(|topic| !found.contains(&(topic.name.as_str(), topic.id)))
}
