//! Saying in the log what goes: one entry for each set, behind the entry that the plan was made from.

use std::collections::BTreeMap;

use contract::{CrashPoint, crash};

use super::done::{PruneDone, Said};
use crate::index::Index;
use crate::prune_entry::{DeadRow, Prune};
use crate::prune_plan::{behind, side_by_side};
use crate::{ArchiveError, Chain, Cutting, Entry, EntryKind, Layout, Owner, PrunePlan, PruneRun, Store};

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is said.
    Done,
    /// Somebody wrote to a set meanwhile: what goes of it must be worked out anew.
    Overtaken,
    /// A run is going on in a set.
    Busy,
}

/// What became of one set.
enum Told {
    Said(u64),
    Overtaken,
    /// A run is going on.
    Busy {
        run: String,
    },
    /// It cannot be read.
    Left {
        what: String,
    },
}

/// Says what goes of each set of a plan. Points that are gone then are in `done`, and in the plan no more.
pub(super) async fn say_all(
    store: &Store,
    plan: &mut PrunePlan,
    by: &PruneRun,
    done: &mut PruneDone,
) -> Result<Outcome, ArchiveError> {
    done.busy = BTreeMap::new();
    let mut overtaken = false;
    let PrunePlan { owner, points, chains, unfinished, whole, .. } = plan;
    let Some(owner) = owner else { return Ok(Outcome::Done) };
    let unfinished = unfinished.iter().filter(|set| set.goes);
    let unfinished = unfinished.filter_map(|set| Some((set.set.as_str(), set.behind?)));
    let whole: Vec<(&str, u64)> =
        whole.iter().map(|whole| (whole.set.as_str(), whole.behind)).chain(unfinished).collect();
    let chains = chains.iter().filter_map(|chain| Some((chain.set.as_str(), chain.cutting.as_ref()?)));
    let mut take = |set: &str, told: Told, done: &mut PruneDone| match told {
        Told::Said(entry) => {
            let gone = |point: &crate::PlannedPoint| point.set == set && point.verdict.goes();
            let (gone, left) = std::mem::take(points).into_iter().partition(gone);
            *points = left;
            done.said.push(Said { set: set.to_owned(), entry, points: gone });
            crash::at(CrashPoint::PruneSaid);
        }
        Told::Overtaken => overtaken = true,
        Told::Busy { run } => drop(done.busy.insert(set.to_owned(), run)),
        Told::Left { what } => done.leave(set, &what),
    };
    for (set, number) in whole {
        let told = readable(say_whole(store, &Layout::new(set), number, owner, by).await)?;
        take(set, told, done);
    }
    for (set, cutting) in chains {
        let chain = Chain::new(store.clone(), Layout::new(set));
        take(set, readable(say_chain(&chain, cutting, by).await)?, done);
    }
    Ok(match (overtaken, done.busy.is_empty()) {
        (true, _) => Outcome::Overtaken,
        (false, false) => Outcome::Busy,
        (false, true) => Outcome::Done,
    })
}

/// A set that cannot be read is left as it is; a store that fails is a failure.
fn readable(told: Result<Told, ArchiveError>) -> Result<Told, ArchiveError> {
    match told {
        Err(error) if error.is_damage() => Ok(Told::Left { what: error.to_string() }),
        told => told,
    }
}

/// Says what goes of a set of many points.
async fn say_chain(chain: &Chain, cutting: &Cutting, by: &PruneRun) -> Result<Told, ArchiveError> {
    // Where there is no log any more, nothing is as it was planned.
    let Some(head) = chain.head().await? else { return Ok(Told::Overtaken) };
    match cutting.entry(&head, by) {
        Some(entry) => append(chain, &entry).await,
        None if is_sealed(&head.entry) => Ok(Told::Overtaken),
        None => Ok(Told::Busy { run: head.entry.run }),
    }
}

/// Whether something can be said now behind one of the sets in which a run was going on.
pub(super) async fn is_any_sealed(store: &Store, busy: &BTreeMap<String, String>) -> Result<bool, ArchiveError> {
    for set in busy.keys() {
        let chain = Chain::new(store.clone(), Layout::new(set));
        if chain.head().await?.is_none_or(|head| is_sealed(&head.entry)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether no run is going on behind an entry.
fn is_sealed(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Seal | EntryKind::Prune)
}

/// Says that all of a set goes, unless its newest entry is another one by now.
async fn say_whole(
    store: &Store,
    layout: &Layout,
    number: u64,
    owner: &Owner,
    by: &PruneRun,
) -> Result<Told, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let Some(head) = chain.head().await?.filter(|head| head.entry.n == number) else { return Ok(Told::Overtaken) };
    let index = Index::up_to(store, layout, (&head.entry, &head.digest), false).await?;
    let row = |(claim, seq): (u64, u64)| DeadRow { claim, from: seq, to: seq.saturating_add(1) };
    let named = index.segments.iter().map(|segment| (segment.claim, segment.seq));
    let lost = index.given_up.iter().map(|segment| (segment.claim, segment.seq));
    let dead = side_by_side(named.chain(lost).map(row));
    let prune = Prune { oldest: None, dead, hidden: Vec::new() };
    let entry = Entry { owner: Some(owner.clone()), prune: Some(Box::new(prune)), ..behind(&head, by) };
    append(&chain, &entry).await
}

async fn append(chain: &Chain, entry: &Entry) -> Result<Told, ArchiveError> {
    match chain.append(entry).await {
        Ok(_) => Ok(Told::Said(entry.n)),
        Err(ArchiveError::Fenced { .. } | ArchiveError::PrunedMeanwhile { .. }) => Ok(Told::Overtaken),
        Err(error) => Err(error),
    }
}
