//! Runs the runner and watches it: time, processor time, memory, and how far it is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::runner::Bench;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What one run took.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// From start to end.
    pub time: Duration,
    /// Seconds of processor time, all threads.
    pub cpu: f64,
    /// Those of them outside the kernel: its copies cost what the machine's memory costs at that moment.
    pub user: f64,
    /// Most resident memory.
    pub peak_mib: u64,
    /// Resident MiB over time (seconds).
    pub memory: Vec<(f64, f64)>,
    /// Bytes done over time (seconds), as the run's own progress events say.
    pub done: Vec<(f64, f64)>,
    /// The run's report, where it is a run.
    pub report: Value,
}

/// Runs `kafka-backup-runner COMMAND SPEC ARGUMENTS` to its end.
pub fn run(bench: &Bench, command: &str, spec: &Value, arguments: &[&str]) -> Measured {
    let started = Instant::now();
    let child = bench.command(command, spec, arguments).stdout(Stdio::piped()).spawn().unwrap();
    let (mut measured, done, report) = follow(child, started);
    (measured.done, measured.report) = (done, report);
    measured
}

/// Runs a program to its end, whose output goes nowhere.
pub fn watch(command: &mut Command) -> Measured {
    let started = Instant::now();
    follow(command.stdout(Stdio::piped()).spawn().unwrap(), started).0
}

/// Watches a process to its end, and reads the events that it writes.
fn follow(mut child: Child, started: Instant) -> (Measured, Vec<(f64, f64)>, Value) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let (mut done, mut report) = (vec![(0.0, 0.0)], Value::Null);
        while let Some(Ok(line)) = lines.next() {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["event"] == "progress" {
                done.push((started.elapsed().as_secs_f64(), event["bytes"].as_f64().unwrap_or(0.0)));
            } else if event["event"] == "report" {
                report = event["report"].clone();
            }
        }
        // It ends when its output does: looking at its memory is too coarse a clock.
        (done, report, started.elapsed())
    });
    let mut measured = Measured::default();
    while child.try_wait().unwrap().is_none() {
        look(child.id(), started, &mut measured);
        std::thread::sleep(LOOK);
    }
    assert!(child.wait().unwrap().code().is_some_and(|code| code <= 1), "it failed");
    let (done, report, time) = reader.join().unwrap();
    measured.time = time;
    (measured, done, report)
}

fn look(pid: u32, started: Instant, measured: &mut Measured) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let status = read("status");
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    measured.peak_mib = measured.peak_mib.max(mib("VmHWM:"));
    measured.memory.push((started.elapsed().as_secs_f64(), mib("VmRSS:") as f64));
    // utime and stime in hundredths of a second.
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    measured.cpu = f64::max(measured.cpu, (ticks(11) + ticks(12)) / 100.0);
    measured.user = f64::max(measured.user, ticks(11) / 100.0);
}
