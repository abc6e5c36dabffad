//! How long something has been failing, and when it is tried again. Time counts only while something fails: a
//! partition that was quiet for days has its whole deadline when its broker fails. Pure, but for the clock.

use std::time::Duration;

use contract::{Code, Failure};
use tokio::time::Instant;
use wire::WireError;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const HOPELESS_PAUSE: Duration = Duration::from_secs(30);

/// What keeps a partition from going on.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// Time spent on attempts that failed, and on the pauses after them, since the last answer that was one.
    pub(crate) failing: Duration,
    /// The newest failure.
    pub(crate) failure: Failure,
    /// Trying again cannot help during this run.
    pub(crate) hopeless: bool,
}

impl Trouble {
    /// The source itself cannot give what is missing, to nobody: what is left is worth a recovery point.
    pub(crate) fn is_of_the_source(&self) -> bool {
        self.hopeless && self.failure.code != Code::NotAuthorized
    }
}

/// Attempts of one partition.
#[derive(Debug)]
pub(super) struct Pacing {
    trouble: Option<Trouble>,
    pause: Duration,
    began: Instant,
    /// Not to be tried again before.
    pub(super) retry_at: Instant,
}

impl Pacing {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { trouble: None, pause: FIRST_PAUSE, began: now, retry_at: now }
    }

    /// An attempt begins.
    pub(super) fn begins(&mut self) {
        self.began = Instant::now();
    }

    /// The attempt failed.
    pub(super) fn fails(&mut self, failure: Failure) {
        let now = Instant::now();
        let before = self.trouble.as_ref().map_or(Duration::ZERO, |trouble| trouble.failing);
        let failing = before + now.duration_since(self.began) + self.pause;
        let hopeless = self.trouble.as_ref().is_some_and(|trouble| trouble.hopeless);
        self.trouble = Some(Trouble { failing, failure, hopeless });
        (self.began, self.retry_at) = (now, now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// The same for what the client found or a broker said.
    pub(super) fn fails_by(&mut self, error: &WireError) {
        self.fails(Failure::from(error.clone()));
    }

    /// The attempt brought nothing, and the next one follows after `pause`.
    pub(super) fn stalls(&mut self, failure: Failure, pause: Duration) {
        self.pause = pause;
        self.fails(failure);
        (self.pause, self.retry_at) = (FIRST_PAUSE, Instant::now());
    }

    /// Trying again soon cannot help.
    pub(super) fn gives_up(&mut self, code: Code, message: String) {
        self.fails(Failure::new(code, message));
        self.retry_at = Instant::now() + HOPELESS_PAUSE;
        if let Some(trouble) = &mut self.trouble {
            trouble.hopeless = true;
        }
    }

    /// The attempt was answered as it should be; `true` when something failed before.
    pub(super) fn recovers(&mut self) -> bool {
        (self.pause, self.retry_at) = (FIRST_PAUSE, Instant::now());
        self.trouble.take().is_some()
    }

    /// It has been failing for as long as this.
    pub(super) fn fails_for(&self, time: Duration) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.failing >= time)
    }

    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure::new(Code::BrokerFailed, "silent")
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_time_of_attempts_that_failed_counts() {
        let mut pacing = Pacing::new();
        // Quiet for a day, then a failure: the deadline begins now.
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        pacing.begins();
        tokio::time::sleep(Duration::from_secs(3)).await;
        pacing.fails(failure());
        assert_eq!(pacing.trouble().unwrap().failing, Duration::from_millis(3_050));
        // It waited for the run's own rate limit for an hour: that is no failing.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        pacing.begins();
        tokio::time::sleep(Duration::from_secs(1)).await;
        pacing.fails(failure());
        assert_eq!(pacing.trouble().unwrap().failing, Duration::from_millis(4_150));
        assert!(pacing.recovers());
        assert!(!pacing.recovers() && pacing.trouble().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_two_seconds_and_begin_small_again() {
        let mut pacing = Pacing::new();
        for _ in 0..20 {
            pacing.begins();
            pacing.fails(failure());
        }
        assert_eq!(pacing.retry_at - Instant::now(), LONGEST_PAUSE);
        pacing.recovers();
        pacing.fails(failure());
        assert_eq!(pacing.retry_at - Instant::now(), FIRST_PAUSE);
    }
}
