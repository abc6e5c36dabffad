//! What a store holds: sets, recovery points, unfinished runs.

use object_store::path::Path;
use serde::Serialize;

use crate::documents::SetDocument;
use crate::entry::decode_document;
use crate::writer::Hint;
use crate::{ArchiveError, Chain, Entry, Layout, Store};

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

    /// Names of all sets, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sets(&self) -> Result<Vec<String>, ArchiveError> {
        let folders = self.store.folders(&Path::default()).await?;
        let mut out = Vec::new();
        for name in folders.into_iter().filter(|name| contract::names::check_name(name).is_ok()) {
            if self.has_set(&name).await? {
                out.push(name);
            }
        }
        Ok(out)
    }

    /// One set.
    ///
    /// # Errors
    /// When it does not exist or its documents are damaged.
    pub async fn set(&self, name: &str) -> Result<SetSummary, ArchiveError> {
        let layout = Layout::new(name);
        let key = layout.set_document();
        let bytes = self.store.get(&key).await?.ok_or_else(|| self.missing("backup set", name))?;
        let document: SetDocument = decode_document(&self.store.show(&key), &bytes)?;
        let chain = Chain::new(self.store.clone(), layout.clone());
        let unfinished = match chain.newest().await? {
            None => true,
            Some(newest) => chain.entry(newest).await?.0.seal.is_none(),
        };
        Ok(SetSummary {
            name: name.to_owned(),
            namespace: document.owner.namespace,
            resource: document.owner.name,
            cluster_id: document.owner.cluster_id,
            incremental: document.incremental,
            points: self.store.objects(&layout.points()).await?,
            unfinished,
        })
    }

    /// Whether there is a set of this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_set(&self, name: &str) -> Result<bool, ArchiveError> {
        Ok(self.store.size(&Layout::new(name).set_document()).await?.is_some())
    }

    /// Whether a set has a recovery point with this stamp.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_point(&self, layout: &Layout, stamp: &str) -> Result<bool, ArchiveError> {
        Ok(self.seal(layout.set(), stamp).await?.is_some())
    }

    /// The seal of a set's recovery point with this stamp: by the hint when it is there and right, else by walking from
    /// seal to seal.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn seal(&self, set: &str, stamp: &str) -> Result<Option<Entry>, ArchiveError> {
        let layout = Layout::new(set);
        let chain = Chain::new(self.store.clone(), layout.clone());
        if let Some(bytes) = self.store.get(&layout.point(stamp)).await?
            && let Ok(hint) = decode_document::<Hint>(stamp, &bytes)
            && let Ok((entry, digest)) = chain.entry(hint.entry).await
            && digest == hint.digest
            && entry.seal.is_some()
        {
            return Ok(Some(entry));
        }
        let mut next = newest_seal(&self.store, set).await?.map(|(_, seal)| seal);
        while let Some(number) = next {
            let (entry, _) = chain.entry(number).await?;
            if entry.point == stamp {
                return Ok(Some(entry));
            }
            next = entry.last_seal;
        }
        Ok(None)
    }

    /// The newest unfinished full set of `name` whose run has this specification, and its newest entry. Only the
    /// newest few sets are looked at: an older run was given up.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unfinished(&self, name: &str, spec: &crate::Digest) -> Result<Option<(String, Entry)>, ArchiveError> {
        for set in self.stamped_folders(name).await?.into_iter().rev().take(UNFINISHED_DEPTH) {
            let chain = Chain::new(self.store.clone(), Layout::new(&set));
            let Some(newest) = chain.newest().await? else { continue };
            let (entry, _) = chain.entry(newest).await?;
            if entry.seal.is_none() && entry.spec == *spec {
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

/// Finds what a restore names: a set (its newest point), a point of a set, the newest full set of a name, or, with no name
/// at all, the newest point of the store.
///
/// # Errors
/// When there is none.
pub async fn resolve(store: &Store, name: &str) -> Result<(Layout, u64), ArchiveError> {
    let catalog = Catalog::new(store.clone());
    if name.is_empty() {
        return newest_of_all(store, &catalog).await;
    }
    if catalog.has_set(name).await? {
        return newest_seal(store, name).await?.ok_or_else(|| catalog.missing("recovery point", name));
    }
    if let Some((set, stamp)) = contract::stamp::split_point(name)
        && catalog.has_set(set).await?
    {
        let seal = catalog.seal(set, stamp).await?.ok_or_else(|| catalog.missing("recovery point", name))?;
        return Ok((Layout::new(set), seal.n));
    }
    for set in catalog.stamped_folders(name).await?.into_iter().rev() {
        if let Some(found) = newest_seal(store, &set).await? {
            return Ok(found);
        }
    }
    Err(catalog.missing("backup set or recovery point", name))
}

async fn newest_of_all(store: &Store, catalog: &Catalog) -> Result<(Layout, u64), ArchiveError> {
    let mut newest: Option<(String, (Layout, u64))> = None;
    for set in catalog.sets().await? {
        let Some((layout, seal)) = newest_seal(store, &set).await? else { continue };
        let (entry, _) = Chain::new(store.clone(), layout.clone()).entry(seal).await?;
        if newest.as_ref().is_none_or(|(stamp, _)| *stamp < entry.point) {
            newest = Some((entry.point, (layout, seal)));
        }
    }
    newest.map(|(_, found)| found).ok_or_else(|| catalog.missing("recovery point", ""))
}

async fn newest_seal(store: &Store, set: &str) -> Result<Option<(Layout, u64)>, ArchiveError> {
    let layout = Layout::new(set);
    let chain = Chain::new(store.clone(), layout.clone());
    let Some(newest) = chain.newest().await? else { return Ok(None) };
    let (entry, _) = chain.entry(newest).await?;
    let seal = if entry.seal.is_some() { Some(newest) } else { entry.last_seal };
    Ok(seal.map(|seal| (layout, seal)))
}
