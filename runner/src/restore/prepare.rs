//! Preparing the target: create topics, hold configs off, purge. Everything that is changed is noted in the state
//! before it is changed.

use std::collections::BTreeMap;

use contract::{Code, CrashPoint, ExistingTopics, Failure, crash};
use uuid::Uuid;
use wire::{NewTopic, code};

use super::Restore;
use super::configs::{holds, unknown_config};
use super::facts::{Existing, existing};
use super::plan::{RestorePlan, TopicPlan};
use super::state::TargetTopic;

/// Room for offset headers in batches of created topics.
const HEADER_ROOM: u64 = 4096;

/// Makes the target ready; does nothing to topics once records may have been produced.
///
/// # Errors
/// What the cluster refuses; a target topic that is not the one this restore began with.
pub(crate) async fn prepare(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<(), Failure> {
    if restore.state.started() {
        return check_same_topics(restore).await;
    }
    note_intent(restore, plan).await?;
    crash::at(CrashPoint::IntentSaved);
    create_topics(restore, plan).await?;
    crash::at(CrashPoint::TopicsCreated);
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let targets = settled(restore, &names).await?;
    let mut changes: BTreeMap<String, BTreeMap<String, Option<String>>> = BTreeMap::new();
    for topic in &mut restore.state.topics {
        let Some(target) = targets.get(&topic.name) else { continue };
        let largest = plan.topics.iter().find(|p| p.target == topic.name).map_or(0, |p| p.largest_batch + HEADER_ROOM);
        topic.id = target.topic.id;
        let wanted = holds(&target.effective, topic.created, largest);
        for name in wanted.keys() {
            // A second attempt finds our own holds in force: what was there first counts.
            topic.previous.entry(name.clone()).or_insert_with(|| target.own.get(name).cloned());
        }
        if topic.effective.is_empty() {
            topic.effective = interesting(&target.effective);
        }
        changes.insert(topic.name.clone(), wanted.into_iter().map(|(name, value)| (name, Some(value))).collect());
    }
    restore.save().await?;
    crash::at(CrashPoint::HoldsSaved);
    for (name, change) in changes.iter().filter(|(_, change)| !change.is_empty()) {
        restore.cluster.alter_topic(name, change).await?;
    }
    crash::at(CrashPoint::ConfigsHeld);
    purge(restore, &targets).await?;
    crash::at(CrashPoint::Prepared);
    Ok(())
}

/// The configs that the end of the restore looks at again.
fn interesting(effective: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let keep = ["cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type", "max.message.bytes"];
    effective.iter().filter(|(name, _)| keep.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Notes which topics this restore will create, before it creates them.
async fn note_intent(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<(), Failure> {
    let before = std::mem::take(&mut restore.state.topics);
    let topic = |topic: &TopicPlan| {
        let known = before.iter().find(|known| known.name == topic.target).cloned();
        known.unwrap_or_else(|| TargetTopic {
            source: topic.source_id,
            name: topic.target.clone(),
            id: Uuid::nil(),
            created: topic.action == "create",
            previous: BTreeMap::new(),
            effective: BTreeMap::new(),
        })
    };
    restore.state.topics = plan.topics.iter().map(topic).collect();
    restore.save().await
}

async fn create_topics(restore: &Restore<'_>, plan: &RestorePlan) -> Result<(), Failure> {
    for topic in plan.topics.iter().filter(|topic| topic.action == "create") {
        let mut new = NewTopic {
            name: topic.target.clone(),
            partitions: topic.partition_count.max(1),
            replication: topic.replication,
            configs: topic.configs.clone(),
        };
        while let Some(unknown) = create_topic(restore, topic, &new).await? {
            if new.configs.remove(&unknown).is_none() {
                let text =
                    format!("target topic {}: it refuses the config {unknown}, which it was not given", new.name);
                return Err(Failure::new(Code::TargetMismatch, text));
            }
            restore.emitter.warn(format!(
                "target topic {}: the target does not know the config {unknown} of the source; it is left out",
                new.name
            ));
        }
    }
    Ok(())
}

/// Creates a topic; returns a config that the target does not know, if it refused because of one.
async fn create_topic(restore: &Restore<'_>, topic: &TopicPlan, new: &NewTopic) -> Result<Option<String>, Failure> {
    let Err(error) = restore.cluster.create_topic(new).await else { return Ok(None) };
    match error.broker_code() {
        // An earlier attempt got this far.
        Some(code::TOPIC_ALREADY_EXISTS) => Ok(None),
        Some(code::INVALID_CONFIG) => match unknown_config(&error.to_string()) {
            Some(unknown) => Ok(Some(unknown.to_owned())),
            None => Err(Failure::new(Code::TargetMismatch, format!("target topic {}: {error}", topic.target))),
        },
        Some(code::INVALID_REPLICATION_FACTOR) => {
            let text = format!(
                "target topic {}: {error}; the source had {} replicas, set restore.defaultReplicationFactor to what the target has brokers for",
                topic.target, topic.replication
            );
            Err(Failure::new(Code::TargetMismatch, text))
        }
        _ => Err(error.into()),
    }
}

/// Waits until every topic is known with all its leaders.
async fn settled(
    restore: &Restore<'_>,
    names: &[String],
) -> Result<std::collections::HashMap<String, Existing>, Failure> {
    let mut backoff = restore.cluster.backoff();
    loop {
        let targets = existing(&restore.cluster, names).await?;
        let led = |target: &Existing| target.topic.partitions.iter().all(|p| p.leader >= 0);
        if names.iter().all(|name| targets.get(name).is_some_and(led)) {
            return Ok(targets);
        }
        backoff.wait(wire::WireError::no_leader("a topic that was just created")).await?;
    }
}

async fn purge(restore: &Restore<'_>, targets: &std::collections::HashMap<String, Existing>) -> Result<(), Failure> {
    if restore.spec.existing_topics != ExistingTopics::Purge {
        return Ok(());
    }
    for topic in restore.state.topics.iter().filter(|topic| !topic.created) {
        if let Some(target) = targets.get(&topic.name).filter(|target| target.held > 0) {
            restore.cluster.purge_topic(&target.topic).await?;
        }
    }
    Ok(())
}

async fn check_same_topics(restore: &Restore<'_>) -> Result<(), Failure> {
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let found = restore.cluster.topics(Some(&names)).await?;
    for topic in &restore.state.topics {
        if !found.iter().any(|other| other.name == topic.name && other.id == topic.id) {
            let text = format!(
                "target topic {} is not the one that this restore began with (it was deleted or recreated); restore again under a new name",
                topic.name
            );
            return Err(Failure::new(Code::StateMismatch, text));
        }
    }
    Ok(())
}
