//! The names that a log gives to what it is made of: an object that has none of them is not deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt};

use super::sweep::Doomed;
use crate::holdings::of_key;
use crate::{ArchiveError, Chain, EntryKind, Layout, Store};

/// Entries that are read at once.
const AT_ONCE: usize = 16;
/// A key without the prefix of the store; `None` of one that the store lists and that does not lie there.
pub(super) fn own<'a>(store: &Store, layout: &Layout, key: &'a str) -> Option<&'a str> {
    let root = store.path(&layout.root());
    let cut = root.as_ref().len().checked_sub(layout.set().len())?;
    (key.starts_with(root.as_ref()) && key.as_bytes().get(root.as_ref().len()) == Some(&b'/'))
        .then(|| key.get(cut..))?
}

/// Nonces of claims, as their entries have them.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<u64, Option<String>>);

impl Claims {
    /// Takes those of these segments from the log, as far as they are not known. Segments are left whose claim has another
    /// nonce, or is no claim: the log gave them no name.
    pub(super) async fn named(
        &mut self,
        store: &Store,
        layout: &Layout,
        doomed: Vec<Doomed>,
    ) -> Result<Vec<Doomed>, ArchiveError> {
        let claims = doomed.iter().filter_map(|object| of_key(object.key.as_ref()).map(|(claim, ..)| claim));
        let open: BTreeSet<u64> = claims.filter(|claim| !self.0.contains_key(claim)).collect();
        let chain = Chain::new(store.clone(), layout.clone());
        let read = |number: u64| {
            let chain = chain.clone();
            async move {
                match chain.entry(number).await {
                    Ok((entry, _)) => Ok((number, (entry.kind == EntryKind::Claim).then_some(entry.nonce))),
                    Err(error) if error.is_damage() => Ok((number, None)),
                    Err(error) => Err(error),
                }
            }
        };
        let found: Vec<_> = futures::stream::iter(open).map(read).buffer_unordered(AT_ONCE).try_collect().await?;
        self.0.extend(found);
        Ok(doomed.into_iter().filter(|object| self.names(layout, object.key.as_ref())).collect())
    }

    fn names(&self, layout: &Layout, key: &str) -> bool {
        let named = of_key(key).and_then(|(claim, _, seq)| Some((claim, self.0.get(&claim)?.as_ref()?, seq)));
        named.is_some_and(|(claim, nonce, seq)| layout.segment(claim, nonce, seq).as_ref() == key)
    }
}

/// What the entries of a log name beside segments.
#[derive(Debug, Default)]
pub(super) struct LogNames {
    /// Nonces of its claims.
    pub(super) claims: BTreeMap<u64, String>,
    /// Stamps of its points.
    pub(super) stamps: BTreeSet<String>,
}

impl LogNames {
    /// Reads all entries up to `last`, those that are there.
    pub(super) async fn read(store: &Store, layout: &Layout, last: u64) -> Result<Self, ArchiveError> {
        let chain = Chain::new(store.clone(), layout.clone());
        let read = |number: u64| {
            let chain = chain.clone();
            async move {
                match chain.entry(number).await {
                    Ok((entry, _)) => Ok(Some(entry)),
                    // It may be deleted already, or cannot be read: then it gives no names.
                    Err(error) if error.is_damage() => Ok(None),
                    Err(error) => Err(error),
                }
            }
        };
        let mut out = Self::default();
        let mut entries = futures::stream::iter(0..=last).map(read).buffered(AT_ONCE);
        while let Some(entry) = entries.try_next().await? {
            let Some(entry) = entry else { continue };
            if entry.kind == EntryKind::Claim {
                out.claims.insert(entry.n, entry.nonce);
            }
            if entry.seal.is_some() {
                out.stamps.insert(entry.point);
            }
        }
        Ok(out)
    }
}
