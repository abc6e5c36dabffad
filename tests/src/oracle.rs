//! Topics as librdkafka sees them: an independent view of source and target.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message, Timestamp};
use rdkafka::{Offset, TopicPartitionList};

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Whether the broker stamped it.
    pub append_time: bool,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Seen {
    /// The same record without what a restore may change: its offset and the type of its timestamp.
    pub fn content(&self) -> Self {
        Self { offset: 0, append_time: false, ..self.clone() }
    }

    /// The record without the offset headers that a restore appended; panics when they are not there.
    pub fn without_offset_headers(&self, source_cluster: Option<&str>) -> Self {
        let mut out = self.clone();
        if let Some(label) = source_cluster {
            assert_eq!(out.headers.pop(), Some(("x-source-cluster".into(), Some(label.as_bytes().to_vec()))));
        }
        let (name, time) = out.headers.pop().expect("x-original-timestamp");
        assert_eq!((name.as_str(), time), ("x-original-timestamp", Some(out.timestamp.to_le_bytes().to_vec())));
        let (name, offset) = out.headers.pop().expect("x-original-offset");
        assert_eq!(name, "x-original-offset");
        let offset = offset.expect("x-original-offset has a value");
        out.offset = i64::from_le_bytes(offset.try_into().expect("8 bytes"));
        out
    }
}

/// A client configuration for a plaintext cluster.
pub fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("message.max.bytes", "100000000");
    config
}

/// Partitions of a topic.
pub fn partitions(bootstrap: &str, topic: &str) -> i32 {
    let consumer: BaseConsumer = config(bootstrap).create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    i32::try_from(metadata.topics()[0].partitions().len()).unwrap()
}

/// The end of a partition. A topic that was just created, or created anew, has no leader for a moment.
pub fn end(bootstrap: &str, topic: &str, partition: i32) -> i64 {
    let consumer: BaseConsumer = config(bootstrap).create().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)) {
            Ok((_, end)) => return end,
            Err(error) => assert!(Instant::now() < deadline, "end of {topic}/{partition}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until no transaction is open in a partition: what is committed later would be in no backup of now.
pub fn wait_for_transactions(bootstrap: &str, topic: &str, partition: i32) {
    let end = |isolation: &str| {
        let consumer: BaseConsumer = config(bootstrap).set("isolation.level", isolation).create().unwrap();
        consumer.fetch_watermarks(topic, partition, Duration::from_secs(20)).map(|(_, end)| end)
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match (end("read_committed"), end("read_uncommitted")) {
            (Ok(stable), Ok(all)) if stable == all => return,
            found => assert!(Instant::now() < deadline, "a transaction in {topic}/{partition} stays open: {found:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Reads a partition from its start to its end, committed data only unless `uncommitted`.
pub fn read(bootstrap: &str, topic: &str, partition: i32, uncommitted: bool) -> Vec<Seen> {
    let mut out = Vec::new();
    each(bootstrap, topic, partition, uncommitted, &mut |seen| out.push(seen));
    out
}

/// Calls `take` for each record of a partition.
pub fn each(bootstrap: &str, topic: &str, partition: i32, uncommitted: bool, take: &mut dyn FnMut(Seen)) {
    let consumer: BaseConsumer = config(bootstrap)
        .set("group.id", "oracle")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // The end of a partition shows when a fetch brings nothing.
        .set("fetch.wait.max.ms", "10")
        .set("auto.offset.reset", "earliest")
        .set("fetch.message.max.bytes", "20000000")
        .set("isolation.level", if uncommitted { "read_uncommitted" } else { "read_committed" })
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                deadline = Instant::now() + Duration::from_secs(60);
                let (timestamp, append_time) = match message.timestamp() {
                    Timestamp::NotAvailable => (-1, false),
                    Timestamp::CreateTime(at) => (at, false),
                    Timestamp::LogAppendTime(at) => (at, true),
                };
                let headers = message.headers().map_or_else(Vec::new, |headers| {
                    headers.iter().map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect()
                });
                take(Seen {
                    offset: message.offset(),
                    timestamp,
                    append_time,
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers,
                });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return,
            Some(Err(error)) => eprintln!("oracle: {error}"),
            None => {}
        }
        assert!(Instant::now() < deadline, "reading {topic}/{partition} does not end");
    }
}

/// Records, key and value bytes, and a digest over content in order, of all partitions of a topic.
pub fn digest(bootstrap: &str, topic: &str, strip: Option<Option<&str>>) -> (u64, u64, String) {
    let (mut records, mut bytes, mut hasher) = (0, 0, blake3::Hasher::new());
    for partition in 0..partitions(bootstrap, topic) {
        hasher.update(&partition.to_le_bytes());
        each(bootstrap, topic, partition, false, &mut |seen| {
            let seen = strip.map_or(seen.clone(), |label| seen.without_offset_headers(label));
            records += 1;
            bytes += (seen.key.as_ref().map_or(0, Vec::len) + seen.value.as_ref().map_or(0, Vec::len)) as u64;
            hasher.update(format!("{:?}{:?}{:?}{:?}", seen.timestamp, seen.key, seen.value, seen.headers).as_bytes());
        });
    }
    (records, bytes, hasher.finalize().to_hex()[..16].to_owned())
}
