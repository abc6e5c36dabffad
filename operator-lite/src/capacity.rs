//! How many runs work at once: for each class of runs a budget of its own, in all and in a namespace, and a queue for
//! what does not fit. Counted by the replica that runs the controllers; nothing depends on it but load.
//!
//! A restore or a plan never waits behind backups. A continuous run is not counted: it would keep its place for ever.
//! A run that cannot work now, because its pod cannot start or its next attempt waits, has no place.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A place or a turn that is not renewed for so long is free again: its resource is gone.
const LAPSE: Duration = Duration::from_secs(30);
/// Runs before one in the queue that are counted; a longer queue would change every status with each run that ends.
const COUNTED: usize = 9;

/// What has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Backups that end: once, by schedule, or asked for.
    Backup,
    /// Backups that go on.
    Continuous,
    /// Restores.
    Restore,
    /// Dry runs of restores.
    Plan,
}

impl Class {
    /// What its runs are called.
    fn words(self) -> &'static str {
        match self {
            Self::Backup => "backups",
            Self::Continuous => "continuous backups",
            Self::Restore => "restores",
            Self::Plan => "dry runs of restores",
        }
    }
}

/// Whose place it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// Class of its runs.
    pub class: Class,
    /// Namespace.
    pub namespace: String,
    /// Uid of the resource.
    pub uid: String,
}

/// Why a run waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Runs that are before it in the queue.
    pub before: usize,
    class: Class,
    /// The limit that it waits at, and the namespace that has it, if it is one's own.
    limit: (usize, Option<String>),
}

impl std::fmt::Display for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (class, limit) = (self.class.words(), self.limit.0);
        match &self.limit.1 {
            None => write!(f, "a run is due and waits for one of {limit} places for {class} (maxConcurrentRuns)")?,
            Some(namespace) => write!(
                f,
                "a run is due and waits for one of {limit} places for {class} in namespace {namespace} \
                 (maxConcurrentRunsPerNamespace)"
            )?,
        }
        match self.before {
            0 => f.write_str("; it is the next"),
            before @ 1..=COUNTED => write!(f, "; {before} {} before it", if before == 1 { "is" } else { "are" }),
            _ => write!(f, "; more than {COUNTED} are before it"),
        }
    }
}

/// Room for runs; 0 is no limit.
#[derive(Debug, Default)]
pub struct Capacity {
    most: usize,
    most_in_namespace: usize,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// When each place was renewed last.
    working: BTreeMap<Seat, Instant>,
    /// Those that wait, in their order.
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    seat: Seat,
    asked: Instant,
}

impl Capacity {
    /// Room for so many runs of each class.
    #[must_use]
    pub fn new(most: usize, most_in_namespace: usize) -> Self {
        Self { most, most_in_namespace, book: Mutex::default() }
    }

    /// Takes a place for a resource, or keeps the one that it has.
    ///
    /// # Errors
    /// There is no room, or others have waited longer: its turn.
    pub fn take(&self, seat: &Seat, now: Instant) -> Result<(), Turn> {
        if seat.class == Class::Continuous {
            return Ok(());
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.forget(now);
        if !book.working.contains_key(seat) {
            match book.waiting.iter_mut().find(|waiting| waiting.seat == *seat) {
                Some(waiting) => waiting.asked = now,
                None => book.waiting.push(Waiting { seat: seat.clone(), asked: now }),
            }
            if let Some(turn) = self.turn(&book, seat) {
                return Err(turn);
            }
        }
        book.waiting.retain(|waiting| waiting.seat != *seat);
        book.working.insert(seat.clone(), now);
        Ok(())
    }

    /// Why a resource that waits must go on waiting. Whoever is before it and fits goes first; one that its namespace holds
    /// up does not hold up the others.
    fn turn(&self, book: &Book, seat: &Seat) -> Option<Turn> {
        let of_class = book.working.keys().filter(|other| other.class == seat.class);
        let mut here: BTreeMap<&str, usize> = BTreeMap::new();
        let mut all = 0;
        for other in of_class {
            *here.entry(other.namespace.as_str()).or_default() += 1;
            all += 1;
        }
        let full = |count: usize, most: usize| most > 0 && count >= most;
        let queue = book.waiting.iter().map(|waiting| &waiting.seat).filter(|other| other.class == seat.class);
        for (before, next) in queue.enumerate() {
            let in_namespace = here.entry(next.namespace.as_str()).or_default();
            let limit = if full(*in_namespace, self.most_in_namespace) {
                Some((self.most_in_namespace, Some(seat.namespace.clone())))
            } else if full(all, self.most) {
                Some((self.most, None))
            } else {
                None
            };
            if next == seat {
                return limit.map(|limit| Turn { before, class: seat.class, limit });
            }
            if limit.is_none() {
                *in_namespace += 1;
                all += 1;
            }
        }
        None
    }

    /// Counts a run that works, whether there is room or not.
    pub fn count(&self, seat: &Seat, now: Instant) {
        if seat.class != Class::Continuous {
            self.book.lock().unwrap_or_else(PoisonError::into_inner).working.insert(seat.clone(), now);
        }
    }

    /// Gives a place or a turn back, whatever class it was for.
    pub fn give_back(&self, namespace: &str, uid: &str) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |seat: &Seat| (seat.namespace.as_str(), seat.uid.as_str()) != (namespace, uid);
        book.working.retain(|seat, _| others(seat));
        book.waiting.retain(|waiting| others(&waiting.seat));
    }
}

impl Book {
    fn forget(&mut self, now: Instant) {
        self.working.retain(|_, renewed| now.duration_since(*renewed) < LAPSE);
        self.waiting.retain(|waiting| now.duration_since(waiting.asked) < LAPSE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seat(class: Class, namespace: &str, uid: &str) -> Seat {
        Seat { class, namespace: namespace.into(), uid: uid.into() }
    }

    fn backup(namespace: &str, uid: &str) -> Seat {
        seat(Class::Backup, namespace, uid)
    }

    #[test]
    fn both_limits_hold() {
        let (capacity, now) = (Capacity::new(3, 2), Instant::now());
        let takes = |namespace: &str, uid: &str| capacity.take(&backup(namespace, uid), now).is_ok();
        assert!(takes("a", "1") && takes("a", "2") && takes("a", "1"));
        assert!(!takes("a", "3"), "two in a namespace");
        assert!(takes("b", "4"), "whom a namespace holds up holds up nobody else");
        assert!(!takes("c", "5"), "three in all");
        capacity.give_back("a", "1");
        assert!(!takes("c", "5"), "another one waits longer");
        assert!(takes("a", "3"));
        capacity.give_back("b", "4");
        assert!(takes("c", "5"));
    }

    #[test]
    fn the_place_of_a_resource_that_is_gone_is_free_again() {
        let (capacity, now) = (Capacity::new(1, 0), Instant::now());
        let (one, two) = (backup("a", "1"), backup("a", "2"));
        capacity.count(&one, now);
        assert!(capacity.take(&two, now + LAPSE / 2).is_err());
        capacity.count(&one, now + LAPSE / 2);
        assert!(capacity.take(&two, now + LAPSE).is_err());
        assert!(capacity.take(&two, now + LAPSE * 2).is_ok());
    }

    #[test]
    fn restores_plans_and_continuous_runs_never_wait_behind_backups() {
        let (capacity, now) = (Capacity::new(2, 1), Instant::now());
        for number in 0..20 {
            capacity.count(&backup("a", &number.to_string()), now);
            assert!(capacity.take(&backup("a", &format!("queued-{number}")), now).is_err());
        }
        assert!(capacity.take(&seat(Class::Restore, "a", "r"), now).is_ok());
        assert!(capacity.take(&seat(Class::Plan, "a", "p"), now).is_ok());
        for number in 0..20 {
            assert!(capacity.take(&seat(Class::Continuous, "a", &number.to_string()), now).is_ok());
        }
    }

    #[test]
    fn a_queue_says_what_it_waits_for_and_whose_turn_it_is() {
        let (capacity, now) = (Capacity::new(1, 0), Instant::now());
        capacity.count(&backup("a", "0"), now);
        let words = |uid: &str| capacity.take(&backup("a", uid), now).unwrap_err().to_string();
        assert_eq!(
            words("1"),
            "a run is due and waits for one of 1 places for backups (maxConcurrentRuns); it is the next"
        );
        assert!(words("2").ends_with("; 1 is before it"));
        assert!(words("3").ends_with("; 2 are before it"));
        let last: Vec<String> = (4..20).map(|number| words(&number.to_string())).collect();
        assert!(last.last().unwrap().ends_with("; more than 9 are before it"));
        let (capacity, now) = (Capacity::new(0, 1), Instant::now());
        capacity.count(&backup("a", "0"), now);
        let told = capacity.take(&backup("a", "1"), now).unwrap_err().to_string();
        assert!(told.contains("in namespace a (maxConcurrentRunsPerNamespace)"), "{told}");
    }

    proptest! {
        /// Whoever waits gets a place once the others let go, in the order in which they came, and no limit is passed.
        #[test]
        fn nobody_is_passed_over(most in 1_usize..4, most_here in 0_usize..3, arrivals in prop::collection::vec(0_u8..3, 1..30)) {
            let (capacity, mut now) = (Capacity::new(most, most_here), Instant::now());
            let seats: Vec<Seat> =
                arrivals.iter().enumerate().map(|(number, namespace)| backup(&namespace.to_string(), &number.to_string())).collect();
            let mut left: Vec<&Seat> = seats.iter().collect();
            let mut began: Vec<(u8, usize)> = Vec::new();
            let mut working: Vec<&Seat> = Vec::new();
            for _ in 0..arrivals.len() * 2 {
                now += Duration::from_secs(1);
                left.retain(|seat| {
                    let got = capacity.take(seat, now).is_ok();
                    if got {
                        working.push(seat);
                        began.push((seat.namespace.parse().unwrap(), seat.uid.parse().unwrap()));
                    }
                    !got
                });
                prop_assert!(working.len() <= most);
                for seat in &working {
                    let here = working.iter().filter(|other| other.namespace == seat.namespace).count();
                    prop_assert!(most_here == 0 || here <= most_here);
                }
                if !working.is_empty() {
                    let ended = working.remove(0);
                    capacity.give_back(&ended.namespace, &ended.uid);
                }
            }
            prop_assert!(left.is_empty(), "{left:?}");
            for namespace in 0..3 {
                let order: Vec<usize> = began.iter().filter(|(of, _)| *of == namespace).map(|(_, number)| *number).collect();
                prop_assert!(order.is_sorted(), "{order:?}");
            }
        }
    }
}
