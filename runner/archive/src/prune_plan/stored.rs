//! What a set takes in the store, by listings alone: bytes, times, and which of it goes with which point.

use contract::stamp::split_point;
use jiff::Timestamp;

use crate::holdings::{Tally, of_key};
use crate::store::Listed;
use crate::{ArchiveError, Layout, SealedPoint, Store};

/// Objects added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heap {
    pub(super) bytes: u64,
    /// When the newest was written.
    pub(super) newest: Option<Timestamp>,
}

impl Heap {
    fn add(&mut self, listed: &Listed<'_>, latest: Timestamp) {
        self.bytes = self.bytes.saturating_add(listed.size);
        self.newest = self.newest.max(believed(listed.at, latest));
    }

    fn join(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.newest = self.newest.max(other.newest);
    }
}

/// A time that the store tells, unless it lies ahead: then somebody's clock was wrong, and nobody knows it.
pub(super) fn believed(at: Option<Timestamp>, latest: Timestamp) -> Option<Timestamp> {
    at.filter(|at| *at <= latest)
}

/// Everything below a set's folder, when the entry `seal` was written, and the segments added up. Times behind `latest` are not believed.
pub(super) async fn whole(
    store: &Store,
    layout: &Layout,
    seal: Option<u64>,
    latest: Timestamp,
) -> Result<(Heap, Option<Timestamp>, Tally), ArchiveError> {
    let sealed = seal.map(|seal| store.path(&layout.entry(seal)).to_string());
    let begin = || (Heap::default(), None, Tally::default());
    let take = |(heap, at, tally): &mut (Heap, Option<Timestamp>, Tally), listed: &Listed<'_>| {
        heap.add(listed, latest);
        if sealed.as_deref() == Some(listed.key) {
            *at = believed(listed.at, latest);
        }
        add_segment(tally, listed);
    };
    store.fold_listed(&layout.root(), begin, take).await
}

fn add_segment(tally: &mut Tally, listed: &Listed<'_>) {
    if let Some((claim, nonce, seq)) = of_key(listed.key) {
        tally.add(claim, nonce, seq, listed.size);
    }
}

/// What a set of many points takes.
#[derive(Debug)]
pub(super) struct Stored {
    /// All of it.
    pub(super) heap: Heap,
    /// When each seal was written, in the order of the seals.
    pub(super) committed: Vec<Option<Timestamp>>,
    /// Segments added up.
    pub(super) segments: Tally,
    /// Bytes beside segments (side documents, hints, reports) that go once this seal is the oldest: behind those of the seals
    /// before it. The log and its roll-ups stay.
    beside: Vec<u64>,
}

impl Stored {
    /// Bytes beside segments that go once the seal at `place` is the oldest.
    pub(super) fn beside(&self, place: usize) -> u64 {
        // What lies before the oldest seal of today goes already.
        crate::limit::total(self.beside.iter().take(place.saturating_add(1)).skip(1).copied())
    }
}

/// Folders whose objects belong to single points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Side,
    Hints,
    Runs,
}

impl Beside {
    fn folder(self) -> &'static str {
        match self {
            Self::Side => "side",
            Self::Hints => "points",
            Self::Runs => "runs",
        }
    }

    /// The place of the first seal that makes an object superfluous when it is the oldest.
    fn goes_with(self, key: &str, set: &str, seals: &[SealedPoint]) -> Option<usize> {
        let mut parts = key.rsplit('/');
        let (name, above) = (parts.next()?, parts.next()?);
        let behind_entry = |number: u64| seals.partition_point(|seal| seal.entry <= number);
        let behind_stamp = |stamp: &str| seals.partition_point(|seal| seal.stamp.as_str() <= stamp);
        match self {
            Self::Side => above.parse().ok().map(behind_entry),
            Self::Hints => Some(behind_stamp(name)),
            // Runs that bear the name of their point.
            Self::Runs => {
                let (_, stamp) = split_point(above).filter(|(base, _)| *base == set)?;
                // A run of no point is none of theirs.
                let place = seals.binary_search_by(|seal| seal.stamp.as_str().cmp(stamp)).ok()?;
                Some(place + 1)
            }
        }
    }
}

/// Lists a set whose seals are these, oldest first.
pub(super) async fn chain(
    store: &Store,
    layout: &Layout,
    seals: &[SealedPoint],
    latest: Timestamp,
) -> Result<Stored, ArchiveError> {
    let part = async |beside: Beside| {
        let begin = || (Heap::default(), vec![0u64; seals.len()]);
        let take = |(heap, sums): &mut (Heap, Vec<u64>), listed: &Listed<'_>| {
            heap.add(listed, latest);
            let place = beside.goes_with(listed.key, layout.set(), seals);
            if let Some(bytes) = place.and_then(|place| sums.get_mut(place)) {
                *bytes = bytes.saturating_add(listed.size);
            }
        };
        store.fold_listed(&layout.summary(beside.folder()), begin, take).await
    };
    let rolled = async || {
        let take = |heap: &mut Heap, listed: &Listed<'_>| heap.add(listed, latest);
        store.fold_listed(&layout.rollups(), Heap::default, take).await
    };
    let (named, log, roll, side, hints, runs) = futures::try_join!(
        segments(store, layout, latest),
        log(store, layout, seals, latest),
        rolled(),
        part(Beside::Side),
        part(Beside::Hints),
        part(Beside::Runs)
    )?;
    let (mut heap, segments) = named;
    let (of_log, committed) = log;
    heap.join(of_log);
    heap.join(roll);
    let mut beside = vec![0u64; seals.len()];
    for (found, bytes) in [side, hints, runs] {
        heap.join(found);
        for (sum, bytes) in beside.iter_mut().zip(bytes) {
            *sum = sum.saturating_add(bytes);
        }
    }
    Ok(Stored { heap, committed, segments, beside })
}

async fn segments(store: &Store, layout: &Layout, latest: Timestamp) -> Result<(Heap, Tally), ArchiveError> {
    let begin = || (Heap::default(), Tally::default());
    let take = |(heap, tally): &mut (Heap, Tally), listed: &Listed<'_>| {
        heap.add(listed, latest);
        add_segment(tally, listed);
    };
    store.fold_listed(&layout.data(), begin, take).await
}

/// Lists the log: when each seal was written.
async fn log(
    store: &Store,
    layout: &Layout,
    seals: &[SealedPoint],
    latest: Timestamp,
) -> Result<(Heap, Vec<Option<Timestamp>>), ArchiveError> {
    let begin = || (Heap::default(), vec![None; seals.len()]);
    let take = |(heap, times): &mut (Heap, Vec<Option<Timestamp>>), listed: &Listed<'_>| {
        heap.add(listed, latest);
        let Some(number) = last_of(listed.key).and_then(|name| name.parse::<u64>().ok()) else { return };
        if let Ok(place) = seals.binary_search_by_key(&number, |seal| seal.entry)
            && let Some(time) = times.get_mut(place)
        {
            *time = believed(listed.at, latest);
        }
    };
    store.fold_listed(&layout.log(), begin, take).await
}

fn last_of(key: &str) -> Option<&str> {
    key.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn seal(entry: u64, day: u64) -> SealedPoint {
        let stamp = format!("202601{day:02}-000000");
        SealedPoint {
            entry,
            digest: Digest::default(),
            point: format!("orders-{stamp}"),
            stamp,
            topics: 0,
            partitions: 0,
            records: 0,
            bytes: 0,
            newest: 0,
            held_back: 0,
            replaced: 0,
            replaced_bytes: 0,
        }
    }

    #[test]
    fn what_belongs_to_a_point_goes_when_a_later_one_is_the_oldest() {
        let seals = [seal(1, 1), seal(3, 2), seal(5, 3)];
        let layout = Layout::new("orders");
        let of = |beside: Beside, key: object_store::path::Path| {
            assert!(key.as_ref().starts_with(&format!("orders/{}/", beside.folder())), "{key}");
            beside.goes_with(key.as_ref(), "orders", &seals)
        };
        // Those of the oldest go with the second, those of the newest never.
        assert_eq!(of(Beside::Side, layout.side(1, "configs.json")), Some(1));
        assert_eq!(of(Beside::Side, layout.side(5, "configs.json")), Some(3));
        assert_eq!(of(Beside::Hints, layout.point("20260101-000000")), Some(1));
        assert_eq!(of(Beside::Hints, layout.point("20260103-000000")), Some(3));
        assert_eq!(of(Beside::Runs, layout.run("orders-20260102-000000", "report.json")), Some(2));
        // Runs of other names tell nothing of points.
        assert_eq!(of(Beside::Runs, layout.run("orders-eu-20260101-000000", "report.json")), None);
        assert_eq!(of(Beside::Runs, layout.run("orders-prune-20260101-000000", "report.json")), None);
    }
}
