//! Where the lines of a check go as they come.

use contract::{CheckLine, Failure, Verdict};
use tokio::sync::mpsc::UnboundedSender;

/// Where lines go. There are as many as steps, brokers and things that are wrong.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    part: &'static str,
    sender: UnboundedSender<CheckLine>,
}

impl Lines {
    /// Lines about a part of the specification.
    pub(crate) fn of(part: &'static str, sender: &UnboundedSender<CheckLine>) -> Self {
        Self { part, sender: sender.clone() }
    }

    /// The part of the specification that they are about.
    pub(crate) fn part(&self) -> &'static str {
        self.part
    }

    /// Says a line. Whoever asked may have left: then nobody needs it.
    pub(crate) fn say(&self, line: CheckLine) {
        drop(self.sender.send(line));
    }

    pub(crate) fn all(&self, lines: Vec<CheckLine>) {
        for line in lines {
            self.say(line);
        }
    }

    pub(crate) fn told(&self, check: &str, verdict: Verdict, detail: impl Into<String>) {
        self.say(CheckLine::new(self.part, check, verdict, detail));
    }

    pub(crate) fn ok(&self, check: &str, detail: impl Into<String>) {
        self.told(check, Verdict::Ok, detail);
    }

    pub(crate) fn note(&self, check: &str, detail: impl Into<String>) {
        self.say(CheckLine::new(self.part, check, Verdict::Note, detail));
    }

    /// What is wrong without a code of its own.
    pub(crate) fn wrong(&self, check: &str, detail: impl Into<String>) {
        self.say(CheckLine::new(self.part, check, Verdict::Fail, detail));
    }

    pub(crate) fn failed(&self, check: &str, failure: Failure) {
        self.say(CheckLine::failed(self.part, check, failure));
    }

    /// A line of what came of something; nothing of what went well.
    pub(crate) fn unless<T>(&self, check: &str, result: Result<T, Failure>) -> Option<T> {
        // It was told.
        result.map_err(|failure| self.failed(check, failure)).ok()
    }
}
