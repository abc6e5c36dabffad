//! Which topics of a recovery point are restored, and under which names. Pure.

use std::collections::{BTreeMap, HashSet};

use archive::{Seal, TopicState};
use contract::names::{is_internal_topic, shared_target};
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
    let known: HashSet<&str> =
        seal.topics.iter().filter(|topic| taken(topic)).map(|topic| topic.name.as_str()).collect();
    for (name, id) in &spec.lineages {
        if !known.contains(name.as_str()) {
            let text =
                format!("recovery point {} has no lineage {id} of topic {name}; `ls` shows what it has", seal.point);
            return Err(Failure::new(Code::UnknownTopic, text));
        }
    }
    for name in selection.literals() {
        if !known.contains(name.as_str()) {
            let text = format!(
                "recovery point {} has no topic {name}{}; `ls` shows what it has",
                seal.point,
                deleted_lineage(seal, name)
            );
            return Err(Failure::new(Code::UnknownTopic, text));
        }
    }
    let mut warnings = left_out(seal, spec, &selection);
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
                "restore.topicMapping: {:?} goes to {target:?}; {}",
                topic.name,
                shared_target(&other.topic.name)
            );
            return Err(Failure::new(Code::SpecInvalid, text));
        }
        chosen.insert(target.clone(), Chosen { topic: topic.clone(), place, target });
    }
    let named: HashSet<&str> = seal.topics.iter().map(|topic| topic.name.as_str()).collect();
    for source in spec.topic_mapping.keys().filter(|source| !named.contains(source.as_str())) {
        warnings.push(format!("restore.topicMapping names {source}, which is not in the recovery point"));
    }
    if chosen.is_empty() {
        let text = format!("restore.topics {:?} matches no topic of recovery point {}", spec.topics, seal.point);
        return Err(Failure::new(Code::NoTopicMatched, text));
    }
    Ok((chosen.into_values().collect(), warnings))
}

/// What there is of a topic that the source deleted: how it is restored.
fn deleted_lineage(seal: &Seal, name: &str) -> String {
    let newest = seal.topics.iter().rev().find(|topic| topic.name == name && !topic.live);
    newest.map_or(String::new(), |topic| {
        format!(
            ": the source had deleted it by then. To restore what was archived, say lineages: {{{name}: {}}}",
            topic.id
        )
    })
}

/// Warnings of deleted topics that match the patterns and are not restored.
fn left_out(seal: &Seal, spec: &RestoreSpec, selection: &Selection) -> Vec<String> {
    let live: HashSet<&str> = seal.topics.iter().filter(|topic| topic.live).map(|topic| topic.name.as_str()).collect();
    let names: BTreeMap<&str, &TopicState> = seal
        .topics
        .iter()
        .filter(|topic| !topic.live && !live.contains(topic.name.as_str()) && selection.matches(&topic.name))
        .map(|topic| (topic.name.as_str(), topic))
        .collect();
    let unnamed = names.into_iter().filter(|(name, _)| !spec.lineages.contains_key(*name));
    let text = |(name, topic): (&str, &TopicState)| {
        format!(
            "topic {name} is not restored: the source had deleted it; to restore what was archived, say lineages: {{{name}: {}}}",
            topic.id
        )
    };
    unnamed.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(topics: Vec<TopicState>) -> Seal {
        Seal {
            point: "b-20260101-000000".into(),
            at: "2026-01-01T00:00:00Z".into(),
            topics,
            partitions: Vec::new(),
            owner: archive::Owner { namespace: "ns".into(), name: "b".into(), cluster_id: "c".into() },
            source_cluster_id: None,
            include_offset_headers: false,
            held_back: Vec::new(),
            configs: archive::SideRef { size: 1, digest: archive::Digest::of(b"x") },
            groups: None,
            holdings: None,
            converted: None,
            writer: "test".into(),
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_topics_are_chosen_at_once() {
        let count = 100_000u128;
        let name = |n: u128| format!("topic-{n:06}");
        let topic = |n: u128| TopicState {
            live: n.is_multiple_of(2),
            ..TopicState::new(uuid::Uuid::from_u128(n), &name(n), 1, 1)
        };
        let seal = seal((0..count).map(topic).collect());
        let mut spec: RestoreSpec = serde_json::from_str("{\"from\": \"b\"}").unwrap();
        spec.topic_mapping = (0..count).map(|n| (name(n), format!("new-{n:06}"))).collect();
        spec.lineages = (0..count).map(|n| (name(n), uuid::Uuid::from_u128(n).to_string())).collect();
        let since = std::time::Instant::now();
        let (chosen, warnings) = choose(&seal, &spec).unwrap();
        assert!(since.elapsed() < std::time::Duration::from_secs(10), "{:?}", since.elapsed());
        assert_eq!((chosen.len(), warnings.len()), (100_000, 0));
    }

    #[test]
    fn only_kafkas_own_topics_are_left_out() {
        let names = ["__consumer_offsets", "__debezium-heartbeat.inventory", "orders"];
        let topic = |(name, id): (&str, u128)| TopicState::new(uuid::Uuid::from_u128(id), name, 1, 1);
        let seal = seal(names.into_iter().zip(1..).map(topic).collect());
        let spec = "{\"from\": \"b\"}";
        let spec: RestoreSpec = serde_json::from_str(spec).unwrap();
        let (chosen, warnings) = choose(&seal, &spec).unwrap();
        let targets: Vec<_> = chosen.iter().map(|chosen| chosen.target.as_str()).collect();
        assert_eq!(targets, ["__debezium-heartbeat.inventory", "orders"]);
        assert!(warnings.len() == 1 && warnings[0].contains("__consumer_offsets"), "{warnings:?}");
    }
}
