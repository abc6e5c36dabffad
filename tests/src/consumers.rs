//! Consumer groups as a user has them: commits, members, and where a group stands.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::Kafka;
use crate::oracle::{self, Seen, config};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A consumer of a group that is no member of it.
fn outside(bootstrap: &str, group: &str) -> BaseConsumer {
    config(bootstrap).set("group.id", group).set("enable.auto.commit", "false").create().unwrap()
}

/// Commits an offset for each partition from 0 on, with metadata, in a group that nobody is a member of.
pub fn commit(bootstrap: &str, group: &str, topic: &str, offsets: &[i64]) {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        let mut element = list.add_partition(topic, partition);
        element.set_offset(Offset::Offset(*offset)).unwrap();
        element.set_metadata(format!("meta of {partition}"));
    }
    outside(bootstrap, group).commit(&list, CommitMode::Sync).unwrap();
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

/// A live member of a group with the protocol `classic` or `consumer` (KIP-848), which was assigned its partitions.
pub fn member(bootstrap: &str, group: &str, topic: &str, protocol: &str) -> BaseConsumer {
    let consumer: BaseConsumer = config(bootstrap)
        .set("group.id", group)
        .set("client.id", format!("client of {group}"))
        .set("group.protocol", protocol)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
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
    let (mut read, deadline) = (0, Instant::now() + TIMEOUT);
    while read < records {
        assert!(Instant::now() < deadline, "{read} of {records} records are read");
        read += usize::from(consumer.poll(Duration::from_millis(200)).is_some_and(|message| message.is_ok()));
    }
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
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

/// Reads so many records of a topic, from its start, as a share group (KIP-932) with Kafka's own tool.
pub fn read_share_group(kafka: &Kafka, group: &str, topic: &str, records: usize) {
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
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        topic,
        "--group",
        group,
        "--max-messages",
        &records.to_string(),
        "--timeout-ms",
        "20000",
    ];
    kafka.tool("org.apache.kafka.tools.consumer.ConsoleShareConsumer", &arguments);
}
