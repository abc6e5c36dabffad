//! What happened, in order: counted, hashed, and the newest lines kept for a failure.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

/// Lines kept.
const KEPT: usize = 4000;
/// Milliseconds without trouble that part two of them.
const PART: u64 = 8000;

/// The trace of one simulation.
#[derive(Debug, Clone)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
    started: Instant,
    /// Virtual millisecond at which something was wrong last.
    trouble: Arc<AtomicU64>,
    /// Virtual millisecond at which that trouble began.
    began: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Inner {
    steps: u64,
    hash: u64,
    lines: VecDeque<String>,
}

impl Default for Trace {
    fn default() -> Self {
        let inner = Inner { steps: 0, hash: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new() };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            started: Instant::now(),
            trouble: Arc::default(),
            began: Arc::default(),
        }
    }
}

impl Trace {
    /// Notes one step.
    pub fn step(&self, what: std::fmt::Arguments<'_>) {
        let line = format!("{:>9} ms  {what}", self.now_ms());
        let mut inner = self.inner.lock().unwrap();
        inner.steps += 1;
        inner.hash =
            line.bytes().fold(inner.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        if inner.lines.len() == KEPT {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// Virtual milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Something is wrong now.
    pub fn note_trouble(&self) {
        let now = self.now_ms();
        if now > self.trouble.swap(now, Ordering::Relaxed) + PART {
            self.began.store(now, Ordering::Relaxed);
        }
    }

    /// Milliseconds since the newest trouble began.
    pub fn trouble_ms(&self) -> u64 {
        self.now_ms() - self.began.load(Ordering::Relaxed)
    }

    /// Milliseconds for which nothing was wrong.
    pub fn calm_ms(&self) -> u64 {
        self.now_ms() - self.trouble.load(Ordering::Relaxed)
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.inner.lock().unwrap().steps
    }

    /// A number that differs when anything happened differently.
    pub fn hash(&self) -> u64 {
        self.inner.lock().unwrap().hash
    }

    /// The newest lines.
    pub fn tail(&self, count: usize) -> String {
        let inner = self.inner.lock().unwrap();
        let skip = inner.lines.len().saturating_sub(count);
        inner.lines.iter().skip(skip).fold(String::new(), |text, line| text + line + "\n")
    }
}
