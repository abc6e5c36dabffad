//! Continuous runs: they follow, find what is new, seal, survive, and stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::kafka::Kafka;
use harness::live::Live;
use harness::load::{self, Make};
use harness::oracle;
use harness::runner::Bench;
use serde_json::{Value, json};

fn follow(bench: &Bench, name: &str, bootstrap: &str, topics: &str) -> Value {
    let backup = json!({
        "topics": [topics], "continuous": true, "checkpointIntervalSecs": 1, "topicRefreshSecs": 1,
        "consumerGroupSnapshot": true,
    });
    bench.backup(name, bootstrap, backup)
}

fn make(from: i64, to: i64, partitions: i64) -> impl Iterator<Item = Make> {
    (from..to).map(move |n| Make::new(n, i32::try_from(n % partitions).unwrap()))
}

/// A checkpoint, the look at the source, and the seal after it.
const SEALED: Duration = Duration::from_secs(3);

/// Waits until the run has read so many records, nothing is left, and a point holds them.
fn caught_up(live: &mut Live, records: u64) {
    live.wait("progress", |event| event["records"] == records && event["lag"] == 0);
    std::thread::sleep(SEALED);
}

/// Restores the newest point of `name` into `target` and compares every partition with what the source has now.
fn compare(bench: &Bench, name: &str, source: &Kafka, target: &Kafka, topics: &[&str]) -> usize {
    let restore = json!({"from": name, "includeOffsetHeaders": false, "topics": topics});
    bench.run(&bench.restore(&format!("{name}-r"), &target.bootstrap(), restore)).ok();
    let mut records = 0;
    for topic in topics {
        for partition in 0..oracle::partitions(&source.bootstrap(), topic) {
            let read = |kafka: &Kafka| {
                let seen = oracle::read(&kafka.bootstrap(), topic, partition, false);
                seen.iter().map(oracle::Seen::content).collect::<Vec<_>>()
            };
            let (a, b) = (read(source), read(target));
            assert!(a == b, "{topic}/{partition}: {} records in the source, {} restored", a.len(), b.len());
            records += a.len();
        }
    }
    records
}

/// A pipe that is full and that nobody empties: the end to read from, and the end to write to.
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut fill = writer.try_clone().unwrap();
    let filler = std::thread::spawn(move || {
        // Ends with the last reader: more than a pipe holds.
        let _ = std::io::Write::write_all(&mut fill, &vec![b'x'; 4 << 20]);
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!filler.is_finished());
    (reader, writer)
}

#[test]
fn output_that_nobody_reads_stops_neither_the_run_nor_its_end() {
    let (source, bench) = (Kafka::start(), Bench::new());
    load::create(&source.bootstrap(), "p", 1, 1, &[]);
    load::produce(&source.bootstrap(), "p", &[], make(0, 1_000, 1));
    for output in ["json", "text"] {
        let name = format!("pipe-{output}");
        let spec = follow(&bench, &name, &source.bootstrap(), "p");
        let (_stdout_reader, stdout) = full_pipe();
        let (_stderr_reader, stderr) = full_pipe();
        let mut command = bench.command("run", &spec, &["-o", output]);
        let mut child = command.env("KAFKA_BACKUP_LOG", "debug").stdout(stdout).stderr(stderr).spawn().unwrap();
        let points = || bench.archive().join(&name).join("points").read_dir().map_or(0, Iterator::count);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while points() == 0 {
            assert!(std::time::Instant::now() < deadline, "{output}: no point while nobody reads");
            std::thread::sleep(Duration::from_millis(100));
        }
        let asked = std::time::Instant::now();
        harness::process::signal(child.id(), "TERM");
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(75), "{output}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{output}: {:?}", asked.elapsed());
    }
}

#[test]
fn it_follows_finds_new_topics_and_partitions_and_goes_on_after_a_stop() {
    let (source, target, bench) = (Kafka::start(), Kafka::start(), Bench::new());
    let bootstrap = source.bootstrap();
    load::create(&bootstrap, "c-first", 2, 1, &[]);
    load::produce(&bootstrap, "c-first", &[], make(0, 2_000, 2));
    let spec = follow(&bench, "c", &bootstrap, "c-*");
    let mut live = bench.live(&spec);
    assert_eq!(live.wait("started", |_| true)["resumed"], false);
    live.point();
    load::produce(&bootstrap, "c-first", &[], make(2_000, 3_000, 2));
    load::create(&bootstrap, "c-second", 1, 1, &[]);
    load::produce(&bootstrap, "c-second", &[], make(0, 500, 1));
    load::grow(&bootstrap, "c-first", 3);
    live.wait("planned", |event| event["topics"] == 2 && event["partitions"] == 4);
    load::produce(&bootstrap, "c-first", &[], make(3_000, 4_000, 3));
    // Idle: no further recovery points, although checkpoints go on.
    caught_up(&mut live, 4_500);
    let listed = |bench: &Bench| {
        let text = bench.call("ls", &spec, &["-o", "json"]).ok().stdout;
        let sets: Value = serde_json::from_str(&text).unwrap();
        sets[0]["points"].as_array().unwrap().len()
    };
    let points = listed(&bench);
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(listed(&bench), points, "points without anything new");
    let ended = live.end("TERM");
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    assert_eq!(ended.report()["outcome"], "Interrupted");
    // While nobody watches, a topic is replaced; the same run goes on and begins a new lineage.
    load::delete(&bootstrap, "c-second");
    load::create(&bootstrap, "c-second", 1, 1, &[]);
    load::produce(&bootstrap, "c-second", &[], make(7_000, 7_100, 1));
    let mut live = bench.live(&spec);
    assert_eq!(live.wait("started", |_| true)["resumed"], true);
    caught_up(&mut live, 100);
    // And while it runs.
    load::delete(&bootstrap, "c-second");
    load::create(&bootstrap, "c-second", 1, 1, &[]);
    load::produce(&bootstrap, "c-second", &[], make(9_000, 9_300, 1));
    caught_up(&mut live, 400);
    assert_eq!(live.end("TERM").code, 75);
    bench.call("verify", &spec, &["c"]).ok();
    assert_eq!(compare(&bench, "c", &source, &target, &["c-first", "c-second"]), 4_300);
}

/// Each new topic makes the run plan again; that puts no recovery point off.
#[test]
fn topics_that_come_more_often_than_checkpoints_put_no_recovery_point_off() {
    let (source, bench) = (Kafka::start(), Bench::new());
    let bootstrap = source.bootstrap();
    load::create(&bootstrap, "often-0", 1, 1, &[]);
    let mut spec = follow(&bench, "often", &bootstrap, "often-*");
    spec["backup"]["checkpointIntervalSecs"] = 4.into();
    let mut live = bench.live(&spec);
    let (began, mut points) = (Instant::now(), 0);
    for number in 1.. {
        load::create(&bootstrap, &format!("often-{number}"), 1, 1, &[]);
        load::produce(&bootstrap, "often-0", &[], make(number * 100, number * 100 + 100, 1));
        let next = Instant::now() + Duration::from_secs(2);
        while Instant::now() < next {
            points += live.news().iter().filter(|(_, event)| event["sealed"] == true).count();
            std::thread::sleep(Duration::from_millis(100));
        }
        if began.elapsed() > Duration::from_secs(24) {
            break;
        }
    }
    // One for each of six intervals; each may wait for a plan.
    assert!(points >= 3, "{points} recovery points in 24 s");
    assert_eq!(live.end("TERM").code, 75);
}

#[test]
fn a_topic_that_is_gone_ends_no_run_that_goes_on_in_another_pod() {
    let (source, bench) = (Kafka::start(), Bench::new());
    let bootstrap = source.bootstrap();
    let mut spec = follow(&bench, "g", &bootstrap, "g-stays");
    spec["backup"]["topics"] = json!(["g-stays", "g-leaves"]);
    load::create(&bootstrap, "g-stays", 1, 1, &[]);
    // A name that was never there is a mistake, and is told before anything is written.
    bench.run(&spec).fails("KB2005", 4, &["g-leaves"]);
    load::create(&bootstrap, "g-leaves", 1, 1, &[]);
    load::produce(&bootstrap, "g-stays", &[], make(0, 100, 1));
    let mut live = bench.live(&spec);
    caught_up(&mut live, 100);
    live.end("KILL");
    load::delete(&bootstrap, "g-leaves");
    load::produce(&bootstrap, "g-stays", &[], make(100, 250, 1));
    let mut live = bench.live(&spec);
    assert_eq!(live.wait("started", |_| true)["resumed"], true);
    let told = live.wait("member", |event| event["topic"] == "g-leaves");
    assert_eq!(told["change"], "deleted", "{told}");
    caught_up(&mut live, 150);
    let ended = live.end("TERM");
    assert_eq!(ended.code, 75, "{}", ended.stderr);
    // The same where nothing is left.
    load::delete(&bootstrap, "g-stays");
    let mut live = bench.live(&spec);
    live.wait("member", |event| event["topic"] == "g-stays");
    load::create(&bootstrap, "g-stays", 1, 1, &[]);
    load::produce(&bootstrap, "g-stays", &[], make(0, 70, 1));
    caught_up(&mut live, 70);
    assert_eq!(live.end("TERM").code, 75);
    bench.call("verify", &spec, &["g"]).ok();
}

#[test]
fn kill_9_again_and_again_loses_and_doubles_nothing() {
    let (source, target, bench) = (Kafka::start(), Kafka::start(), Bench::new());
    let bootstrap = source.bootstrap();
    load::create(&bootstrap, "k", 3, 1, &[]);
    let spec = follow(&bench, "k", &bootstrap, "k");
    let done = AtomicBool::new(false);
    let mut number = 0;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut from = 0;
            while !done.load(Ordering::Relaxed) {
                load::produce(&bootstrap, "k", &[], make(from, from + 500, 3));
                from += 500;
                std::thread::sleep(Duration::from_millis(20));
            }
            from
        });
        for round in 0..6 {
            let mut live = bench.live(&spec);
            live.wait("committed", |event| event["sealed"] == (round % 2 == 0));
            std::thread::sleep(Duration::from_millis(150 * round));
            live.end("KILL");
        }
        done.store(true, Ordering::Relaxed);
        number = usize::try_from(writer.join().unwrap()).unwrap();
    });
    let mut live = bench.live(&spec);
    live.wait("progress", |event| event["lag"] == 0);
    std::thread::sleep(SEALED);
    assert_eq!(live.end("TERM").code, 75);
    bench.call("verify", &spec, &["k"]).ok();
    assert_eq!(compare(&bench, "k", &source, &target, &["k"]), number);
}

#[test]
fn progress_says_since_when_all_is_archived_and_what_an_overdue_point_waits_for() {
    let (source, bench) = (Kafka::start(), Bench::new());
    load::create(&source.bootstrap(), "slow", 1, 1, &[]);
    load::produce(&source.bootstrap(), "slow", &[], make(0, 100, 1));
    let mut spec = follow(&bench, "overdue", &source.bootstrap(), "slow");
    spec["backup"]["rateLimit"] = json!({"bytesPerSec": 150_000});
    let mut live = bench.live(&spec);
    let whole = live.wait("progress", |event| event["wholeAt"].is_string());
    assert!(whole.get("overdue").is_none_or(Value::is_null), "{whole}");
    // More than the limit lets through in three times five seconds.
    load::produce(&source.bootstrap(), "slow", &[], make(100, 40_000, 1));
    let overdue = live.wait("progress", |event| event["overdue"].is_string());
    let waits = overdue["overdue"].as_str().unwrap();
    assert!(waits.starts_with("it waits for slow/0, which is read up to offset "), "{waits}");
    let at = |event: &Value| event["wholeAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let told_at = overdue["at"].as_str().map(|at| at.parse::<jiff::Timestamp>().unwrap());
    assert!(told_at.is_none_or(|told| (told - at(&overdue)).get_seconds() >= 14), "{overdue}");
    // Once it is caught up nothing is overdue any more, and what was whole is newer.
    let again = live.wait("progress", |event| {
        event["records"] == 40_000 && event.get("overdue").is_none_or(Value::is_null) && at(event) > at(&overdue)
    });
    assert_eq!(again["lag"], 0, "{again}");
    live.end("TERM");
}
