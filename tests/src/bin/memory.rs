//! Peak memory of backup and restore: 2 GB in one partition and in 1,000 (or the sizes given in MiB).

use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::kafka::Kafka;
use harness::load::{self, Make, T0};
use harness::runner::Bench;
use serde_json::{Value, json};

fn main() {
    let mib: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2000);
    println!("{:<12} {:>10} {:>12} {:>10} {:>10}", "PARTITIONS", "MiB", "WORK", "PEAK MiB", "SECONDS");
    for partitions in [1, 1000] {
        let source = Kafka::start();
        load::create(&source.bootstrap(), "memory", partitions, 1, &[]);
        let make = |n: i64| Make {
            timestamp: Some(T0 + n),
            value: Some(
                format!(
                    "{{\"n\":{n},\"noise\":\"{:064x}\",\"text\":\"{}\"}}",
                    n.wrapping_mul(0x9e37_79b9),
                    "x".repeat(880)
                )
                .into_bytes(),
            ),
            ..Make::new(n, i32::try_from(n % i64::from(partitions)).unwrap())
        };
        load::produce(&source.bootstrap(), "memory", &[("batch.size", "262144")], (0..mib * 1024).map(make));
        let bench = Bench::new();
        let backup = bench.backup("memory", &source.bootstrap(), json!({"topics": ["memory"]}));
        measure(&bench, &backup, partitions, mib, "backup");
        let target = Kafka::start();
        let restore = bench.restore("memory", &target.bootstrap(), json!({"from": "memory"}));
        measure(&bench, &restore, partitions, mib, "restore");
    }
}

/// Runs a specification and prints the most resident memory that it had.
fn measure(bench: &Bench, spec: &Value, partitions: i32, mib: i64, work: &str) {
    let started = Instant::now();
    let mut child = bench.command("run", spec, &[]).stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
        peak = peak.max(line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.wait().unwrap().success(), "{work} failed");
    println!("{partitions:<12} {mib:>10} {work:>12} {:>10} {:>10.1}", peak / 1024, started.elapsed().as_secs_f64());
}
