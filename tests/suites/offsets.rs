//! Resets and rollbacks of committed offsets, and restores that put back what they changed: with librdkafka and Kafka's own
//! tools as judges.

use harness::consumers::{commit, committed, line_of, member, next, printed, read_share_group, stands};
use harness::kafka::Kafka;
use harness::load::{self, Make};
use harness::oracle::{self, Seen};
use harness::pair::source;
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

/// A run of another kind in the storage of the bench.
fn spec(bench: &Bench, name: &str, kind: &str, what: Value) -> Value {
    let mut spec = bench.backup(name, &source().bootstrap(), json!({}));
    spec.as_object_mut().unwrap().remove("backup");
    spec[kind] = what;
    spec
}

fn reset(bench: &Bench, name: &str, to: Value, more: Value) -> Value {
    let mut what = json!({"groups": [name], "to": to});
    what.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec(bench, name, "offsetReset", what)
}

fn rollback(bench: &Bench, name: &str, id: &Value, more: Value) -> Value {
    let mut what = json!({"from": {"id": id}});
    what.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec(bench, &format!("{name}-back"), "offsetRollback", what)
}

fn offsets(group: &str, topic: &str) -> Vec<Option<i64>> {
    stands(&source().bootstrap(), group, topic)
}

/// What Kafka's own tool says of a group.
fn described(group: &str) -> Vec<(String, i64, i64)> {
    let kafka = source();
    let arguments = ["--bootstrap-server", &kafka.bootstrap(), "--describe", "--group", group];
    printed(&kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments), group)
}

#[test]
fn each_strategy_moves_what_it_names_and_nothing_else() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("os-a");
    topic("os-b");
    load::delete_records(&bootstrap, "os-a", 0, 10);
    for (number, (to, more, expected)) in [
        (json!("earliest"), json!({}), [[10, 0], [0, 0]]),
        (json!("earliest"), json!({"topics": ["os-a"]}), [[10, 0], [50, 60]]),
        (json!("latest"), json!({}), [[100, 100], [100, 100]]),
        (json!({"timestamp": T0 + 100}), json!({}), [[50, 50], [50, 50]]),
        // No record is so late: the end, not -1.
        (json!({"timestamp": T0 + 1_000}), json!({"topics": ["os-b"]}), [[30, 40], [100, 100]]),
        (json!({"offset": 70}), json!({}), [[70, 70], [70, 70]]),
        (json!({"offset": 5}), json!({"topics": ["os-a"]}), [[10, 5], [50, 60]]),
        (json!({"offset": 5_000}), json!({}), [[100, 100], [100, 100]]),
    ]
    .into_iter()
    .enumerate()
    {
        let group = format!("os-group-{number}");
        commit(&bootstrap, &group, "os-a", &[30, 40]);
        commit(&bootstrap, &group, "os-b", &[50, 60]);
        let mut dry = reset(&bench, &group, to.clone(), more.clone());
        dry["offsetReset"]["dryRun"] = true.into();
        let plan = bench.run(&dry).ok().report();
        assert_eq!(plan["outcome"], "DryRun");
        assert!(plan["details"]["text"].as_str().unwrap().contains("os-a/0: offset 30 -> ") || number == 4, "{plan}");
        assert_eq!(offsets(&group, "os-a"), [Some(30), Some(40)], "a dry run writes nothing");
        let report = bench.run(&reset(&bench, &group, to.clone(), more)).ok().report();
        for (topic, expected) in ["os-a", "os-b"].into_iter().zip(expected) {
            assert_eq!(offsets(&group, topic), expected.map(Some), "{to} {topic}: {report}");
        }
        // What a consumer wrote beside its offset stays.
        assert_eq!(committed(&bootstrap, &group, "os-a")[1].as_ref().unwrap().1, "meta of 1", "{to}");
        let named = line_of(&report, &group)["offsets"].as_array().unwrap();
        let found: Vec<_> = named.iter().map(|at| at["found"].as_str().unwrap()).collect();
        if number == 4 || number == 6 {
            assert!(found.contains(&["none-since-time", "nearest"][usize::from(number == 6)]), "{found:?}");
        }
        assert!(named.iter().all(|at| at["readBack"] == at["offset"]), "{report}");
    }
}

/// What is in the way fails a dry run as it would fail the run; groups whose turn never came are named; and whoever asks again
/// is told what was done.
#[test]
fn what_was_not_done_is_never_told_as_done() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("on");
    commit(&bootstrap, "on", "on", &[30, 40]);
    let two = json!({"groups": ["on", "on-none"]});
    let mut dry = reset(&bench, "on-dry", json!("latest"), two.clone());
    dry["offsetReset"]["dryRun"] = true.into();
    let plan = bench.run(&dry).fails("KB2018", 4, &["on-none"]).report();
    assert!(
        plan["outcome"] == "Failed" && plan["details"]["text"].as_str().unwrap().contains("on/0: offset 30"),
        "{plan}"
    );
    let report = bench.run(&reset(&bench, "on-two", json!("latest"), two)).fails("KB2018", 4, &["on-none"]).report();
    let open = line_of(&report, "on");
    assert_eq!((&open["outcome"], offsets("on", "on")), (&json!("failed"), vec![Some(30), Some(40)]), "{report}");
    assert!(open["reason"].as_str().unwrap().contains("was not tried"), "{report}");
    let mut spec = reset(&bench, "on", json!("latest"), json!({}));
    spec["run"] = json!({"id": "on-1", "at": "2026-11-29T15:00:00Z"});
    let first = bench.run(&spec).ok().report();
    let again = bench.run(&spec).ok().report();
    assert_eq!(
        (&again["outcome"], &line_of(&again, "on")["done"]),
        (&json!("AlreadyDone"), &line_of(&first, "on")["done"]),
        "{again}"
    );
    assert_eq!(line_of(&again, "on")["outcome"], "committed", "{again}");
}

#[test]
fn a_rollback_gives_exactly_the_offsets_of_before() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("or-a");
    topic("or-b");
    for (group, at) in [("or-1", [7, 8]), ("or-2", [9, 10])] {
        commit(&bootstrap, group, "or-a", &at);
        commit(&bootstrap, group, "or-b", &[at[1]]);
    }
    let before = ["or-1", "or-2"].map(described);
    let report = bench.run(&reset(&bench, "or-1", json!("latest"), json!({"groups": ["or-1", "or-2"]}))).ok().report();
    let id = &report["offsetsBefore"]["id"];
    assert_ne!(["or-1", "or-2"].map(described), before);
    // A partition in which the reset changed nothing: what its consumer has there since is its own.
    commit(&bootstrap, "or-1", "or-b", &[3, 4]);
    let one = bench.run(&rollback(&bench, "or-one", id, json!({"groups": ["or-2"]}))).ok().report();
    assert_eq!((&one["outcome"], one["positions"].as_array().unwrap().len()), (&json!("Completed"), 1));
    assert_eq!(described("or-2"), before[1]);
    assert_eq!(offsets("or-1", "or-b"), [Some(3), Some(4)], "it was not named");
    let mut dry = rollback(&bench, "or-dry", id, json!({"dryRun": true}));
    let plan = bench.run(&dry).ok().report();
    let text = plan["details"]["text"].as_str().unwrap();
    assert!(!text.contains("or-b/1") && text.contains("-> offset 7 (saved offset)"), "{text}");
    assert_eq!(offsets("or-1", "or-b"), [Some(3), Some(4)], "a dry run writes nothing");
    let all = bench.run(&rollback(&bench, "or-all", id, json!({}))).ok().report();
    let own = ("or-b".to_owned(), 1, 4);
    let without = |group: &str| described(group).into_iter().filter(|at| *at != own).collect::<Vec<_>>();
    assert_eq!(["or-1", "or-2"].map(without), before, "{all}");
    assert_eq!(offsets("or-1", "or-b"), [Some(8), Some(4)]);
    assert_eq!(committed(&bootstrap, "or-1", "or-a")[1], Some((8, "meta of 1".into())));
    // By its path, as the report names it.
    commit(&bootstrap, "or-1", "or-a", &[1, 1]);
    let path = report["offsetsBefore"]["path"].as_str().unwrap();
    let path = path.split_once("/_offsets/").map(|(_, rest)| format!("_offsets/{rest}")).unwrap();
    dry["offsetRollback"] = json!({"from": {"path": path}});
    bench.run(&dry).ok();
    assert_eq!(without("or-1"), before[0]);
    let none = rollback(&bench, "or-none", &json!("before-20200101-000000-00000000"), json!({}));
    bench.run(&none).fails("KB4009", 4, &["there are no saved offsets"]);
    bench.run(&rollback(&bench, "or-other", id, json!({"groups": ["or-3"]}))).fails(
        "KB2018",
        4,
        &["or-3", "correct the name"],
    );
}

#[test]
fn a_group_with_members_is_not_touched() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ol");
    for group in ["ol-idle", "ol-classic", "ol-consumer"] {
        commit(&bootstrap, group, "ol", &[30, 40]);
    }
    let live = [member(&bootstrap, "ol-classic", "ol", "classic"), member(&bootstrap, "ol-consumer", "ol", "consumer")];
    let groups = json!({"groups": ["ol-idle", "ol-classic", "ol-consumer", "ol-nobody"]});
    let spec = reset(&bench, "ol", json!("earliest"), groups);
    bench.run(&spec).fails("KB2016", 4, &["ol-classic", "client of ol-classic", "stop its consumers"]);
    assert_eq!(offsets("ol-idle", "ol"), [Some(30), Some(40)], "nothing is written where one cannot be");
    let mut spec = spec;
    spec["offsetReset"]["continueOnError"] = true.into();
    let ended = bench.run(&spec);
    let report = ended.report();
    ended.fails("KB2017", 4, &["3 of 4 consumer groups"]);
    assert_eq!(report["outcome"], "PartiallyCompleted", "{report}");
    assert_eq!(offsets("ol-idle", "ol"), [Some(0), Some(0)]);
    let reason = |group: &str| line_of(&report, group)["reason"].as_str().unwrap_or_default().to_owned();
    assert!(
        reason("ol-consumer").contains("has members") && reason("ol-nobody").contains("correct the name"),
        "{report}"
    );
    assert_eq!(offsets("ol-consumer", "ol"), [Some(30), Some(40)]);
    drop(live);
    // What is left is done, and what is done is left alone: its consumers may have gone on.
    commit(&bootstrap, "ol-idle", "ol", &[77, 78]);
    spec["offsetReset"]["groups"] = json!(["ol-idle", "ol-classic", "ol-consumer"]);
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["outcome"], "Completed");
    assert_eq!(offsets("ol-consumer", "ol"), [Some(0), Some(0)]);
}

/// What a reset would do is shown by group and partition, and nothing is done.
#[test]
fn the_plan_of_a_reset_is_shown_without_it() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ow");
    commit(&bootstrap, "ow", "ow", &[30, 40]);
    let spec = reset(&bench, "ow", json!({"offset": 1000}), json!({"groups": ["ow"]}));
    let plan: Value = serde_json::from_str(&bench.call("groups", &spec, &["-o", "json"]).ok().stdout).unwrap();
    let line = &plan["groups"][0];
    let at = |place: usize, field: &str| line["offsets"][place][field].clone();
    assert_eq!((at(0, "before"), at(0, "offset"), at(0, "found")), (json!(30), json!(100), json!("nearest")), "{plan}");
    let text = bench.call("groups", &spec, &[]).ok().stdout;
    assert!(text.contains("nearest offset that the log has") && text.contains("ow"), "{text}");
    assert_eq!(offsets("ow", "ow"), [Some(30), Some(40)]);
    let member = member(&bootstrap, "ow", "ow", "classic");
    let blocked = bench.call("groups", &spec, &[]);
    assert!(blocked.code == 1 && blocked.stdout.contains("client of ow"), "{}{}", blocked.stdout, blocked.stderr);
    drop(member);
    let backup = bench.backup("ow", &bootstrap, json!({"topics": ["ow"]}));
    bench.call("groups", &backup, &[]).fails("KB1002", 2, &["moves no consumer groups"]);
}

#[test]
fn a_topic_that_no_group_has_read_is_told_and_one_that_is_gone_is_left_alone() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ot-here");
    topic("ot-unread");
    commit(&bootstrap, "ot", "ot-here", &[30, 40]);
    let spec = reset(&bench, "ot", json!("earliest"), json!({"topics": ["ot-unread", "ot-typo"]}));
    let report = bench.run(&spec).ok().report();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("offset of topic ot-typo") && warnings.contains("offset of topic ot-unread"), "{report}");
    assert_eq!(offsets("ot", "ot-here"), [Some(30), Some(40)]);
    let report = bench.run(&reset(&bench, "ot", json!("earliest"), json!({}))).ok().report();
    load::delete(&bootstrap, "ot-here");
    // Kafka deletes the offsets of a topic with it; the snapshot still has them.
    let back = bench.run(&rollback(&bench, "ot", &report["offsetsBefore"]["id"], json!({})));
    let back =
        back.fails("KB2019", 4, &["ot-here/0: no offset instead of 30, since it does not exist any more"]).report();
    assert_eq!(back["outcome"], "Failed", "nothing could be put back: {back}");
}

/// Ends at every place, then goes on: no group is reset twice, and what is saved is what was there before the first commit.
#[test]
fn a_reset_that_is_killed_goes_on_and_can_be_undone() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ok");
    let groups: Vec<_> = (0..80).map(|number| format!("ok-{number:02}")).collect();
    for (number, group) in (0..).zip(&groups) {
        commit(&bootstrap, group, "ok", &[number % 90 + 1, 95]);
    }
    let spec = reset(&bench, "ok", json!("earliest"), json!({"groups": groups, "parallelism": 8}));
    let places = [
        "offsets-saved",
        "committing-offsets:5",
        "offsets-committed:3",
        "offsets-committed:40",
        "committing-offsets:2",
    ];
    for place in places {
        assert_eq!(bench.run_to(place, &spec).code, -1, "{place}");
    }
    let report = bench.run(&spec).ok().report();
    assert!(groups.iter().all(|group| offsets(group, "ok") == [Some(0), Some(0)]), "{report}");
    let back = rollback(&bench, "ok", &report["offsetsBefore"]["id"], json!({}));
    for place in ["committing-offsets:5", "offsets-committed:40"] {
        assert_eq!(bench.run_to(place, &back).code, -1, "{place}");
    }
    bench.run(&back).ok();
    for (number, group) in (0..).zip(&groups) {
        assert_eq!(offsets(group, "ok"), [Some(number % 90 + 1), Some(95)], "{group}");
    }
}

/// The same run id is the same run: it is never done twice.
#[test]
fn a_run_that_is_done_is_not_repeated() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("od");
    commit(&bootstrap, "od", "od", &[30, 40]);
    let mut spec = reset(&bench, "od", json!("earliest"), json!({}));
    spec["run"] = json!({"id": "od-1", "at": "2026-11-29T15:00:00Z"});
    bench.run(&spec).ok();
    commit(&bootstrap, "od", "od", &[50, 60]);
    assert_eq!(bench.run(&spec).ok().report()["outcome"], "AlreadyDone");
    assert_eq!(offsets("od", "od"), [Some(50), Some(60)]);
    spec["offsetReset"]["to"] = "latest".into();
    bench.run(&spec).fails("KB5007", 4, &["another run id"]);
    spec["run"]["id"] = "od-2".into();
    bench.run(&spec).ok();
    assert_eq!(offsets("od", "od"), [Some(100), Some(100)]);
}

#[test]
fn saved_offsets_are_deleted_once_they_are_over() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ox");
    commit(&bootstrap, "ox", "ox", &[30, 40]);
    let run = |to: &str| bench.run(&reset(&bench, "ox", json!(to), json!({"saving": {"keepHours": 1}}))).ok().report();
    let first = run("earliest");
    assert!(first["offsetsBefore"]["expiresAt"].is_string(), "{first}");
    // One that an older run would have left, and one that is kept for ever.
    let folder = harness::runner::files(&bench.archive())
        .into_iter()
        .map(|(path, _)| path)
        .find(|path| path.to_str().unwrap().contains(first["offsetsBefore"]["id"].as_str().unwrap()))
        .unwrap();
    let folder = bench.archive().join(folder).parent().unwrap().to_owned();
    let over = "before-20250101-000000-24h-00000000";
    // A run that never ended: its hours do not count yet.
    let works = "before-20250101-000001-24h-00000000.json";
    let kept = ["before-20250101-000000-00000000.json", "mine.json", works];
    let marked = [format!("{over}.json"), format!("{over}.until-20250102-000000")];
    for name in kept.iter().map(|name| (*name).to_owned()).chain(marked) {
        std::fs::write(folder.join(name), "{}").unwrap();
    }
    let second = run("latest");
    assert!(second["warnings"].to_string().contains("saved offsets of 1 earlier run are over"), "{second}");
    let mut left: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert!(left.iter().all(|name| !name.starts_with(over)), "with its mark: {left:?}");
    assert!(kept.iter().all(|name| left.iter().any(|left| left == name)), "{left:?}");
    let saved = left.iter().filter(|name| std::path::Path::new(name).extension() == Some("json".as_ref())).count();
    assert_eq!(
        (saved, left.len()),
        (kept.len() + 2, kept.len() + 4),
        "what both runs saved, each with a mark: {left:?}"
    );
}

#[test]
fn the_start_offset_of_a_share_group_is_set_and_put_back() {
    let (kafka, bench): (&Kafka, _) = (source(), Bench::new());
    topic("og");
    // More than one partition has: both are saved.
    read_share_group(kafka, "og-share", "og", 150);
    let starts = || {
        let arguments = ["--bootstrap-server", &kafka.bootstrap(), "--describe", "--offsets", "--group", "og-share"];
        printed(&kafka.tool("org.apache.kafka.tools.consumer.group.ShareGroupCommand", &arguments), "og-share")
    };
    let before = starts();
    assert!(before.iter().any(|(_, _, offset)| *offset > 0), "{before:?}");
    let report = bench.run(&reset(&bench, "og-share", json!("earliest"), json!({}))).ok().report();
    assert!(starts().iter().all(|(_, _, offset)| *offset == 0), "{report}");
    bench.run(&rollback(&bench, "og", &report["offsetsBefore"]["id"], json!({}))).ok();
    assert_eq!(starts(), before);
    // Saved offsets without partition 1: a share group forgets the whole topic, and ends between that and the new offsets.
    let path = report["offsetsBefore"]["path"].as_str().unwrap();
    let mut saved: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let group = &mut saved["group_offsets"]["og-share"];
    let one = group["offsets"]["og"].as_object_mut().unwrap().remove("1");
    assert!(one.is_some(), "{saved}");
    group["partition_count"] = 1.into();
    std::fs::write(bench.archive().join("one.json"), saved.to_string()).unwrap();
    let back = spec(&bench, "og-one", "offsetRollback", json!({"from": {"path": "one.json"}}));
    assert_eq!(bench.run_to("share-offsets-deleted", &back).code, -1);
    assert!(starts().iter().all(|(_, _, offset)| *offset <= 0), "{:?}", starts());
    bench.run(&back).ok();
    let expected: Vec<_> = before.iter().filter(|(_, partition, _)| *partition == 0).collect();
    let now = starts();
    assert_eq!(now.iter().filter(|(_, partition, _)| *partition == 0).collect::<Vec<_>>(), expected, "{now:?}");
    assert!(now.iter().all(|(_, partition, offset)| *partition == 0 || *offset <= 0), "{now:?}");
}

/// A restore whose last step fails after it changed offsets: they are what they were, and its records are there.
#[test]
fn a_restore_that_fails_puts_offsets_back() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ob");
    for group in ["ob-a", "ob-b", "ob-c"] {
        commit(&bootstrap, group, "ob", &[30, 40]);
    }
    let backup = json!({"topics": ["ob"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("ob", &bootstrap, backup)).ok();
    topic("ob-kept");
    let what = json!({
        "from": "ob", "includeOffsetHeaders": false, "topicMapping": {"ob": "ob-new"},
        "groups": {
            "include": ["ob-*"], "commit": true, "rollBackOnFailure": true, "saving": {"keepHours": 24},
            "mapping": {"ob-a": "ob-a2", "ob-b": "ob-b2", "ob-c": "ob-c2"},
        },
    });
    let spec = bench.restore("ob", &bootstrap, what);
    // One that was there, with an offset in a topic that the restore does not have.
    commit(&bootstrap, "ob-a2", "ob-kept", &[5, 6]);
    let before = described("ob-a2");
    assert_eq!(bench.run_to("all-produced", &spec).code, -1);
    let live = member(&bootstrap, "ob-c2", "ob-kept", "classic");
    // Killed while it commits, and while it puts offsets back: the third time that it begins to change a group.
    for place in ["offsets-committed:2", "committing-offsets:3"] {
        let ended = bench.run_to(place, &spec);
        assert_eq!(ended.code, -1, "{place}: {}", ended.stderr);
    }
    let ended = bench.run(&spec);
    let report = ended.report();
    ended.fails("KB2017", 4, &["ob-c2", "has members", "are what they were before the restore"]);
    assert_eq!(report["outcome"], "RolledBack", "{report}");
    assert_eq!(described("ob-a2"), before);
    for group in ["ob-b2", "ob-c2"] {
        assert_eq!(offsets(group, "ob-new"), [None, None], "{group}");
    }
    assert_eq!(oracle::digest(&bootstrap, "ob", None), oracle::digest(&bootstrap, "ob-new", None), "records stay");
    drop(live);
    // Mended, it does what is left: all groups, from offsets that are saved anew.
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["outcome"], "Completed", "{report}");
    for group in ["ob-a2", "ob-b2", "ob-c2"] {
        assert_eq!(offsets(group, "ob-new"), [Some(30), Some(40)], "{group}");
    }
}

/// Nobody tries the restore any more: a run that only puts offsets back, as the operator makes it.
#[test]
fn an_undo_that_is_asked_for_puts_back_what_attempts_changed() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("ou");
    for group in ["ou-a", "ou-b", "ou-c"] {
        commit(&bootstrap, group, "ou", &[30, 40]);
    }
    let backup = json!({"topics": ["ou"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("ou", &bootstrap, backup)).ok();
    let mapping = json!({"ou-a": "ou-a2", "ou-b": "ou-b2", "ou-c": "ou-c2"});
    let groups = json!({"include": ["ou-?"], "commit": true, "rollBackOnFailure": true, "saving": {"keepHours": 24}, "mapping": mapping});
    let what = json!({"from": "ou", "includeOffsetHeaders": false, "topicMapping": {"ou": "ou-new"}, "groups": groups});
    let spec = bench.restore("ou", &bootstrap, what);
    let mut undo = spec.clone();
    undo["restore"]["undoOffsets"] = "RetriesExhausted: the coordinator is away".into();
    // Before it touched a group, there is nothing to put back, and nothing goes on.
    assert_eq!(bench.run_to("all-produced", &spec).code, -1);
    let words = ["RetriesExhausted: the coordinator is away", "No committed offsets that it changed are left"];
    bench.run(&undo).fails("KB2017", 4, &words);
    assert_eq!(bench.run_to("offsets-committed:2", &spec).code, -1);
    assert_eq!(offsets("ou-a2", "ou-new"), [Some(30), Some(40)]);
    // Killed in the middle, it goes on.
    assert_eq!(bench.run_to("committing-offsets", &undo).code, -1);
    let ended = bench.run(&undo);
    let report = ended.report();
    ended.fails("KB2017", 4, &["RetriesExhausted: the coordinator is away", "are what they were before the restore"]);
    assert_eq!(report["outcome"], "RolledBack", "{report}");
    assert!(report["offsetsBefore"]["expiresAt"].is_string(), "the hours count from now on: {report}");
    for group in ["ou-a2", "ou-b2", "ou-c2"] {
        assert_eq!(offsets(group, "ou-new"), [None, None], "{group}");
    }
    // Whoever restores again does what is left; and what is completed is not undone.
    bench.run(&spec).ok();
    assert_eq!(bench.run(&undo).ok().report()["outcome"], "AlreadyDone");
    assert_eq!(offsets("ou-c2", "ou-new"), [Some(30), Some(40)]);
}

/// Groups that a restore has done before are not its to put back, nor to commit again: their consumers have gone on.
#[test]
fn what_was_done_before_stays_where_its_consumers_are() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("oe");
    for group in ["oe-a", "oe-b", "oe-c"] {
        commit(&bootstrap, group, "oe", &[30, 40]);
    }
    let backup = json!({"topics": ["oe"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("oe", &bootstrap, backup)).ok();
    let spec = |groups: &[&str]| {
        let mapping: serde_json::Map<_, _> = groups.iter().map(|g| ((*g).to_owned(), format!("{g}2").into())).collect();
        let groups = json!({"include": groups, "mapping": mapping, "commit": true, "rollBackOnFailure": true});
        let what =
            json!({"from": "oe", "includeOffsetHeaders": false, "topicMapping": {"oe": "oe-new"}, "groups": groups});
        bench.restore("oe", &bootstrap, what)
    };
    bench.run(&spec(&["oe-a"])).ok();
    commit(&bootstrap, "oe-a2", "oe-new", &[70, 80]);
    let live = member(&bootstrap, "oe-c2", "oe", "classic");
    let all = ["oe-a", "oe-b", "oe-c"];
    let ended = bench.run(&spec(&all));
    assert_eq!(ended.report()["outcome"], "RolledBack", "{}", ended.stderr);
    assert_eq!(offsets("oe-b2", "oe-new"), [None, None]);
    drop(live);
    bench.run(&spec(&all)).ok();
    assert_eq!(offsets("oe-a2", "oe-new"), [Some(70), Some(80)], "its consumers have gone on");
    assert_eq!(offsets("oe-b2", "oe-new"), [Some(30), Some(40)]);
}

/// The records that a group reads next in the source and in the copy are the same, or both are at the end.
fn assert_follows(group: &str, (from, stood): (&str, i64), to: &str) {
    let bootstrap = source().bootstrap();
    let at = offsets(group, to)[0].unwrap_or_else(|| panic!("{group} has no offset of {to}"));
    let content = |topic: &str, offset| next(&bootstrap, topic, 0, offset).map(|seen: Seen| seen.content());
    assert_eq!(content(to, at), content(from, stood), "{group}: {from} {stood} -> {to} {at}");
}

/// Groups go where a restore put their records: those that it knew, and one that began to read later.
#[test]
fn groups_follow_a_restore_by_its_mapping() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    load::create(&bootstrap, "of", 1, 1, &[]);
    let part = |from: i64| (from..from + 10).map(|n| Make::new(n, 0)).collect::<Vec<_>>();
    load::transactions(&bootstrap, "of", "of", (0..9).map(|round| (part(round * 10), round % 3 != 1)).collect());
    let known = [("of-start", 0), ("of-marker", 10), ("of-aborted", 14), ("of-mid", 25), ("of-end", 99)];
    for (group, offset) in known {
        commit(&bootstrap, group, "of", &[offset]);
    }
    let backup = json!({"topics": ["of"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("of", &bootstrap, backup)).ok();
    let what = json!({
        "from": "of", "includeOffsetHeaders": false, "topicMapping": {"of": "of-new"},
        "groups": {"include": ["of-*"], "saveMapping": true},
    });
    let restored = bench.restore("of", &bootstrap, what);
    let report = bench.run(&restored).ok().report();
    assert_eq!(offsets("of-mid", "of-new"), [None], "it only computes");
    let path = report["offsetMapping"].as_str().unwrap_or_else(|| panic!("{report}"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let entry = &file["entries"]["of-new/0"];
    assert_eq!(
        (&entry["source_topic"], &entry["source_first_offset"], &entry["target_first_offset"]),
        (&json!("of"), &json!(0), &json!(0))
    );
    let lengths: i64 =
        file["detailed_mappings"]["of-new/0"].as_array().unwrap().iter().map(|run| run["len"].as_i64().unwrap()).sum();
    assert_eq!(lengths, 60, "three of nine transactions were rolled back: {file}");
    // One that the recovery point does not have, and one that stands in the copy already.
    commit(&bootstrap, "of-late", "of", &[47]);
    commit(&bootstrap, "of-there", "of-new", &[12]);
    let mut groups: Vec<_> = known.iter().map(|(group, _)| *group).collect();
    groups.extend(["of-late", "of-there"]);
    let to = |path: &str| json!({"mapping": {"path": path}});
    let mut lost = reset(&bench, "of-lost", to(path), json!({"groups": ["of-mid", "of-lost"]}));
    commit(&bootstrap, "of-lost", "of", &[5_000]);
    bench.run(&lost).fails(
        "KB4010",
        4,
        &["of-lost", "offset 5000 of of/0 is not among the offsets that were restored"],
    );
    assert_eq!(offsets("of-mid", "of-new"), [None], "nothing is written where one leads nowhere");
    let spec = reset(&bench, "of", to(path), json!({"groups": groups}));
    // Killed after a commit: what is translated already is not translated again.
    assert_eq!(bench.run_to("offsets-committed:3", &spec).code, -1);
    assert_eq!(bench.run_to("committing-offsets:4", &spec).code, -1);
    bench.run(&spec).ok();
    for (group, stood) in known.into_iter().chain([("of-late", 47)]) {
        assert_follows(group, ("of", stood), "of-new");
    }
    assert_eq!(offsets("of-there", "of-new"), [Some(12)]);
    assert_eq!(offsets("of-late", "of"), [Some(47)], "what it has in the source stays");
    // A file of form 1, as other tools wrote it: a pair for each record, the group's place left to be looked up.
    let runs = file["detailed_mappings"]["of-new/0"].as_array().unwrap();
    let number = |run: &Value, field: &str| run[field].as_i64().unwrap();
    let pairs: Vec<_> = runs
        .iter()
        .flat_map(|run| {
            (0..number(run, "len")).map(|n| (number(run, "source_start") + n, number(run, "target_start") + n))
        })
        .map(|(source, target)| json!({"source_offset": source, "target_offset": target, "timestamp": 0}))
        .collect();
    let mut entry = entry.clone();
    entry
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !name.starts_with("source_topic") && !name.starts_with("source_part"));
    let first = json!({
        "entries": {"of-new/0": entry}, "detailed_mappings": {"of-new/0": pairs}, "source_cluster_id": null, "target_cluster_id": null,
        "created_at": 1, "consumer_groups": {"of-first": {"group_id": "of-first", "offsets": {"of-new": {"0":
            {"source_offset": 14, "target_offset": null, "timestamp": 0, "metadata": null}}}}},
    });
    let text = first.to_string();
    std::fs::write(bench.archive().join("pairs.json"), &text).unwrap();
    std::fs::write(bench.archive().join("cut.json"), &text[..text.len() / 2]).unwrap();
    bench.run(&reset(&bench, "of-first", to("pairs.json"), json!({}))).ok();
    assert_follows("of-first", ("of", 14), "of-new");
    lost["offsetReset"] = json!({"groups": ["of-mid"], "to": to("cut.json")});
    bench.run(&lost).fails("KB4001", 4, &["cut.json", "is cut short"]);
    lost["offsetReset"]["to"] = to("none.json");
    bench.run(&lost).fails("KB4010", 4, &["there is no offset mapping none.json"]);
}

/// What a group that nothing was sent to has done meanwhile is its own: neither is its position put back, nor does it keep
/// those of others from it.
#[test]
fn a_restore_that_fails_leaves_groups_alone_that_it_did_not_change() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("oh");
    topic("oh-other");
    for group in ["oh-a", "oh-b"] {
        commit(&bootstrap, group, "oh", &[30, 40]);
    }
    commit(&bootstrap, "oh-b2", "oh-other", &[5, 6]);
    let backup = json!({"topics": ["oh"], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("oh", &bootstrap, backup)).ok();
    let groups = json!({"include": ["oh-a", "oh-b"], "mapping": {"oh-a": "oh-a2", "oh-b": "oh-b2"}, "commit": true, "rollBackOnFailure": true});
    let what = json!({"from": "oh", "includeOffsetHeaders": false, "topicMapping": {"oh": "oh-new"}, "groups": groups});
    let spec = bench.restore("oh", &bootstrap, what);
    assert_eq!(bench.run_to("all-produced", &spec).code, -1);
    // Its consumer began after the offsets were saved, and has gone on.
    commit(&bootstrap, "oh-b2", "oh-other", &[50, 60]);
    let live = member(&bootstrap, "oh-b2", "oh-other", "classic");
    let ended = bench.run(&spec);
    assert_eq!(ended.report()["outcome"], "RolledBack", "{}", ended.stderr);
    assert_eq!(
        (offsets("oh-a2", "oh-new"), offsets("oh-b2", "oh-other")),
        (vec![None, None], vec![Some(50), Some(60)])
    );
    drop(live);
    // Records and configs are final: nothing takes them back, and the next run has the groups left to do only.
    let released = bench.call("release", &spec, &[]).ok().stdout;
    assert!(released.contains("no unfinished restore"), "{released}");
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["outcome"], &report["records"]), (&json!("Completed"), &json!(0)), "{report}");
    assert_eq!(
        (offsets("oh-b2", "oh-new"), offsets("oh-b2", "oh-other")),
        (vec![Some(30), Some(40)], vec![Some(50), Some(60)])
    );
}

/// A consumer that commits between our commit and the look at it: the run says so, with both offsets.
#[test]
fn a_consumer_that_commits_in_between_is_named() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("oi");
    commit(&bootstrap, "oi", "oi", &[30, 40]);
    let spec = reset(&bench, "oi", json!("earliest"), json!({}));
    let ended = bench.run_past("offsets-committed", &spec, || commit(&bootstrap, "oi", "oi", &[33, 0]));
    let report = ended.report();
    ended.fails("KB2017", 4, &["oi/0: offset 0 was committed, and offset 33 is there now", "\"oi\""]);
    let at = &line_of(&report, "oi")["offsets"];
    assert_eq!(
        (&at[0]["offset"], &at[0]["readBack"], &at[1]["readBack"]),
        (&json!(0), &json!(33), &json!(0)),
        "{report}"
    );
    // A member that joins after the first look: its group is named, and nothing of it is changed.
    commit(&bootstrap, "oi-2", "oi", &[30, 40]);
    let mut live = None;
    let spec = reset(&bench, "oi-2", json!("latest"), json!({"groups": ["oi-2"]}));
    let ended =
        bench.run_past("committing-offsets", &spec, || live = Some(member(&bootstrap, "oi-2", "oi", "classic")));
    ended.fails("KB2017", 4, &["oi-2", "has members now; stop its consumers"]);
    assert_eq!(offsets("oi-2", "oi"), [Some(30), Some(40)]);
    drop(live);
}

/// Groups that an earlier attempt could not work on are saved before a later one changes them; what the run does not change, a
/// rollback leaves alone.
#[test]
fn what_a_later_attempt_changes_is_saved_too() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("oj");
    topic("oj-other");
    for group in ["oj-a", "oj-b"] {
        commit(&bootstrap, group, "oj", &[30, 40]);
        commit(&bootstrap, group, "oj-other", &[5, 6]);
    }
    let live = member(&bootstrap, "oj-b", "oj", "classic");
    let more = json!({"groups": ["oj-a", "oj-b"], "topics": ["oj"], "continueOnError": true});
    let spec = reset(&bench, "oj", json!("earliest"), more);
    bench.run(&spec).fails("KB2017", 4, &["1 of 2 consumer groups"]);
    drop(live);
    commit(&bootstrap, "oj-b", "oj", &[31, 41]);
    let report = bench.run(&spec).ok().report();
    assert_eq!(offsets("oj-b", "oj"), [Some(0), Some(0)]);
    assert!(report["warnings"].to_string().contains("1 consumer group that it has done are left alone"), "{report}");
    // Both go on in a topic that the run did not touch.
    for group in ["oj-a", "oj-b"] {
        commit(&bootstrap, group, "oj-other", &[70, 80]);
    }
    let back = bench.run(&rollback(&bench, "oj", &report["offsetsBefore"]["id"], json!({}))).ok().report();
    assert_eq!(offsets("oj-a", "oj"), [Some(30), Some(40)], "{back}");
    assert_eq!(offsets("oj-b", "oj"), [Some(31), Some(41)], "{back}");
    assert!(["oj-a", "oj-b"].iter().all(|group| offsets(group, "oj-other") == [Some(70), Some(80)]), "{back}");
}

/// Offsets of a topic that was deleted and made again mean other records.
#[test]
fn offsets_of_a_topic_that_was_made_again_are_not_put_back() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("oq");
    topic("oq-cut");
    for topic in ["oq", "oq-cut"] {
        commit(&bootstrap, "oq", topic, &[90, 40]);
    }
    let report = bench.run(&reset(&bench, "oq", json!("earliest"), json!({}))).ok().report();
    load::delete(&bootstrap, "oq");
    topic("oq");
    load::delete_records(&bootstrap, "oq-cut", 1, 60);
    let back = bench.run(&rollback(&bench, "oq", &report["offsetsBefore"]["id"], json!({})));
    let words = [
        "oq/0: no offset instead of 90, since it was deleted and made again",
        "oq-cut/1: offset 60 instead of 40, since its records up to 60 are deleted",
    ];
    let back = back.fails("KB2019", 4, &words).report();
    assert_eq!(
        (&back["outcome"], &line_of(&back, "oq")["outcome"]),
        (&json!("PartiallyCompleted"), &json!("committed"))
    );
    let named: Vec<_> = line_of(&back, "oq")["inexact"].as_array().unwrap().iter().map(|at| &at["wanted"]).collect();
    assert_eq!(named, [90, 40, 40], "{back}");
    assert_eq!((offsets("oq", "oq-cut"), offsets("oq", "oq")), (vec![Some(90), Some(60)], vec![None, None]));
}

/// 500 groups in one run.
#[test]
fn many_groups_are_reset_at_once() {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    topic("om");
    let groups: Vec<_> = (0..500).map(|number| format!("om-{number:03}")).collect();
    std::thread::scope(|scope| {
        for part in groups.chunks(63) {
            let bootstrap = &bootstrap;
            scope.spawn(move || part.iter().for_each(|group| commit(bootstrap, group, "om", &[30, 40])));
        }
    });
    let began = std::time::Instant::now();
    let report = bench.run(&reset(&bench, "om", json!("latest"), json!({"groups": groups}))).ok().report();
    println!("{} groups in {:?}", groups.len(), began.elapsed());
    assert_eq!(report["positions"].as_array().unwrap().len(), 500);
    for group in groups.iter().step_by(50) {
        assert_eq!(offsets(group, "om"), [Some(100), Some(100)], "{group}");
    }
}
