//! Restores that deal records out anew, merge or move partitions, choose older lineages, or keep their state elsewhere.

use std::collections::HashMap;
use std::process::Command;

use harness::load::{self, Make};
use harness::oracle::{self, Seen};
use harness::pair::{source, target};
use harness::process::signal;
use harness::runner::{Bench, binary, ended, files};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Value, json};

fn read(bootstrap: &str, topic: &str, partition: i32) -> Vec<Seen> {
    oracle::read(bootstrap, topic, partition, false)
}

fn content(seen: &[Seen]) -> Vec<Seen> {
    seen.iter().map(Seen::content).collect()
}

/// Three partitions with keys that repeat, some records without a key, and values of their own.
fn fill(topic: &str, records: i64) {
    let bootstrap = source().bootstrap();
    load::create(&bootstrap, topic, 3, 1, &[]);
    let make = |n: i64| Make {
        key: (n % 5 != 0).then(|| format!("key-{}", n % 97).into_bytes()),
        value: Some(format!("{n:0>400}").into_bytes()),
        ..Make::new(n, i32::try_from(n % 3).unwrap())
    };
    load::produce(&bootstrap, topic, &[], (0..records).map(make));
}

/// Where librdkafka's own murmur2 partitioner puts each key among five partitions.
fn partitions_of_keys() -> HashMap<Vec<u8>, i32> {
    let bootstrap = target().bootstrap();
    load::create(&bootstrap, "p-oracle", 5, 1, &[]);
    let producer = load::producer(&bootstrap, &[("partitioner", "murmur2")]);
    for number in 0..97 {
        let key = format!("key-{number}");
        producer.send(BaseRecord::to("p-oracle").key(&key).payload("")).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
    let each = |partition| {
        read(&target().bootstrap(), "p-oracle", partition).into_iter().map(move |s| (s.key.unwrap(), partition))
    };
    (0..5).flat_map(each).collect()
}

/// What the target must hold: source partitions one after the other, each record where `place` says.
fn expected(topic: &str, count: i32, place: impl Fn(i32, &Seen) -> i32) -> Vec<Vec<Seen>> {
    let mut out = vec![Vec::new(); usize::try_from(count).unwrap()];
    for partition in 0..3 {
        for seen in read(&source().bootstrap(), topic, partition) {
            out[usize::try_from(place(partition, &seen)).unwrap()].push(seen.content());
        }
    }
    out
}

fn assert_holds(topic: &str, expected: &[Vec<Seen>]) {
    for (partition, wanted) in expected.iter().enumerate() {
        let found = content(&read(&target().bootstrap(), topic, i32::try_from(partition).unwrap()));
        assert_eq!(found.len(), wanted.len(), "{topic}/{partition}");
        assert!(found == *wanted, "{topic}/{partition} has other records, or another order");
    }
}

#[test]
fn repartitioning_by_key_is_that_of_producers_and_survives_kills() {
    let (topic, bench) = ("p-keys", Bench::new());
    fill(topic, 60_000);
    bench.run(&bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}))).ok();
    let by_key = partitions_of_keys();
    let restore = json!({
        "from": topic, "includeOffsetHeaders": false,
        "repartitioning": {topic: {"strategy": "murmur2", "targetPartitions": 5}},
    });
    let spec = bench.restore("p-keys-r", &target().bootstrap(), restore);
    let mut slow = spec.clone();
    slow["restore"]["rateLimit"] = json!({"bytesPerSec": 6_000_000});
    for round in 0..4u64 {
        let mut child = bench.spawn(&slow);
        std::thread::sleep(std::time::Duration::from_millis(400 + 170 * round));
        signal(child.id(), "KILL");
        child.wait().unwrap();
    }
    bench.run(&spec).ok();
    let place = |_: i32, seen: &Seen| match &seen.key {
        Some(key) => by_key[key],
        None => i32::try_from(seen.offset % 5).unwrap(),
    };
    assert_holds(topic, &expected(topic, 5, place));
    // A target with another number of partitions would put keys elsewhere.
    load::create(&target().bootstrap(), "p-other", 4, 1, &[]);
    let wrong = json!({
        "from": topic, "topicMapping": {topic: "p-other"}, "repartitioning": {"p-other": {"targetPartitions": 5}},
    });
    bench.run(&bench.restore("p-wrong", &target().bootstrap(), wrong)).fails("KB5006", 4, &["p-other", "4", "5"]);
}

#[test]
fn partitions_move_and_merge_and_offsets_are_found_there() {
    let (topic, bench) = ("p-moved", Bench::new());
    fill(topic, 3_000);
    bench.run(&bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}))).ok();
    let run = |name: &str, more: Value| {
        let mut restore = json!({"from": topic, "includeOffsetHeaders": false, "topicMapping": {topic: name}});
        restore.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec = bench.restore(name, &target().bootstrap(), restore);
        bench.run(&spec).ok();
        spec
    };
    run("p-automatic", json!({"repartitioning": {"p-automatic": {"strategy": "automatic", "targetPartitions": 2}}}));
    assert_holds("p-automatic", &expected(topic, 2, |_, seen| i32::try_from(seen.offset % 2).unwrap()));
    run("p-shifted", json!({"partitionMapping": {"0": 4}}));
    assert_holds("p-shifted", &expected(topic, 5, |source, _| if source == 0 { 4 } else { source }));
    let merged = run("p-merged", json!({"partitionMapping": {"0": 1, "2": 1}}));
    assert_holds("p-merged", &expected(topic, 3, |_, _| 1));
    // Offset 10 of source partition 2 stands behind the 2,000 records of partitions 0 and 1.
    let found = bench.call("lookup", &merged, &[topic, "2", "10", "-o", "json"]).ok().stdout;
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()[0]["target"], 2_010, "{found}");
}

#[test]
fn an_older_lineage_is_restored_by_its_id() {
    let (topic, bench) = ("p-lineage", Bench::new());
    let bootstrap = source().bootstrap();
    fill(topic, 300);
    let before = content(&read(&bootstrap, topic, 0));
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    bench.run(&spec).ok();
    load::delete(&bootstrap, topic);
    load::create(&bootstrap, topic, 1, 1, &[]);
    load::produce(&bootstrap, topic, &[], [Make::new(7, 0)]);
    bench.run(&spec).ok();
    let id = older_lineage(&bench.call("ls", &spec, &[topic]).ok().stdout);
    let restore = json!({
        "from": topic, "includeOffsetHeaders": false, "lineages": {topic: id}, "topicMapping": {topic: "p-older"},
    });
    bench.run(&bench.restore("p-older", &target().bootstrap(), restore)).ok();
    assert_eq!(content(&read(&target().bootstrap(), "p-older", 0)), before);
    let unknown = json!({"from": topic, "lineages": {topic: "00000000-0000-0000-0000-000000000001"}});
    bench.run(&bench.restore("p-unknown", &target().bootstrap(), unknown)).fails("KB2005", 4, &["lineage", topic]);
}

#[test]
fn the_set_of_another_resource_or_cluster_is_not_restored_by_mistake() {
    let (topic, bench) = ("p-owner", Bench::new());
    fill(topic, 30);
    // Two backups of one name, from two namespaces, in one bucket: the newest set is the other one's.
    for namespace in ["ours", "theirs"] {
        let mut spec = bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}));
        spec["namespace"] = namespace.into();
        let report = bench.run(&spec).ok().report();
        assert!(report["made"]["clusterId"].as_str().is_some_and(|id| !id.is_empty()), "{report}");
    }
    let restore = |more: Value| {
        let mut part = json!({"from": topic, "topicMapping": {topic: "p-owner-2"}});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.restore("p-owner", &target().bootstrap(), part)
    };
    let ours = restore(json!({"owner": {"name": topic, "namespace": "ours"}}));
    for command in ["check", "run", "verify"] {
        bench.call(command, &ours, &[]).fails("KB4003", 4, &["in namespace \"ours\"", "in namespace \"theirs\""]);
    }
    let cluster = json!({"owner": {"name": topic, "namespace": "theirs", "clusterId": "lost"}});
    bench.run(&restore(cluster)).fails("KB4003", 4, &["on cluster lost", "other-owner"]);
    bench.run(&restore(json!({"owner": {"name": topic, "namespace": "theirs"}}))).ok();
    let meant = json!({"owner": {"name": topic, "namespace": "ours"}, "accept": ["other-owner"]});
    let again = bench.run(&restore(meant)).ok();
    assert_eq!(again.report()["outcome"], "AlreadyDone");
}

#[test]
fn the_state_of_a_restore_goes_where_it_is_told() {
    let (topic, bench) = ("p-state", Bench::new());
    fill(topic, 300);
    bench.run(&bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}))).ok();
    let states = bench.dir.path().join("states");
    std::fs::create_dir(&states).unwrap();
    let before = files(&bench.archive());
    let restore = json!({
        "from": topic, "stateStorage": {"type": "filesystem", "path": states}, "topicMapping": {topic: "p-state-2"},
    });
    let spec = bench.restore("p-state", &target().bootstrap(), restore);
    bench.run(&spec).ok();
    assert_eq!(files(&bench.archive()), before, "the archive was written to");
    assert!(files(&states).len() >= 2);
    assert_eq!(bench.run(&spec).ok().report()["outcome"], "AlreadyDone");
    let mut unwritable = spec;
    unwritable["name"] = "p-state-3".into();
    unwritable["restore"]["stateStorage"]["path"] = "nowhere".into();
    bench.run(&unwritable).fails("KB3003", 4, &["nowhere"]);
}

#[test]
fn a_purge_deletes_only_what_the_plan_says() {
    let (topic, bench, bootstrap) = ("p-purge", Bench::new(), target().bootstrap());
    fill(topic, 300);
    bench.run(&bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}))).ok();
    load::create(&bootstrap, topic, 3, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..60).map(|n| Make::new(n, i32::try_from(n % 3).unwrap())));
    let restore = json!({"from": topic, "sourcePartitions": [2], "existingTopics": "purge"});
    let spec = bench.restore(topic, &bootstrap, restore);
    let plan = bench.call("check", &spec, &[]).ok().stdout;
    assert!(plan.contains("deletes offsets 0 to 19 of partition 2; its 2 other partitions stay as they are"), "{plan}");
    let json: Value = serde_json::from_str(&bench.call("check", &spec, &["-o", "json"]).ok().stdout).unwrap();
    assert_eq!(json["topics"][0]["records"], 100, "{json}");
    bench.run(&spec).ok();
    let held: Vec<_> = (0..3).map(|partition| read(&bootstrap, topic, partition).len()).collect();
    assert_eq!(held, [20, 20, 100]);
}

/// What a field of a restore does to the plan.
enum Effect {
    /// The first part is planned in another way than the second.
    Changes(Value, Value),
    /// It need not be in the plan, because of this; the parts are planned alike.
    Same(Value, &'static str),
}

/// The id of the lineage that is no more, out of a list of points.
fn older_lineage(listed: &str) -> String {
    listed.lines().find_map(|line| line.split_once(": lineage ")).expect("an older lineage").1.trim().to_owned()
}

/// The fields of the specification of restores, by the schema.
fn restore_fields() -> Vec<String> {
    let schema: Value =
        serde_json::from_str(&ended(Command::new(binary()).arg("schema").output().unwrap()).ok().stdout).unwrap();
    schema["$defs"]["RestoreSpec"]["properties"].as_object().unwrap().keys().cloned().collect()
}

/// Each field of the specification of restores, by the schema: what is looked at is what will be written.
#[test]
fn every_field_that_changes_what_is_written_changes_the_plan() {
    let (topic, more, there) = ("p-fields", "p-fields-2", "p-fields-there");
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    fill(topic, 300);
    load::create(&bootstrap, more, 1, 1, &[]);
    load::produce(&bootstrap, more, &[], [Make::new(1, 0)]);
    load::create(&target().bootstrap(), there, 3, 1, &[]);
    load::produce(&target().bootstrap(), there, &[], [Make::new(1, 0)]);
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic, more], "incremental": true}));
    let first = bench.run(&spec).ok().report()["point"].clone();
    load::delete(&bootstrap, more);
    load::create(&bootstrap, more, 2, 1, &[]);
    load::produce(&bootstrap, more, &[], [Make::new(2, 0), Make::new(3, 1)]);
    let newest = bench.run(&spec).ok().report()["point"].clone();
    let listed = bench.call("ls", &spec, &[topic]).ok().stdout;
    let id =
        listed.lines().find_map(|line| line.split_once(": lineage ")).expect("an older lineage").1.trim().to_owned();
    let one = |patch: Value| {
        let mut part = json!({"from": newest, "topics": [topic], "includeOffsetHeaders": false, "dryRun": true});
        part.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        part
    };
    let changes = |patch: Value| Effect::Changes(one(json!({})), one(patch));
    let same = |patch: Value, why| Effect::Same(one(patch), why);
    let into = |existing: &str| one(json!({"topicMapping": {topic: there}, "existingTopics": existing}));
    let states = bench.dir.path().join("states");
    std::fs::create_dir(&states).unwrap();
    let table = [
        ("from", changes(json!({"from": first}))),
        ("topics", changes(json!({"topics": [topic, more]}))),
        (
            "exclude",
            Effect::Changes(
                one(json!({"topics": ["p-fields*"]})),
                one(json!({"topics": ["p-fields*"], "exclude": [more]})),
            ),
        ),
        (
            "patternSyntax",
            Effect::Changes(
                one(json!({"topics": ["p-fields*"]})),
                one(json!({"topics": ["p-fields*"], "patternSyntax": "regex"})),
            ),
        ),
        (
            "lineages",
            Effect::Changes(one(json!({"topics": [more]})), one(json!({"topics": [more], "lineages": {more: id}}))),
        ),
        ("timelines", changes(json!({"timelines": {format!("{topic}/0"): 0}}))),
        ("sourcePartitions", changes(json!({"sourcePartitions": [1]}))),
        ("startTime", changes(json!({"startTime": (load::T0 + 20).to_string()}))),
        ("endTime", changes(json!({"endTime": (load::T0 + 20).to_string()}))),
        ("beforeEndSecs", changes(json!({"beforeEndSecs": 0}))),
        ("includeOffsetHeaders", changes(json!({"includeOffsetHeaders": true}))),
        ("stripOffsetHeaders", changes(json!({"stripOffsetHeaders": true}))),
        ("onUnreadable", changes(json!({"onUnreadable": "skip"}))),
        ("foreignRecords", changes(json!({"foreignRecords": "asWritten"}))),
        ("topicMapping", changes(json!({"topicMapping": {topic: "p-fields-3"}}))),
        ("partitionMapping", changes(json!({"partitionMapping": {"0": 1, "1": 0}}))),
        (
            "repartitioning",
            changes(json!({"repartitioning": {topic: {"strategy": "automatic", "targetPartitions": 2}}})),
        ),
        ("existingTopics", Effect::Changes(into("append"), into("purge"))),
        ("defaultReplicationFactor", changes(json!({"defaultReplicationFactor": -1}))),
        ("groups", changes(json!({"groups": {}}))),
        ("createTopics", changes(json!({"createTopics": false}))),
        ("accept", same(json!({"accept": ["compaction"]}), "it only allows what is refused otherwise")),
        ("dryRun", same(json!({}), "it is the plan alone")),
        ("undoOffsets", same(json!({}), "it puts offsets back, and carries out no plan")),
        ("planFingerprint", same(json!({"planFingerprint": null}), "it names the plan")),
        ("stateStorage", same(json!({"stateStorage": {"type": "filesystem", "path": states}}), "where the state is")),
        ("owner", same(json!({"owner": {"name": topic}}), "it refuses another set, or changes nothing")),
        ("whenNewer", same(json!({"whenNewer": "restore"}), "it counts once nothing is left to do")),
        ("maxConcurrentPartitions", same(json!({"maxConcurrentPartitions": 1}), "pace")),
        ("maxInFlightBytes", same(json!({"maxInFlightBytes": 1_048_576}), "pace")),
        ("rateLimit", same(json!({"rateLimit": {"recordsPerSec": 5}}), "pace")),
        ("headerPreflight", same(json!({"headerPreflight": "full"}), "what is read before anything is written")),
        ("produceAcks", same(json!({"produceAcks": 1}), "how surely")),
        ("produceBatchSize", same(json!({"produceBatchSize": 7}), "how records are packed")),
        ("produceTimeoutMs", same(json!({"produceTimeoutMs": 5_000}), "how long to wait")),
    ];
    let fields = restore_fields();
    let mut named: Vec<_> = table.iter().map(|(field, _)| (*field).to_owned()).collect();
    named.sort_unstable();
    assert_eq!(named, fields, "each field stands in this table once");
    let mut known: HashMap<String, String> = HashMap::new();
    let mut plan = |part: Value| {
        let made = || {
            let report = bench.run(&bench.restore("p-fields", &target().bootstrap(), part.clone())).ok().report();
            report["planFingerprint"].as_str().unwrap().to_owned()
        };
        known.entry(part.to_string()).or_insert_with(made).clone()
    };
    let usual = plan(one(json!({})));
    for (field, effect) in table {
        match effect {
            Effect::Changes(a, b) => assert_ne!(plan(a), plan(b), "{field}"),
            Effect::Same(part, why) => assert_eq!(plan(part), usual, "{field}: {why}"),
        }
    }
}
