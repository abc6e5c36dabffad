//! Hosts that DNS does not know. A name that nobody knows for a minute, of a host that never answered, is a wrong name
//! and not an outage. Once a host has answered, its name is right whatever DNS says later.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a name must be unknown: names of services that are being installed come late.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// What is known of the hosts behind one store: its own, and those that hand out credentials.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<String, Host>>);

#[derive(Debug, Clone, Copy)]
enum Host {
    Reached,
    UnknownSince(Instant),
}

impl Names {
    /// The host has its name: somebody was found there.
    pub(super) fn known(&self, host: &str) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(hosts.get(host), Some(Host::Reached)) {
            hosts.insert(host.to_owned(), Host::Reached);
        }
    }

    /// DNS says once more that there is no such host. For how long it has, once that is long enough to believe it.
    pub(super) fn unknown(&self, host: &str) -> Option<Duration> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match hosts.entry(host.to_owned()).or_insert_with(|| Host::UnknownSince(Instant::now())) {
            Host::Reached => None,
            Host::UnknownSince(since) => Some(since.elapsed()).filter(|unknown| *unknown >= UNKNOWN_FOR),
        }
    }
}
