//! Deleting a set that goes whole: segments first, then what stands beside them, then the document of the set, then the log,
//! and the entry that says that it goes last of all. What is left is never taken for a set.

use contract::names::check_name;
use contract::{CrashPoint, crash};

use super::age::Grace;
use super::chain::end_uploads;
use super::done::Counted;
use super::names::{LogNames, own};
use super::sweep::{Kind, Picked, Sweep};
use crate::holdings::of_key;
use crate::layout::{RUN_DOCUMENTS, SIDE_DOCUMENTS, SUMMARIES};
use crate::store::Listed;
use crate::{ArchiveError, Chain, Entry, Layout, Store};

/// In this order.
const STAGES: [Stage; 5] = [Stage::Segments, Stage::Beside, Stage::Document, Stage::Log, Stage::Last];

/// What goes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Segments,
    /// Documents beside seals, hints, reports, roll-ups and summaries.
    Beside,
    /// `set.json`.
    Document,
    /// All entries but the newest.
    Log,
    /// The newest entry.
    Last,
}

/// Names of everything that a set has.
struct SetNames<'a> {
    store: &'a Store,
    layout: &'a Layout,
    /// Number of the newest entry.
    last: u64,
    log: LogNames,
}

impl SetNames<'_> {
    /// When an object goes; `None` where nothing of the log names it. `key` is relative to the prefix.
    fn stage(&self, key: &str) -> Option<Stage> {
        let layout = self.layout;
        let is = |path: object_store::path::Path| path.as_ref() == key;
        if let Some((claim, _, seq)) = of_key(key) {
            let nonce = self.log.claims.get(&claim)?;
            return is(layout.segment(claim, nonce, seq)).then_some(Stage::Segments);
        }
        if is(layout.set_document()) {
            return Some(Stage::Document);
        }
        let parts: Vec<&str> = key.strip_prefix(layout.set())?.strip_prefix('/')?.split('/').collect();
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number <= self.last);
        let (stage, name) = match parts.as_slice() {
            ["log", "main", _, entry] => {
                let entry = number(entry)?;
                (if entry == self.last { Stage::Last } else { Stage::Log }, layout.entry(entry))
            }
            ["side", seal, name] if SIDE_DOCUMENTS.contains(name) => (Stage::Beside, layout.side(number(seal)?, name)),
            ["points", stamp] if self.log.stamps.contains(*stamp) => (Stage::Beside, layout.point(stamp)),
            // Restores leave their reports here, too, and no log knows them.
            ["runs", run, name] if check_name(run).is_ok() && RUN_DOCUMENTS.contains(name) => {
                (Stage::Beside, layout.run(run, name))
            }
            ["roll", level @ ("1" | "2"), range] => {
                let (from, to) = range.split_once('-')?;
                (Stage::Beside, layout.rollup(level.parse().ok()?, number(from)?, number(to)?))
            }
            [name] if SUMMARIES.contains(name) => (Stage::Beside, layout.summary(name)),
            _ => return None,
        };
        is(name).then_some(stage)
    }

    /// What goes in a stage, as much as is kept at once.
    async fn pick(&self, stage: Stage) -> Result<Picked, ArchiveError> {
        let take = |picked: &mut Picked, listed: &Listed<'_>| {
            if let Some(key) = own(self.store, self.layout, listed.key).filter(|key| self.stage(key) == Some(stage)) {
                picked.add(key, listed.size);
            }
        };
        self.store.fold_listed(&self.layout.root(), Picked::default, take).await
    }

    /// What nothing of the log names.
    async fn unknown(&self) -> Result<Counted, ArchiveError> {
        let take = |counted: &mut Counted, listed: &Listed<'_>| {
            if own(self.store, self.layout, listed.key).is_some_and(|key| self.stage(key).is_none()) {
                counted.add(listed.size);
            }
        };
        self.store.fold_listed(&self.layout.root(), Counted::default, take).await
    }
}

/// The newest entry of a log; `None` where another run has deleted it meanwhile.
async fn newest(store: &Store, layout: &Layout) -> Result<Option<Entry>, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    match chain.head().await {
        Ok(head) => Ok(head.map(|head| head.entry)),
        Err(error) if error.is_damage() && chain.newest().await?.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deletes a set that its newest entry takes away, once the grace period is over.
pub(super) async fn clear_whole(sweep: &mut Sweep<'_>, layout: &Layout, grace: &Grace) -> Result<(), ArchiveError> {
    let store = sweep.store;
    let Some(head) = newest(store, layout).await?.filter(Entry::takes_all) else { return Ok(()) };
    let Some(dated) = grace.date(store, layout, head).await? else { return Ok(()) };
    if !grace.is_over(&dated) {
        let add = |counted: &mut Counted, listed: &Listed<'_>| counted.add(listed.size);
        let waiting = store.fold_listed(&layout.root(), Counted::default, add).await?;
        sweep.done.wait(waiting, dated.due);
        return Ok(());
    }
    let head = dated.entry;
    let log = LogNames::read(store, layout, head.n).await?;
    let names = SetNames { store, layout, last: head.n, log };
    let unknown = names.unknown().await?;
    sweep.done.unknown.add_all(unknown);
    if sweep.deletes {
        end_uploads(sweep, layout, &head).await;
    }
    for stage in STAGES {
        loop {
            let picked = names.pick(stage).await?;
            let is_gone = sweep.delete(&picked, Kind::Dead).await?;
            // What goes later says that this goes: it stays while something is left.
            if !is_gone && sweep.deletes {
                return Ok(());
            }
            if !(picked.has_more() && is_gone) {
                break;
            }
        }
        crash::at(CrashPoint::PruneStage);
    }
    Ok(())
}
