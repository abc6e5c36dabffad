//! What a writer spends its time on, to tell what limits a run.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Time spent on one kind of work.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spent(Arc<AtomicU64>);

impl Spent {
    /// Waits for `work` and counts how long that takes.
    pub(crate) async fn measure<T>(&self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        self.0.fetch_add(u64::try_from(started.elapsed().as_micros()).unwrap_or(0), Ordering::Relaxed);
        result
    }

    fn millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / 1000
    }
}

/// Time that a writer spent; clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct TimeSpent {
    pub(crate) packing: Spent,
    pub(crate) storing: Spent,
}

impl TimeSpent {
    /// Milliseconds of sorting, compressing and hashing.
    #[must_use]
    pub fn packing_ms(&self) -> u64 {
        self.packing.millis()
    }

    /// Milliseconds of waiting for the store.
    #[must_use]
    pub fn storing_ms(&self) -> u64 {
        self.storing.millis()
    }
}
