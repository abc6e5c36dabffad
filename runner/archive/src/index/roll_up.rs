//! Making roll-ups: those that are due, and again those that are missing.

use super::Index;
use crate::rollup::{Coverage, Directory, FANOUT, Merge, Run, Runs, build, run_of_entry};
use crate::rollup_ref::RollupRef;
use crate::{ArchiveError, Chain, Digest, Layout, Store};

/// Writes the roll-ups that are due when `last` is the newest entry: those that end with it, and those before it that
/// were not written when they were due. `newest` is the newest that the log names, and then the newest there is.
///
/// # Errors
/// When something cannot be read or written. Nothing depends on it: readers read entries instead.
pub(crate) async fn roll_up(
    store: &Store,
    layout: &Layout,
    newest: &mut Option<RollupRef>,
    (last, digest): (u64, &Digest),
) -> Result<(), ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let mut end = newest.as_ref().map_or(0, |newest| newest.to + 1) / FANOUT * FANOUT + FANOUT - 1;
    while end < last {
        let (_, digest) = chain.entry(end).await?;
        *newest = roll_up_at(store, layout, newest.take(), (end, &digest)).await?;
        end += FANOUT;
    }
    *newest = roll_up_at(store, layout, newest.take(), (last, digest)).await?;
    Ok(())
}

/// Writes the roll-ups that end with this entry, if any does.
async fn roll_up_at(
    store: &Store,
    layout: &Layout,
    mut newest: Option<RollupRef>,
    (last, digest): (u64, &Digest),
) -> Result<Option<RollupRef>, ArchiveError> {
    let mut span = 1;
    for level in 1..=2u32 {
        span *= FANOUT;
        if (last + 1) % span != 0 || newest.as_ref().is_some_and(|newest| newest.to >= last && newest.level >= level) {
            continue;
        }
        let from = last + 1 - span;
        let (runs, previous) = sources(store, layout, level, from, last, newest).await?;
        let earlier = earlier(store, layout, previous.as_ref()).await;
        let place = Coverage { level, from, to: last, last: digest.clone(), previous, earlier, first_release: false };
        newest = Some(build(store, store, layout, place, Runs::new(runs)).await?);
    }
    Ok(newest)
}

/// Roll-ups of the level below, from the newest back, and entries where there are none that say everything; oldest
/// first. And the newest roll-up before all of them.
async fn sources(
    store: &Store,
    layout: &Layout,
    level: u32,
    from: u64,
    to: u64,
    newest: Option<RollupRef>,
) -> Result<(Vec<Run>, Option<RollupRef>), ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let (mut runs, mut previous, mut covered) = (Vec::new(), newest, to + 1);
    while let Some(rollup) = previous.take_if(|rollup| rollup.from >= from && level > 1) {
        let Ok(directory) = Directory::load(store, layout, &rollup).await else { break };
        previous.clone_from(&directory.previous);
        if directory.seals.is_none() || (directory.before.is_none() && rollup.from > 0) {
            continue;
        }
        if rollup.to + 1 < covered {
            entries_as_runs(&chain, rollup.to + 1, covered - 1, &mut runs).await?;
        }
        covered = rollup.from;
        runs.push(Run::of_rollup(rollup, directory));
    }
    if covered > from {
        entries_as_runs(&chain, from, covered - 1, &mut runs).await?;
    }
    if from > 0 && previous.as_ref().is_none_or(|rollup| rollup.to >= from) {
        // What the entries before knew.
        previous = chain.entry(from).await?.0.last_rollup;
    }
    runs.reverse();
    Ok((runs, previous))
}

/// The roll-ups before `previous`. They only make readers faster: none where its directory cannot be read.
async fn earlier(store: &Store, layout: &Layout, previous: Option<&RollupRef>) -> Vec<RollupRef> {
    let Some(previous) = previous else { return Vec::new() };
    let Ok(directory) = Directory::load(store, layout, previous).await else { return Vec::new() };
    directory.previous.into_iter().chain(directory.earlier).collect()
}

/// Makes a roll-up that the log names again from its entries. False when it cannot be made with the same bytes, as when
/// another release compressed it.
pub(crate) async fn restore_rollup(store: &Store, layout: &Layout, rollup: &RollupRef) -> Result<bool, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let mut runs = Vec::new();
    entries_as_runs(&chain, rollup.from, rollup.to, &mut runs).await?;
    runs.reverse();
    let (_, last) = chain.entry(rollup.to).await?;
    let previous = chain.entry(rollup.from).await?.0.last_rollup;
    let all = earlier(store, layout, previous.as_ref()).await;
    for (earlier, first_release) in [(all, false), (Vec::new(), false), (Vec::new(), true)] {
        let scratch = super::scratch();
        let (last, previous) = (last.clone(), previous.clone());
        let (level, from, to) = (rollup.level, rollup.from, rollup.to);
        let place = Coverage { level, from, to, last, previous, earlier, first_release };
        let made = build(store, &scratch, layout, place, Runs::new(runs.clone())).await?;
        if made == *rollup {
            let key = layout.rollup(level, from, to);
            let missing = || ArchiveError::damaged(scratch.show(&key), "a roll-up that was just made is not there");
            let bytes = scratch.get(&key).await?.ok_or_else(missing)?;
            store.put(&key, bytes.into()).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a roll-up says what its entries say, which are these runs, oldest first. Its pages are compared by digest;
/// the first bytes have none.
pub(crate) async fn says_the_same(
    store: &Store,
    layout: &Layout,
    rollup: &RollupRef,
    directory: &Directory,
    runs: Vec<Run>,
) -> Result<bool, ArchiveError> {
    let scratch = super::scratch();
    let place = Coverage {
        level: rollup.level,
        from: rollup.from,
        to: rollup.to,
        last: directory.last.clone(),
        previous: directory.previous.clone(),
        earlier: directory.earlier.clone(),
        first_release: directory.seals.is_none(),
    };
    let again = build(store, &scratch, layout, place, Runs::new(runs)).await?;
    let again = Directory::load(&scratch, layout, &again).await?;
    for page in &directory.pages {
        Directory::pages(store, layout, rollup, std::slice::from_ref(page)).await?;
    }
    let key = layout.rollup(rollup.level, rollup.from, rollup.to);
    let magic = store.get_range(&key, 0..8).await? == scratch.get_range(&key, 0..8).await?;
    Ok(magic
        && again.pages == directory.pages
        && again.segments == directory.segments
        && again.topics == directory.topics
        && again.gaps == directory.gaps
        && again.forks == directory.forks
        && again.lost == directory.lost
        && again.seals == directory.seals
        && again.before == directory.before)
}

impl Index {
    /// The rows of a roll-up's entries in the order of its pages, read from the entries.
    pub(super) async fn rows_again(&self, rollup: &RollupRef, last: &Digest) -> Result<Merge, ArchiveError> {
        let chain = Chain::new(self.store.clone(), self.layout.clone());
        let mut runs = Vec::new();
        let found = entries_as_runs(&chain, rollup.from, rollup.to, &mut runs).await?;
        if found.as_ref() != Some(last) {
            let key = self.store.show(&self.layout.entry(rollup.to));
            return Err(ArchiveError::damaged(key, "it is not the entry that the log names"));
        }
        runs.reverse();
        Merge::new(Runs::new(runs), &self.store, &self.layout).await
    }
}

/// Adds the entries `from..=to`, newest first; returns the digest of the last. Every link between them is checked.
async fn entries_as_runs(
    chain: &Chain,
    from: u64,
    to: u64,
    runs: &mut Vec<Run>,
) -> Result<Option<Digest>, ArchiveError> {
    let (mut upto, mut last, mut link) = (to + 1, None, None);
    while upto > from {
        let start = upto.saturating_sub(FANOUT).max(from);
        let entries = chain.read(start, upto - 1).await?;
        let newest = entries.last().map(|(_, digest)| digest.clone());
        if link.is_some() && link != newest {
            return Err(ArchiveError::damaged(format!("entry {upto}"), "it does not follow the entry before it"));
        }
        last = last.or(newest);
        link = entries.first().and_then(|(entry, _)| entry.previous.clone());
        runs.extend(entries.iter().rev().map(|(entry, digest)| run_of_entry(entry, digest)));
        upto = start;
    }
    Ok(last)
}
