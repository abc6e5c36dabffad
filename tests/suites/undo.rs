//! What nearly worked is never told as done: undos and rollbacks whose places are gone, mappings of topics that were made again,
//! plans that would not be carried out.

use harness::consumers::{commit, line_of, member, read_share_group, stands};
use harness::kafka::{Kafka, OLD, Options};
use harness::load::{self, Make};
use harness::pair::source;
use harness::raw;
use harness::runner::Bench;
use serde_json::{Value, json};

/// Time of the first record; each has one millisecond more.
const T0: i64 = 1_750_000_000_000;

/// A topic of two partitions with 100 records each.
fn topic(name: &str) {
    let bootstrap = source().bootstrap();
    load::create(&bootstrap, name, 2, 1, &[]);
    let make = |n: i64| Make { timestamp: Some(T0 + n), ..Make::new(n, i32::try_from(n % 2).unwrap()) };
    load::produce(&bootstrap, name, &[("enable.idempotence", "true")], (0..200).map(make));
}

/// A backup of a topic with groups that stand at offsets 30 and 40 of it.
fn backed_up(bench: &Bench, name: &str, groups: &[&str]) {
    let bootstrap = source().bootstrap();
    topic(name);
    for group in groups {
        commit(&bootstrap, group, name, &[30, 40]);
    }
    let backup = json!({"topics": [name], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup(name, &bootstrap, backup)).ok();
}

fn offsets(group: &str, topic: &str) -> Vec<Option<i64>> {
    stands(&source().bootstrap(), group, topic)
}

/// The restore deletes the records at which a group stood, and fails later: where the group was, nothing is any more.
#[test]
fn an_undo_that_cannot_put_everything_back_does_not_say_that_it_did() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    backed_up(&bench, "ua", &["ua-gone", "ua-live", "ua-end"]);
    topic("ua-other");
    commit(&bootstrap, "ua-gone", "ua", &[50, 60]);
    commit(&bootstrap, "ua-end", "ua", &[100, 100]);
    let groups = json!({"include": ["ua-*"], "commit": true, "rollBackOnFailure": true, "saving": {"keepHours": 24}});
    let what = json!({"from": "ua", "includeOffsetHeaders": false, "existingTopics": "purge", "groups": groups});
    let spec = bench.restore("ua", &bootstrap, what);
    assert_eq!(bench.run_to("all-produced", &spec).code, -1);
    let live = member(&bootstrap, "ua-live", "ua-other", "classic");
    let ended = bench.run(&spec);
    let report = ended.report();
    let words = [
        "ua-live",
        "has members",
        "The committed offsets of 1 consumer group are what they were",
        "group \"ua-gone\", ua/0: offset 100 instead of 50, since its records up to 100 are deleted",
    ];
    ended.fails("KB2017", 4, &words);
    assert_eq!(report["outcome"], "PartiallyRolledBack", "{report}");
    let gone = line_of(&report, "ua-gone");
    let named: Vec<_> = gone["inexact"].as_array().unwrap().iter().map(|at| (&at["wanted"], &at["got"])).collect();
    assert_eq!(
        (&gone["outcome"], named),
        (&json!("failed"), vec![(&json!(50), &json!(100)), (&json!(60), &json!(100))])
    );
    assert_eq!(line_of(&report, "ua-end")["outcome"], "rolled-back", "{report}");
    assert_eq!((offsets("ua-gone", "ua"), offsets("ua-end", "ua")), (vec![Some(100); 2], vec![Some(100); 2]));
    drop(live);
}

/// Run again by its id, as after a lost report, a rollback tells what it could not do.
#[test]
fn a_rollback_that_is_asked_again_tells_what_it_could_not_do() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    for name in ["ub", "ub-cut"] {
        topic(name);
        commit(&bootstrap, "ub", name, &[30, 40]);
    }
    let of = |kind: &str, name: &str, what: Value| {
        let mut spec = bench.backup(name, &bootstrap, json!({}));
        spec.as_object_mut().unwrap().remove("backup");
        spec[kind] = what;
        spec["run"] = json!({"id": format!("{name}-1"), "at": "2026-11-29T15:00:00Z"});
        spec
    };
    let report = bench.run(&of("offsetReset", "ub", json!({"groups": ["ub"], "to": "latest"}))).ok().report();
    load::delete_records(&bootstrap, "ub-cut", 0, 35);
    let from = json!({"from": {"id": report["offsetsBefore"]["id"]}});
    let mut dry = of("offsetRollback", "ub-dry", from.clone());
    dry["offsetRollback"]["dryRun"] = true.into();
    let word = "group \"ub\", ub-cut/0: offset 35 instead of 30, since its records up to 35 are deleted";
    let plan = bench.run(&dry).fails("KB2019", 4, &[word]).report();
    assert!(plan["details"]["text"].as_str().unwrap().contains(&format!("not exact: {word}")), "{plan}");
    assert_eq!(offsets("ub", "ub-cut"), [Some(100), Some(100)], "a dry run writes nothing");
    let back = of("offsetRollback", "ub-back", from);
    for number in 0..2 {
        let report = bench.run(&back).fails("KB2019", 4, &["1 committed offset of 1 consumer group", word]).report();
        assert_eq!(report["outcome"], "PartiallyCompleted", "{number}: {report}");
        assert_eq!(line_of(&report, "ub")["inexact"][0]["got"], 35, "{number}: {report}");
    }
    assert_eq!((offsets("ub", "ub"), offsets("ub", "ub-cut")), (vec![Some(30), Some(40)], vec![Some(35), Some(40)]));
}

/// A run of another kind in the storage of the bench.
fn spec(bench: &Bench, name: &str, kind: &str, what: Value) -> Value {
    let mut spec = bench.backup(name, &source().bootstrap(), json!({}));
    spec.as_object_mut().unwrap().remove("backup");
    spec[kind] = what;
    spec
}

fn rolled_back(bench: &Bench, name: &str, id: &Value) -> Value {
    spec(bench, &format!("{name}-back"), "offsetRollback", json!({"from": {"id": id}}))
}

/// A reset that finds nothing to set has nothing that could be put back: what the group does afterwards is its own.
#[test]
fn a_run_that_changed_nothing_leaves_nothing_to_put_back() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ue");
    commit(&bootstrap, "ue", "ue", &[30, 40]);
    let nowhere = json!({"groups": ["ue"], "to": "latest", "topics": ["ue-other"]});
    let report = bench.run(&spec(&bench, "ue", "offsetReset", nowhere)).ok().report();
    assert_eq!(report["offsetsBefore"], Value::Null, "{report}");
    assert_eq!(offsets("ue", "ue"), [Some(30), Some(40)]);
}

/// What a restore changed of one group is not put back of another one that reads the same topics.
#[test]
fn a_rollback_touches_no_offset_of_a_group_that_the_run_did_not_change() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    for name in ["uf-t", "uf-u"] {
        topic(name);
    }
    commit(&bootstrap, "uf-a", "uf-t", &[30]);
    commit(&bootstrap, "uf-b", "uf-u", &[50, 60]);
    let backup = json!({"topics": ["uf-t", "uf-u"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("uf", &bootstrap, backup)).ok();
    // What stood in the target before: b has an offset of u that the restore changes.
    for (from, to) in [("uf-t", "uf-t2"), ("uf-u", "uf-u2")] {
        assert_ne!(from, to);
        topic(to);
    }
    commit(&bootstrap, "uf-b2", "uf-u2", &[1, 2]);
    let groups = json!({"include": ["uf-?"], "mapping": {"uf-a": "uf-a2", "uf-b": "uf-b2"}, "commit": true,
        "saving": {"keepHours": 24}});
    let what = json!({"from": "uf", "includeOffsetHeaders": false, "existingTopics": "purge", "groups": groups,
        "topicMapping": {"uf-t": "uf-t2", "uf-u": "uf-u2"}});
    let report = bench.run(&bench.restore("uf", &bootstrap, what)).ok().report();
    assert_eq!((offsets("uf-a2", "uf-t2")[0], offsets("uf-b2", "uf-u2")[1]), (Some(130), Some(160)), "{report}");
    // Afterwards a reads u, and partition 1 of t.
    commit(&bootstrap, "uf-a2", "uf-u2", &[170, 180]);
    commit(&bootstrap, "uf-a2", "uf-t2", &[150, 160]);
    bench.run(&rolled_back(&bench, "uf", &report["offsetsBefore"]["id"]));
    assert_eq!(offsets("uf-a2", "uf-u2"), [Some(170), Some(180)], "the restore changed nothing of a in u");
    assert_eq!(offsets("uf-a2", "uf-t2"), [None, Some(160)], "nor in partition 1 of t");
    assert_eq!(offsets("uf-b2", "uf-u2"), [Some(100), Some(100)], "its old places are deleted: the first that is left");
}

/// One group that has members keeps no other from being put back.
#[test]
fn a_rollback_goes_on_with_the_rest_and_names_who_is_left() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ug");
    topic("ug-other");
    let groups: Vec<_> = (0..40).map(|number| format!("ug-{number:02}")).collect();
    for group in &groups {
        commit(&bootstrap, group, "ug", &[30, 40]);
    }
    let what = json!({"groups": groups, "to": "latest"});
    let report = bench.run(&spec(&bench, "ug", "offsetReset", what)).ok().report();
    let live = member(&bootstrap, "ug-03", "ug-other", "classic");
    let back = rolled_back(&bench, "ug", &report["offsetsBefore"]["id"]);
    let report = bench.run(&back).fails("KB2017", 4, &["1 of 40 consumer groups", "\"ug-03\" has members"]).report();
    assert_eq!(report["outcome"], "PartiallyCompleted", "{report}");
    let failed: Vec<_> =
        report["positions"].as_array().unwrap().iter().filter(|line| line["outcome"] == "failed").collect();
    assert!(failed.len() == 1 && failed[0]["target"] == "ug-03", "{failed:?}");
    for group in groups.iter().filter(|group| *group != "ug-03") {
        assert_eq!(offsets(group, "ug"), [Some(30), Some(40)], "{group}");
    }
    drop(live);
    commit(&bootstrap, "ug-07", "ug", &[77, 78]);
    bench.run(&back).ok();
    assert_eq!((offsets("ug-03", "ug"), offsets("ug-07", "ug")), (vec![Some(30), Some(40)], vec![Some(77), Some(78)]));
}

/// Offsets of a mapping mean records of the topic that was restored, and of no other of its name.
#[test]
fn a_mapping_leads_to_no_topic_that_was_made_again() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    backed_up(&bench, "uc", &["uc"]);
    let groups = json!({"include": ["uc"], "saveMapping": true});
    let what = json!({"from": "uc", "includeOffsetHeaders": false, "topicMapping": {"uc": "uc-new"}, "groups": groups});
    let report = bench.run(&bench.restore("uc", &bootstrap, what)).ok().report();
    assert_eq!(report["positionsPoint"], report["point"], "{report}");
    let path = report["offsetMapping"].as_str().unwrap();
    let mut file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(file["target_topic_ids"]["uc-new"].is_string(), "{file}");
    load::delete(&bootstrap, "uc-new");
    topic("uc-new");
    let reset = |path: &str| {
        let mut spec = bench.backup("uc", &bootstrap, json!({}));
        spec.as_object_mut().unwrap().remove("backup");
        spec["offsetReset"] = json!({"groups": ["uc"], "to": {"mapping": {"path": path}}});
        spec
    };
    bench.run(&reset(path)).fails("KB4010", 4, &["group \"uc\"", "uc-new", "was deleted and made again since"]);
    assert_eq!(offsets("uc", "uc-new"), [None, None]);
    // A file of a release, or of a tool, that did not know the ids.
    file.as_object_mut().unwrap().remove("target_topic_ids");
    std::fs::write(bench.archive().join("without-ids.json"), file.to_string()).unwrap();
    bench.run(&reset("without-ids.json")).ok();
    assert_eq!(offsets("uc", "uc-new"), [Some(30), Some(40)]);
}

/// A plan shows where each group goes, how that was found, and what is in its way.
#[test]
fn a_plan_shows_each_group_with_its_places_and_what_blocks_it() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    backed_up(&bench, "ud", &["ud-free", "ud-live"]);
    topic("ud-other");
    let live = member(&bootstrap, "ud-live2", "ud-other", "classic");
    let plan = |commits: bool| {
        let groups = json!({"include": ["ud-*"], "mapping": {"ud-live": "ud-live2"}, "commit": commits});
        let what = json!({
            "from": "ud", "includeOffsetHeaders": false, "topicMapping": {"ud": "ud-new"}, "createTopics": true,
            "groups": groups, "dryRun": true,
        });
        let report = bench.run(&bench.restore("ud", &bootstrap, what)).ok().report();
        let text = report["details"]["text"].as_str().unwrap().to_owned();
        assert_eq!(report["positionsPoint"], report["point"], "{report}");
        let found: Vec<_> =
            line_of(&report, "ud-live2")["offsets"].as_array().unwrap().iter().map(|at| &at["offset"]).collect();
        assert_eq!(found, [30, 40], "{report}");
        (report, text)
    };
    let (report, text) = plan(true);
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with("group ud-live -> ud-live2: 2 offsets")).unwrap();
    assert_eq!(lines[at + 1], "ud -> ud-new: 2 partitions (2 same record)", "{text}");
    assert!(lines[at + 2].starts_with("blocked: consumer group \"ud-live2\" has members"), "{text}");
    assert_eq!(report["refusals"][0]["code"], "KB2016", "{report}");
    // Where nothing is committed, that is no refusal, but what somebody wants to know.
    let (report, text) = plan(false);
    assert!(report["refusals"].as_array().unwrap().is_empty(), "{report}");
    assert!(text.contains("could not be committed now: consumer group \"ud-live2\" has members"), "{text}");
    drop(live);
}

/// Found before the first record: nothing is created, and nothing is written.
#[test]
fn a_group_that_the_target_has_as_another_kind_is_refused_before_the_first_record() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("uh-other");
    read_share_group(source(), "uh-share", "uh-other", 20);
    backed_up(&bench, "uh", &["uh-classic", "uh-consumer"]);
    // Offsets of a classic group go to an empty group of the consumer protocol, too.
    commit(&bootstrap, "uh-there", "uh-other", &[5, 6]);
    drop(member(&bootstrap, "uh-there2", "uh-other", "consumer"));
    let spec = |mapping: Value| {
        let groups = json!({"include": ["uh-classic"], "mapping": mapping, "commit": true, "saving": {"skip": true}});
        let what = json!({"from": "uh", "includeOffsetHeaders": false, "topicMapping": {"uh": "uh-new"},
            "createTopics": true, "groups": groups});
        bench.restore("uh", &bootstrap, what)
    };
    let words =
        ["\"uh-share\" is a share group in the target", "\"uh-classic\" is a classic group", "Nothing was written"];
    bench.run(&spec(json!({"uh-classic": "uh-share"}))).fails("KB2017", 4, &words);
    bench.run(&spec(json!({"uh-classic": "uh-there2"}))).ok();
    assert_eq!(offsets("uh-there2", "uh-new"), [Some(30), Some(40)]);
}

/// Brokers take commits for the group without an id, so a backup meets it; no consumer can go on with it.
#[test]
fn the_group_without_an_id_is_left_out_by_name() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ui");
    commit(&bootstrap, "ui", "ui", &[30, 40]);
    assert_eq!(raw::commit(&bootstrap, "", "ui", 7), 0, "the broker takes it");
    let backup = json!({"topics": ["ui"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("ui", &bootstrap, backup)).ok();
    let what = json!({"from": "ui", "includeOffsetHeaders": false, "topicMapping": {"ui": "ui-new"}, "groups": {}});
    let report = bench.run(&bench.restore("ui", &bootstrap, what)).ok().report();
    assert!(report["warnings"].to_string().contains("the consumer group without an id is left out"), "{report}");
    assert!(report["positions"].as_array().unwrap().iter().any(|line| line["target"] == "ui"), "{report}");
}

/// Brokers of before Kafka 4 know no share groups.
#[test]
fn a_share_group_is_refused_where_brokers_do_not_know_any() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("uj");
    read_share_group(source(), "uj-share", "uj", 60);
    let backup = json!({"topics": ["uj"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("uj", &bootstrap, backup)).ok();
    let old = Kafka::with(Options { version: OLD, ..Options::default() });
    let groups = json!({"include": ["uj-share"], "commit": true, "saving": {"skip": true}});
    let what = json!({"from": "uj", "includeOffsetHeaders": false, "createTopics": true, "groups": groups});
    let words =
        ["\"uj-share\" is a share group", "AlterShareGroupOffsets", "leave the group out", "Nothing was written"];
    bench.run(&bench.restore("uj", &old.bootstrap(), what)).fails("KB2017", 4, &words);
}
