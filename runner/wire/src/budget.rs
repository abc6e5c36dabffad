//! A bound on the memory of frames: permits are taken by a frame's length before it is read, and given back
//! when the last slice of the frame is dropped.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bytes per permit.
const UNIT: usize = 1024;

/// A shared memory budget for frames.
#[derive(Debug, Clone)]
pub struct Budget {
    permits: Arc<Semaphore>,
    capacity: u32,
    pressure: Arc<Notify>,
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
        let capacity = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX >> 4);
        Self { permits: Arc::new(Semaphore::new(capacity as usize)), capacity, pressure: Arc::new(Notify::new()) }
    }

    /// Waits until `len` bytes are free. A frame larger than the whole budget takes all of it, alone.
    pub(crate) async fn take(&self, len: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from(len.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.capacity);
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_many_owned(wanted) {
            return Some(permit);
        }
        self.pressure.notify_one();
        Arc::clone(&self.permits).acquire_many_owned(wanted).await.ok()
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
