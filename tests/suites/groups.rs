//! Stored group positions equal what Kafka's own tools print, for groups of every type.

use harness::consumers::{commit, member, printed, read_and_commit, read_share_group};
use harness::load::{self, Make};
use harness::pair::source;
use harness::runner::Bench;
use serde_json::{Value, json};

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

#[test]
fn t2_29_t2_30_positions_of_all_group_types_equal_what_kafkas_tools_print() {
    let kafka = source();
    let bootstrap = kafka.bootstrap();
    let topic = "g-topic";
    load::create(&bootstrap, topic, 3, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..300).map(|n| Make::new(n, i32::try_from(n % 3).unwrap())));
    commit(&bootstrap, "g-classic", topic, &[10, 0, 99]);
    let live = member(&bootstrap, "g-consumer", topic, "consumer");
    read_and_commit(&live, 300);
    read_share_group(kafka, "g-share", topic, 30);
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
    // What was set on the group itself, and no default of the brokers.
    let configs =
        |name: &str| groups.as_array().unwrap().iter().find(|g| g["group"] == name).unwrap()["configs"].clone();
    assert_eq!(configs("g-share"), json!({"share.auto.offset.reset": "earliest"}));
    assert_eq!(configs("g-consumer"), json!({}));
    drop(live);
}
