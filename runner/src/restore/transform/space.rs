//! How much decompressed data is in memory at once. Archived bytes say nothing about it: a batch of two kilobytes may
//! unpack to many megabytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch::{BatchError, Decompressor, PAYLOAD_LIMIT, RawBatch, payload};
use bytes::Bytes;
use contract::{Code, Failure};
use tokio::sync::Semaphore;

/// Most plain bytes of a batch that needs no turn of its own.
pub(super) const SMALL: usize = 4 << 20;

/// A few transformations at once, and of those only one that unpacks something huge.
#[derive(Debug)]
pub(crate) struct Space {
    /// No threads: work is done where it is asked for.
    inline: bool,
    slots: Arc<Semaphore>,
    huge: Mutex<()>,
}

#[cfg(test)]
impl Default for Space {
    fn default() -> Self {
        Self::new(2)
    }
}

/// Held by whoever has unpacked something huge.
pub(super) type Turn<'a> = Option<MutexGuard<'a, ()>>;

impl Space {
    /// As many as can do something at the same time; more would only hold memory. With 0 workers nothing runs on other
    /// threads, so that a simulation repeats itself.
    pub(crate) fn new(workers: usize) -> Self {
        Self { inline: workers == 0, slots: Arc::new(Semaphore::new(workers.max(1))), huge: Mutex::default() }
    }

    /// Does one transformation on a thread that may block, when there is a slot for it.
    ///
    /// # Errors
    /// Those of the transformation.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let closed = |_| Failure::new(Code::Internal, "the slots of transformations were closed");
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(closed)?;
        let work = move || {
            let done = work();
            drop(slot);
            done
        };
        if self.inline {
            return work();
        }
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Failure::new(Code::Internal, error.to_string())))
    }

    /// The records of a batch, and the turn that a huge one takes: its holder drops it when the records are dropped.
    /// Blocks while another huge one is in memory.
    pub(super) fn unpack(
        &self,
        batch: &RawBatch,
        decompressor: &mut Decompressor,
    ) -> Result<(Bytes, Turn<'_>), BatchError> {
        match payload(batch, decompressor, SMALL) {
            Err(BatchError::TooLarge { .. }) => {
                let turn = self.huge.lock().unwrap_or_else(PoisonError::into_inner);
                Ok((payload(batch, decompressor, PAYLOAD_LIMIT)?, Some(turn)))
            }
            small => Ok((small?, None)),
        }
    }
}
