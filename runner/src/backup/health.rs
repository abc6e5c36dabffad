//! Which partitions of a collection are still to be read, which are in trouble, and when waiting for them ends. Pure.
//!
//! Partitions that are away or damaged never hold up the others. They are tried for as long as anything else is read, and
//! at least for the deadline; then the recovery point is made without what they lack, and says so. When nothing could be
//! read at all, or no broker answers, the run fails instead: a later attempt goes on where it stopped.

use archive::TopicIdPartition;
use std::collections::BTreeMap;
use std::time::Duration;

use contract::{Code, Failure};

use super::reader::Trouble;

/// The state of a collection's partitions.
#[derive(Debug)]
pub(crate) struct Health {
    open: BTreeMap<TopicIdPartition, Option<Trouble>>,
    /// Partitions that are read as far as they shall be.
    done: usize,
    /// Time of failing after which a partition may be given up.
    limit: Duration,
    /// No broker tells where partitions are led.
    away: Option<Failure>,
}

/// What a collection has come to.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// There is more to read.
    GoesOn,
    /// Every partition is read.
    Complete,
    /// Every partition is read but these.
    Without(Vec<(TopicIdPartition, Trouble)>),
    /// The run cannot go on.
    Fails(Failure),
}

impl Health {
    /// `done` partitions need nothing.
    pub(crate) fn new(open: impl IntoIterator<Item = TopicIdPartition>, done: usize, limit: Duration) -> Self {
        Self { open: open.into_iter().map(|key| (key, None)).collect(), done, limit, away: None }
    }

    /// Time of failing after which a partition may be given up.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// All partitions of the collection.
    pub(crate) fn count(&self) -> usize {
        self.open.len() + self.done
    }

    pub(crate) fn finishes(&mut self, key: TopicIdPartition) {
        if self.open.remove(&key).is_some() {
            self.done += 1;
        }
    }

    pub(crate) fn troubles(&mut self, key: TopicIdPartition, trouble: Trouble) {
        if let Some(state) = self.open.get_mut(&key) {
            *state = Some(trouble);
        }
    }

    pub(crate) fn recovers(&mut self, key: TopicIdPartition) {
        if let Some(state) = self.open.get_mut(&key) {
            *state = None;
        }
    }

    pub(crate) fn cluster_is_away(&mut self, away: Option<Failure>) {
        self.away = away;
    }

    /// Whether it is not read as far as it shall be.
    pub(crate) fn is_open(&self, key: TopicIdPartition) -> bool {
        self.open.contains_key(&key)
    }

    /// Partitions that cannot go on now: nobody tells where they end.
    pub(crate) fn in_trouble(&self) -> usize {
        self.open.values().filter(|trouble| trouble.is_some()).count()
    }

    /// Whether this is one of them.
    pub(crate) fn is_in_trouble(&self, key: TopicIdPartition) -> bool {
        self.open.get(&key).is_some_and(Option::is_some)
    }

    /// What keeps this partition from going on, when it does so for at least `least`.
    pub(crate) fn trouble(&self, key: TopicIdPartition, least: Duration) -> Option<&Trouble> {
        self.open.get(&key)?.as_ref().filter(|trouble| trouble.hopeless || trouble.failing >= least)
    }

    /// What the collection of a snapshot has come to.
    pub(crate) fn of_snapshot(&self) -> Verdict {
        if self.open.is_empty() {
            return Verdict::Complete;
        }
        match self.given_up() {
            None => Verdict::GoesOn,
            Some(lost) => {
                let something = self.done > 0 || lost.iter().any(|(_, trouble)| trouble.is_of_the_source());
                if something && self.away.is_none() {
                    Verdict::Without(lost)
                } else {
                    Verdict::Fails(self.failure(&lost))
                }
            }
        }
    }

    /// What the collection of a continuous run has come to: it ends only when nothing can be read any more.
    pub(crate) fn of_followed(&self) -> Verdict {
        match self.given_up() {
            // What is damaged is no reason to start again; that nothing may be read is a matter for people.
            Some(lost) if lost.iter().any(|(_, trouble)| !trouble.is_of_the_source()) => {
                Verdict::Fails(self.failure(&lost))
            }
            _ => Verdict::GoesOn,
        }
    }

    /// All open partitions, when each is in trouble for longer than the limit.
    fn given_up(&self) -> Option<Vec<(TopicIdPartition, Trouble)>> {
        let lost = |(key, _): (&TopicIdPartition, _)| Some((*key, self.trouble(*key, self.limit)?.clone()));
        self.open.iter().map(lost).collect()
    }

    fn failure(&self, lost: &[(TopicIdPartition, Trouble)]) -> Failure {
        // A right that is missing ends the run for good: only when nothing else is in the way.
        let of_rights = |(_, trouble): &&(TopicIdPartition, Trouble)| trouble.failure.code == Code::NotAuthorized;
        let first = lost.iter().find(|lost| !of_rights(lost)).or(lost.first());
        let cause = self.away.clone().or_else(|| first.map(|(_, trouble)| trouble.failure.clone()));
        let cause = cause.unwrap_or_else(|| Failure::new(Code::Internal, "no partition is in trouble"));
        if cause.code == Code::NotAuthorized {
            return cause;
        }
        let text = format!("nothing could be read for {} s; last: {}", self.limit.as_secs(), cause.message);
        Failure::new(cause.code, text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn key(number: u8) -> TopicIdPartition {
        (Uuid::nil(), i32::from(number))
    }

    fn trouble(secs: u64) -> Trouble {
        let failure = Failure::new(Code::BrokerFailed, "silent");
        Trouble { failing: Duration::from_secs(secs), failure, hopeless: false }
    }

    fn health(open: u8, done: usize) -> Health {
        Health::new((0..open).map(key), done, Duration::from_secs(120))
    }

    #[test]
    fn a_partition_that_is_away_is_given_up_once_all_others_are_read() {
        let mut health = health(3, 0);
        health.troubles(key(0), trouble(500));
        assert!(matches!(health.of_snapshot(), Verdict::GoesOn));
        assert_eq!((health.in_trouble(), health.is_in_trouble(key(0)), health.is_in_trouble(key(1))), (1, true, false));
        health.finishes(key(1));
        health.finishes(key(1));
        assert!(matches!(health.of_snapshot(), Verdict::GoesOn));
        health.finishes(key(2));
        assert!(matches!(health.of_snapshot(), Verdict::Without(lost) if lost.len() == 1 && lost[0].0 == key(0)));
        health.recovers(key(0));
        assert!(matches!(health.of_snapshot(), Verdict::GoesOn));
        assert_eq!(health.in_trouble(), 0);
        health.finishes(key(0));
        assert!(matches!(health.of_snapshot(), Verdict::Complete));
    }

    #[test]
    fn a_run_fails_when_nothing_could_be_read_or_nobody_answers() {
        let mut nothing = health(2, 0);
        nothing.troubles(key(0), trouble(130));
        nothing.troubles(key(1), trouble(119));
        assert!(matches!(nothing.of_snapshot(), Verdict::GoesOn));
        nothing.troubles(key(1), trouble(120));
        assert!(matches!(nothing.of_snapshot(), Verdict::Fails(failure) if failure.code == Code::BrokerFailed));
        let mut away = health(1, 5);
        away.troubles(key(0), trouble(130));
        away.cluster_is_away(Some(Failure::new(Code::BrokerUnreachable, "no route")));
        assert!(matches!(away.of_snapshot(), Verdict::Fails(failure) if failure.code == Code::BrokerUnreachable));
        away.cluster_is_away(None);
        assert!(matches!(away.of_snapshot(), Verdict::Without(_)));
    }

    #[test]
    fn a_continuous_run_goes_on_while_anything_can_be_read() {
        let mut health = health(2, 0);
        health.troubles(key(0), trouble(100_000));
        assert!(matches!(health.of_followed(), Verdict::GoesOn));
        assert!(health.trouble(key(0), Duration::from_secs(5)).is_some());
        health.troubles(key(1), trouble(121));
        assert!(matches!(health.of_followed(), Verdict::Fails(_)));
        assert!(matches!(Health::new([], 0, Duration::from_secs(1)).of_followed(), Verdict::GoesOn));
    }

    #[test]
    fn a_topic_that_may_not_be_read_holds_up_nothing_else() {
        let forbidden = Trouble {
            failing: Duration::from_secs(6),
            failure: Failure::new(Code::NotAuthorized, "grant Read"),
            hopeless: true,
        };
        let mut beside = health(1, 1);
        beside.troubles(key(0), forbidden.clone());
        assert!(matches!(beside.of_snapshot(), Verdict::Without(lost) if lost.len() == 1));
        // A point of nothing is worth nothing, and only people can help.
        let mut alone = health(2, 0);
        alone.troubles(key(0), forbidden.clone());
        alone.troubles(key(1), trouble(10));
        assert!(matches!(alone.of_snapshot(), Verdict::GoesOn));
        assert!(matches!(alone.of_followed(), Verdict::GoesOn));
        alone.troubles(key(1), forbidden);
        for verdict in [alone.of_snapshot(), alone.of_followed()] {
            assert!(matches!(&verdict, Verdict::Fails(failure) if failure.message == "grant Read"), "{verdict:?}");
        }
        // A broker that is away comes back: the run is tried again.
        alone.troubles(key(1), trouble(130));
        assert!(matches!(alone.of_snapshot(), Verdict::Fails(failure) if failure.code == Code::BrokerFailed));
    }

    #[test]
    fn what_cannot_pass_is_not_waited_for() {
        let mut health = health(1, 1);
        health.troubles(key(0), Trouble { hopeless: true, ..trouble(0) });
        assert!(matches!(health.of_snapshot(), Verdict::Without(_)));
        // Nothing else was to be read, but what was read before the damage counts.
        let mut alone = super::tests::health(1, 0);
        alone.troubles(key(0), Trouble { hopeless: true, ..trouble(0) });
        assert!(matches!(alone.of_snapshot(), Verdict::Without(_)));
    }

    proptest! {
        /// Whatever happens in whatever order: complete only when each partition finished, and never without one that
        /// can still be read.
        #[test]
        fn nothing_is_given_up_that_can_be_read(events in prop::collection::vec((0u8..5, 0u8..4, 0u64..300), 0..60)) {
            let mut health = health(5, 1);
            let mut finished = std::collections::BTreeSet::new();
            let mut failing = BTreeMap::new();
            for (number, event, secs) in events {
                match event {
                    0 => { health.finishes(key(number)); finished.insert(number); }
                    1 => { health.troubles(key(number), trouble(secs)); failing.insert(number, secs); }
                    _ => { health.recovers(key(number)); failing.remove(&number); }
                }
                match health.of_snapshot() {
                    Verdict::Complete => prop_assert_eq!(finished.len(), 5),
                    Verdict::Without(lost) => {
                        for number in 0..5u8 {
                            let given_up = lost.iter().any(|(lost, _)| *lost == key(number));
                            prop_assert_eq!(given_up, !finished.contains(&number));
                            if given_up { prop_assert!(failing[&number] >= 120); }
                        }
                    }
                    Verdict::GoesOn => prop_assert!((0..5u8).any(|n| !finished.contains(&n) && failing.get(&n).is_none_or(|s| *s < 120))),
                    Verdict::Fails(_) => prop_assert!(false),
                }
            }
        }
    }
}
