//! How many runs work at once, in all and in a namespace. Counted by the replica that runs the controllers; nothing
//! depends on it but load.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A place that is not renewed for so long is free again: its resource is gone.
const LAPSE: Duration = Duration::from_secs(30);

/// Room for runs; 0 is no limit.
#[derive(Debug, Default)]
pub struct Capacity {
    most: usize,
    most_in_namespace: usize,
    /// When each place was renewed last, by namespace and uid.
    running: Mutex<BTreeMap<(String, String), Instant>>,
}

impl Capacity {
    /// Room for so many runs.
    #[must_use]
    pub fn new(most: usize, most_in_namespace: usize) -> Self {
        Self { most, most_in_namespace, running: Mutex::default() }
    }

    /// Takes a place for a resource, or keeps the one that it has.
    #[must_use]
    pub fn take(&self, namespace: &str, uid: &str, now: Instant) -> bool {
        let key = (namespace.to_owned(), uid.to_owned());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, renewed| now.duration_since(*renewed) < LAPSE);
        let here = running.keys().filter(|(other, _)| other == namespace).count();
        let fits = |count: usize, most: usize| most == 0 || count < most;
        let room = running.contains_key(&key) || fits(running.len(), self.most) && fits(here, self.most_in_namespace);
        if room {
            running.insert(key, now);
        }
        room
    }

    /// Counts a run that works, whether there is room or not.
    pub fn count(&self, namespace: &str, uid: &str, now: Instant) {
        let key = (namespace.to_owned(), uid.to_owned());
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    /// Gives a place back.
    pub fn give_back(&self, namespace: &str, uid: &str) {
        let key = (namespace.to_owned(), uid.to_owned());
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold() {
        let (capacity, now) = (Capacity::new(3, 2), Instant::now());
        assert!(capacity.take("a", "1", now) && capacity.take("a", "2", now) && capacity.take("a", "1", now));
        assert!(!capacity.take("a", "3", now), "two in a namespace");
        assert!(capacity.take("b", "4", now));
        assert!(!capacity.take("c", "5", now), "three in all");
        capacity.give_back("a", "1");
        assert!(capacity.take("c", "5", now));
    }

    #[test]
    fn the_place_of_a_resource_that_is_gone_is_free_again() {
        let (capacity, now) = (Capacity::new(1, 0), Instant::now());
        capacity.count("a", "1", now);
        assert!(!capacity.take("a", "2", now + LAPSE / 2));
        capacity.count("a", "1", now + LAPSE / 2);
        assert!(!capacity.take("a", "2", now + LAPSE));
        assert!(capacity.take("a", "2", now + LAPSE * 2));
    }
}
