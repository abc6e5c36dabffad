//! What a `prune` entry would say of a set of many points: everything that is hidden once a later point is its oldest, with
//! what was hidden before. Pure.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::need::Low;
use crate::prune_entry::{DeadRow, EVERY_ROW, FEATURE, HiddenRow, Prune, SealRef};
use crate::pruned::{Hidden, Pruned};
use crate::segment::TopicRow;
use crate::state::{Replaced, TopicIdPartition};
use crate::{Digest, Entry, EntryKind, Head};

/// What is hidden of a partition, whichever entry says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    hidden: Hidden,
    /// Whether it is new.
    is_new: bool,
}

/// A run that would write such an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneRun {
    /// Its id.
    pub run: String,
    /// Digest of what it does.
    pub spec: Digest,
    /// 16 random hexadecimal digits.
    pub nonce: String,
    /// Its UTC second.
    pub stamp: String,
}

/// What goes of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutting {
    /// Number of the newest entry when this was worked out: a seal or a `prune` entry. Behind any other one it is not right.
    behind: u64,
    oldest: SealRef,
    dead: BTreeSet<(u64, u64)>,
    hidden: BTreeMap<TopicIdPartition, Piece>,
    names: BTreeMap<Uuid, String>,
    /// What was dead before.
    dead_before: Vec<DeadRow>,
}

impl Cutting {
    /// What goes when `oldest` is the oldest point that stays: `dead` segments, and of each partition a low with the sums of
    /// its rows, and of those that were replaced. `last` is the last segment before that point, `known` what was hidden before,
    /// `newest` the newest seal.
    pub(super) fn new(
        (oldest, newest): (SealRef, u64),
        last: Option<(u64, u64)>,
        dead: impl Iterator<Item = (u64, u64)>,
        gone: impl Iterator<Item = (TopicIdPartition, Low, Replaced, Replaced)>,
        names: BTreeMap<Uuid, String>,
        known: Option<&Pruned>,
    ) -> Self {
        let old = known.into_iter().flat_map(Pruned::hidden);
        let mut hidden: BTreeMap<TopicIdPartition, Piece> =
            old.map(|(key, hidden)| (*key, Piece { hidden: *hidden, is_new: false })).collect();
        for (key, low, sum, replaced) in gone {
            let piece = hidden.entry(key).or_insert(Piece { hidden: Hidden::default(), is_new: true });
            let Piece { hidden, is_new } = piece;
            *is_new = true;
            hidden.low = match low {
                Low::At(low) => Some(low),
                Low::EveryRow => None,
            };
            hidden.last = last.unwrap_or_default();
            hidden.committed = hidden.committed.saturating_add(sum.records);
            hidden.bytes = hidden.bytes.saturating_add(sum.bytes);
            hidden.replaced.add(replaced.records, replaced.bytes);
        }
        let dead_before = known.map(Pruned::dead).unwrap_or_default().to_vec();
        let behind = known.map_or(newest, |known| known.entry.max(newest));
        Self { behind, oldest, dead: dead.collect(), hidden, names, dead_before }
    }

    /// The entry behind `head` that would say so, in the name of this run. `None` where somebody wrote since this was worked out,
    /// or a run is going on: what it has begun may change what is needed.
    #[must_use]
    pub fn entry(&self, head: &Head, by: &PruneRun) -> Option<Entry> {
        if head.entry.n != self.behind {
            return None;
        }
        let (topics, prune) = self.said_by(head.entry.n + 1);
        Some(Entry { topics, prune: Some(Box::new(prune)), ..behind(head, by) })
    }

    /// What entry `number` would say, and the topics that it names.
    fn said_by(&self, number: u64) -> (Vec<TopicRow>, Prune) {
        let ids: BTreeSet<Uuid> = self.hidden.keys().map(|(id, _)| *id).collect();
        let name = |id: &Uuid| self.names.get(id).cloned().unwrap_or_default();
        let topics: Vec<TopicRow> = ids.iter().map(|id| TopicRow { id: *id, name: name(id) }).collect();
        let places: BTreeMap<Uuid, u32> = ids.iter().copied().zip(0u32..).collect();
        let row = |(key, piece): (&TopicIdPartition, &Piece)| {
            let Piece { hidden, is_new } = piece;
            Some(HiddenRow {
                topic: *places.get(&key.0)?,
                partition: key.1,
                low: hidden.low.unwrap_or(EVERY_ROW),
                claim: hidden.last.0,
                seq: hidden.last.1,
                since: if *is_new { number } else { hidden.since },
                committed: hidden.committed,
                bytes: hidden.bytes,
                replaced: hidden.replaced.records,
                replaced_bytes: hidden.replaced.bytes,
            })
        };
        let hidden = self.hidden.iter().filter_map(row).collect();
        (topics, Prune { oldest: Some(self.oldest.clone()), dead: self.dead(), hidden })
    }

    /// All dead segments, those of before with them.
    fn dead(&self) -> Vec<DeadRow> {
        let new = self.dead.iter().map(|(claim, seq)| DeadRow { claim: *claim, from: *seq, to: seq.saturating_add(1) });
        side_by_side(self.dead_before.iter().cloned().chain(new))
    }
}

/// The same segments in order; those of one claim that follow each other are one row.
pub(crate) fn side_by_side(rows: impl Iterator<Item = DeadRow>) -> Vec<DeadRow> {
    let mut all: Vec<DeadRow> = rows.collect();
    all.sort_unstable_by_key(|row| (row.claim, row.from));
    let mut out: Vec<DeadRow> = Vec::new();
    for row in all {
        match out.last_mut() {
            Some(last) if last.claim == row.claim && row.from <= last.to => last.to = row.to.max(last.to),
            _ => out.push(row),
        }
    }
    out
}

/// A `prune` entry behind `head` that says nothing yet, in the name of this run.
pub(crate) fn behind(head: &Head, by: &PruneRun) -> Entry {
    let (before, number) = (&head.entry, head.entry.n + 1);
    let sealed = before.seal.is_some().then_some(before.n);
    let pruned = before.prune.is_some().then_some(before.n);
    Entry {
        requires: vec![FEATURE.to_owned()],
        previous: Some(head.digest.clone()),
        claim: number,
        nonce: by.nonce.clone(),
        run: by.run.clone(),
        spec: by.spec.clone(),
        // A stamp behind the newest entry's is free for the next point, whatever the clock of this run says.
        point: by.stamp.clone().max(before.point.clone()),
        last_seal: sealed.or(before.last_seal),
        last_state: sealed.or(before.last_state),
        last_rollup: before.last_rollup.clone(),
        last_prune: pruned.or(before.last_prune),
        ..Entry::empty(EntryKind::Prune, number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A later point takes a stamp behind that of the newest entry: an entry that went back would give away one that is taken.
    #[test]
    fn an_entry_is_never_stamped_before_the_one_it_follows() {
        let by = |stamp: &str| PruneRun {
            run: "r".into(),
            spec: Digest::default(),
            nonce: "0123456789abcdef".into(),
            stamp: stamp.into(),
        };
        let mut before = Entry::empty(EntryKind::Seal, 4);
        before.point = "20260131-080000".into();
        let head = Head { entry: before, digest: Digest::default(), hinted: false };
        assert_eq!(behind(&head, &by("20250131-080000")).point, "20260131-080000");
        assert_eq!(behind(&head, &by("20260131-080001")).point, "20260131-080001");
    }

    #[test]
    fn dead_segments_side_by_side_are_one_row() {
        let cutting = Cutting {
            behind: 9,
            oldest: SealRef { entry: 9, digest: Digest::default() },
            dead: [(1, 3), (1, 4), (1, 6), (2, 0)].into(),
            hidden: BTreeMap::new(),
            names: BTreeMap::new(),
            dead_before: vec![DeadRow { claim: 1, from: 0, to: 3 }, DeadRow { claim: 0, from: 5, to: 6 }],
        };
        let rows: Vec<_> = cutting.dead().iter().map(|row| (row.claim, row.from, row.to)).collect();
        assert_eq!(rows, [(0, 5, 6), (1, 0, 5), (1, 6, 7), (2, 0, 1)]);
    }
}
