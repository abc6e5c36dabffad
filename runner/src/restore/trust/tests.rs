mod archived;

use contract::OffsetsBefore;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::restore::plan::check::tests as planned;
use crate::restore::prepare::intent;

fn spec() -> RunSpec {
    let text = json!({
        "formatVersion": 1, "name": "r", "namespace": "ns", "kafka": {"bootstrapServers": ["h:1"]},
        "storage": {"type": "filesystem", "path": "x"}, "restore": planned::spec(),
    });
    serde_json::from_value(text).unwrap()
}

/// A state before anything is known of the target.
fn new_state() -> RestoreState {
    let plan = planned::plan();
    RestoreState {
        namespace: "ns".into(),
        name: "r".into(),
        life: "0123456789abcdef".into(),
        set: "shop".into(),
        entry: 7,
        topics: intent(&plan),
        digest: plan.digest,
        ..RestoreState::default()
    }
}

/// The same once configs are held.
fn prepared() -> RestoreState {
    let (mut state, plan) = (new_state(), planned::plan());
    for (number, (topic, planned)) in state.topics.iter_mut().zip(&plan.topics).enumerate() {
        topic.id = planned.target_id.unwrap_or(Uuid::from_u128(50 + number as u128));
        let held = if topic.created { &planned.configs } else { &planned.held };
        topic.held = held_at(held.keys(), topic.created, largest_batch(planned));
        topic.previous = topic.held.keys().map(|name| (name.clone(), None)).collect();
        topic.previous.insert("retention.ms".into(), Some("7".into()));
        topic.effective = [("retention.ms".to_owned(), "7".to_owned())].into();
    }
    state
}

/// The same in its second epoch, everything produced.
fn produced() -> RestoreState {
    let (mut state, plan) = (prepared(), planned::plan());
    for (place, topic) in plan.topics.iter().enumerate() {
        let start = if topic.target_id.is_some() { 9 } else { 0 };
        let of = |partition: &i32| TargetPartition { topic: place, partition: *partition, start };
        state.partitions.extend(topic.targets.iter().map(of));
    }
    let starts: Vec<_> = state.partitions.iter().map(|partition| partition.start).collect();
    let epoch = |number, base: u64| Epoch {
        producer_id: 4,
        number,
        bases: vec![base; starts.len()],
        starts: starts.iter().map(|start| start + i64::try_from(base).unwrap()).collect(),
    };
    state.epochs = vec![epoch(0, 0), epoch(1, 2)];
    state.produced = Some(starts.iter().map(|start| start + 5).collect());
    let (id, at, path) = ("before-20261129-154500-24h-0123abcd".into(), "now".into(), "x".into());
    state.groups.before = Some(OffsetsBefore { id, at, path, expires_at: None });
    state
}

fn judge(state: &RestoreState, change: impl Fn(&mut RunSpec)) -> Result<(), Failure> {
    let mut spec = spec();
    change(&mut spec);
    let part = spec.restore.clone().unwrap();
    Asked { spec: &spec, part: &part, cluster: "c" }.fits(&planned::plan(), state)
}

#[test]
fn an_honest_state_passes_at_every_step() {
    for state in [new_state(), prepared(), produced()] {
        judge(&state, |_| {}).unwrap();
        let again = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
        judge(&again, |_| {}).unwrap();
    }
    // What is no part of the identity may change between attempts.
    judge(&produced(), |spec| spec.restore.as_mut().unwrap().create_topics = false).unwrap();
    judge(&produced(), |spec| spec.restore.as_mut().unwrap().produce_acks = 1).unwrap();
    judge(&prepared(), |spec| spec.restore.as_mut().unwrap().default_replication_factor = Some(3)).unwrap();
    // A state of a release that noted fewer values, and one without guards and groups.
    let mut old = produced();
    old.topics.iter_mut().for_each(|topic| topic.effective.clear());
    judge(&old, |_| {}).unwrap();
}

#[test]
fn a_forged_field_is_named_and_nothing_is_changed() {
    for (pointer, value, word) in [
        ("/namespace", json!("other"), "namespace"),
        ("/name", json!("other"), "name"),
        ("/life", json!("a/../b"), "life"),
        ("/set", json!("../payments"), "none of set"),
        ("/set", json!("_restores"), "none of set"),
        ("/set", json!("payments"), "none of set"),
        ("/entry", json!(u64::MAX), "entry"),
        ("/digest", json!("00"), "digest"),
        ("/leftOut", json!(u64::MAX), "leftOut"),
        ("/topics", json!([]), "number of topics"),
        ("/topics/0/name", json!("payments"), "topics[0].name"),
        ("/topics/0/source", json!(Uuid::from_u128(3)), "topics[0].source"),
        ("/topics/0/id", json!(Uuid::from_u128(3)), "topics[0].id"),
        ("/topics/0/id", json!(Uuid::nil()), "topics[0].id"),
        ("/topics/0/created", json!(true), "topics[0].created"),
        ("/topics/1/held/retention.ms", json!("1"), "topics[1].held"),
        ("/topics/1/held/min.insync.replicas", json!("1"), "topics[1].held"),
        ("/topics/1/held/segment.bytes", json!("1"), "topics[1].held"),
        ("/topics/1/previous/min.insync.replicas", json!("1"), "topics[1].previous"),
        ("/topics/1/previous/retention.ms", json!("1"), "topics[1].previous.retention.ms"),
        ("/topics/1/effective/min.insync.replicas", json!("1"), "topics[1].effective"),
        ("/topics/1/guard", json!({"producerId": -1, "epoch": 0}), "topics[1].guard"),
        ("/partitions", json!([]), "partitions"),
        ("/partitions/0/topic", json!(7), "partitions"),
        ("/partitions/0/partition", json!(0), "partitions"),
        ("/partitions/0/start", json!(-1), "partitions"),
        ("/partitions/0/start", json!(12), "partitions"),
        ("/epochs", json!([]), "partitions"),
        ("/epochs/0/bases/0", json!(1), "epochs[0]"),
        ("/epochs/1/bases/0", json!(u64::MAX), "epochs[1]"),
        ("/epochs/1/bases", json!([]), "epochs[1]"),
        ("/epochs/1/starts/0", json!(-9), "epochs[1]"),
        ("/epochs/1/starts", json!([1]), "epochs[1]"),
        ("/epochs/1/producerId", json!(-1), "epochs[1]"),
        ("/produced", json!([]), "produced"),
        ("/produced/0", json!(-1), "produced"),
        ("/groups/before/id", json!("../x"), "groups.before.id"),
    ] {
        let mut document = serde_json::to_value(produced()).unwrap();
        planned::set(&mut document, pointer, value.clone());
        let forged: RestoreState = serde_json::from_value(document).unwrap();
        let refused = judge(&forged, |_| {}).expect_err(&format!("{pointer} {value}"));
        assert_eq!(refused.code, Code::StateMismatch, "{pointer}");
        let words = [word, "Nothing was changed by this attempt"];
        assert!(words.iter().all(|word| refused.message.contains(word)), "{pointer} {value}: {refused}");
    }
    // Before the first record: nothing is held of a topic that is not known, and nothing is produced.
    let mut early = new_state();
    early.produced = Some(Vec::new());
    assert!(judge(&early, |_| {}).is_err());
    let mut early = new_state();
    early.topics[1].held = [("retention.ms".to_owned(), "-1".to_owned())].into();
    early.topics[1].previous = [("retention.ms".to_owned(), None)].into();
    assert!(judge(&early, |_| {}).is_err());
}

#[test]
fn a_topic_is_created_only_where_the_specification_still_says_so() {
    let never = |spec: &mut RunSpec| spec.restore.as_mut().unwrap().create_topics = false;
    let refused = judge(&new_state(), never).unwrap_err();
    assert!(refused.message.contains("restore.createTopics"), "{refused}");
    judge(&prepared(), never).unwrap();
}

#[test]
fn a_plan_that_somebody_looked_at_says_what_is_put_back() {
    let seen = |spec: &mut RunSpec| spec.restore.as_mut().unwrap().plan_fingerprint = Some("0".into());
    judge(&produced(), seen).unwrap();
    let mut forged = produced();
    forged.topics[1].previous.insert("retention.ms".into(), Some("1".into()));
    forged.topics[1].effective.clear();
    judge(&forged, |_| {}).unwrap();
    assert!(judge(&forged, seen).unwrap_err().message.contains("looked at"));
    let mut more = produced();
    more.topics[1].held.insert("retention.bytes".into(), "-1".into());
    more.topics[1].previous.insert("retention.bytes".into(), Some("1".into()));
    assert!(judge(&more, seen).unwrap_err().message.contains("previous.retention.bytes"));
    more.ended = Some(crate::restore::state::Ended::Completed);
    judge(&more, seen).unwrap();
}

#[tokio::test]
async fn a_set_of_another_name_or_owner_is_not_read() {
    let store = Store::new(std::sync::Arc::new(object_store::memory::InMemory::new()), "", "memory");
    let named = |set: &str| RestoreState { set: set.into(), ..new_state() };
    let mut part = planned::spec();
    assert_eq!(set_of(&store, &part, &named("shop")).await.unwrap().set(), "shop");
    for bad in ["", "_restores", "../x", "a/b"] {
        assert_eq!(set_of(&store, &part, &named(bad)).await.unwrap_err().code, Code::StateMismatch, "{bad}");
    }
    // The owner is asked for where one is expected: here nothing can say it.
    part.owner = serde_json::from_value::<Option<_>>(json!({"name": "shop"})).unwrap();
    assert!(set_of(&store, &part, &named("shop")).await.is_err());
    let anybody: Value = json!(["other-owner"]);
    part.accept = serde_json::from_value(anybody).unwrap();
    assert!(set_of(&store, &part, &named("shop")).await.is_ok());
}
