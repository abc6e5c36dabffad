//! Evidence that validations leave behind: a few files in a folder for each result, created and never changed, and deleted when
//! their time is over. Nothing here knows what they say.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::path::Path;

use crate::ArchiveError;
use crate::layout::evidence_folder;
use crate::settle;
use crate::store::Store;

/// The evidence of one validation: that of a name and namespace, exactly.
#[derive(Debug, Clone)]
pub struct KeptEvidence {
    store: Store,
    folder: String,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Its name.
    pub name: String,
    /// When it was written, by the store's clock; `None` where the store does not tell.
    pub at: Option<Timestamp>,
}

impl KeptEvidence {
    /// That of a (checked) name in a (checked) namespace, which is empty outside Kubernetes.
    #[must_use]
    pub fn new(store: &Store, namespace: &str, name: &str) -> Self {
        Self { store: store.clone(), folder: evidence_folder(namespace, name) }
    }

    fn key(&self, id: &str, file: &str) -> Path {
        Path::from(format!("{}/{id}/{file}", self.folder))
    }

    /// Creates a file that nothing had before; it can be read when this returns. Returns where, for people.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn create(&self, id: &str, file: &str, content: Vec<u8>) -> Result<String, ArchiveError> {
        let key = self.key(id, file);
        settle::create_readable(&self.store, &key, content, "another object has this name").await?;
        Ok(self.store.show(&key))
    }

    /// The files of each result, by its id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<BTreeMap<String, Vec<KeptFile>>, ArchiveError> {
        let folder = Path::from(self.folder.as_str());
        let begin = BTreeMap::<String, Vec<KeptFile>>::new;
        self.store
            .fold_listed(&folder, begin, |all, listed| {
                let mut parts = listed.key.rsplitn(3, '/');
                let (Some(name), Some(id), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return };
                if rest == self.folder || rest.ends_with(&format!("/{}", self.folder)) {
                    let file = KeptFile { name: name.to_owned(), at: listed.at };
                    all.entry(id.to_owned()).or_default().push(file);
                }
            })
            .await
    }

    /// A file, unless it is larger than `most` bytes; `None` where there is none.
    ///
    /// # Errors
    /// When the store fails, and a larger file.
    pub async fn read(&self, id: &str, file: &str, most: u64) -> Result<Option<Bytes>, ArchiveError> {
        self.store.at(self.key(id, file).as_ref(), most).await
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, id: &str, file: &str) -> Result<(), ArchiveError> {
        self.store.delete(self.key(id, file).as_ref()).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn each_name_has_its_own() {
        let store = Store::new(Arc::new(InMemory::new()), "some/prefix", "memory");
        let [one, longer, elsewhere, outside] =
            [("shop", "weekly"), ("shop", "weekly-eu"), ("shop-eu", "weekly"), ("", "weekly")]
                .map(|(namespace, name)| KeptEvidence::new(&store, namespace, name));
        let place = one.create("a", "evidence.json", b"{}".to_vec()).await.unwrap();
        assert_eq!(place, "memory/_evidence/shop/weekly/a/evidence.json");
        assert!(one.create("a", "evidence.json", b"[]".to_vec()).await.is_err(), "nothing is replaced");
        one.create("a", "evidence.pdf", b"%PDF".to_vec()).await.unwrap();
        longer.create("b", "evidence.json", b"{}".to_vec()).await.unwrap();
        outside.create("c", "evidence.json", b"{}".to_vec()).await.unwrap();
        let found = one.list().await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a"]);
        assert!(found["a"].iter().all(|file| file.at.is_some()));
        assert_eq!(longer.list().await.unwrap().keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(outside.list().await.unwrap().keys().collect::<Vec<_>>(), ["c"]);
        assert!(elsewhere.list().await.unwrap().is_empty());
        assert_eq!(one.read("a", "evidence.json", 10).await.unwrap().as_deref(), Some(&b"{}"[..]));
        assert!(one.read("a", "evidence.pdf", 3).await.is_err(), "it is larger");
        one.delete("a", "evidence.json").await.unwrap();
        assert_eq!(one.read("a", "evidence.json", 10).await.unwrap(), None);
        assert_eq!(one.list().await.unwrap()["a"].len(), 1);
    }
}
