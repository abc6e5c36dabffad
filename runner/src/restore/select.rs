//! Which topics of a recovery point are restored, and under which names. Pure.

use std::collections::BTreeMap;

use archive::{Seal, TopicState};
use contract::names::is_internal_topic;
use contract::{Code, Failure, RestoreSpec, Selection};

/// A topic to restore.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) topic: TopicState,
    /// Position in the seal's topics.
    pub(crate) place: u32,
    pub(crate) target: String,
}

/// The chosen topics in order of their target names, and warnings.
pub(crate) fn choose(seal: &Seal, spec: &RestoreSpec) -> Result<(Vec<Chosen>, Vec<String>), Failure> {
    let selection = Selection::new(&spec.topics, &spec.exclude, spec.pattern_syntax)
        .map_err(|rule| Failure::new(Code::SpecInvalid, format!("restore.topics: {rule}")))?;
    let taken = |topic: &TopicState| match spec.lineages.get(&topic.name) {
        Some(id) => topic.id.to_string() == id.to_lowercase(),
        None => topic.live,
    };
    for (name, id) in &spec.lineages {
        if !seal.topics.iter().any(|topic| topic.name == *name && taken(topic)) {
            let text =
                format!("recovery point {} has no lineage {id} of topic {name}; `ls` shows what it has", seal.point);
            return Err(Failure::new(Code::UnknownTopic, text));
        }
    }
    for name in selection.literals() {
        if !seal.topics.iter().any(|topic| taken(topic) && topic.name == *name) {
            let text = format!("recovery point {} has no topic {name}; `ls` shows what it has", seal.point);
            return Err(Failure::new(Code::UnknownTopic, text));
        }
    }
    let mut warnings = Vec::new();
    let mut chosen: BTreeMap<String, Chosen> = BTreeMap::new();
    for (topic, place) in seal.topics.iter().zip(0u32..).filter(|(topic, _)| taken(topic)) {
        if !selection.matches(&topic.name) {
            continue;
        }
        let target = spec.target_of(&topic.name).to_owned();
        if target == topic.name && is_internal_topic(&target) {
            warnings.push(format!(
                "Kafka's own topic {} is not restored: brokers take no records into it from outside; map it to another \
                 name to read it",
                topic.name
            ));
            continue;
        }
        if let Some(other) = chosen.get(&target) {
            let text = format!(
                "restore.topicMapping sends both {} and {} to {target}; targets must differ",
                other.topic.name, topic.name
            );
            return Err(Failure::new(Code::SpecInvalid, text));
        }
        chosen.insert(target.clone(), Chosen { topic: topic.clone(), place, target });
    }
    for source in spec.topic_mapping.keys().filter(|source| !seal.topics.iter().any(|topic| topic.name == **source)) {
        warnings.push(format!("restore.topicMapping names {source}, which is not in the recovery point"));
    }
    if chosen.is_empty() {
        let text = format!("restore.topics {:?} matches no topic of recovery point {}", spec.topics, seal.point);
        return Err(Failure::new(Code::NoTopicMatched, text));
    }
    Ok((chosen.into_values().collect(), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kafkas_own_topics_are_left_out() {
        let names = ["__consumer_offsets", "__debezium-heartbeat.inventory", "orders"];
        let topic = |(name, id): (&str, u128)| TopicState {
            id: uuid::Uuid::from_u128(id),
            name: name.to_owned(),
            partitions: 1,
            replication: 1,
            live: true,
            since: None,
            first_partitions: None,
        };
        let seal = Seal {
            point: "b-20260101-000000".into(),
            at: "2026-01-01T00:00:00Z".into(),
            topics: names.into_iter().zip(1..).map(topic).collect(),
            partitions: Vec::new(),
            owner: archive::Owner { namespace: "ns".into(), name: "b".into(), cluster_id: "c".into() },
            source_cluster_id: None,
            include_offset_headers: false,
            held_back: Vec::new(),
            configs: archive::SideRef { size: 1, digest: archive::Digest::of(b"x") },
            groups: None,
            holdings: None,
            writer: "test".into(),
        };
        let spec = "{\"from\": \"b\"}";
        let spec: RestoreSpec = serde_json::from_str(spec).unwrap();
        let (chosen, warnings) = choose(&seal, &spec).unwrap();
        let targets: Vec<_> = chosen.iter().map(|chosen| chosen.target.as_str()).collect();
        assert_eq!(targets, ["__debezium-heartbeat.inventory", "orders"]);
        assert!(warnings.len() == 1 && warnings[0].contains("__consumer_offsets"), "{warnings:?}");
    }
}
