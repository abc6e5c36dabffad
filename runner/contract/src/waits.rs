//! What a command waits for at this moment, and what it must say at once. Whoever waits writes here; whoever talks to people
//! reads here ([`Announcer`] decides when). Pure: time comes in as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A wait is told of after this time. Whoever looks does so each second: it is told within five.
const FIRST: Duration = Duration::from_secs(4);
/// And again each time.
const AGAIN: Duration = Duration::from_secs(30);
/// Most that is told of at once; what many wait for, a few tell.
const MOST: usize = 5;
/// Most news that nobody took yet.
const NEWS: usize = 100;

/// All waits of a command.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    open: BTreeMap<u64, Open>,
    news: Vec<String>,
    told: BTreeSet<String>,
}

#[derive(Debug)]
struct Open {
    what: String,
    /// It says why, and not only what is done at the moment.
    is_cause: bool,
}

/// One wait; it is over when this is dropped.
#[derive(Debug)]
pub struct Wait {
    waits: Waits,
    id: u64,
    is_cause: bool,
}

impl Waits {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait for `what`, a step of the work.
    #[must_use]
    pub fn begin(&self, what: impl Into<String>) -> Wait {
        self.open(what.into(), false)
    }

    /// Begins to wait because of `why`. Steps are told of only while no cause is known.
    #[must_use]
    pub fn begin_because(&self, why: impl Into<String>) -> Wait {
        self.open(why.into(), true)
    }

    fn open(&self, what: String, is_cause: bool) -> Wait {
        let mut inner = self.inner();
        let id = inner.next;
        inner.next += 1;
        inner.open.insert(id, Open { what, is_cause });
        Wait { waits: self.clone(), id, is_cause }
    }

    /// Whether somebody waits because of something that is wrong, and not only for a step of the work.
    #[must_use]
    pub fn is_held_up(&self) -> bool {
        self.inner().open.values().any(|open| open.is_cause)
    }

    /// Something that is told at once, and once only.
    pub fn tell(&self, news: impl Into<String>) {
        let (mut inner, news) = (self.inner(), news.into());
        if inner.told.len() < NEWS && inner.told.insert(news.clone()) {
            inner.news.push(news);
        }
    }

    /// What is to be told at once, since this was asked last.
    #[must_use]
    pub fn take_news(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().news)
    }
}

impl Wait {
    /// It goes on, and is now for `what`.
    pub fn now(&self, what: impl Into<String>) {
        let open = Open { what: what.into(), is_cause: self.is_cause };
        self.waits.inner().open.insert(self.id, open);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.inner().open.remove(&self.id);
    }
}

/// A wait in one line.
#[must_use]
pub fn line(seconds: u64, what: &str) -> String {
    if seconds == 0 { what.to_owned() } else { format!("waiting for {seconds} s so far: {what}") }
}

/// Decides which waits are told of now.
#[derive(Debug, Default)]
pub struct Announcer {
    /// Since when each wait is known, and when it is told of next.
    known: BTreeMap<u64, (Duration, Duration)>,
}

impl Announcer {
    /// What is told of at the time `now`, with the seconds that it lasts already. Waits for the same are told of once.
    pub fn due(&mut self, waits: &Waits, now: Duration) -> Vec<(u64, String)> {
        let inner = waits.inner();
        self.known.retain(|id, _| inner.open.contains_key(id));
        let mut due: BTreeMap<&str, u64> = BTreeMap::new();
        let is_known = inner.open.values().any(|open| open.is_cause);
        for (id, open) in &inner.open {
            let (since, next) = self.known.entry(*id).or_insert((now, now + FIRST));
            if *next <= now && open.is_cause >= is_known {
                *next = now + AGAIN;
                let seconds = due.entry(&open.what).or_default();
                *seconds = (*seconds).max(now.saturating_sub(*since).as_secs() + 1);
            }
        }
        due.into_iter().take(MOST).map(|(what, seconds)| (seconds, what.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_of_within_five_seconds_and_then_every_thirty() {
        let (waits, mut announcer) = (Waits::default(), Announcer::default());
        let wait = waits.begin("a broker");
        let twin = waits.begin("a broker");
        let told: Vec<_> = (0..70).filter(|at| !announcer.due(&waits, Duration::from_secs(*at)).is_empty()).collect();
        assert_eq!(told, [4, 34, 64]);
        wait.now("a store");
        drop(twin);
        assert_eq!(announcer.due(&waits, Duration::from_secs(94)), [(95, "a store".to_owned())]);
        let step = waits.begin("an answer");
        let cause = waits.begin_because("the store is full");
        for at in 200..204 {
            assert_eq!(announcer.due(&waits, Duration::from_secs(at)), []);
        }
        assert_eq!(announcer.due(&waits, Duration::from_secs(204)), [(5, "the store is full".to_owned())]);
        assert!(waits.is_held_up());
        drop(cause);
        assert!(!waits.is_held_up());
        assert_eq!(announcer.due(&waits, Duration::from_secs(205)).len(), 2);
        drop((wait, step));
        assert_eq!(announcer.due(&waits, Duration::from_secs(300)), []);
    }

    #[test]
    fn news_is_told_once() {
        let waits = Waits::default();
        waits.tell("x");
        waits.tell("x");
        assert_eq!(waits.take_news(), ["x"]);
        waits.tell("x");
        assert!(waits.take_news().is_empty());
        (0..1000).for_each(|n| waits.tell(n.to_string()));
        assert!(waits.take_news().len() <= NEWS);
    }
}
