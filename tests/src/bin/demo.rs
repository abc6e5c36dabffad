//! The demo: a source is backed up, lost, restored into another cluster and compared record by record.
//!
//! Everything is real: Apache Kafka brokers, the runner as a process, librdkafka as the judge. Exit code 0 only
//! when every topic is equal on both sides.

use std::time::Instant;

use harness::kafka::Kafka;
use harness::runner::{Bench, files};
use harness::{load, oracle};
use serde_json::json;

fn main() -> std::process::ExitCode {
    let started = Instant::now();
    let step = |text: &str| println!("[{:5.1} s] {text}", started.elapsed().as_secs_f64());
    step("starting a source broker (Apache Kafka 4.3.1)");
    let mut source = Kafka::start();
    step("writing a mixed load: five codecs, headers, tombstones, transactions with aborts, a compacted topic");
    let topics = load::mixed(&source.bootstrap(), 30_000);
    let before: Vec<_> = topics.iter().map(|topic| oracle::digest(&source.bootstrap(), topic, None)).collect();
    let bench = Bench::new();
    step(&format!("backing up into {}", bench.archive().display()));
    let backup = json!({"topics": ["*"], "includeOffsetHeaders": false, "consumerGroupSnapshot": true});
    let spec = bench.backup("demo", &source.bootstrap(), backup);
    let report = bench.run(&spec).ok().report();
    let point = report["point"].as_str().unwrap().to_owned();
    let stored: u64 = files(&bench.archive()).iter().map(|(_, size)| size).sum();
    step(&format!("recovery point {point}: {} records, {stored} bytes in the archive", report["records"]));
    step("verifying every byte of it");
    print!("{}", bench.call("verify", &spec, &[&point]).ok().stdout);
    step("the source is lost (kill -9)");
    source.stop(0, true);
    step("starting an empty target broker");
    let target = Kafka::start();
    step("restoring");
    bench.run(&bench.restore("demo-restore", &target.bootstrap(), json!({"from": point}))).ok();
    step("comparing both sides as librdkafka saw them");
    println!("\n{:<14} {:>8} {:>10}  {:<16}  {:<16}  RESULT", "TOPIC", "RECORDS", "BYTES", "SOURCE", "TARGET");
    let mut equal = true;
    for (topic, (records, bytes, digest)) in topics.iter().zip(before) {
        let after = oracle::digest(&target.bootstrap(), topic, None);
        let same = after == (records, bytes, digest.clone());
        equal &= same;
        println!(
            "{topic:<14} {records:>8} {bytes:>10}  {digest:<16}  {:<16}  {}",
            after.2,
            if same { "equal" } else { "DIFFERENT" }
        );
    }
    println!();
    step(if equal { "everything is equal" } else { "THERE ARE DIFFERENCES" });
    std::process::ExitCode::from(u8::from(!equal))
}
