//! An application of Kafka Streams whose members speak the protocol of streams groups (KIP-1071): it copies one topic to another.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::kafka::{Kafka, NEW};
use crate::process::{Scratch, fetch};

/// An application that works; it ends with this value.
#[derive(Debug)]
pub struct Application {
    process: Child,
    dir: Scratch,
}

impl Application {
    /// Starts one whose group is `id`.
    pub fn start(kafka: &Kafka, id: &str, from: &str, to: &str) -> Self {
        let libs = fetch(&["kafka", &format!("streams-{NEW}")]);
        let dir = Scratch::new("kafka-backup-streams-");
        let log = File::create(dir.path().join("log")).unwrap();
        let source = format!("servers/kafka-streams-{NEW}/Copies.java");
        let process = Command::new("java")
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(libs.join("*"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
            .args([&kafka.bootstrap(), id, from, to])
            .arg(dir.path().join("state"))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, dir }
    }

    /// What it says.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Ends it as a user does: what it has read is committed, and it leaves its group.
    pub fn stop(mut self) {
        drop(self.process.stdin.take());
        let ended = self.process.wait().unwrap();
        assert!(ended.success(), "{}", self.log());
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // It goes on only while its standard input is open.
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
