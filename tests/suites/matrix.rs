//! The same round trip on other releases.

use harness::kafka::{ANCIENT, Kafka, OLD, Options};
use harness::load::{self, Make};
use harness::oracle;
use harness::runner::Bench;
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

/// Kafka 2.8 with ZooKeeper can still write the formats of releases before 0.11.
#[test]
fn t2_18_old_message_formats_come_out_as_they_went_in() {
    let kafka = Kafka::with(Options { version: ANCIENT, ..Options::default() });
    let target = Kafka::start();
    let (bootstrap, bench) = (kafka.bootstrap(), Bench::new());
    // Headers came with format 2.
    let make = |n: i64| Make { headers: Vec::new(), ..Make::new(n, 0) };
    let mut topics = Vec::new();
    for (format, name) in [("0.9.0", "format0"), ("0.10.2", "format1")] {
        for codec in ["none", "gzip", "snappy", "lz4"] {
            let topic = format!("{name}-{codec}");
            load::create(&bootstrap, &topic, 1, 1, &[("message.format.version", format)]);
            load::produce(&bootstrap, &topic, &[("compression.type", codec)], (0..3_000).map(make));
            topics.push(topic);
        }
    }
    let timed = [("message.format.version", "0.10.2"), ("message.timestamp.type", "LogAppendTime")];
    load::create(&bootstrap, "format1-append", 1, 1, &timed);
    load::produce(&bootstrap, "format1-append", &[("compression.type", "gzip")], (0..500).map(make));
    topics.push("format1-append".into());
    load::create(&bootstrap, "mixed-formats", 1, 1, &[("message.format.version", "0.10.2")]);
    load::produce(&bootstrap, "mixed-formats", &[], (0..1_000).map(make));
    let newer =
        ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "topics", "--entity-name", "mixed-formats"];
    kafka.tool("kafka.admin.ConfigCommand", &[&newer[..], &["--add-config", "message.format.version=2.8"]].concat());
    load::produce(&bootstrap, "mixed-formats", &[], (1_000..2_000).map(make));
    topics.push("mixed-formats".into());
    let first = kafka.log_bytes("format0-gzip", 0);
    assert_eq!((first[16], kafka.log_bytes("format1-gzip", 0)[16]), (0, 1), "the broker wrote other formats");
    let spec = bench.backup("ancient", &bootstrap, json!({"topics": ["*"], "includeOffsetHeaders": false}));
    let report = bench.run(&spec).ok().report();
    assert!(report["warnings"].to_string().contains("format 0 or 1"), "{report}");
    bench.call("verify", &spec, &[]).ok();
    bench.run(&bench.restore("ancient-r", &target.bootstrap(), json!({"from": "ancient"}))).ok();
    // librdkafka reads format 2 only, so what was produced is compared with what it reads from the target.
    for topic in &topics {
        let seen = oracle::read(&target.bootstrap(), topic, 0, false);
        let expected: Vec<_> = (0..i64::try_from(seen.len()).unwrap()).map(make).collect();
        assert!(seen.len() >= 500, "{topic} has {} records", seen.len());
        for (seen, made) in seen.iter().zip(expected) {
            assert_eq!((&seen.key, &seen.value), (&made.key, &made.value), "{topic} at {}", seen.offset);
            match topic.as_str() {
                "format1-append" => assert!(seen.timestamp > made.timestamp.unwrap(), "{topic}: {}", seen.timestamp),
                old if old.starts_with("format0") => assert_eq!(seen.timestamp, -1, "{topic}"),
                _ => assert_eq!(Some(seen.timestamp), made.timestamp, "{topic}"),
            }
        }
    }
    // A restore into the old cluster works too.
    let back = json!({"from": "ancient", "topics": ["mixed-formats"], "topicMapping": {"mixed-formats": "back"}});
    bench.run(&bench.restore("ancient-back", &bootstrap, back)).ok();
    assert_eq!(oracle::digest(&target.bootstrap(), "mixed-formats", None), oracle::digest(&bootstrap, "back", None));
}
