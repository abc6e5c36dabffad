//! Stored group positions equal what Kafka's own tools print, for groups of every type.

use std::time::{Duration, Instant};

use harness::kafka::Kafka;
use harness::load::{self, Make};
use harness::oracle::config;
use harness::pair::source;
use harness::runner::Bench;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

/// Commits offsets with metadata in a group that nobody is a member of.
fn commit(bootstrap: &str, group: &str, topic: &str, offsets: &[i64]) {
    let consumer: BaseConsumer =
        config(bootstrap).set("group.id", group).set("enable.auto.commit", "false").create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(offsets) {
        let mut element = list.add_partition(topic, partition);
        element.set_offset(Offset::Offset(*offset)).unwrap();
        element.set_metadata(format!("meta of {partition}"));
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

/// A live member of a group with the consumer protocol (KIP-848), which has read everything and committed.
fn live_consumer(bootstrap: &str, group: &str, topic: &str, records: usize) -> BaseConsumer {
    let consumer: BaseConsumer = config(bootstrap)
        .set("group.id", group)
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (mut read, deadline) = (0, Instant::now() + Duration::from_secs(30));
    while read < records {
        assert!(Instant::now() < deadline, "{group} reads {read} of {records}");
        read += usize::from(consumer.poll(Duration::from_millis(200)).is_some_and(|message| message.is_ok()));
    }
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    consumer
}

/// `(topic, partition) -> offset` as a tool of Kafka prints it.
fn printed(text: &str, group: &str) -> Vec<(String, i64, i64)> {
    let mut out: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|cells| cells.first() == Some(&group) && cells.len() > 3)
        .filter_map(|cells| Some((cells[1].to_owned(), cells[2].parse().ok()?, cells[3].parse().ok()?)))
        .collect();
    out.sort();
    out
}

fn stored(groups: &Value, group: &str) -> (String, Vec<(String, i64, i64)>) {
    let found = groups
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["group"] == group)
        .unwrap_or_else(|| panic!("{group} is not in {groups}"));
    let row = |o: &Value| {
        (o["topic"].as_str().unwrap().to_owned(), o["partition"].as_i64().unwrap(), o["offset"].as_i64().unwrap())
    };
    (found["kind"].as_str().unwrap().to_owned(), found["offsets"].as_array().unwrap().iter().map(row).collect())
}

fn read_share_group(kafka: &Kafka, group: &str, topic: &str) {
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
        "30",
        "--timeout-ms",
        "20000",
    ];
    kafka.tool("org.apache.kafka.tools.consumer.ConsoleShareConsumer", &arguments);
}

#[test]
fn t2_29_t2_30_positions_of_all_group_types_equal_what_kafkas_tools_print() {
    let kafka = source();
    let bootstrap = kafka.bootstrap();
    let topic = "g-topic";
    load::create(&bootstrap, topic, 3, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..300).map(|n| Make::new(n, i32::try_from(n % 3).unwrap())));
    commit(&bootstrap, "g-classic", topic, &[10, 0, 99]);
    let live = live_consumer(&bootstrap, "g-consumer", topic, 300);
    read_share_group(kafka, "g-share", topic);
    let bench = Bench::new();
    let spec = bench.backup("groups", &bootstrap, json!({"topics": [topic], "consumerGroupSnapshot": true}));
    let report = bench.run(&spec).ok().report();
    let groups: Value =
        serde_json::from_str(&bench.call("show", &spec, &[report["point"].as_str().unwrap(), "groups"]).ok().stdout)
            .unwrap();
    let tool = kafka.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--bootstrap-server", &bootstrap, "--describe", "--all-groups"],
    );
    for (group, kind) in [("g-classic", "classic"), ("g-consumer", "consumer")] {
        assert_eq!(stored(&groups, group), (kind.to_owned(), printed(&tool, group)), "{tool}");
    }
    assert_eq!(
        groups.as_array().unwrap().iter().find(|g| g["group"] == "g-classic").unwrap()["offsets"][2]["metadata"],
        "meta of 2"
    );
    let tool = kafka.tool(
        "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
        &["--bootstrap-server", &bootstrap, "--describe", "--offsets", "--group", "g-share"],
    );
    let (kind, offsets) = stored(&groups, "g-share");
    assert_eq!((kind.as_str(), offsets), ("share", printed(&tool, "g-share")), "{tool}");
    drop(live);
}
