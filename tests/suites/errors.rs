//! Bad input and bad surroundings: one clear error that names the thing and the fix, the documented exit code, and
//! nothing half done.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::load::{self, Make};
use harness::mount::Mount;
use harness::pair::{source, target, with};
use harness::runner::{Bench, files};
use serde_json::{Value, json};

fn filled(topic: &str) -> (Bench, Value) {
    load::create(&source().bootstrap(), topic, 1, 1, &[]);
    load::produce(&source().bootstrap(), topic, &[], (0..1_000).map(|n| Make::new(n, 0)));
    let bench = Bench::new();
    let spec = bench.backup(topic, &source().bootstrap(), json!({"topics": [topic], "incremental": true}));
    (bench, spec)
}

fn one_segment(bench: &Bench) -> PathBuf {
    let found = files(&bench.archive()).into_iter().find(|(path, _)| path.extension().is_some_and(|e| e == "seg"));
    found.expect("a segment").0
}

fn log_entry(bench: &Bench, number: u64) -> PathBuf {
    let is_it =
        |path: &PathBuf| path.to_string_lossy().contains("/log/main/") && path.ends_with(format!("{number:020}"));
    files(&bench.archive()).into_iter().map(|(path, _)| path).find(is_it).expect("the entry")
}

fn objects(bench: &Bench) -> usize {
    files(&bench.archive()).len()
}

#[test]
fn topics_that_do_not_exist() {
    let bench = Bench::new();
    let bootstrap = source().bootstrap();
    let spec = |topic: &str| bench.backup("x", &bootstrap, json!({"topics": [topic]}));
    bench.run(&spec("no-such-topic")).fails("KB2005", 4, &["no-such-topic", "correct the name"]);
    bench.run(&spec("no-such-*")).fails("KB2006", 4, &["no-such-*", "matches no topic"]);
    bench.run(&spec("__consumer_off*")).fails("KB2006", 4, &["matches no topic"]);
    assert_eq!(objects(&bench), 0);
}

/// With `warn` the others are backed up, and whatever is not there is named; nothing left is a failure all the same.
#[test]
fn a_topic_that_does_not_exist_may_be_left_out() {
    let (bench, bootstrap, topic) = (Bench::new(), source().bootstrap(), "e-there");
    load::create(&bootstrap, topic, 1, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..20).map(|n| Make::new(n, 0)));
    let spec = |name: &str, topics: &[&str]| {
        bench.backup(name, &bootstrap, json!({"topics": topics, "onMissingTopic": "warn"}))
    };
    let report = bench.run(&spec("e-some", &[topic, "e-nowhere", "no-such-*"])).ok().report();
    assert_eq!((&report["topics"], &report["records"]), (&json!(1), &json!(20)), "{report}");
    let missing = json!([{"topic": "e-nowhere", "topicId": "", "change": "absent"}]);
    assert_eq!(report["members"], missing);
    let warnings = report["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|text| text.as_str().unwrap().contains("topic e-nowhere is named")), "{report}");
    bench.run(&spec("e-none", &["e-nowhere"])).fails("KB2006", 4, &["e-nowhere", "matches no topic"]);
}

#[test]
fn an_unreachable_broker_ends_within_the_deadline() {
    let bench = Bench::new();
    let mut spec = bench.backup("x", "127.0.0.1:1,127.0.0.1:2", json!({"topics": ["*"]}));
    spec["kafka"]["connection"] = json!({"retryDeadlineMs": 2000, "connectTimeoutMs": 1000});
    let started = Instant::now();
    bench.run(&spec).fails("KB2001", 3, &["127.0.0.1:1, 127.0.0.1:2", "refused"]);
    // A port that accepts and stays silent.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    spec["kafka"]["bootstrapServers"] = json!([silent.local_addr().unwrap().to_string()]);
    bench.run(&spec).fails("KB2001", 3, &["was not connected and logged in within 1000 ms"]);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(objects(&bench), 0);
}

#[test]
fn directories_that_cannot_hold_an_archive() {
    let (mut bench, _) = filled("e-directories");
    let backup = json!({"topics": ["e-directories"]});
    bench.storage = json!({"type": "filesystem", "path": bench.dir.path().join("missing")});
    bench.run(&bench.backup("x", &source().bootstrap(), backup.clone())).fails("KB3003", 4, &["missing", "create it"]);
    std::fs::write(bench.dir.path().join("file"), "").unwrap();
    bench.storage = json!({"type": "filesystem", "path": bench.dir.path().join("file")});
    bench.run(&bench.backup("x", &source().bootstrap(), backup.clone())).fails("KB3003", 4, &["not a directory"]);
    let Some(mount) = Mount::new("size=1m,ro") else { return };
    bench.storage = json!({"type": "filesystem", "path": mount.0.path()});
    bench.run(&bench.backup("x", &source().bootstrap(), backup)).fails("KB3002", 4, &["writable"]);
}

#[test]
fn damage_is_found_and_nothing_is_restored_from_it() {
    let (bench, spec) = filled("e-damage");
    bench.run(&spec).ok();
    let restore = bench.restore("e-damage", &target().bootstrap(), json!({"from": "e-damage"}));
    let segment = one_segment(&bench);
    let good = std::fs::read(&segment).unwrap();
    let damage = |bytes: &[u8], word: &str| {
        std::fs::write(&segment, bytes).unwrap();
        let found = bench.call("verify", &spec, &[]);
        assert_eq!(found.code, 1, "{found:?}");
        assert!(found.stdout.contains("DAMAGED") && found.stdout.contains(word), "{}", found.stdout);
    };
    damage(&good[..good.len() - 7], "bytes instead of");
    bench.run(&restore).fails("KB4001", 4, &[".seg"]);
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    damage(&flipped, "does not match its digest");
    bench.run(&restore).fails("KB4001", 4, &["digest"]);
    std::fs::write(&segment, &good).unwrap();
    let entry = log_entry(&bench, 1);
    let text = std::fs::read(&entry).unwrap();
    std::fs::remove_file(&entry).unwrap();
    // What the seal left behind tells that it was there.
    let other = bench.restore("e-damage-2", &target().bootstrap(), json!({"from": "e-damage"}));
    bench.run(&other).fails("KB4001", 4, &["the log entry is missing"]);
    std::fs::write(&entry, &text).unwrap();
    let first = log_entry(&bench, 0);
    let claim = std::fs::read(&first).unwrap();
    std::fs::remove_file(&first).unwrap();
    bench.run(&restore).fails("KB4001", 4, &["missing"]);
    std::fs::write(&first, claim).unwrap();
    // The log as it was: now the restore works.
    bench.run(&restore).ok();
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (bench, spec) = filled("e-newer");
    bench.run(&spec).ok();
    let entry = log_entry(&bench, 1);
    let newer = json!({"format": 2, "n": 1, "kind": "seal"});
    std::fs::write(entry, newer.to_string()).unwrap();
    let restore = bench.restore("e-newer", &target().bootstrap(), json!({"from": "e-newer"}));
    bench.run(&restore).fails("KB4002", 4, &["format 2", "reads format 1"]);
}

#[test]
fn a_set_of_another_resource_is_refused_until_it_is_adopted() {
    let (bench, mut spec) = filled("e-owner");
    bench.run(&spec).ok();
    spec["namespace"] = "elsewhere".into();
    bench.run(&spec).fails("KB4003", 4, &["elsewhere", "backup.adopt"]);
    spec["backup"]["adopt"] = true.into();
    bench.run(&spec).ok();
    spec["backup"]["adopt"] = false.into();
    bench.run(&spec).ok();
    bench.call("verify", &spec, &[]).ok();
}

#[test]
fn targets_that_do_not_fit() {
    let topic = "e-target";
    let (bench, _) = filled(topic);
    load::create(&source().bootstrap(), "e-wide", 3, 1, &[]);
    load::produce(&source().bootstrap(), "e-wide", &[], (0..3).map(|n| Make::new(i64::from(n), n)));
    bench.run(&bench.backup("e-target-b", &source().bootstrap(), json!({"topics": [topic, "e-wide"]}))).ok();
    let restore = |more: Value| {
        bench.run(&bench.restore("e-target-r", &target().bootstrap(), with(json!({"from": "e-target-b"}), &more)))
    };
    restore(json!({"createTopics": false})).fails("KB5005", 4, &[topic, "createTopics"]);
    restore(json!({"topics": ["nothing"]})).fails("KB2005", 4, &["nothing"]);
    restore(json!({"topics": ["nothing*"]})).fails("KB2006", 4, &["nothing*"]);
    restore(json!({"from": "no-such-set"})).fails("KB4004", 4, &["no-such-set"]);
    restore(json!({"topicMapping": {topic: "e-wide"}})).fails("KB1002", 2, &["targets must differ"]);
    restore(json!({"defaultReplicationFactor": 3})).fails("KB5006", 4, &["defaultReplicationFactor"]);
    load::create(&target().bootstrap(), "e-narrow", 1, 1, &[]);
    restore(json!({"topicMapping": {"e-wide": "e-narrow"}})).fails("KB5006", 4, &["e-narrow", "3"]);
    load::create(&target().bootstrap(), "e-occupied", 1, 1, &[]);
    load::produce(&target().bootstrap(), "e-occupied", &[], [Make::new(1, 0)]);
    restore(json!({"topics": [topic], "topicMapping": {topic: "e-occupied"}})).fails(
        "KB5001",
        4,
        &["e-occupied", "existingTopics"],
    );
}
