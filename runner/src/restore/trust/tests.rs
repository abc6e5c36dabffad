mod archived;

use contract::OffsetsBefore;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::restore::plan::check::tests as planned;
use crate::restore::prepare::intent;

/// The specification of the restore whose plan and state the tests here take.
pub(in crate::restore) fn spec() -> RunSpec {
    let text = json!({
        "formatVersion": 1, "name": "r", "namespace": "ns", "kafka": {"bootstrapServers": ["h:1"]},
        "storage": {"type": "filesystem", "path": "x"}, "restore": planned::spec(),
    });
    serde_json::from_value(text).unwrap()
}

/// A state before anything is known of the target.
pub(in crate::restore) fn new_state() -> RestoreState {
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

#[test]
fn a_set_of_another_name_is_not_read() {
    let named = |set: &str| RestoreState { set: set.into(), ..new_state() };
    assert_eq!(set_of(&named("shop")).unwrap().set(), "shop");
    for bad in ["", "_restores", "../x", "a/b"] {
        assert_eq!(set_of(&named(bad)).unwrap_err().code, Code::StateMismatch, "{bad}");
    }
}

fn to_release(state: &RestoreState, plan: &RestorePlan, own: bool) -> Result<(), Failure> {
    let (spec, part) = (spec(), planned::spec());
    let own = own.then_some(Asked { spec: &spec, part: &part, cluster: "c" });
    let topic = Thing::Topic(planned::plan().topics[1].target.clone(), None);
    may_be_released(plan, state, &topic, "c", own)
}

#[test]
fn a_restore_that_is_released_is_one_that_holds_the_claim() {
    for state in [new_state(), prepared(), produced()] {
        for own in [true, false] {
            to_release(&state, &planned::plan(), own).unwrap();
        }
    }
    let state = produced();
    let of = |thing: Thing| may_be_released(&planned::plan(), &state, &thing, "c", None);
    of(Thing::Name("ns".into(), "r".into())).unwrap();
    for thing in [Thing::Name("ns".into(), "s".into()), Thing::Topic("payments".into(), None)] {
        assert_eq!(of(thing).unwrap_err().code, Code::StateMismatch);
    }
    // Of another specification than that of the one who asks.
    let mut other = produced();
    other.name = "s".into();
    to_release(&other, &planned::plan(), false).unwrap();
    assert!(to_release(&other, &planned::plan(), true).is_err());
}

/// What `release` would put back is what the restore can have held: of this cluster, of topics of its plan under the ids that
/// they have there, and configs that restores hold.
#[test]
fn a_forged_state_is_not_released() {
    for (pointer, value) in [
        ("/digest", json!("00")),
        ("/set", json!("../payments")),
        ("/topics", json!([])),
        ("/topics/0/name", json!("payments")),
        ("/topics/0/id", json!(Uuid::from_u128(3))),
        ("/topics/0/created", json!(true)),
        ("/topics/1/held/min.insync.replicas", json!("1")),
        ("/topics/1/previous/min.insync.replicas", json!("1")),
        ("/topics/1/previous/retention.ms", json!("1")),
        ("/partitions", json!([])),
    ] {
        let mut document = serde_json::to_value(produced()).unwrap();
        planned::set(&mut document, pointer, value.clone());
        let forged: RestoreState = serde_json::from_value(document).unwrap();
        let refused = to_release(&forged, &planned::plan(), false).expect_err(&format!("{pointer} {value}"));
        assert_eq!(refused.code, Code::StateMismatch, "{pointer}");
        assert!(refused.message.contains("nothing is released"), "{pointer} {value}: {refused}");
    }
    for (pointer, value) in [
        ("/cluster", json!("d")),
        ("/topics/0/target", json!("__consumer_offsets")),
        ("/topics/0/target", json!("a/b")),
        ("/topics/0/targetId", json!(Uuid::from_u128(3))),
        ("/topics/0/action", json!("refuse")),
        ("/topics/0/held/min.insync.replicas", json!("1")),
    ] {
        let mut document = serde_json::to_value(planned::plan()).unwrap();
        planned::set(&mut document, pointer, value.clone());
        let forged: RestorePlan = serde_json::from_value(document).unwrap();
        let refused = to_release(&produced(), &forged, false).expect_err(&format!("{pointer} {value}"));
        assert_eq!(refused.code, Code::StateMismatch, "{pointer}");
    }
}
