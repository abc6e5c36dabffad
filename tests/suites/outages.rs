//! Outages: leaders that are killed again and again, a store that is gone for a while, and a machine with little memory.
//! Each test prints a line for docs/reliability.md; `TORTURE=1` runs the long form.

use std::time::{Duration, Instant};

use harness::bench::measure;
use harness::consumers::{commit, committed};
use harness::kafka::{Kafka, Options};
use harness::load::{self, Make};
use harness::oracle;
use harness::pair::{source, target};
use harness::reliability::{Outcome, compare, fill, rounds};
use harness::runner::Bench;
use harness::s3::S3;
use serde_json::{Value, json};

/// What the README promises of any work.
const MOST_MIB: u64 = 256;

#[test]
fn leaders_that_are_killed_again_and_again_lose_and_double_nothing() {
    let mut kafka = Kafka::with(Options { nodes: 3, ..Options::default() });
    let (bootstrap, topic, bench) = (kafka.bootstrap(), "o-leaders", Bench::new());
    load::create(&bootstrap, topic, 6, 3, &[("min.insync.replicas", "2")]);
    let wide = |n: i64| Make {
        value: Some(format!("{n:0>1000}").into_bytes()),
        ..Make::new(n, i32::try_from(n % 6).unwrap())
    };
    load::produce(&bootstrap, topic, &[], (0..24_000).map(wide));
    let kills = rounds(2, 10);
    // Slow enough that each kill finds work to do: a node is back and in sync after about fifteen seconds.
    let rate = json!({"bytesPerSec": 24_000_000 / (12 * kills)});
    let mut outcome =
        Outcome { fault: "leaders killed on three brokers, backup and restore".into(), ..Outcome::default() };
    let mut during = |spec: &Value| {
        let mut live = bench.live(spec);
        live.wait("progress", |event| event["bytes"].as_u64() > Some(0));
        let mut started = Instant::now();
        for kill in 0..kills {
            started = Instant::now();
            let node = usize::try_from(kill % 3).unwrap();
            kafka.stop(node, true);
            std::thread::sleep(Duration::from_millis(1500));
            kafka.restart(node);
            load::wait_in_sync(&bootstrap);
            outcome.injected += 1;
        }
        live.finish().ok();
        outcome.rounds += 1;
        outcome.recovery = outcome.recovery.max(started.elapsed());
    };
    during(&bench.backup(topic, &bootstrap, json!({"topics": [topic], "rateLimit": rate})));
    let to = json!({
        "from": topic, "topicMapping": {topic: "o-leaders-back"}, "includeOffsetHeaders": false, "rateLimit": rate,
    });
    during(&bench.restore(topic, &bootstrap, to));
    (outcome.records, outcome.lost, outcome.doubled) = compare(&bootstrap, topic, &bootstrap, "o-leaders-back");
    outcome.report();
}

/// 20 groups over three brokers, each of which coordinates some of them: one is killed while offsets are committed.
#[test]
fn coordinators_that_are_killed_while_offsets_are_committed_lose_none() {
    // Each broker leads two partitions of the offsets topic.
    let properties = vec!["offsets.topic.num.partitions=6".to_owned()];
    let mut kafka = Kafka::with(Options { nodes: 3, properties, ..Options::default() });
    let (bootstrap, topic, bench) = (kafka.bootstrap(), "o-groups", Bench::new());
    load::create(&bootstrap, topic, 4, 3, &[]);
    load::produce(&bootstrap, topic, &[], (0..400).map(|n| Make::new(n, i32::try_from(n % 4).unwrap())));
    let groups: Vec<_> = (0..20).map(|number| format!("o-group-{number}")).collect();
    for (group, at) in groups.iter().zip(10..) {
        commit(&bootstrap, group, topic, &[at, at + 1, at + 2, at + 3]);
    }
    let mut outcome = Outcome { fault: "coordinators killed while offsets are committed".into(), ..Outcome::default() };
    for round in 0..rounds(1, 10) {
        let (node, name) = (usize::try_from(round % 3).unwrap(), format!("o-groups-{round}"));
        let (to, expected) = if round % 2 == 0 { ("latest", 100) } else { ("earliest", 0) };
        let mut spec = bench.backup(&name, &bootstrap, json!({}));
        spec.as_object_mut().unwrap().remove("backup");
        spec["offsetReset"] = json!({"groups": groups, "to": to, "parallelism": 4});
        let mut killed = Instant::now();
        let place = format!("committing-offsets:{}", 2 + round % 15);
        let ended = bench.run_past(&place, &spec, || {
            kafka.stop(node, true);
            killed = Instant::now();
        });
        // Where the others take longer to take over than a run waits, the next attempt does what is left.
        if ended.code != 0 {
            assert_eq!(ended.code, 3, "{}", ended.stderr);
            bench.run(&spec).ok();
        }
        outcome.recovery = outcome.recovery.max(killed.elapsed());
        kafka.restart(node);
        load::wait_in_sync(&bootstrap);
        for group in &groups {
            let found = committed(&bootstrap, group, topic);
            let right = found.iter().filter(|at| at.as_ref().is_some_and(|(at, _)| *at == expected)).count();
            outcome.records += 4;
            outcome.lost += 4 - right as u64;
        }
        (outcome.rounds, outcome.injected) = (outcome.rounds + 1, outcome.injected + 1);
    }
    outcome.report();
}

#[test]
fn a_store_that_is_gone_for_a_while_is_waited_for() {
    let mut server = S3::start();
    let (bootstrap, topic, mut bench) = (source().bootstrap(), "o-store", Bench::new());
    bench.storage = server.storage(bench.dir.path(), "archive");
    fill(&bootstrap, topic, 12_000, 1_000);
    let backup = json!({
        "topics": [topic], "incremental": true, "rateLimit": {"recordsPerSec": 3_000}, "checkpointIntervalSecs": 1,
    });
    let mut spec = bench.backup(topic, &bootstrap, backup);
    spec["circuitBreaker"] = json!({"failureThreshold": 3, "resetTimeoutSecs": 4});
    let mut live = bench.live(&spec);
    live.wait("committed", |_| true);
    let gone = rounds(6, 30);
    server.kill();
    std::thread::sleep(Duration::from_secs(gone));
    let started = Instant::now();
    server.resume();
    let ended = live.finish().ok();
    let recovery = started.elapsed();
    assert!(ended.stderr.contains("keeps failing"), "the breaker never opened: {}", ended.stderr);
    assert_eq!(ended.report()["records"], 12_000);
    bench.call("verify", &spec, &[]).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    let (records, lost, doubled) = compare(&bootstrap, topic, &target().bootstrap(), topic);
    let fault = format!("store gone for {gone} s during a backup");
    Outcome { fault, rounds: 1, injected: 1, records, lost, doubled, recovery }.report();
}

#[test]
fn memory_stays_below_its_bound() {
    let (kafka, bench) = (Kafka::start(), Bench::new());
    let (bootstrap, topic) = (kafka.bootstrap(), "o-memory");
    let partitions = 500;
    load::create(&bootstrap, topic, partitions, 1, &[]);
    let records = i64::try_from(rounds(250, 2_000) * 1024).unwrap();
    let make = |n: i64| Make {
        value: Some(format!("{n:0>1000}").into_bytes()),
        ..Make::new(n, i32::try_from(n % i64::from(partitions)).unwrap())
    };
    load::produce(&bootstrap, topic, &[("batch.size", "262144")], (0..records).map(make));
    let started = Instant::now();
    let backup = bench.backup(topic, &bootstrap, json!({"topics": [topic]}));
    let to = json!({"from": topic, "topicMapping": {topic: "o-memory-back"}});
    for (work, spec) in [("backup", backup), ("restore", bench.restore(topic, &bootstrap, to))] {
        let measured = measure::run(&bench, "run", &spec, &["-o", "json"]);
        assert!(measured.peak_mib <= MOST_MIB, "the {work} needed {} MiB", measured.peak_mib);
        assert_eq!(measured.report["records"], records, "{work}");
    }
    let fault = format!("{} MiB in {partitions} partitions through at most {MOST_MIB} MiB", records / 1024);
    let recovery = started.elapsed();
    let ends =
        (0..partitions).map(|p| (oracle::end(&bootstrap, topic, p), oracle::end(&bootstrap, "o-memory-back", p)));
    let (lost, doubled) = ends.fold((0, 0), |(lost, doubled), (source, target)| {
        (lost + (source - target).max(0).unsigned_abs(), doubled + (target - source).max(0).unsigned_abs())
    });
    let (records, injected) = (records.unsigned_abs(), 2);
    Outcome { fault, rounds: 2, injected, records, lost, doubled, recovery }.report();
}
