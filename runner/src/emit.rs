//! Events: one JSON object per line on standard output, kept for the archive; a progress line for people on
//! standard error when that is a terminal.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use contract::{Event, EventKind};

use crate::context::Context;
use crate::metrics::Metrics;

/// Events kept for the archive; older progress is left out first.
const KEPT: usize = 10_000;

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
    lines: Vec<String>,
    warnings: Vec<String>,
    machine: bool,
    terminal: bool,
    drew: bool,
}

impl Emitter {
    /// An emitter; `machine` prints events to standard output.
    #[must_use]
    pub fn new(context: &Context, machine: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let inner = Inner { seq: 0, lines: Vec::new(), warnings: Vec::new(), machine, terminal, drew: false };
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
        let at = self.context.now_text();
        if let Some(metrics) = &self.metrics {
            metrics.take(&kind, self.context.clock.now().as_millisecond() as f64 / 1000.0);
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seq += 1;
        if let EventKind::Warning { message } = &kind {
            inner.warnings.push(message.clone());
        }
        inner.draw(&kind);
        let is_progress = matches!(kind, EventKind::Progress { .. });
        let event = Event { source: "kafka-backup".into(), seq: inner.seq, at, kind };
        let line = serde_json::to_string(&event).unwrap_or_default();
        if inner.machine {
            // A closed pipe must not end a backup.
            drop(writeln!(std::io::stdout().lock(), "{line}"));
        }
        if !is_progress || inner.lines.len() < KEPT {
            inner.lines.push(line);
        }
    }

    /// Emits a warning.
    pub fn warn(&self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        self.emit(EventKind::Warning { message });
    }

    /// All warnings so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).warnings.clone()
    }

    /// All kept events as JSON lines.
    #[must_use]
    pub fn lines(&self) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.lines.iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

impl Inner {
    fn draw(&mut self, kind: &EventKind) {
        if !self.terminal {
            return;
        }
        let mut err = std::io::stderr().lock();
        if let EventKind::Progress { records, bytes, percent, pace, .. } = kind {
            let mib = |bytes: f64| bytes / 1_048_576.0;
            let left = pace.remaining_secs.map(|seconds| format!("  {seconds} s left")).unwrap_or_default();
            let (moved, rate) = (mib(*bytes as f64), mib(pace.bytes_per_sec));
            drop(write!(err, "\r\x1b[K{percent:5.1} %  {records} records  {moved:.1} MiB  {rate:.1} MiB/s{left}"));
            self.drew = true;
        } else if std::mem::take(&mut self.drew) {
            drop(writeln!(err));
        }
        drop(err.flush());
    }
}
