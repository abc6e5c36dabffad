//! What is known of the hosts behind one store: its own, a proxy, and those that hand out credentials. Once a host has
//! answered, its name and its way are right whatever happens later; what never answered may be named as wrong.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a name must be unknown: names of services that are being installed come late.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// What shows at once is believed after so many tries over so long: something may be starting.
const TRIES: u32 = 3;
const TRIED_FOR: Duration = Duration::from_secs(3);

/// The hosts of a store.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<String, Host>>);

#[derive(Debug, Clone, Copy, Default)]
struct Host {
    /// Somebody answered there.
    reached: bool,
    /// Since when DNS knows no such name.
    unknown: Option<Instant>,
    /// Tries that failed, and when the first one did.
    failed: u32,
    since: Option<Instant>,
}

impl Hosts {
    fn with<T>(&self, host: &str, work: impl FnOnce(&mut Host) -> T) -> T {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(hosts.entry(host.to_owned()).or_default())
    }

    /// Somebody answered there.
    pub(super) fn reached(&self, host: &str) {
        self.with(host, |host| host.reached = true);
    }

    /// Whether somebody ever answered there.
    pub(super) fn was_reached(&self, host: &str) -> bool {
        self.with(host, |host| host.reached)
    }

    /// DNS says once more that there is no such host. For how long it has, once that is long enough to believe it.
    pub(super) fn unknown(&self, host: &str) -> Option<Duration> {
        self.with(host, |host| {
            let since = host.unknown.get_or_insert_with(Instant::now).elapsed();
            Some(since).filter(|unknown| !host.reached && *unknown >= UNKNOWN_FOR)
        })
    }

    /// A try failed once more in a way that no retry heals. Whether that is to be believed now.
    pub(super) fn failed(&self, host: &str) -> bool {
        self.with(host, |host| {
            host.failed += 1;
            let since = host.since.get_or_insert_with(Instant::now).elapsed();
            !host.reached && host.failed >= TRIES && since >= TRIED_FOR
        })
    }
}
