//! Connections under brokers that fall silent, announce nonsense, ask for silence, move, or hang.

use std::sync::Arc;
use std::time::Duration;

use crate::script::{Ask, Door, Kafka, Reply, asked_for, half, metadata, options, plaintext, versions, versions_of};
use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{ApiKey, FetchResponse, RequestKind, ResponseKind, TopicName};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::{Budget, Cluster, Connection, FetchAnswer, FetchOptions, FetchSpot, Isolation, Request, WireError};

const BROKERS: &[(i32, u16)] = &[(1, 1), (2, 2)];

fn spot() -> FetchSpot {
    FetchSpot {
        topic: Arc::from("t"),
        topic_id: uuid::Uuid::nil(),
        partition: 0,
        offset: 0,
        leader_epoch: 1,
        last_epoch: 1,
        max_bytes: 1 << 20,
    }
}

async fn fetch(connection: &Connection) -> Result<FetchAnswer, WireError> {
    let options = FetchOptions {
        isolation: Isolation::Committed,
        max_bytes: 1 << 20,
        max_wait: Duration::ZERO,
        rack: Arc::from(""),
    };
    connection.fetch(&[spot()], &options).await
}

fn records(bytes: usize, throttle: Duration) -> Reply {
    let part = PartitionData::default().with_records(Some(Bytes::from(vec![1; bytes])));
    let topic = FetchableTopicResponse::default().with_topic(TopicName("t".into())).with_partitions(vec![part]);
    let throttle = i32::try_from(throttle.as_millis()).unwrap();
    let answer = FetchResponse::default().with_throttle_time_ms(throttle).with_responses(vec![topic]);
    Reply::Answer(ResponseKind::Fetch(answer))
}

fn plain(ask: &Ask) -> Reply {
    match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::Metadata(_) => {
            let names = asked_for(ask);
            metadata(BROKERS, &names.iter().map(|name| (name.as_str(), 0, &[1][..])).collect::<Vec<_>>())
        }
        RequestKind::Fetch(_) => records(1000, Duration::ZERO),
        other => panic!("unexpected {other:?}"),
    }
}

async fn lane(cluster: &Cluster, lane: u32, budget: &Budget) -> Arc<Connection> {
    cluster.broker(1, lane, Some(budget)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_killed_connection_gives_its_memory_back_though_others_hold_it() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::Fetch(_) if ask.nth < 4 => half(96 << 20, 100),
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    let budget = Budget::new(80 << 20);
    let mut held = Vec::new();
    for number in 1..=4 {
        held.push(lane(&cluster, number, &budget).await);
    }
    let since = Instant::now();
    let ends = futures::future::join_all(held.iter().map(|connection| fetch(connection))).await;
    // One after the other gets the budget, falls silent, and is ended.
    assert!(since.elapsed() <= Duration::from_secs(4 * 30 + 5), "{:?}", since.elapsed());
    for end in ends {
        let text = end.unwrap_err().to_string();
        assert!(text.contains("fell silent for 30000 ms in the middle of an answer"), "{text}");
    }
    let since = Instant::now();
    let fresh = lane(&cluster, 1, &budget).await;
    assert!(!Arc::ptr_eq(&fresh, held.first().unwrap()));
    assert_eq!(fetch(&fresh).await.unwrap().bytes, 1000);
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn control_answers_are_not_under_the_budget() {
    let kafka = Kafka::new(plain);
    let cluster = kafka.connect(options()).await;
    let budget = Budget::new(6144);
    let answer = fetch(&*lane(&cluster, 1, &budget).await).await.unwrap();
    let all = fetch(&*lane(&cluster, 2, &budget).await).await.unwrap();
    let more = [fetch(&*lane(&cluster, 3, &budget).await).await.unwrap()];
    // The budget is used up: connections are made and topics described all the same.
    let since = Instant::now();
    lane(&cluster, 4, &budget).await;
    cluster.topics(Some(&["t".to_owned()])).await.unwrap();
    assert_eq!(since.elapsed(), Duration::ZERO);
    drop((answer, all, more));
}

#[tokio::test(start_paused = true)]
async fn a_length_that_cannot_be_is_refused_at_once() {
    for length in [0, 3, -1, i32::MIN, i32::MAX, 1 << 30, (512 << 20) + 1] {
        let kafka = Kafka::new(move |ask| match &ask.request {
            RequestKind::Fetch(_) => half(length, 4),
            _ => plain(ask),
        });
        let cluster = kafka.connect(options()).await;
        let since = Instant::now();
        let end = fetch(&*lane(&cluster, 1, &Budget::new(1 << 20)).await).await.unwrap_err();
        assert!(end.to_string().contains(&format!("a frame of {length} bytes")), "{end}");
        assert_eq!(since.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_memory_ends_no_request() {
    let kafka = Kafka::new(plain);
    let cluster = kafka.connect(options()).await;
    let budget = Budget::new(2048);
    let (first, second) = (lane(&cluster, 1, &budget).await, lane(&cluster, 2, &budget).await);
    let kept = fetch(&first).await.unwrap();
    let waiting = tokio::spawn(async move { fetch(&second).await.map(|answer| answer.bytes) });
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert!(!waiting.is_finished());
    drop(kept);
    assert_eq!(waiting.await.unwrap().unwrap(), 1000);
    assert!(budget.waited() >= Duration::from_secs(999), "{:?}", budget.waited());
    assert_eq!(kafka.seen(ApiKey::Fetch).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_is_left_at_the_deadline() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::Fetch(_) => Reply::Nothing,
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    let since = Instant::now();
    let end = fetch(&*lane(&cluster, 1, &Budget::new(1 << 20)).await).await.unwrap_err();
    assert!(matches!(end, WireError::Timeout { request: Request::Fetch, millis: 30_000, .. }), "{end}");
    assert_eq!(since.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_data_connection_never_delays_control_requests() {
    let quota = Duration::from_secs(600);
    let kafka = Kafka::new(move |ask| match &ask.request {
        RequestKind::Fetch(_) if ask.nth == 0 => records(1000, quota),
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    let budget = Budget::new(1 << 20);
    let data = lane(&cluster, 1, &budget).await;
    assert_eq!(fetch(&data).await.unwrap().throttled, quota);
    assert_eq!(cluster.throttled().total, quota);
    let since = Instant::now();
    assert_eq!(cluster.throttled().until, Some(since + quota));
    for _ in 0..5 {
        cluster.topics(Some(&["t".to_owned()])).await.unwrap();
    }
    assert_eq!(since.elapsed(), Duration::ZERO);
    // The connection itself keeps the silence that it was asked for.
    fetch(&data).await.unwrap();
    assert_eq!(since.elapsed(), quota);
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_delays_no_dial_to_another() {
    let doors = |port| if port == 1 { Door::Silent } else { Door::Open };
    let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
        RequestKind::Metadata(_) => metadata(&[(1, 1), (2, 2)], &[]),
        _ => plain(ask),
    });
    // The bootstrap address is the silent broker's: the second one is reached through a second address.
    let config = wire::ClusterConfig { bootstrap: vec!["kafka:1".into(), "kafka:2".into()], ..plaintext(options()) };
    let since = Instant::now();
    let cluster = Cluster::connect(config, Arc::new(kafka.clone())).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    let since = Instant::now();
    let budget = Budget::new(1 << 20);
    let silent = (1..=4).map(|lane| cluster.broker(1, lane, Some(&budget)));
    let healthy = (1..=4).map(|lane| cluster.broker(2, lane, Some(&budget)));
    let healthy = async {
        let all = futures::future::join_all(healthy).await;
        assert!(all.into_iter().all(|connection| connection.is_ok()));
        since.elapsed()
    };
    let (silent, healthy) = futures::join!(futures::future::join_all(silent), healthy);
    assert_eq!(healthy, Duration::ZERO);
    assert!(silent.into_iter().all(|end| matches!(end, Err(WireError::ConnectTimeout { .. }))));
    // Not one after the other.
    assert_eq!(since.elapsed(), Duration::from_secs(10));
    let dials = kafka.dials().len();
    assert!(matches!(cluster.broker(1, 5, Some(&budget)).await, Err(WireError::ConnectTimeout { .. })));
    assert_eq!(kafka.dials().len(), dials, "a broker that was silent a moment ago is not dialled again at once");
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_drops_the_connection() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::Metadata(_) if ask.nth < 1 => metadata(&[(1, 1), (2, 2)], &[]),
        RequestKind::Metadata(_) => metadata(&[(1, 2), (2, 1)], &[]),
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    let budget = Budget::new(1 << 20);
    let before = lane(&cluster, 1, &budget).await;
    assert_eq!(before.broker(), "kafka:1");
    assert!(Arc::ptr_eq(&before, &lane(&cluster, 1, &budget).await));
    cluster.topics(Some(&[])).await.unwrap();
    assert_eq!(lane(&cluster, 1, &budget).await.broker(), "kafka:2");
}

/// What brokers advertise is theirs to choose: a login must not go wherever they say.
#[tokio::test(start_paused = true)]
async fn an_advertised_address_outside_of_the_list_gets_no_byte() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::Metadata(_) => metadata(&[(1, 1), (2, 2)], &[]),
        _ => plain(ask),
    });
    let config = |allowed: &str| wire::ClusterConfig {
        allowed: contract::AllowedEndpoints::parse(&[allowed.to_owned()]).unwrap(),
        ..plaintext(options())
    };
    let budget = Budget::new(1 << 20);
    let cluster = Cluster::connect(config("kafka:1"), Arc::new(kafka.clone())).await.unwrap();
    assert!(cluster.broker(1, 1, Some(&budget)).await.is_ok());
    let error = cluster.broker(2, 1, Some(&budget)).await.unwrap_err();
    assert!(error.is_final() && error.code() == contract::Code::EndpointNotAllowed, "{error:?}");
    assert!(error.to_string().contains("broker 2") && error.to_string().contains("kafka:2"), "{error}");
    assert!(kafka.dials().iter().all(|(port, _)| *port == 1), "{:?}", kafka.dials());
    let whole = Cluster::connect(config("kafka"), Arc::new(kafka.clone())).await.unwrap();
    assert!(whole.broker(2, 1, Some(&budget)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn of_two_addresses_of_one_number_the_one_that_answers_counts() {
    for (good, dead) in [(1, 9), (9, 1)] {
        let doors = move |port| if port == 9 { Door::Silent } else { Door::Open };
        let kafka = Kafka::with_doors(doors, move |ask| match &ask.request {
            RequestKind::Metadata(_) => metadata(&[(1, good), (1, dead)], &[]),
            _ => plain(ask),
        });
        let cluster = kafka.connect(options()).await;
        let connection = lane(&cluster, 1, &Budget::new(1 << 20)).await;
        assert_eq!(connection.broker(), "kafka:1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_every_wait_at_once() {
    let stop = CancellationToken::new();
    let doors = |port| if port == 2 { Door::Silent } else { Door::Open };
    let kafka = Kafka::with_doors(doors, |ask| match &ask.request {
        RequestKind::Fetch(_) => records(10, Duration::from_secs(600)),
        RequestKind::Metadata(_) if asked_for(ask).is_empty() => plain(ask),
        RequestKind::Metadata(_) => Reply::Nothing,
        _ => plain(ask),
    });
    let cluster = kafka.try_connect(options(), stop.clone()).await.unwrap();
    let budget = Budget::new(1 << 20);
    let muted = lane(&cluster, 1, &budget).await;
    fetch(&muted).await.unwrap();
    let waits = {
        let cluster = Arc::clone(&cluster);
        tokio::spawn(async move {
            let topics = ["t".to_owned()];
            let (a, b, c) = futures::join!(fetch(&muted), cluster.broker(2, 1, None), cluster.topics(Some(&topics)));
            [a.err(), b.err(), c.err()]
        })
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    let since = Instant::now();
    stop.cancel();
    for end in waits.await.unwrap() {
        assert!(matches!(end, Some(WireError::Stopped)), "{end:?}");
    }
    assert_eq!(since.elapsed(), Duration::ZERO);
    assert_eq!(contract::Failure::from(WireError::Stopped).code.exit(), contract::ExitCode::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_answer_is_asked_for_again_over_a_new_connection() {
    let garbage = || half(12, 12);
    let kafka = Kafka::new(move |ask| match &ask.request {
        RequestKind::Metadata(_) if ask.nth == 1 => garbage(),
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    assert_eq!(cluster.topics(Some(&["t".to_owned()])).await.unwrap().len(), 1);
    let asked = kafka.seen(ApiKey::Metadata);
    assert_ne!(asked.get(1).unwrap().connection, asked.get(2).unwrap().connection);
    // For ever: the run ends after a few of them, and says what happened.
    let kafka = Kafka::new(move |ask| match &ask.request {
        RequestKind::Metadata(_) if ask.nth > 0 => garbage(),
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    let end = cluster.topics(Some(&["t".to_owned()])).await.unwrap_err();
    assert!(matches!(end, WireError::Protocol { request: Request::Metadata, .. }), "{end}");
    assert!(kafka.seen(ApiKey::Metadata).len() < 10);
}

#[tokio::test(start_paused = true)]
async fn requests_that_a_run_needs_are_checked_all_at_once() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions_of([(3, (0, 12)), (1, (4, 11)), (2, (0, 1))]),
        _ => plain(ask),
    });
    let cluster = kafka.connect(options()).await;
    cluster.require(&[Request::Metadata, Request::Fetch]).await.unwrap();
    let end = cluster.require(wire::BACKUP_NEEDS).await.unwrap_err();
    let text = end.to_string();
    assert!(text.contains("ListOffsets (versions 0 to 1 offered") && text.contains("DescribeConfigs"), "{text}");
    assert!(!text.contains("Fetch ("), "{text}");
    assert_eq!(end.code().exit(), contract::ExitCode::Final);
    // Fetch 11 has no field for the epoch of the last batch: it is left out.
    fetch(&*lane(&cluster, 1, &Budget::new(1 << 20)).await).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_bytes_of_a_broker_make_it_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..300 {
        let length = usize::try_from(next() % 60).unwrap();
        let body: Vec<u8> = (0..length).map(|_| if next() % 3 == 0 { 0 } else { (next() % 256) as u8 }).collect();
        let kafka = Kafka::new(move |ask| {
            let mut bytes = i32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
            bytes.extend([0; 4]);
            bytes.extend(&body);
            match &ask.request {
                RequestKind::ApiVersions(_) => plain(ask),
                RequestKind::Metadata(_) if ask.nth == 0 => plain(ask),
                _ => Reply::Raw(bytes),
            }
        });
        let cluster = kafka.connect(options()).await;
        let patience = Duration::from_secs(5);
        drop(fetch(&*lane(&cluster, 1, &Budget::new(1 << 20)).await).await);
        drop(cluster.groups(patience).await);
        drop(cluster.topics(None).await);
        drop(cluster.leader("t", 0).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_knows_for_a_minute_ends_the_run() {
    let begun = Instant::now();
    let connect = |known_at: u64| async move {
        let known = move || begun.elapsed() > Duration::from_secs(known_at);
        let kafka = Kafka::with_doors(move |_| if known() { Door::Open } else { Door::Nowhere }, plain);
        kafka.try_connect(options(), CancellationToken::new()).await
    };
    assert!(connect(50).await.is_ok(), "a name may be given late");
    let error = connect(1_000).await.unwrap_err();
    assert_eq!(error.code(), contract::Code::BrokerNameUnknown, "{error}");
    assert!((60..80).contains(&begun.elapsed().as_secs().saturating_sub(50)), "{:?}", begun.elapsed());
}

/// A dial that nobody answers says where the address comes from, long before it is given up.
#[tokio::test(start_paused = true)]
async fn a_silent_address_is_told_with_the_broker_that_advertises_it() {
    let doors = |port| if port == 2 { Door::Silent } else { Door::Open };
    let kafka = Kafka::with_doors(doors, plain);
    let waits = contract::Waits::default();
    let config = wire::ClusterConfig { waits: waits.clone(), ..plaintext(options()) };
    let cluster = Cluster::connect(config, Arc::new(kafka)).await.unwrap();
    let dialling = tokio::spawn(async move { cluster.broker(2, 1, None).await.map(drop) });
    let mut announcer = contract::waits::Announcer::default();
    let mut told = Vec::new();
    for second in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        told.extend(announcer.due(&waits, Duration::from_secs(second)));
    }
    assert_eq!(told.first().map(|(_, what)| what.as_str()), Some("a connection to kafka:2, which broker 2 advertises"));
    let error = dialling.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("set advertised.listeners of the broker"), "{error}");
}
