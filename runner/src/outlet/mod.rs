//! Where lines leave the process: standard output and standard error, each with a queue of a fixed size and a thread of
//! its own. Nobody who says something waits for whoever reads it: a pipe that nobody empties costs lines, which are
//! counted, and never the work. Only results of commands wait for their reader (`Outlet::wait_and_say`).

mod queue;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::words::{safe, safe_json};
use tokio::time::Instant;

pub(crate) use queue::{Queue, Worth};

/// Bytes that wait for a reader at most.
const ROOM: usize = 1 << 20;
/// How long the end of the process waits for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a pipe that does not block is left alone when it is full.
const FULL: Duration = Duration::from_millis(20);

/// One stream of the process.
#[derive(Debug, Clone)]
pub struct Outlet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

// Each flag is a fact of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug)]
struct State {
    queue: Queue,
    /// A line is on its way.
    writing: bool,
    /// Lines written so far.
    written: u64,
    /// Nobody will read any more.
    closed: bool,
    /// The process was asked to stop: nothing waits for a reader any longer than a moment.
    stopped: bool,
    /// Results of a command are among the lines: the end waits until they are read.
    results: bool,
    /// What `written` was when the end gave up waiting.
    gave_up_at: Option<u64>,
    /// Dropped lines that were told of.
    told: u64,
}

static STDOUT: LazyLock<Outlet> = LazyLock::new(|| Outlet::of_stream("stdout", &std::io::stdout()));
static STDERR: LazyLock<Outlet> = LazyLock::new(|| Outlet::of_stream("stderr", &std::io::stderr()));

/// Standard output.
#[must_use]
pub fn stdout() -> &'static Outlet {
    &STDOUT
}

/// Standard error.
#[must_use]
pub fn stderr() -> &'static Outlet {
    &STDERR
}

/// The process was asked to stop: from now on nothing waits for a reader.
pub fn stop() {
    stdout().stop();
    stderr().stop();
}

/// Waits at the end of the process until both streams are written, as far as somebody reads them.
pub fn finish() {
    stdout().drain();
    stderr().drain();
}

impl Outlet {
    fn of_stream(name: &str, stream: &impl AsFd) -> Self {
        match stream.as_fd().try_clone_to_owned() {
            Ok(fd) => Self::start(name, File::from(fd)),
            // A stream that was closed before we began.
            Err(_) => Self::closed(),
        }
    }

    /// An outlet that writes there.
    pub(crate) fn start(name: &str, to: impl Write + Send + 'static) -> Self {
        let outlet = Self::new(false);
        let shared = Arc::clone(&outlet.shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        match thread.spawn(move || shared.write_all(to)) {
            Ok(_) => outlet,
            Err(_) => Self::closed(),
        }
    }

    fn closed() -> Self {
        Self::new(true)
    }

    fn new(closed: bool) -> Self {
        let state = State {
            queue: Queue::new(ROOM),
            writing: false,
            written: 0,
            closed,
            stopped: false,
            results: false,
            gave_up_at: None,
            told: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Says something: text with its line end. Never waits.
    pub(crate) fn say(&self, worth: Worth, text: Vec<u8>) {
        let mut state = self.shared.lock();
        state.queue.push(worth, text);
        if state.closed {
            state.queue.clear();
        }
        self.shared.changed.notify_all();
    }

    /// Says a part of a command's result: it is dropped only when nobody will read it or the process was asked to stop.
    pub(crate) fn wait_and_say(&self, text: Vec<u8>) {
        let state = self.shared.lock();
        let full = |state: &mut State| !state.queue.fits(text.len()) && !state.closed && !state.stopped;
        let mut state = self.shared.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        state.results = true;
        drop(state);
        self.say(Worth::Event, text);
    }

    /// Waits until everything is written. A reader that takes nothing is given up on, once and for all, unless it is
    /// owed results of a command; after the process was asked to stop, one that takes little is, too.
    pub(crate) fn drain(&self) {
        let mut state = self.shared.lock();
        let mut stopping_since = None;
        while state.is_busy() && state.gave_up_at != Some(state.written) {
            let before = state.written;
            let (next, timeout) = self
                .shared
                .changed
                .wait_timeout_while(state, PATIENCE, |state| state.is_busy() && state.written == before)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            let too_slow = state.stopped && stopping_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE;
            let hangs = timeout.timed_out() && (state.stopped || !state.results);
            if too_slow || hangs {
                state.gave_up_at = Some(state.written);
            }
        }
    }

    /// The same, unless the process was asked to stop.
    pub(crate) fn settle(&self) {
        if !self.shared.lock().stopped {
            self.drain();
        }
    }

    /// Nothing waits for a reader any more.
    fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    /// Lines that were dropped and not told of yet, once there is room again to tell.
    pub(crate) fn take_dropped(&self) -> Option<u64> {
        let mut state = self.shared.lock();
        let new = state.queue.dropped() - state.told;
        if new == 0 || !state.queue.is_easy() || state.closed {
            return None;
        }
        state.told += new;
        Some(new)
    }

    /// Lines that were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.lock().queue.dropped()
    }
}

impl State {
    fn is_busy(&self) -> bool {
        !self.closed && (self.writing || !self.queue.is_empty())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes line after line until the stream is closed.
    fn write_all(&self, mut to: impl Write) {
        loop {
            let mut state = self.lock();
            state =
                self.changed.wait_while(state, |state| state.queue.is_empty()).unwrap_or_else(PoisonError::into_inner);
            let Some(line) = state.queue.pop() else { continue };
            state.writing = true;
            drop(state);
            let done = write_line(&mut to, &line);
            let mut state = self.lock();
            state.writing = false;
            state.written += 1;
            if done.is_err() {
                state.closed = true;
                state.queue.lose(1);
                state.queue.clear();
            }
            self.changed.notify_all();
            if done.is_err() {
                return;
            }
        }
    }
}

/// Writes a whole line, also to a pipe that its owner made non-blocking.
fn write_line(to: &mut impl Write, mut line: &[u8]) -> std::io::Result<()> {
    while !line.is_empty() {
        match to.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(size) => line = line.get(size..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(FULL),
            Err(error) => return Err(error),
        }
    }
    to.flush()
}

/// Takes what is written in one piece as one line of the log.
#[derive(Debug, Clone, Copy)]
pub enum LogLines {
    /// A line of text for each event.
    Text,
    /// A line of JSON for each.
    Json,
}

impl Write for LogLines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let whole = String::from_utf8_lossy(text);
        let line = whole.strip_suffix('\n').unwrap_or(&whole);
        let line = if matches!(self, Self::Json) { safe_json(line) } else { safe(line) };
        stderr().say(Worth::Log, format!("{line}\n").into_bytes());
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
