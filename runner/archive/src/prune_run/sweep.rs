//! Deleting objects by name, many with one request, and counting exactly what is gone. This is the only code that deletes what
//! recovery points are made of.

use std::collections::BTreeSet;

use contract::{Code, CrashPoint, crash};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::done::{Counted, PruneDone, Refusal};
use crate::{ArchiveError, Store, classify};

/// Objects of one request: as many as S3 takes.
const BATCH: usize = 1_000;
/// Objects that are kept at once.
const MOST: usize = 50_000;
/// Tries of what a store does not delete, and does not refuse as a whole.
const TRIES: usize = 2;
/// Objects that are looked at at once.
const AT_ONCE: usize = 16;
/// What is said of objects that stay although the store took the request.
const STAYS: &str = "the store keeps them: the credentials may not delete them, or an object lock, a retention policy or a \
                     legal hold protects them";

/// An object that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doomed {
    /// Its key, relative to the prefix.
    pub(super) key: Path,
    /// Its bytes.
    pub(super) size: u64,
}

/// Objects of a listing that go, as many as are kept at once.
#[derive(Debug, Default)]
pub(super) struct Picked {
    pub(super) doomed: Vec<Doomed>,
    /// Those beyond.
    rest: Counted,
}

impl Picked {
    pub(super) fn add(&mut self, key: &str, size: u64) {
        if self.doomed.len() < MOST {
            self.doomed.push(Doomed { key: Path::from(key), size });
        } else {
            self.rest.add(size);
        }
    }

    pub(super) fn has_more(&self) -> bool {
        self.rest != Counted::default()
    }
}

/// What objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What an entry says nothing needs.
    Dead,
    /// What no entry names.
    Leftover,
}

/// Deletes objects of one set.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    pub(super) store: &'a Store,
    /// Without it everything is only counted.
    pub(super) deletes: bool,
    pub(super) done: &'a mut PruneDone,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(store: &'a Store, deletes: bool, done: &'a mut PruneDone) -> Self {
        Self { store, deletes, done }
    }

    /// Deletes these; says whether none of them is left.
    ///
    /// # Errors
    /// When the store fails. What is gone until then is counted. A refusal is no failure.
    pub(super) async fn delete(&mut self, picked: &Picked, kind: Kind) -> Result<bool, ArchiveError> {
        if !self.deletes {
            picked.doomed.iter().for_each(|object| self.done.due.add(object.size));
            self.done.due.add_all(picked.rest);
            return Ok(false);
        }
        let mut all = true;
        for batch in picked.doomed.chunks(BATCH) {
            crash::at(CrashPoint::PruneDeleting);
            let (gone, refusal) = delete_batch(self.store, batch).await;
            crash::at(CrashPoint::PruneDeleted);
            all &= self.count(batch, &gone?, refusal, kind);
        }
        Ok(all)
    }

    /// Counts what became of a batch; says whether none of it is left.
    fn count(&mut self, batch: &[Doomed], gone: &Gone, why: Option<String>, kind: Kind) -> bool {
        for object in batch.iter().filter(|object| gone.ours.contains(&object.key)) {
            self.done.gone.add(object.size);
            if kind == Kind::Leftover {
                self.done.leftovers.add(object.size);
            }
        }
        let left: Vec<&Doomed> = batch
            .iter()
            .filter(|object| !gone.ours.contains(&object.key) && !gone.before.contains(&object.key))
            .collect();
        for object in &left {
            let new = || Refusal { example: self.store.show(&object.key), of: Counted::default() };
            let why = why.clone().unwrap_or_else(|| STAYS.to_owned());
            self.done.refused.entry(why).or_insert_with(new).of.add(object.size);
        }
        left.is_empty()
    }
}

/// Objects that are there no more.
#[derive(Debug, Default)]
struct Gone {
    /// This run deleted them.
    ours: BTreeSet<Path>,
    /// Somebody else did before.
    before: BTreeSet<Path>,
}

/// Asks the store to delete a batch. What it does not confirm is looked at: only what is not there is gone. With it comes why
/// the store refuses the rest, where it says so of all of it.
async fn delete_batch(store: &Store, batch: &[Doomed]) -> (Result<Gone, ArchiveError>, Option<String>) {
    let (mut gone, mut why) = (Gone::default(), None);
    let mut open: Vec<Path> = batch.iter().map(|object| object.key.clone()).collect();
    for tried in 1.. {
        let refusal = match ask(store, &open, &mut gone).await {
            Ok(refusal) => refusal,
            Err(error) => return (Err(error), None),
        };
        open.retain(|key| !gone.ours.contains(key) && !gone.before.contains(key));
        match look(store, &open).await {
            Ok(absent) => gone.ours.extend(absent),
            Err(error) => return (Err(error), None),
        }
        open.retain(|key| !gone.ours.contains(key));
        why = refusal;
        if open.is_empty() || why.is_some() || tried >= TRIES {
            break;
        }
    }
    (Ok(gone), why)
}

/// One request for all of `open`, as far as the store takes so many. Returns why the store refuses it as a whole.
async fn ask(store: &Store, open: &[Path], gone: &mut Gone) -> Result<Option<String>, ArchiveError> {
    let paths: Vec<object_store::Result<Path>> = open.iter().map(|key| Ok(store.path(key))).collect();
    let mut answers = store.inner().delete_stream(futures::stream::iter(paths).boxed());
    let mut why = None;
    // One answer for each, in order; where a request fails as a whole there is one for many, and looking tells.
    let mut answered: Vec<Option<object_store::Error>> = Vec::with_capacity(open.len());
    while let Some(answer) = answers.next().await {
        answered.push(answer.err());
    }
    let is_each = answered.len() == open.len();
    for (place, error) in answered.into_iter().enumerate() {
        let key = open.get(place).filter(|_| is_each);
        match (error, key) {
            (None, Some(key)) => drop(gone.ours.insert(key.clone())),
            (Some(object_store::Error::NotFound { .. }), Some(key)) => drop(gone.before.insert(key.clone())),
            (None | Some(object_store::Error::NotFound { .. }), None) => {}
            (Some(error), _) => match refusal(&error) {
                Refused::ForGood(words) => why = Some(words),
                Refused::One => {}
                Refused::Failed => {
                    let place = open.first().map_or_else(|| store.place().to_owned(), |key| store.show(key));
                    return Err(ArchiveError::store("delete", place, &error));
                }
            },
        }
    }
    Ok(why)
}

/// What an error of a deletion means.
enum Refused {
    /// The store refuses it, whenever it is asked.
    ForGood(String),
    /// One object was not deleted, for a reason of its own.
    One,
    /// The store fails.
    Failed,
}

fn refusal(error: &object_store::Error) -> Refused {
    let (code, words) = classify::describe(error);
    match code {
        Code::StoreDenied | Code::StoreRefused => Refused::ForGood(words),
        // What the store says of single objects stands in its answer to a request that it took.
        Code::StoreUnreachable if classify::is_said_inside(error) => Refused::One,
        // A store that fails in any other way may be another in a moment.
        _ => Refused::Failed,
    }
}

/// Which of these are not there.
async fn look(store: &Store, open: &[Path]) -> Result<Vec<Path>, ArchiveError> {
    let look = |key: Path| async move { Ok::<_, ArchiveError>(store.size(&key).await?.is_none().then_some(key)) };
    let found: Vec<_> = futures::stream::iter(open.to_vec()).map(look).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}
