//! What a run gets from outside: time, randomness, connections, folders, and the wish to stop.

use std::sync::Arc;

use archive::{ArchiveError, Paths, Store};
use contract::{CircuitBreakerSpec, StoreSpec, Waits};
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use wire::Dialer;

/// The wall clock. Only labels come from it: no decision rests on it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// A source of randomness.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// The next number.
    fn next(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The system's randomness.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        uuid::Uuid::new_v4().as_u64_pair().0
    }
}

/// Makes the dialer for a run's connection options.
pub type DialerFactory = dyn Fn(&contract::ConnectionSpec) -> Arc<dyn Dialer> + Send + Sync;

/// Whether a store is asked something when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It is: a missing bucket is told at once.
    Asked,
    /// It is not: whoever uses it asks soon enough.
    Unasked,
}

/// Opens the store of a specification.
pub type StoreFactory = dyn Fn(StoreSpec, Paths, CircuitBreakerSpec, Opening) -> BoxFuture<'static, Result<Store, ArchiveError>>
    + Send
    + Sync;

/// Everything that a run takes from outside.
#[derive(Clone)]
pub struct Context {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Connections.
    pub dialers: Arc<DialerFactory>,
    /// Stores.
    pub stores: Arc<StoreFactory>,
    /// Folders of secrets and volumes.
    pub paths: Paths,
    /// Set when the run shall stop and save its progress.
    pub cancel: CancellationToken,
    /// What is waited for.
    pub waits: Waits,
    /// Threads that pack blocks; 0: blocks are packed where they are asked for, so that a simulation repeats itself.
    pub workers: usize,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("paths", &self.paths).field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl Context {
    /// A context of the real world.
    #[must_use]
    pub fn system(paths: Paths) -> Self {
        let waits = Waits::default();
        let told = waits.clone();
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            dialers: Arc::new(|options| Arc::new(wire::TcpDialer::new(options.clone()))),
            stores: Arc::new(move |spec, paths, breaker, opening| {
                let waits = told.clone();
                Box::pin(async move {
                    match opening {
                        Opening::Asked => archive::open_store(&spec, &paths, &breaker, &waits).await,
                        Opening::Unasked => archive::open_unasked(&spec, &paths, &breaker, &waits),
                    }
                })
            }),
            paths,
            cancel: CancellationToken::new(),
            waits,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }

    /// 16 random hexadecimal digits.
    #[must_use]
    pub fn nonce(&self) -> String {
        format!("{:016x}", self.random.next())
    }

    /// A random identity.
    #[must_use]
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(u128::to_be_bytes(
            (u128::from(self.random.next()) << 64) | u128::from(self.random.next()),
        ))
        .into_uuid()
    }

    /// The time now as RFC 3339 with milliseconds.
    #[must_use]
    pub fn now_text(&self) -> String {
        format!("{:.3}", self.clock.now())
    }
}
