//! A run of retention: says in the log what the rules take away, and deletes what earlier runs said so long ago that nobody
//! reads it any more.
//!
//! What it does: one `prune` entry for each set of which something goes, behind the entry that its plan was made from; then
//! objects that an older entry calls dead, by the names that the log gives them.
//! What it never does: delete what it has just hidden, what a restore needs that has not ended, or what no name of the log
//! leads to.
//! Nothing else deletes recovery points. FORMAT.md, "Pruning"; ARCHITECTURE.md, "Pruning".

mod done;

mod sweep;

mod age;
mod names;
mod say;

mod chain;
mod whole;

use std::collections::BTreeSet;
use std::time::Duration;

use contract::retention::RetentionRules;
use contract::{CrashPoint, SetOwner, Waits, crash};
use jiff::{SignedDuration, Timestamp};

use self::age::{Clock, Grace};
use self::chain::clear_chain;
pub use self::done::{Counted, PruneDone, Refusal, Said};
use self::say::{Outcome, say_all};
use self::sweep::Sweep;
use self::whole::clear_whole;
use crate::prune_plan::{AHEAD, holds};
use crate::{ArchiveError, Layout, Left, PrunePlan, PruneRun, Store, prune_plan};

/// How often everything is read again because somebody else wrote meanwhile.
const TRIES: u32 = 8;
/// How often a set is looked at in which a run is going on.
const LOOK: Duration = Duration::from_secs(3);

/// What is asked of a run of retention.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// Whose backups are meant.
    pub owner: SetOwner,
    /// What may go.
    pub rules: RetentionRules,
    /// So long after an entry said that they go, objects are deleted, by the store's clock.
    pub grace: SignedDuration,
    /// So long a set is waited for in which a run is going on: nothing can be said behind an entry that is no seal.
    pub patience: Duration,
    /// The run.
    pub by: PruneRun,
    /// The reader's clock: it decides nothing but which of the store's times cannot be.
    pub reader: Timestamp,
}

/// Carries it out. What was done is in `done`, also when this fails: another run goes on.
///
/// # Errors
/// When the store fails, there is no set of this name, or it is not clear whose is meant.
pub async fn prune(
    store: &Store,
    request: &PruneRequest,
    waits: &Waits,
    done: &mut PruneDone,
) -> Result<(), ArchiveError> {
    let plan = say(store, request, waits, done).await?;
    let clock = Clock::of_store(store, &request.by.run, latest(request)).await?;
    clear(store, request, &plan, (&clock, true), done).await?;
    done.plan = Some(plan);
    Ok(())
}

/// The same without a word in the log and without a deletion: what would go, and what waits to be deleted.
///
/// # Errors
/// As [`prune`].
pub async fn look(store: &Store, request: &PruneRequest, done: &mut PruneDone) -> Result<(), ArchiveError> {
    let plan = prune_plan(store, &request.owner, &request.rules, request.reader).await?;
    // Nothing is written, not even to learn what time it is for the store.
    let clock = Clock::at(plan.now, latest(request));
    clear(store, request, &plan, (&clock, false), done).await?;
    done.plan = Some(plan);
    Ok(())
}

/// Times of the store that lie further ahead are not believed.
fn latest(request: &PruneRequest) -> Timestamp {
    request.reader.checked_add(AHEAD).unwrap_or(Timestamp::MAX)
}

/// Says in the log of each set what goes of it. Whoever is overtaken reads all again.
async fn say(
    store: &Store,
    request: &PruneRequest,
    waits: &Waits,
    done: &mut PruneDone,
) -> Result<PrunePlan, ArchiveError> {
    let deadline = tokio::time::Instant::now() + request.patience;
    let mut tries = 0;
    loop {
        let mut plan = prune_plan(store, &request.owner, &request.rules, request.reader).await?;
        crash::at(CrashPoint::PrunePlanned);
        tries += 1;
        match say_all(store, &mut plan, &request.by, done).await? {
            Outcome::Done => return Ok(plan),
            Outcome::Overtaken if tries < TRIES => {}
            Outcome::Overtaken | Outcome::Busy if tokio::time::Instant::now() + LOOK > deadline => return Ok(plan),
            Outcome::Overtaken => tokio::time::sleep(LOOK).await,
            Outcome::Busy => {
                let wait = format!("a recovery point of {}: a run is going on there", done.busy_sets().join(", "));
                let _waiting = waits.begin(wait);
                while !say::is_any_sealed(store, &done.busy).await? && tokio::time::Instant::now() < deadline {
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }
}

/// Deletes what was said to go long enough ago, set by set; without `deletes` it is only counted.
async fn clear(
    store: &Store,
    request: &PruneRequest,
    plan: &PrunePlan,
    (clock, deletes): (&Clock, bool),
    done: &mut PruneDone,
) -> Result<(), ArchiveError> {
    let grace = Grace { clock: *clock, length: request.grace };
    if deletes {
        done.warnings.extend(clock.finding().map(str::to_owned));
    }
    let removed = plan.left.iter().filter(|left| matches!(left.why, Left::Removed { .. }));
    let removed = removed.map(|left| left.set.as_str()).filter(|_| is_newest_whole(plan));
    let whole: BTreeSet<String> = removed.chain(done.removed_sets()).map(str::to_owned).collect();
    for set in plan.chains.iter().map(|chain| chain.set.as_str()) {
        let mut sweep = Sweep::new(store, deletes && !is_held(store, request, set, done).await?, done);
        let cleared = clear_chain(&mut sweep, &Layout::new(set), &grace).await;
        readable(set, cleared, done)?;
    }
    for set in whole {
        let mut sweep = Sweep::new(store, deletes && !is_held(store, request, &set, done).await?, done);
        let cleared = clear_whole(&mut sweep, &Layout::new(&*set), &grace).await;
        readable(&set, cleared, done)?;
    }
    Ok(())
}

/// A set that cannot be read is left as it is, and told; a store that fails is a failure.
fn readable(set: &str, cleared: Result<(), ArchiveError>, done: &mut PruneDone) -> Result<(), ArchiveError> {
    match cleared {
        Err(error) if error.is_damage() => {
            done.leave(set, &error.to_string());
            Ok(())
        }
        cleared => cleared,
    }
}

/// Full backups go in favour of newer ones: while the newest is not whole, none is deleted.
fn is_newest_whole(plan: &PrunePlan) -> bool {
    let is_full = |set: &str| contract::stamp::split_point(set).is_some();
    !plan.left.iter().any(|left| is_full(&left.set) && matches!(left.why, Left::Incomplete { .. }))
}

/// Whether a restore that has not ended may need something of this set. It is looked for directly before anything of the set
/// is deleted: a restore that begins later sees what was said.
async fn is_held(store: &Store, request: &PruneRequest, set: &str, done: &mut PruneDone) -> Result<bool, ArchiveError> {
    let held = holds(store, latest(request)).await?;
    let held: Vec<_> = held.into_iter().filter(|held| held.is_of(set)).map(|held| held.hold).collect();
    let is_held = !held.is_empty();
    done.holds.extend(held);
    Ok(is_held)
}
