//! Lines of the table in docs/reliability.md: what was injected, how often, and what came of it.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use crate::load::{self, Make};
use crate::oracle;

/// Whether the long form runs (`just torture`).
pub fn torture() -> bool {
    std::env::var("TORTURE").is_ok()
}

/// `short` in CI, `long` under torture.
pub fn rounds(short: u64, long: u64) -> u64 {
    if torture() { long } else { short }
}

/// The result of one kind of fault. `lost` and `doubled` were counted by comparing with an independent client.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was injected.
    pub fault: String,
    /// Runs that met faults.
    pub rounds: u64,
    /// Faults in all.
    pub injected: u64,
    /// Records compared.
    pub records: u64,
    /// Records that are missing at the end.
    pub lost: u64,
    /// Records that are there more than once.
    pub doubled: u64,
    /// The longest time from a fault to the end of the run that recovered.
    pub recovery: Duration,
}

impl Outcome {
    /// Prints the line, and appends it to the file that `RELIABILITY` names; panics if anything was lost or doubled.
    pub fn report(&self) {
        let line = format!(
            "| {} | {} | {} | {} | {} | {} | {:.1} s |",
            self.fault,
            self.rounds,
            self.injected,
            self.records,
            self.lost,
            self.doubled,
            self.recovery.as_secs_f64()
        );
        println!("{line}");
        if let Ok(path) = std::env::var("RELIABILITY") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{line}").unwrap();
        }
        assert!(self.rounds > 0 && self.injected > 0, "nothing was injected: {self:?}");
        assert_eq!((self.lost, self.doubled), (0, 0), "{self:?}");
    }
}

/// How often a record is there: by key, value and time.
type Counts = HashMap<(Option<Vec<u8>>, Option<Vec<u8>>, i64), i64>;

/// Records of both sides by partition and content: what is missing, and what is there too often.
pub fn compare(source: &str, topic: &str, target: &str, restored: &str) -> (u64, u64, u64) {
    let (mut records, mut lost, mut doubled) = (0, 0, 0);
    for partition in 0..oracle::partitions(source, topic) {
        let mut counts = Counts::new();
        for seen in oracle::read(source, topic, partition, false) {
            *counts.entry((seen.key, seen.value, seen.timestamp)).or_default() += 1;
            records += 1;
        }
        for seen in oracle::read(target, restored, partition, false) {
            *counts.entry((seen.key, seen.value, seen.timestamp)).or_default() -= 1;
        }
        lost += counts.values().filter(|count| **count > 0).sum::<i64>().unsigned_abs();
        doubled += counts.values().filter(|count| **count < 0).sum::<i64>().unsigned_abs();
    }
    (records, lost, doubled)
}

/// Makes a topic of three partitions with records of this size.
pub fn fill(bootstrap: &str, topic: &str, records: i64, size: usize) {
    load::create(bootstrap, topic, 3, 1, &[]);
    append(bootstrap, topic, 0, records, size);
}

/// Adds the records from `from` to `to` to such a topic.
pub fn append(bootstrap: &str, topic: &str, from: i64, to: i64, size: usize) {
    let make = |n: i64| Make {
        value: Some(format!("{n:0>size$}").into_bytes()),
        ..Make::new(n, i32::try_from(n % 3).unwrap())
    };
    load::produce(bootstrap, topic, &[("batch.size", "65536")], (from..to).map(make));
}
