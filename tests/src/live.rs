//! A runner that is watched while it works.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::signal;
use crate::runner::{Bench, Ended};

/// A running runner.
#[derive(Debug)]
pub struct Live {
    child: Child,
    /// Events, and when they came.
    events: Receiver<(Instant, Value)>,
    lines: Vec<String>,
}

impl Bench {
    /// Starts a run whose events can be waited for.
    pub fn live(&self, spec: &Value) -> Live {
        let mut command = self.command("run", spec, &["-o", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send((Instant::now(), serde_json::from_str(&line).unwrap_or(Value::Null))).is_err() {
                    return;
                }
            }
        });
        Live { child, events, lines: Vec::new() }
    }
}

impl Live {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an event of this kind that fulfils a condition.
    pub fn wait(&mut self, kind: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok((_, event)) => {
                    self.lines.push(event.to_string());
                    if event["event"] == kind && holds(&event) {
                        return event;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {kind} in time:\n{}", self.lines.join("\n")),
                Err(RecvTimeoutError::Disconnected) => {
                    let mut stderr = String::new();
                    drop(self.child.stderr.take().unwrap().read_to_string(&mut stderr));
                    panic!("the run ended before {kind}:\n{}\n{stderr}", self.lines.join("\n"));
                }
            }
        }
    }

    /// The events since the last look, and when they came, without waiting.
    pub fn news(&mut self) -> Vec<(Instant, Value)> {
        let news: Vec<_> = self.events.try_iter().collect();
        self.lines.extend(news.iter().map(|(_, event)| event.to_string()));
        news
    }

    /// Whether it ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the next recovery point and returns its name.
    pub fn point(&mut self) -> String {
        let event = self.wait("committed", |event| event["sealed"] == true);
        event["point"].as_str().unwrap().to_owned()
    }

    /// Sends a signal and waits for the end.
    pub fn end(self, name: &str) -> Ended {
        signal(self.child.id(), name);
        self.finish()
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Ended {
        let mut stderr = String::new();
        drop(self.child.stderr.take().unwrap().read_to_string(&mut stderr));
        let status: ExitStatus = self.child.wait().unwrap();
        let mut stdout = self.lines;
        stdout.extend(self.events.iter().map(|(_, event)| event.to_string()));
        Ended { code: status.code().unwrap_or(-1), stdout: stdout.join("\n"), stderr }
    }
}
