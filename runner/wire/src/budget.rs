//! A bound on the memory of frames: permits are taken by a frame's length before it is read, and given back
//! when the last slice of the frame is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bytes per permit.
const UNIT: usize = 1024;

/// A shared memory budget for frames.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
    capacity: u32,
    pressure: Arc<Notify>,
    /// Microseconds that answers waited for memory.
    waited: Arc<AtomicU64>,
}

struct Frame {
    data: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let capacity = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX >> 4).max(1);
        let permits = Arc::new(Semaphore::new(capacity as usize));
        Self { permits, capacity, pressure: Arc::default(), waited: Arc::default() }
    }

    /// Waits until `len` bytes are free. A frame larger than the whole budget takes all of it, alone.
    pub(crate) async fn take(&self, len: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(len.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.capacity);
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(wanted) {
            return Some(permit);
        }
        self.pressure.notify_one();
        let since = Instant::now();
        // Nobody closes it.
        let permit = Arc::clone(&self.permits).acquire_many_owned(wanted).await.ok();
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.waited.fetch_add(micros, Ordering::Relaxed);
        permit
    }

    /// How long answers waited for memory so far, all together: time of whatever works on the frames that hold it
    /// (the store), not of the brokers.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited.load(Ordering::Relaxed))
    }

    /// Resolves when somebody waits for memory: whoever holds frames should let go of some.
    pub async fn pressure(&self) {
        self.pressure.notified().await;
    }

    pub(crate) fn frame(data: Vec<u8>, permit: OwnedSemaphorePermit) -> Bytes {
        Bytes::from_owner(Frame { data, _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_memory_is_counted() {
        let budget = Budget::new(0);
        let all = budget.take(1).await.unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.take(1).await.is_some() }
        });
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(budget.waited(), Duration::ZERO);
        drop(all);
        assert!(waiting.await.unwrap());
        assert_eq!(budget.waited(), Duration::from_secs(3));
    }

    #[tokio::test]
    async fn a_slice_holds_its_frame_and_its_drop_frees_the_budget() {
        let budget = Budget::new(10 * UNIT);
        let permit = budget.take(8 * UNIT).await.unwrap();
        let frame = Budget::frame(vec![7; 8 * UNIT], permit);
        let slice = frame.slice(5..6);
        drop(frame);
        assert!(budget.take(4 * UNIT).now_or_never().is_none());
        budget.pressure().await;
        drop(slice);
        let whole = budget.take(1 << 30).await.unwrap();
        assert!(budget.take(1).now_or_never().is_none());
        drop(whole);
    }
}
