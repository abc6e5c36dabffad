//! A rate limit on records and bytes that several tasks share.
//!
//! What was moved is paid for afterwards: whoever wants to move more first waits until earlier moves are paid.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::RateLimit;
use tokio::time::Instant;

/// What may be moved at once when nothing was moved for a while: this much time's worth.
const BURST: Duration = Duration::from_millis(500);
/// A wait is counted in pieces of this length, so that whoever reads the count meanwhile sees that somebody waits.
const PIECE: Duration = Duration::from_millis(25);

/// Bytes that are worth a request at any rate.
const LEAST: i32 = 16 << 10;
/// Size of a record before any was seen.
const FIRST_GUESS: u64 = 128;

/// A shared limit; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Limiter {
    limit: RateLimit,
    /// When everything moved so far is paid for.
    paid_at: Arc<Mutex<Option<Instant>>>,
    /// Microseconds.
    waited: Arc<AtomicU64>,
    /// Size of a record, as far as seen.
    record_bytes: Arc<AtomicU64>,
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            paid_at: Arc::default(),
            waited: Arc::default(),
            record_bytes: Arc::new(AtomicU64::new(FIRST_GUESS)),
        }
    }

    /// Most bytes that one request should ask for, so that the pace stays even: a quarter of a second's worth.
    pub(crate) fn portion(&self, most: i32) -> i32 {
        let size = self.record_bytes.load(Ordering::Relaxed);
        let by_records = self.limit.records_per_sec.saturating_mul(size);
        let rates = [self.limit.bytes_per_sec, by_records];
        let least = rates.into_iter().filter(|rate| *rate > 0).min();
        let portion = least.map(|rate| i32::try_from(rate / 4).unwrap_or(i32::MAX).max(LEAST));
        portion.map_or(most, |portion| portion.min(most))
    }

    /// Waits until more may be moved.
    pub(crate) async fn ready(&self) {
        if !self.limit.is_set() {
            return;
        }
        let paid_at = *self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = paid_at.and_then(|at| at.checked_duration_since(Instant::now() + BURST));
        let mut left = wait.unwrap_or_default();
        while !left.is_zero() {
            let piece = left.min(PIECE);
            tokio::time::sleep(piece).await;
            self.waited.fetch_add(u64::try_from(piece.as_micros()).unwrap_or(0), Ordering::Relaxed);
            left -= piece;
        }
    }

    /// Says what was moved.
    pub(crate) fn moved(&self, records: u64, bytes: u64) {
        if let Some(size) = bytes.checked_div(records) {
            self.record_bytes.store(size.max(1), Ordering::Relaxed);
        }
        let seconds = |amount: u64, rate: u64| if rate == 0 { 0.0 } else { amount as f64 / rate as f64 };
        let cost = seconds(records, self.limit.records_per_sec).max(seconds(bytes, self.limit.bytes_per_sec));
        if cost > 0.0 {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            let from = paid_at.map_or_else(Instant::now, |at| at.max(Instant::now()));
            *paid_at = Some(from + Duration::from_secs_f64(cost));
        }
    }

    /// Milliseconds that tasks waited here, all together.
    pub(crate) fn waited_ms(&self) -> u64 {
        self.waited.load(Ordering::Relaxed) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_average_keeps_to_the_limit() {
        for (limit, records, bytes) in [
            (RateLimit { records_per_sec: 0, bytes_per_sec: 1_000_000 }, 1, 100_000),
            (RateLimit { records_per_sec: 100, bytes_per_sec: 0 }, 10, 5),
        ] {
            let limiter = Limiter::new(limit);
            let started = Instant::now();
            for _ in 0..100 {
                limiter.ready().await;
                limiter.moved(records, bytes);
            }
            let seconds = started.elapsed().as_secs_f64();
            assert!((9.0..10.1).contains(&seconds), "{seconds}");
            assert!(limiter.waited_ms() > 8_000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_seen_while_it_lasts() {
        let limiter = Limiter::new(RateLimit { records_per_sec: 1, bytes_per_sec: 0 });
        limiter.moved(10, 10);
        let waiting = limiter.clone();
        let task = tokio::spawn(async move { waiting.ready().await });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!((2_900..=3_000).contains(&limiter.waited_ms()), "{}", limiter.waited_ms());
        task.await.unwrap();
        assert_eq!(limiter.waited_ms(), 9_500);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let limiter = Limiter::new(RateLimit::default());
        let started = Instant::now();
        for _ in 0..1000 {
            limiter.ready().await;
            limiter.moved(1_000_000, 1 << 30);
        }
        assert_eq!((started.elapsed(), limiter.portion(8 << 20)), (Duration::ZERO, 8 << 20));
    }
}
