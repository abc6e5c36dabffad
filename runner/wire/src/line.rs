//! The state of a connection that it shares with its two tasks: who waits for which answer, whether an answer is on
//! its way, and the one cause of its death.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broke::Broke;

/// An answer, or why it did not come.
pub(crate) type Answer = Result<Bytes, Cut>;

/// Why an answer did not come.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// The cause of the connection's death.
    pub(crate) cause: Broke,
    /// The length that was announced, where that was more than the answer may have.
    pub(crate) announced: Option<usize>,
}

impl From<Broke> for Cut {
    fn from(cause: Broke) -> Self {
        Self { cause, announced: None }
    }
}

/// What is expected of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// It carries data: its memory is under the budget.
    pub(crate) data: bool,
    /// Most bytes that it may have.
    pub(crate) largest: usize,
    /// Time that the broker has for it.
    pub(crate) limit: Duration,
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) sender: oneshot::Sender<Answer>,
    pub(crate) expected: Expected,
    asked: Instant,
}

/// What the task that reads is doing.
#[derive(Debug, Clone, Copy)]
enum Hearing {
    /// Nothing has come since then.
    Silent(Instant),
    /// An answer is being read, or waits for memory. Its own limit is on silence between bytes.
    Busy,
}

#[derive(Debug)]
struct State {
    waiting: HashMap<i32, Waiter>,
    hearing: Hearing,
    dead: Option<Broke>,
    /// The first bytes that ever came.
    first: Option<Vec<u8>>,
    /// Answers that were read to their end.
    answers: u64,
    /// Whether the login is over.
    admitted: bool,
}

/// How long a question may wait still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Look again at this time.
    Until(Instant),
    /// The broker was silent for too long.
    Over,
}

/// The shared state.
#[derive(Debug)]
pub(crate) struct Line {
    state: Mutex<State>,
    /// Ends both tasks, and with them everything that they hold.
    pub(crate) closed: CancellationToken,
}

impl Line {
    /// The login is over.
    pub(crate) fn admit(&self) {
        self.state().admitted = true;
    }

    /// Whether the login is over.
    pub(crate) fn is_admitted(&self) -> bool {
        self.state().admitted
    }

    pub(crate) fn new() -> Self {
        let hearing = Hearing::Silent(Instant::now());
        let state = State { waiting: HashMap::new(), hearing, dead: None, first: None, answers: 0, admitted: false };
        Self { state: Mutex::new(state), closed: CancellationToken::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects the answer `id`.
    ///
    /// # Errors
    /// The cause when the connection is dead.
    pub(crate) fn wait_for(&self, id: i32, expected: Expected) -> Result<oneshot::Receiver<Answer>, Broke> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if let Some(cause) = &state.dead {
            return Err(cause.clone());
        }
        state.waiting.insert(id, Waiter { sender, expected, asked: Instant::now() });
        Ok(receiver)
    }

    /// Bytes of an answer are there.
    pub(crate) fn busy(&self) {
        self.state().hearing = Hearing::Busy;
    }

    /// An answer was read to its end.
    pub(crate) fn silent(&self) {
        let mut state = self.state();
        state.hearing = Hearing::Silent(Instant::now());
        state.answers += 1;
    }

    /// Keeps the head of the first answer, or what came of it.
    pub(crate) fn heard(&self, head: &[u8]) {
        self.state().first.get_or_insert_with(|| head.to_vec());
    }

    /// The first bytes that came, and how many answers were read to their end.
    pub(crate) fn past(&self) -> (Vec<u8>, u64) {
        let state = self.state();
        (state.first.clone().unwrap_or_default(), state.answers)
    }

    /// Who waits for the answer `id`.
    pub(crate) fn take(&self, id: i32) -> Option<Waiter> {
        self.state().waiting.remove(&id)
    }

    /// What a question that was given until `deadline` may still expect. While an answer comes in, its silence is
    /// watched elsewhere; brokers answer in turn, so the answer before ours restarts the clock.
    pub(crate) fn patience(&self, deadline: Instant, limit: Duration) -> Patience {
        let now = Instant::now();
        match self.state().hearing {
            Hearing::Busy => Patience::Until(now + limit),
            Hearing::Silent(since) => {
                let until = deadline.max(since + limit);
                if until > now { Patience::Until(until) } else { Patience::Over }
            }
        }
    }

    /// What ended the connection.
    pub(crate) fn cause(&self) -> Broke {
        self.state().dead.clone().unwrap_or_else(|| Broke::given_up("the connection was given up"))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead.is_some()
    }

    /// A question has been waiting for longer than `limit`.
    pub(crate) fn is_stuck(&self, limit: Duration) -> bool {
        self.state().waiting.values().any(|waiter| waiter.asked.elapsed() > limit)
    }

    /// The broker has been silent for too long, though nobody may be left who waits: whoever asked had less patience
    /// than the question was given.
    pub(crate) fn is_overdue(&self) -> bool {
        let state = self.state();
        let Hearing::Silent(since) = state.hearing else { return false };
        let over = |waiter: &Waiter| waiter.asked.max(since).elapsed() > waiter.expected.limit;
        state.waiting.values().any(over)
    }

    /// Ends the connection for everybody with one cause; the first one counts.
    pub(crate) fn kill(&self, cause: Broke) {
        let mut state = self.state();
        let cause = state.dead.get_or_insert(cause).clone();
        for (_, waiter) in state.waiting.drain() {
            drop(waiter.sender.send(Err(cause.clone().into())));
        }
        drop(state);
        self.closed.cancel();
    }
}
