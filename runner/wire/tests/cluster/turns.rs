//! Whoever is asked where to go may be behind, or silent: the others are asked in turn, and nobody who is behind is believed.

use std::time::Duration;

use crate::script::{Ask, Door, Kafka, Reply, asked_for, metadata, metadata_of, options, versions};
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeGroupsResponse, FindCoordinatorResponse, ListOffsetsResponse, RequestKind, ResponseKind,
};
use tokio::time::Instant;
use wire::{Group, Isolation, OffsetAt};

const BROKERS: &[(i32, u16)] = &[(1, 1), (2, 2), (3, 3)];

/// The topic, led by `leader` in this epoch.
fn led_by(ask: &Ask, (leader, epoch): (i32, i32)) -> Reply {
    let names = asked_for(ask);
    let leaders = [leader];
    let topics: Vec<_> = names.iter().map(|name| (name.as_str(), 0, &leaders[..])).collect();
    let mut answer = metadata_of(BROKERS, &topics);
    for partition in answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.leader_epoch = epoch;
    }
    Reply::Answer(ResponseKind::Metadata(answer))
}

/// Partition 0 ends at `offset`, or `error`.
fn end(offset: i64, error: i16) -> Reply {
    let partition = ListOffsetsPartitionResponse::default().with_error_code(error).with_offset(offset);
    let topic = ListOffsetsTopicResponse::default()
        .with_name(kafka_protocol::messages::TopicName("t".into()))
        .with_partitions(vec![partition]);
    Reply::Answer(ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(vec![topic])))
}

async fn end_of(kafka: &Kafka, limit: Duration) -> (wire::Answers<i64>, Duration) {
    let cluster = kafka.connect(options()).await;
    let topics = cluster.topics(Some(&["t".to_owned()])).await.unwrap();
    let since = Instant::now();
    let answers = cluster.offsets_within(&topics, OffsetAt::End, Isolation::Uncommitted, limit).await.unwrap();
    (answers, since.elapsed())
}

#[tokio::test(start_paused = true)]
async fn where_one_broker_is_behind_another_names_the_leader() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        // The one that a client knows first still takes itself for the leader.
        RequestKind::Metadata(_) if asked_for(ask).is_empty() => metadata(BROKERS, &[]),
        RequestKind::Metadata(_) if ask.port == 1 => led_by(ask, (1, 4)),
        RequestKind::Metadata(_) => led_by(ask, (2, 5)),
        RequestKind::ListOffsets(_) if ask.port == 2 => end(100, 0),
        RequestKind::ListOffsets(_) => end(-1, 6),
        other => panic!("unexpected {other:?}"),
    });
    let (answers, took) = end_of(&kafka, Duration::from_secs(30)).await;
    assert_eq!(answers.found.values().collect::<Vec<_>>(), [&100], "{:?}", answers.missing);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_of_the_past_is_not_asked_when_a_newer_one_is_known() {
    // The newer leader refuses for a while; broker 3 slept, and knows and leads what was before.
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) if asked_for(ask).is_empty() => metadata(BROKERS, &[]),
        RequestKind::Metadata(_) if ask.port == 3 => led_by(ask, (3, 4)),
        RequestKind::Metadata(_) => led_by(ask, (2, 5)),
        RequestKind::ListOffsets(_) if ask.port == 3 => end(50, 0),
        RequestKind::ListOffsets(_) if ask.nth < 8 => end(-1, 5),
        RequestKind::ListOffsets(_) => end(100, 0),
        other => panic!("unexpected {other:?}"),
    });
    let (answers, _) = end_of(&kafka, Duration::from_secs(30)).await;
    assert_eq!(answers.found.values().collect::<Vec<_>>(), [&100], "{:?}", answers.missing);
    let ports: std::collections::BTreeSet<_> = kafka.seen(ApiKey::Metadata).iter().map(|ask| ask.port).collect();
    assert!(ports.contains(&3), "broker 3 was never asked: {ports:?}");
    assert!(kafka.seen(ApiKey::ListOffsets).iter().all(|ask| ask.port == 2), "who is behind was believed");
}

#[tokio::test(start_paused = true)]
async fn others_that_cannot_be_reached_cost_the_living_one_little() {
    // Only broker 1 lives; a question that another answer may help goes out again and again.
    let doors = |port| if port == 1 { Door::Open } else { Door::Silent };
    let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) if asked_for(ask).is_empty() => metadata(BROKERS, &[]),
        RequestKind::Metadata(_) => led_by(ask, (1, 5)),
        RequestKind::ListOffsets(_) if ask.nth < 3 => end(-1, 5),
        RequestKind::ListOffsets(_) => end(100, 0),
        other => panic!("unexpected {other:?}"),
    });
    let (answers, took) = end_of(&kafka, Duration::from_secs(30)).await;
    assert_eq!(answers.found.values().collect::<Vec<_>>(), [&100], "{:?}", answers.missing);
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn where_one_broker_is_behind_another_names_the_coordinator() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => metadata(BROKERS, &[]),
        RequestKind::FindCoordinator(request) => {
            let id = if ask.port == 1 { 1 } else { 2 };
            let found = Coordinator::default().with_node_id(BrokerId(id)).with_host("kafka".into()).with_port(id);
            let key = request.coordinator_keys.first().unwrap().clone();
            let answer = FindCoordinatorResponse::default().with_coordinators(vec![found.with_key(key)]);
            Reply::Answer(ResponseKind::FindCoordinator(answer))
        }
        RequestKind::DescribeGroups(request) => {
            let group = DescribedGroup::default().with_group_id(request.groups.first().unwrap().clone());
            let group = group.with_error_code(if ask.port == 2 { 0 } else { 16 });
            let answer = DescribeGroupsResponse::default().with_groups(vec![group]);
            Reply::Answer(ResponseKind::DescribeGroups(answer))
        }
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let since = Instant::now();
    let group = Group { id: "g".into(), kind: "classic".into(), state: "Empty".into() };
    assert!(cluster.group_members(&group).await.unwrap().is_empty());
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
