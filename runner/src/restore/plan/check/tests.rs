use std::collections::BTreeSet;

use archive::{Digest, Fork, Owner, Seal, SideRef, TopicState};
use contract::OnUnreadable;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::logs::Span;
use crate::restore::plan::{OlderTimeline, SourceRange, TargetRange};

/// A specification that moves topics and partitions, and deletes.
pub(crate) fn spec() -> RestoreSpec {
    let text = json!({
        "from": "shop", "topics": ["orders", "logs", "empty"], "topicMapping": {"orders": "orders-new"},
        "partitionMapping": {"0": 2}, "existingTopics": "purge", "timelines": {"logs/1": 0},
    });
    serde_json::from_value(text).unwrap()
}

pub(crate) fn seal() -> Seal {
    let topic = |(name, id, partitions): (&str, u128, i32)| TopicState::new(Uuid::from_u128(id), name, partitions, 1);
    Seal {
        point: "shop-20260101-000000".into(),
        at: "2026-01-01T00:00:00Z".into(),
        topics: [("orders", 1, 2), ("logs", 2, 3), ("payments", 3, 3), ("empty", 4, 1)].map(topic).into(),
        partitions: Vec::new(),
        owner: Owner { namespace: "ns".into(), name: "shop".into(), cluster_id: "s".into() },
        source_cluster_id: None,
        include_offset_headers: true,
        held_back: Vec::new(),
        configs: SideRef { size: 1, digest: Digest::of(b"x") },
        groups: None,
        holdings: None,
        converted: None,
        writer: "test".into(),
    }
}

fn forks() -> Vec<Fork> {
    let fork = |topic: u128, name: &str| Fork {
        topic: Uuid::from_u128(topic),
        name: name.into(),
        partition: 1,
        timeline: 1,
        from: 5,
    };
    vec![fork(2, "logs"), fork(3, "payments")]
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The configs that every source topic has.
pub(crate) fn source_configs() -> BTreeMap<String, String> {
    map(&[("cleanup.policy", "delete"), ("retention.ms", "604800000"), ("segment.bytes", "100000"), ("vendor.x", "1")])
}

fn sources(partitions: &[i32]) -> Vec<SourceRange> {
    let range = |partition: &i32| SourceRange { partition: *partition, first: 0, next: 10, records: 5, exact: true };
    partitions.iter().map(range).collect()
}

/// A topic that does not exist, with these source partitions; some other partition of the target takes those of 0.
fn created(source: &str, id: u128, target: &str, partitions: &[i32]) -> TopicPlan {
    let route = Route::Partition([(0, 2)].into());
    let sources = sources(partitions);
    TopicPlan {
        source: source.into(),
        source_id: Uuid::from_u128(id),
        target: target.into(),
        target_id: None,
        action: TargetAction::Create,
        replication: 1,
        partition_count: 3,
        targets: route.targets(partitions),
        partitions: partitions.to_vec(),
        holds: Vec::new(),
        route,
        records: 5 * sources.len() as u64,
        bytes: 100 * sources.len() as u64,
        sources,
        largest_batch: 90_000,
        configs: for_creation(&source_configs()),
        before: BTreeMap::new(),
        held: BTreeMap::new(),
        oldest: Some(1000),
        largest_partition: 100,
    }
}

/// A topic that exists.
fn existing(action: TargetAction, topic: TopicPlan) -> TopicPlan {
    let log = Span { start: if action == TargetAction::Fill { 9 } else { 3 }, end: 9 };
    let before = [("retention.ms".to_owned(), Some("7".to_owned())), ("segment.bytes".to_owned(), None)];
    TopicPlan {
        target_id: Some(Uuid::from_u128(u128::from(topic.records) + 100)),
        action,
        holds: topic.targets.iter().map(|partition| TargetRange { partition: *partition, log }).collect(),
        before: before.into(),
        held: map(&[("retention.ms", "-1"), ("segment.bytes", "90000")]),
        ..topic
    }
}

/// What [`spec`] makes of [`seal`].
pub(crate) fn plan() -> RestorePlan {
    let empty =
        TopicPlan { sources: Vec::new(), records: 0, bytes: 0, oldest: None, ..created("empty", 4, "empty", &[0]) };
    RestorePlan {
        format: super::super::FORMAT,
        point: seal().point,
        digest: Digest::of(b"seal"),
        cluster: "c".into(),
        offset_headers: true,
        strip_offset_headers: false,
        on_unreadable: OnUnreadable::Fail,
        foreign_records: contract::ForeignRecords::Cleaned,
        window: batch::Window::ALL,
        ends: Vec::new(),
        forks: forks()[..1].to_vec(),
        older: vec![OlderTimeline { topic: Uuid::from_u128(2), partition: 1, timeline: 0 }],
        topics: vec![
            TopicPlan { largest_partition: 0, ..existing(TargetAction::Fill, empty) },
            existing(TargetAction::Purge, created("logs", 2, "logs", &[0, 1, 2])),
            created("orders", 1, "orders-new", &[0, 1]),
        ],
        group_restore: None,
    }
}

/// Everything that an attempt asks of a plan but for what the target says.
fn judge(plan: &RestorePlan, spec: &RestoreSpec) -> Checked {
    of_spec(plan, spec, "c")?;
    of_name(plan, "shop", &spec.from)?;
    let (seal, digest, forks) = (seal(), Digest::of(b"seal"), forks());
    of_point(plan, &Sealed { seal: &seal, digest: &digest, forks: &forks }, spec)?;
    for topic in plan.topics.iter().filter(|topic| topic.action == TargetAction::Create) {
        of_rows(topic, Retained { oldest: Some(1000), largest: 100 })?;
        of_source(topic, Some(&source_configs()))?;
    }
    Ok(())
}

/// Gives a field of a document another value, or a map another name.
pub(crate) fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        other => other[name] = value,
    }
}

fn forged(pointer: &str, value: Value) -> Result<RestorePlan, String> {
    let mut document = serde_json::to_value(plan()).unwrap();
    set(&mut document, pointer, value);
    RestorePlan::read(&serde_json::to_vec(&document).unwrap()).map_err(|failure| failure.message)
}

#[test]
fn an_honest_plan_passes_however_fast_and_from_whatever_release() {
    assert_eq!(judge(&plan(), &spec()), Ok(()));
    let tuned = RestoreSpec {
        create_topics: false,
        default_replication_factor: Some(3),
        produce_batch_size: 7,
        max_concurrent_partitions: Some(1),
        ..spec()
    };
    assert_eq!(judge(&plan(), &tuned), Ok(()));
    // Fields that a release before this one does not write.
    let mut old = serde_json::to_value(plan()).unwrap();
    old.as_object_mut().unwrap().remove("onUnreadable").unwrap();
    assert_eq!(judge(&serde_json::from_value(old).unwrap(), &spec()), Ok(()));
    // The target had bounds of its own, did not know a config, and took fewer replicas.
    let mut fitted = plan();
    fitted.topics[2].configs.insert("segment.bytes".into(), "1048576".into());
    fitted.topics[2].configs.remove("retention.ms");
    fitted.topics[2].replication = -1;
    assert_eq!(judge(&fitted, &spec()), Ok(()));
    let append = RestoreSpec { existing_topics: ExistingTopics::Append, ..spec() };
    let mut appended = plan();
    appended.topics[1].action = TargetAction::Append;
    assert_eq!(judge(&appended, &append), Ok(()));
    let text = json!({"topics": ["orders"], "repartitioning": {"orders": {"targetPartitions": 5}}});
    let dealt: RestoreSpec = serde_json::from_value(text).unwrap();
    let route = Route::Key(5);
    let targets = route.targets(&[0, 1]);
    let topic = TopicPlan { route, targets, partition_count: 5, ..created("orders", 1, "orders", &[0, 1]) };
    let dealt_plan = RestorePlan { topics: vec![topic], forks: Vec::new(), older: Vec::new(), ..plan() };
    assert_eq!(judge(&dealt_plan, &dealt), Ok(()));
}

#[test]
fn a_forged_field_is_named() {
    let payments = Uuid::from_u128(3);
    for (pointer, value, word) in [
        ("/cluster", json!("d"), "cluster"),
        ("/point", json!("payments-20260101-000000"), "none of set"),
        ("/digest", json!("00"), "digest"),
        ("/window", json!([0, 5]), "window"),
        ("/offsetHeaders", json!(false), "offsetHeaders"),
        ("/onUnreadable", json!("skip"), "onUnreadable"),
        ("/forks", json!([]), "forks"),
        ("/older", json!([]), "older"),
        ("/topics", json!([]), "topics"),
        ("/topics/2/target", json!("payments"), "topics[2].target"),
        ("/topics/1/target", json!("__consumer_offsets"), "topics[1].target"),
        ("/topics/2/source", json!("payments"), "topics[2].source"),
        ("/topics/2/sourceId", json!(payments), "topics[2]"),
        ("/topics/2/action", json!("fill"), "topics[2].action"),
        ("/topics/1/action", json!("append"), "topics[1].action"),
        ("/topics/1/action", json!("fill"), "topics[1].holds"),
        ("/topics/1/action", json!("refuse"), "topics[1].action"),
        ("/topics/2/partitionCount", json!(7), "topics[2].partitionCount"),
        ("/topics/1/partitionCount", json!(1), "topics[1].partitionCount"),
        ("/topics/1/partitions", json!([0, 1]), "topics[1].sources"),
        ("/topics/1/targets", json!([0, 1, 2]), "topics[1].targets"),
        ("/topics/1/route", json!({"partition": {}}), "topics[1].route"),
        ("/topics/1/route", json!({"key": 3}), "topics[1].route"),
        ("/topics/1/holds/0/partition", json!(0), "topics[1].holds"),
        ("/topics/1/holds/0/log/end", json!(-1), "topics[1].holds"),
        ("/topics/1/holds/0/log/end", json!(i64::MAX), "topics[1].holds"),
        ("/topics/1/held/retention.ms", json!("1"), "topics[1].held"),
        ("/topics/1/held/min.insync.replicas", json!("1"), "topics[1].held"),
        ("/topics/1/before/min.insync.replicas", json!("1"), "topics[1].before"),
        ("/topics/2/configs/remote.storage.enable", json!("true"), "topics[2].configs"),
        ("/topics/2/configs/vendor.x", json!("1"), "topics[2].configs"),
        ("/topics/2/configs/flush.ms", json!("1"), "which the source topic had not"),
        ("/topics/2/configs/retention.ms", json!("1"), "configs.retention.ms"),
        ("/topics/2/configs/cleanup.policy", json!("compact"), "configs.cleanup.policy"),
        ("/topics/2/replication", json!(0), "topics[2].replication"),
        ("/topics/2/records", json!(1), "topics[2].records"),
        ("/topics/2/sources/0/records", json!(u64::MAX), "topics[2].records"),
        ("/topics/2/sources/0/partition", json!(9), "topics[2].sources"),
        ("/topics/2/sources/0/first", json!(-5), "topics[2].sources"),
        ("/topics/2/largestBatch", json!(u64::MAX), "topics[2].largestBatch"),
        ("/topics/2/bytes", json!(u64::MAX), "topics"),
        ("/topics/2/oldest", json!(5000), "oldest"),
        ("/topics/2/oldest", Value::Null, "oldest"),
        ("/topics/2/largestPartition", json!(1), "largestPartition"),
    ] {
        let found = forged(pointer, value.clone()).and_then(|plan| judge(&plan, &spec()));
        let found = found.expect_err(&format!("{pointer} {value}"));
        assert!(found.contains(word), "{pointer} {value}: {found}");
    }
    let mut twice = plan();
    twice.topics[1] = twice.topics[2].clone();
    assert!(judge(&twice, &spec()).unwrap_err().contains("target does not come after"));
    let mut fewer = plan();
    fewer.topics.pop();
    assert!(judge(&fewer, &spec()).unwrap_err().starts_with("topics[2] is None"));
}

#[test]
fn points_and_sets_are_those_that_are_named() {
    let named = |point: &str, set: &str, from: &str| of_name(&RestorePlan { point: point.into(), ..plan() }, set, from);
    let (point, full) = ("shop-20260101-000000", "shop-20260102-000000");
    for from in ["", "shop", point] {
        assert_eq!(named(point, "shop", from), Ok(()), "{from}");
    }
    assert_eq!((named(full, full, "shop"), named(full, full, full)), (Ok(()), Ok(())));
    for (point, set, from) in
        [(point, "shop", "other"), (point, "other", "other"), (full, full, "other"), ("x", "shop", "")]
    {
        assert!(named(point, set, from).is_err(), "{point} {set} {from}");
    }
}

/// Every other value that a place of a document is given.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!("00000000-0000-0000-0000-000000000005"), json!(1)],
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => {
            let near =
                number.as_i64().into_iter().flat_map(|n| [json!(n.saturating_sub(1)), json!(n.saturating_add(1))]);
            near.chain([json!(0), json!(-1), json!(2), json!(i32::MAX), json!(i64::MAX), json!(u64::MAX)]).collect()
        }
        Value::String(text) => {
            let words = ["", "1", "0", "compact", "payments", "purge", "append", "create", "fill", "refuse"];
            words.map(|word| json!(word)).into_iter().chain([json!(format!("{text}x"))]).collect()
        }
        Value::Array(list) => {
            let (mut fewer, mut more, mut turned) = (list.clone(), list.clone(), list.clone());
            fewer.pop();
            more.extend(list.last().cloned());
            turned.reverse();
            vec![json!(fewer), json!(more), json!(turned), json!([])]
        }
        Value::Object(fields) => {
            let without = fields.keys().map(|name| {
                let mut less = fields.clone();
                less.remove(name);
                json!(less)
            });
            let with = ["retention.ms", "min.insync.replicas", "unclean.leader.election.enable", "1"].map(|name| {
                let mut more = fields.clone();
                more.insert(name.into(), json!("1"));
                json!(more)
            });
            without.chain(with).collect()
        }
    }
}

fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(n, inner)| places(inner, &format!("{at}/{n}"), out)),
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| places(inner, &format!("{at}/{name}"), out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a plan does to topics and their configs, and the partitions that it deletes from. Where a purge ends is held against the target
/// itself, and so are the ids and numbers of partitions of topics that exist.
fn effect(plan: &RestorePlan) -> (Vec<Value>, BTreeSet<(String, i32)>) {
    let of = |topic: &TopicPlan| {
        let creates = topic.action == TargetAction::Create;
        let deleting = topic.configs.iter().filter(|(name, _)| DELETING.contains(&name.as_str()));
        json!({
            "records": [topic.source, topic.source_id, topic.partitions, topic.target, topic.targets, topic.route],
            "creates": creates.then(|| (topic.partition_count, topic.configs.keys().collect::<Vec<_>>(), deleting.collect::<Vec<_>>())),
            "keeps": creates.then(|| topic.oldest.is_some_and(|oldest| oldest <= 1000) && topic.largest_partition >= 100),
        })
    };
    let deletes =
        |topic: &TopicPlan| topic.purged().map(|range| (topic.target.clone(), range.partition)).collect::<Vec<_>>();
    (plan.topics.iter().map(of).collect(), plan.topics.iter().flat_map(deletes).collect())
}

#[test]
fn whatever_is_changed_has_the_same_effect_or_is_refused() {
    let document = serde_json::to_value(plan()).unwrap();
    let (does, deletes) = effect(&plan());
    let (mut all, mut tried, mut refused) = (Vec::new(), 0, 0);
    places(&document, "", &mut all);
    for place in all {
        for value in others(document.pointer(&place).unwrap()) {
            tried += 1;
            let mut other = document.clone();
            *other.pointer_mut(&place).unwrap() = value.clone();
            let read = RestorePlan::read(&serde_json::to_vec(&other).unwrap());
            let Some(other) = read.ok().filter(|other| judge(other, &spec()).is_ok()) else {
                refused += 1;
                continue;
            };
            let (now, purged) = effect(&other);
            // A config fewer is one that the target does not know.
            let fewer = place == "/topics/2/configs" && value.as_object().is_some_and(|fields| fields.len() < 3);
            assert!((fewer || now == does) && purged.is_subset(&deletes), "{place} {value}");
        }
    }
    assert!(tried > 500 && refused > tried / 2, "{refused} of {tried}");
}
