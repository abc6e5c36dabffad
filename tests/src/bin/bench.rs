//! The benchmark: backups, restores and verification next to yardsticks that are measured in the same run.
//!
//! usage: bench [MIB]     payload of the topic with records of 1 KiB; a tenth of it for records of 100 B

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::kafka::Kafka;
use harness::load::{self, Make, T0};
use harness::runner::Bench;
use harness::{bare, oracle};
use serde_json::{Value, json};

const PARTITIONS: i32 = 4;

struct Line {
    work: String,
    mb_per_s: f64,
    yardstick: String,
    yardstick_mb_per_s: f64,
    cpu_s_per_gb: f64,
    peak_mib: u64,
}

struct Measured {
    time: Duration,
    cpu: f64,
    peak_mib: u64,
}

fn main() {
    let mib: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2000);
    let kafka = Kafka::start();
    let mut lines = Vec::new();
    for (size, records) in [(1024usize, mib * 1024), (100, mib * 1024 / 10 * 1024 / 100)] {
        bench(&kafka, size, records, &mut lines);
    }
    let mut table = String::from(
        "| work | MB/s | yardstick | MB/s | ratio | core-s per GB | peak MiB |\n|---|---|---|---|---|---|---|\n",
    );
    for line in &lines {
        let ratio = line.mb_per_s / line.yardstick_mb_per_s;
        writeln!(
            table,
            "| {} | {:.0} | {} | {:.0} | {ratio:.2} | {:.2} | {} |",
            line.work, line.mb_per_s, line.yardstick, line.yardstick_mb_per_s, line.cpu_s_per_gb, line.peak_mib
        )
        .unwrap();
    }
    println!("\n{table}");
    let rows: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "work": line.work, "mbPerSec": line.mb_per_s, "yardstick": line.yardstick,
                "yardstickMbPerSec": line.yardstick_mb_per_s, "coreSecPerGb": line.cpu_s_per_gb, "peakMib": line.peak_mib,
            })
        })
        .collect();
    fs::create_dir_all("target/bench").unwrap();
    fs::write("target/bench/latest.json", serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
}

/// Text like events have, different in each record, padded to the size.
fn fill(bootstrap: &str, topic: &str, size: usize, records: i64) {
    load::create(bootstrap, topic, PARTITIONS, 1, &[]);
    let make = |n: i64| {
        let mut value = format!("{{\"id\":{n},\"user\":\"{:x}\",\"amount\":{}}}", n.wrapping_mul(0x9e37_79b9), n % 977);
        // About as compressible as events are: names repeat, half of the values do not.
        let mut state = n.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while value.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            write!(value, ",\"field-{}\":\"{:08x}\"", state % 40, state >> 32).unwrap();
        }
        value.truncate(size);
        Make {
            key: None,
            timestamp: Some(T0 + n),
            value: Some(value.into_bytes()),
            ..Make::new(n, i32::try_from(n % i64::from(PARTITIONS)).unwrap())
        }
    };
    load::produce(bootstrap, topic, &[("batch.size", "1000000"), ("linger.ms", "50")], (0..records).map(make));
}

fn run(bench: &Bench, command: &str, spec: &Value, arguments: &[&str]) -> Measured {
    let started = Instant::now();
    let mut child = bench.command(command, spec, arguments).stdout(Stdio::null()).spawn().unwrap();
    let (mut peak_mib, mut cpu) = (0, 0.0);
    while child.try_wait().unwrap().is_none() {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
        let status = read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
        peak_mib =
            peak_mib.max(line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024);
        // utime and stime in hundredths of a second.
        let stat = read("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        cpu = f64::max(cpu, (ticks(11) + ticks(12)) / 100.0);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success(), "{command} failed");
    Measured { time: started.elapsed(), cpu, peak_mib }
}

fn bench(kafka: &Kafka, size: usize, records: i64, lines: &mut Vec<Line>) {
    let bootstrap = kafka.bootstrap();
    let topic = format!("bench-{size}");
    println!("{topic}: {records} records of {size} B");
    fill(&bootstrap, &topic, size, records);
    let ends: Vec<i64> = (0..PARTITIONS).map(|p| oracle::end(&bootstrap, &topic, p)).collect();
    let payload = (records * size as i64) as f64 / 1e6;
    let scratch = tempfile::tempdir().unwrap();
    let (_, bare_fetch) = bare::fetch(&bootstrap, &topic, &ends, scratch.path());
    let bench = Bench::new();
    let mut line = |work: &str, measured: &Measured, yardstick: &str, time: Duration| {
        lines.push(Line {
            work: format!("{work}, {size} B"),
            mb_per_s: payload / measured.time.as_secs_f64(),
            yardstick: yardstick.to_owned(),
            yardstick_mb_per_s: payload / time.as_secs_f64(),
            cpu_s_per_gb: measured.cpu / (payload / 1000.0),
            peak_mib: measured.peak_mib,
        });
        println!("  {work}: {:.1} s, {yardstick}: {:.1} s", measured.time.as_secs_f64(), time.as_secs_f64());
    };
    for (codec, level) in [("none", None), ("lz4", None), ("zstd", Some(1)), ("zstd", Some(3))] {
        let name = format!("{topic}-{codec}-{}", level.unwrap_or(0));
        let backup = json!({"topics": [topic], "compression": codec, "compressionLevel": level.unwrap_or(1)});
        let measured = run(&bench, "run", &bench.backup(&name, &bootstrap, backup), &[]);
        let label = level.map_or_else(|| codec.to_owned(), |level| format!("{codec} {level}"));
        if codec == "none" {
            line(&format!("backup, {label}"), &measured, "bare fetch loop with fsync", bare_fetch);
        } else {
            let time = one_core(codec, level, scratch.path());
            line(&format!("backup, {label}"), &measured, &format!("one core of {label}"), time);
        }
    }
    let from = format!("{topic}-none-0");
    let spec = bench.backup(&from, &bootstrap, json!({"topics": [topic]}));
    let cat = cat(&bench.archive(), &from);
    for level in ["structure", "checksum"] {
        let measured = run(&bench, "verify", &spec, &["--level", level, &from]);
        line(&format!("verify, {level}"), &measured, "cat of the archive", cat);
    }
    for headers in [false, true] {
        let to = format!("{topic}-{}", if headers { "headers" } else { "plain" });
        let restore = json!({"from": from, "includeOffsetHeaders": headers, "topicMapping": {&topic: to}});
        let measured = run(&bench, "run", &bench.restore(&to, &bootstrap, restore), &[]);
        let files = tempfile::tempdir().unwrap();
        let ends: Vec<i64> = (0..PARTITIONS).map(|p| oracle::end(&bootstrap, &to, p)).collect();
        bare::fetch(&bootstrap, &to, &ends, files.path());
        let again = format!("{to}-bare");
        load::create(&bootstrap, &again, PARTITIONS, 1, &[("max.message.bytes", "10000000")]);
        let time = bare::produce(&bootstrap, &again, PARTITIONS as usize, files.path());
        let label = if headers { "restore with offset headers" } else { "restore" };
        line(label, &measured, "bare produce loop of the same batches", time);
        for done in [to, again] {
            load::delete(&bootstrap, &done);
        }
    }
    load::delete(&bootstrap, &topic);
}

/// One core of a codec's own library over the batches as they were fetched, in pieces of 1 MiB.
fn one_core(codec: &str, level: Option<i32>, dir: &Path) -> Duration {
    let mut spent = Duration::ZERO;
    for file in fs::read_dir(dir).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let started = Instant::now();
        for piece in bytes.chunks(1 << 20) {
            let packed = match codec {
                "lz4" => lz4_flex::block::compress(piece),
                _ => zstd::bulk::compress(piece, level.unwrap_or(3)).unwrap(),
            };
            assert!(!packed.is_empty());
        }
        spent += started.elapsed();
    }
    spent
}

/// Reading the set's segments once, as `cat` does.
fn cat(archive: &Path, set: &str) -> Duration {
    let started = Instant::now();
    let mut cat = Command::new("sh");
    // A full backup is a set of its own, with a stamp behind its name.
    cat.arg("-c").arg("cat $(find \"$0\"-* -name '*.seg') > /dev/null").arg(archive.join(set));
    assert!(cat.status().unwrap().success());
    started.elapsed()
}
