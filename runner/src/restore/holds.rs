//! Configs that are held off while a restore works: noted with the user's true values, set, kept, and put back.
//!
//! What is held is in the state before it is changed. Only topics with the id that the state knows are changed.

use std::collections::{BTreeMap, HashMap};

use contract::names::is_internal_topic;
use contract::{Code, Failure};
use wire::Cluster;

use super::configs::held_at;
use super::facts::{Existing, existing, same_topics};
use super::state::TargetTopic;

/// The configs that the end of the restore looks at again.
const INTERESTING: [&str; 5] =
    ["cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type", "max.message.bytes"];

/// Notes what will be held, and what the topic itself says of it now.
pub(crate) fn note(topic: &mut TargetTopic, target: &Existing, held: BTreeMap<String, String>) {
    topic.previous = held.keys().map(|name| (name.clone(), target.own.get(name).cloned())).collect();
    topic.held = held;
    let interesting = target.effective.iter().filter(|(name, _)| is_noted(name));
    topic.effective = interesting.map(|(name, value)| (name.clone(), value.clone())).collect();
}

/// Whether the value in force of this config is noted.
pub(crate) fn is_noted(config: &str) -> bool {
    INTERESTING.contains(&config)
}

/// Held configs that do not have the value that they shall have.
pub(crate) fn differing(topic: &TargetTopic, target: &Existing) -> BTreeMap<String, String> {
    let differs = |(name, value): &(&String, &String)| target.effective.get(*name) != Some(value);
    topic.held.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Sets what differs; returns it as `topic: config`.
///
/// # Errors
/// A topic that is another one now; what the cluster refuses.
pub(crate) async fn set(cluster: &Cluster, topics: &[TargetTopic]) -> Result<Vec<String>, Failure> {
    same_topics(cluster, topics).await?;
    let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let targets = existing(cluster, &names).await?;
    let mut out = Vec::new();
    for topic in topics {
        let Some(target) = targets.get(&topic.name) else { continue };
        let differing = differing(topic, target);
        if differing.is_empty() {
            continue;
        }
        out.extend(differing.keys().map(|name| format!("{}: {name}", topic.name)));
        let changes = differing.into_iter().map(|(name, value)| (name, Some(value))).collect();
        cluster.alter_topic(&topic.name, &changes).await?;
    }
    Ok(out)
}

/// What no restore has held: a state lies in a store, and `release` reads that of any restore.
fn foreign(topic: &TargetTopic) -> Option<String> {
    let ours = held_at(topic.previous.keys(), true, 1);
    if let Some(config) = topic.previous.keys().find(|name| !ours.contains_key(*name)) {
        return Some(format!("previous of topic {:?} has {config:?}, which is never held", topic.name));
    }
    is_internal_topic(&topic.name).then(|| format!("topic {} is Kafka's own", topic.name))
}

/// Gives every topic back what it said before; topics that are gone, or are others now, are left alone.
///
/// # Errors
/// The first refusal; all other topics are tried.
pub(crate) async fn put_back(cluster: &Cluster, topics: &[TargetTopic]) -> Result<(), Failure> {
    if let Some(found) = topics.iter().find_map(foreign) {
        let text = format!(
            "the saved state of this restore is not one that a restore makes: {found}. Nothing was put back; look who can write to the storage of the state"
        );
        return Err(Failure::new(Code::StateMismatch, text));
    }
    let held: Vec<_> = topics.iter().filter(|topic| !topic.previous.is_empty()).collect();
    let names: Vec<_> = held.iter().map(|topic| topic.name.clone()).collect();
    let targets: HashMap<_, _> = existing(cluster, &names).await?;
    let mut refused = None;
    for topic in held {
        let same = targets.get(&topic.name).is_some_and(|target| target.topic.id == topic.id);
        if same && let Err(error) = cluster.alter_topic(&topic.name, &topic.previous).await {
            refused.get_or_insert(error);
        }
    }
    refused.map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_users_values_are_noted_and_what_was_changed_back_is_found() {
        let id = uuid::Uuid::from_u128(1);
        let topic = wire::Topic { id, wire_id: id, name: "t".into(), internal: false, partitions: vec![], error: 0 };
        let effective = map(&[("retention.ms", "7"), ("cleanup.policy", "compact"), ("segment.ms", "5")]);
        let mut target = Existing { topic, effective, own: map(&[("retention.ms", "7")]), spans: BTreeMap::new() };
        let mut noted = TargetTopic::default();
        note(&mut noted, &target, map(&[("retention.ms", "-1"), ("cleanup.policy", "delete")]));
        let previous = BTreeMap::from([("cleanup.policy".into(), None), ("retention.ms".into(), Some("7".to_owned()))]);
        assert_eq!(noted.previous, previous);
        assert_eq!(noted.effective, map(&[("retention.ms", "7"), ("cleanup.policy", "compact")]));
        target.effective = map(&[("retention.ms", "7"), ("cleanup.policy", "delete")]);
        assert_eq!(differing(&noted, &target), map(&[("retention.ms", "-1")]));
    }

    #[test]
    fn only_what_a_restore_holds_is_put_back() {
        let topic = |name: &str, configs: &[&str]| TargetTopic {
            name: name.into(),
            previous: configs.iter().map(|config| ((*config).to_owned(), Some("1".to_owned()))).collect(),
            ..TargetTopic::default()
        };
        assert_eq!(foreign(&topic("t", &["retention.ms", "segment.bytes", "max.message.bytes"])), None);
        assert!(foreign(&topic("t", &["retention.ms", "min.insync.replicas"])).unwrap().contains("min.insync"));
        assert!(foreign(&topic("__consumer_offsets", &["retention.ms"])).is_some());
    }
}
