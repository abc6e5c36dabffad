//! A source and a target cluster that the tests of one suite share, and the round trip that most tests are.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::kafka::{Kafka, Options};
use crate::oracle::{self, Seen};
use crate::runner::Bench;

static SOURCE: LazyLock<Kafka> = LazyLock::new(Kafka::start);
/// The target checks retention often, so that a restore that forgot to hold it off shows.
static TARGET: LazyLock<Kafka> = LazyLock::new(|| {
    let properties = vec!["log.retention.check.interval.ms=2000".to_owned()];
    Kafka::with(Options { properties, ..Options::default() })
});

/// The shared source cluster.
pub fn source() -> &'static Kafka {
    &SOURCE
}

/// The shared target cluster.
pub fn target() -> &'static Kafka {
    &TARGET
}

/// Merges `more` into the object `base`.
pub fn with(mut base: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        base[key] = value.clone();
    }
    base
}

/// Backs up one topic, verifies the point, restores it, and returns the restore's report.
pub fn round_trip(bench: &Bench, topic: &str, backup: &Value, restore: &Value) -> Value {
    let spec = bench.backup(topic, &source().bootstrap(), with(json!({"topics": [topic]}), backup));
    let report = bench.run(&spec).ok().report();
    let point = report["point"].as_str().expect("a point").to_owned();
    bench.call("verify", &spec, &[&point]).ok();
    let restore = bench.restore(&format!("{topic}-r"), &target().bootstrap(), with(json!({"from": point}), restore));
    bench.run(&restore).ok().report()
}

/// What consumers see of a partition on both sides, without offsets and timestamp types.
pub fn both(topic: &str, partition: i32) -> (Vec<Seen>, Vec<Seen>) {
    let content = |bootstrap: String| {
        oracle::read(&bootstrap, topic, partition, false).iter().map(Seen::content).collect::<Vec<_>>()
    };
    (content(source().bootstrap()), content(target().bootstrap()))
}

/// Panics unless a topic is equal on both sides; returns its records.
pub fn assert_equal(topic: &str) -> usize {
    let mut records = 0;
    for partition in 0..oracle::partitions(&source().bootstrap(), topic) {
        let (source, target) = both(topic, partition);
        assert_eq!(source.len(), target.len(), "{topic}/{partition}");
        for (position, (a, b)) in source.iter().zip(&target).enumerate() {
            assert_eq!(a, b, "{topic}/{partition}, record {position}");
        }
        records += source.len();
    }
    records
}
