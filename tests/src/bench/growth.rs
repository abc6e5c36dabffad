//! How time and memory grow with bytes and with partitions.

use serde_json::{Value, json};

use super::measure::{Measured, run};
use super::plot::{Line, Panel, svg};
use super::topics::fill;
use crate::kafka::Kafka;
use crate::load;
use crate::runner::Bench;

/// Record size.
const SIZE: usize = 1024;

/// A backup and a restore of a topic.
pub struct Step {
    /// Payload MiB.
    pub mib: i64,
    /// Partitions.
    pub partitions: i32,
    /// The backup (zstd 3).
    pub backup: Measured,
    /// The restore with offset headers.
    pub restore: Measured,
}

/// Backs up and restores one topic of this size.
pub fn step(kafka: &Kafka, mib: i64, partitions: i32) -> Step {
    let (bootstrap, topic) = (kafka.bootstrap(), format!("growth-{mib}-{partitions}"));
    fill(&bootstrap, &topic, partitions, SIZE, mib * 1024, "none");
    let bench = Bench::new();
    let backup = run(&bench, "run", &bench.backup("growth", &bootstrap, json!({"topics": [topic]})), &["-o", "json"]);
    load::delete(&bootstrap, &topic);
    let restore = bench.restore("growth", &bootstrap, json!({"from": "growth"}));
    let restore = run(&bench, "run", &restore, &["-o", "json"]);
    load::delete(&bootstrap, &topic);
    let step = Step { mib, partitions, backup, restore };
    println!("{}", step.text());
    step
}

impl Step {
    /// A line of the table.
    pub fn text(&self) -> String {
        let side = |m: &Measured| {
            format!("{:.1} s, {:.2} s per GiB, {} MiB", m.time.as_secs_f64(), self.per_gib(m), m.peak_mib)
        };
        format!("| {} MiB | {} | {} | {} |", self.mib, self.partitions, side(&self.backup), side(&self.restore))
    }

    fn per_gib(&self, measured: &Measured) -> f64 {
        measured.time.as_secs_f64() / (self.mib as f64 / 1024.0)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let side =
            |m: &Measured| json!({"s": m.time.as_secs_f64(), "s_per_gib": self.per_gib(m), "rss_mib": m.peak_mib});
        json!({
            "mib": self.mib, "partitions": self.partitions, "backup": side(&self.backup), "restore": side(&self.restore),
        })
    }
}

/// All steps as a table.
pub fn table(steps: &[Step]) -> String {
    let lines: Vec<_> = steps.iter().map(Step::text).collect();
    format!(
        "| payload | partitions | backup, zstd 3 | restore with offset headers |\n|---|---|---|---|\n{}\n",
        lines.join("\n")
    )
}

/// Rate and memory of one step over time.
pub fn over_time(step: &Step) -> String {
    let rate = |m: &Measured| -> Vec<(f64, f64)> {
        m.done.windows(2).map(|pair| (pair[1].0, (pair[1].1 - pair[0].1) / 1e6 / (pair[1].0 - pair[0].0))).collect()
    };
    let both = |f: &dyn Fn(&Measured) -> Vec<(f64, f64)>| -> Vec<Line> {
        vec![("backup".to_owned(), f(&step.backup)), ("restore".to_owned(), f(&step.restore))]
    };
    let title = format!("Rate, MB/s ({} MiB in {} partition)", step.mib, step.partitions);
    svg(&[
        Panel { title: &title, x: "seconds", lines: &both(&rate) },
        Panel { title: "Resident memory, MiB", x: "seconds", lines: &both(&|m| m.memory.clone()) },
    ])
}

/// Time and memory against size.
pub fn against_size(steps: &[&Step]) -> String {
    let both = |f: &dyn Fn(&Measured) -> f64| -> Vec<Line> {
        let line = |side: fn(&Step) -> &Measured| {
            steps.iter().map(|step| (step.mib as f64 / 1024.0, f(side(step)))).collect::<Vec<_>>()
        };
        vec![("backup".to_owned(), line(|s| &s.backup)), ("restore".to_owned(), line(|s| &s.restore))]
    };
    svg(&[
        Panel { title: "Time, seconds", x: "GiB", lines: &both(&|m| m.time.as_secs_f64()) },
        Panel { title: "Peak memory, MiB", x: "GiB", lines: &both(&|m| m.peak_mib as f64) },
    ])
}
