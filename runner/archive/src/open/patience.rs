//! How long one store is waited for, and what is known of how it is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::hosts::Hosts;
use super::lanes::{Lane, Lanes};

/// Time to reach a store.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Bytes per second that a request's body is given time for at first.
const PACE: u64 = 256 << 10;
/// How often the time for bodies doubles after it was not enough.
const DOUBLINGS: u32 = 3;

/// How long a request may go without an answer: the configured silence, and time for what it carries. That time doubles
/// when it was not enough, and is what it was once a body gets through quickly.
#[derive(Debug)]
pub(super) struct Patience {
    pub(super) silence: Duration,
    slow: Arc<AtomicU32>,
    lanes: Lanes,
    pub(super) hosts: Hosts,
}

impl Patience {
    pub(super) fn new(silence: Duration) -> Self {
        Self { silence, slow: Arc::default(), lanes: Lanes::default(), hosts: Hosts::default() }
    }

    /// How often the line was too slow for a body since it last was quick.
    pub(super) fn slow(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.slow)
    }

    /// Takes a lane for a body of this size; small bodies and quick lines need none.
    pub(super) async fn lane(&self, bytes: u64) -> Option<Lane<'_>> {
        self.lanes.take(bytes, || self.slow.load(Ordering::Relaxed)).await
    }

    pub(super) fn for_body(&self, bytes: u64) -> Duration {
        let pace = PACE >> self.slow.load(Ordering::Relaxed);
        self.silence + Duration::from_millis(bytes.saturating_mul(1000) / pace)
    }

    /// Notes how a request with a body ended. Returns whether the next one will be given more time.
    pub(super) fn note(&self, bytes: u64, took: Duration, answered: bool) -> bool {
        let slow = self.slow.load(Ordering::Relaxed);
        if answered {
            let quick = Duration::from_millis(bytes.saturating_mul(1000) / PACE) / 2;
            if slow > 0 && took < quick {
                self.slow.store(0, Ordering::Relaxed);
            }
            return false;
        }
        self.slow.store((slow + 1).min(DOUBLINGS), Ordering::Relaxed);
        slow < DOUBLINGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_is_given_more_time_and_a_quick_one_less() {
        let patience = Patience::new(Duration::from_secs(30));
        let part = 8 << 20;
        assert_eq!(patience.for_body(0), Duration::from_secs(30));
        assert_eq!(patience.for_body(part), Duration::from_secs(62));
        // Four parts at once on a line of 5 Mbit/s: 56 s each.
        assert!(Duration::from_secs(part / 150_000) < patience.for_body(part));
        assert!(patience.note(part, Duration::from_secs(62), false));
        assert_eq!(patience.for_body(part), Duration::from_secs(94));
        assert!(
            patience.note(part, Duration::from_secs(94), false) && patience.note(part, Duration::from_secs(158), false)
        );
        // Even more time would only hide that the line is dead.
        assert!(!patience.note(part, Duration::from_secs(286), false));
        assert_eq!(patience.for_body(part), Duration::from_secs(286));
        patience.note(part, Duration::from_secs(200), true);
        assert_eq!(patience.for_body(part), Duration::from_secs(286));
        patience.note(part, Duration::from_secs(1), true);
        assert_eq!(patience.for_body(part), Duration::from_secs(62));
    }
}
