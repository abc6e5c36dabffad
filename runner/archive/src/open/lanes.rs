//! How many large bodies are on their way to a store at once. A line that was too slow for several of them carries one:
//! what is sent side by side then only takes longer, until none gets through in time.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A body of this size or more takes a lane.
const LARGE: u64 = 1 << 20;
/// Lanes of a line that was slow once; one is left when it was slow again.
const NARROW: usize = 2;

/// The lanes to one store.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    busy: Mutex<usize>,
    left: Notify,
}

/// A lane that is taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lane<'a>(&'a Lanes);

impl Lanes {
    /// Takes a lane for a body of this size, when one is free: `slow` says how often the line was too slow since it last
    /// was quick. Small bodies and quick lines need none.
    pub(super) async fn take(&self, bytes: u64, slow: impl Fn() -> u32) -> Option<Lane<'_>> {
        if bytes < LARGE {
            return None;
        }
        loop {
            let left = self.left.notified();
            {
                let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
                let width = match slow() {
                    0 => usize::MAX,
                    1 => NARROW,
                    _ => 1,
                };
                if *busy < width {
                    *busy += 1;
                    return Some(Lane(self));
                }
            }
            left.await;
        }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        *busy = busy.saturating_sub(1);
        // All look again: the line may be quick by now.
        self.0.left.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    /// Seconds that four bodies take, each one second long.
    async fn four(slow: u32, bytes: u64) -> u64 {
        let (lanes, slow) = (Arc::new(Lanes::default()), Arc::new(AtomicU32::new(slow)));
        let started = Instant::now();
        let send = || {
            let (lanes, slow) = (Arc::clone(&lanes), Arc::clone(&slow));
            tokio::spawn(async move {
                let _lane = lanes.take(bytes, || slow.load(Ordering::SeqCst)).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            })
        };
        for task in [send(), send(), send(), send()] {
            task.await.unwrap();
        }
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_carries_fewer_bodies_at_once() {
        assert_eq!(four(0, 8 << 20).await, 1);
        assert_eq!(four(1, 8 << 20).await, 2);
        assert_eq!(four(2, 8 << 20).await, 4);
        assert_eq!(four(3, 1 << 10).await, 1, "small ones never wait");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_a_lane_is_given_up() {
        let lanes = Lanes::default();
        let first = lanes.take(LARGE, || 3).await;
        let waits =
            async { tokio::time::timeout(Duration::from_secs(60), lanes.take(LARGE, || 3)).await.unwrap().is_some() };
        let gives = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(first);
        };
        let (came, ()) = tokio::join!(waits, gives);
        assert!(came);
    }
}
