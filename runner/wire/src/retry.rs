//! Back-off with jitter and a deadline. The deadline counts the time spent failing: its clock starts with the first
//! failure after a success. The jitter comes from a seed, so that a simulation repeats itself.

use std::time::Duration;

use contract::pauses::Pauses;
use contract::{Wait, Waits};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Retry, WireError};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Times that a listener of another kind is found before it is believed, and the pause in between: no broker that is just
/// starting looks like one for so long.
const FOUND: u32 = 3;
const FOUND_PAUSE: Duration = Duration::from_secs(5);
/// Answers in a row that may be unreadable: each closes its connection and is asked for again.
const UNREADABLE: u32 = 4;

/// Pauses between attempts of one piece of work.
#[derive(Debug)]
pub struct Backoff {
    pauses: Pauses,
    /// When the first failure after the last success was met.
    failing_since: Option<Instant>,
    limit: Duration,
    unreadable: u32,
    /// How often a listener of another kind was found.
    found: u32,
    random: u64,
    stop: CancellationToken,
    waits: Waits,
    /// Told of while the work fails.
    wait: Option<Wait>,
}

impl Backoff {
    /// A back-off that gives up when the work failed for `limit` without a success.
    #[must_use]
    pub fn new(limit: Duration, seed: u64) -> Self {
        Self {
            pauses: Pauses::new(FIRST_PAUSE, LONGEST_PAUSE),
            failing_since: None,
            limit,
            unreadable: 0,
            found: 0,
            random: seed | 1,
            stop: CancellationToken::new(),
            waits: Waits::default(),
            wait: None,
        }
    }

    /// The same, ended at once by `stop`.
    #[must_use]
    pub fn with_stop(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// The same, which tells `waits` for how long the work fails, and why.
    #[must_use]
    pub fn with_waits(self, waits: Waits) -> Self {
        Self { waits, ..self }
    }

    /// The work succeeded, or made progress: the next failure is a first one.
    pub fn reset(&mut self) {
        self.pauses.reset();
        self.failing_since = None;
        self.unreadable = 0;
        self.found = 0;
        self.wait = None;
    }

    /// For how long the work has been failing.
    #[must_use]
    pub fn failing_for(&self) -> Duration {
        self.failing_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `error` itself when trying again cannot help; [`WireError::Deadline`] around it when the time is up;
    /// [`WireError::Stopped`] when the run shall stop.
    pub async fn wait(&mut self, error: WireError) -> Result<Retry, WireError> {
        let class = error.retry();
        if class == Retry::Never {
            return Err(error);
        }
        if matches!(error, WireError::Protocol { .. }) {
            self.unreadable += 1;
            if self.unreadable > UNREADABLE {
                return Err(error);
            }
        }
        self.failing_since.get_or_insert_with(Instant::now);
        let failing = self.failing_for();
        let is_listener = matches!(error, WireError::Listener { .. });
        let pause = if is_listener { FOUND_PAUSE } else { self.jittered() };
        // In a row: a broker that starts shows now this and now that.
        self.found = if is_listener { self.found + 1 } else { 0 };
        if is_listener && (self.found >= FOUND || failing + pause > self.limit) {
            return Err(error.settled());
        }
        if failing + self.pauses.coming() > self.limit {
            return Err(WireError::Deadline { seconds: failing.as_secs(), last: Box::new(error) });
        }
        tracing::debug!(%error, pause_ms = pause.as_millis(), "trying again");
        self.tell(&error);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(WireError::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
        self.pauses.step();
        Ok(class)
    }

    fn tell(&mut self, error: &WireError) {
        match &self.wait {
            Some(wait) => wait.now(error.to_string()),
            None => self.wait = Some(self.waits.begin_because(error.to_string())),
        }
    }

    /// Between half and all of the pause.
    fn jittered(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = self.pauses.coming() / 2;
        half + half * u32::try_from(self.random % 1000).unwrap_or(0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, code};

    fn moved() -> WireError {
        WireError::broker(Request::Fetch, "t/0", code::NOT_LEADER_OR_FOLLOWER)
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end_at_the_deadline() {
        let mut backoff = Backoff::new(Duration::from_secs(10), 7);
        let mut rounds = 0;
        let end = loop {
            match backoff.wait(moved()).await {
                Ok(Retry::Refresh) => rounds += 1,
                other => break other,
            }
        };
        assert!((6..30).contains(&rounds), "{rounds}");
        assert!(matches!(end, Err(WireError::Deadline { .. })));
        let fatal = backoff.wait(WireError::broker(Request::Fetch, "t/0", code::TOPIC_AUTHORIZATION_FAILED)).await;
        assert_eq!(fatal.unwrap_err().broker_code(), Some(code::TOPIC_AUTHORIZATION_FAILED));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_spent_failing_counts() {
        let limit = Duration::from_secs(10);
        let mut backoff = Backoff::new(limit, 7);
        for _ in 0..3 {
            // Quiet for long, before the first failure and after each success.
            tokio::time::sleep(limit * 50).await;
            let since = Instant::now();
            let end = loop {
                if let Err(end) = backoff.wait(moved()).await {
                    break end;
                }
            };
            assert!(matches!(end, WireError::Deadline { seconds: 7..=10, .. }), "{end}");
            assert!(since.elapsed() >= limit * 7 / 10, "{:?}", since.elapsed());
            backoff.reset();
            assert_eq!(backoff.failing_for(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait_at_once() {
        let stop = CancellationToken::new();
        let mut backoff = Backoff::new(Duration::from_secs(10), 7).with_stop(stop.clone());
        stop.cancel();
        let since = Instant::now();
        assert!(matches!(backoff.wait(moved()).await, Err(WireError::Stopped)));
        assert_eq!(since.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_of_another_kind_is_believed_at_the_third_try() {
        let found = || WireError::Listener {
            broker: "b:1".into(),
            misfit: crate::Misfit::HasNoLogin,
            protocol: contract::SecurityProtocol::SaslSsl,
            settled: false,
        };
        for (limit, seconds) in [(1000, 10), (3, 0)] {
            let waits = Waits::default();
            let mut backoff = Backoff::new(Duration::from_secs(limit), 7).with_waits(waits.clone());
            let since = Instant::now();
            let end = loop {
                if let Err(end) = backoff.wait(found()).await {
                    break end;
                }
            };
            assert_eq!(since.elapsed(), Duration::from_secs(seconds));
            assert!(end.is_final(), "{end}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unreadable_answers_are_asked_for_again_a_few_times() {
        let garbage =
            || WireError::Protocol { broker: "b:1".into(), request: Request::Fetch, reason: "too short".into() };
        let mut backoff = Backoff::new(Duration::from_secs(1000), 7);
        for _ in 0..UNREADABLE {
            backoff.wait(garbage()).await.unwrap();
        }
        assert!(matches!(backoff.wait(garbage()).await, Err(WireError::Protocol { .. })));
        backoff.reset();
        backoff.wait(garbage()).await.unwrap();
    }
}
