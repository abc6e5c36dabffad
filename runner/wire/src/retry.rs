//! Back-off with jitter and a deadline. The jitter comes from a seed, so that a simulation repeats itself.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Retry, WireError};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Pauses between attempts of one piece of work.
#[derive(Debug)]
pub struct Backoff {
    pause: Duration,
    started: Instant,
    limit: Duration,
    random: u64,
}

impl Backoff {
    /// A back-off that gives up after `limit`.
    #[must_use]
    pub fn new(limit: Duration, seed: u64) -> Self {
        Self { pause: FIRST_PAUSE, started: Instant::now(), limit, random: seed | 1 }
    }

    /// Starts anew: the work made progress.
    pub fn reset(&mut self) {
        self.pause = FIRST_PAUSE;
        self.started = Instant::now();
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `error` itself when trying again cannot help; [`WireError::Deadline`] around it when the time is up.
    pub async fn wait(&mut self, error: WireError) -> Result<Retry, WireError> {
        let class = error.retry();
        if class == Retry::Never {
            return Err(error);
        }
        if self.started.elapsed() + self.pause > self.limit {
            return Err(WireError::Deadline { seconds: self.started.elapsed().as_secs(), last: Box::new(error) });
        }
        tracing::debug!(%error, pause_ms = self.pause.as_millis(), "trying again");
        tokio::time::sleep(self.jittered()).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(class)
    }

    /// Between half and all of the pause.
    fn jittered(&mut self) -> Duration {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = self.pause / 2;
        half + half * u32::try_from(self.random % 1000).unwrap_or(0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end_at_the_deadline() {
        let mut backoff = Backoff::new(Duration::from_secs(10), 7);
        let mut rounds = 0;
        let end = loop {
            match backoff.wait(WireError::broker("t", 7)).await {
                Ok(Retry::Again) => rounds += 1,
                other => break other,
            }
        };
        assert!((6..30).contains(&rounds), "{rounds}");
        assert!(matches!(end, Err(WireError::Deadline { .. })));
        let fatal = backoff.wait(WireError::broker("t", 29)).await;
        assert!(matches!(fatal, Err(WireError::Broker { code: 29, .. })));
    }
}
