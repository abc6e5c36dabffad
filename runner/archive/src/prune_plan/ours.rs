//! Whose sets they are: those of exactly one resource and one source cluster, as the log of each says now. A name that only
//! begins alike, a set of another owner, and a set that cannot be read, are left alone and told.

use std::collections::BTreeSet;

use contract::stamp::split_point;
use contract::{Code, SetOwner};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::{Left, LeftSet};
use crate::catalog::{SetCheck, name_finding, newest_seal, set_document};
use crate::{ArchiveError, Chain, Digest, Entry, Layout, Owner, SealedPoint, Store};

/// Sets that are looked at at once.
const AT_ONCE: usize = 16;
/// Entries that are read at once.
const BLOCK: u64 = 64;

/// A set that can be read.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) layout: Layout,
    /// Who owns it now.
    pub(super) owner: Owner,
    /// Its newest point.
    pub(super) sealed: Option<SealedPoint>,
    /// Number of its newest entry; none where its log is empty.
    pub(super) end: Option<u64>,
    /// The entry that took all of it away: what is left goes.
    pub(super) gone: Option<u64>,
    /// Whether it is a full backup, a set of its own.
    pub(super) is_whole: bool,
}

impl Known {
    /// What is wrong when a set of our own is not of the kind that its name says: a full backup has the name of its point.
    fn misfit(&self) -> Option<String> {
        let (set, point) = (self.layout.set(), &self.sealed.as_ref()?.point);
        let is_other = (point == set) != self.is_whole;
        is_other.then(|| format!("the folder {set:?} holds recovery point {point:?}, which is of another kind of set"))
    }
}

/// The sets that were looked at.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Those of the owner that is asked about.
    pub(super) ours: Vec<Known>,
    pub(super) left: Vec<LeftSet>,
    /// Who that owner is, as his sets say; `None` where there are none.
    pub(super) owner: Option<Owner>,
}

/// Looks at every set that may be one of `expected`.
pub(super) async fn look(store: &Store, expected: &SetOwner) -> Result<Looked, ArchiveError> {
    let may_be =
        |set: &String| *set == expected.name || split_point(set).is_some_and(|(base, _)| base == expected.name);
    let folders: Vec<String> = store.folders(&Path::default()).await?.into_iter().filter(may_be).collect();
    if folders.is_empty() {
        let (name, place) = (expected.name.clone(), store.place().to_owned());
        return Err(ArchiveError::Missing { what: "backup set", name, place });
    }
    let look = |set: String| {
        let store = store.clone();
        let is_whole = set != expected.name;
        async move { look_at(&store, set, is_whole).await }
    };
    let found: Vec<_> = futures::stream::iter(folders).map(look).buffered(AT_ONCE).try_collect().await?;
    let (mut known, mut out) = (Vec::new(), Looked::default());
    for one in found {
        match one {
            Ok(set) => known.push(set),
            Err(left) => out.left.push(left),
        }
    }
    out.owner = only_owner(expected, known.iter().map(|set| &set.owner))?;
    for set in known {
        let why = if out.owner.as_ref() == Some(&set.owner) {
            let gone = set.gone.map(|entry| Left::Removed { entry });
            gone.or_else(|| set.misfit().map(|what| Left::Unread { what }))
        } else {
            Some(Left::OtherOwner { owner: set.owner.clone() })
        };
        match why {
            Some(why) => out.left.push(LeftSet { set: set.layout.set().to_owned(), why }),
            None => out.ours.push(set),
        }
    }
    out.left.sort_by(|a, b| a.set.cmp(&b.set));
    Ok(out)
}

/// The one owner that fits, among those of all sets. What is not said of it must be clear.
fn only_owner<'a>(expected: &SetOwner, owners: impl Iterator<Item = &'a Owner>) -> Result<Option<Owner>, ArchiveError> {
    let fitting: BTreeSet<(&str, &str)> = owners
        .filter(|owner| belongs(expected, owner))
        .map(|owner| (owner.namespace.as_str(), owner.cluster_id.as_str()))
        .collect();
    let owner = |(namespace, cluster): &(&str, &str)| Owner {
        namespace: (*namespace).to_owned(),
        name: expected.name.clone(),
        cluster_id: (*cluster).to_owned(),
    };
    let mut all: Vec<Owner> = fitting.iter().map(owner).collect();
    if all.len() > 1 {
        let all: Vec<String> = all.iter().map(Owner::to_string).collect();
        let reason = format!(
            "{expected} is more than one owner of sets: {}. Say which one is meant, by its namespace and the id of its \
             source cluster",
            all.join("; ")
        );
        return Err(ArchiveError::Config { reason, code: Code::OwnerUnclear });
    }
    Ok(all.pop())
}

/// Whether an owner is the one that is asked about, as far as it is said.
fn belongs(expected: &SetOwner, owner: &Owner) -> bool {
    owner.name == expected.name
        && expected.namespace.as_ref().is_none_or(|namespace| *namespace == owner.namespace)
        && expected.cluster_id.as_ref().is_none_or(|cluster| *cluster == owner.cluster_id)
}

/// What a set is, or why it is left alone. A store that fails is a failure; a set that is damaged is not.
async fn look_at(store: &Store, set: String, is_whole: bool) -> Result<Result<Known, LeftSet>, ArchiveError> {
    match read(store, &set, is_whole).await {
        Ok(Ok(known)) => Ok(Ok(known)),
        Ok(Err(why)) => Ok(Err(LeftSet { set, why })),
        Err(error) => Ok(Err(LeftSet { set, why: Left::of(error)? })),
    }
}

async fn read(store: &Store, set: &str, is_whole: bool) -> Result<Result<Known, Left>, ArchiveError> {
    let layout = Layout::new(set);
    let chain = Chain::new(store.clone(), layout.clone());
    let newest = newest_seal(&chain).await?;
    let unread = |what: String| Ok(Err(Left::Unread { what }));
    if let Some(entry) = newest.gone {
        // Everything else may be deleted by now.
        let sealed = newest.removed.and_then(|(seal, _)| seal.seal).map(|seal| seal.owner);
        let Some(owner) = entry.owner.or(sealed) else {
            return unread(format!("entry {} takes it away and does not say whose it was", entry.n));
        };
        return Ok(Ok(Known { layout, owner, sealed: None, end: newest.end, gone: Some(entry.n), is_whole }));
    }
    if let Some(problem) = newest.problems.first() {
        return unread(problem.to_string());
    }
    let mut owner = match set_document(store, &layout).await? {
        SetCheck::Sound(document) => document.owner,
        SetCheck::Damaged(problem) | SetCheck::Other(_, problem) => return unread(problem.to_string()),
    };
    if let Some((entry, _)) = &newest.seal {
        if let Some(finding) = name_finding(set, entry) {
            return unread(finding);
        }
        let Some(seal) = &entry.seal else { return unread(format!("entry {} is no seal", entry.n)) };
        owner = seal.owner.clone();
    }
    if let Some(adopted) = adopted_behind(&chain, newest.seal.as_ref(), newest.end).await? {
        owner = adopted;
    }
    let sealed = newest.seal.and_then(|(entry, digest)| SealedPoint::of(&entry, &digest));
    Ok(Ok(Known { layout, owner, sealed, end: newest.end, gone: None, is_whole }))
}

/// Who took the set over behind its newest seal: from that entry on it is his, though no seal says so yet.
async fn adopted_behind(
    chain: &Chain,
    seal: Option<&(Entry, Digest)>,
    end: Option<u64>,
) -> Result<Option<Owner>, ArchiveError> {
    let Some(end) = end else { return Ok(None) };
    let mut link = seal.map(|(_, digest)| digest.clone());
    let mut from = seal.map_or(0, |(entry, _)| entry.n + 1);
    let mut owner = None;
    while from <= end {
        let entries = chain.read_after(from, end.min(from + BLOCK - 1), link.as_ref()).await?;
        for (entry, digest) in entries {
            owner = entry.owner.or(owner);
            (from, link) = (entry.n + 1, Some(digest));
        }
    }
    Ok(owner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn owner(namespace: &str, name: &str, cluster: &str) -> Owner {
        Owner { namespace: namespace.into(), name: name.into(), cluster_id: cluster.into() }
    }

    fn expect(namespace: Option<&str>, cluster: Option<&str>) -> SetOwner {
        let text = |text: &str| text.to_owned();
        SetOwner { name: "orders".into(), namespace: namespace.map(text), cluster_id: cluster.map(text) }
    }

    #[test]
    fn an_owner_is_exactly_one_resource_and_cluster() {
        let all = [
            owner("shop", "orders", "A"),
            owner("shop", "orders", "A"),
            owner("shop", "orders-eu", "A"),
            owner("shop", "order", "A"),
            owner("shop-2", "orders", "A"),
            owner("shop", "orders", "B"),
        ];
        let only = |expected: &SetOwner| only_owner(expected, all.iter());
        assert_eq!(only(&expect(Some("shop"), Some("A"))).unwrap(), Some(owner("shop", "orders", "A")));
        assert_eq!(only(&expect(Some("shop-2"), None)).unwrap(), Some(owner("shop-2", "orders", "A")));
        assert_eq!(only(&expect(Some("sho"), None)).unwrap(), None);
        assert_eq!(only(&expect(Some("shop"), Some("C"))).unwrap(), None);
        for unclear in [expect(Some("shop"), None), expect(None, Some("A")), expect(None, None)] {
            let error = only(&unclear).unwrap_err();
            assert_eq!(error.code(), Code::OwnerUnclear);
            let text = error.to_string();
            assert!(
                text.contains("\"orders\" in namespace \"shop\" on cluster A") && !text.contains("orders-eu"),
                "{text}"
            );
        }
    }
}
