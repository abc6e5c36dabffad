//! Verifying a recovery point at three levels. It collects every problem instead of stopping at the first.

mod blocks;
mod index;
mod log;
mod sample;
mod segments;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use contract::stamp::split_point;
use serde::Serialize;

use self::index::check_index;
use self::log::{check_log, left_out_of};
use self::sample::draw;
pub use self::sample::{Drawn, Sample};
use crate::catalog::{
    SetCheck, name_finding, newest_seal, reports, resolve, set_document, strays, strays_at_root, traces,
};
use crate::documents::{GroupSnapshot, Hint, TopicConfigs};
use crate::entry::{FORMAT, decode_small};
use crate::index::Index;
use crate::limit::total;
use crate::point::side;
use crate::problem::Problem;
use crate::sums::differences;
use crate::{ArchiveError, Chain, Digest, Entry, Layout, Store};

/// How deep to look; each level includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Chain, sizes, headers and footers.
    Structure,
    /// The digest of every block.
    Checksum,
    /// Every batch and record: CRC, counts, continuity, timestamps.
    Decode,
}

/// How a point is looked at.
#[derive(Debug, Clone)]
pub struct Look {
    /// How deep.
    pub level: Level,
    /// Of which segments the blocks are read; of all when absent.
    pub sample: Option<Sample>,
    /// Counts stored bytes of blocks while they are read.
    pub read: Arc<AtomicU64>,
}

impl Look {
    /// All of it, this deep.
    #[must_use]
    pub fn whole(level: Level) -> Self {
        Self { level, sample: None, read: Arc::default() }
    }
}

/// The result of verifying.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    /// Segments looked at.
    pub segments: u64,
    /// Those of them of which blocks were read.
    pub segments_read: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// Batches checked.
    pub batches: u64,
    /// Records counted that consumers see, as the point counts them.
    pub records: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// What is worth knowing and no damage: what is missing and not needed, and batches that are odd.
    pub notes: Vec<Problem>,
    /// The segments that were drawn, where a sample was asked for and the log could be read.
    #[serde(skip)]
    pub drawn: Option<Drawn>,
    /// Problems and notes that a look at the structure alone does not show.
    #[serde(skip)]
    deep: HashMap<Problem, Level>,
}

impl Verification {
    /// The least level at which this problem or note is seen.
    #[must_use]
    pub fn level_of(&self, problem: &Problem) -> Level {
        self.deep.get(problem).copied().unwrap_or(Level::Structure)
    }

    fn add(&mut self, found: Self) {
        self.segments += found.segments;
        self.segments_read += found.segments_read;
        self.deep.extend(found.deep);
        self.bytes += found.bytes;
        self.batches += found.batches;
        self.records += found.records;
        self.problems.extend(found.problems);
        self.notes.extend(found.notes);
    }

    fn problem(&mut self, key: &str, what: impl ToString) {
        self.problems.push(Problem::new(key, what));
    }

    fn error(&mut self, error: &ArchiveError) {
        self.problems.push(Problem::of(error));
    }

    /// A problem that is not seen above this level.
    fn deep_problem(&mut self, level: Level, problem: Problem) {
        self.deep.insert(problem.clone(), level);
        self.problems.push(problem);
    }

    /// The same of a note.
    fn deep_note(&mut self, level: Level, note: Problem) {
        self.deep.insert(note.clone(), level);
        self.notes.push(note);
    }

    /// What was found twice counts once.
    fn without_repeats(mut self) -> Self {
        let mut known = HashSet::new();
        self.problems.retain(|problem| known.insert(problem.clone()));
        self
    }
}

/// Damage becomes part of the result; a store that fails ends the verification.
fn noted<T>(result: Result<T, ArchiveError>, out: &mut Verification) -> Result<Option<T>, ArchiveError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ ArchiveError::Store { .. }) => Err(error),
        Err(error) => {
            out.error(&error);
            Ok(None)
        }
    }
}

/// How much of a set's history is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What the point needs: roll-ups where they are sound, entries for the rest.
    Point,
    /// Every entry up to the point, and that roll-ups say what their entries say.
    Log,
}

/// Verifies what a name means: of a set, its newest point and all of its log; of a point, what that point needs.
///
/// # Errors
/// When there is nothing of that name, or the store cannot be reached; damage is part of the result.
pub async fn verify_named(
    store: &Store,
    name: &str,
    level: Level,
) -> Result<(Layout, u64, Verification), ArchiveError> {
    let (layout, seal) = resolve(store, name).await?;
    let scope = if names_point(name, &layout) { Scope::Point } else { Scope::Log };
    let found = verify(store, &layout, seal, scope, &Look::whole(level)).await?;
    Ok((layout, seal, found))
}

/// Whether a name that means something of this set means one point of it, and not the set with its newest point.
#[must_use]
pub fn names_point(name: &str, layout: &Layout) -> bool {
    split_point(name).is_some_and(|(set, _)| set == layout.set())
}

/// Verifies the point that entry `seal` of a set makes, as [`verify_log`] does with `with_log`, else as [`verify_point`].
///
/// # Errors
/// As [`verify_point`].
pub async fn verify_look(
    store: &Store,
    layout: &Layout,
    seal: u64,
    with_log: bool,
    look: &Look,
) -> Result<Verification, ArchiveError> {
    verify(store, layout, seal, if with_log { Scope::Log } else { Scope::Point }, look).await
}

/// Verifies the point that entry `seal` of a set makes: what it needs, whatever else the set holds.
///
/// # Errors
/// Only when the store cannot be reached; damage is part of the result.
pub async fn verify_point(
    store: &Store,
    layout: &Layout,
    seal: u64,
    level: Level,
) -> Result<Verification, ArchiveError> {
    verify(store, layout, seal, Scope::Point, &Look::whole(level)).await
}

/// Verifies the point that entry `seal` of a set makes, and all of the log up to it.
///
/// # Errors
/// As [`verify_point`].
pub async fn verify_log(store: &Store, layout: &Layout, seal: u64, level: Level) -> Result<Verification, ArchiveError> {
    verify(store, layout, seal, Scope::Log, &Look::whole(level)).await
}

async fn verify(
    store: &Store,
    layout: &Layout,
    seal: u64,
    scope: Scope,
    look: &Look,
) -> Result<Verification, ArchiveError> {
    let mut out = Verification::default();
    let mut sealed = noted(Chain::new(store.clone(), layout.clone()).entry(seal).await, &mut out)?;
    let mut index = None;
    if let Some((entry, digest)) = &sealed {
        index = noted(Index::up_to(store, layout, (entry, digest), false).await, &mut out)?;
        check_seal(store, layout, (entry, digest), &mut out).await?;
    }
    if let (Some(index), Some((entry, _))) = (&index, &mut sealed) {
        take_out(store, layout, index, entry, &mut out);
    }
    check_set(store, layout, &mut out).await?;
    if let (Some(index), Some(sample)) = (&index, look.sample) {
        out.drawn = Some(draw(&index.segments, sample));
    }
    let log = match index {
        Some(index) if scope == Scope::Point => check_index(store, layout, &index, look, &mut out).await?,
        // Where the way back to the beginning is broken, every entry is read, so that all that is wrong is found.
        index => {
            out.problems.extend(index.iter().flat_map(Index::problems));
            let numbers = Chain::new(store.clone(), layout.clone()).candidates(seal).await?;
            let (rollups, left_out) = match index {
                Some(index) => (index.rollups.clone(), index.left_out()),
                None => (Vec::new(), left_out_of(store, layout, &numbers, sealed.as_ref(), &mut out).await?),
            };
            check_log(store, layout, &numbers, (rollups, left_out), look, &mut out).await?
        }
    };
    if let Some(sealed) = sealed.as_ref().and_then(|(entry, _)| entry.seal.as_ref()).filter(|_| log.complete) {
        for what in differences(&log.sums, &log.gaps, sealed) {
            out.problem(&store.show(&layout.entry(seal)), what);
        }
    }
    if let Some(sealed) = sealed.as_ref().and_then(|(entry, _)| entry.seal.as_ref()) {
        // Blocks of all timelines were counted; a point holds each offset once.
        let replaced = total(sealed.partitions.iter().map(|row| row.replaced));
        out.records = out.records.saturating_sub(replaced);
    }
    Ok(out.without_repeats())
}

/// A point is what retention left of it.
fn take_out(store: &Store, layout: &Layout, index: &Index, entry: &mut Entry, out: &mut Verification) {
    if let (Some(pruned), Some(seal)) = (&index.pruned, &mut entry.seal) {
        pruned.take_out(entry.n, seal);
    }
    if let Some(by) = index.removed {
        let what = format!("retention removed this recovery point with entry {by}: what only it needs is deleted");
        out.notes.push(Problem::new(store.show(&layout.entry(entry.n)), what));
    }
}

/// The seal is of this set, its side documents are there, and the hint of its name leads to it.
async fn check_seal(
    store: &Store,
    layout: &Layout,
    (entry, digest): (&Entry, &Digest),
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    let shown = store.show(&layout.entry(entry.n));
    let Some(seal) = &entry.seal else {
        out.problem(&shown, "it is not a seal");
        return Ok(());
    };
    if let Some(finding) = name_finding(layout.set(), entry) {
        out.problem(&shown, finding);
    }
    out.notes.extend(seal.converted.iter().flat_map(|converted| converted.notes(&shown)));
    let configs = side::<TopicConfigs>(store, layout, entry.n, "configs.json", &seal.configs).await;
    if let Some(configs) = noted(configs, out)? {
        let without = seal.topics.iter().filter(|topic| topic.live && !configs.contains_key(&topic.name));
        let names: Vec<_> = without.map(|topic| topic.name.as_str()).collect();
        if let Some(first) = names.first() {
            let more = if names.len() > 1 { format!(" and of {} more topics", names.len() - 1) } else { String::new() };
            let what = format!("the configs of topic {first}{more} are not known: the backup could not read them");
            out.notes.push(Problem::new(shown.clone(), what));
        }
    }
    if let Some(groups) = &seal.groups {
        noted(side::<Vec<GroupSnapshot>>(store, layout, entry.n, "groups.json", groups).await, out)?;
    }
    check_hint(store, layout, (entry, digest), out).await
}

/// The seal is the newest link: nothing in the chain covers it, but the hint to it does.
async fn check_hint(
    store: &Store,
    layout: &Layout,
    (entry, digest): (&Entry, &Digest),
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    let key = layout.point(&entry.point);
    let shown = store.show(&key);
    let Some(bytes) = store.get(&key).await? else {
        let what = "no hint leads to this recovery point; readers find it without, and the next run writes it";
        out.notes.push(Problem::new(shown, what));
        return Ok(());
    };
    let Some(hint) = noted(decode_small::<Hint>(&shown, &bytes), out)? else { return Ok(()) };
    if hint.entry != entry.n {
        let what = format!("it names entry {}, but entry {} seals this recovery point", hint.entry, entry.n);
        out.problem(&shown, what);
    } else if hint.digest != *digest || hint.format != FORMAT {
        let key = store.show(&layout.entry(entry.n));
        out.problem(&key, format!("its digest is not the one that the hint {shown} names: one of them was changed"));
    }
    Ok(())
}

/// The set is the one of its name, and nothing is there that only a longer log explains.
async fn check_set(store: &Store, layout: &Layout, out: &mut Verification) -> Result<(), ArchiveError> {
    match noted(set_document(store, layout).await, out)? {
        None | Some(SetCheck::Sound(_)) => {}
        Some(SetCheck::Damaged(problem) | SetCheck::Other(_, problem)) => out.problems.push(problem),
    }
    let Some(newest) = noted(newest_seal(&Chain::new(store.clone(), layout.clone())).await, out)? else {
        return Ok(());
    };
    out.problems.extend(newest.problems.iter().cloned());
    let left = traces(store, layout, &newest).await?;
    out.problems.extend(left.evidence);
    out.notes.extend(left.doubtful);
    out.problems.extend(reports(store, layout, &newest).await?);
    out.notes.extend(strays(store, layout).await?);
    out.notes.extend(strays_at_root(store).await?);
    Ok(())
}
