//! Preparing the target: create topics, hold configs off, delete what the plan says. Everything that is changed is in
//! the state before it is changed, so that each step can be done again.

use std::collections::{HashMap, HashSet};

use contract::{Code, CrashPoint, Failure, crash};
use wire::{Creation, NewTopic, WireError, code};

use super::configs::{holds, unknown_config};
use super::facts::{Existing, existing, same_topics};
use super::plan::{RestorePlan, TargetAction, TopicPlan};
use super::state::TargetTopic;
use super::{Restore, holds as held};

/// Room for offset headers in batches of created topics.
const HEADER_ROOM: u64 = 4096;

/// The target topics of a plan, before anything is known of those that are created.
pub(crate) fn intent(plan: &RestorePlan) -> Vec<TargetTopic> {
    let topic = |topic: &TopicPlan| TargetTopic {
        source: topic.source_id,
        name: topic.target.clone(),
        created: topic.action == TargetAction::Create,
        ..TargetTopic::default()
    };
    plan.topics.iter().map(topic).collect()
}

/// Makes the target ready. `resumed`: the intent was saved by an earlier attempt.
///
/// # Errors
/// What the cluster refuses; a target topic that is not the one that the plan saw.
pub(crate) async fn prepare(restore: &mut Restore<'_>, plan: &RestorePlan, resumed: bool) -> Result<(), Failure> {
    create_topics(restore, plan, resumed).await?;
    crash::at(CrashPoint::TopicsCreated);
    let targets = settled(restore, plan).await?;
    plan.topics.iter().try_for_each(|topic| check_purge(topic, targets.get(&topic.target)))?;
    for (topic, planned) in restore.state.topics.iter_mut().zip(&plan.topics) {
        let Some(target) = targets.get(&topic.name) else { continue };
        // What was noted by an earlier attempt stays: the values in force now may be ours.
        if topic.id.is_nil() {
            held::note(topic, target, holds(&target.effective, topic.created, largest_batch(planned)));
            topic.id = target.topic.id;
        }
    }
    restore.save().await?;
    crash::at(CrashPoint::HoldsSaved);
    held::set(&restore.cluster, &restore.state.topics).await?;
    crash::at(CrashPoint::ConfigsHeld);
    for topic in &plan.topics {
        for range in topic.purged() {
            restore.cluster.delete_records(&topic.target, range.partition, range.log.end).await?;
        }
    }
    crash::at(CrashPoint::Prepared);
    Ok(())
}

/// The largest batch that a target topic must take.
pub(crate) fn largest_batch(planned: &TopicPlan) -> u64 {
    planned.largest_batch.saturating_add(HEADER_ROOM)
}

async fn create_topics(restore: &Restore<'_>, plan: &RestorePlan, resumed: bool) -> Result<(), Failure> {
    let known: HashSet<&str> =
        restore.state.topics.iter().filter(|topic| !topic.id.is_nil()).map(|topic| topic.name.as_str()).collect();
    let open = |topic: &&TopicPlan| topic.action == TargetAction::Create && !known.contains(topic.target.as_str());
    for topic in plan.topics.iter().filter(open) {
        let mut new = NewTopic {
            name: topic.target.clone(),
            partitions: topic.partition_count,
            replication: topic.replication,
            configs: topic.configs.clone(),
        };
        while let Some(unknown) = create_topic(restore, topic, &new, resumed).await? {
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
async fn create_topic(
    restore: &Restore<'_>,
    topic: &TopicPlan,
    new: &NewTopic,
    resumed: bool,
) -> Result<Option<String>, Failure> {
    let error = match restore.cluster.create_topic(new).await {
        Ok(Creation::Done | Creation::Perhaps) => return Ok(None),
        Err(error) => error,
    };
    match error.broker_code() {
        // An earlier attempt saved that it would create the topic, and got this far.
        Some(code::TOPIC_ALREADY_EXISTS) if resumed => Ok(None),
        Some(code::TOPIC_ALREADY_EXISTS) => {
            let text = format!(
                "target topic {} did not exist when the plan was made, and exists now: somebody else created it. Nothing was written to it; make the plan again",
                topic.target
            );
            Err(Failure::new(Code::PlanChanged, text))
        }
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

/// A purge deletes what the plan has seen: records that came later are somebody else's.
fn check_purge(topic: &TopicPlan, found: Option<&Existing>) -> Result<(), Failure> {
    let holds = if topic.action == TargetAction::Purge { topic.holds.as_slice() } else { &[] };
    for range in holds {
        let Some(now) = found.and_then(|found| found.spans.get(&range.partition)) else { continue };
        if now.end > range.log.end {
            let text = format!(
                "target partition {}/{} ends at offset {} now, and ended at {} in the plan: somebody else wrote there. Nothing was deleted; stop the other producer, and make the plan again",
                topic.target, range.partition, now.end, range.log.end
            );
            return Err(Failure::new(Code::TargetNotEmpty, text));
        }
    }
    Ok(())
}

/// A target topic is not what the plan saw.
fn changed(text: &str) -> Failure {
    Failure::new(Code::PlanChanged, format!("{text}. Nothing was written; make the plan again"))
}

/// Waits until every topic is there with all the partitions that the plan says.
async fn settled(restore: &Restore<'_>, plan: &RestorePlan) -> Result<HashMap<String, Existing>, Failure> {
    // Those that an earlier attempt saw are still the same, or this restore does not go on.
    let seen: Vec<_> = restore.state.topics.iter().filter(|topic| !topic.id.is_nil()).cloned().collect();
    if !seen.is_empty() {
        same_topics(&restore.cluster, &seen).await?;
    }
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut backoff = restore.cluster.backoff();
    loop {
        let targets = existing(&restore.cluster, &names).await?;
        let unfit = plan.topics.iter().zip(&restore.state.topics).find_map(|(topic, state)| {
            let found = targets.get(&topic.target);
            unfit(topic, state, found).map(|reason| (topic, found.is_some(), reason))
        });
        let Some((topic, exists, reason)) = unfit else { return Ok(targets) };
        let text = format!("target topic {}: {reason}", topic.target);
        if topic.target_id.is_some() && exists {
            return Err(changed(&text));
        }
        let waited = backoff.wait(WireError::no_progress(format!("target topic {}", topic.target), reason)).await;
        match waited {
            Err(WireError::Deadline { .. }) if topic.target_id.is_some() => return Err(changed(&text)),
            other => drop(other?),
        }
    }
}

/// Why what is found is not the topic that the plan means.
fn unfit(plan: &TopicPlan, state: &TargetTopic, found: Option<&Existing>) -> Option<String> {
    let Some(found) = found else { return Some("it does not exist".to_owned()) };
    let id = Some(state.id).filter(|id| !id.is_nil()).or(plan.target_id);
    if id.is_some_and(|id| id != found.topic.id) {
        return Some("it was deleted and created anew since the plan was made".to_owned());
    }
    let has = i32::try_from(found.topic.partitions.len()).unwrap_or(i32::MAX);
    (has != plan.partition_count).then(|| format!("it has {has} partitions, the plan says {}", plan.partition_count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Span;
    use crate::restore::plan::tests::topic;

    #[test]
    fn a_purge_deletes_nothing_that_the_plan_has_not_seen() {
        let id = uuid::Uuid::from_u128(1);
        let known = wire::Topic { id, wire_id: id, name: "t".into(), internal: false, partitions: vec![], error: 0 };
        let spans = [(2, Span { start: 3, end: 9 })].into();
        let found = Existing { topic: known, effective: [].into(), own: [].into(), spans };
        let mut purge = topic("t", TargetAction::Purge, &[2]);
        for (seen, refused) in [(9, false), (8, true), (0, true)] {
            purge.holds[0].log.end = seen;
            assert_eq!(check_purge(&purge, Some(&found)).is_err(), refused, "{seen}");
        }
        purge.action = TargetAction::Append;
        assert!(check_purge(&purge, Some(&found)).is_ok());
    }
}
