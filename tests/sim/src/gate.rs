//! What stands between one attempt of the runner and the world: it can be stopped like a process, and killed like one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

/// How the attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Stopped,
    Dead,
}

/// The gate of one attempt. Nothing of a dead one reaches the world, and nothing reaches it.
#[derive(Debug, Clone)]
pub struct Gate {
    life: Arc<watch::Sender<Life>>,
    passed: Arc<AtomicU64>,
    dies_at: u64,
}

impl Gate {
    /// A gate that dies by itself at the n-th thing that passes; 0: never.
    pub fn new(dies_at: u64) -> Self {
        Self { life: Arc::new(watch::Sender::new(Life::Running)), passed: Arc::default(), dies_at }
    }

    /// Waits until the attempt runs; for ever when it is dead.
    pub async fn pass(&self) {
        if self.passed.fetch_add(1, Ordering::Relaxed) + 1 == self.dies_at {
            self.kill();
        }
        self.runs().await;
    }

    /// The same, without counting.
    pub async fn runs(&self) {
        let mut life = self.life.subscribe();
        if life.wait_for(|life| *life == Life::Running).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What passed so far.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// As `kill -STOP`, or `-CONT`.
    pub fn stop(&self, stopped: bool) {
        self.life.send_if_modified(|life| {
            let alive = *life != Life::Dead;
            if alive {
                *life = if stopped { Life::Stopped } else { Life::Running };
            }
            alive
        });
    }

    /// As `kill -9`.
    pub fn kill(&self) {
        self.life.send_replace(Life::Dead);
    }

    /// Resolves when the attempt is dead.
    pub async fn dead(&self) {
        let mut life = self.life.subscribe();
        if life.wait_for(|life| *life == Life::Dead).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The gate of the attempt that runs now, for whoever stops or kills it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Current(Arc<Mutex<Option<Gate>>>);

impl Current {
    pub(crate) fn set(&self, gate: &Gate) {
        *self.0.lock().unwrap() = Some(gate.clone());
    }

    /// The gate, if an attempt has begun.
    pub(crate) fn gate(&self) -> Option<Gate> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn kill(&self) {
        self.gate().iter().for_each(Gate::kill);
    }

    /// As `kill -STOP`, or `-CONT`.
    pub(crate) fn stop(&self, stopped: bool) {
        self.gate().iter().for_each(|gate| gate.stop(stopped));
    }
}
