//! Committed offsets of consumer groups that were saved before a run changed them: documents that are created, never changed,
//! and deleted when they are older than was asked for. Nothing here knows what they say.

use bytes::Bytes;
use object_store::path::Path;

use crate::ArchiveError;
use crate::layout::saved_offsets_folder;
use crate::settle;
use crate::store::Store;

/// The saved offsets of the groups of one cluster.
#[derive(Debug, Clone)]
pub struct SavedOffsets {
    store: Store,
    folder: String,
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

    /// Names of all, in their order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ids(&self) -> Result<Vec<String>, ArchiveError> {
        let names = self.store.objects(&Path::from(self.folder.as_str())).await?;
        let mut ids: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
        ids.sort();
        Ok(ids)
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
        assert_eq!(one.ids().await.unwrap(), ["before-0", "before-1"]);
        one.delete("before-1").await.unwrap();
        assert_eq!((one.ids().await.unwrap(), two.ids().await.unwrap().len()), (vec!["before-0".to_owned()], 0));
    }
}
