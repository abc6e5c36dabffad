//! What goes of a set of many points: dead segments, documents of points that are no more, and what runs left behind that were
//! ended. The log and its roll-ups stay.

use contract::Code;
use contract::stamp::split_point;
use jiff::Timestamp;

use super::age::{Dated, Grace};
use super::done::Counted;
use super::names::{Claims, own};
use super::sweep::{Kind, Picked, Sweep};
use crate::holdings::of_key;
use crate::index::Index;
use crate::layout::{RUN_DOCUMENTS, SIDE_DOCUMENTS};
use crate::leftovers::Leftovers;
use crate::pruned::Pruned;
use crate::store::Listed;
use crate::{ArchiveError, Chain, Entry, EntryKind, Layout, Store};

/// What is known of a set before anything of it is deleted.
struct Known {
    /// Its newest entry: a seal, or one of retention.
    head: Entry,
    /// What an entry says whose grace period is over.
    old: Option<Said>,
    /// What the newest entry says, where that is a younger one.
    newest: Option<Said>,
    /// Claim and number of all segments that the log names and that are needed, or were given up.
    named: Vec<(u64, u64)>,
    /// Points that are no more, oldest first: number of the seal, stamp, and name.
    hidden: Vec<(u64, String, String)>,
}

/// What an entry says.
struct Said {
    due: Option<Timestamp>,
    pruned: Pruned,
}

impl Said {
    fn of(dated: Dated) -> Option<Self> {
        Some(Self { due: dated.due, pruned: Pruned::of(&dated.entry)? })
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It may be deleted.
    Due(Kind),
    /// Later.
    Waits,
    Stays,
}

/// Deletes what may go of a set, and counts what waits.
pub(super) async fn clear_chain(sweep: &mut Sweep<'_>, layout: &Layout, grace: &Grace) -> Result<(), ArchiveError> {
    let Some(known) = know(sweep.store, layout, grace).await? else { return Ok(()) };
    let mut claims = Claims::default();
    for folder in ["data", "side", "points", "runs"] {
        let mut is_first = true;
        loop {
            let (dead, left, waiting) = pick(sweep.store, layout, folder, &known).await?;
            if std::mem::take(&mut is_first) {
                sweep.done.wait(waiting, known.newest.as_ref().and_then(|said| said.due));
            }
            let more = dead.has_more() || left.has_more();
            let mut all = true;
            for (mut picked, kind) in [(dead, Kind::Dead), (left, Kind::Leftover)] {
                if folder == "data" {
                    picked.doomed = claims.named(sweep.store, layout, picked.doomed).await?;
                }
                all &= sweep.delete(&picked, kind).await?;
            }
            // What the store keeps would be found again.
            if !(more && all) {
                break;
            }
        }
    }
    if sweep.deletes && known.has_no_run() {
        end_uploads(sweep, layout, &known.head).await;
    }
    Ok(())
}

async fn know(store: &Store, layout: &Layout, grace: &Grace) -> Result<Option<Known>, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let Some(head) = chain.head().await? else { return Ok(None) };
    let head = head.entry;
    let (newest, old) = grace.entries(store, layout, &head).await?;
    let Some(sealed) = head.seal.is_some().then_some(head.n).or(head.last_seal) else { return Ok(None) };
    let (seal, digest) = chain.entry(sealed).await?;
    let index = Index::up_to(store, layout, (&seal, &digest), true).await?.slim();
    let given_up = index.given_up.iter().map(|segment| (segment.claim, segment.seq));
    let mut named: Vec<(u64, u64)> =
        index.segments.iter().map(|segment| (segment.claim, segment.seq)).chain(given_up).collect();
    named.sort_unstable();
    let hidden = index.hidden_seals.into_iter().map(|seal| (seal.entry, seal.stamp, seal.point)).collect();
    Ok(Some(Known { head, old: old.and_then(Said::of), newest: newest.and_then(Said::of), named, hidden }))
}

/// Objects of a folder that may be deleted now, those that no entry names, and the sum of what waits.
async fn pick(
    store: &Store,
    layout: &Layout,
    folder: &str,
    known: &Known,
) -> Result<(Picked, Picked, Counted), ArchiveError> {
    let begin = || (Picked::default(), Picked::default(), Counted::default());
    let take = |(dead, left, waiting): &mut (Picked, Picked, Counted), listed: &Listed<'_>| {
        let Some(key) = own(store, layout, listed.key) else { return };
        match known.fate(layout, key) {
            Fate::Due(Kind::Dead) => dead.add(key, listed.size),
            Fate::Due(Kind::Leftover) => left.add(key, listed.size),
            Fate::Waits => waiting.add(listed.size),
            Fate::Stays => {}
        }
    };
    store.fold_listed(&layout.summary(folder), begin, take).await
}

impl Known {
    /// Whether no run is going on: then nothing of an older claim is ever named any more.
    fn has_no_run(&self) -> bool {
        matches!(self.head.kind, EntryKind::Seal | EntryKind::Prune)
    }

    /// The hidden point that an object belongs to: number of its seal.
    fn point_of(&self, layout: &Layout, key: &str) -> Option<u64> {
        let parts: Vec<&str> = key.strip_prefix(layout.set())?.strip_prefix('/')?.split('/').collect();
        let by_stamp = |stamp: &str| {
            // What belongs to no hidden point stays.
            let place = self.hidden.binary_search_by(|(_, known, _)| known.as_str().cmp(stamp)).ok()?;
            self.hidden.get(place)
        };
        let (seal, name) = match parts.as_slice() {
            ["side", seal, name] if SIDE_DOCUMENTS.contains(name) => {
                let number = seal.parse().ok()?;
                // The same.
                let place = self.hidden.binary_search_by_key(&number, |(entry, ..)| *entry).ok()?;
                (self.hidden.get(place)?.0, layout.side(number, name))
            }
            ["points", stamp] => (by_stamp(stamp)?.0, layout.point(stamp)),
            ["runs", run, name] if RUN_DOCUMENTS.contains(name) => {
                let (_, stamp) = split_point(run)?;
                let (entry, _, _) = by_stamp(stamp).filter(|(_, _, point)| point == run)?;
                (*entry, layout.run(run, name))
            }
            _ => return None,
        };
        (name.as_ref() == key).then_some(seal)
    }

    fn fate(&self, layout: &Layout, key: &str) -> Fate {
        let Some((claim, _, seq)) = of_key(key) else {
            let Some(point) = self.point_of(layout, key) else { return Fate::Stays };
            let hides = |said: &Option<Said>| said.as_ref().is_some_and(|said| said.pruned.hides_point(point));
            return if hides(&self.old) {
                Fate::Due(Kind::Dead)
            } else if hides(&self.newest) {
                Fate::Waits
            } else {
                Fate::Stays
            };
        };
        let is_dead = |said: &Option<Said>| said.as_ref().is_some_and(|said| said.pruned.is_dead(claim, seq));
        if is_dead(&self.old) {
            Fate::Due(Kind::Dead)
        } else if is_dead(&self.newest) {
            Fate::Waits
        } else if self.has_no_run() && claim < self.head.claim && self.named.binary_search(&(claim, seq)).is_err() {
            Fate::Due(Kind::Leftover)
        } else {
            Fate::Stays
        }
    }
}

/// Ends uploads in parts of runs that are dead. Nothing depends on it.
pub(super) async fn end_uploads(sweep: &mut Sweep<'_>, layout: &Layout, head: &Entry) {
    match Leftovers::new(sweep.store.clone(), layout.clone(), head.claim).abort().await {
        Ok(ended) => sweep.done.ended_uploads = sweep.done.ended_uploads.saturating_add(ended),
        Err(error) => {
            let code = if error.code() == Code::StoreDenied {
                "allow it to list and abort uploads in parts"
            } else {
                "run again"
            };
            sweep.done.warnings.push(format!("parts of segments that killed runs left may stay: {error}; {code}"));
        }
    }
}
