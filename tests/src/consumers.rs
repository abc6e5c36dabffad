//! Consumer groups as a user has them: commits, members, and where a group stands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::kafka::Kafka;
use crate::oracle::{self, Seen, config};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A consumer of a group that is no member of it.
fn outside(bootstrap: &str, group: &str) -> BaseConsumer {
    config(bootstrap).set("group.id", group).set("enable.auto.commit", "false").create().unwrap()
}

/// Commits an offset for each partition from 0 on, with metadata, in a group that nobody is a member of.
pub fn commit(bootstrap: &str, group: &str, topic: &str, offsets: &[i64]) {
    commit_in(bootstrap, group, [(topic, offsets)]);
}

/// The same in several topics at once.
pub fn commit_in<'a>(bootstrap: &str, group: &str, topics: impl IntoIterator<Item = (&'a str, &'a [i64])>) {
    let mut list = TopicPartitionList::new();
    for (topic, offsets) in topics {
        for (partition, offset) in (0..).zip(offsets) {
            let mut element = list.add_partition(topic, partition);
            element.set_offset(Offset::Offset(*offset)).unwrap();
            element.set_metadata(format!("meta of {partition}"));
        }
    }
    let (consumer, deadline) = (outside(bootstrap, group), Instant::now() + TIMEOUT);
    // The first group of a cluster makes it elect coordinators.
    let is_moving = |code| {
        use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
        [CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator].contains(&code)
    };
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        let passes = error.rdkafka_error_code().is_some_and(is_moving) && Instant::now() < deadline;
        assert!(passes, "{group}: {error}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Committed offset and metadata of each partition of a topic; `None` where the group has none.
pub fn committed(bootstrap: &str, group: &str, topic: &str) -> Vec<Option<(i64, String)>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, oracle::partitions(bootstrap, topic) - 1);
    let found = outside(bootstrap, group).committed_offsets(list, TIMEOUT).unwrap();
    let mut elements = found.elements();
    elements.sort_by_key(rdkafka::topic_partition_list::TopicPartitionListElem::partition);
    let one = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match element.offset() {
        Offset::Offset(offset) => Some((offset, element.metadata().to_owned())),
        _ => None,
    };
    elements.iter().map(one).collect()
}

/// Committed offsets of a group in these topics, each with its number of partitions, by topic and partition.
pub fn committed_in(bootstrap: &str, group: &str, topics: &[(&str, i32)]) -> BTreeMap<(String, i32), i64> {
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in topics {
        list.add_partition_range(topic, 0, partitions - 1);
    }
    let found = outside(bootstrap, group).committed_offsets(list, TIMEOUT).unwrap();
    let elements = found.elements();
    let at = elements.iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
        _ => None,
    });
    at.collect()
}

fn of_member(bootstrap: &str, group: &str, protocol: &str) -> ClientConfig {
    let mut settings = config(bootstrap);
    settings.set("group.id", group).set("client.id", format!("client of {group}")).set("group.protocol", protocol);
    settings.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    settings
}

/// A live member of a group with the protocol `classic` or `consumer` (KIP-848), which was assigned its partitions.
pub fn member(bootstrap: &str, group: &str, topic: &str, protocol: &str) -> BaseConsumer {
    let consumer: BaseConsumer = of_member(bootstrap, group, protocol).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    while consumer.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "{group} is assigned nothing");
        drop(consumer.poll(Duration::from_millis(100)));
    }
    consumer
}

/// Reads at least so many records as a member and commits them.
pub fn read_and_commit(consumer: &BaseConsumer, records: usize) {
    let read = read_within(consumer, records, TIMEOUT);
    assert!(read >= records, "{read} of {records} records are read");
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
}

/// How many records a member reads until it has so many, or the time is over.
pub fn read_within(consumer: &BaseConsumer, records: usize, limit: Duration) -> usize {
    let (mut read, deadline) = (0, Instant::now() + limit);
    while read < records && Instant::now() < deadline {
        read += usize::from(consumer.poll(Duration::from_millis(200)).is_some_and(|message| message.is_ok()));
    }
    read
}

/// What a member of a group is given first of each partition of a topic, `None` where it stands at the end. Nothing is committed.
pub fn first_of_each(bootstrap: &str, group: &str, topic: &str, protocol: &str) -> BTreeMap<i32, Option<Vec<u8>>> {
    let mut settings = of_member(bootstrap, group, protocol);
    // The end of a partition shows when a fetch brings nothing.
    let consumer: BaseConsumer =
        settings.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10").create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let partitions = usize::try_from(oracle::partitions(bootstrap, topic)).unwrap();
    let (mut first, deadline) = (BTreeMap::new(), Instant::now() + TIMEOUT);
    while first.len() < partitions {
        assert!(Instant::now() < deadline, "{group} is given nothing of some partitions: {first:?}");
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                first.entry(message.partition()).or_insert_with(|| message.payload().map(<[u8]>::to_vec));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                first.entry(partition).or_insert(None);
            }
            _ => {}
        }
    }
    first
}

/// The first record of a partition that a group reads which goes on at `offset`.
pub fn next(bootstrap: &str, topic: &str, partition: i32, offset: i64) -> Option<Seen> {
    oracle::read(bootstrap, topic, partition, false).into_iter().find(|seen| seen.offset >= offset)
}

/// `(topic, partition) -> offset` as a tool of Kafka prints it.
pub fn printed(text: &str, group: &str) -> Vec<(String, i64, i64)> {
    let mut out: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|cells| cells.first() == Some(&group) && cells.len() > 3)
        .filter_map(|cells| Some((cells[1].to_owned(), cells[2].parse().ok()?, cells[3].parse().ok()?)))
        .collect();
    out.sort();
    out
}

/// Reads so many records of a topic, from its start, as a share group (KIP-932) with Kafka's own tool. Returns their values.
pub fn read_share_group(kafka: &Kafka, group: &str, topic: &str, records: usize) -> Vec<String> {
    let bootstrap = kafka.bootstrap();
    kafka.tool("org.apache.kafka.tools.GroupsCommand", &["--bootstrap-server", &bootstrap, "--list"]);
    let configs = [
        "--bootstrap-server",
        &bootstrap,
        "--alter",
        "--entity-type",
        "groups",
        "--entity-name",
        group,
        "--add-config",
        "share.auto.offset.reset=earliest",
    ];
    kafka.tool("kafka.admin.ConfigCommand", &configs);
    read_on_as_share_group(kafka, group, topic, records)
}

/// The values of the next records, at most so many, that a share group reads.
pub fn read_on_as_share_group(kafka: &Kafka, group: &str, topic: &str, records: usize) -> Vec<String> {
    let (bootstrap, records) = (kafka.bootstrap(), records.to_string());
    let where_from = ["--bootstrap-server", &bootstrap, "--topic", topic, "--group", group];
    let how_far = ["--max-messages", &records, "--timeout-ms", "20000"];
    let class = "org.apache.kafka.tools.consumer.ConsoleShareConsumer";
    let told = kafka.tool(class, &[&where_from[..], &how_far].concat());
    told.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

/// The committed offsets of a group in a topic, by partition.
pub fn stands(bootstrap: &str, group: &str, topic: &str) -> Vec<Option<i64>> {
    committed(bootstrap, group, topic).into_iter().map(|at| at.map(|(offset, _)| offset)).collect()
}

/// The line of a report about a group of the cluster that was changed.
///
/// # Panics
/// When there is none.
pub fn line_of<'a>(report: &'a Value, group: &str) -> &'a Value {
    let lines = report["positions"].as_array().unwrap();
    lines.iter().find(|line| line["target"] == group).unwrap_or_else(|| panic!("{group}: {report}"))
}
