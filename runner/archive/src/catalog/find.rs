//! What a name means: a set (its newest point), a point of a set, the newest full set of a name, or, with no name at
//! all, the newest point of the store.

use contract::stamp::split_point;

use super::seals::{Newest, newest_seal};
use super::{Catalog, traces};
use crate::{ArchiveError, Chain, Layout, Store};

/// What a name means.
#[derive(Debug, Clone)]
pub struct Found {
    /// The set.
    pub layout: Layout,
    /// Number of the seal in its log.
    pub seal: u64,
    /// What whoever restores it must know.
    pub warnings: Vec<String>,
}

/// As [`find`], without the warnings.
///
/// # Errors
/// As [`find`].
pub async fn resolve(store: &Store, name: &str) -> Result<(Layout, u64), ArchiveError> {
    find(store, name).await.map(|found| (found.layout, found.seal))
}

/// Finds what a restore names. Of a set and the full sets of one name, the newest recovery point counts.
///
/// # Errors
/// When there is none, or entries after the newest one cannot be read: then the message names the point before them.
pub async fn find(store: &Store, name: &str) -> Result<Found, ArchiveError> {
    let catalog = Catalog::new(store.clone());
    if name.is_empty() {
        return newest_of_all(store, &catalog).await;
    }
    let is_set = catalog.has_set(name).await?;
    if !is_set
        && let Some((set, stamp)) = split_point(name)
        && catalog.has_set(set).await?
    {
        let seal = catalog.seal(set, stamp).await?.ok_or_else(|| catalog.missing("recovery point", name))?;
        return Ok(Found { layout: Layout::new(set), seal: seal.n, warnings: Vec::new() });
    }
    let of_set = if is_set { newest_of(store, name).await? } else { None };
    // Full sets carry the stamp of their point: only those that are newer can count.
    let mut warnings = Vec::new();
    for full in catalog.stamped_folders(name).await?.into_iter().rev() {
        let stamp = split_point(&full).map_or("", |(_, stamp)| stamp);
        if of_set.as_ref().is_some_and(|newest| newest.stamp.as_str() >= stamp) {
            break;
        }
        let Some(NewestPoint { owner, mut found, .. }) = newest_of(store, &full).await? else { continue };
        // A backup whose own name ends as points do would stand for a point of this one.
        if owner != name {
            warnings.push(format!("{full} is a set of backup {owner:?}: it is no full backup of {name}"));
            continue;
        }
        if let Some(NewestPoint { stamp, .. }) = &of_set {
            warnings.push(format!(
                "{name} is a set and the name of full backups: the full backup {full} is the newest; the set's newest \
                 point is {name}-{stamp}"
            ));
        }
        found.warnings.extend(warnings);
        return Ok(found);
    }
    match of_set {
        Some(NewestPoint { mut found, .. }) => {
            found.warnings.extend(warnings);
            Ok(found)
        }
        None if is_set => match removed(store, name).await? {
            Some(error) => Err(error),
            None => Err(catalog.missing("recovery point", name)),
        },
        None => Err(catalog.missing("backup set or recovery point", name)),
    }
}

async fn newest_of_all(store: &Store, catalog: &Catalog) -> Result<Found, ArchiveError> {
    let mut newest: Option<NewestPoint> = None;
    for set in catalog.sets().await? {
        let Some(point) = newest_of(store, &set).await? else { continue };
        if newest.as_ref().is_none_or(|other| other.stamp < point.stamp) {
            newest = Some(point);
        }
    }
    newest.map(|newest| newest.found).ok_or_else(|| catalog.missing("recovery point", ""))
}

/// The newest point of a set.
struct NewestPoint {
    stamp: String,
    /// Name of the resource that owns the set.
    owner: String,
    found: Found,
}

async fn newest_of(store: &Store, set: &str) -> Result<Option<NewestPoint>, ArchiveError> {
    let layout = Layout::new(set);
    let newest = newest_seal(&Chain::new(store.clone(), layout.clone())).await?;
    if let Some(error) = lost_behind(set, &newest) {
        return Err(error);
    }
    if newest.gone.is_some() {
        return Ok(None);
    }
    let left = traces(store, &layout, &newest).await?;
    let Some((entry, _)) = newest.seal else { return Ok(None) };
    let warn = |problem: &crate::Problem| {
        format!("a newer recovery point than {set}, entry {}, may be missing: {problem}", entry.n)
    };
    let warnings = left.evidence.iter().map(warn).collect();
    let Some(seal) = entry.seal else { return Ok(None) };
    Ok(Some(NewestPoint {
        stamp: entry.point,
        owner: seal.owner.name,
        found: Found { layout, seal: entry.n, warnings },
    }))
}

/// That retention removed every point of a set, where it did.
async fn removed(store: &Store, set: &str) -> Result<Option<ArchiveError>, ArchiveError> {
    let newest = newest_seal(&Chain::new(store.clone(), Layout::new(set))).await?;
    let point = newest.removed.and_then(|(entry, _)| entry.seal).map_or_else(|| set.to_owned(), |seal| seal.point);
    Ok(newest.gone.map(|entry| ArchiveError::Removed { point, entry: entry.n }))
}

/// Entries behind the newest readable seal are damaged: the name alone must not mean an older point without a word.
fn lost_behind(set: &str, newest: &Newest) -> Option<ArchiveError> {
    let problem = newest.problems.first()?;
    let point = newest.seal.as_ref().and_then(|(entry, _)| Some(entry.seal.as_ref()?.point.clone()));
    let before = match point {
        Some(point) => format!("The newest recovery point before it is {point}: name it to use it"),
        None => format!("Set {set} has no recovery point before it"),
    };
    let reason = format!(
        "{}. {before}. To go on with the set, bring the object back from an older version or a copy of the store",
        problem.what
    );
    Some(ArchiveError::damaged(&problem.key, reason))
}
