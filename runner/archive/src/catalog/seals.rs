//! The seals of a log: its newest one, and all of them, as far as they can be read.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::index::Index;
use crate::problem::Problem;
use crate::pruned::Pruned;
use crate::rollup::SealedPoint;
use crate::{ArchiveError, Chain, Digest, Entry, EntryKind, Layout, Store};

/// Entries that are read at once.
const AT_ONCE: usize = 16;

/// The end of a log, for a reader.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest {
    /// Number of the newest entry, readable or not.
    pub(crate) end: Option<u64>,
    /// Whether no run began behind the newest seal, as far as it can be read.
    pub(crate) sealed_last: bool,
    /// The newest seal that can be read, unless retention removed it.
    pub(crate) seal: Option<(Entry, Digest)>,
    /// The same where retention removed it, and with it every point of the set.
    pub(crate) removed: Option<(Entry, Digest)>,
    /// What retention took away of the set.
    pub(crate) pruned: Option<Arc<Pruned>>,
    /// The entry that took all of the set away: what is left of it goes.
    pub(crate) gone: Option<Box<Entry>>,
    /// Entries after it that cannot be read: a newer point may be lost with them.
    pub(crate) problems: Vec<Problem>,
}

impl Newest {
    /// Stamp of the newest seal, whatever retention removed; nothing where there is none.
    pub(crate) fn stamp(&self) -> &str {
        self.seal.as_ref().or(self.removed.as_ref()).map_or("", |(entry, _)| entry.point.as_str())
    }

    /// The same of a set of which nothing is left but what goes.
    fn all_gone(self, entry: Entry) -> Self {
        Self { gone: Some(Box::new(entry)), sealed_last: true, ..self }
    }

    /// The points that are left, as lists show them.
    fn shown(&self, mut points: Vec<SealedPoint>) -> Vec<SealedPoint> {
        if let Some(pruned) = &self.pruned {
            points.retain(|point| !pruned.hides_point(point.entry));
            for point in &mut points {
                pruned.take_out_of_line(point);
            }
        }
        points
    }
}

/// Looks for the newest seal. An entry that cannot be read is noted, and the search goes on with the one before it.
pub(crate) async fn newest_seal(chain: &Chain) -> Result<Newest, ArchiveError> {
    let end = chain.newest().await?;
    let (mut out, mut at) = (Newest { end, ..Newest::default() }, end);
    // What is there below, once somebody had to look.
    let mut known = Vec::new();
    // Retention begins no run.
    let (mut only_pruned, mut is_first) = (true, true);
    while let Some(number) = at {
        match chain.entry(number).await {
            Ok((entry, digest)) => {
                // The newest entry that can be read knows what retention took away.
                if std::mem::take(&mut is_first) {
                    match Box::pin(Pruned::as_of(chain, &entry)).await {
                        Ok(pruned) => out.pruned = pruned,
                        Err(error) if error.is_damage() => out.problems.push(Problem::of(&error)),
                        Err(error) => return Err(error),
                    }
                }
                if entry.takes_all() {
                    return Ok(Newest { removed: seal_before(chain, &entry).await?, ..out.all_gone(entry) });
                }
                if entry.seal.is_some() {
                    out.sealed_last = only_pruned;
                    let removed = out.pruned.as_ref().is_some_and(|pruned| pruned.hides_point(number));
                    *(if removed { &mut out.removed } else { &mut out.seal }) = Some((entry, digest));
                    break;
                }
                let is_prune = entry.kind == EntryKind::Prune;
                only_pruned &= is_prune;
                let before = if is_prune { number.checked_sub(1) } else { entry.last_seal };
                at = before.filter(|before| *before < number);
            }
            Err(error) if error.is_damage() => {
                out.problems.push(Problem::of(&error));
                only_pruned = false;
                if known.is_empty() {
                    known = chain.candidates(number).await?;
                }
                at = known.iter().copied().rfind(|other| *other < number);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// The seal before the entry that took all of a set away, while it is there.
async fn seal_before(chain: &Chain, entry: &Entry) -> Result<Option<(Entry, Digest)>, ArchiveError> {
    let Some(number) = entry.last_seal else { return Ok(None) };
    match chain.entry(number).await {
        Ok(found) => Ok(Some(found)),
        // The log goes last, and then this may be gone already.
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error),
    }
}

/// All seals up to the newest, oldest first, and what is wrong with the log and its roll-ups.
pub(crate) async fn seals(
    store: &Store,
    layout: &Layout,
    newest: &Newest,
) -> Result<(Vec<SealedPoint>, Vec<Problem>), ArchiveError> {
    let Some((entry, digest)) = &newest.seal else { return Ok((Vec::new(), Vec::new())) };
    if entry.last_seal.is_none() {
        return Ok((newest.shown(SealedPoint::of(entry, digest).into_iter().collect()), Vec::new()));
    }
    match Index::up_to(store, layout, (entry, digest), true).await {
        Ok(index) => Ok((index.seals.clone(), index.problems())),
        Err(error) if error.is_damage() => {
            let (points, problems) = one_by_one(store, layout, (entry, digest)).await?;
            Ok((newest.shown(points), problems))
        }
        Err(error) => Err(error),
    }
}

/// The same, where only a point of this stamp is of interest: one that is not older than the newest costs nothing.
pub(crate) async fn seals_since(
    store: &Store,
    layout: &Layout,
    newest: &Newest,
    stamp: &str,
) -> Result<(Vec<SealedPoint>, Vec<Problem>), ArchiveError> {
    match &newest.seal {
        Some((entry, digest)) if entry.point.as_str() <= stamp => {
            Ok((newest.shown(SealedPoint::of(entry, digest).into_iter().collect()), Vec::new()))
        }
        _ => seals(store, layout, newest).await,
    }
}

/// Reads every entry by itself: seals before the first damage are sound, those behind it only where roll-ups cover it.
async fn one_by_one(
    store: &Store,
    layout: &Layout,
    newest: (&Entry, &Digest),
) -> Result<(Vec<SealedPoint>, Vec<Problem>), ArchiveError> {
    let covered = Index::up_to(store, layout, newest, false).await.is_ok();
    let chain = Chain::new(store.clone(), layout.clone());
    let read = |number: u64| {
        let chain = chain.clone();
        async move {
            match chain.entry(number).await {
                Ok(found) => Ok((number, Ok(found))),
                Err(error) if error.is_damage() => Ok((number, Err(Problem::of(&error)))),
                Err(error) => Err(error),
            }
        }
    };
    let numbers = chain.candidates(newest.0.n).await?;
    let mut entries = futures::stream::iter(numbers).map(read).buffered(AT_ONCE);
    let (mut sound, mut problems, mut before) = (Vec::new(), Vec::new(), None);
    let mut broken = None;
    while let Some((number, found)) = entries.try_next().await? {
        match found {
            Ok((entry, digest)) => {
                if broken.is_none() && number > 0 && entry.previous != before {
                    let what = "it does not follow the entry before it: one of them was replaced";
                    problems.push(Problem::new(store.show(&layout.entry(number)), what));
                    broken = Some(number);
                }
                match (SealedPoint::of(&entry, &digest), broken) {
                    (Some(point), Some(at)) if !covered => {
                        let what =
                            format!("recovery point {} cannot be read: the log is damaged at entry {at}", point.point);
                        problems.push(Problem::new(store.show(&layout.entry(number)), what));
                    }
                    (point, _) => sound.extend(point),
                }
                before = Some(digest);
            }
            Err(problem) => {
                problems.push(problem);
                broken = broken.or(Some(number));
                before = None;
            }
        }
    }
    Ok((sound, problems))
}
