//! Sources that change while, or between, they are read: topics replaced, logs cut by an unclean election.

use std::time::{Duration, Instant};

use harness::inspected::live;
use harness::kafka::{Kafka, Options};
use harness::load::{self, Make};
use harness::oracle;
use harness::pair::{source, target};
use harness::runner::{Bench, python};
use serde_json::json;

fn contents(bootstrap: &str, topic: &str) -> Vec<oracle::Seen> {
    oracle::read(bootstrap, topic, 0, false).iter().map(oracle::Seen::content).collect()
}

/// A backup that takes about four seconds, and what is done to its topic after one.
fn change_while_read(topic: &str, change: impl Fn(&str)) -> (Bench, serde_json::Value, serde_json::Value) {
    let bootstrap = source().bootstrap();
    load::create(&bootstrap, topic, 1, 1, &[]);
    // More than one answer holds, whatever its size: the pace is kept from answer to answer.
    let wide = |n| Make { value: Some(vec![b'v'; 1_000]), ..Make::new(n, 0) };
    load::produce(&bootstrap, topic, &[], (0..40_000).map(wide));
    let bench = Bench::new();
    let backup = json!({
        "topics": [topic], "incremental": true, "rateLimit": {"recordsPerSec": 10_000}, "checkpointIntervalSecs": 1,
    });
    let spec = bench.backup(topic, &bootstrap, backup);
    let mut live = bench.live(&spec);
    live.wait("committed", |event| event["sealed"] == false);
    change(&bootstrap);
    let report = live.finish().ok().report();
    bench.call("verify", &spec, &[]).ok();
    (bench, spec, report)
}

#[test]
fn t2_24_a_topic_recreated_while_it_is_read_gets_a_lineage_of_its_own() {
    let topic = "x-recreated";
    let (bench, spec, report) = change_while_read(topic, |bootstrap| {
        load::delete(bootstrap, topic);
        load::create(bootstrap, topic, 1, 1, &[]);
        load::produce(bootstrap, topic, &[], (90_000..90_500).map(|n| Make::new(n, 0)));
    });
    assert_eq!(report["outcome"], "CompletedWithGaps");
    let gap = &report["gaps"][0];
    assert_eq!((&gap["reason"], &gap["to"]), (&json!("topic-recreated"), &json!(40_000)));
    let kept = gap["from"].as_i64().unwrap();
    assert!((1..40_000).contains(&kept), "{gap}");
    // Whichever lineage the run sealed as live, the next one has the new topic whole.
    bench.run(&spec).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    assert_eq!(contents(&target().bootstrap(), topic), contents(&source().bootstrap(), topic));
    assert_eq!(contents(&target().bootstrap(), topic).len(), 500);
}

fn records(bootstrap: &str, topic: &str, from: i64, to: i64, partition: i32) {
    load::produce(bootstrap, topic, &[], (from..to).map(|n| Make::new(n, partition)));
}

/// `topic change` of each line of a report about members.
fn members(report: &serde_json::Value) -> Vec<String> {
    let line = |m: &serde_json::Value| format!("{} {}", m["topic"].as_str().unwrap(), m["change"].as_str().unwrap());
    let mut lines: Vec<_> = report["members"].as_array().into_iter().flatten().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn latest_holds_for_what_the_first_claim_found_and_for_nothing_that_came_later() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    load::create(&bootstrap, "l-a", 1, 1, &[]);
    records(&bootstrap, "l-a", 0, 100, 0);
    let spec =
        bench.backup("latest", &bootstrap, json!({"topics": ["l-*"], "incremental": true, "startOffset": "latest"}));
    // The first run dies before it has saved anything but its claim.
    assert_eq!(bench.run_to("claimed", &spec).code, -1);
    records(&bootstrap, "l-a", 100, 110, 0);
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["records"], members(&report)), (&json!(10), vec![]), "{report}");
    // Between two runs: records in a new partition and in a new topic.
    load::grow(&bootstrap, "l-a", 2);
    load::create(&bootstrap, "l-b", 1, 1, &[]);
    load::produce(&bootstrap, "l-a", &[], (0..20).map(|n| Make::new(n, 1)));
    records(&bootstrap, "l-b", 0, 30, 0);
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["records"], 50, "{report}");
    assert_eq!(members(&report), ["l-a partitions-added", "l-b new"]);
    // While a run follows.
    let mut following = spec.clone();
    following["backup"]["continuous"] = true.into();
    following["backup"]["checkpointIntervalSecs"] = 1.into();
    following["backup"]["topicRefreshSecs"] = 1.into();
    let mut live = bench.live(&following);
    live.wait("started", |_| true);
    load::grow(&bootstrap, "l-a", 3);
    load::produce(&bootstrap, "l-a", &[], (0..40).map(|n| Make::new(n, 2)));
    live.wait("progress", |event| event["records"] == 40 && event["lag"] == 0);
    assert_eq!(live.end("TERM").code, 75);
    bench.call("verify", &spec, &[]).ok();
}

#[test]
fn nothing_vanishes_from_a_set_without_a_word() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    for topic in ["v-deleted", "v-recreated", "v-excluded", "v-stays"] {
        load::create(&bootstrap, topic, 1, 1, &[]);
        records(&bootstrap, topic, 0, 10, 0);
    }
    let spec = bench.backup("vanish", &bootstrap, json!({"topics": ["v-*"], "incremental": true}));
    assert_eq!(members(&bench.run(&spec).ok().report()), Vec::<String>::new());
    load::delete(&bootstrap, "v-deleted");
    load::delete(&bootstrap, "v-recreated");
    load::create(&bootstrap, "v-recreated", 1, 1, &[]);
    records(&bootstrap, "v-recreated", 50, 55, 0);
    let mut narrower = spec.clone();
    narrower["backup"]["exclude"] = json!(["v-excluded"]);
    let ended = bench.run(&narrower).ok();
    let report = ended.report();
    assert_eq!((&report["outcome"], &report["records"]), (&json!("Completed"), &json!(5)), "{report}");
    let changes = ["v-deleted deleted", "v-excluded no-longer-matched", "v-recreated recreated"];
    assert_eq!(members(&report), changes);
    assert_eq!(ended.stdout.matches("\"event\":\"member\"").count(), 3, "each is an event, too: {}", ended.stdout);
    assert_eq!(members(&bench.run(&narrower).ok().report()), Vec::<String>::new(), "told once");
    assert_eq!(members(&bench.run(&spec).ok().report()), ["v-excluded returned"]);
    let text = bench.call("run", &narrower, &[]).ok().stdout;
    assert!(text.contains("topic v-excluded is no longer matched by the patterns"), "{text}");
}

#[test]
fn a_topic_deleted_while_it_is_read_is_kept_as_far_as_it_was_read() {
    let topic = "x-deleted";
    let (bench, _, report) = change_while_read(topic, |bootstrap| load::delete(bootstrap, topic));
    let gap = &report["gaps"][0];
    assert_eq!((&gap["reason"], &gap["to"]), (&json!("topic-deleted"), &json!(40_000)), "{report}");
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    let restored = contents(&target().bootstrap(), topic);
    assert_eq!(restored.len() as i64, gap["from"].as_i64().unwrap());
}

#[test]
fn t2_13_an_unclean_election_starts_a_timeline_and_overwrites_nothing() {
    let properties = vec![
        "unclean.leader.election.enable=true".to_owned(),
        "unclean.leader.election.interval.ms=1000".to_owned(),
        "broker.session.timeout.ms=3000".to_owned(),
        "replica.lag.time.max.ms=3000".to_owned(),
    ];
    let mut kafka = Kafka::with(Options { nodes: 3, properties, ..Options::default() });
    let (bootstrap, topic, bench) = (kafka.bootstrap(), "x-unclean", Bench::new());
    let configs = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];
    load::create_on(&bootstrap, topic, &[1, 2], &configs);
    let append = |from: i64, to: i64| {
        load::produce(&bootstrap, topic, &[("acks", "1")], (from..to).map(|n| Make::new(n, 0)));
    };
    // What the high watermark covers, the follower has.
    let covered = |end: i64| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while oracle::end(&bootstrap, topic, 0) < end && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    append(0, 1_000);
    covered(1_000);
    // The follower misses 500 records, which are backed up; then the leader is lost and the follower leads.
    kafka.stop(1, true);
    append(1_000, 1_500);
    // A snapshot ends at the high watermark, which waits until the follower counts as out of sync.
    covered(1_500);
    let spec = bench.backup("u", &bootstrap, json!({"topics": [topic], "incremental": true}));
    let first = bench.run(&spec).ok().report()["point"].as_str().unwrap().to_owned();
    kafka.stop(0, true);
    kafka.restart(1);
    let deadline = Instant::now() + Duration::from_secs(60);
    while oracle::partitions(&bootstrap, topic) < 1 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
    }
    append(5_000, 5_200);
    kafka.restart(0);
    let seen = contents(&bootstrap, topic);
    assert_eq!(seen.len(), 1_200, "the election lost what the follower never had");
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["outcome"], "Completed");
    assert_eq!(report["timelines"][0]["from"], 1_000, "{report}");
    assert_eq!(report["timelines"][0]["timeline"], 1);
    append(6_000, 6_100);
    assert_eq!(bench.run(&spec).ok().report()["records"], 100);
    // What the source has now contradicts the first point where its log was cut, and nothing of the newest.
    let told = live(&bench, &spec, &first, &[]);
    let part = &told[1]["partitions"][0];
    let found = |kind: &str| part[kind]["records"].as_u64().unwrap();
    assert_eq!((found("same"), found("missing") + found("different")), (1_000, 500), "{part}");
    assert_eq!((&part["end"], &part["unknown"]), (&json!(1_300), &json!(null)), "{part}");
    assert!(found("notArchived") > 0, "{part}");
    let told = live(&bench, &spec, "u", &[]);
    let part = &told[1]["partitions"][0];
    assert_eq!((&part["same"]["records"], &part["missing"]["batches"]), (&json!(1_300), &json!(0)), "{part}");
    assert_eq!((&part["different"]["batches"], &part["notArchived"]["batches"]), (&json!(0), &json!(0)), "{part}");
    for point in ["u", &first] {
        bench.call("verify", &spec, &[point]).ok();
    }
    // A reader that was written from the format's description alone sees the source's history, too.
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/reader.py");
    let read = std::process::Command::new(python()).arg(script).arg("records").arg(bench.archive()).output().unwrap();
    let independent = String::from_utf8(read.stdout).unwrap();
    let offsets: Vec<i64> = independent
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["offset"].as_i64().unwrap())
        .collect();
    assert_eq!(offsets, (0..1_300).collect::<Vec<_>>());
    // The newest point is what the source has now; the first one still is what it had then.
    let target = target().bootstrap();
    bench
        .run(&bench.restore(
            "u-now",
            &target,
            json!({"from": "u", "includeOffsetHeaders": false, "defaultReplicationFactor": 1}),
        ))
        .ok();
    assert_eq!(contents(&target, topic), contents(&bootstrap, topic));
    let mapped = json!({
        "from": first, "includeOffsetHeaders": false, "defaultReplicationFactor": 1,
        "topicMapping": {topic: "x-before"},
    });
    bench.run(&bench.restore("u-then", &target, mapped)).ok();
    let before = contents(&target, "x-before");
    assert_eq!(before.len(), 1_500);
    // The newest point still has the older timeline, by name.
    let older = json!({
        "from": "u", "includeOffsetHeaders": false, "defaultReplicationFactor": 1,
        "timelines": {"x-unclean/0": 0}, "topicMapping": {topic: "x-older"},
    });
    bench.run(&bench.restore("u-older", &target, older)).ok();
    assert_eq!(contents(&target, "x-older"), before);
    let unknown = json!({"from": "u", "timelines": {"x-unclean/0": 2}, "topicMapping": {topic: "x-none"}});
    bench.run(&bench.restore("u-none", &target, unknown)).fails("KB2005", 4, &["timeline 2"]);
    assert_eq!(before[..1_000], seen[..1_000]);
    assert_ne!(before[1_000], seen[1_000]);
}

/// What retention, transactions and time do to a source is no contradiction to a point; a topic that is gone, or another, is.
#[test]
fn a_point_is_compared_with_its_source_batch_by_batch() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    for name in ["d-grown", "d-trimmed", "d-transactions", "d-again", "d-gone"] {
        load::create(&bootstrap, name, 1, 1, &[]);
        for from in (0..100).step_by(10) {
            records(&bootstrap, name, from, from + 10, 0);
        }
    }
    let some = |from: i64| (from..from + 5).map(|n| Make::new(n, 0)).collect::<Vec<_>>();
    load::transactions(&bootstrap, "d-transactions", "d-id", vec![(some(0), true), (some(5), false), (some(10), true)]);
    let spec = bench.backup("d", &bootstrap, json!({"topics": ["d-*"], "incremental": true}));
    bench.run(&spec).ok();
    records(&bootstrap, "d-grown", 100, 107, 0);
    load::delete_records(&bootstrap, "d-trimmed", 0, 40);
    load::delete(&bootstrap, "d-again");
    load::create(&bootstrap, "d-again", 1, 1, &[]);
    load::delete(&bootstrap, "d-gone");
    load::create(&bootstrap, "d-new", 1, 1, &[]);
    let told = live(&bench, &spec, "d", &[]);
    assert_eq!(told[0]["newTopics"], json!(["d-new"]), "{told:?}");
    let states: Vec<_> =
        told[1..].iter().map(|t| (t["name"].as_str().unwrap(), t["state"].as_str().unwrap())).collect();
    assert_eq!(
        states,
        [
            ("d-again", "recreated"),
            ("d-gone", "gone"),
            ("d-grown", "same"),
            ("d-transactions", "same"),
            ("d-trimmed", "same"),
        ]
    );
    let of = |name: &str, kind: &str| {
        let topic = told.iter().find(|line| line["name"] == name).unwrap();
        topic["partitions"][0][kind]["records"].as_u64().unwrap()
    };
    for name in ["d-grown", "d-transactions", "d-trimmed"] {
        assert_eq!(of(name, "missing") + of(name, "different") + of(name, "notArchived"), 0, "{told:?}");
    }
    assert_eq!((of("d-grown", "same"), of("d-transactions", "same")), (100, 110));
    assert_eq!((of("d-trimmed", "same"), of("d-trimmed", "expired")), (60, 40));
    assert_eq!(of("d-gone", "same"), 0);
    let one = live(&bench, &spec, "d", &["d-trim*"]);
    assert_eq!((one.len(), &one[1]["name"]), (2, &json!("d-trimmed")), "{one:?}");
}
