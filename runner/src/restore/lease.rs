//! For how long an epoch may be written under. A fence is producer state: brokers forget it, and the transactional ids
//! that make it, after a time. An epoch ends well before, so that whoever took over meanwhile is still protected.
//!
//! Both the monotonic clock and the wall clock count: the first stands still while a machine sleeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{Code, Failure};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::context::Clock;

/// Broker configs that say how long fences last. Before `producer.id.expiration.ms` existed the first one counted.
const EXPIRATIONS: [&str; 2] = ["transactional.id.expiration.ms", "producer.id.expiration.ms"];
/// What is assumed of brokers whose configs may not be read.
const ASSUMED: Duration = Duration::from_secs(3600);
/// No epoch is shorter.
const SHORTEST: Duration = Duration::from_secs(1);

/// The longest that one epoch may last: half of what a fence surely lasts.
pub(crate) fn longest_epoch(broker: &BTreeMap<String, String>) -> Duration {
    let expiration = |name: &&str| broker.get(*name).and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
    let shortest = EXPIRATIONS.iter().filter_map(expiration).min().unwrap_or(ASSUMED);
    (shortest / 2).max(SHORTEST)
}

/// The time of one epoch.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    clock: Arc<dyn Clock>,
    began: Instant,
    began_at: Timestamp,
    limit: Duration,
}

impl Lease {
    /// An epoch that begins now.
    pub(crate) fn new(clock: Arc<dyn Clock>, limit: Duration) -> Self {
        let began_at = clock.now();
        Self { clock, began: Instant::now(), began_at, limit }
    }

    /// Whether nothing may be sent any more.
    pub(crate) fn is_over(&self) -> bool {
        let wall = Duration::try_from(self.clock.now().duration_since(self.began_at)).unwrap_or(Duration::ZERO);
        self.began.elapsed().max(wall) >= self.limit
    }

    /// When the epoch shall come to its end by itself, with everything acknowledged.
    pub(crate) fn renewal(&self) -> Instant {
        self.began + self.limit / 4 * 3
    }

    /// Until when what is on its way to the lanes then may still go there.
    pub(crate) fn last_call(&self) -> Instant {
        self.began + self.limit / 8 * 7
    }
}

/// Somebody saved a newer state.
pub(crate) fn overtaken() -> Failure {
    let text = "another attempt of this restore took over, or it was ended by `kafka-backup-runner release`";
    Failure::new(Code::Fenced, text)
}

/// A fence that was lost again and again.
pub(crate) fn taken_over(error: &wire::WireError) -> Failure {
    let text = format!("another attempt of this restore, or another restore into its topics, took over: {error}");
    Failure::new(Code::Fenced, text)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Still(Mutex<Timestamp>);

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn an_epoch_lasts_half_as_long_as_a_fence() {
        let configs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let secs = |pairs: &[(&str, &str)]| longest_epoch(&configs(pairs)).as_secs();
        let (transactional, producer) = (EXPIRATIONS[0], EXPIRATIONS[1]);
        assert_eq!(secs(&[(transactional, "604800000"), (producer, "86400000")]), 43_200);
        assert_eq!(secs(&[(transactional, "604800000")]), 302_400);
        assert_eq!((secs(&[]), secs(&[(producer, "4000")]), secs(&[(producer, "10")])), (1_800, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn either_clock_ends_it() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let clock = Arc::new(Still(Mutex::new(start)));
        let lease = Lease::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(8));
        assert!(!lease.is_over() && lease.renewal() == Instant::now() + Duration::from_secs(6));
        // The wall clock was set back: the other one still counts.
        *clock.0.lock().unwrap() = Timestamp::from_second(10).unwrap();
        assert!(!lease.is_over());
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(lease.is_over());
        // The machine slept: only the wall clock went on.
        let asleep = Lease::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(8));
        *clock.0.lock().unwrap() = Timestamp::from_second(30).unwrap();
        assert!(asleep.is_over());
    }
}
