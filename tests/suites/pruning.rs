//! Retention as users run it: processes with a specification, on a directory and on a real S3 server, killed wherever they
//! change something, two at once, beside restores and backups that are about to begin, and on a set of ten thousand points.

#[path = "../../runner/archive/tests/made/mod.rs"]
mod made;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use archive::{Arena, Layout, Level, PartitionState, Paths, PendingBatch, Store, TopicState, open_store, verify_log};
use harness::load::{self, Make};
use harness::oracle;
use harness::pair::{source, target};
use harness::runner::{Bench, weigh};
use harness::s3::S3;
use made::{Made, SET, TOPIC, one_record, stamp};
use serde_json::{Value, json};

async fn open(bench: &Bench) -> Store {
    let spec: contract::StoreSpec = serde_json::from_value(bench.storage.clone()).unwrap();
    let paths = Paths { secrets: bench.dir.path().to_owned(), volumes: ".".into() };
    open_store(&spec, &paths, &contract::CircuitBreakerSpec::default(), &contract::Waits::default()).await.unwrap()
}

/// Four full backups, then a set of four points.
async fn filled(bench: &Bench) -> Store {
    let store = open(bench).await;
    let made = Made::new().through(store.clone());
    for n in 0..4 {
        made.full(&format!("{SET}-{}", stamp(n))).await;
    }
    for n in 10..14 {
        made.moving_point(n).await;
    }
    store
}

/// The specification of a run of retention that keeps two points.
fn spec(bench: &Bench, more: &Value) -> Value {
    let mut prune = json!({"rules": {"least": 2, "most": 2}, "graceSecs": 1});
    prune.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"formatVersion": 1, "name": SET, "namespace": "ns", "storage": bench.storage, "prune": prune})
}

/// What is there but for what runs of retention leave for people.
async fn contents(store: &Store) -> BTreeMap<String, u64> {
    let all = store.walk(&object_store::path::Path::default()).await.unwrap();
    all.into_iter().filter(|(key, _)| !key.starts_with("_prune/")).collect()
}

fn missing(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> (u64, u64) {
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    gone.fold((0, 0), |(objects, bytes), (_, size)| (objects + 1, bytes + size))
}

fn counted(report: &Value, field: &str) -> (u64, u64) {
    let sum = &report["prune"][field];
    (sum["objects"].as_u64().unwrap(), sum["bytes"].as_u64().unwrap())
}

fn is_whole(bench: &Bench) {
    let spec = json!({"formatVersion": 1, "name": SET, "namespace": "ns", "storage": bench.storage,
        "kafka": {"bootstrapServers": ["127.0.0.1:1"]}, "backup": {"topics": ["t"], "incremental": true}});
    for n in [12, 13] {
        bench.call("verify", &spec, &[&format!("{SET}-{}", stamp(n))]).ok();
    }
}

/// Longer than the grace period, also for a store that tells whole seconds.
fn wait() {
    std::thread::sleep(Duration::from_millis(2_100));
}

async fn gives_back(bench: &Bench) {
    let store = filled(bench).await;
    let before = contents(&store).await;
    let look = bench.run(&spec(bench, &json!({"dryRun": true}))).ok().report();
    assert_eq!((look["outcome"].as_str(), look["prune"]["eligible"].as_u64()), (Some("DryRun"), Some(6)), "{look}");
    assert_eq!(contents(&store).await, before, "a dry run changes nothing");
    let first = bench.run(&spec(bench, &json!({}))).ok().report();
    let said = contents(&store).await;
    assert_eq!((missing(&before, &said), said.len()), ((0, 0), before.len() + 5));
    assert_eq!((first["prune"]["removed"].as_u64(), counted(&first, "deleted")), (Some(6), (0, 0)), "{first}");
    wait();
    let late = bench.run(&spec(bench, &json!({}))).ok().report();
    let after = contents(&store).await;
    assert_eq!(counted(&late, "deleted"), missing(&said, &after), "{late}");
    assert_eq!(counted(&first, "waiting"), counted(&late, "deleted"));
    assert!(late["storedAt"].as_str().unwrap().contains("/_prune/runs/"), "{late}");
    assert!(after.keys().all(|key| key.starts_with(&format!("{SET}/"))), "{after:?}");
    is_whole(bench);
    let again = bench.run(&spec(bench, &json!({}))).ok().report();
    assert_eq!((counted(&again, "deleted"), counted(&again, "waiting")), ((0, 0), (0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_gives_back_what_goes() {
    let bench = Bench::new();
    gives_back(&bench).await;
    let left: Vec<_> = std::fs::read_dir(bench.archive()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no folder of a set is left: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_server_gives_back_what_goes() {
    let server = S3::start();
    let mut bench = Bench::new();
    bench.storage = server.storage(bench.dir.path(), "archive");
    gives_back(&bench).await;
}

/// Killed at each place, each time that it is reached, and run again: the same is left in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_anywhere_is_gone_on_with() {
    let whole = Bench::new();
    gives_back(&whole).await;
    let expected: Vec<String> = contents(&open(&whole).await).await.into_keys().collect();
    let early = ["prune-planned", "entry-frozen", "entry-created", "prune-said", "prune-said:3"];
    let late = [
        "prune-planned",
        "prune-deleting",
        "prune-deleted",
        "prune-deleted:3",
        "prune-stage",
        "prune-stage:2",
        "prune-stage:3",
        "prune-stage:4",
        "prune-stage:5",
        "prune-deleting:7",
    ];
    for (place, is_late) in early.map(|place| (place, false)).into_iter().chain(late.map(|place| (place, true))) {
        let bench = Bench::new();
        let store = filled(&bench).await;
        if is_late {
            bench.run(&spec(&bench, &json!({}))).ok();
            wait();
        }
        let ended = bench.run_to(place, &spec(&bench, &json!({})));
        assert_eq!(ended.code, -1, "{place} was not reached: {}", ended.stderr);
        is_whole(&bench);
        for _ in 0..2 {
            bench.run(&spec(&bench, &json!({}))).ok();
            is_whole(&bench);
            wait();
        }
        bench.run(&spec(&bench, &json!({}))).ok();
        assert_eq!(contents(&store).await.into_keys().collect::<Vec<_>>(), expected, "killed at {place}");
    }
}

/// Two processes at once: what goes is gone, and what stays is whole.
#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_do_no_harm() {
    let bench = Bench::new();
    let store = filled(&bench).await;
    for _ in 0..3 {
        let both = [bench.spawn(&spec(&bench, &json!({}))), bench.spawn(&spec(&bench, &json!({})))];
        for child in both {
            weigh(child).0.ok();
        }
        is_whole(&bench);
        wait();
    }
    assert!(contents(&store).await.keys().all(|key| key.starts_with(&format!("{SET}/"))));
}

/// Whoever may not delete is told so, and nothing else is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_what_is_not_there_is_told() {
    let bench = Bench::new();
    bench.run(&spec(&bench, &json!({}))).fails("KB4004", 4, &["orders"]);
    filled(&bench).await;
    let mut nobody = spec(&bench, &json!({}));
    nobody["namespace"] = "other".into();
    let report = bench.run(&nobody).ok().report();
    assert_eq!(report["prune"]["inspected"], 0);
    assert_eq!(report["prune"]["left"].as_array().unwrap().len(), 5, "{report}");
}

/// Three points of a topic whose source keeps the newest 100 records only; the specification of the backup, and of a run of
/// retention that keeps one point.
fn real(bench: &Bench, topic: &str) -> (Value, Value) {
    let bootstrap = source().bootstrap();
    load::create(&bootstrap, topic, 1, 1, &[]);
    let backup = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    for run in 0..3 {
        write(topic, run);
        bench.run(&backup).ok();
    }
    let retention = json!({"formatVersion": 1, "name": topic, "storage": bench.storage,
        "prune": {"rules": {"least": 1, "most": 1}, "graceSecs": 1}});
    (backup, retention)
}

/// A hundred records more, of which alone the source keeps.
fn write(topic: &str, run: i64) {
    let bootstrap = source().bootstrap();
    load::produce(&bootstrap, topic, &[], (run * 100..run * 100 + 100).map(|n| Make::new(n, 0)));
    load::delete_records(&bootstrap, topic, 0, run * 100);
}

fn points(bench: &Bench, backup: &Value) -> Vec<String> {
    let listed: Value = serde_json::from_str(&bench.call("ls", backup, &["-o", "json"]).ok().stdout).unwrap();
    let of = |set: &Value| -> Vec<String> {
        let stamps = set["points"].as_array().unwrap().iter();
        stamps.map(|stamp| format!("{}-{}", set["name"].as_str().unwrap(), stamp.as_str().unwrap())).collect()
    };
    listed.as_array().unwrap().iter().flat_map(of).collect()
}

/// Retention takes effect between the plan of a restore and its state: the restore looks again, and makes another plan.
#[test]
fn a_restore_that_retention_overtakes_begins_anew() {
    let (topic, bench) = ("pr-overtaken", Bench::new());
    let (backup, retention) = real(&bench, topic);
    let oldest = points(&bench, &backup)[0].clone();
    let restore = |to: &str, from: &str| {
        let what = json!({"from": from, "includeOffsetHeaders": false, "topicMapping": {topic: to}});
        bench.restore(to, &target().bootstrap(), what)
    };
    let prune = || assert_eq!(bench.run(&retention).ok().report()["prune"]["removed"].as_u64(), Some(2));
    // The point that was asked for is no more: nothing is written.
    let ended = bench.run_past("plan-saved", &restore("pr-gone", &oldest), prune);
    ended.fails("KB4004", 4, &["retention removed"]);
    assert_eq!(oracle::partitions(&target().bootstrap(), "pr-gone"), 0);
    // The newest stays: it is restored by a plan of its own.
    write(topic, 3);
    bench.run(&backup).ok();
    let prune = || assert_eq!(bench.run(&retention).ok().report()["prune"]["removed"].as_u64(), Some(1));
    let report = bench.run_past("plan-saved", &restore("pr-newest", topic), prune).ok().report();
    assert_eq!((report["outcome"].as_str(), report["records"].as_u64()), (Some("Completed"), Some(100)), "{report}");
    let warned =
        report["warnings"].as_array().unwrap().iter().any(|text| text.as_str().unwrap().contains("a new plan"));
    assert!(warned, "{report}");
    let content = |cluster: &str, topic| {
        oracle::read(cluster, topic, 0, false).iter().map(oracle::Seen::content).collect::<Vec<_>>()
    };
    assert_eq!(content(&target().bootstrap(), "pr-newest"), content(&source().bootstrap(), topic));
}

/// Once the state of a restore is there, retention takes nothing of its set: the oldest point is restored whole.
#[test]
fn a_restore_that_has_begun_is_waited_for() {
    let (topic, bench) = ("pr-begun", Bench::new());
    let (backup, retention) = real(&bench, topic);
    let oldest = points(&bench, &backup)[0].clone();
    let what = json!({"from": oldest, "includeOffsetHeaders": false, "topicMapping": {topic: "pr-oldest"}});
    let restore = bench.restore("pr-oldest", &target().bootstrap(), what);
    let prune = || {
        let report = bench.run(&retention).ok().report();
        assert_eq!((report["prune"]["removed"].as_u64(), counted(&report, "deleted")), (Some(0), (0, 0)), "{report}");
        assert!(report["prune"]["holds"].to_string().contains("pr-oldest"), "{report}");
    };
    let report = bench.run_past("intent-saved", &restore, prune).ok().report();
    assert_eq!((report["outcome"].as_str(), report["records"].as_u64()), (Some("Completed"), Some(100)), "{report}");
    assert_eq!(bench.run(&retention).ok().report()["prune"]["removed"].as_u64(), Some(2), "it is over");
}

/// Retention writes to the log in the moment before a backup does: the backup goes on behind it.
#[test]
fn a_backup_goes_on_behind_what_retention_wrote() {
    let (topic, bench) = ("pr-behind", Bench::new());
    let (backup, retention) = real(&bench, topic);
    write(topic, 3);
    let prune = || assert_eq!(bench.run(&retention).ok().report()["prune"]["removed"].as_u64(), Some(2));
    let report = bench.run_past("entry-frozen", &backup, prune).ok().report();
    assert_eq!((report["outcome"].as_str(), report["records"].as_u64()), (Some("Completed"), Some(100)), "{report}");
    assert_eq!(points(&bench, &backup).len(), 2);
    bench.call("verify", &backup, &[topic]).ok();
}

/// A set of many points, one record each, of which the source has only the newest.
async fn many(store: &Store, points: u64) {
    let made = Made::new().through(store.clone());
    let mut writer = made.claim(0).await.unwrap();
    writer.know_topic(TopicState::new(TOPIC, "t", 3, 1));
    let mut row = PartitionState::new(0, 0);
    for n in 0..points {
        row.log_start = row.next;
        let (raw, from) = (one_record(row.next), row.next);
        row.next += 1;
        row.committed += 1;
        row.bytes += raw.bytes.len() as u64;
        let (mut arena, timeline) = (Arena::default(), row.timeline);
        arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline, from, committed: 1, aborted: false, raw });
        writer.push(arena).await.unwrap();
        made.seal(&mut writer, SET, n, vec![(TOPIC, row.clone())]).await;
    }
}

/// The figures: ten thousand points of one set, on a directory, in 30 seconds and 64 MiB for both steps together, in a release build.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_points_go_in_little_time_and_memory() {
    const POINTS: u64 = 10_000;
    let bench = Bench::new();
    let inner = object_store::local::LocalFileSystem::new_with_prefix(bench.archive()).unwrap();
    let store = Store::new(std::sync::Arc::new(inner), "", "folder");
    many(&store, POINTS).await;
    let before = contents(&store).await;
    let (began, mut most) = (Instant::now(), 0);
    let mut run = || {
        let (ended, bytes) = bench.run_and_weigh(&spec(&bench, &json!({})));
        most = most.max(bytes);
        ended.ok().report()
    };
    let first = run();
    let second = began.elapsed();
    wait();
    let again = Instant::now();
    let late = run();
    let took = second + again.elapsed();
    let after = contents(&store).await;
    println!("{POINTS} points: {took:?}, {} MiB, {} of {} objects", most >> 20, after.len(), before.len());
    assert_eq!(first["prune"]["removed"].as_u64(), Some(POINTS - 2));
    assert_eq!(counted(&late, "deleted"), missing(&before, &after));
    assert_eq!(counted(&late, "deleted").0, (POINTS - 2) * 3, "segments, configs and hints");
    let log = verify_log(&store, &Layout::new(SET), POINTS, Level::Decode).await.unwrap();
    assert!(log.problems.is_empty() && log.notes.is_empty(), "{log:?}");
    // What a debug build maps of itself comes on top, and other suites share its cores.
    let (seconds, itself): (u64, u64) = if cfg!(debug_assertions) { (120, 16 << 20) } else { (30, 0) };
    assert!(took < Duration::from_secs(seconds) && most < (64 << 20) + itself, "{took:?}, {most} bytes");
}
