//! Many quiet partitions: objects per run, memory, and a run that finds nothing new.

use std::path::Path;

use serde_json::{Value, json};

use super::measure::{Measured, run};
use super::topics::fill;
use crate::kafka::Kafka;
use crate::runner::Bench;

const TOPICS: i32 = 20;
const EACH: i32 = 100;
const RECORDS: i64 = 10_000;

/// What an incremental set of many partitions takes.
pub struct Wide {
    first: Measured,
    first_objects: usize,
    idle: Measured,
    idle_objects: usize,
}

/// Runs an incremental backup of 2,000 partitions twice.
pub fn wide(kafka: &Kafka) -> Wide {
    let bootstrap = kafka.bootstrap();
    for number in 0..TOPICS {
        fill(&bootstrap, &format!("wide-{number}"), EACH, 1024, RECORDS, "none");
    }
    let bench = Bench::new();
    let spec = bench.backup("wide", &bootstrap, json!({"topics": ["wide-*"], "incremental": true}));
    let first = run(&bench, "run", &spec, &["-o", "json"]);
    let first_objects = objects(&bench.archive());
    let idle = run(&bench, "run", &spec, &["-o", "json"]);
    let wide = Wide { first, first_objects, idle, idle_objects: objects(&bench.archive()) - first_objects };
    assert_eq!(wide.first.report["records"], i64::from(TOPICS) * RECORDS);
    println!("{}", wide.text());
    wide
}

fn objects(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { objects(&path) } else { 1 }).sum()
}

impl Wide {
    /// As a sentence.
    pub fn text(&self) -> String {
        format!(
            "{} partitions in one incremental set: the first run took {:.1} s, wrote {} objects and needed {} MiB; \
             a run with nothing new took {:.2} s and wrote {} objects.",
            TOPICS * EACH,
            self.first.time.as_secs_f64(),
            self.first_objects,
            self.first.peak_mib,
            self.idle.time.as_secs_f64(),
            self.idle_objects
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "partitions": TOPICS * EACH, "first_s": self.first.time.as_secs_f64(), "first_objects": self.first_objects,
            "first_rss_mib": self.first.peak_mib, "idle_s": self.idle.time.as_secs_f64(), "idle_objects": self.idle_objects,
        })
    }
}
