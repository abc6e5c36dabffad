//! For how long brokers asked this client to be silent, over all connections of a cluster (KIP-219).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What brokers asked for so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttled {
    /// The sum over all answers.
    pub total: Duration,
    /// When the last of these silences ends; `None` when no broker ever asked for one.
    pub until: Option<Instant>,
}

/// The counter that all connections share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle(Arc<Mutex<Throttled>>);

impl Throttle {
    /// Notes one broker's wish; returns until when its connection is to be silent.
    pub(crate) fn told(&self, silence: Duration) -> Instant {
        let until = Instant::now() + silence;
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.total += silence;
        sum.until = sum.until.max(Some(until));
        until
    }

    pub(crate) fn so_far(&self) -> Throttled {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
