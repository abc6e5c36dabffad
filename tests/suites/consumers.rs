//! After a restore consumer groups go on at the record that they would have read: with librdkafka and Kafka's own tools as
//! judges.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use harness::consumers::{
    commit, committed, member, next, printed, read_and_commit, read_on_as_share_group, read_share_group, read_within,
};
use harness::kafka::Kafka;
use harness::load::{self, Make};
use harness::oracle::{self, Seen};
use harness::raw;
use harness::runner::Bench;
use serde_json::{Value, json};

/// How long a consumer may take until it reads on.
const READS_ON: Duration = Duration::from_secs(10);

/// A source whose partitions went through elections, so that commits have leader epochs, and a new target.
fn pair() -> &'static (Kafka, Kafka) {
    static PAIR: OnceLock<(Kafka, Kafka)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let mut source = Kafka::start();
        load::create(&source.bootstrap(), "elected", 2, 1, &[]);
        // Each takes its partitions their leader and gives them one again: two epochs.
        for _ in 0..3 {
            source.stop(0, false);
            source.restart(0);
        }
        (source, Kafka::start())
    })
}

/// Archives topics with the groups of their cluster.
fn archive(bench: &Bench, name: &str, topics: &[&str]) -> Value {
    let spec = json!({"topics": topics, "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup(name, &pair().0.bootstrap(), spec)).ok().report()
}

fn restore(bench: &Bench, name: &str, more: Value) -> Value {
    let mut base = json!({"from": name, "includeOffsetHeaders": false});
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.restore(name, &pair().1.bootstrap(), base)
}

/// The group's line of a report.
fn line<'a>(report: &'a Value, group: &str) -> &'a Value {
    let lines = report["positions"].as_array().unwrap();
    lines.iter().find(|line| line["group"] == group).unwrap_or_else(|| panic!("{group}: {report}"))
}

/// The next record of a group in the source and in the target are the same one, or both are at the end.
fn assert_goes_on(group: &str, target_group: &str, (from, to): (&str, &str), partitions: &[(i32, i32)]) {
    let (source, target) = (pair().0.bootstrap(), pair().1.bootstrap());
    let (before, after) = (committed(&source, group, from), committed(&target, target_group, to));
    for (a, b) in partitions {
        let at = |list: &[Option<(i64, String)>], p: i32| {
            list[usize::try_from(p).unwrap()].clone().map(|(offset, _)| offset)
        };
        let (Some(offset), Some(restored)) = (at(&before, *a), at(&after, *b)) else {
            panic!("{group} {from}/{a}: {before:?} {after:?}");
        };
        let content = |seen: Option<Seen>| seen.map(|seen| seen.content());
        let expected = content(next(&source, from, *a, offset));
        assert_eq!(content(next(&target, to, *b, restored)), expected, "{group} {from}/{a} {offset} -> {restored}");
    }
}

fn spread(from: i64, to: i64, partitions: i64) -> impl Iterator<Item = Make> {
    (from..to).map(move |n| Make::new(n, i32::try_from(n % partitions).unwrap()))
}

#[test]
fn each_group_reads_on_at_its_next_record() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "on-plain", 3, 1, &[]);
    load::produce(&bootstrap, "on-plain", &[], spread(0, 900, 3));
    load::create(&bootstrap, "on-tx", 1, 1, &[]);
    let part = |from: i64| spread(from, from + 10, 1).collect::<Vec<_>>();
    load::transactions(&bootstrap, "on-tx", "on", (0..9).map(|round| (part(round * 10), round % 3 != 1)).collect());
    load::delete_records(&bootstrap, "on-plain", 2, 50);
    let compacted = load::compacted(&bootstrap);
    commit(&bootstrap, "on-mid", "on-plain", &[100, 0, 20]);
    commit(&bootstrap, "on-end", "on-plain", &[300, 299, 300]);
    commit(&bootstrap, "on/with spaces, ümlauts", "on-plain", &[7, 8, 9_999]);
    for (group, offset) in [("tx-marker", 10), ("tx-aborted", 14), ("tx-mid", 25), ("tx-end", 99)] {
        commit(&bootstrap, group, "on-tx", &[offset]);
    }
    for (group, offset) in [("hole-0", 0), ("hole-1", 3), ("hole-2", 555), ("hole-3", 801)] {
        commit(&bootstrap, group, &compacted, &[offset]);
    }
    commit(&bootstrap, "elsewhere", "elected", &[0, 0]);
    archive(&bench, "on", &["on-plain", "on-tx", &compacted]);
    let spec = restore(
        &bench,
        "on",
        json!({
            "topicMapping": {"on-plain": "on-renamed"}, "partitionMapping": {"0": 1, "1": 0},
            "groups": {"commit": true, "mapping": {"on-mid": "on-mid-2"}, "exclude": ["g-*"]},
        }),
    );
    let plan = bench.call("check", &spec, &[]).ok().stdout;
    assert!(plan.contains("group on-mid -> on-mid-2: 3 offsets"), "{plan}");
    assert!(plan.contains("group elsewhere: 0 offsets, 2 of topics or partitions that are not restored"), "{plan}");
    let report = bench.run(&spec).ok().report();
    let swapped = [(0, 1), (1, 0), (2, 2)];
    for (group, to) in
        [("on-mid", "on-mid-2"), ("on-end", "on-end"), ("on/with spaces, ümlauts", "on/with spaces, ümlauts")]
    {
        assert_goes_on(group, to, ("on-plain", "on-renamed"), &swapped);
    }
    for group in ["tx-marker", "tx-aborted", "tx-mid", "tx-end"] {
        assert_goes_on(group, group, ("on-tx", "on-tx"), &[(0, 1)]);
    }
    for group in ["hole-0", "hole-1", "hole-2", "hole-3"] {
        assert_goes_on(group, group, (&compacted, &compacted), &[(0, 1)]);
    }
    // How each was found, what was there before, and what came back.
    let mid = &line(&report, "on-mid")["offsets"];
    assert_eq!(mid[1]["found"], "record", "{mid}");
    assert_eq!(mid[2]["found"], "start", "below the log start: {mid}");
    assert_eq!(mid[1]["sources"], json!([{"topic": "on-plain", "partition": 0, "offset": 100}]));
    assert_eq!((&mid[1]["readBack"], &mid[1]["before"]), (&mid[1]["offset"], &Value::Null));
    assert_eq!(line(&report, "tx-aborted")["offsets"][0]["found"], "next-record");
    assert_eq!(line(&report, "on-end")["offsets"][1]["found"], "end");
    assert_eq!(
        (&line(&report, "elsewhere")["elsewhere"], &line(&report, "elsewhere")["outcome"]),
        (&json!(2), &json!("no-offsets"))
    );
    assert_eq!(committed(&target.bootstrap(), "on-mid-2", "on-renamed")[1].as_ref().unwrap().1, "meta of 0");
    // Another group that is named later is all that is done then: the others may have gone on.
    commit(&target.bootstrap(), "on-end", "on-renamed", &[1, 1, 1]);
    let mut more = spec.clone();
    more["restore"]["groups"]["exclude"] = json!(["g-*", "nobody"]);
    bench.run(&more).ok();
    assert_eq!(committed(&target.bootstrap(), "on-end", "on-renamed")[0].as_ref().unwrap().0, 1, "not rewound");
    let spec = more;
    // A second run has nothing to do, and consumers may live meanwhile.
    let live = member(&target.bootstrap(), "on-mid-2", "on-renamed", "classic");
    assert_eq!(bench.run(&spec).ok().report()["outcome"], "AlreadyDone");
    drop(live);
}

/// A committed leader epoch above that of the log makes Java's consumers look for a newer leader for ever (KIP-320).
#[test]
fn after_elections_in_the_source_every_client_reads_on() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::produce(&bootstrap, "elected", &[], spread(0, 100, 2));
    let protocols = ["classic", "consumer"];
    let names = protocols.map(|protocol| ["java", "librdkafka"].map(|client| format!("elected-{client}-{protocol}")));
    for (protocol, names) in protocols.iter().zip(&names) {
        for group in names {
            read_and_commit(&member(&bootstrap, group, "elected", protocol), 60);
        }
    }
    archive(&bench, "elected", &["elected"]);
    let spec = bench.backup("elected", &bootstrap, json!({"topics": ["elected"]}));
    let saved: Value = serde_json::from_str(&bench.call("show", &spec, &["elected", "groups"]).ok().stdout).unwrap();
    let groups =
        saved.as_array().unwrap().iter().filter(|group| group["group"].as_str().unwrap().starts_with("elected-"));
    let epochs: Vec<_> = groups
        .flat_map(|group| group["offsets"].as_array().unwrap())
        .map(|at| at["leaderEpoch"].as_i64().unwrap())
        .collect();
    assert!(epochs.len() == 8 && epochs.iter().all(|epoch| *epoch >= 5), "{epochs:?}");
    let groups = json!({"commit": true, "include": ["elected-*"]});
    let report = bench.run(&restore(&bench, "elected", json!({"groups": groups}))).ok().report();
    assert_eq!(report["positions"].as_array().unwrap().len(), 4, "{report}");
    let at = target.bootstrap();
    for (protocol, [java, librdkafka]) in protocols.iter().zip(&names) {
        for group in [java, librdkafka] {
            let stands = committed(&at, group, "elected").into_iter().map(|stand| stand.unwrap().0).sum::<i64>();
            assert_eq!(oracle::end(&at, "elected", 0) + oracle::end(&at, "elected", 1) - stands, 40, "{group}");
        }
        let consumer = member(&at, librdkafka, "elected", protocol);
        assert_eq!(read_within(&consumer, 40, READS_ON), 40, "{librdkafka}");
        let limit = READS_ON.as_millis().to_string();
        let how = format!("group.protocol={protocol}");
        let arguments = ["--bootstrap-server", &at, "--topic", "elected", "--group", java, "--max-messages", "40"];
        // It waits for so long for a record, and ends without one.
        let limits = ["--timeout-ms", &limit, "--consumer-property", &how];
        let read = target.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &[&arguments[..], &limits].concat());
        assert!(read.lines().filter(|line| !line.starts_with("Processed")).count() >= 40, "{java}: {read}");
    }
}

#[test]
fn a_group_with_members_is_refused_before_the_first_record() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "live", 1, 1, &[]);
    load::produce(&bootstrap, "live", &[], spread(0, 10, 1));
    for group in ["live-classic", "live-consumer", "live-none"] {
        commit(&bootstrap, group, "live", &[5]);
    }
    archive(&bench, "live", &["live"]);
    load::create(&target.bootstrap(), "other", 1, 1, &[]);
    let members = ["classic", "consumer"]
        .map(|protocol| member(&target.bootstrap(), &format!("live-{protocol}"), "other", protocol));
    let spec = restore(&bench, "live", json!({"groups": {"commit": true, "include": ["live-*"]}}));
    let words = [
        "live-classic",
        "client of live-classic at 127.0.0.1",
        "live-consumer",
        "stop its consumers",
        "Nothing was written",
    ];
    bench.run(&spec).fails("KB2016", 4, &words);
    // Nothing was written, not even the topic; a plan of the offsets alone asks nobody to stop.
    let only_plan = restore(&bench, "live", json!({"groups": {"include": ["live-*"]}}));
    let report = bench.run(&only_plan).ok().report();
    assert_eq!(line(&report, "live-classic")["outcome"], "planned");
    assert_eq!(line(&report, "live-classic")["offsets"][0]["offset"], 5);
    assert_eq!(committed(&target.bootstrap(), "live-none", "live"), [None]);
    // The records are there; whoever wants the offsets, too, runs again with them: only they are done.
    bench.run(&spec).fails("KB2017", 4, &["2 of 3 consumer groups", "live-classic", "has members"]);
    assert_eq!(committed(&target.bootstrap(), "live-none", "live")[0].clone().unwrap().0, 5, "the others are done");
    drop(members);
    let report = bench.run(&spec).ok().report();
    assert_eq!(line(&report, "live-consumer")["outcome"], "committed");
    assert_eq!(oracle::read(&target.bootstrap(), "live", 0, false).len(), 10);
}

/// The plan of positions is what the restore does afterwards, and making it changes nothing.
#[test]
fn the_plan_of_positions_says_where_groups_will_go() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "foreseen", 2, 1, &[]);
    load::produce(&bootstrap, "foreseen", &[], spread(0, 100, 2));
    commit(&bootstrap, "foreseen-a", "foreseen", &[10, 50]);
    commit(&bootstrap, "foreseen-b", "foreseen", &[0]);
    archive(&bench, "foreseen", &["foreseen"]);
    // The target has records already: those of the restore come after them.
    load::create(&target.bootstrap(), "foreseen-2", 2, 1, &[]);
    load::produce(&target.bootstrap(), "foreseen-2", &[], spread(0, 14, 2));
    let groups = json!({"commit": true, "include": ["foreseen-*"], "mapping": {"foreseen-a": "foreseen-c"}});
    let more = json!({"existingTopics": "append", "topicMapping": {"foreseen": "foreseen-2"}, "groups": groups});
    let spec = restore(&bench, "foreseen", more);
    let before = harness::runner::files(&bench.archive());
    let plan = || -> Value { serde_json::from_str(&bench.call("groups", &spec, &["-o", "json"]).stdout).unwrap() };
    let told = plan();
    assert_eq!(harness::runner::files(&bench.archive()), before, "nothing is written");
    assert_eq!(committed(&target.bootstrap(), "foreseen-c", "foreseen-2"), [None, None]);
    assert_eq!(told["refusals"], json!([]), "{told}");
    let places = |lines: &Value, group: &str| {
        let line = lines.as_array().unwrap().iter().find(|line| line["group"] == group).unwrap().clone();
        let place =
            |at: &Value| (at["partition"].clone(), at["sources"].clone(), at["offset"].clone(), at["found"].clone());
        (line["target"].clone(), line["offsets"].as_array().unwrap().iter().map(place).collect::<Vec<_>>())
    };
    let at = |partition: i32, offset: i64| json!([{"topic": "foreseen", "partition": partition, "offset": offset}]);
    let expected =
        vec![(json!(0), at(0, 10), json!(17), json!("record")), (json!(1), at(1, 50), json!(57), json!("end"))];
    assert_eq!(places(&told["groups"], "foreseen-a"), (json!("foreseen-c"), expected.clone()), "{told}");
    let text = bench.call("groups", &spec, &[]).ok().stdout;
    for words in ["foreseen-a -> foreseen-c", "foreseen/0 10", "same record", "end of the restored records"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // A member is in the way: it is named, and the answer is no.
    let live = member(&target.bootstrap(), "foreseen-b", "foreseen-2", "consumer");
    let blocked = bench.call("groups", &spec, &[]);
    assert_eq!(blocked.code, 1, "{}", blocked.stderr);
    assert!(
        blocked.stdout.contains("blocked (KB2016)") && blocked.stdout.contains("client of foreseen-b"),
        "{}",
        blocked.stdout
    );
    drop(live);
    let report = bench.run(&spec).ok().report();
    assert_eq!(places(&report["positions"], "foreseen-a"), (json!("foreseen-c"), expected.clone()), "{report}");
    let done = plan();
    assert_eq!(places(&done["groups"], "foreseen-a").1, expected, "{done}");
    assert!(done["groups"].as_array().unwrap().iter().all(|line| line["outcome"] == "committed"), "{done}");
    let none = restore(&bench, "foreseen", json!({}));
    bench.call("groups", &none, &[]).fails("KB1002", 2, &["restore.groups is absent"]);
}

/// Members of a streams group (KIP-1071) are named as those of every other kind.
#[test]
fn members_of_a_streams_group_are_named() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "streamed", 1, 1, &[]);
    load::produce(&bootstrap, "streamed", &[], spread(0, 10, 1));
    commit(&bootstrap, "streams-app", "streamed", &[5]);
    archive(&bench, "streamed", &["streamed"]);
    load::create(&target.bootstrap(), "streamed-in", 1, 1, &[]);
    // The target has a coordinator once somebody asked for one.
    commit(&target.bootstrap(), "streams-none", "streamed-in", &[0]);
    let join = || raw::join_streams_group(&target.bootstrap(), "streams-app", "app-1-StreamThread-1", "streamed-in");
    assert_eq!(join(), 0);
    let spec = restore(&bench, "streamed", json!({"groups": {"commit": true, "include": ["streams-app"]}}));
    let words = ["streams-app", "app-1-StreamThread-1 at 127.0.0.1", "stop its consumers", "Nothing was written"];
    bench.run(&spec).fails("KB2016", 4, &words);
}

#[test]
fn a_name_that_is_not_there_is_no_empty_success() {
    let (bootstrap, bench) = (pair().0.bootstrap(), Bench::new());
    load::create(&bootstrap, "named", 1, 1, &[]);
    load::produce(&bootstrap, "named", &[], spread(0, 10, 1));
    commit(&bootstrap, "named-a", "named", &[5]);
    archive(&bench, "named", &["named"]);
    for groups in [json!({"include": ["named-b"]}), json!({"mapping": {"named-b": "x"}})] {
        bench.run(&restore(&bench, "named", json!({"groups": groups}))).fails(
            "KB2018",
            4,
            &["named-b", "Nothing was written"],
        );
    }
    bench.run(&bench.backup("bare", &bootstrap, json!({"topics": ["named"]}))).ok();
    let bare = restore(&bench, "bare", json!({"groups": {"commit": true}}));
    bench.run(&bare).fails("KB2018", 4, &["consumerGroupSnapshot", "Nothing was written"]);
}

#[test]
fn a_restore_to_a_time_takes_the_offsets_of_that_time() {
    let (bootstrap, bench) = (pair().0.bootstrap(), Bench::new());
    load::create(&bootstrap, "timed", 1, 1, &[]);
    let at = |n: i64| Make { timestamp: Some(1_000_000 + n), ..Make::new(n, 0) };
    load::produce(&bootstrap, "timed", &[], (0..50).map(at));
    commit(&bootstrap, "timed-group", "timed", &[20]);
    let first = archive(&bench, "timed", &["timed"]);
    std::thread::sleep(Duration::from_secs(2));
    let between = jiff::Timestamp::now().to_string();
    let now = jiff::Timestamp::now().as_millisecond();
    load::produce(
        &bootstrap,
        "timed",
        &[],
        (50..80).map(|n| Make { timestamp: Some(now + 60_000 + n), ..Make::new(n, 0) }),
    );
    commit(&bootstrap, "timed-group", "timed", &[70]);
    std::thread::sleep(Duration::from_secs(1));
    archive(&bench, "timed", &["timed"]);
    let groups = json!({"commit": true, "include": ["timed-group"]});
    let report = bench.run(&restore(&bench, "timed", json!({"endTime": between, "groups": groups}))).ok().report();
    let offset = &line(&report, "timed-group")["offsets"][0];
    assert_eq!((&offset["offset"], &offset["found"]), (&json!(20), &json!("record")), "{report}");
    let plan = bench.call(
        "check",
        &restore(&bench, "timed", json!({"endTime": between, "topicMapping": {"timed": "timed-2"}, "groups": groups})),
        &[],
    );
    assert!(plan.ok().stdout.contains(first["point"].as_str().unwrap()), "the plan names the point");
    // A time before every point: the offsets of the point, and what lies beyond the end stands there.
    let early = json!({"endTime": "1970-01-01T00:16:40.030Z", "topicMapping": {"timed": "timed-3"}, "groups": groups});
    let report = bench
        .run(&bench.restore("timed-early", &pair().1.bootstrap(), {
            let mut spec = early;
            spec["from"] = "timed".into();
            spec
        }))
        .ok()
        .report();
    let offset = &line(&report, "timed-group")["offsets"][0];
    assert_eq!((&offset["offset"], &offset["found"]), (&json!(31), &json!("end-of-window")), "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("before the end of the time window"), "{warnings}");
}

/// Where partitions meet or are dealt out anew no unread record is left out, and as few as can be are read twice.
#[test]
fn merged_and_repartitioned_topics_leave_no_unread_record_out() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    for topic in ["met", "dealt"] {
        load::create(&bootstrap, topic, 3, 1, &[]);
        load::produce(&bootstrap, topic, &[], spread(0, 300, 3));
    }
    let cases: [(&str, [i64; 3]); 4] = [
        ("meet-none", [0, 0, 0]),
        ("meet-some", [40, 100, 7]),
        ("meet-first", [100, 60, 100]),
        ("meet-all", [100, 100, 100]),
    ];
    for (group, offsets) in cases {
        commit(&bootstrap, group, "met", &offsets);
        commit(&bootstrap, group, "dealt", &offsets);
    }
    archive(&bench, "meet", &["met", "dealt"]);
    let more = json!({
        "partitionMapping": {"1": 0, "2": 0}, "repartitioning": {"dealt": {"targetPartitions": 4}},
        "groups": {"commit": true, "include": ["meet-*"]},
    });
    let report = bench.run(&restore(&bench, "meet", more)).ok().report();
    for (group, offsets) in cases {
        for topic in ["met", "dealt"] {
            let unread: BTreeSet<_> = (0..3)
                .flat_map(|p| {
                    oracle::read(&bootstrap, topic, p, false)
                        .into_iter()
                        .filter(move |s| s.offset >= offsets[p as usize])
                })
                .map(|seen| seen.value)
                .collect();
            let at = committed(&target.bootstrap(), group, topic);
            let mut met = BTreeSet::new();
            for partition in 0..oracle::partitions(&target.bootstrap(), topic) {
                let Some((from, _)) = at[usize::try_from(partition).unwrap()].clone() else {
                    assert_eq!(
                        oracle::end(&target.bootstrap(), topic, partition),
                        0,
                        "{group} {topic}/{partition}: {report}"
                    );
                    continue;
                };
                let here: Vec<_> = oracle::read(&target.bootstrap(), topic, partition, false)
                    .into_iter()
                    .filter(|seen| seen.offset >= from)
                    .collect();
                // The lowest place: the first record there is one that the group has not read.
                if let Some(first) = here.first() {
                    assert!(
                        unread.contains(&first.value),
                        "{group} {topic}/{partition} at {from} reads a record again first"
                    );
                }
                met.extend(here.into_iter().map(|seen| seen.value));
            }
            assert!(unread.is_subset(&met), "{group} {topic}: {} of {}", met.len(), unread.len());
        }
    }
    assert_eq!(line(&report, "meet-some")["offsets"].as_array().unwrap().len(), 5, "{report}");
}

/// Groups that are asked for after the restore began: what they had is saved all the same before they are changed.
#[test]
fn groups_that_are_asked_for_later_are_saved_first() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "later", 1, 1, &[]);
    load::produce(&bootstrap, "later", &[], spread(0, 10, 1));
    commit(&bootstrap, "later-group", "later", &[4]);
    archive(&bench, "later", &["later"]);
    let ended = bench.run_to("all-produced", &restore(&bench, "later", json!({})));
    assert_eq!(ended.code, -1, "{}", ended.stderr);
    commit(&target.bootstrap(), "later-group", "later", &[9]);
    let groups = json!({"commit": true, "include": ["later-group"]});
    let report = bench.run(&restore(&bench, "later", json!({"groups": groups}))).ok().report();
    let offset = &line(&report, "later-group")["offsets"][0];
    assert_eq!((&offset["offset"], &offset["before"]), (&json!(4), &json!(9)), "{report}");
    let id = report["offsetsBefore"]["id"].as_str().unwrap_or_else(|| panic!("{report}"));
    let saved = harness::runner::files(&bench.archive());
    let saved = saved.iter().map(|(path, _)| path).find(|path| path.to_str().unwrap().contains(id)).unwrap();
    let saved: Value = serde_json::from_slice(&std::fs::read(saved).unwrap()).unwrap();
    assert_eq!(saved["group_offsets"]["later-group"]["offsets"]["later"]["0"]["offset"], 9, "{saved}");
}

/// The start offset of a share group, and the records that it reads from there, as Kafka's own tools see them.
#[test]
fn a_share_group_goes_on_where_it_was() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "shared", 2, 1, &[]);
    load::produce(&bootstrap, "shared", &[], spread(0, 100, 2));
    read_share_group(source, "shared-group", "shared", 40);
    archive(&bench, "shared", &["shared"]);
    let groups = json!({"commit": true, "include": ["shared-group"], "mapping": {"shared-group": "shared-again"}});
    let more = json!({"topicMapping": {"shared": "shared-2"}, "groups": groups});
    let report = bench.run(&restore(&bench, "shared", more)).ok().report();
    let starts = |kafka: &Kafka, group: &str| {
        let tool = kafka.tool(
            "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
            &["--bootstrap-server", &kafka.bootstrap(), "--describe", "--offsets", "--group", group],
        );
        printed(&tool, group).into_iter().map(|(_, partition, offset)| (partition, offset)).collect::<Vec<_>>()
    };
    let before = starts(source, "shared-group");
    assert!(!before.is_empty() && before.iter().any(|(_, offset)| *offset > 0), "{before:?}");
    assert_eq!(starts(target, "shared-again"), before, "{report}");
    assert_eq!(line(&report, "shared-group")["kind"], "share");
    // It reads what it had not read, and nothing again.
    let start =
        |partition: i32| before.iter().find(|(at, _)| *at == i64::from(partition)).map_or(0, |(_, offset)| *offset);
    let unread = |partition: i32| {
        let seen = oracle::read(&bootstrap, "shared", partition, false);
        let left = seen.into_iter().filter(move |seen| seen.offset >= start(partition));
        left.map(|seen| String::from_utf8(seen.value.unwrap()).unwrap())
    };
    let unread: BTreeSet<_> = (0..2).flat_map(unread).collect();
    assert!(!unread.is_empty(), "{before:?}");
    let read = read_on_as_share_group(target, "shared-again", "shared-2", unread.len());
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), unread);
}

/// Ends at every place of the commit: the next run only does what is left.
#[test]
fn an_end_in_the_middle_is_gone_on_from() {
    let (source, target) = (&pair().0, &pair().1);
    let (bootstrap, bench) = (source.bootstrap(), Bench::new());
    load::create(&bootstrap, "killed", 2, 1, &[]);
    load::produce(&bootstrap, "killed", &[], spread(0, 100, 2));
    for number in 0..40 {
        commit(&bootstrap, &format!("killed-{number}"), "killed", &[number, 50 - number]);
    }
    archive(&bench, "killed", &["killed"]);
    load::create(&target.bootstrap(), "kept", 1, 1, &[]);
    commit(&target.bootstrap(), "killed-0", "kept", &[0]);
    let spec = restore(&bench, "killed", json!({"groups": {"commit": true, "include": ["killed-*"]}}));
    // One that ends before its state names what it saved leaves that behind, and saves it once more.
    assert_eq!(bench.run_to("offsets-saved", &spec).code, -1);
    for place in
        ["all-produced", "committing-offsets:5", "offsets-committed:3", "offsets-committed:20", "committing-offsets:2"]
    {
        let ended = bench.run_to(place, &spec);
        assert_eq!(ended.code, -1, "{place}: {}", ended.stderr);
    }
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["positions"].as_array().unwrap().len(), 40);
    // What the groups had before the first commit is saved, once: it is not what an attempt in the middle found.
    let id = report["offsetsBefore"]["id"].as_str().unwrap().to_owned();
    let saved: Vec<_> = harness::runner::files(&bench.archive())
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.parent().is_some_and(|folder| folder.ends_with("saved")))
        .collect();
    assert_eq!(saved.len(), 2, "{saved:?}");
    let saved = saved.iter().find(|path| path.to_str().unwrap().contains(&id)).unwrap();
    let saved = bench.archive().join(saved);
    let saved: Value = serde_json::from_slice(&std::fs::read(saved).unwrap()).unwrap();
    let groups = saved["group_offsets"].as_object().unwrap();
    assert_eq!(groups.len(), 40, "also those that were not there: {saved}");
    assert_eq!(groups["killed-1"]["offsets"], json!({}));
    assert_eq!(groups["killed-0"]["offsets"], json!({"kept": {"0": {"offset": 0, "metadata": "meta of 0"}}}));
    for number in 0..40 {
        let found = committed(&target.bootstrap(), &format!("killed-{number}"), "killed");
        let offsets: Vec<_> = found.into_iter().map(|at| at.unwrap().0).collect();
        assert_eq!(offsets, [number, 50 - number]);
    }
    let kept = committed(&target.bootstrap(), "killed-0", "kept");
    assert_eq!(kept[0].as_ref().unwrap().0, 0, "offsets of other topics are left alone");
}
