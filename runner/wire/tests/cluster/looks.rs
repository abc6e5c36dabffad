//! Looks at a cluster whose brokers are behind, away, or leave: what is known, what is not yet, and what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::script::{Ask, Door, Entry, Kafka, Reply, asked_for, metadata, metadata_of, options, versions};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeConfigsResponse, FindCoordinatorResponse, ListGroupsResponse, ListOffsetsRequest,
    ListOffsetsResponse, OffsetFetchResponse, RequestKind, ResponseKind,
};
use tokio::time::Instant;
use wire::{CoordinatorPatience, Group, Isolation, OffsetAt, WireError, code};

const BROKERS: &[(i32, u16)] = &[(1, 1), (2, 2), (3, 3)];

fn names() -> Vec<String> {
    vec!["t".to_owned()]
}

/// Answers for whatever topics are asked for, all with `error` and `leaders`.
fn topics(ask: &Ask, brokers: &[(i32, u16)], error: i16, leaders: &[i32]) -> Reply {
    let names = asked_for(ask);
    metadata(brokers, &names.iter().map(|name| (name.as_str(), error, leaders)).collect::<Vec<Entry<'_>>>())
}

fn offsets(request: &ListOffsetsRequest, error_of: impl Fn(i32) -> i16) -> Reply {
    let topic = |topic: &kafka_protocol::messages::list_offsets_request::ListOffsetsTopic| {
        let partition = |p: &kafka_protocol::messages::list_offsets_request::ListOffsetsPartition| {
            let error = error_of(p.partition_index);
            ListOffsetsPartitionResponse::default()
                .with_partition_index(p.partition_index)
                .with_error_code(error)
                .with_offset(if error == 0 { 100 + i64::from(p.partition_index) } else { -1 })
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
    };
    let topics = request.topics.iter().map(topic).collect();
    Reply::Answer(ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics)))
}

#[tokio::test(start_paused = true)]
async fn an_error_that_passes_is_asked_again_of_another_broker() {
    for error in [-1, 2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 56, 72] {
        let kafka = Kafka::new(move |ask| match &ask.request {
            RequestKind::ApiVersions(_) => versions(),
            RequestKind::Metadata(_) if asked_for(ask).is_empty() => metadata(BROKERS, &[]),
            RequestKind::Metadata(_) if ask.nth == 1 => topics(ask, BROKERS, error, &[]),
            RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[1]),
            other => panic!("unexpected {other:?}"),
        });
        let cluster = kafka.connect(options()).await;
        let found = cluster.topics(Some(&names())).await.unwrap();
        assert_eq!(found.iter().map(|topic| topic.error).collect::<Vec<_>>(), [0], "{error}");
        let asked = kafka.seen(ApiKey::Metadata);
        assert_ne!(asked.get(1).unwrap().connection, asked.get(2).unwrap().connection);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_is_believed_after_several_looks_at_several_brokers() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => topics(ask, BROKERS, code::UNKNOWN_TOPIC_OR_PARTITION, &[]),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let since = Instant::now();
    let found = cluster.topics(Some(&names())).await.unwrap();
    assert_eq!(found.first().unwrap().error, code::UNKNOWN_TOPIC_OR_PARTITION);
    assert!((Duration::from_secs(1)..=Duration::from_secs(3)).contains(&since.elapsed()), "{:?}", since.elapsed());
    let ports: std::collections::BTreeSet<_> = kafka.seen(ApiKey::Metadata).iter().map(|ask| ask.port).collect();
    assert!(ports.len() >= 3, "{ports:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_stays_is_returned_in_time_and_one_for_good_at_once() {
    for (error, limit) in [(5, 15), (29, 0), (17, 0)] {
        let kafka = Kafka::new(move |ask| match &ask.request {
            RequestKind::ApiVersions(_) => versions(),
            RequestKind::Metadata(_) => topics(ask, BROKERS, error, &[]),
            other => panic!("unexpected {other:?}"),
        });
        let cluster = kafka.connect(options()).await;
        let since = Instant::now();
        assert_eq!(cluster.topics(Some(&names())).await.unwrap().first().unwrap().error, error);
        assert!(since.elapsed() <= Duration::from_secs(limit), "{error}: {:?}", since.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_is_no_error_of_its_topic() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[1, -1, 2]),
        RequestKind::ListOffsets(request) => offsets(request, |_| 0),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let since = Instant::now();
    let found = cluster.topics(Some(&names())).await.unwrap();
    let leaders: Vec<_> = found.first().unwrap().partitions.iter().map(|p| p.leader).collect();
    assert_eq!(leaders, [1, -1, 2]);
    assert_eq!(since.elapsed(), Duration::ZERO);
    let patience = Duration::from_secs(5);
    let answers = cluster.offsets_within(&found, OffsetAt::End, Isolation::Committed, patience).await.unwrap();
    assert_eq!(answers.found.len(), 2);
    assert_eq!(answers.found.get(&("t".to_owned(), 2)), Some(&102));
    let missing = answers.missing.get(&("t".to_owned(), 1)).unwrap();
    assert!(missing.to_string().contains("t/1 has no leader"), "{missing}");
    assert!(since.elapsed() <= patience, "{:?}", since.elapsed());
    // Whoever needs all of them waits until the deadline, and gets none made up.
    let end = cluster.offsets(&found, OffsetAt::End, Isolation::Committed).await.unwrap_err();
    assert!(matches!(end, WireError::Deadline { .. }), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_holds_up_no_other_partition() {
    for dead in [Door::Silent, Door::Closed] {
        let doors = move |port| if port == 2 { dead } else { Door::Open };
        let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
            RequestKind::ApiVersions(_) => versions(),
            RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[1, 2, 3]),
            // The third one moves once.
            RequestKind::ListOffsets(request) => offsets(request, |p| if p == 2 && ask.nth < 2 { 6 } else { 0 }),
            other => panic!("unexpected {other:?}"),
        });
        let cluster = kafka.connect(options()).await;
        let found = cluster.topics(Some(&names())).await.unwrap();
        let (since, patience) = (Instant::now(), Duration::from_secs(3));
        let answers = cluster.offsets_within(&found, OffsetAt::Start, Isolation::Uncommitted, patience).await.unwrap();
        let mut keys: Vec<_> = answers.found.keys().map(|(_, partition)| *partition).collect();
        keys.sort_unstable();
        assert_eq!(keys, [0, 2]);
        assert_eq!(answers.missing.len(), 1);
        assert_eq!(since.elapsed(), patience);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_partition_is_named_and_ends_only_the_strict_question() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[1, 2]),
        RequestKind::ListOffsets(request) => offsets(request, |p| if p == 1 { 29 } else { 0 }),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let found = cluster.topics(Some(&names())).await.unwrap();
    let since = Instant::now();
    let patience = Duration::from_secs(60);
    let answers = cluster.offsets_within(&found, OffsetAt::Start, Isolation::Uncommitted, patience).await.unwrap();
    assert_eq!((answers.found.len(), answers.missing.len()), (1, 1));
    let end = cluster.offsets(&found, OffsetAt::Start, Isolation::Uncommitted).await.unwrap_err();
    assert_eq!(end.broker_code(), Some(code::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_is_named_as_that() {
    let gone = Arc::new(AtomicBool::new(false));
    let kafka = Kafka::new({
        let gone = Arc::clone(&gone);
        move |ask| match &ask.request {
            RequestKind::ApiVersions(_) => versions(),
            RequestKind::Metadata(_) if gone.load(Ordering::Relaxed) => topics(ask, BROKERS, 3, &[]),
            RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[1]),
            RequestKind::ListOffsets(request) => offsets(request, |_| 3),
            other => panic!("unexpected {other:?}"),
        }
    });
    let cluster = kafka.connect(options()).await;
    let found = cluster.topics(Some(&names())).await.unwrap();
    gone.store(true, Ordering::Relaxed);
    let since = Instant::now();
    let end = cluster.offsets(&found, OffsetAt::Start, Isolation::Uncommitted).await.unwrap_err();
    assert!(matches!(&end, WireError::TopicGone { topic } if topic == "t"), "{end}");
    assert_eq!(end.code(), contract::Code::TopicChanged);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

fn listed(ask: &Ask) -> Reply {
    let group =
        ListedGroup::default().with_group_id(kafka_protocol::messages::GroupId(format!("g{}", ask.port).into()));
    Reply::Answer(ResponseKind::ListGroups(ListGroupsResponse::default().with_groups(vec![group])))
}

#[tokio::test(start_paused = true)]
async fn groups_of_a_broker_that_is_away_are_told_as_missing() {
    let doors = |port| if port == 2 { Door::Silent } else { Door::Open };
    let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[]),
        RequestKind::ListGroups(_) => listed(ask),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let (since, patience) = (Instant::now(), Duration::from_secs(5));
    let groups = cluster.groups(patience).await.unwrap();
    let ids: Vec<_> = groups.groups.iter().map(|group| group.id.as_str()).collect();
    assert_eq!(ids, ["g1", "g3"]);
    assert_eq!(groups.unanswered.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    assert!(since.elapsed() <= patience, "{:?}", since.elapsed());
}

/// A cluster whose first broker, which is the one that a client knows, answers nothing any more once it is told to.
fn freezing(frozen: &Arc<AtomicBool>) -> Kafka {
    let frozen = Arc::clone(frozen);
    Kafka::new(move |ask| match &ask.request {
        _ if ask.port == 1 && frozen.load(Ordering::Relaxed) => Reply::Nothing,
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[2]),
        RequestKind::DescribeConfigs(_) => configs(ask, |_| 0),
        // Groups whose name ends with 1 are those of the first broker.
        RequestKind::FindCoordinator(request) => {
            let key = request.coordinator_keys.first().unwrap();
            let id = if key.ends_with('1') { 1 } else { 2 };
            let found = Coordinator::default().with_node_id(BrokerId(id)).with_host("kafka".into()).with_port(id);
            let answer = FindCoordinatorResponse::default().with_coordinators(vec![found.with_key(key.clone())]);
            Reply::Answer(ResponseKind::FindCoordinator(answer))
        }
        RequestKind::OffsetFetch(request) => {
            let group = request.groups.first().unwrap();
            let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            Reply::Answer(ResponseKind::OffsetFetch(OffsetFetchResponse::default().with_groups(vec![answer])))
        }
        other => panic!("unexpected {other:?}"),
    })
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_freezes_holds_up_no_question_that_others_answer() {
    let frozen = Arc::new(AtomicBool::new(false));
    let limit = Duration::from_secs(3);
    for question in ["metadata", "configs", "rights", "leader"] {
        frozen.store(false, Ordering::Relaxed);
        let cluster = freezing(&frozen).connect(options()).await;
        frozen.store(true, Ordering::Relaxed);
        let since = Instant::now();
        match question {
            "metadata" => drop(cluster.topics(Some(&names())).await.unwrap()),
            "configs" => drop(cluster.topic_configs(&names()).await.unwrap()),
            "rights" => drop(cluster.rights(&names()).await.unwrap()),
            _ => assert_eq!(cluster.leader("t", 0).await.unwrap(), 2),
        }
        assert!(since.elapsed() <= limit, "{question}: {:?}", since.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_coordinator_is_waited_for_once() {
    let frozen = Arc::new(AtomicBool::new(false));
    let cluster = freezing(&frozen).connect(options()).await;
    frozen.store(true, Ordering::Relaxed);
    let patience = CoordinatorPatience::new(Duration::from_secs(5));
    let since = Instant::now();
    for number in 0..200 {
        let group = Group { id: format!("g{number}"), kind: "classic".into(), state: "Empty".into() };
        let offsets = cluster.group_offsets(&group, &patience).await;
        assert_eq!(offsets.is_err(), group.id.ends_with('1'), "{}: {offsets:?}", group.id);
    }
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_left_is_forgotten() {
    let doors = |port| if port == 2 { Door::Closed } else { Door::Open };
    let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        // Known until the third answer.
        RequestKind::Metadata(_) if ask.nth < 3 => metadata(BROKERS, &[]),
        RequestKind::Metadata(_) => metadata(&[(1, 1), (3, 3)], &[]),
        RequestKind::ListGroups(_) => listed(ask),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    assert_eq!(cluster.broker_ids(), [1, 2, 3]);
    let since = Instant::now();
    let groups = cluster.groups(Duration::from_secs(30)).await.unwrap();
    assert!(groups.unanswered.is_empty(), "{:?}", groups.unanswered);
    assert_eq!(groups.groups.len(), 2);
    assert_eq!(cluster.broker_ids(), [1, 3]);
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert!(matches!(cluster.broker(2, 1, None).await, Err(WireError::UnknownBroker { id: 2 })));
}

/// A group of a broker that left has another coordinator by now, which had answered before it took the group over.
#[tokio::test(start_paused = true)]
async fn groups_of_a_broker_that_left_are_found_where_they_went() {
    let doors = |port| if port == 2 { Door::Closed } else { Door::Open };
    let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) if ask.nth < 3 => metadata(BROKERS, &[]),
        RequestKind::Metadata(_) => metadata(&[(1, 1), (3, 3)], &[]),
        // The first list of broker 1 lacks what it takes over from broker 2 a moment later.
        RequestKind::ListGroups(_) if ask.port == 1 && ask.nth > 1 => {
            let group =
                |id: &'static str| ListedGroup::default().with_group_id(kafka_protocol::messages::GroupId(id.into()));
            let groups = vec![group("g1"), group("taken-over")];
            Reply::Answer(ResponseKind::ListGroups(ListGroupsResponse::default().with_groups(groups)))
        }
        RequestKind::ListGroups(_) => listed(ask),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let groups = cluster.groups(Duration::from_secs(30)).await.unwrap();
    assert!(groups.unanswered.is_empty(), "{:?}", groups.unanswered);
    assert!(groups.groups.iter().any(|group| group.id == "taken-over"), "{:?}", groups.groups);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_brokers_forgets_none() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) if ask.nth == 0 => metadata(BROKERS, &[]),
        RequestKind::Metadata(_) => metadata(&[], &[]),
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    cluster.topics(Some(&[])).await.unwrap();
    assert_eq!(cluster.broker_ids(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn whether_all_groups_are_listed_is_told_by_the_right_to_describe_the_cluster() {
    for (rights, sees_all) in [(i32::MIN, None), (1 << 8, Some(true)), (1 << 4, Some(false))] {
        let kafka = Kafka::new(move |ask| match &ask.request {
            RequestKind::ApiVersions(_) => versions(),
            RequestKind::Metadata(request) => {
                assert!(!request.include_cluster_authorized_operations || ask.version <= 10);
                let answer = metadata_of(BROKERS, &[]);
                let answer = if ask.version >= 8 && ask.version <= 10 {
                    answer.with_cluster_authorized_operations(rights)
                } else {
                    answer
                };
                Reply::Answer(ResponseKind::Metadata(answer))
            }
            RequestKind::ListGroups(_) => listed(ask),
            other => panic!("unexpected {other:?}"),
        });
        let cluster = kafka.connect(options()).await;
        assert_eq!(cluster.groups(Duration::from_secs(5)).await.unwrap().sees_all, sees_all);
    }
}

/// Configs of whatever topics are asked for.
fn configs(ask: &Ask, error_of: impl Fn(&str) -> i16) -> Reply {
    let RequestKind::DescribeConfigs(request) = &ask.request else { panic!("not a question for configs") };
    let result = |resource: &DescribeConfigsResource| {
        DescribeConfigsResult::default()
            .with_resource_name(resource.resource_name.clone())
            .with_resource_type(2)
            .with_error_code(error_of(&resource.resource_name))
    };
    let results = request.resources.iter().map(result).collect();
    Reply::Answer(ResponseKind::DescribeConfigs(DescribeConfigsResponse::default().with_results(results)))
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_keeps_no_configs_of_others_back() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => topics(ask, BROKERS, 0, &[1]),
        RequestKind::DescribeConfigs(_) => {
            let late = ask.nth == 0;
            let error_of = |name: &str| if name == "gone" || (name == "late" && late) { 3 } else { 0 };
            configs(ask, error_of)
        }
        other => panic!("unexpected {other:?}"),
    });
    let cluster = kafka.connect(options()).await;
    let names = ["gone", "late", "there"].map(str::to_owned);
    let since = Instant::now();
    let found = cluster.configs_of_existing(&names).await.unwrap();
    assert!(found.refused.is_empty());
    assert_eq!(found.configs.keys().collect::<std::collections::BTreeSet<_>>(), [&names[1], &names[2]].into());
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    // Whoever needs all of them waits.
    let error = cluster.topic_configs(&names).await.unwrap_err();
    assert!(error.is_deadline(), "{error}");
}
