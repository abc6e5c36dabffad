//! How fast each work is, next to its yardsticks.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::{Measured, run};
use super::rows::{Row, Yardstick, compare};
use super::topics::{PARTITIONS, fill};
use super::{bare, yardsticks};
use crate::kafka::Kafka;
use crate::runner::Bench;
use crate::s3::S3;
use crate::{load, oracle};

/// A topic that is backed up again and again.
struct Source<'a> {
    kafka: &'a Kafka,
    topic: String,
    size: usize,
    records: i64,
    ends: Vec<i64>,
    rounds: usize,
    /// Runs so far: names never repeat.
    count: Cell<u32>,
}

/// All works for records of one size.
pub fn rates(kafka: &Kafka, size: usize, records: i64, rounds: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let plain = Source::fill(kafka, size, records, rounds, "none");
    // The batches as a broker sends them, for yardsticks that need bytes.
    let files = tempfile::tempdir().unwrap();
    bare::fetch(&kafka.bootstrap(), &plain.topic, &plain.ends, files.path());
    rows.extend(plain.backups(files.path()));
    rows.extend(plain.s3());
    drop(files);
    rows.extend(plain.verify_and_restore());
    plain.delete();
    let packed = Source::fill(kafka, size, records, rounds, "lz4");
    rows.extend(packed.pass_through("lz4 of the producer as it is"));
    packed.delete();
    rows
}

impl<'a> Source<'a> {
    fn fill(kafka: &'a Kafka, size: usize, records: i64, rounds: usize, codec: &str) -> Self {
        let (topic, bootstrap) = (format!("bench-{size}-{codec}"), kafka.bootstrap());
        println!("{topic}: {records} records of {size} B");
        fill(&bootstrap, &topic, PARTITIONS, size, records, codec);
        let ends = (0..PARTITIONS).map(|p| oracle::end(&bootstrap, &topic, p)).collect();
        Self { kafka, topic, size, records, ends, rounds, count: Cell::new(0) }
    }

    fn delete(&self) {
        load::delete(&self.kafka.bootstrap(), &self.topic);
    }

    fn payload_mb(&self) -> f64 {
        (self.records * self.size as i64) as f64 / 1e6
    }

    fn next(&self, what: &str) -> String {
        self.count.set(self.count.get() + 1);
        format!("{what}-{}", self.count.get())
    }

    fn compare(&self, work: &str, ours: impl FnMut() -> Measured, yardsticks: &mut [Yardstick<'_>]) -> Vec<Row> {
        compare(&format!("{work}, {} B", self.size), self.payload_mb(), self.rounds, ours, yardsticks)
    }

    /// Backs up once, and removes the archive.
    fn backup(&self, codec: &str, level: i32) -> Measured {
        let bench = Bench::new();
        let spec = self.backup_spec(&bench, &self.next("b"), codec, level);
        run(&bench, "run", &spec, &[])
    }

    fn backup_spec(&self, bench: &Bench, name: &str, codec: &str, level: i32) -> Value {
        let backup = json!({"topics": [self.topic], "compression": codec, "compressionLevel": level});
        bench.backup(name, &self.kafka.bootstrap(), backup)
    }

    fn bare_fetch(&self) -> Yardstick<'_> {
        Yardstick::new("bare fetch loop with fsync", || {
            let files = tempfile::tempdir().unwrap();
            bare::fetch(&self.kafka.bootstrap(), &self.topic, &self.ends, files.path()).1
        })
    }

    fn backups(&self, files: &Path) -> Vec<Row> {
        let mut fetches = [
            self.bare_fetch(),
            Yardstick::slow("librdkafka consumer", || {
                yardsticks::librdkafka(&self.kafka.bootstrap(), &self.topic, &self.ends)
            }),
            Yardstick::slow("kafka-consumer-perf-test", || {
                yardsticks::consumer_perf(self.kafka, &self.topic, self.records)
            }),
        ];
        let mut rows = self.compare("backup, none", || self.backup("none", 1), &mut fetches);
        for (codec, level) in [("lz4", 1), ("zstd", 1), ("zstd", 3)] {
            let label = if codec == "zstd" { format!("zstd {level}") } else { codec.to_owned() };
            let core = Yardstick::new(format!("one core of {label}"), || yardsticks::one_core(codec, level, files));
            rows.extend(self.compare(&format!("backup, {label}"), || self.backup(codec, level), &mut [core]));
        }
        rows
    }

    fn pass_through(&self, label: &str) -> Vec<Row> {
        self.compare(&format!("backup, {label}"), || self.backup("zstd", 3), &mut [self.bare_fetch()])
    }

    fn s3(&self) -> Vec<Row> {
        let s3 = S3::start();
        let mut bench = Bench::new();
        bench.storage = s3.storage(bench.dir.path(), "archive");
        let ours = || {
            let measured = run(&bench, "run", &self.backup_spec(&bench, &self.next("s3"), "none", 1), &[]);
            fs::remove_dir_all(s3.folder().join("archive/team")).unwrap();
            measured
        };
        self.compare("backup to S3, none", ours, &mut [self.bare_fetch()])
    }

    fn verify_and_restore(&self) -> Vec<Row> {
        let bench = Bench::new();
        let from = self.next("v");
        let spec = self.backup_spec(&bench, &from, "none", 1);
        run(&bench, "run", &spec, &[]);
        let cat = Yardstick::new("cat of the archive", || yardsticks::cat(&bench.archive(), &from));
        let hash =
            Yardstick::new("bare loop that reads and hashes, all cores", || yardsticks::hash(&bench.archive(), &from));
        let verify = || run(&bench, "verify", &spec, &["--level", "checksum", &from]);
        let mut rows = self.compare("verify, structure and checksum", verify, &mut [cat, hash]);
        for headers in [false, true] {
            rows.extend(self.restore(&bench, &from, headers));
        }
        rows
    }

    fn restore(&self, bench: &Bench, from: &str, headers: bool) -> Vec<Row> {
        let bootstrap = self.kafka.bootstrap();
        let files = tempfile::tempdir().unwrap();
        let ours = || {
            let to = self.next("restored");
            let mapping = json!({&self.topic: to});
            let restore = json!({"from": from, "includeOffsetHeaders": headers, "topicMapping": mapping});
            let measured = run(bench, "run", &bench.restore(&to, &bootstrap, restore), &[]);
            if fs::read_dir(files.path()).unwrap().next().is_none() {
                let ends: Vec<i64> = (0..PARTITIONS).map(|p| oracle::end(&bootstrap, &to, p)).collect();
                bare::fetch(&bootstrap, &to, &ends, files.path());
            }
            load::delete(&bootstrap, &to);
            measured
        };
        let into_new_topic = |produce: &dyn Fn(&str) -> Duration| {
            let to = self.next("yardstick");
            load::create(&bootstrap, &to, PARTITIONS, 1, &[("max.message.bytes", "10000000")]);
            let time = produce(&to);
            load::delete(&bootstrap, &to);
            time
        };
        let bare = || into_new_topic(&|to| bare::produce(&bootstrap, to, PARTITIONS as usize, files.path()));
        let mut yardsticks = vec![Yardstick::new("bare produce loop of the same batches", bare)];
        if !headers {
            let perf = || into_new_topic(&|to| yardsticks::producer_perf(self.kafka, to, self.records, self.size));
            yardsticks.push(Yardstick::slow("kafka-producer-perf-test", perf));
        }
        let work = if headers { "restore with offset headers" } else { "restore" };
        self.compare(work, ours, &mut yardsticks)
    }
}
