//! A set of many points: what it keeps and what comes back when a later point becomes its oldest.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use contract::retention::{Candidate, Shape};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use uuid::Uuid;

use super::cutting::Cutting;
use super::holds::Held;
use super::need::{Low, Lows, log_starts};
use super::stored::{self, Stored};
use super::whole_point::{entry_of, lacking, newest_configs};
use super::{ChainPlan, CompactedTopic, Heaped, Left};
use crate::entry::{SegmentRef, SegmentRow};
use crate::index::{Index, counts};
use crate::limit::total;
use crate::lost::keys;
use crate::prune_entry::SealRef;
use crate::pruned::Moment;
use crate::replaced::replaced;
use crate::state::{Replaced, TopicIdPartition};
use crate::timeline::Timelines;
use crate::{ArchiveError, Chain, Entry, Layout, PartitionState, Seal, SealedPoint, Store, TopicConfigs};

/// Points, evenly spread, for which it is computed what a set keeps with each as its oldest.
const SAMPLES: usize = 33;
/// Seals that are read at once.
const AT_ONCE: usize = 8;
/// A segment of which less than one in so many bytes is needed is worth writing anew.
const WORTH: u64 = 3;
/// Least bytes that must come back by that.
const LEAST: u64 = 1 << 20;
/// The bit that says that a segment has rows at all.
const HAS_ROWS: u64 = 1 << 63;

/// A set that was loaded.
#[derive(Debug)]
pub(super) struct Chained {
    store: Store,
    layout: Layout,
    newest: Box<Seal>,
    configs: TopicConfigs,
    index: Index,
    pub(super) stored: Stored,
}

/// Loads a set up to its newest seal; of one that is not whole, why it is left alone.
pub(super) async fn load(
    store: &Store,
    layout: &Layout,
    sealed: &SealedPoint,
    latest: Timestamp,
) -> Result<Result<Chained, Left>, ArchiveError> {
    let entry = entry_of(store, layout, sealed).await?;
    let index = Index::up_to(store, layout, (&entry, &sealed.digest), true).await?.slim();
    let stored = stored::chain(store, layout, &index.seals, latest).await?;
    let configs = newest_configs(store, layout, &entry).await?;
    let Some(newest) = entry.seal else {
        return Ok(Err(Left::Unread { what: format!("entry {} is no seal", entry.n) }));
    };
    if let Some(left) = lacking(store, layout, &newest, &index, stored.segments).await? {
        return Ok(Err(left));
    }
    Ok(Ok(Chained { store: store.clone(), layout: layout.clone(), newest, configs, index, stored }))
}

impl Chained {
    /// Name of the set.
    pub(super) fn set(&self) -> &str {
        self.layout.set()
    }

    /// Its points, oldest first; with the bytes that the set keeps with each as its oldest, where these are asked for.
    pub(super) async fn candidates(&self, held: &[Held], with_bytes: bool) -> Result<Vec<Candidate>, ArchiveError> {
        let seals = &self.index.seals;
        let bytes = if with_bytes { self.kept_bytes().await? } else { vec![0; seals.len()] };
        let point = |((seal, committed), bytes): ((&SealedPoint, &Option<Timestamp>), u64)| Candidate {
            name: seal.point.clone(),
            set: self.set().to_owned(),
            committed: *committed,
            bytes,
            shape: Shape::Chain,
            held: None,
        };
        let mut points: Vec<Candidate> = seals.iter().zip(&self.stored.committed).zip(bytes).map(point).collect();
        for held in held.iter().filter(|held| held.is_of(self.set())) {
            // The point itself, or the first behind the place where it was. And the oldest: what a restore planned to read of
            // its point includes rows that points before it had, so nothing of the set goes.
            let place = seals.partition_point(|seal| seal.entry < held.entry);
            for place in [0, place] {
                if let Some(point) = points.get_mut(place) {
                    point.held.get_or_insert_with(|| held.hold.clone());
                }
            }
        }
        Ok(points)
    }

    /// Partitions that each point lacks something of, by set and point.
    pub(super) fn held_back(&self) -> impl Iterator<Item = ((&str, &str), u64)> {
        self.index.seals.iter().map(|seal| ((self.set(), seal.point.as_str()), seal.held_back))
    }

    /// What the set keeps with each point as its oldest: computed for some, and never too little for the others.
    async fn kept_bytes(&self) -> Result<Vec<u64>, ArchiveError> {
        let seals = &self.index.seals;
        let places: Vec<usize> = spread(seals.len());
        let read = |place: usize| async move { self.seal(place).await };
        let floors: Vec<Entry> =
            futures::stream::iter(places.iter().copied()).map(read).buffered(AT_ONCE).try_collect().await?;
        let (mut lows, mut ends) = (Vec::new(), Vec::new());
        for floor in &floors {
            let Some(seal) = &floor.seal else { continue };
            lows.push(Lows::new(log_starts((floor.n, seal), &self.newest)));
            // How many segments were named before the floor; of sets that lost some nobody knows, and it is no matter.
            let named =
                seal.holdings.filter(|_| self.index.given_up.is_empty()).map(|holdings| holdings.named.segments);
            ends.push(named.map_or(u64::MAX, |named| named.saturating_sub(floor.segments.len() as u64)));
        }
        settle(&self.index, &mut lows).await?;
        let mut needed = vec![0u64; self.index.segments.len()];
        let mut take = |topic: Uuid, row: &SegmentRow| {
            let Some(mask) = needed.get_mut(row.segment as usize) else { return };
            *mask |= HAS_ROWS;
            for (bit, (lows, end)) in (0u32..).zip(lows.iter().zip(&ends)) {
                if u64::from(row.segment) >= *end || !lows.hides(topic, row) {
                    *mask |= 1 << bit;
                }
            }
        };
        self.index.each_row(None, &mut take).await?;
        let mut out = vec![self.stored.heap.bytes; seals.len()];
        for (bit, place) in (0u32..).zip(places) {
            let is_dead = |mask: u64| mask & HAS_ROWS != 0 && mask & (1 << bit) == 0;
            let dead = self.index.segments.iter().zip(&needed).filter(|(_, mask)| is_dead(**mask));
            let gone = total(dead.map(|(segment, _)| segment.size)).saturating_add(self.stored.beside(place));
            let kept = if place == 0 { self.stored.heap.bytes } else { self.stored.heap.bytes.saturating_sub(gone) };
            // Up to the next sample it is at most that.
            out.iter_mut().skip(place).for_each(|bytes| *bytes = kept);
        }
        Ok(out)
    }

    fn known(&self, place: usize) -> Result<&SealedPoint, ArchiveError> {
        let missing = || ArchiveError::damaged(self.store.show(&self.layout.log()), format!("it has no seal {place}"));
        self.index.seals.get(place).ok_or_else(missing)
    }

    /// The seal at a place.
    async fn seal(&self, place: usize) -> Result<Entry, ArchiveError> {
        entry_of(&self.store, &self.layout, self.known(place)?).await
    }

    /// What goes when the point at `place` becomes the oldest, and what never does.
    pub(super) async fn plan(&self, place: usize) -> Result<ChainPlan, ArchiveError> {
        let cut = if place == 0 { Cut::default() } else { self.cut(place).await? };
        Ok(ChainPlan {
            set: self.set().to_owned(),
            oldest: self.known(place)?.point.clone(),
            stored_bytes: self.stored.heap.bytes,
            dead: cut.dead,
            rewritable: cut.rewritable,
            beside_bytes: if place == 0 { 0 } else { self.stored.beside(place) },
            topics: cut.topics.len() as u64,
            newest_record: cut.newest,
            compacted: self.compacted(&cut.topics),
            cutting: cut.cutting,
        })
    }

    async fn cut(&self, place: usize) -> Result<Cut, ArchiveError> {
        let floor = self.seal(place).await?;
        let Some(seal) = &floor.seal else { return Ok(Cut::default()) };
        let before = floor.n.saturating_sub(1);
        // What another run of retention said since is no part of this: it would be judged by points that are no more.
        let moment = Moment::Entry(self.index.pruned.as_ref().map(|pruned| pruned.entry));
        let (entry, digest) = Chain::new(self.store.clone(), self.layout.clone()).entry(before).await?;
        let mut base = Index::as_of(&self.store, &self.layout, (&entry, &digest), false, moment).await?.slim();
        (base.seals, base.hidden_seals) = (Vec::new(), Vec::new());
        if floor.previous.as_ref() != Some(&digest) {
            let key = self.store.show(&self.layout.entry(floor.n));
            return Err(ArchiveError::damaged(key, "it does not follow the entry before it: one of them was replaced"));
        }
        let lows = self.lows(place, (floor.n, seal), &base).await?;
        // What was given up later is in no store.
        let lost = keys(&self.index.given_up);
        let mut parts = vec![Part::default(); base.segments.len()];
        let (mut cut, mut stray) = (Cut::default(), None);
        let mut hidden: BTreeMap<TopicIdPartition, Replaced> = BTreeMap::new();
        let goes = |topic: Uuid, row: &SegmentRow| {
            let segment = base.segments.get(row.segment as usize);
            lows.hides(topic, row) && segment.is_some_and(|segment| counts(segment, &lost))
        };
        let mut take = |topic: Uuid, row: &SegmentRow| {
            let place = row.segment as usize;
            let (Some(segment), Some(part)) = (base.segments.get(place), parts.get_mut(place)) else {
                stray = Some(place);
                return;
            };
            if counts(segment, &lost) {
                let goes = goes(topic, row);
                part.take(row, goes);
                if goes {
                    hidden.entry((topic, row.partition)).or_default().add(row.committed, row.bytes);
                }
                if goes && row.committed > 0 {
                    cut.topics.insert(topic);
                    cut.newest = cut.newest.max(Some(row.max_timestamp));
                }
            }
        };
        base.each_row(None, &mut take).await?;
        if let Some(place) = stray {
            let reason = format!("a row names segment {place}, which is not there");
            return Err(ArchiveError::damaged(self.store.show(&self.layout.log()), reason));
        }
        base.segments.iter().zip(&parts).for_each(|(segment, part)| cut.add(segment, part));
        let only: HashSet<TopicIdPartition> = hidden.keys().copied().collect();
        let replaced = replaced(&self.store, &self.layout, &base, (&only, &goes), &Timelines::new(&base.forks)).await?;
        let gone = hidden.into_iter().map(|(key, sum)| {
            let low = lows.low(key).unwrap_or(Low::At(0));
            (key, low, sum, replaced.get(&key).copied().unwrap_or_default())
        });
        let oldest = SealRef { entry: floor.n, digest: self.known(place)?.digest.clone() };
        let dead = base.segments.iter().zip(&parts).filter(|(_, part)| part.is_dead());
        let dead = dead.map(|(segment, _)| (segment.claim, segment.seq));
        let final_segment = base.segments.last().map(|segment| (segment.claim, segment.seq));
        let names = self.newest.topics.iter().map(|topic| (topic.id, topic.name.clone())).collect();
        let newest = self.index.seals.last().map_or(floor.n, |seal| seal.entry);
        cut.cutting = Some(Cutting::new((oldest, newest), final_segment, dead, gone, names, base.pruned.as_deref()));
        Ok(cut)
    }

    /// What no point from the one at `place` on needs of the index up to it, as far as one entry of the log can say so.
    async fn lows(&self, place: usize, floor: (u64, &Seal), base: &Index) -> Result<Lows, ArchiveError> {
        let mut starts = log_starts(floor, &self.newest);
        // A leader that was behind may have had more in between.
        let between = place.saturating_add(1)..self.index.seals.len().saturating_sub(1);
        let mut seals = futures::stream::iter(between).map(|place| self.seal(place)).buffered(AT_ONCE);
        while let Some(entry) = seals.try_next().await? {
            entry.seal.iter().for_each(|seal| starts.lower_to(seal));
        }
        // What a later timeline replaces of hidden rows would differ from point to point.
        for fork in self.index.forks.iter().skip(base.forks.len()) {
            starts.lower((fork.topic, fork.partition), fork.from);
        }
        let mut lows = [Lows::new(starts)];
        settle(base, &mut lows).await?;
        let [mut lows] = lows;
        // One entry has one low of a partition: it only grows.
        let is_known = |key: TopicIdPartition, low: i64| {
            base.hidden_of(key).is_some_and(|hidden| hidden.low.is_none_or(|known| low <= known))
        };
        lows.forget(is_known);
        Ok(lows)
    }

    /// Compacted topics of which nothing goes: their logs begin where they always did.
    fn compacted(&self, gone: &BTreeSet<Uuid>) -> Vec<CompactedTopic> {
        let is_compacted = |name: &str| {
            let policy = self.configs.get(name).and_then(|configs| configs.get("cleanup.policy"));
            policy.is_some_and(|policy| policy.split(',').any(|word| word.trim() == "compact"))
        };
        let topics = (0u32..).zip(&self.newest.topics);
        let stay = topics.filter(|(_, topic)| topic.live && !gone.contains(&topic.id) && is_compacted(&topic.name));
        stay.map(|(place, topic)| {
            let of_topic = self.newest.partitions.iter().filter(|row| row.topic == place);
            CompactedTopic { name: topic.name.clone(), bytes: total(of_topic.map(PartitionState::held_bytes)) }
        })
        .collect()
    }
}

/// What goes of the segments from before the oldest point that stays.
#[derive(Debug, Default)]
struct Cut {
    dead: Heaped,
    rewritable: Heaped,
    /// Topics that lose records.
    topics: BTreeSet<Uuid>,
    /// Largest timestamp of those records.
    newest: Option<i64>,
    /// What an entry of the log would say.
    cutting: Option<Cutting>,
}

impl Cut {
    fn add(&mut self, segment: &SegmentRef, part: &Part) {
        let back = part.comes_back(segment.size);
        if part.is_dead() {
            self.dead.add(segment.size);
        } else if part.needed.saturating_mul(WORTH) < part.all && back >= LEAST {
            self.rewritable.add(back);
        }
    }
}

/// What is needed of a segment, in decompressed bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    all: u64,
    needed: u64,
    rows: u64,
    needed_rows: u64,
}

impl Part {
    fn take(&mut self, row: &SegmentRow, hidden: bool) {
        self.rows += 1;
        self.all = self.all.saturating_add(row.bytes);
        if !hidden {
            self.needed_rows += 1;
            self.needed = self.needed.saturating_add(row.bytes);
        }
    }

    fn is_dead(&self) -> bool {
        self.rows > 0 && self.needed_rows == 0
    }

    /// Stored bytes that a segment of this size would have less.
    fn comes_back(&self, size: u64) -> u64 {
        let dead = u128::from(self.all.saturating_sub(self.needed));
        let back = (u128::from(size) * dead).checked_div(u128::from(self.all));
        back.and_then(|back| u64::try_from(back).ok()).unwrap_or(0)
    }
}

/// Brings lows down until none is inside of a row.
async fn settle(index: &Index, lows: &mut [Lows]) -> Result<(), ArchiveError> {
    loop {
        lows.iter_mut().for_each(Lows::next_round);
        let mut inside = false;
        let mut take = |topic: Uuid, row: &SegmentRow| {
            for lows in lows.iter_mut() {
                inside |= lows.take(topic, row);
            }
        };
        index.each_row(None, &mut take).await?;
        if !inside {
            return Ok(());
        }
    }
}

/// At most [`SAMPLES`] places of so many, the first among them.
fn spread(count: usize) -> Vec<usize> {
    let samples = SAMPLES.min(count);
    let mut out: Vec<usize> = (0..samples).map(|n| n * count / samples.max(1)).collect();
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use crate::entry::empty_row;

    #[test]
    fn samples_are_spread_over_all_points() {
        assert_eq!((spread(0), spread(1), spread(3)), (vec![], vec![0], vec![0, 1, 2]));
        let many = spread(10_000);
        assert_eq!((many.len(), many.first(), many.last()), (SAMPLES, Some(&0), Some(&9_696)));
    }

    #[test]
    fn segments_are_dead_or_worth_writing_anew_or_stay() {
        let segment = |size| SegmentRef {
            claim: 0,
            nonce: String::new(),
            seq: 0,
            size,
            footer_at: 0,
            footer_length: 0,
            digest: Digest::default(),
        };
        let of = |hidden: u64, needed: u64, size: u64| {
            let mut part = Part::default();
            for (bytes, hides) in [(hidden, true), (needed, false)].into_iter().filter(|(bytes, _)| *bytes > 0) {
                part.take(&SegmentRow { bytes, ..empty_row() }, hides);
            }
            let mut cut = Cut::default();
            cut.add(&segment(size), &part);
            (cut.dead.bytes, cut.rewritable.bytes)
        };
        assert_eq!(of(100, 0, 4 << 20), (4 << 20, 0));
        assert_eq!(of(0, 100, 4 << 20), (0, 0));
        assert_eq!(of(75, 25, 4 << 20), (0, 3 << 20));
        assert_eq!(of(66, 34, 4 << 20), (0, 0), "more than a third is needed");
        assert_eq!(of(75, 25, 1 << 20), (0, 0), "less than 1 MiB would come back");
        assert_eq!(of(0, 0, 4 << 20), (0, 0), "without rows nobody knows what it is");
    }
}
