//! Positions of many groups: few questions where brokers answer them, and each group on its own where they do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ApiKey, BrokerId, FindCoordinatorResponse, OffsetFetchResponse, RequestKind, ResponseKind, TopicName,
};
use tokio::time::Instant;
use wire::{CoordinatorPatience, Group};

use crate::script::{Kafka, Reply, metadata, options, versions};

const BROKERS: &[(i32, u16)] = &[(1, 1), (2, 2)];

/// Groups with an even number are those of broker 2. A group whose name begins with `odd` is refused beside others, and one
/// that begins with `gone` everywhere. Broker 1 may be silent.
fn brokers(silent: &Arc<AtomicBool>) -> Kafka {
    let silent = Arc::clone(silent);
    Kafka::new(move |ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => metadata(BROKERS, &[]),
        RequestKind::FindCoordinator(request) => {
            let one = |key: &kafka_protocol::protocol::StrBytes| {
                let id = if key.ends_with(['0', '2', '4', '6', '8']) { 2 } else { 1 };
                Coordinator::default()
                    .with_node_id(BrokerId(id))
                    .with_host("kafka".into())
                    .with_port(id)
                    .with_key(key.clone())
            };
            let all = request.coordinator_keys.iter().map(one).collect();
            Reply::Answer(ResponseKind::FindCoordinator(FindCoordinatorResponse::default().with_coordinators(all)))
        }
        RequestKind::OffsetFetch(_) if ask.port == 1 && silent.load(Ordering::Relaxed) => Reply::Nothing,
        RequestKind::OffsetFetch(request) => {
            let is_alone = request.groups.len() == 1;
            let one = |asked: &kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup| {
                let group = OffsetFetchResponseGroup::default().with_group_id(asked.group_id.clone());
                if asked.group_id.starts_with("gone") {
                    return group.with_error_code(69);
                }
                if asked.group_id.starts_with("odd") && !is_alone {
                    return group.with_error_code(14);
                }
                let partition =
                    |p| OffsetFetchResponsePartitions::default().with_partition_index(p).with_committed_offset(5);
                let partitions = [1, 0].map(partition).to_vec();
                let topic = OffsetFetchResponseTopics::default().with_name(TopicName("t".into()));
                group.with_topics(vec![topic.with_partitions(partitions)])
            };
            let groups = request.groups.iter().map(one).collect();
            Reply::Answer(ResponseKind::OffsetFetch(OffsetFetchResponse::default().with_groups(groups)))
        }
        other => panic!("unexpected {other:?}"),
    })
}

fn group(id: String) -> Group {
    Group { id, kind: "classic".into(), state: "Empty".into() }
}

#[tokio::test(start_paused = true)]
async fn many_groups_take_few_questions() {
    let kafka = brokers(&Arc::default());
    let cluster = kafka.connect(options()).await;
    let all: Vec<_> =
        (0..1_000).map(|n| group(format!("g{n}"))).chain(["odd1", "gone2"].map(|id| group(id.into()))).collect();
    let patience = CoordinatorPatience::new(Duration::from_secs(5));
    let found = cluster.offsets_of_groups(&all, &patience, 8).await;
    assert_eq!(found.len(), 1_002);
    let places =
        |id: &str| -> Vec<_> { found[id].as_ref().unwrap().iter().map(|at| (at.partition, at.offset)).collect() };
    for id in ["g0", "g999", "odd1"] {
        assert_eq!(places(id), [(0, 5), (1, 5)], "{id}");
    }
    assert_eq!(found["gone2"].as_ref().unwrap_err().broker_code(), Some(69), "only its coordinator says so");
    let (looks, questions) = (kafka.seen(ApiKey::FindCoordinator).len(), kafka.seen(ApiKey::OffsetFetch).len());
    assert!(looks <= 5 && questions <= 44, "{looks} looks for coordinators, {questions} questions");
}

/// One that is silent holds up no group of the others.
#[tokio::test(start_paused = true)]
async fn a_silent_coordinator_costs_its_own_groups_only() {
    let silent = Arc::new(AtomicBool::new(false));
    let cluster = brokers(&silent).connect(options()).await;
    silent.store(true, Ordering::Relaxed);
    let all: Vec<_> = (0..500).map(|n| group(format!("g{n}"))).collect();
    let (since, patience) = (Instant::now(), CoordinatorPatience::new(Duration::from_secs(5)));
    let found = cluster.offsets_of_groups(&all, &patience, 8).await;
    for (id, offsets) in &found {
        assert_eq!(offsets.is_ok(), id.ends_with(['0', '2', '4', '6', '8']), "{id}: {offsets:?}");
    }
    assert!(found.len() == 500 && since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
}
