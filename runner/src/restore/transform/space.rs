//! How much decompressed data is in memory at once. Archived bytes say nothing about it: a batch of two kilobytes may
//! unpack to many megabytes. What is huge is read piece by piece, and still one of its records may be as large as clients
//! take: one at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::{Code, Failure};
use tokio::sync::Semaphore;

/// Most plain bytes of a batch that is worked on as a whole, beside others.
pub(super) const SMALL: usize = 4 << 20;

/// A few transformations at once, and of those only one that works on something huge.
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

    /// Waits until no other huge batch is worked on.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.huge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
