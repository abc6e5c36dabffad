//! Faults: the process ends at every named place, the store and the network misbehave, the clock is wrong. Each test
//! prints a line for docs/reliability.md; `TORTURE=1` runs the long form.

use std::time::{Duration, Instant};

use contract::CrashPoint;
use harness::consumers::{commit, committed};
use harness::kafka::{Kafka, Options};
use harness::load;
use harness::mount::Mount;
use harness::oracle;
use harness::pair::{source, target, with};
use harness::process::free_port;
use harness::proxy::{Answers, Proxy};
use harness::reliability::{Outcome, append, compare, fill, rounds, torture};
use harness::runner::Bench;
use harness::s3::S3;
use harness::store_faults::{self, Fault, StoreFaults};
use serde_json::{Value, json};

/// Runs with a place armed; whether it was reached.
fn crash_at(bench: &Bench, spec: &Value, place: &str) -> bool {
    let ended = bench.run_to(place, spec);
    assert!(ended.code == -1 || ended.code == 0, "{place}: {}\n{}", ended.code, ended.stderr);
    ended.code == -1
}

/// Every place, in a full or an incremental backup: the next run goes on, and the archive is whole.
fn crash_backups(topic: &str, incremental: bool) {
    let (bootstrap, bench) = (source().bootstrap(), Bench::new());
    // Segments of more than one part.
    fill(&bootstrap, topic, 14_000, 1_000);
    let mut outcome = Outcome { fault: format!("backup ends at every named place ({topic})"), ..Outcome::default() };
    let mut produced = 14_000;
    for (number, (_, place)) in CrashPoint::ALL.iter().enumerate() {
        let backup = json!({"topics": [topic], "incremental": incremental, "compression": "none"});
        let name = if incremental { topic.to_owned() } else { format!("{topic}-{number}") };
        let spec = bench.backup(&name, &bootstrap, backup);
        if incremental {
            append(&bootstrap, topic, produced, produced + 500, 1_000);
            produced += 500;
        }
        let started = Instant::now();
        if crash_at(&bench, &spec, place) {
            outcome.injected += 1;
            outcome.rounds += 1;
            bench.run(&spec).ok();
            outcome.recovery = outcome.recovery.max(started.elapsed());
        }
        let verified = bench.call("verify", &spec, &["-o", "json", &name]).ok();
        let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
        assert_eq!(verified["records"], produced, "{place}: {verified}");
    }
    let from = if incremental { topic.to_owned() } else { format!("{topic}-3") };
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": from, "includeOffsetHeaders": false}))).ok();
    (outcome.records, outcome.lost, outcome.doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    outcome.report();
}

#[test]
fn full_backups_survive_an_end_at_every_place() {
    crash_backups("f-full", false);
}

#[test]
fn incremental_backups_survive_an_end_at_every_place() {
    crash_backups("f-incremental", true);
}

#[test]
fn continuous_backups_survive_an_end_at_every_place() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "f-continuous", Bench::new());
    fill(&bootstrap, topic, 3_000, 1_000);
    let backup = json!({"topics": [topic], "continuous": true, "checkpointIntervalSecs": 1, "compression": "none"});
    let spec = bench.backup(topic, &bootstrap, backup);
    let mut outcome = Outcome { fault: "continuous backup ends at every named place".into(), ..Outcome::default() };
    let mut produced = 3_000;
    let of_backups = CrashPoint::ALL.iter().take_while(|(_, place)| *place != "plan-saved");
    for (_, place) in of_backups.filter(|(_, place)| *place != "rollup-due" && *place != "set-created") {
        append(&bootstrap, topic, produced, produced + 100, 1_000);
        produced += 100;
        let mut command = bench.command("run", &spec, &["-o", "json"]);
        command
            .env("KAFKA_BACKUP_CRASH_AT", place)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(8);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        outcome.rounds += 1;
        outcome.injected += u64::from(child.try_wait().unwrap().is_some());
        drop(child.kill());
        child.wait().unwrap();
    }
    let started = Instant::now();
    let mut live = bench.live(&spec);
    live.wait("progress", |event| event["lag"] == 0);
    std::thread::sleep(Duration::from_secs(3));
    outcome.recovery = started.elapsed();
    assert_eq!(live.end("TERM").code, 75);
    bench.call("verify", &spec, &[topic]).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    (outcome.records, outcome.lost, outcome.doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    assert!(outcome.injected >= 10, "{outcome:?}");
    outcome.report();
}

#[test]
fn restores_survive_an_end_at_every_place() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "f-restore", Bench::new());
    fill(&bootstrap, topic, 4_000, 1_000);
    commit(&bootstrap, "f-group", topic, &[123]);
    let backup = json!({"topics": [topic], "consumerGroupSnapshot": true});
    bench.run(&bench.backup(topic, &bootstrap, backup)).ok();
    let mut outcome = Outcome { fault: "restore ends at every named place, twice".into(), ..Outcome::default() };
    for (number, (_, place)) in CrashPoint::ALL.iter().enumerate() {
        let to = format!("f-restored-{number}");
        let groups = json!({"commit": true, "include": ["f-group"], "mapping": {"f-group": to}});
        let restore =
            json!({"from": topic, "includeOffsetHeaders": false, "topicMapping": {topic: to}, "groups": groups});
        let spec = bench.restore(&to, &target().bootstrap(), restore);
        let started = Instant::now();
        // First at a place that leaves something behind, then at the place itself: the second attempt fences.
        let first = crash_at(&bench, &spec, "produced");
        let second = crash_at(&bench, &spec, place);
        assert!(first, "{place}");
        bench.run(&spec).ok();
        outcome.rounds += 1;
        outcome.injected += u64::from(first) + u64::from(second);
        outcome.recovery = outcome.recovery.max(started.elapsed());
        if second {
            let (records, lost, doubled) = compare(&bootstrap, topic, &target().bootstrap(), &to);
            outcome.records += records;
            outcome.lost += lost;
            outcome.doubled += doubled;
        }
        // Markers of the attempts before may stand among the records.
        let next = oracle::read(&target().bootstrap(), &to, 0, false)[123].offset;
        let offsets = committed(&target().bootstrap(), &to, &to);
        assert_eq!(offsets[0].as_ref().map(|(offset, _)| *offset), Some(next), "{place}");
    }
    outcome.report();
}

/// Runs until it succeeds; every other end must be one that may be tried again. Returns how often it ran.
fn until_done(bench: &Bench, spec: &Value, also: &[i32]) -> u64 {
    for round in 1..=60 {
        let ended = bench.run(spec);
        if ended.code == 0 {
            return round;
        }
        assert!(ended.code == 3 || also.contains(&ended.code), "exit {}: {}", ended.code, ended.stderr);
    }
    panic!("60 runs were not enough");
}

/// Lets a bench store in a bucket that is reached through a proxy of faults.
fn stored_behind_faults(bench: &mut Bench, server: &S3, seed: u64) -> StoreFaults {
    let faults = StoreFaults::start(server.port(), seed);
    bench.storage = server.storage(bench.dir.path(), "archive");
    bench.storage["endpoint"] = format!("http://127.0.0.1:{}", faults.port()).into();
    faults
}

#[test]
fn stores_that_misbehave_lose_and_double_nothing() {
    let server = S3::start();
    let (bootstrap, topic, mut bench) = (source().bootstrap(), "f-store", Bench::new());
    fill(&bootstrap, topic, 3_000, 1_000);
    let faults = stored_behind_faults(&mut bench, &server, 7);
    let mut outcome =
        Outcome { fault: "one in six store requests fails in one of nine ways".into(), ..Outcome::default() };
    let mut produced = 3_000;
    let backup = json!({"topics": [topic], "incremental": true, "compression": "none", "segmentMaxBytes": 1_048_576});
    let mut spec = bench.backup(topic, &bootstrap, backup);
    spec["circuitBreaker"] = json!({"failureThreshold": 20, "resetTimeoutSecs": 1});
    for _ in 0..rounds(8, 60) {
        append(&bootstrap, topic, produced, produced + 400, 1_000);
        produced += 400;
        faults.inject(&store_faults::ALL, 6);
        let started = Instant::now();
        outcome.rounds += until_done(&bench, &spec, &[4, 5]);
        outcome.recovery = outcome.recovery.max(started.elapsed());
    }
    faults.inject(&[], 0);
    bench.call("verify", &spec, &[topic]).ok();
    faults.inject(&store_faults::ALL, 10);
    let mut restore =
        bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}));
    restore["circuitBreaker"] = json!({"failureThreshold": 20, "resetTimeoutSecs": 1});
    outcome.rounds += until_done(&bench, &restore, &[4, 5]);
    faults.inject(&[], 0);
    outcome.injected = faults.injected() as u64;
    (outcome.records, outcome.lost, outcome.doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    outcome.report();
}

/// docs/performance.md says which; the report and the events are two of them.
#[test]
fn a_run_that_finds_nothing_new_makes_few_requests() {
    let server = S3::start();
    let (bootstrap, topic, mut bench) = (source().bootstrap(), "f-idle", Bench::new());
    fill(&bootstrap, topic, 100, 100);
    let counted = stored_behind_faults(&mut bench, &server, 3);
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    bench.run(&spec).ok();
    let idle = || {
        let before = counted.requests();
        bench.run(&spec).ok();
        counted.requests() - before
    };
    // A machine that is slow between the seal and the summaries looks once more whether another run went on.
    let few = (0..3).map(|_| idle()).min();
    assert_eq!(few, Some(14));
}

#[test]
fn puts_that_are_applied_and_answered_by_silence_commit_once() {
    let server = S3::start();
    let (bootstrap, topic, mut bench) = (source().bootstrap(), "f-silence", Bench::new());
    fill(&bootstrap, topic, 2_000, 1_000);
    let faults = stored_behind_faults(&mut bench, &server, 11);
    faults.inject(&[Fault::LostAnswer], 3);
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    let mut outcome =
        Outcome { fault: "one in three answers of the store is lost after the effect".into(), ..Outcome::default() };
    let started = Instant::now();
    outcome.rounds = until_done(&bench, &spec, &[]);
    outcome.recovery = started.elapsed();
    outcome.injected = faults.injected() as u64;
    faults.inject(&[], 0);
    bench.call("verify", &spec, &[topic]).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    (outcome.records, outcome.lost, outcome.doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    outcome.report();
}

#[test]
fn networks_that_misbehave_lose_and_double_nothing() {
    let port = free_port();
    let proxy = Proxy::start(port);
    let options = Options { advertise: vec![port], ..Options::default() };
    let kafka = Kafka::launch_behind(options, |_, own| proxy.forward_to(own));
    let (bootstrap, topic, bench) = (format!("127.0.0.1:{port}"), "f-network", Bench::new());
    fill(&bootstrap, topic, 9_000, 1_000);
    let ways: [(&str, &dyn Fn()); 6] = [
        ("connections are cut", &|| proxy.cut()),
        ("answers end while requests still pass", &|| proxy.half_close()),
        ("every 7th answer is left out", &|| proxy.answers(Answers::DropEvery(7))),
        ("answers come 150 ms late", &|| proxy.answers(Answers::Delay(Duration::from_millis(150)))),
        ("answers dribble", &|| proxy.answers(Answers::Dribble(Duration::from_millis(2)))),
        ("answers are swallowed for a while", &|| proxy.answers(Answers::Swallow)),
    ];
    for (number, (what, inject)) in ways.iter().enumerate() {
        let mut outcome = Outcome { fault: (*what).to_owned(), ..Outcome::default() };
        for round in 0..rounds(1, 3) {
            let connection = json!({"requestTimeoutMs": 1_500, "connectTimeoutMs": 3_000});
            let to = format!("f-network-{number}-{round}");
            let rate = json!({"bytesPerSec": 3_000_000});
            let mut backup = bench.backup(&to, &bootstrap, json!({"topics": [topic], "rateLimit": rate}));
            let restore = json!({
                "from": to, "includeOffsetHeaders": false, "topicMapping": {topic: to}, "rateLimit": rate,
            });
            let mut restore = bench.restore(&to, &bootstrap, restore);
            for spec in [&mut backup, &mut restore] {
                spec["kafka"]["connection"] = connection.clone();
                let live = bench.live(spec);
                let started = Instant::now();
                // Four times on the way, at other moments each time.
                for pause in [300, 700, 500, 900u64] {
                    std::thread::sleep(Duration::from_millis(pause));
                    inject();
                    outcome.injected += 1;
                }
                std::thread::sleep(Duration::from_secs(2));
                proxy.answers(Answers::Pass);
                let ended = live.finish();
                if ended.code != 0 {
                    assert_eq!(ended.code, 3, "{what}: {}", ended.stderr);
                    bench.run(spec).ok();
                }
                outcome.rounds += 1;
                outcome.recovery = outcome.recovery.max(started.elapsed());
            }
            let (records, lost, doubled) = compare(&kafka.bootstrap(), topic, &kafka.bootstrap(), &to);
            outcome.records += records;
            outcome.lost += lost;
            outcome.doubled += doubled;
        }
        outcome.report();
    }
}

#[test]
fn a_broker_that_freezes_during_a_restore_is_waited_for() {
    let kafka = Kafka::start();
    let (bootstrap, topic, bench) = (source().bootstrap(), "f-frozen", Bench::new());
    fill(&bootstrap, topic, 9_000, 1_000);
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    let frozen = Duration::from_secs(if torture() { 75 } else { 12 });
    let restore = json!({"from": topic, "includeOffsetHeaders": false, "rateLimit": {"bytesPerSec": 4_000_000}});
    let mut spec = bench.restore(topic, &kafka.bootstrap(), restore);
    spec["kafka"]["connection"] = json!({"requestTimeoutMs": 4_000});
    let live = bench.live(&spec);
    std::thread::sleep(Duration::from_millis(900));
    harness::process::signal(kafka.pid(0), "STOP");
    std::thread::sleep(frozen);
    harness::process::signal(kafka.pid(0), "CONT");
    let started = Instant::now();
    let ended = live.finish();
    if ended.code != 0 {
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        bench.run(&spec).ok();
    }
    let (records, lost, doubled) = compare(&bootstrap, topic, &kafka.bootstrap(), topic);
    let fault = format!("broker frozen for {} s during a restore", frozen.as_secs());
    Outcome { fault, rounds: 1, injected: 1, records, lost, doubled, recovery: started.elapsed() }.report();
}

#[test]
fn random_kills_of_backups_and_restores_lose_and_double_nothing() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "f-kills", Bench::new());
    fill(&bootstrap, topic, 20_000, 1_000);
    let kill = |spec: &Value, wanted: u64, outcome: &mut Outcome| {
        for kill in 0..wanted {
            let mut child = bench.spawn(spec);
            std::thread::sleep(Duration::from_millis(40 + kill * 37 % 900));
            drop(child.kill());
            outcome.injected += u64::from(!child.wait().unwrap().success());
            outcome.rounds += 1;
        }
        let mut fast = spec.clone();
        for work in ["backup", "restore"] {
            if let Some(work) = fast.get_mut(work) {
                work["rateLimit"] = json!({});
            }
        }
        let started = Instant::now();
        bench.run(&fast).ok();
        outcome.recovery = outcome.recovery.max(started.elapsed());
    };
    // So slow that even the last of the kills finds work to do; the pace does not make another run.
    let slow = json!({"bytesPerSec": 36_000_000 / rounds(12, 100)});
    let backup = json!({"topics": [topic], "incremental": true, "checkpointIntervalSecs": 1, "rateLimit": slow});
    let backup = bench.backup(topic, &bootstrap, backup);
    let mut outcome = Outcome { fault: "kill -9 of a backup at random times".into(), ..Outcome::default() };
    kill(&backup, rounds(12, 100), &mut outcome);
    bench.call("verify", &backup, &[topic]).ok();
    let restore = json!({"from": topic, "includeOffsetHeaders": false, "rateLimit": slow});
    let mut restored = Outcome { fault: "kill -9 of a restore at random times".into(), ..Outcome::default() };
    kill(&bench.restore(topic, &target().bootstrap(), restore), rounds(12, 100), &mut restored);
    let (records, lost, doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    for mut outcome in [outcome, restored] {
        (outcome.records, outcome.lost, outcome.doubled) = (records, lost, doubled);
        outcome.report();
    }
}

#[test]
fn a_quota_of_the_broker_slows_a_run_down_and_fails_nothing() {
    // Brokers average over the last eleven seconds; two make them notice a short run.
    let properties = vec!["quota.window.num=2".to_owned()];
    let kafka = Kafka::with(Options { properties, ..Options::default() });
    let (bootstrap, topic, bench) = (kafka.bootstrap(), "f-quota", Bench::new());
    fill(&bootstrap, topic, 24_000, 1_000);
    let alter = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "clients", "--entity-default"];
    let quota = ["--add-config", "consumer_byte_rate=5000000,producer_byte_rate=5000000"];
    kafka.tool("kafka.admin.ConfigCommand", &[&alter[..], &quota[..]].concat());
    let started = Instant::now();
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    let to = json!({"from": topic, "includeOffsetHeaders": false, "topicMapping": {topic: "f-quota-back"}});
    bench.run(&bench.restore(topic, &bootstrap, to)).ok();
    let recovery = started.elapsed();
    assert!(recovery > Duration::from_secs(3), "48 MB at 5 MB/s took {recovery:?}: the quota was not in force");
    let undo = ["--delete-config", "consumer_byte_rate,producer_byte_rate"];
    kafka.tool("kafka.admin.ConfigCommand", &[&alter[..], &undo[..]].concat());
    let (records, lost, doubled) = compare(&bootstrap, topic, &bootstrap, "f-quota-back");
    let fault = "client quota of 5 MB/s, backup and restore".to_owned();
    Outcome { fault, rounds: 2, injected: 1, records, lost, doubled, recovery }.report();
}

#[derive(Debug)]
struct Wrong(i64);

impl runner::context::Clock for Wrong {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now() + jiff::SignedDuration::from_hours(self.0 * 24 * 365)
    }
}

#[test]
fn a_clock_that_is_ten_years_off_changes_labels_only() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "f-clock", Bench::new());
    fill(&bootstrap, topic, 1_000, 100);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = |years: i64, spec: &Value| {
        let paths = archive::Paths { secrets: ".".into(), volumes: ".".into() };
        let mut context = runner::context::Context::system(paths);
        context.clock = std::sync::Arc::new(Wrong(years));
        let emitter = runner::emit::Emitter::new(&context, false);
        let spec: contract::RunSpec = serde_json::from_value(spec.clone()).unwrap();
        let (report, exit) = runtime.block_on(runner::run::run(&context, &emitter, &spec));
        assert_eq!(exit as u8, 0, "{report:?}");
        report
    };
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    let started = Instant::now();
    let mut produced = 1_000;
    for years in [10, -10, 0] {
        append(&bootstrap, topic, produced, produced + 100, 100);
        produced += 100;
        assert_eq!(run(years, &spec).records, if produced == 1_100 { 1_100 } else { 100 });
    }
    run(-10, &bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false})));
    bench.call("verify", &spec, &[topic]).ok();
    let (records, lost, doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    let fault = "clock ten years ahead, then ten years behind".to_owned();
    Outcome { fault, rounds: 4, injected: 3, records, lost, doubled, recovery: started.elapsed() }.report();
}

#[test]
fn a_full_disk_leaves_nothing_visible_and_the_run_goes_on_when_there_is_room() {
    let (bootstrap, topic, mut bench) = (source().bootstrap(), "f-full-disk", Bench::new());
    let Some(mount) = Mount::new("size=6m") else { return };
    fill(&bootstrap, topic, 12_000, 1_000);
    bench.storage = json!({"type": "filesystem", "path": mount.0.path()});
    let backup = json!({"topics": [topic], "incremental": true, "compression": "none", "segmentMaxBytes": 1_048_576});
    let spec = bench.backup(topic, &bootstrap, backup);
    bench.run(&spec).fails("KB3004", 3, &["make room"]);
    assert!(!bench.call("ls", &spec, &[]).ok().stdout.contains("complete"));
    mount.resize("size=64m");
    let started = Instant::now();
    assert_eq!(bench.run(&spec).ok().report()["outcome"], "Completed");
    let recovery = started.elapsed();
    bench.call("verify", &spec, &[topic]).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    let (records, lost, doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    let fault = "disk full during a backup".to_owned();
    Outcome { fault, rounds: 1, injected: 1, records, lost, doubled, recovery }.report();
}

/// Nobody tells where a log ends whose only replica is away: its lag is not said to be nothing, and a snapshot lacks it.
#[test]
fn what_cannot_be_looked_at_is_not_said_to_be_nothing() {
    let mut kafka = Kafka::with(Options { nodes: 3, ..Options::default() });
    let (bootstrap, bench) = (kafka.bootstrap(), Bench::new());
    for (topic, broker) in [("f-here", 1), ("f-away", 3)] {
        load::create_on(&bootstrap, topic, &[broker], &[]);
        load::produce(&bootstrap, topic, &[], (0..100).map(|n| load::Make::new(n, 0)));
    }
    let backup =
        |name: &str, more: Value| bench.backup(name, &bootstrap, with(json!({"topics": ["f-here", "f-away"]}), &more));
    let follows = backup("f-follows", json!({"continuous": true, "checkpointIntervalSecs": 2}));
    let mut live = bench.live(&follows);
    let is_whole = |event: &Value| event["records"] == 200 && event["lag"] == 0 && event["unknownPartitions"] == 0;
    assert_eq!(live.wait("progress", is_whole)["percent"], 100.0);
    kafka.stop(2, true);
    let away = live.wait("progress", |event| event["unknownPartitions"] == 1);
    assert!(away["percent"].as_f64().unwrap() < 100.0 && away["records"] == 200, "{away}");
    let snapshot = |name: &str, more: Value| {
        let mut spec = backup(name, more);
        spec["kafka"]["connection"] = json!({"retryDeadlineMs": 8_000});
        bench.run(&spec)
    };
    let report = snapshot("f-lacks", json!({})).ok().report();
    assert_eq!((&report["outcome"], &report["records"]), (&json!("CompletedWithGaps"), &json!(100)), "{report}");
    let held = &report["heldBack"];
    assert_eq!((held.as_array().unwrap().len(), &held[0]["topic"]), (1, &json!("f-away")), "{report}");
    snapshot("f-strict", json!({"onGap": "fail"})).fails("KB2008", 3, &["f-away/0", "backup.onGap is fail"]);
    kafka.restart(2);
    live.wait("progress", |event| event["unknownPartitions"] == 0 && event["lag"] == 0);
    assert_eq!(live.end("TERM").code, 75);
}

/// A run that waits because of its own limit or of a quota ends as soon as it is asked to.
#[test]
fn a_throttled_run_ends_at_once() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "f-throttled", Bench::new());
    fill(&bootstrap, topic, 9_000, 1_000);
    let limit = json!({"bytesPerSec": 100_000});
    let mut live = bench.live(&bench.backup(topic, &bootstrap, json!({"topics": [topic], "rateLimit": limit})));
    live.wait("progress", |event| event["limitedBy"] == "throttle");
    let asked = Instant::now();
    assert_eq!(live.end("TERM").code, 75);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
