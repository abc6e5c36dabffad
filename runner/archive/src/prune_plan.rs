//! What the rules of retention would take away of the backups of one resource, and why everything else stays.
//!
//! What it does: finds the sets of exactly one owner, when each of their points was committed, who needs them, and what comes
//! back of the store's bytes.
//! What it never does: change anything. It lists and reads.
//! Data comes from the store: times from listings by the store's clock, never from names.

mod need;

mod cutting;

mod plan;

mod stored;
mod whole_point;

mod holds;

mod chain;
mod ours;

mod sets;

use std::collections::BTreeMap;

use contract::SetOwner;
use contract::retention::{Candidate, Hold, RetentionRules, Shape, Verdict, age, in_order, judge};
use jiff::{SignedDuration, Timestamp};

use self::chain::Chained;
pub(crate) use self::cutting::{behind, side_by_side};
use self::holds::Held;
pub(crate) use self::holds::holds;
use self::ours::{Looked, look};
pub use self::plan::{
    ChainPlan, CompactedTopic, Cutting, Heaped, Left, LeftSet, PlannedPoint, PrunePlan, PruneRun, UnfinishedSet,
    WholeSet,
};
use self::sets::{Sets, Unsealed, Whole, leave_unless_newest_is_whole, look_into};
use crate::{ArchiveError, Store};

/// Store times that lie further ahead of the reader's clock are not believed.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// So long after the last object was written a full backup without a seal is given up: 20 hours.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(20);

/// What `rules` would take away of the backups of `owner`. `reader` is the reader's clock: it decides nothing but which of
/// the store's times cannot be.
///
/// # Errors
/// When the store fails, there is no set of this name, or it is not clear whose is meant.
pub async fn prune_plan(
    store: &Store,
    owner: &SetOwner,
    rules: &RetentionRules,
    reader: Timestamp,
) -> Result<PrunePlan, ArchiveError> {
    let latest = reader.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
    let Looked { ours, left, owner } = look(store, owner).await?;
    let held = holds(store, latest).await?;
    let mut sets = look_into(store, ours, left, latest).await?;
    leave_unless_newest_is_whole(store, &mut sets).await?;
    let now = sets.newest().unwrap_or(reader);
    loop {
        match judged(&sets, rules, now, &held).await? {
            Ok((points, chains)) => {
                sets.left.sort_by(|a, b| a.set.cmp(&b.set));
                return Ok(PrunePlan {
                    owner,
                    now,
                    unfinished: unfinished(&sets, now, &points),
                    whole: going(&sets, &points),
                    holds: holding(held, &sets),
                    points: planned(now, points, &sets, &chains),
                    left: sets.left,
                    chains,
                });
            }
            // Of a set in which something cannot be read that it takes to say what goes, nothing does.
            Err((place, why)) => {
                let set = sets.chains.remove(place).set().to_owned();
                sets.left.push(LeftSet { set, why });
            }
        }
    }
}

/// Points with what becomes of each, and what follows for the sets of many points.
type Judged = (Vec<(Candidate, Verdict)>, Vec<ChainPlan>);

/// Judges all points; or the place of a set of many points that cannot be read as far as that takes, and why.
async fn judged(
    sets: &Sets,
    rules: &RetentionRules,
    now: Timestamp,
    held: &[Held],
) -> Result<Result<Judged, (usize, Left)>, ArchiveError> {
    let mut by_set: Vec<Vec<Candidate>> = sets.whole.iter().map(|whole| vec![whole.candidate(held)]).collect();
    for (place, chain) in sets.chains.iter().enumerate() {
        match chain.candidates(held, rules.max_total_bytes.is_some()).await {
            Ok(points) => by_set.push(points),
            Err(error) => return Ok(Err((place, Left::of(error)?))),
        }
    }
    let candidates = in_order(by_set);
    let verdicts = judge(rules, now, &candidates);
    let points: Vec<(Candidate, Verdict)> = candidates.into_iter().zip(verdicts).collect();
    let mut plans = Vec::new();
    for (place, chain) in sets.chains.iter().enumerate() {
        // Those that go are its oldest.
        let going = points.iter().filter(|(point, verdict)| point.set == chain.set() && verdict.goes());
        match chain.plan(going.count()).await {
            Ok(plan) => plans.push(plan),
            Err(error) => return Ok(Err((place, Left::of(error)?))),
        }
    }
    Ok(Ok((points, plans)))
}

/// The points with what is known of each.
fn planned(now: Timestamp, points: Vec<(Candidate, Verdict)>, sets: &Sets, chains: &[ChainPlan]) -> Vec<PlannedPoint> {
    let held_back = sets.held_back();
    // Bytes of a set of many points stand beside the newest point that goes.
    let mut back: BTreeMap<&str, u64> = chains.iter().map(|chain| (chain.set.as_str(), chain.comes_back())).collect();
    let mut out: Vec<PlannedPoint> = Vec::with_capacity(points.len());
    for (point, verdict) in points.into_iter().rev() {
        let bytes = match (point.shape, verdict.goes()) {
            (_, false) => None,
            (Shape::Whole, true) => Some(point.bytes),
            (Shape::Chain, true) => back.remove(point.set.as_str()),
        };
        out.push(PlannedPoint {
            age_secs: age(now, &point),
            committed: point.committed,
            held_back: held_back.get(&(point.set.as_str(), point.name.as_str())).copied().unwrap_or(0),
            name: point.name,
            set: point.set,
            verdict,
            bytes,
        });
    }
    out.reverse();
    out
}

/// Full backups that were never sealed. One is given up once a newer point is there and nothing was written for long.
fn unfinished(sets: &Sets, now: Timestamp, points: &[(Candidate, Verdict)]) -> Vec<UnfinishedSet> {
    let newest = points.iter().map(|(point, _)| point.committed).max().flatten();
    let is_given_up = |at: Timestamp| newest > Some(at) && now.duration_since(at) > GIVEN_UP;
    let of = |set: &Unsealed| UnfinishedSet {
        set: set.set.clone(),
        bytes: set.heap.bytes,
        // Where nothing was claimed nothing can be said, and there is but one document.
        goes: set.end.is_some() && set.heap.newest.is_some_and(is_given_up),
        behind: set.end,
    };
    sets.unfinished.iter().map(of).collect()
}

/// Full backups that go.
fn going(sets: &Sets, points: &[(Candidate, Verdict)]) -> Vec<WholeSet> {
    let goes = |whole: &&Whole| points.iter().any(|(point, verdict)| point.set == whole.set() && verdict.goes());
    sets.whole.iter().filter(goes).map(Whole::going).collect()
}

/// Who needs points of these sets.
fn holding(held: Vec<Held>, sets: &Sets) -> Vec<Hold> {
    let ours = |held: &Held| {
        let chains = sets.chains.iter().map(Chained::set);
        chains.chain(sets.whole.iter().map(Whole::set)).any(|set| held.is_of(set))
    };
    let mut holds: Vec<Hold> = held.into_iter().filter(ours).map(|held| held.hold).collect();
    holds.sort();
    holds.dedup();
    holds
}
