//! The entries of a log up to a seal, each read once: the links between them, the segments that they name, and the
//! roll-ups that sum them up.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::segments::{AT_ONCE, Check, Looked, Said, look};
use super::{Look, Verification, noted};
use crate::entry::Gap;
use crate::index::{LeftOut, says_the_same};
use crate::lost::keys;
use crate::pruned::Pruned;
use crate::rollup::{Directory, Run, run_of_entry};
use crate::rollup_ref::RollupRef;
use crate::sums::Sums;
use crate::{ArchiveError, Chain, Digest, Entry, Layout, Store};

/// What a log says up to a seal.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) sums: Sums,
    pub(super) gaps: Vec<Gap>,
    /// Whether all of it could be read.
    pub(super) complete: bool,
}

/// Roll-ups that were used, oldest first.
pub(super) type Rollups = Vec<(RollupRef, Arc<Directory>)>;

/// Checks the entries of these numbers, their segments but for those that do not count, and these roll-ups, oldest first.
pub(super) async fn check_log(
    store: &Store,
    layout: &Layout,
    numbers: &[u64],
    (rollups, left_out): (Rollups, LeftOut),
    how: &Look,
    out: &mut Verification,
) -> Result<Log, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let (requests, left_out) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(left_out));
    let read = |number: u64| {
        let (chain, store, layout, requests) = (chain.clone(), store.clone(), layout.clone(), Arc::clone(&requests));
        let left_out = Arc::clone(&left_out);
        async move {
            match chain.entry(number).await {
                Err(error @ ArchiveError::Store { .. }) => Err(error),
                Err(error) => Ok((number, Err(error))),
                Ok((entry, digest)) => {
                    let looked = look_at(&store, &layout, &entry, &left_out, &requests).await?;
                    Ok((number, Ok((entry, digest, looked))))
                }
            }
        }
    };
    let mut entries = futures::stream::iter(numbers.iter().copied()).map(read).buffered(AT_ONCE);
    let mut log = Log { complete: true, ..Log::default() };
    let (mut before, mut check) = (None::<Digest>, Check::new(how, out.drawn.clone()));
    let mut sources = Sources::new(rollups);
    while let Some((number, found)) = entries.try_next().await? {
        let Some((entry, digest, looked)) = noted(found, out)? else {
            log.complete = false;
            before = None;
            sources.lose(number);
            continue;
        };
        let linked = if number == 0 { entry.previous.is_none() } else { before.is_none() || entry.previous == before };
        if !linked {
            let what = "it does not follow the entry before it: one of them was replaced";
            out.problem(&store.show(&layout.entry(number)), what);
            log.complete = false;
        }
        let mut said = vec![Said::default(); entry.segments.len()];
        for row in &entry.rows {
            // An entry with a row of a topic or segment that it does not name is no entry.
            let (topic, said) = (entry.topics.get(row.topic as usize), said.get_mut(row.segment as usize));
            let segment = entry.segments.get(row.segment as usize).filter(|segment| left_out.counts(segment));
            if let (Some(topic), Some(said), Some(segment)) = (topic, said, segment) {
                // A footer has hidden rows as well.
                said.add(topic.id, row);
                if !left_out.hides(segment, topic.id, row) {
                    log.sums.add(topic.id, row);
                }
            }
        }
        log.gaps.extend_from_slice(&entry.gaps);
        let said = entry.segments.iter().zip(said).filter(|(segment, _)| left_out.counts(segment));
        for (looked, (_, said)) in looked.into_iter().zip(said) {
            check.segment(store, looked, (Some(said), left_out.pruned.as_deref()), out).await?;
        }
        sources.take(store, layout, &entry, &digest, out).await?;
        before = Some(digest);
    }
    Ok(log)
}

/// The entries of the roll-up that is next to compare, as rows.
struct Sources {
    rollups: std::collections::VecDeque<(RollupRef, Arc<Directory>)>,
    runs: Vec<Run>,
}

impl Sources {
    fn new(rollups: Vec<(RollupRef, Arc<Directory>)>) -> Self {
        Self { rollups: rollups.into(), runs: Vec::new() }
    }

    /// A roll-up with an entry that cannot be read is compared with nothing; the entry is a problem already.
    fn lose(&mut self, number: u64) {
        if self.rollups.front().is_some_and(|(rollup, _)| (rollup.from..=rollup.to).contains(&number)) {
            self.rollups.pop_front();
            self.runs.clear();
        }
    }

    /// Takes in an entry; the last one of a roll-up is where the two are compared.
    async fn take(
        &mut self,
        store: &Store,
        layout: &Layout,
        entry: &Entry,
        digest: &Digest,
        out: &mut Verification,
    ) -> Result<(), ArchiveError> {
        let Some((rollup, directory)) = self.rollups.front() else { return Ok(()) };
        if entry.n < rollup.from {
            return Ok(());
        }
        self.runs.push(run_of_entry(entry, digest));
        if entry.n < rollup.to {
            return Ok(());
        }
        let runs = std::mem::take(&mut self.runs);
        let key = layout.rollup(rollup.level, rollup.from, rollup.to);
        let shown = store.show(&key);
        if noted(says_the_same(store, layout, rollup, directory, runs).await, out)? == Some(false) {
            out.problem(&shown, "it does not say what its entries say");
        }
        if store.size(&key).await? != Some(rollup.size) {
            out.problem(&shown, "it has not the size that the log names");
        }
        self.rollups.pop_front();
        Ok(())
    }
}

/// What does not count of these entries, where the way back to the beginning is broken: as far as entries can be read.
pub(super) async fn left_out_of(
    store: &Store,
    layout: &Layout,
    numbers: &[u64],
    last: Option<&(Entry, Digest)>,
    out: &mut Verification,
) -> Result<LeftOut, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let read = |number: u64| {
        let chain = chain.clone();
        async move {
            match chain.entry(number).await {
                Ok((entry, _)) => Ok(entry.lost),
                Err(error @ ArchiveError::Store { .. }) => Err(error),
                // It is told where the entry is checked.
                Err(_) => Ok(Vec::new()),
            }
        }
    };
    let all: Vec<_> = futures::stream::iter(numbers.iter().copied()).map(read).buffered(AT_ONCE).try_collect().await?;
    let pruned = match last {
        Some((entry, _)) => noted(Pruned::now(&chain, entry).await, out)?.flatten(),
        None => None,
    };
    let pruned = pruned.filter(|pruned| last.is_some_and(|(entry, _)| !pruned.hides_point(entry.n)));
    Ok(LeftOut { given_up: keys(&all.concat()), pruned })
}

/// Looks at the segments of an entry: as many at once as `requests` allows, over all entries that are on their way.
async fn look_at(
    store: &Store,
    layout: &Layout,
    entry: &Entry,
    left_out: &LeftOut,
    requests: &Arc<Semaphore>,
) -> Result<Vec<Looked>, ArchiveError> {
    let look = |segment| look(store.clone(), layout.clone(), segment, Arc::clone(requests));
    let segments: Vec<_> = entry.segments.iter().filter(|segment| left_out.counts(segment)).cloned().collect();
    futures::stream::iter(segments).map(look).buffered(AT_ONCE).try_collect().await
}
