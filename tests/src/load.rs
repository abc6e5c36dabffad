//! Loads made with librdkafka: codecs, headers, tombstones, transactions, compaction.

use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use crate::cluster::wait_for;
use crate::oracle::config;

/// How long one answer about a change of a topic is waited for.
const LISTENS: Duration = Duration::from_secs(20);
/// 2026-01-01T00:00:00Z in milliseconds: record times of loads start here.
pub const T0: i64 = 1_767_225_600_000;

/// A record to produce.
#[derive(Debug, Clone, Default)]
pub struct Make {
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970; now when absent.
    pub timestamp: Option<i64>,
    /// Partition.
    pub partition: i32,
}

impl Make {
    /// A plain record with a time after [`T0`].
    pub fn new(number: i64, partition: i32) -> Self {
        Self {
            key: Some(format!("key-{:06}", number % 1000).into_bytes()),
            value: Some(format!("{{\"number\":{number},\"text\":\"{}\"}}", "lorem ipsum ".repeat(5)).into_bytes()),
            headers: Vec::new(),
            timestamp: Some(T0 + number),
            partition,
        }
    }
}

/// Waits for one future of the client library without a runtime: it is driven by the library's own threads.
fn block_on<F: std::future::Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return out;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// An administration client.
pub fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    config(bootstrap).create().unwrap()
}

/// Creates a topic with these configs.
pub fn create(bootstrap: &str, name: &str, partitions: i32, replicas: i32, configs: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in configs {
        topic = topic.set(key, value);
    }
    settle(bootstrap, RDKafkaErrorCode::TopicAlreadyExists, |admin, options| {
        block_on(admin.create_topics([&topic], options))
    });
    await_partitions(bootstrap, name, partitions);
}

/// Changes a topic, and asks until somebody says what became of it: a client may wait for a broker that was killed a moment
/// ago. `done` is the answer when an earlier question was heard.
fn settle(
    bootstrap: &str,
    done: RDKafkaErrorCode,
    change: impl Fn(&AdminClient<DefaultClientContext>, &AdminOptions) -> KafkaResult<Vec<TopicResult>>,
) {
    use RDKafkaErrorCode::{BrokerTransportFailure, NotController, OperationTimedOut, RequestTimedOut};
    let options = AdminOptions::new().operation_timeout(Some(LISTENS / 2)).request_timeout(Some(LISTENS));
    let (deadline, mut asked) = (Instant::now() + LISTENS * 8, false);
    loop {
        let code = match change(&admin(bootstrap), &options) {
            Ok(results) => match results.into_iter().find_map(Result::err) {
                None => return,
                Some((_, code)) => code,
            },
            Err(error) => error.rdkafka_error_code().unwrap_or_else(|| panic!("changing a topic: {error}")),
        };
        match code {
            code if asked && code == done => return,
            OperationTimedOut | RequestTimedOut | NotController | BrokerTransportFailure => {}
            other => panic!("changing a topic: {other}"),
        }
        assert!(Instant::now() < deadline, "nobody says what became of a topic");
        asked = true;
    }
}

/// A topic is usable once a leader is known everywhere.
fn await_partitions(bootstrap: &str, name: &str, partitions: i32) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while crate::oracle::partitions(bootstrap, name) < partitions {
        assert!(Instant::now() < deadline, "{name} does not appear");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The value in force of a config of a topic.
pub fn topic_config(bootstrap: &str, topic: &str, name: &str) -> Option<String> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let found = block_on(admin(bootstrap).describe_configs(&asked, &AdminOptions::new())).unwrap();
    let entries = found.into_iter().flat_map(|resource| resource.unwrap().entries);
    entries.into_iter().find(|entry| entry.name == name).and_then(|entry| entry.value)
}

/// Sets one config of a topic, and removes all others that it has of its own.
pub fn set_config(bootstrap: &str, topic: &str, name: &str, value: &str) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    let done = block_on(admin(bootstrap).alter_configs(&[change], &AdminOptions::new())).unwrap();
    assert!(done.iter().all(Result::is_ok), "{done:?}");
}

/// Deletes a topic.
pub fn delete(bootstrap: &str, name: &str) {
    settle(bootstrap, RDKafkaErrorCode::UnknownTopicOrPartition, |admin, options| {
        block_on(admin.delete_topics(&[name], options))
    });
    std::thread::sleep(Duration::from_millis(500));
}

/// Adds partitions to a topic.
pub fn grow(bootstrap: &str, name: &str, partitions: usize) {
    let wanted = NewPartitions::new(name, partitions);
    settle(bootstrap, RDKafkaErrorCode::InvalidPartitions, |admin, options| {
        block_on(admin.create_partitions([&wanted], options))
    });
    await_partitions(bootstrap, name, i32::try_from(partitions).unwrap());
}

/// Creates a topic with one partition on these brokers, the first of them its leader.
pub fn create_on(bootstrap: &str, name: &str, brokers: &[i32], configs: &[(&str, &str)]) {
    let assignment = [brokers];
    let mut topic = NewTopic::new(name, 1, TopicReplication::Variable(&assignment));
    for (key, value) in configs {
        topic = topic.set(key, value);
    }
    let done = block_on(admin(bootstrap).create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(done.iter().all(Result::is_ok), "{done:?}");
}

/// Waits until every partition of the cluster has all its replicas in sync: until then a broker that fails next may take
/// the only ones that are.
pub fn wait_in_sync(bootstrap: &str) {
    wait_for(Duration::from_secs(180), || in_sync(bootstrap));
}

/// Whether every partition of the cluster has all its replicas in sync.
///
/// # Errors
/// The partitions that have not, or why it is not known.
pub fn in_sync(bootstrap: &str) -> Result<(), String> {
    let consumer: BaseConsumer = config(bootstrap).create().unwrap();
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(20)).map_err(|error| error.to_string())?;
    let parts = metadata.topics().iter().flat_map(|topic| topic.partitions().iter().map(|one| (topic.name(), one)));
    let behind = |(_, one): &(&str, &MetadataPartition)| one.leader() < 0 || one.isr().len() < one.replicas().len();
    match parts.filter(behind).map(|(name, one)| format!("{name}/{}", one.id())).collect::<Vec<_>>() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("replicas of {}", left.join(", "))),
    }
}

/// Deletes the records of a partition before an offset.
pub fn delete_records(bootstrap: &str, topic: &str, partition: i32, before: i64) {
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(before)).unwrap();
    block_on(admin(bootstrap).delete_records(&list, &AdminOptions::new())).unwrap();
}

/// A producer with further settings.
pub fn producer(bootstrap: &str, settings: &[(&str, &str)]) -> BaseProducer {
    let mut config = config(bootstrap);
    config.set("linger.ms", "5").set("queue.buffering.max.messages", "1000000");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

/// Sends records with one producer, without waiting for the last acknowledgement.
pub fn send(producer: &BaseProducer, topic: &str, records: impl IntoIterator<Item = Make>) {
    for make in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &make.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        loop {
            let mut record: BaseRecord<'_, Vec<u8>, Vec<u8>> = BaseRecord::to(topic).partition(make.partition);
            if let Some(key) = &make.key {
                record = record.key(key);
            }
            if let Some(value) = &make.value {
                record = record.payload(value);
            }
            if let Some(timestamp) = make.timestamp {
                record = record.timestamp(timestamp);
            }
            if !make.headers.is_empty() {
                record = record.headers(headers.clone());
            }
            match producer.send(record) {
                Ok(()) => break,
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => panic!("producing to {topic}: {error}"),
            }
        }
    }
}

/// Produces records and waits for all acknowledgements.
pub fn produce(bootstrap: &str, topic: &str, settings: &[(&str, &str)], records: impl IntoIterator<Item = Make>) {
    let producer = producer(bootstrap, settings);
    send(&producer, topic, records);
    producer.flush(Duration::from_secs(180)).unwrap();
}

/// Runs transactions over one topic; each is (records, whether it commits).
pub fn transactions(bootstrap: &str, topic: &str, id: &str, all: Vec<(Vec<Make>, bool)>) {
    let limit = Duration::from_secs(30);
    let producer = producer(bootstrap, &[("transactional.id", id)]);
    producer.init_transactions(limit).unwrap();
    for (records, commits) in all {
        producer.begin_transaction().unwrap();
        send(&producer, topic, records);
        // librdkafka drops the unsent records of an aborted transaction: send them first.
        producer.flush(limit).unwrap();
        if commits { producer.commit_transaction(limit).unwrap() } else { producer.abort_transaction(limit).unwrap() }
    }
}

/// Makes the mixed load of the demo and of several tests: returns the names of its topics.
pub fn mixed(bootstrap: &str, records: i64) -> Vec<String> {
    let mut topics = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("codec-{codec}");
        create(bootstrap, &topic, 3, 1, &[]);
        let partition = |number: i64| i32::try_from(number % 3).unwrap();
        produce(bootstrap, &topic, &[("compression.type", codec)], (0..records).map(|n| Make::new(n, partition(n))));
        topics.push(topic);
    }
    topics.push(with_headers(bootstrap, records / 10));
    topics.push(with_tombstones(bootstrap, records / 10));
    topics.push(with_transactions(bootstrap));
    topics.push(compacted(bootstrap));
    create(bootstrap, "empty", 2, 1, &[("retention.ms", "86400000")]);
    topics.push("empty".into());
    topics
}

fn with_headers(bootstrap: &str, records: i64) -> String {
    create(bootstrap, "headers", 1, 1, &[]);
    let value = |text: &str| Some(text.as_bytes().to_vec());
    let make = |number: i64| Make {
        headers: vec![
            ("trace".into(), value("one")),
            ("trace".into(), value("two")),
            ("null".into(), None),
            ("empty".into(), Some(Vec::new())),
            ("x-original-offset".into(), value("mine")),
        ],
        ..Make::new(number, 0)
    };
    produce(bootstrap, "headers", &[("compression.type", "lz4")], (0..records).map(make));
    "headers".into()
}

fn with_tombstones(bootstrap: &str, records: i64) -> String {
    create(bootstrap, "nulls", 1, 1, &[]);
    let make = |number: i64| match number % 4 {
        0 => Make { value: None, ..Make::new(number, 0) },
        1 => Make { key: None, ..Make::new(number, 0) },
        2 => Make { key: Some(Vec::new()), value: Some(Vec::new()), ..Make::new(number, 0) },
        // Times out of order.
        _ => Make { timestamp: Some(T0 - number), ..Make::new(number, 0) },
    };
    produce(bootstrap, "nulls", &[], (0..records).map(make));
    "nulls".into()
}

fn with_transactions(bootstrap: &str) -> String {
    create(bootstrap, "transactions", 2, 1, &[]);
    let part = |from: i64| (from..from + 20).map(|n| Make::new(n, i32::try_from(n % 2).unwrap())).collect::<Vec<_>>();
    let all = (0..30).map(|round| (part(round * 20), round % 3 != 1)).collect();
    transactions(bootstrap, "transactions", "mixed-load", all);
    produce(bootstrap, "transactions", &[("compression.type", "zstd")], part(10_000));
    "transactions".into()
}

/// A topic with holes that the cleaner made; waits until it has made some.
pub fn compacted(bootstrap: &str) -> String {
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "200"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "600000"),
        ("max.compaction.lag.ms", "200"),
    ];
    create(bootstrap, "compacted", 1, 1, &configs);
    for round in 0..4 {
        // Segments roll by record time: the times of the rounds must differ.
        let make = |n: i64| Make { timestamp: Some(T0 + round * 1000 + n), ..Make::new(n, 0) };
        produce(bootstrap, "compacted", &[("compression.type", "zstd")], (0..200).map(make));
        std::thread::sleep(Duration::from_millis(300));
    }
    let last = Make { timestamp: Some(T0 + 100_000), ..Make::new(5_000, 0) };
    produce(bootstrap, "compacted", &[], [last]);
    let deadline = Instant::now() + Duration::from_secs(40);
    while crate::oracle::read(bootstrap, "compacted", 0, false).len() > 500 {
        assert!(Instant::now() < deadline, "the cleaner does not run");
        std::thread::sleep(Duration::from_millis(300));
    }
    "compacted".into()
}
