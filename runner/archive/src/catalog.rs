//! What a store holds: sets, recovery points, unfinished runs.
//!
//! Recovery points are what the log's seals say. Hints only make the look-up of a name faster. What cannot be read is
//! named beside what can.

mod find;
mod identity;
mod last_full;
mod owned;
mod seals;
mod traces;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::Serialize;

pub use self::find::{Found, find, resolve};
pub(crate) use self::identity::{SetCheck, name_finding, set_document};
pub use self::last_full::LastFull;
pub(crate) use self::owned::{check_guest, check_sealed};
pub use self::owned::{check_owner, check_set_owner};
pub(crate) use self::seals::newest_seal;
use self::seals::{Newest, seals, seals_since};
pub(crate) use self::traces::{reports, strays, strays_at_root, traces};
use crate::documents::Hint;
use crate::entry::decode_small;
use crate::index::Index;
use crate::presence::{LOOKED_AT, absent, adds_up};
use crate::problem::Problem;
use crate::pruned::Pruned;
use crate::rollup::SealedPoint;
use crate::{ArchiveError, Chain, Entry, EntryKind, Layout, Owner, Store};

/// Sets that are looked at at once.
const AT_ONCE: usize = 16;

/// Full sets that are looked at for an unfinished run.
const UNFINISHED_DEPTH: usize = 3;

/// A set and its recovery points.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetSummary {
    /// Name.
    pub name: String,
    /// Namespace of the first owner.
    pub namespace: String,
    /// Resource name of the first owner.
    pub resource: String,
    /// Id of the source cluster.
    pub cluster_id: String,
    /// Whether several runs extend the set.
    pub incremental: bool,
    /// Stamps of recovery points, oldest first.
    pub points: Vec<String>,
    /// Whether the newest entry is not a seal: a run is going on or was interrupted.
    pub unfinished: bool,
    /// What is wrong with it, as far as a list looks. The points that are listed can be read all the same.
    pub problems: Vec<Problem>,
}

impl SetSummary {
    /// Of a set that retention took away, and of which not everything is deleted yet.
    fn of_gone(name: &str, entry: &Entry) -> Self {
        // Nobody is told where the entry does not say whose it was.
        let of = |text: fn(&Owner) -> &String| entry.owner.as_ref().map(text).map_or_else(String::new, Clone::clone);
        Self {
            name: name.to_owned(),
            namespace: of(|owner| &owner.namespace),
            resource: of(|owner| &owner.name),
            cluster_id: of(|owner| &owner.cluster_id),
            incremental: contract::stamp::split_point(name).is_none(),
            points: Vec::new(),
            unfinished: false,
            problems: Vec::new(),
        }
    }
}

/// Everything that a store holds below its prefix.
#[derive(Debug, Clone)]
pub struct Catalog {
    store: Store,
}

impl Catalog {
    /// The catalog of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Names of all sets, sorted. A folder with a log is a set, even where its `set.json` is missing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sets(&self) -> Result<Vec<String>, ArchiveError> {
        let folders = self.store.folders(&Path::default()).await?;
        let names = folders.into_iter().filter(|name| contract::names::check_name(name).is_ok());
        let look = |name: String| {
            let catalog = self.clone();
            async move { Ok(catalog.has_set(&name).await?.then_some(name)) }
        };
        let found: Vec<_> = futures::stream::iter(names).map(look).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// All sets, several at once, by name. What cannot be read of one is part of its summary.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn summaries(&self) -> Result<Vec<SetSummary>, ArchiveError> {
        let names = self.sets().await?;
        let look = |name: String| {
            let catalog = self.clone();
            async move { catalog.set(&name).await }
        };
        futures::stream::iter(names).map(look).buffered(AT_ONCE).try_collect().await
    }

    /// One set: what is sound of it, and what is not.
    ///
    /// # Errors
    /// When it does not exist or the store fails.
    pub async fn set(&self, name: &str) -> Result<SetSummary, ArchiveError> {
        Ok(self.set_and_points(name).await?.0)
    }

    /// One set, and its recovery points.
    ///
    /// # Errors
    /// When it does not exist or the store fails.
    pub async fn set_and_points(&self, name: &str) -> Result<(SetSummary, Vec<SealedPoint>), ArchiveError> {
        if !self.has_set(name).await? {
            return Err(self.missing("backup set", name));
        }
        let layout = Layout::new(name);
        let chain = Chain::new(self.store.clone(), layout.clone());
        let newest = newest_seal(&chain).await?;
        if let Some(entry) = &newest.gone {
            return Ok((SetSummary::of_gone(name, entry), Vec::new()));
        }
        let document = set_document(&self.store, &layout);
        let seals = seals(&self.store, &layout, &newest);
        let left = traces(&self.store, &layout, &newest);
        let lacking = self.lacking(&layout, &newest);
        let (document, (points, mut problems), left, lacking) = futures::try_join!(document, seals, left, lacking)?;
        problems.splice(0..0, newest.problems.iter().cloned());
        problems.extend(left.evidence);
        problems.extend(lacking);
        let sealed = newest.seal.as_ref().and_then(|(entry, _)| entry.seal.as_ref());
        if let Some(finding) = newest.seal.as_ref().and_then(|(entry, _)| name_finding(name, entry)) {
            problems.push(Problem::new(self.store.show(&layout.root()), finding));
        }
        let (owner, incremental) = match document {
            SetCheck::Sound(document) => (Some(document.owner), document.incremental),
            SetCheck::Damaged(problem) => {
                problems.push(problem);
                (sealed.map(|seal| seal.owner.clone()), contract::stamp::split_point(name).is_none())
            }
            SetCheck::Other(document, problem) => {
                problems.push(problem);
                (Some(document.owner), document.incremental)
            }
        };
        let summary = SetSummary {
            name: name.to_owned(),
            namespace: owner.as_ref().map_or_else(String::new, |owner| owner.namespace.clone()),
            resource: owner.as_ref().map_or_else(String::new, |owner| owner.name.clone()),
            cluster_id: owner.map_or_else(String::new, |owner| owner.cluster_id),
            incremental,
            points: points.iter().map(|point| point.stamp.clone()).collect(),
            unfinished: !newest.sealed_last,
            problems,
        };
        Ok((summary, points))
    }

    /// Segments that the newest point is made of and that the store does not list, or with another size.
    async fn lacking(&self, layout: &Layout, newest: &Newest) -> Result<Option<Problem>, ArchiveError> {
        let Some((entry, digest)) = &newest.seal else { return Ok(None) };
        if let Some(said) = entry.seal.as_ref().and_then(|seal| seal.holdings)
            && adds_up(&self.store, layout, said).await?
        {
            return Ok(None);
        }
        let index = match Index::up_to(&self.store, layout, (entry, digest), false).await {
            Ok(index) => index,
            // The log is damaged, and that is told.
            Err(error) if error.is_damage() => return Ok(None),
            Err(error) => return Err(error),
        };
        let (lost, all) = (absent(&self.store, layout, &index, LOOKED_AT).await?.len(), index.segments.len());
        let what = format!(
            "{lost} of {all} segments that its recovery points are made of are missing or have another size; `verify {}` names them",
            layout.set()
        );
        Ok((lost > 0).then(|| Problem::new(self.store.show(&layout.data()), what)))
    }

    /// Whether there is a set of this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_set(&self, name: &str) -> Result<bool, ArchiveError> {
        let layout = Layout::new(name);
        if self.store.size(&layout.set_document()).await?.is_some() {
            return Ok(true);
        }
        Ok(!self.store.folders(&layout.log()).await?.is_empty())
    }

    /// Whether what stands in a set's folder stands at the root of the store itself.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_a_set_itself(&self) -> Result<bool, ArchiveError> {
        // A folder without a name is the root.
        self.has_set("").await
    }

    /// Whether a set has a recovery point with this stamp.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_point(&self, layout: &Layout, stamp: &str) -> Result<bool, ArchiveError> {
        match self.seal(layout.set(), stamp).await {
            Ok(found) => Ok(found.is_some()),
            Err(ArchiveError::Removed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The seal of a set's recovery point with this stamp: by the hint when it is there and right, else by what the log
    /// says of its seals.
    ///
    /// # Errors
    /// When the store fails, retention removed the point, or the hint is all that is left of it.
    pub async fn seal(&self, set: &str, stamp: &str) -> Result<Option<Entry>, ArchiveError> {
        let layout = Layout::new(set);
        let chain = Chain::new(self.store.clone(), layout.clone());
        let hinted = self.hinted(&chain, &layout, stamp).await;
        if let Ok(Some(entry)) = hinted {
            if let Some(pruned) =
                Box::pin(Pruned::now(&chain, &entry)).await?.filter(|pruned| pruned.hides_point(entry.n))
            {
                return Err(ArchiveError::Removed { point: format!("{set}-{stamp}"), entry: pruned.entry });
            }
            return Ok(Some(entry));
        }
        let newest = newest_seal(&chain).await?;
        let (points, _) = seals_since(&self.store, &layout, &newest, stamp).await?;
        if let Some(point) = points.iter().find(|point| point.stamp == stamp) {
            return Ok(Some(chain.entry(point.entry).await?.0));
        }
        hinted
    }

    /// The newest recovery point of a set in which the source had this topic: for whoever asks for one that was deleted.
    ///
    /// # Errors
    /// When the store fails or a seal is damaged.
    pub async fn last_point_with(&self, set: &str, topic: uuid::Uuid) -> Result<Option<SealedPoint>, ArchiveError> {
        let layout = Layout::new(set);
        let chain = Chain::new(self.store.clone(), layout.clone());
        let (points, _) = seals(&self.store, &layout, &newest_seal(&chain).await?).await?;
        let look = |point: SealedPoint| {
            let chain = chain.clone();
            async move {
                let (entry, _) = chain.entry(point.entry).await?;
                let live = entry.seal.iter().flat_map(|seal| &seal.topics).any(|found| found.live && found.id == topic);
                Ok::<_, ArchiveError>(live.then_some(point))
            }
        };
        let mut looked = futures::stream::iter(points.into_iter().rev()).map(look).buffered(AT_ONCE);
        while let Some(found) = looked.try_next().await? {
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The seal that a hint names. A hint that is damaged, or names the seal of another point, is as good as none; one
    /// whose entry is gone is not.
    async fn hinted(&self, chain: &Chain, layout: &Layout, stamp: &str) -> Result<Option<Entry>, ArchiveError> {
        let Some(bytes) = self.store.get(&layout.point(stamp)).await? else { return Ok(None) };
        let Ok(hint) = decode_small::<Hint>(stamp, &bytes) else { return Ok(None) };
        let (entry, digest) = chain.entry(hint.entry).await?;
        Ok((digest == hint.digest && entry.seal.is_some() && entry.point == stamp).then_some(entry))
    }

    /// The newest unfinished full set of `name` whose run has this specification, and its newest entry. Only the
    /// newest few sets are looked at, and none behind one with a recovery point: an older run was given up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unfinished(&self, name: &str, spec: &crate::Digest) -> Result<Option<(String, Entry)>, ArchiveError> {
        for set in self.stamped_folders(name).await?.into_iter().rev().take(UNFINISHED_DEPTH) {
            let chain = Chain::new(self.store.clone(), Layout::new(&set));
            let Some(newest) = chain.newest().await? else { continue };
            let (entry, _) = chain.entry(newest).await?;
            if entry.seal.is_some() || entry.kind == EntryKind::Prune {
                // A newer point is there already: nobody waits for what an older run began.
                return Ok(None);
            }
            if entry.spec == *spec {
                return Ok(Some((set, entry)));
            }
        }
        Ok(None)
    }

    /// Folders `<name>-YYYYMMDD-HHMMSS`, oldest first: full sets of this name.
    async fn stamped_folders(&self, name: &str) -> Result<Vec<String>, ArchiveError> {
        let is_ours = |set: &String| contract::stamp::split_point(set).is_some_and(|(base, _)| base == name);
        Ok(self.store.folders(&Path::default()).await?.into_iter().filter(is_ours).collect())
    }

    fn missing(&self, what: &'static str, name: &str) -> ArchiveError {
        ArchiveError::Missing { what, name: name.to_owned(), place: self.store.place().to_owned() }
    }
}
