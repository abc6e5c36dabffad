//! What a restore gives back, one test for each thing that a faithful backup of Kafka must handle.

use std::time::Duration;

use harness::load::{self, Make, T0};
use harness::oracle::{self, Seen};
use harness::pair::{assert_equal, both, round_trip, source, target};
use harness::runner::Bench;
use serde_json::json;

#[path = "fidelity/converted.rs"]
mod converted;
#[path = "fidelity/foreign.rs"]
mod foreign;

fn plain() -> serde_json::Value {
    json!({"includeOffsetHeaders": false})
}

fn offset_headers(topic: &str, label: Option<&str>) -> usize {
    let mut records = 0;
    for partition in 0..oracle::partitions(&source().bootstrap(), topic) {
        let source = oracle::read(&source().bootstrap(), topic, partition, false);
        let target = oracle::read(&target().bootstrap(), topic, partition, false);
        assert_eq!(source.len(), target.len());
        for (a, b) in source.iter().zip(&target) {
            let b = b.without_offset_headers(label);
            assert_eq!(a.offset, b.offset, "x-original-offset");
            assert_eq!(a.content(), b.content());
        }
        records += source.len();
    }
    records
}

#[test]
fn t2_1_to_2_5_transactions_keep_the_read_committed_view() {
    let (bootstrap, topic) = (source().bootstrap(), "t-transactions");
    load::create(&bootstrap, topic, 2, 1, &[]);
    let part = |from: i64| (from..from + 10).map(|n| Make::new(n, i32::try_from(n % 2).unwrap())).collect::<Vec<_>>();
    load::transactions(&bootstrap, topic, "t-one", (0..9).map(|r| (part(r * 10), r % 2 == 0)).collect());
    // Two producers whose transactions interleave, one commits, one aborts.
    let settings = |id| [("transactional.id", id)];
    let (a, b) = (load::producer(&bootstrap, &settings("t-a")), load::producer(&bootstrap, &settings("t-b")));
    use rdkafka::producer::Producer;
    let limit = Duration::from_secs(20);
    for producer in [&a, &b] {
        producer.init_transactions(limit).unwrap();
        producer.begin_transaction().unwrap();
    }
    for round in 0..5 {
        load::send(&a, topic, part(1000 + round * 10));
        a.flush(limit).unwrap();
        load::send(&b, topic, part(2000 + round * 10));
        b.flush(limit).unwrap();
    }
    a.abort_transaction(limit).unwrap();
    b.commit_transaction(limit).unwrap();
    load::produce(&bootstrap, topic, &[], part(5000));
    round_trip(&Bench::new(), topic, &json!({}), &plain());
    assert_eq!(assert_equal(topic), 50 + 50 + 10);
    // Restored data has no markers and no rolled-back records: both views are the same.
    let committed = oracle::read(&target().bootstrap(), topic, 0, false);
    assert_eq!(committed, oracle::read(&target().bootstrap(), topic, 0, true));
    // 2.4: innocent producers on the target are not disturbed by producer ids of the source.
    for number in 0..50 {
        load::produce(&target().bootstrap(), topic, &[("enable.idempotence", "true")], [Make::new(number, 0)]);
    }
}

#[test]
fn t2_3_an_open_transaction_cuts_the_point_and_is_reported() {
    use rdkafka::producer::Producer;
    let (bootstrap, topic) = (source().bootstrap(), "t-open");
    load::create(&bootstrap, topic, 1, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..7).map(|n| Make::new(n, 0)));
    let producer = load::producer(&bootstrap, &[("transactional.id", "t-open"), ("transaction.timeout.ms", "60000")]);
    producer.init_transactions(Duration::from_secs(20)).unwrap();
    producer.begin_transaction().unwrap();
    load::send(&producer, topic, (100..105).map(|n| Make::new(n, 0)));
    producer.flush(Duration::from_secs(20)).unwrap();
    load::produce(&bootstrap, topic, &[], (7..10).map(|n| Make::new(n, 0)));
    let bench = Bench::new();
    let spec = bench.backup("t-open", &bootstrap, json!({"topics": [topic], "openTransactionWaitSecs": 2}));
    let report = bench.run(&spec).ok().report();
    let held = &report["heldBack"][0];
    assert_eq!((held["from"].as_i64(), held["to"].as_i64()), (Some(7), Some(15)), "{report}");
    assert!(held["producerId"].as_i64().is_some() && held["ageMs"].as_i64().is_some(), "{report}");
    producer.abort_transaction(Duration::from_secs(20)).unwrap();
    let restore = bench.restore(
        "t-open-r",
        &target().bootstrap(),
        json!({"from": report["point"], "includeOffsetHeaders": false}),
    );
    bench.run(&restore).ok();
    assert_eq!(oracle::read(&target().bootstrap(), topic, 0, false).len(), 7);
}

#[test]
fn t2_8_to_2_10_compaction_holes_do_not_stop_anything() {
    let topic = load::compacted(&source().bootstrap());
    round_trip(&Bench::new(), &topic, &json!({}), &plain());
    assert!(assert_equal(&topic) > 0);
}

#[test]
fn t2_11_deleted_records_are_a_gap_and_a_cut_batch_keeps_its_view() {
    let (bootstrap, topic) = (source().bootstrap(), "t-gap");
    load::create(&bootstrap, topic, 1, 1, &[]);
    let batch = [("linger.ms", "200"), ("batch.num.messages", "100")];
    load::produce(&bootstrap, topic, &batch, (0..100).map(|n| Make::new(n, 0)));
    let bench = Bench::new();
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    bench.run(&spec).ok();
    load::produce(&bootstrap, topic, &batch, (100..300).map(|n| Make::new(n, 0)));
    // The log start lands in the middle of a batch.
    load::delete_records(&bootstrap, topic, 0, 150);
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["outcome"], "CompletedWithGaps");
    assert_eq!(
        (report["gaps"][0]["from"].as_i64(), report["gaps"][0]["to"].as_i64()),
        (Some(100), Some(150)),
        "{report}"
    );
    // Every count is of the records that are there: 150 of this run, 250 of the point.
    assert_eq!(report["records"], 150, "{report}");
    let verified: serde_json::Value =
        serde_json::from_str(&bench.call("verify", &spec, &["-o", "json"]).ok().stdout).unwrap();
    assert_eq!(verified["records"], 250, "{verified}");
    let listed = bench.call("ls", &spec, &[topic]).ok().stdout;
    assert!(listed.lines().any(|line| line.split_whitespace().take(3).eq([topic, "1", "250"])), "{listed}");
    for headers in [false, true] {
        let name = format!("t-gap-{headers}");
        let restore = json!({"from": topic, "includeOffsetHeaders": headers, "topicMapping": {topic: name}});
        assert_eq!(bench.run(&bench.restore(&name, &target().bootstrap(), restore)).ok().report()["records"], 250);
        let values: Vec<_> =
            oracle::read(&target().bootstrap(), &name, 0, false).iter().map(|s| s.timestamp - T0).collect();
        assert_eq!(values, (0..100).chain(150..300).collect::<Vec<_>>());
    }
}

#[test]
fn t2_14_2_15_append_time_topics_keep_the_times_that_consumers_saw() {
    let (bootstrap, topic) = (source().bootstrap(), "t-append-time");
    load::create(&bootstrap, topic, 1, 1, &[("message.timestamp.type", "LogAppendTime")]);
    for number in 0..5 {
        load::produce(&bootstrap, topic, &[], (0..20).map(|n| Make::new(number * 20 + n, 0)));
    }
    let report = round_trip(&Bench::new(), topic, &json!({}), &plain());
    assert_eq!(assert_equal(topic), 100);
    let source = oracle::read(&bootstrap, topic, 0, false);
    assert!(source.iter().all(|seen| seen.append_time && seen.timestamp > T0 + 1_000_000));
    assert!(report["warnings"].to_string().contains("timestamp type reads CreateTime"), "{report}");
    // What is written after the restore is stamped again.
    load::produce(&target().bootstrap(), topic, &[], [Make::new(1, 0)]);
    let last = oracle::read(&target().bootstrap(), topic, 0, false).pop().unwrap();
    assert!(last.append_time);
}

#[test]
fn t2_15_timestamp_limits_of_the_target_do_not_refuse_the_past() {
    let (bootstrap, topic) = (source().bootstrap(), "t-times");
    load::create(&bootstrap, topic, 1, 1, &[("message.timestamp.before.max.ms", "9223372036854775807")]);
    let odd = [T0, 0, -1, 5, T0 - 1_000_000_000];
    load::produce(&bootstrap, topic, &[], odd.iter().map(|t| Make { timestamp: Some(*t), ..Make::new(1, 0) }));
    let name = "t-times-target";
    load::create(&target().bootstrap(), name, 1, 1, &[("message.timestamp.before.max.ms", "3600000")]);
    round_trip(
        &Bench::new(),
        topic,
        &json!({}),
        &json!({"includeOffsetHeaders": false, "topicMapping": {topic: name}}),
    );
    let times: Vec<_> = oracle::read(&target().bootstrap(), name, 0, false).iter().map(|s| s.timestamp).collect();
    assert_eq!(times, oracle::read(&bootstrap, topic, 0, false).iter().map(|s| s.timestamp).collect::<Vec<_>>());
    let configs = target().tool(
        "kafka.admin.ConfigCommand",
        &["--bootstrap-server", &target().bootstrap(), "--describe", "--topic", name],
    );
    assert!(configs.contains("message.timestamp.before.max.ms=3600000"), "{configs}");
}

#[test]
fn t2_16_2_17_headers_nulls_and_empties_survive_with_and_without_offset_headers() {
    let bootstrap = source().bootstrap();
    let topic = "t-headers";
    load::create(&bootstrap, topic, 2, 1, &[]);
    let some = |text: &[u8]| Some(text.to_vec());
    let make = |number: i64| Make {
        key: [None, some(b""), some(b"k")][usize::try_from(number % 3).unwrap()].clone(),
        value: [some(b""), None, some(b"v"), some(&[0, 255, 7])][usize::try_from(number % 4).unwrap()].clone(),
        headers: vec![
            ("a".into(), some(b"1")),
            ("a".into(), some(b"2")),
            ("n".into(), None),
            ("e".into(), some(b"")),
            ("x-original-offset".into(), some(b"application's own")),
            ("a".into(), some(b"3")),
        ],
        ..Make::new(number, i32::try_from(number % 2).unwrap())
    };
    load::produce(&bootstrap, topic, &[("compression.type", "zstd")], (0..500).map(make));
    let bench = Bench::new();
    round_trip(&bench, topic, &json!({"sourceClusterId": "lab-1"}), &json!({}));
    assert_eq!(offset_headers(topic, Some("lab-1")), 500);
    let spec = json!({"from": topic, "includeOffsetHeaders": false, "topicMapping": {topic: "t-headers-plain"}});
    bench.run(&bench.restore("t-headers-plain", &target().bootstrap(), spec)).ok();
    for partition in 0..2 {
        let read = |bootstrap: &str, name: &str| {
            oracle::read(bootstrap, name, partition, false).iter().map(Seen::content).collect::<Vec<_>>()
        };
        assert_eq!(read(&bootstrap, topic), read(&target().bootstrap(), "t-headers-plain"));
    }
}

#[test]
fn t2_19_every_codec_with_and_without_offset_headers() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("t-codec-{codec}");
        load::create(&source().bootstrap(), &topic, 2, 1, &[]);
        let records = (0..4_000).map(|n| Make::new(n, i32::try_from(n % 2).unwrap()));
        load::produce(&source().bootstrap(), &topic, &[("compression.type", codec), ("linger.ms", "50")], records);
        let bench = Bench::new();
        round_trip(&bench, &topic, &json!({"compression": codec}), &json!({}));
        assert_eq!(offset_headers(&topic, None), 4_000, "{codec}");
        let name = format!("{topic}-plain");
        let spec = json!({"from": topic, "includeOffsetHeaders": false, "topicMapping": {topic.clone(): name}});
        bench.run(&bench.restore(&name, &target().bootstrap(), spec)).ok();
        let source = oracle::digest(&source().bootstrap(), &topic, None);
        assert_eq!(source, oracle::digest(&target().bootstrap(), &name, None), "{codec}");
    }
}

#[test]
fn p2_archived_batches_are_byte_for_byte_the_brokers() {
    let (bootstrap, topic) = (source().bootstrap(), "t-bytes");
    load::create(&bootstrap, topic, 1, 1, &[]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        load::produce(&bootstrap, topic, &[("compression.type", codec)], (0..500).map(|n| Make::new(n, 0)));
    }
    load::transactions(&bootstrap, topic, "t-bytes", vec![((0..10).map(|n| Make::new(n, 0)).collect(), false)]);
    let bench = Bench::new();
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic]}));
    bench.run(&spec).ok();
    let on_disk = source().log_bytes(topic, 0);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/reader.py");
    let python = harness::runner::python();
    let output = std::process::Command::new(python)
        .arg(script)
        .arg("batches")
        .arg(bench.archive())
        .args([topic, "0"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.stdout == on_disk,
        "{} bytes in the archive, {} on the broker's disk",
        output.stdout.len(),
        on_disk.len()
    );
}

#[test]
fn t2_21_large_batches_need_and_get_room() {
    let (bootstrap, topic) = (source().bootstrap(), "t-large");
    load::create(&bootstrap, topic, 1, 1, &[("max.message.bytes", "30000000")]);
    let noise: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let make = Make { value: Some(noise), ..Make::new(1, 0) };
    load::produce(&bootstrap, topic, &[("message.max.bytes", "40000000")], [Make::new(0, 0), make, Make::new(2, 0)]);
    let bench = Bench::new();
    round_trip(&bench, topic, &json!({}), &json!({}));
    assert_eq!(offset_headers(topic, None), 3);
    // A target without room is refused before anything is written, and says how much is needed.
    load::create(&target().bootstrap(), "t-small", 1, 1, &[]);
    let spec = json!({"from": topic, "topicMapping": {topic: "t-small"}});
    let restore = bench.restore("t-small", &target().bootstrap(), spec);
    bench.run(&restore).fails("KB5002", 4, &["t-small", "max.message.bytes", "Nothing was written"]);
    assert!(oracle::read(&target().bootstrap(), "t-small", 0, false).is_empty());
}

#[test]
fn t2_22_retention_does_not_eat_what_was_restored() {
    let (bootstrap, topic) = (source().bootstrap(), "t-retention");
    // A day of retention over records that are months old: the source checks so rarely that they are still there.
    load::create(&bootstrap, topic, 1, 1, &[("retention.ms", "86400000")]);
    load::produce(&bootstrap, topic, &[], (0..100).map(|n| Make::new(n, 0)));
    let bench = Bench::new();
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic]}));
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["records"].as_u64(), Some(100));
    let restore = json!({"from": report["point"], "includeOffsetHeaders": false});
    let report = bench.run(&bench.restore(topic, &target().bootstrap(), restore)).ok().report();
    assert!(report["warnings"].to_string().contains("retention.ms stays -1"), "{report}");
    // The target checks every 2 seconds.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(oracle::read(&target().bootstrap(), topic, 0, false).len(), 100);
}

#[test]
fn t2_27_topics_are_created_with_their_own_configs_only() {
    let (bootstrap, topic) = (source().bootstrap(), "t-configs");
    let own = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("compression.type", "lz4"),
        ("max.message.bytes", "2000000"),
    ];
    load::create(&bootstrap, topic, 3, 1, &own);
    load::produce(&bootstrap, topic, &[], (0..30).map(|n| Make::new(n, i32::try_from(n % 3).unwrap())));
    round_trip(&Bench::new(), topic, &json!({}), &plain());
    assert_equal(topic);
    let describe = |kafka: &harness::kafka::Kafka| {
        let text = kafka.tool(
            "kafka.admin.ConfigCommand",
            &["--bootstrap-server", &kafka.bootstrap(), "--describe", "--topic", topic],
        );
        text.lines()
            .filter(|line| line.contains('='))
            .map(|line| line.trim().split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (source, target) = (describe(source()), describe(target()));
    assert_eq!(source, target);
    assert_eq!(source.len(), own.len());
}

#[test]
fn t2_39_any_legal_topic_name_survives() {
    let bench = Bench::new();
    let names = ["t-Name.with_all-9".to_owned(), "t".repeat(249)];
    for name in &names {
        load::create(&source().bootstrap(), name, 1, 1, &[]);
        load::produce(&source().bootstrap(), name, &[], [Make::new(1, 0)]);
    }
    let spec = bench.backup("names", &source().bootstrap(), json!({"topics": names}));
    bench.run(&spec).ok();
    bench
        .run(&bench.restore("names-r", &target().bootstrap(), json!({"from": "names", "includeOffsetHeaders": false})))
        .ok();
    for name in &names {
        assert_eq!(assert_equal(name), 1);
    }
}

#[test]
fn a_time_window_is_inclusive_and_exact_for_times_out_of_order() {
    let (bootstrap, topic) = (source().bootstrap(), "t-window");
    load::create(&bootstrap, topic, 1, 1, &[]);
    let time = |n: i64| T0 + (n * 7919) % 1000;
    load::produce(
        &bootstrap,
        topic,
        &[("compression.type", "zstd")],
        (0..1000).map(|n| Make { timestamp: Some(time(n)), ..Make::new(n, 0) }),
    );
    let window = json!({"startTime": (T0 + 100).to_string(), "endTime": "2026-01-01T00:00:00.300Z", "includeOffsetHeaders": false});
    round_trip(&Bench::new(), topic, &json!({}), &window);
    let (source, target) = both(topic, 0);
    let wanted: Vec<_> = source.into_iter().filter(|s| (T0 + 100..=T0 + 300).contains(&s.timestamp)).collect();
    assert_eq!(wanted.len(), 201);
    assert_eq!(wanted, target);
}

/// Each partition stops before its own newest record, however late the others end.
#[test]
fn a_partition_ends_before_its_own_newest_record() {
    let (bootstrap, topic) = (source().bootstrap(), "t-ends");
    load::create(&bootstrap, topic, 3, 1, &[]);
    // A record each second; partition 1 ends an hour before partition 0, partition 2 has nothing.
    let time = |n: i64| T0 + (n / 2) * 1000 - if n % 2 == 1 { 3_600_000 } else { 0 };
    let make = |n: i64| Make { timestamp: Some(time(n)), ..Make::new(n, i32::try_from(n % 2).unwrap()) };
    load::produce(&bootstrap, topic, &[("compression.type", "lz4")], (0..200).map(make));
    round_trip(&Bench::new(), topic, &json!({}), &json!({"beforeEndSecs": 30, "includeOffsetHeaders": false}));
    for (partition, newest) in [(0, time(198)), (1, time(199))] {
        let (source, target) = both(topic, partition);
        let wanted: Vec<_> = source.into_iter().filter(|seen| seen.timestamp <= newest - 30_000).collect();
        assert_eq!(wanted.len(), 70);
        assert_eq!(wanted, target);
    }
}

/// A restore of what was restored before: without the headers of the first one, and equal to what the source had.
#[test]
fn headers_of_an_earlier_restore_go_where_that_is_asked_for() {
    let (source, target, topic) = (source().bootstrap(), target().bootstrap(), "t-strip");
    load::create(&source, topic, 1, 1, &[]);
    let own = || vec![("x-original-offset-".to_owned(), Some(b"mine".to_vec())), ("trace".to_owned(), None)];
    load::produce(&source, topic, &[], (0..300).map(|n| Make { headers: own(), ..Make::new(n, 0) }));
    let bench = Bench::new();
    bench.run(&bench.backup(topic, &source, json!({"topics": [topic]}))).ok();
    bench.run(&bench.restore("t-strip-1", &target, json!({"from": topic, "includeOffsetHeaders": true}))).ok();
    assert!(oracle::read(&target, topic, 0, false).iter().all(|seen| seen.headers.len() > own().len()));
    bench.run(&bench.backup("t-strip-b", &target, json!({"topics": [topic]}))).ok();
    let again = |name: &str, strip: bool| {
        let part = json!({
            "from": "t-strip-b", "includeOffsetHeaders": false, "stripOffsetHeaders": strip, "headerPreflight": "full",
            "topicMapping": {topic: name},
        });
        bench.run(&bench.restore(name, &target, part)).ok().report()
    };
    let kept = again("t-strip-kept", false);
    assert!(kept["warnings"].to_string().contains("t-strip (300 of 300)"), "{kept}");
    let stripped = again("t-strip-gone", true);
    assert_eq!(stripped["warnings"], json!(null), "{stripped}");
    let content = |bootstrap: &str, topic: &str| -> Vec<_> {
        oracle::read(bootstrap, topic, 0, false).iter().map(oracle::Seen::content).collect()
    };
    assert_eq!(content(&target, "t-strip-gone"), content(&source, topic));
}

#[test]
fn chosen_partitions_append_and_purge() {
    let (bootstrap, topic) = (source().bootstrap(), "t-choice");
    load::create(&bootstrap, topic, 3, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..90).map(|n| Make::new(n, i32::try_from(n % 3).unwrap())));
    let bench = Bench::new();
    round_trip(&bench, topic, &json!({}), &json!({"sourcePartitions": [1], "includeOffsetHeaders": false}));
    let counts = || [0, 1, 2].map(|p| oracle::read(&target().bootstrap(), topic, p, false).len());
    assert_eq!(counts(), [0, 30, 0]);
    let restore = |name: &str, existing: &str| {
        bench.run(&bench.restore(
            name,
            &target().bootstrap(),
            json!({"from": topic, "existingTopics": existing, "includeOffsetHeaders": false}),
        ))
    };
    restore("t-choice-2", "refuse").fails(
        "KB5001",
        4,
        &[topic, "purgeTopics in a KafkaRestore", "existingTopics: purge"],
    );
    restore("t-choice-3", "append").ok();
    assert_eq!(counts(), [30, 60, 30]);
    restore("t-choice-4", "purge").ok();
    assert_eq!(counts(), [30, 30, 30]);
    assert_equal(topic);
    // The same restore again does nothing.
    let again = restore("t-choice-4", "purge").ok().report();
    assert_eq!(again["outcome"], "AlreadyDone");
}

#[test]
fn acknowledgements_other_than_all_work_and_say_what_is_lost() {
    let (bootstrap, topic) = (source().bootstrap(), "t-acks");
    load::create(&bootstrap, topic, 2, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..500).map(|n| Make::new(n, i32::try_from(n % 2).unwrap())));
    let bench = Bench::new();
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    for acks in [0, 1] {
        let name = format!("t-acks-{acks}");
        let spec =
            json!({"from": topic, "produceAcks": acks, "topicMapping": {topic: name}, "includeOffsetHeaders": false});
        let report = bench.run(&bench.restore(&name, &target().bootstrap(), spec)).ok().report();
        assert!(report["warnings"].to_string().contains("exactly once needs -1"), "{report}");
        assert_eq!(oracle::digest(&bootstrap, topic, None), oracle::digest(&target().bootstrap(), &name, None));
    }
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let (bootstrap, topic) = (source().bootstrap(), "t-dry");
    load::create(&bootstrap, topic, 1, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..10).map(|n| Make::new(n, 0)));
    let bench = Bench::new();
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    let before = harness::runner::files(&bench.archive());
    let report =
        bench.run(&bench.restore("t-dry", &target().bootstrap(), json!({"from": topic, "dryRun": true}))).ok().report();
    assert_eq!(report["outcome"], "DryRun");
    let plan = &report["details"]["topics"][0];
    assert_eq!((plan["action"].as_str(), plan["records"].as_u64()), (Some("create"), Some(10)), "{report}");
    assert_eq!(before, harness::runner::files(&bench.archive()));
    let listed = bench.call("check", &bench.restore("t-dry", &target().bootstrap(), json!({"from": topic})), &[]).ok();
    assert!(listed.stdout.contains("t-dry: create, 1 partitions, 10 records"), "{}", listed.stdout);
}

#[test]
fn a_restore_keeps_to_the_plan_that_was_looked_at() {
    let (bootstrap, topic) = (source().bootstrap(), "t-plan");
    load::create(&bootstrap, topic, 1, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..10).map(|n| Make::new(n, 0)));
    let bench = Bench::new();
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    let restore = |more: serde_json::Value| {
        let mut part = json!({"from": point_of(&bench, topic)});
        for (name, value) in more.as_object().unwrap() {
            part[name] = value.clone();
        }
        bench.restore("t-plan", &target().bootstrap(), part)
    };
    let report = bench.run(&restore(json!({"dryRun": true}))).ok().report();
    let seen = report["planFingerprint"].as_str().unwrap().to_owned();
    // Somebody makes the topic meanwhile: the plan would fill it instead of creating it.
    load::create(&target().bootstrap(), topic, 1, 1, &[]);
    bench.run(&restore(json!({"planFingerprint": seen}))).fails("KB5008", 4, &[&seen, "t-plan: fill"]);
    assert!(oracle::read(&target().bootstrap(), topic, 0, false).is_empty(), "nothing was written");
    let report = bench.run(&restore(json!({"dryRun": true}))).ok().report();
    let again = report["planFingerprint"].as_str().unwrap().to_owned();
    assert_ne!(seen, again);
    let report = bench.run(&restore(json!({"planFingerprint": again}))).ok().report();
    assert_eq!((report["outcome"].as_str(), report["changed"].as_bool()), (Some("Completed"), Some(true)));
    assert_eq!(oracle::read(&target().bootstrap(), topic, 0, false).len(), 10);
}

#[test]
fn source_offsets_are_found_in_the_target() {
    let (bootstrap, topic) = (source().bootstrap(), "t-lookup");
    load::create(&bootstrap, topic, 1, 1, &[]);
    let part = |from: i64| (from..from + 10).map(|n| Make::new(n, 0)).collect::<Vec<_>>();
    load::transactions(&bootstrap, topic, "t-lookup", vec![(part(0), true), (part(10), false), (part(20), true)]);
    let bench = Bench::new();
    round_trip(&bench, topic, &json!({}), &plain());
    let restore = bench.restore(
        "t-lookup-r",
        &target().bootstrap(),
        json!({"from": point_of(&bench, topic), "includeOffsetHeaders": false}),
    );
    let source = oracle::read(&bootstrap, topic, 0, false);
    let target = oracle::read(&target().bootstrap(), topic, 0, false);
    let offsets: Vec<String> = (0..=source.last().unwrap().offset + 5).map(|o| o.to_string()).collect();
    let mut arguments = vec![topic, "0"];
    arguments.extend(offsets.iter().map(String::as_str));
    arguments.extend(["-o", "json"]);
    let found: Vec<serde_json::Value> =
        serde_json::from_str(&bench.call("lookup", &restore, &arguments).ok().stdout).unwrap();
    for row in found {
        let (from, to) = (row["source"].as_i64().unwrap(), row["target"].as_i64().unwrap());
        let next_in_source = source.iter().find(|seen| seen.offset >= from).map(Seen::content);
        let next_in_target = target.iter().find(|seen| seen.offset >= to).map(Seen::content);
        assert_eq!(next_in_source, next_in_target, "offset {from} -> {to}");
        let expected = match source.iter().find(|seen| seen.offset >= from) {
            Some(seen) if seen.offset == from => "record",
            Some(_) => "next-record",
            None => "end",
        };
        assert_eq!(row["found"], expected, "offset {from}: {row}");
    }
}

fn point_of(bench: &Bench, name: &str) -> String {
    let spec = bench.backup(name, "127.0.0.1:1", json!({"topics": ["x"]}));
    let sets: serde_json::Value = serde_json::from_str(&bench.call("ls", &spec, &["-o", "json"]).ok().stdout).unwrap();
    sets[0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_plan_names_its_time_and_the_transactions_that_a_point_in_time_cuts() {
    let (bootstrap, topic) = (source().bootstrap(), "t-cut");
    load::create(&bootstrap, topic, 2, 1, &[]);
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis());
    let cut = now.unwrap() - 60_000;
    // Each record is (partition, seconds from the cut).
    let part = |records: &[(i32, i64)]| -> Vec<Make> {
        let one = |(n, (partition, seconds)): (usize, &(i32, i64))| Make {
            timestamp: Some(cut + seconds * 1000),
            ..Make::new(i64::try_from(n).unwrap(), *partition)
        };
        records.iter().enumerate().map(one).collect()
    };
    let all = vec![
        (part(&[(0, -9), (1, -9)]), true),
        (part(&[(0, -5), (0, -4), (0, 0), (1, 1), (1, 2)]), true),
        (part(&[(0, -2), (0, 3)]), false),
        (part(&[(0, 4), (1, 5)]), true),
        (part(&[(1, -1), (1, 1)]), true),
    ];
    load::transactions(&bootstrap, topic, "t-cut", all);
    load::produce(&bootstrap, topic, &[], part(&[(0, -1), (0, 1)]));
    let bench = Bench::new();
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    let point = point_of(&bench, topic);
    let restore = |window: serde_json::Value| {
        let mut part = json!({"from": point, "dryRun": true, "createTopics": true});
        part.as_object_mut().unwrap().extend(window.as_object().unwrap().clone());
        bench.run(&bench.restore("t-cut", &target().bootstrap(), part)).ok().report()
    };
    let report = restore(json!({"endTime": cut.to_string()}));
    let cuts: Vec<_> = report["details"]["cutTransactions"].as_array().unwrap().iter().collect();
    let sums: Vec<_> =
        cuts.iter().map(|cut| (cut["restored"].as_u64().unwrap(), cut["leftOut"].as_u64().unwrap())).collect();
    assert_eq!(sums, [(3, 2), (1, 1)], "{report}");
    assert_eq!(cuts[0]["partitions"], json!(["t-cut/0", "t-cut/1"]));
    assert_eq!(cuts[1]["partitions"], json!(["t-cut/1"]));
    let text = report["details"]["text"].as_str().unwrap();
    assert!(
        text.contains("cuts through 2 transactions") && text.contains("3 of 5 records, in t-cut/0, t-cut/1"),
        "{text}"
    );
    assert!(text.contains("  time: about 1s if the target takes "), "{text}");
    // The start of a window cuts as well; where it lies between transactions, nothing is cut.
    let report = restore(json!({"startTime": (cut + 1).to_string()}));
    assert_eq!(report["details"]["cutTransactions"].as_array().unwrap().len(), 2, "{report}");
    for end in [cut - 7_000, cut + 9_000] {
        assert_eq!(restore(json!({"endTime": end.to_string()}))["details"].get("cutTransactions"), None);
    }
}
