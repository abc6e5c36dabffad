//! How much decompressed data is in memory at once. Archived bytes say nothing about it: a batch of two kilobytes may
//! unpack to many megabytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch::{BatchError, Decompressor, PAYLOAD_LIMIT, RawBatch, payload};
use bytes::Bytes;
use contract::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most plain bytes of a batch that needs no turn of its own.
pub(super) const SMALL: usize = 4 << 20;

/// A few transformations at once, and of those only one that unpacks something huge.
#[derive(Debug)]
pub(crate) struct Space {
    slots: Arc<Semaphore>,
    huge: Mutex<()>,
}

impl Default for Space {
    /// As many as can do something at the same time; more would only hold memory.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { slots: Arc::new(Semaphore::new(cores)), huge: Mutex::default() }
    }
}

/// Held by whoever has unpacked something huge.
pub(super) type Turn<'a> = Option<MutexGuard<'a, ()>>;

impl Space {
    /// Waits until a transformation may begin.
    ///
    /// # Errors
    /// Never, as long as the program is whole.
    pub(crate) async fn slot(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let closed = |_| Failure::new(Code::Internal, "the slots of transformations were closed");
        Arc::clone(&self.slots).acquire_owned().await.map_err(closed)
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
