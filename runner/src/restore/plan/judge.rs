//! What speaks against a plan, and what a person should know. Pure: from the plan, the specification, and what the target
//! says.

use std::collections::{BTreeMap, HashMap};

use contract::names::is_internal_topic;
use contract::{Code, Failure, RestoreSpec, Risk};

use super::{Proposal, TargetAction, TopicPlan};
use crate::restore::configs::{expiring, number};
use crate::restore::facts::Existing;

/// Bytes that offset headers may add to a batch with a single record.
const HEADER_ROOM: u64 = 1024;
/// A mapping that makes a topic with more partitions than this many times those of the source, and some, may be a typing
/// error.
const FAR_BEYOND: i32 = 2;
const SOME: i32 = 16;

/// Judges the whole plan; `without_window` is how many records the chosen topics have.
pub(super) fn judge(
    out: &mut Proposal,
    spec: &RestoreSpec,
    targets: &HashMap<String, Existing>,
    source_counts: &BTreeMap<String, i32>,
    without_window: u64,
    now_ms: i64,
) {
    for topic in out.plan.topics.clone() {
        let target = targets.get(&topic.target);
        let source_count = source_counts.get(&topic.source).copied().unwrap_or(0);
        out.refusals.extend(internal(&topic, target));
        out.refusals.extend(partition_count(&topic, spec, source_count));
        let effective = match target {
            None => {
                out.refusals.extend(absent(&topic));
                &topic.configs
            }
            Some(target) => {
                out.refusals.extend(present(&topic, target, spec, out.plan.offset_headers));
                if target.effective.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime") {
                    out.warnings.push(format!("{} stamps records itself: it is CreateTime during the restore; times are kept, their type reads CreateTime", topic.target));
                }
                &target.effective
            }
        };
        let expires = expiring(effective, now_ms, topic.oldest, topic.largest_partition);
        if !expires.is_empty() {
            let expires = expires.iter().map(|expiry| format!("{}={}", expiry.config, expiry.value));
            out.expires.insert(topic.target.clone(), expires.collect());
        }
    }
    out.refusals.extend(names_that_are_not_there(out, spec, source_counts));
    if out.plan.records() == 0 && without_window > 0 {
        let text = format!(
            "none of the {without_window} records of these topics lies in the time window and the partitions that were asked for; compare restore.startTime, restore.endTime and restore.sourcePartitions with `ls`"
        );
        out.refusals.push(Failure::new(Code::NothingMatched, text));
    }
    if spec.produce_acks != -1 {
        let lost = if spec.produce_acks == 0 {
            "records may be lost without notice, and offsets are not checked as they are written"
        } else {
            "records may be lost when a leader fails"
        };
        out.warnings.push(format!("restore.produceAcks is {}: {lost}; exactly once needs -1", spec.produce_acks));
    }
}

fn internal(topic: &TopicPlan, target: Option<&Existing>) -> Option<Failure> {
    let is = is_internal_topic(&topic.target) || target.is_some_and(|target| target.topic.internal);
    is.then(|| {
        let text = format!(
            "target topic {} is Kafka's own: brokers take no records for it from outside; map it to another name with topicMapping",
            topic.target
        );
        Failure::new(Code::TargetMismatch, text)
    })
}

fn absent(topic: &TopicPlan) -> Option<Failure> {
    (topic.action == TargetAction::Refuse).then(|| {
        let text =
            format!("target topic {} does not exist; create it, or set restore.createTopics: true", topic.target);
        Failure::new(Code::TargetMissing, text)
    })
}

/// A created topic with far more partitions than the source has.
fn partition_count(topic: &TopicPlan, spec: &RestoreSpec, source_count: i32) -> Option<Failure> {
    let far = topic.partition_count > source_count.saturating_mul(FAR_BEYOND).saturating_add(SOME);
    let asked = topic.route.exact().is_some() || spec.accept.contains(&Risk::MorePartitions);
    (topic.action == TargetAction::Create && far && !asked).then(|| {
        let text = format!(
            "restore.partitionMapping makes target topic {} one of {} partitions, the source has {source_count}; correct the mapping, or say restore.accept: [more-partitions]",
            topic.target, topic.partition_count
        );
        Failure::new(Code::TargetMismatch, text)
    })
}

/// Refusals of a topic that exists.
fn present(topic: &TopicPlan, target: &Existing, spec: &RestoreSpec, headers: bool) -> Vec<Failure> {
    let (mut out, name) = (Vec::new(), &topic.target);
    if topic.action == TargetAction::Refuse {
        let text = format!(
            "target topic {name} already holds {} offsets; restore under another name with topicMapping, or delete what it holds first: purgeTopics in a KafkaRestore, existingTopics: purge in a run specification",
            target.held()
        );
        out.push(Failure::new(Code::TargetNotEmpty, text));
    }
    let has = i32::try_from(target.topic.partitions.len()).unwrap_or(i32::MAX);
    let needs = topic.targets.iter().max().map_or(0, |last| last + 1);
    let exact = topic.route.exact();
    if has < needs || exact.is_some_and(|exact| exact != has) {
        let what = if exact.is_some() { "repartitioning wants" } else { "the restore needs" };
        let text = format!(
            "target topic {name} has {has} partitions, {what} {needs}; change one of the two, or restore under another name"
        );
        out.push(Failure::new(Code::TargetMismatch, text));
    }
    let room = if headers { HEADER_ROOM } else { 0 };
    let limit =
        number(&target.effective, "max.message.bytes").and_then(|limit| u64::try_from(limit).ok()).unwrap_or(u64::MAX);
    if topic.records > 0 && topic.largest_batch.saturating_add(room) > limit {
        let text = format!(
            "target topic {name} takes batches of {limit} bytes, the largest to restore may need {}; raise its max.message.bytes",
            topic.largest_batch.saturating_add(room)
        );
        out.push(Failure::new(Code::BatchTooLarge, text));
    }
    let compacts = |configs: &BTreeMap<String, String>| {
        configs.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"))
    };
    if compacts(&target.effective) && !compacts(&topic.configs) && !spec.accept.contains(&Risk::Compaction) {
        let text = format!(
            "target topic {name} is compacted and the source was not: of restored records only the newest of each key would stay, and none without a key; restore under another name, or say restore.accept: [compaction]"
        );
        out.push(Failure::new(Code::TargetMismatch, text));
    }
    out
}

/// Fields that name partitions or topics that are not restored.
fn names_that_are_not_there(out: &Proposal, spec: &RestoreSpec, source_counts: &BTreeMap<String, i32>) -> Vec<Failure> {
    let most = source_counts.values().copied().max().unwrap_or(0);
    let refuse = |text: String| Failure::new(Code::UnknownTopic, text);
    let beyond = |partition: &&i32| **partition >= most;
    let mut found = Vec::new();
    for partition in spec.source_partitions.iter().filter(beyond) {
        found.push(refuse(format!(
            "restore.sourcePartitions names {partition}, the chosen topics have at most {most} partitions"
        )));
    }
    for (source, target) in spec.partition_mapping.iter().filter(|(source, _)| beyond(source)) {
        found.push(refuse(format!(
            "restore.partitionMapping.{source} is {target}, and the chosen topics have at most {most} partitions"
        )));
    }
    for name in spec.repartitioning.keys() {
        if out.plan.topics.iter().any(|topic| topic.target == *name) {
            continue;
        }
        let hint = out.plan.topics.iter().find(|topic| topic.source == *name);
        let hint = hint.map_or(String::new(), |topic| format!("; the target of {name} is {}", topic.target));
        found.push(refuse(format!(
            "restore.repartitioning names {name}, which is no target topic of this restore{hint}"
        )));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::tests::{plan, topic};
    use crate::restore::route::Route;

    fn spec(text: &str) -> RestoreSpec {
        serde_json::from_str(text).unwrap()
    }

    fn existing(internal: bool, configs: &[(&str, &str)]) -> Existing {
        let id = uuid::Uuid::from_u128(1);
        let partition = |index| wire::Partition { index, leader: 1, leader_epoch: 0, replicas: 1, in_sync: Vec::new() };
        let partitions = (0..3).map(partition).collect();
        let topic = wire::Topic { id, wire_id: id, name: "t".into(), internal, partitions, error: 0 };
        let effective = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Existing { topic, effective, own: BTreeMap::new(), spans: BTreeMap::new() }
    }

    fn refusals(planned: TopicPlan, spec: &RestoreSpec, target: Option<Existing>, without_window: u64) -> Vec<Code> {
        let counts = BTreeMap::from([(planned.source.clone(), 3)]);
        let targets = target.into_iter().map(|target| (planned.target.clone(), target)).collect();
        let mut out = Proposal::new(plan(vec![planned]));
        judge(&mut out, spec, &targets, &counts, without_window, 0);
        out.refusals.iter().map(|refusal| refusal.code).collect()
    }

    #[test]
    fn kafkas_own_topics_are_no_targets() {
        let fill = |name: &str| topic(name, TargetAction::Fill, &[0]);
        let none = spec("{}");
        for name in ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"] {
            assert_eq!(refusals(fill(name), &none, None, 10), [Code::TargetMismatch], "{name}");
        }
        assert_eq!(refusals(fill("__own"), &none, None, 10), []);
        assert_eq!(refusals(fill("t"), &none, Some(existing(true, &[])), 10), [Code::TargetMismatch]);
    }

    #[test]
    fn a_compacted_target_and_a_far_mapping_are_asked_for() {
        let compacts = || Some(existing(false, &[("cleanup.policy", "compact,delete")]));
        let fill = || topic("t", TargetAction::Fill, &[0]);
        assert_eq!(refusals(fill(), &spec("{}"), compacts(), 10), [Code::TargetMismatch]);
        assert_eq!(refusals(fill(), &spec(r#"{"accept": ["compaction"]}"#), compacts(), 10), []);
        let mut both = fill();
        both.configs.insert("cleanup.policy".into(), "compact".into());
        assert_eq!(refusals(both, &spec("{}"), compacts(), 10), []);
        let far = || TopicPlan { partition_count: 301, ..topic("t", TargetAction::Create, &[0]) };
        assert_eq!(refusals(far(), &spec("{}"), None, 10), [Code::TargetMismatch]);
        assert_eq!(refusals(far(), &spec(r#"{"accept": ["more-partitions"]}"#), None, 10), []);
        let dealt = TopicPlan { route: Route::Key(301), ..far() };
        let asked = spec(r#"{"repartitioning": {"t": {"targetPartitions": 301}}}"#);
        assert_eq!(refusals(dealt, &asked, None, 10), []);
    }

    #[test]
    fn names_of_what_is_not_there_are_refused() {
        let create = || topic("t", TargetAction::Create, &[0]);
        for text in [
            r#"{"sourcePartitions": [0, 7]}"#,
            r#"{"partitionMapping": {"9": 0}}"#,
            r#"{"repartitioning": {"other": {"targetPartitions": 3}}}"#,
        ] {
            assert_eq!(refusals(create(), &spec(text), None, 10), [Code::UnknownTopic], "{text}");
        }
        assert_eq!(refusals(create(), &spec(r#"{"sourcePartitions": [2]}"#), None, 10), []);
    }

    #[test]
    fn a_restore_that_matches_nothing_is_refused_and_an_empty_topic_is_not() {
        let nothing = || TopicPlan { records: 0, ..topic("t", TargetAction::Create, &[0]) };
        assert_eq!(refusals(nothing(), &spec("{}"), None, 10), [Code::NothingMatched]);
        assert_eq!(refusals(nothing(), &spec("{}"), None, 0), []);
    }
}
