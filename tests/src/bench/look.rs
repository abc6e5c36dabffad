//! What a person waits for: the first record of an archive, a search through all of it, the state of many resources, and
//! the start of the program.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::measure::{Measured, run, watch};
use super::rows::median;
use super::topics::event;
use crate::cluster::Cluster;
use crate::kafka::Kafka;
use crate::load::{self, Make, T0};
use crate::plugin::binary;
use crate::runner::Bench;

/// Resources that `status` shows.
const RESOURCES: usize = 1_000;
/// Times that a short call is measured.
const TIMES: usize = 20;

/// What looking takes.
pub struct Look {
    mib: i64,
    offset: Measured,
    time: Measured,
    key: Measured,
    status: f64,
    start: f64,
    binary_mb: f64,
}

/// Backs up a topic of this size and looks into it; then at many resources.
pub fn look(kafka: &Kafka, mib: i64) -> Look {
    let bootstrap = kafka.bootstrap();
    load::create(&bootstrap, "look", 4, 1, &[]);
    let count = mib * 1024;
    let make = |n: i64| Make {
        key: Some(format!("key-{n}").into_bytes()),
        timestamp: Some(T0 + n),
        value: Some(event(n, 1_000)),
        ..Make::new(n, i32::try_from(n % 4).unwrap())
    };
    load::produce(&bootstrap, "look", &[("batch.size", "1000000"), ("linger.ms", "50")], (0..count).map(make));
    let bench = Bench::new();
    run(&bench, "run", &bench.backup("look", &bootstrap, json!({"topics": ["look"]})), &["-o", "json"]);
    load::delete(&bootstrap, "look");
    let archive = bench.archive();
    let peek = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command
            .args(["peek", "look", "look", "--limit", "1", "--store", archive.to_str().unwrap(), "-q"])
            .args(arguments);
        watch(&mut command)
    };
    let look = Look {
        mib,
        offset: peek(&["-p", "2", "--offset", &(count / 8).to_string()]),
        time: peek(&["--at", &(T0 + count / 2).to_string()]),
        key: peek(&["--key", "not-there"]),
        status: status(),
        start: start(),
        binary_mb: size(),
    };
    println!("{}", look.text());
    look
}

/// Seconds for `status -A` on many resources.
fn status() -> f64 {
    let cluster = Cluster::start();
    cluster.definitions();
    let item = |number: usize| {
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {"name": format!("backup-{number}"), "namespace": "default"},
            "spec": {"kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"], "schedule": "0 0 2 * * *",
                     "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}}},
        })
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": (0..RESOURCES).map(item).collect::<Vec<_>>()});
    let made = cluster.kubectl_with(&cluster.kubeconfig(), &["create", "-f", "-"], &list.to_string());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = Command::new(binary());
    command.args(["status", "-A"]).env("KUBECONFIG", cluster.kubeconfig());
    median(&(0..5).map(|_| watch(&mut command).time.as_secs_f64()).collect::<Vec<_>>())
}

/// Seconds from start to end of a call that asks nobody.
fn start() -> f64 {
    let once = |_| {
        let begun = Instant::now();
        let mut command = Command::new(binary());
        assert!(command.args(["version", "--client"]).stdout(Stdio::null()).status().unwrap().success());
        begun.elapsed().as_secs_f64()
    };
    median(&(0..TIMES).map(once).collect::<Vec<_>>())
}

/// Megabytes of the program as it is packed.
fn size() -> f64 {
    std::fs::metadata(binary()).unwrap().len() as f64 / 1e6
}

impl Look {
    fn per_core(&self) -> f64 {
        (self.mib << 20) as f64 / 1e6 / self.key.cpu.max(0.01)
    }

    /// As sentences.
    pub fn text(&self) -> String {
        format!(
            "Looking into an archive of {} MiB: `peek` shows the record at an offset after {:.2} s and one at a time after {:.2} s; a \
             search for a key that is not there takes {:.1} s, {:.0} MB/s of decompressed bytes per core, {} MiB. `status` of {} \
             resources: {:.2} s. Start of the program: {:.0} ms; its size: {:.1} MB.",
            self.mib,
            self.offset.time.as_secs_f64(),
            self.time.time.as_secs_f64(),
            self.key.time.as_secs_f64(),
            self.per_core(),
            self.key.peak_mib,
            RESOURCES,
            self.status,
            self.start * 1e3,
            self.binary_mb
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "mib": self.mib, "offset_s": self.offset.time.as_secs_f64(), "time_s": self.time.time.as_secs_f64(),
            "key_s": self.key.time.as_secs_f64(), "key_mb_s_per_core": self.per_core(), "key_rss_mib": self.key.peak_mib,
            "status_s": self.status, "start_s": self.start, "binary_mb": self.binary_mb,
        })
    }
}
