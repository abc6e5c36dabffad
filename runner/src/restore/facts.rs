//! What the target cluster says about the topics of a restore.

use std::collections::{BTreeMap, HashMap};

use contract::Failure;
use wire::{Cluster, Isolation, OffsetAt, Request, Topic, WireError, code};

/// A topic that exists on the target.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) topic: Topic,
    /// Values in force.
    pub(crate) effective: BTreeMap<String, String>,
    /// Values that the topic itself has.
    pub(crate) own: BTreeMap<String, String>,
    /// Offsets that its partitions hold now: end minus start.
    pub(crate) held: i64,
}

/// Looks at target topics; those that do not exist are left out.
///
/// # Errors
/// When a topic may not be described.
pub(crate) async fn existing(cluster: &Cluster, names: &[String]) -> Result<HashMap<String, Existing>, Failure> {
    let mut topics = Vec::new();
    for topic in cluster.topics(Some(names)).await? {
        match topic.error {
            0 => topics.push(topic),
            code::UNKNOWN_TOPIC_OR_PARTITION => {}
            other => {
                return Err(WireError::broker(Request::Metadata, format!("target topic {}", topic.name), other).into());
            }
        }
    }
    let found: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut configs = cluster.topic_configs(&found).await?;
    let start = cluster.offsets(&topics, OffsetAt::Start, Isolation::Uncommitted).await?;
    let end = cluster.offsets(&topics, OffsetAt::End, Isolation::Uncommitted).await?;
    let mut out = HashMap::new();
    for topic in topics {
        let held = |p: &wire::Partition| {
            let key = (topic.name.clone(), p.index);
            end.get(&key).unwrap_or(&0) - start.get(&key).unwrap_or(&0)
        };
        let held = topic.partitions.iter().map(held).sum();
        let entries = configs.remove(&topic.name).unwrap_or_default();
        let own = entries
            .iter()
            .filter(|(_, entry)| entry.own)
            .filter_map(|(k, e)| Some((k.clone(), e.value.clone()?)))
            .collect();
        let effective = entries.into_iter().filter_map(|(name, entry)| Some((name, entry.value?))).collect();
        out.insert(topic.name.clone(), Existing { topic, effective, own, held });
    }
    Ok(out)
}
