//! How many runs work at once: for each class of runs a budget of its own, in all and in a namespace, and a queue for
//! what does not fit. Counted by the replica that runs the controllers; nothing depends on it but load.
//!
//! Namespaces share the places fairly: the next one goes to the waiting namespace with the fewest runs at work, of those to the one
//! that was served longest ago. So a namespace has all places only while nobody else waits.
//!
//! A restore or a plan never waits behind backups or validations. A continuous run is not counted: it would keep its place for
//! ever. A run that cannot work now, because its pod cannot start or its next attempt waits, has no place.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A place or a turn that is not renewed for so long is free again: its resource is gone.
const LAPSE: Duration = Duration::from_secs(30);
/// Runs before one in the queue that are counted; a longer queue would change every status with each run that ends.
const COUNTED: usize = 9;

/// Inspections at once: each holds a pod, and maybe a volume. They are not runs, and have limits of their own.
const INSPECTIONS: (usize, usize) = (20, 4);

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
    /// Checks of recovery points.
    Validation,
    /// Runs that remove recovery points.
    Retention,
    /// Pods that answer questions about an archive.
    Inspection,
}

impl Class {
    /// What its runs are called.
    fn words(self) -> &'static str {
        match self {
            Self::Backup => "backups",
            Self::Continuous => "continuous backups",
            Self::Restore => "restores",
            Self::Plan => "dry runs of restores",
            Self::Validation => "validations",
            Self::Retention => "runs of retention",
            Self::Inspection => "inspections",
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
            None if self.class == Class::Inspection => write!(f, "it waits for one of {limit} places for {class}")?,
            Some(namespace) if self.class == Class::Inspection => {
                write!(f, "it waits for one of {limit} places for {class} in namespace {namespace}")?;
            }
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
    /// Those that wait, in the order in which they came.
    waiting: Vec<Waiting>,
    /// When each namespace was served last, as the number of the place that it got; kept while others of the class wait.
    served: BTreeMap<(Class, String), u64>,
    /// Places that were given so far.
    given: u64,
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
            book.serve(seat);
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
        let (most, most_in_namespace) = match seat.class {
            Class::Inspection => INSPECTIONS,
            Class::Backup | Class::Continuous | Class::Restore | Class::Plan | Class::Validation | Class::Retention => {
                (self.most, self.most_in_namespace)
            }
        };
        for (before, next) in book.queue(seat.class, here.clone()).into_iter().enumerate() {
            let in_namespace = here.entry(next.namespace.as_str()).or_default();
            let limit = if full(*in_namespace, most_in_namespace) {
                Some((most_in_namespace, Some(seat.namespace.clone())))
            } else if full(all, most) {
                Some((most, None))
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
    /// Those of a class that wait, in the order in which they are served. `here` is how many runs of each namespace work.
    fn queue<'a>(&'a self, class: Class, mut here: BTreeMap<&'a str, usize>) -> Vec<&'a Seat> {
        let mut left: BTreeMap<&str, VecDeque<(usize, &Seat)>> = BTreeMap::new();
        for (place, waiting) in self.waiting.iter().enumerate().filter(|(_, waiting)| waiting.seat.class == class) {
            left.entry(waiting.seat.namespace.as_str()).or_default().push_back((place, &waiting.seat));
        }
        let last = |namespace: &str| self.served.get(&(class, namespace.to_owned())).copied();
        let mut served: BTreeMap<&str, Option<u64>> =
            left.keys().map(|namespace| (*namespace, last(namespace))).collect();
        let (mut out, mut given) = (Vec::new(), self.given);
        loop {
            let share = |namespace: &str| (here.get(namespace).copied(), served.get(namespace).copied().flatten());
            let heads = left.iter().filter_map(|(namespace, queue)| Some((*namespace, queue.front()?.0)));
            let next = heads.min_by_key(|(namespace, came)| (share(namespace), *came)).map(|(namespace, _)| namespace);
            let Some(namespace) = next else { return out };
            given += 1;
            served.insert(namespace, Some(given));
            *here.entry(namespace).or_default() += 1;
            out.extend(left.get_mut(namespace).and_then(VecDeque::pop_front).map(|(_, seat)| seat));
        }
    }

    /// Notes that the namespace of a seat gets a place.
    fn serve(&mut self, seat: &Seat) {
        let others = self.waiting.iter().any(|waiting| waiting.seat.class == seat.class && waiting.seat != *seat);
        if !others {
            self.served.retain(|(class, _), _| *class != seat.class);
        }
        self.given += 1;
        self.served.insert((seat.class, seat.namespace.clone()), self.given);
    }

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
        assert!(!takes("a", "3"), "another namespace has less");
        assert!(takes("c", "5"));
        capacity.give_back("b", "4");
        assert!(takes("a", "3"));
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
            let checked = seat(Class::Validation, "a", &format!("v{number}"));
            assert_eq!(capacity.take(&checked, now).is_ok(), number == 0, "a validation waits for another one");
        }
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

    #[test]
    fn inspections_have_limits_of_their_own() {
        let (capacity, now) = (Capacity::new(1, 0), Instant::now());
        let takes = |namespace: &str, uid: String| capacity.take(&seat(Class::Inspection, namespace, &uid), now);
        capacity.count(&backup("a", "0"), now);
        for number in 0..4 {
            assert_eq!(takes("a", format!("a{number}")), Ok(()), "no run is in the way");
        }
        let told = takes("a", "a4".into()).unwrap_err().to_string();
        assert_eq!(told, "it waits for one of 4 places for inspections in namespace a; it is the next");
        for number in 0..16 {
            assert_eq!(takes(&format!("b{}", number / 4), number.to_string()), Ok(()));
        }
        let told = takes("c", "c0".into()).unwrap_err().to_string();
        assert!(told.starts_with("it waits for one of 20 places for inspections;"), "{told}");
        capacity.give_back("b0", "0");
        assert_eq!(takes("c", "c0".into()), Ok(()));
    }

    #[test]
    fn namespaces_take_turns_at_a_single_place() {
        let (capacity, now) = (Capacity::new(1, 0), Instant::now());
        capacity.count(&backup("z", "0"), now);
        let many: Vec<_> = (0..6).map(|number| backup("flood", &format!("f{number}"))).collect();
        let few = [backup("b", "b0"), backup("b", "b1"), backup("c", "c0")];
        let mut waiting: Vec<&Seat> = many.iter().chain(&few).collect();
        let mut ends = backup("z", "0");
        let mut order = Vec::new();
        for seat in &waiting {
            assert!(capacity.take(seat, now).is_err());
        }
        while !waiting.is_empty() {
            capacity.give_back(&ends.namespace, &ends.uid);
            let got: Vec<_> = waiting.iter().copied().filter(|seat| capacity.take(seat, now).is_ok()).collect();
            let [next] = got[..] else { panic!("{got:?}") };
            waiting.retain(|seat| *seat != next);
            order.push(next.uid.clone());
            ends = next.clone();
        }
        assert_eq!(order, ["f0", "b0", "c0", "f1", "b1", "f2", "f3", "f4", "f5"]);
    }

    proptest! {
        /// However many runs of a namespace wait, and since when: whoever comes from another one gets a place after at most one run
        /// of each other namespace.
        #[test]
        fn a_flood_holds_no_other_namespace_up(
            most in 1_usize..5,
            flood in 1_usize..40,
            rivals in prop::collection::vec((1_u8..4, 0_usize..30), 1..8),
            order in any::<u64>(),
        ) {
            let (capacity, mut now) = (Capacity::new(most, 0), Instant::now());
            let mut left: Vec<(Seat, usize)> = (0..flood).map(|n| (backup("flood", &format!("f{n}")), 0)).collect();
            left.extend(rivals.iter().enumerate().map(|(n, (of, at))| (backup(&format!("rival-{of}"), &format!("r{n}")), *at)));
            let mut working: Vec<Seat> = Vec::new();
            // Places that were given since each rival namespace waits without a run.
            let mut passed: BTreeMap<String, usize> = BTreeMap::new();
            for step in 0..left.len() + 31 {
                now += Duration::from_secs(1);
                // They ask in any order.
                let turn = usize::try_from(order % 7).unwrap() + step;
                let length = left.len().max(1);
                left.rotate_left(turn % length);
                for (seat, _) in left.iter().filter(|(_, at)| *at <= step) {
                    if capacity.take(seat, now).is_ok() {
                        working.push(seat.clone());
                        passed.remove(&seat.namespace);
                        for count in passed.values_mut() {
                            *count += 1;
                        }
                    } else if working.iter().all(|other| other.namespace != seat.namespace) {
                        passed.entry(seat.namespace.clone()).or_insert(0);
                    } else {
                        passed.remove(&seat.namespace);
                    }
                }
                left.retain(|(seat, _)| !working.contains(seat));
                prop_assert!(working.len() <= most);
                for (namespace, count) in &passed {
                    prop_assert!(*count <= 4, "{namespace} was passed over {count} times");
                }
                if !working.is_empty() {
                    let ended = working.remove(0);
                    capacity.give_back(&ended.namespace, &ended.uid);
                }
            }
            prop_assert!(left.is_empty(), "{left:?}");
        }

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
