//! The same round trip on other releases and on three nodes, also with leaders that move.

use std::time::Duration;

use harness::kafka::{Kafka, OLD, Options};
use harness::load::{self, Make};
use harness::oracle;
use harness::runner::{Bench, ended};
use serde_json::json;

#[test]
fn the_oldest_release_in_the_matrix() {
    let kafka = Kafka::with(Options { version: OLD, ..Options::default() });
    let bootstrap = kafka.bootstrap();
    let topics = load::mixed(&bootstrap, 3_000);
    let bench = Bench::new();
    let spec = bench.backup(
        "old",
        &bootstrap,
        json!({"topics": ["*"], "consumerGroupSnapshot": true, "includeOffsetHeaders": false}),
    );
    bench.run(&spec).ok();
    let mapping: serde_json::Map<_, _> =
        topics.iter().map(|topic| (topic.clone(), format!("{topic}-back").into())).collect();
    bench.run(&bench.restore("old-r", &bootstrap, json!({"from": "old", "topicMapping": mapping}))).ok();
    for topic in topics {
        assert_eq!(
            oracle::digest(&bootstrap, &topic, None),
            oracle::digest(&bootstrap, &format!("{topic}-back"), None),
            "{topic}"
        );
    }
}

#[test]
fn three_nodes_whose_leaders_are_killed_during_backup_and_restore() {
    let mut kafka = Kafka::with(Options { nodes: 3, ..Options::default() });
    let bootstrap = kafka.bootstrap();
    let topic = "three";
    load::create(&bootstrap, topic, 6, 3, &[("min.insync.replicas", "2")]);
    let wide = |n: i64| Make {
        value: Some(format!("{n:0>1000}").into_bytes()),
        ..Make::new(n, i32::try_from(n % 6).unwrap())
    };
    load::produce(&bootstrap, topic, &[], (0..120_000).map(wide));
    let bench = Bench::new();
    let during = |kafka: &mut Kafka, spec: &serde_json::Value, node: usize| {
        let child = bench.spawn(spec);
        std::thread::sleep(Duration::from_millis(400));
        kafka.stop(node, true);
        std::thread::sleep(Duration::from_millis(1500));
        kafka.restart(node);
        ended(child.wait_with_output().unwrap()).ok().report()
    };
    let backup =
        bench.backup(topic, &bootstrap, json!({"topics": [topic], "compression": "zstd", "compressionLevel": 12}));
    let report = during(&mut kafka, &backup, 0);
    assert_eq!(report["records"].as_u64(), Some(120_000));
    let restore = json!({"from": report["point"], "topicMapping": {topic: "three-back"}});
    during(&mut kafka, &bench.restore("three", &bootstrap, restore), 1);
    assert_eq!(oracle::digest(&bootstrap, topic, None), oracle::digest(&bootstrap, "three-back", Some(None)));
}
