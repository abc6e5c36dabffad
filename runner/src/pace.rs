//! How fast a run goes and what it waits for, from counters read at each tick. Pure.

use std::time::Duration;

use contract::{Bound, Pace};

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a run did up to now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Milliseconds that tasks waited for the run's own limit.
    pub(crate) throttled_ms: u64,
    /// Milliseconds of silence that brokers asked for.
    pub(crate) quota_ms: u64,
    /// Milliseconds that answers waited for memory: it is free when what it holds is packed and stored.
    pub(crate) memory_ms: u64,
    /// Milliseconds that were spent packing, and waiting for the store.
    pub(crate) packing_ms: u64,
    pub(crate) storing_ms: u64,
}

/// What a run has not moved yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// Offsets or records, as far as they are known.
    pub(crate) lag: u64,
    /// Partitions of which nobody tells now how many they have.
    pub(crate) unknown: u64,
}

impl Backlog {
    /// All of it is known.
    pub(crate) fn known(lag: u64) -> Self {
        Self { lag, unknown: 0 }
    }

    /// Share of `all` that is done, 0 to 100. All of it is done only when nothing is left and nothing is unknown.
    pub(crate) fn percent_of(self, all: u64) -> f64 {
        let done = if self.lag == 0 { 1.0 } else { all.saturating_sub(self.lag) as f64 / all.max(1) as f64 };
        let rounded = (1000.0 * done).round() / 10.0;
        if self == Self::default() { 100.0 } else { rounded.min(99.9) }
    }
}

/// Turns counters into a pace.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    before: Counters,
}

impl Meter {
    /// A meter for work that goes on from these counts.
    pub(crate) fn starting_at(records: u64, bytes: u64) -> Self {
        Self { before: Counters { records, bytes, ..Counters::default() } }
    }

    /// The pace since the last call, `since` ago; `ends`: whether there is an end.
    pub(crate) fn pace(&mut self, now: Counters, since: Duration, left: Backlog, ends: bool) -> Pace {
        let Backlog { lag, unknown } = left;
        // How long it takes is not known while what is left is not.
        let ends = ends && unknown == 0;
        let before = std::mem::replace(&mut self.before, now);
        let per_sec = |now: u64, before: u64| now.saturating_sub(before) as f64 / since.as_secs_f64().max(0.001);
        let records_per_sec = per_sec(now.records, before.records);
        let moved = now.records.saturating_sub(before.records).max(1);
        let millis = since.as_millis() * u128::from(lag) / u128::from(moved);
        let remaining =
            (ends && records_per_sec > 0.0).then(|| u64::try_from(millis.div_ceil(1000)).unwrap_or(u64::MAX));
        let share = |now: u64, before: u64| per_sec(now, before) / 1000.0;
        let limited_by = match () {
            () if lag == 0 && unknown == 0 && records_per_sec == 0.0 => Bound::Idle,
            () if share(now.throttled_ms, before.throttled_ms) > 0.4 => Bound::Throttle,
            () if share(now.quota_ms, before.quota_ms) > 0.4 => Bound::Quota,
            () if share(now.storing_ms, before.storing_ms) > 0.4 => Bound::Store,
            () if share(now.packing_ms, before.packing_ms) > 0.4 => Bound::Cpu,
            () if share(now.memory_ms, before.memory_ms) > 0.4 => Bound::Store,
            () => Bound::Broker,
        };
        Pace {
            records_per_sec: records_per_sec.round(),
            bytes_per_sec: per_sec(now.bytes, before.bytes).round(),
            lag,
            unknown_partitions: unknown,
            remaining_secs: remaining,
            throttled_ms: now.quota_ms,
            limited_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_names_what_limits_the_run() {
        let mut meter = Meter::default();
        let first = Counters { records: 1_000, bytes: 50_000, ..Counters::default() };
        let pace = meter.pace(first, Duration::from_secs(2), Backlog::known(4_000), true);
        assert_eq!((pace.records_per_sec, pace.bytes_per_sec, pace.remaining_secs), (500.0, 25_000.0, Some(8)));
        assert_eq!(pace.limited_by, Bound::Broker);
        let stuck = Counters { storing_ms: 1_900, ..first };
        let pace = meter.pace(stuck, Duration::from_secs(2), Backlog::known(4_000), true);
        assert_eq!((pace.remaining_secs, pace.limited_by), (None, Bound::Store));
        let slow = Counters { records: 1_010, throttled_ms: 6_000, storing_ms: 1_900, ..first };
        assert_eq!(meter.pace(slow, Duration::from_secs(2), Backlog::known(4_000), true).limited_by, Bound::Throttle);
        assert_eq!(meter.pace(slow, Duration::from_secs(2), Backlog::known(0), false).limited_by, Bound::Idle);
        let quota = Counters { quota_ms: 8_000, ..slow };
        let pace = meter.pace(quota, Duration::from_secs(2), Backlog::known(4_000), true);
        assert_eq!((pace.limited_by, pace.throttled_ms), (Bound::Quota, 8_000));
    }

    #[test]
    fn what_is_not_known_is_not_said_to_be_nothing() {
        let mut meter = Meter::default();
        let unknown = Backlog { lag: 0, unknown: 2 };
        let pace = meter.pace(Counters::default(), Duration::from_secs(2), unknown, false);
        assert_eq!((pace.lag, pace.unknown_partitions, pace.limited_by), (0, 2, Bound::Broker));
        let moved = Counters { records: 10, ..Counters::default() };
        assert_eq!(meter.pace(moved, Duration::from_secs(2), unknown, true).remaining_secs, None);
        assert_eq!((unknown.percent_of(100), unknown.percent_of(0)), (99.9, 99.9));
        assert_eq!((Backlog::known(0).percent_of(0), Backlog::known(0).percent_of(7)), (100.0, 100.0));
        assert_eq!((Backlog::known(1).percent_of(100_000), Backlog::known(75).percent_of(100)), (99.9, 25.0));
    }
}
