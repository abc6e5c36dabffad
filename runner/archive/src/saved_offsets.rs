//! Committed offsets of consumer groups that were saved before a run changed them: documents that are created, never changed,
//! and deleted when they are over. Until when each is kept says the name of an empty object beside it, its mark: nobody has to
//! open them. Nothing here knows what they say.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_store::path::Path;

use crate::ArchiveError;
use crate::layout::saved_offsets_folder;
use crate::settle;
use crate::store::Store;

/// Between the name of saved offsets and the stamp of a mark.
const MARK: &str = ".until-";

/// The saved offsets of the groups of one cluster.
#[derive(Debug, Clone)]
pub struct SavedOffsets {
    store: Store,
    folder: String,
}

/// What stands under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedName {
    /// Whether the offsets themselves are there.
    pub is_there: bool,
    /// Their marks: stamps.
    pub marks: BTreeSet<String>,
}

impl SavedOffsets {
    /// Those of a cluster in a store.
    #[must_use]
    pub fn new(store: &Store, cluster: &str) -> Self {
        Self { store: store.clone(), folder: saved_offsets_folder(cluster) }
    }

    fn key(&self, id: &str) -> Path {
        Path::from(format!("{}/{id}.json", self.folder))
    }

    /// Saves offsets under a name that nothing had before; they can be read when this returns. Returns where, for people.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn save(&self, id: &str, offsets: Vec<u8>) -> Result<String, ArchiveError> {
        settle::create_readable(&self.store, &self.key(id), offsets, "another object has this name").await?;
        Ok(self.place(id))
    }

    /// The offsets with this (checked) name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(&self, id: &str) -> Result<Option<Bytes>, ArchiveError> {
        self.store.get(&self.key(id)).await
    }

    /// Where the offsets with this name are, for people.
    #[must_use]
    pub fn place(&self, id: &str) -> String {
        self.store.show(&self.key(id))
    }

    /// What is there, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names(&self) -> Result<BTreeMap<String, SavedName>, ArchiveError> {
        let mut out: BTreeMap<String, SavedName> = BTreeMap::new();
        for object in self.store.objects(&Path::from(self.folder.as_str())).await? {
            if let Some((id, stamp)) = object.rsplit_once(MARK) {
                out.entry(id.to_owned()).or_default().marks.insert(stamp.to_owned());
            } else if let Some(id) = object.strip_suffix(".json") {
                out.entry(id.to_owned()).or_default().is_there = true;
            }
        }
        Ok(out)
    }

    fn mark_key(&self, id: &str, stamp: &str) -> Path {
        Path::from(format!("{}/{id}{MARK}{stamp}", self.folder))
    }

    /// Marks the offsets with this (checked) name. Marking twice is marking once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mark(&self, id: &str, stamp: &str) -> Result<(), ArchiveError> {
        // Some stores take no empty objects.
        self.store.put(&self.mark_key(id, stamp), Bytes::from_static(b"{}").into()).await
    }

    /// Takes a mark away.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unmark(&self, id: &str, stamp: &str) -> Result<(), ArchiveError> {
        self.store.delete(self.mark_key(id, stamp).as_ref()).await
    }

    /// Deletes the offsets with this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, id: &str) -> Result<(), ArchiveError> {
        self.store.delete(self.key(id).as_ref()).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_is_saved_is_found_by_its_name_in_its_cluster() {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        let (one, two) = (SavedOffsets::new(&store, "one"), SavedOffsets::new(&store, "two"));
        let place = one.save("before-1", b"{}".to_vec()).await.unwrap();
        assert!(place.contains("before-1"), "{place}");
        assert!(one.save("before-1", b"[]".to_vec()).await.is_err(), "nothing is replaced");
        assert_eq!(one.read("before-1").await.unwrap().as_deref(), Some(&b"{}"[..]));
        assert_eq!(two.read("before-1").await.unwrap(), None);
        one.save("before-0", b"{}".to_vec()).await.unwrap();
        one.mark("before-1", "20261130-000000").await.unwrap();
        one.mark("before-1", "20261130-000000").await.unwrap();
        one.delete("before-1").await.unwrap();
        let found = one.names().await.unwrap();
        assert_eq!(found["before-0"], SavedName { is_there: true, marks: BTreeSet::new() });
        assert_eq!(found["before-1"], SavedName { is_there: false, marks: ["20261130-000000".to_owned()].into() });
        one.unmark("before-1", "20261130-000000").await.unwrap();
        assert_eq!((one.names().await.unwrap().len(), two.names().await.unwrap().len()), (1, 0));
    }
}
