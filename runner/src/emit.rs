//! Events: one JSON object per line on standard output, kept for the archive; a progress line for people on
//! standard error when that is a terminal. Nothing here waits for whoever reads them: what an outlet drops is told by an
//! event of its own, and seen by the numbers that are missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::words::safe_json;
use contract::{Event, EventKind, GroupChange, MemberChange, OutputStream};

use crate::context::Context;
use crate::metrics::Metrics;
use crate::outlet::{self, Outlet, Queue, Worth};

/// Bytes of events that are kept for the archive; progress is left out first, then the oldest.
const KEPT: usize = 4 << 20;
/// Warnings that are kept for the report.
const WARNINGS: usize = 500;

/// Where a run's events go.
#[derive(Debug, Clone)]
pub struct Emitter {
    inner: Arc<Mutex<Inner>>,
    context: Context,
    metrics: Option<Arc<Metrics>>,
}

#[derive(Debug)]
struct Inner {
    seq: u64,
    kept: Queue,
    warnings: VecDeque<String>,
    /// The last that was told of each topic and group.
    members: BTreeMap<String, MemberChange>,
    groups: BTreeMap<String, GroupChange>,
    /// Topics whose refused configs were told of.
    without_configs: BTreeSet<String>,
    /// Warnings that there was no room for.
    left_out: u64,
    /// Where events go, when somebody wants them.
    events: Option<Outlet>,
    log: Outlet,
    terminal: bool,
    drew: bool,
    begun: bool,
}

impl Emitter {
    /// An emitter; `machine` prints events to standard output.
    #[must_use]
    pub fn new(context: &Context, machine: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let events = machine.then(|| outlet::stdout().clone());
        Self::with_outlets(context, events, outlet::stderr().clone(), terminal)
    }

    fn with_outlets(context: &Context, events: Option<Outlet>, log: Outlet, terminal: bool) -> Self {
        let inner = Inner {
            seq: 0,
            kept: Queue::new(KEPT),
            warnings: VecDeque::new(),
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            without_configs: BTreeSet::new(),
            left_out: 0,
            events,
            log,
            terminal,
            drew: false,
            begun: false,
        };
        Self { inner: Arc::new(Mutex::new(inner)), context: context.clone(), metrics: None }
    }

    /// The same emitter, which also feeds these metrics.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// The metrics that are fed.
    pub(crate) fn metrics(&self) -> Option<&Arc<Metrics>> {
        self.metrics.as_ref()
    }

    /// Emits an event.
    pub fn emit(&self, kind: EventKind) {
        let mut inner = self.lock();
        for (stream, lines) in inner.news_of_losses() {
            self.put(&mut inner, EventKind::Dropped { stream, lines });
        }
        self.put(&mut inner, kind);
    }

    fn put(&self, inner: &mut Inner, kind: EventKind) {
        if let Some(metrics) = &self.metrics {
            metrics.take(&kind, self.context.clock.now().as_millisecond() as f64 / 1000.0);
        }
        inner.begun |= matches!(kind, EventKind::Started { .. });
        if let EventKind::Warning { message } = &kind {
            inner.keep_warning(message.clone());
        }
        inner.draw(&kind);
        let worth = if matches!(kind, EventKind::Progress { .. }) { Worth::Progress } else { Worth::Event };
        inner.seq += 1;
        let event = Event { source: "kafka-backup".into(), seq: inner.seq, at: self.context.now_text(), kind };
        let mut line = match serde_json::to_string(&event) {
            Ok(line) => safe_json(&line).into_bytes(),
            Err(error) => {
                tracing::error!(%error, seq = inner.seq, "an event could not be written as JSON");
                inner.kept.lose(1);
                return;
            }
        };
        line.push(b'\n');
        if let Some(events) = &inner.events {
            events.say(worth, line.clone());
        }
        inner.kept.push(worth, line);
    }

    /// Emits a warning.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        self.emit(EventKind::Warning { message });
    }

    /// Whether the run has begun its work.
    pub(crate) fn has_begun(&self) -> bool {
        self.lock().begun
    }

    /// Tells what is waited for.
    pub(crate) fn waiting(&self, seconds: u64, what: String) {
        tracing::warn!("{}", contract::waits::line(seconds, &what));
        self.emit(EventKind::Waiting { what, seconds });
    }

    /// Tells what became of a topic of the set; `false` when that was told before.
    pub(crate) fn member(&self, member: &MemberChange) -> bool {
        // One that was never there has no id.
        let key = if member.topic_id.is_empty() { &member.topic } else { &member.topic_id };
        let before = self.lock().members.insert(key.clone(), member.clone());
        let is_news = before.as_ref() != Some(member);
        if is_news {
            self.emit(EventKind::Member { member: member.clone() });
        }
        is_news
    }

    /// Whether nobody was told yet that the configs of this topic are refused; from now on somebody was.
    pub(crate) fn is_first_refusal_of_configs(&self, topic: &str) -> bool {
        self.lock().without_configs.insert(topic.to_owned())
    }

    /// Tells what became of a consumer group of the last point; `false` when that was told before.
    pub(crate) fn group(&self, group: &GroupChange) -> bool {
        let before = self.lock().groups.insert(group.group.clone(), group.clone());
        let is_news = before.as_ref() != Some(group);
        if is_news {
            self.emit(EventKind::Group { group: group.clone() });
        }
        is_news
    }

    /// The positions of a group are there again.
    pub(crate) fn group_is_back(&self, group: &str) {
        self.lock().groups.remove(group);
    }

    /// The last that was told of each topic of the set.
    #[must_use]
    pub fn members(&self) -> Vec<MemberChange> {
        self.lock().members.values().cloned().collect()
    }

    /// The last that was told of each consumer group whose positions are missing.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupChange> {
        self.lock().groups.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All warnings so far, and what of the output nobody read.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let inner = self.lock();
        let mut out: Vec<_> = inner.warnings.iter().cloned().collect();
        if inner.left_out > 0 {
            out.insert(0, format!("{} earlier warnings are left out here; the log had them", inner.left_out));
        }
        let events = inner.events.as_ref().map_or(0, Outlet::dropped);
        for (stream, lines) in [("output", events), ("error", inner.log.dropped())] {
            if lines > 0 {
                out.push(format!(
                    "{lines} lines of standard {stream} were dropped, because nobody read them in time; the run did not wait"
                ));
            }
        }
        if inner.kept.dropped() > 0 {
            let lines = inner.kept.dropped();
            out.push(format!(
                "{lines} events, progress first, had no room in events.jsonl; their numbers are missing there"
            ));
        }
        out
    }

    /// The kept events as JSON lines.
    #[must_use]
    pub fn lines(&self) -> Vec<u8> {
        self.lock().kept.text()
    }
}

impl Inner {
    /// Lines that were dropped since this was told last.
    fn news_of_losses(&self) -> Vec<(OutputStream, u64)> {
        // Nobody gets an event, or nothing can be told before there is room again: the report tells at the end.
        let Some(events) = &self.events else { return Vec::new() };
        let lost = |stream, outlet: &Outlet| Some((stream, outlet.take_dropped()?));
        [lost(OutputStream::Stdout, events), lost(OutputStream::Stderr, &self.log)].into_iter().flatten().collect()
    }

    fn keep_warning(&mut self, message: String) {
        if self.warnings.len() == WARNINGS {
            self.warnings.pop_front();
            self.left_out += 1;
        }
        self.warnings.push_back(message);
    }

    fn draw(&mut self, kind: &EventKind) {
        if !self.terminal {
            return;
        }
        if let EventKind::Progress { records, bytes, percent, pace, .. } = kind {
            let mib = |bytes: f64| bytes / 1_048_576.0;
            let (moved, rate) = (mib(*bytes as f64), mib(pace.bytes_per_sec));
            let left = pace.remaining_secs.map_or_else(String::new, |seconds| format!("  {seconds} s left"));
            let text = format!("\r\x1b[K{percent:5.1} %  {records} records  {moved:.1} MiB  {rate:.1} MiB/s{left}");
            self.drew = true;
            self.log.say(Worth::Progress, text.into_bytes());
        } else if std::mem::take(&mut self.drew) {
            self.log.say(Worth::Event, b"\n".to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Pace;

    fn emitter(events: Outlet) -> Emitter {
        let paths = archive::Paths { secrets: ".".into(), volumes: ".".into() };
        let log = Outlet::start("test", std::io::sink());
        Emitter::with_outlets(&Context::system(paths), Some(events), log, false)
    }

    fn progress(records: u64) -> EventKind {
        EventKind::Progress {
            records,
            bytes: 0,
            percent: 0.0,
            topic: None,
            whole_at: None,
            overdue: None,
            pace: Pace::default(),
        }
    }

    #[test]
    fn what_nobody_read_is_told_and_the_numbers_show_it() {
        let (read, write) = std::os::unix::net::UnixStream::pair().unwrap();
        let emitter = emitter(Outlet::start("test", write));
        for records in 0..10_000 {
            emitter.emit(progress(records));
        }
        emitter.warn("seen");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(read));
        let mut seen: Vec<Event> = Vec::new();
        for line in lines.by_ref().map(|line| serde_json::from_str::<Event>(&line.unwrap()).unwrap()) {
            let last = matches!(line.kind, EventKind::Warning { .. });
            seen.push(line);
            if last {
                break;
            }
        }
        emitter.emit(EventKind::Planned { topics: 0, partitions: 0, records: 0 });
        let lost = 10_001 - seen.len() as u64;
        assert!(lost > 0);
        assert_eq!(seen.last().unwrap().seq, 10_001);
        let kept = String::from_utf8(emitter.lines()).unwrap();
        let told: Event = serde_json::from_str(kept.lines().rev().nth(1).unwrap()).unwrap();
        assert!(
            matches!(told.kind, EventKind::Dropped { stream: OutputStream::Stdout, lines } if lines == lost),
            "{told:?}, lost {lost}"
        );
        let warnings = emitter.warnings();
        assert_eq!(warnings[0], "seen");
        assert!(warnings[1].starts_with(&format!("{lost} lines of standard output were dropped")), "{warnings:?}");
    }

    #[test]
    fn a_run_of_weeks_keeps_a_bounded_story() {
        let emitter = emitter(Outlet::start("test", std::io::sink()));
        for number in 0..WARNINGS + 20 {
            emitter.warn(format!("warning {number}"));
        }
        let warnings = emitter.warnings();
        assert_eq!(warnings[0], "20 earlier warnings are left out here; the log had them");
        assert_eq!(warnings[1], "warning 20");
        for records in 0..60_000 {
            emitter.emit(progress(records));
        }
        let text = emitter.lines();
        assert!(text.len() <= KEPT);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("warning 519") && text.contains("warning 0\""), "progress is left out first");
        assert!(emitter.warnings().last().unwrap().contains("events.jsonl"));
    }
}
