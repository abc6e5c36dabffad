//! What a store is waited for: told from the first failure on until an answer comes, also while the library rests between
//! two tries.

use std::sync::{Mutex, PoisonError};

use contract::{Wait, Waits};

/// The trouble with one store.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    waits: Waits,
    open: Mutex<Option<Wait>>,
}

impl Trouble {
    /// Trouble that is told of in `waits`.
    pub(super) fn new(waits: Waits) -> Self {
        Self { waits, open: Mutex::default() }
    }

    /// A request that is sent; it is waited for until this is dropped.
    pub(super) fn request(&self, host: &str) -> Wait {
        self.waits.begin(format!("the object store at {host} to answer"))
    }

    /// It does not answer, or refuses for now.
    pub(super) fn is(&self, host: &str, why: &str) {
        let text = format!("the object store at {host}: {why}");
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some(wait) => wait.now(text),
            None => *open = Some(self.waits.begin_because(text)),
        }
    }

    /// It answers.
    pub(super) fn is_over(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
