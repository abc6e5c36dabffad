//! The state of a restore or of a run that changes committed offsets, its plan, and who has claimed a target: documents that
//! are created and never changed.
//!
//! State and claims are numbered, and the newest counts: of two who save the same number the slower one finds it taken
//! and stops. A plan is named by its digest, which the state holds. Nothing here knows what the documents say.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::chain::END;
use crate::entry::{FORMAT, decode_document, encode_document};
use crate::layout::{claim_folder, offset_run_folder, restore_folder};
use crate::long_document::LongDocument;
use crate::settle::{self, Settled};
use crate::store::Store;
use crate::{ArchiveError, Digest};

#[derive(Serialize, Deserialize)]
struct Document<T> {
    format: u32,
    n: u64,
    /// Random text of the attempt that wrote it.
    nonce: String,
    previous: Option<Digest>,
    content: T,
}

/// The numbered documents of one restore, or of one claim.
#[derive(Debug)]
pub struct RestoreJournal {
    store: Store,
    folder: String,
    nonce: String,
    last: Option<(u64, Digest)>,
}

impl RestoreJournal {
    /// Opens the state of a restore and reads the newest document.
    ///
    /// # Errors
    /// When the store fails or the document is damaged.
    pub async fn open<T: for<'de> Deserialize<'de>>(
        store: &Store,
        cluster: &str,
        identity: &str,
        nonce: String,
    ) -> Result<(Self, Option<T>), ArchiveError> {
        Self::open_folder(store, restore_folder(cluster, identity), nonce).await
    }

    /// Opens the claims of one thing of a cluster (a target topic, the name of a restore) and reads the newest.
    ///
    /// # Errors
    /// When the store fails or the document is damaged.
    pub async fn open_claim<T: for<'de> Deserialize<'de>>(
        store: &Store,
        cluster: &str,
        thing: &str,
        nonce: String,
    ) -> Result<(Self, Option<T>), ArchiveError> {
        Self::open_folder(store, claim_folder(cluster, &Digest::half_of(thing.as_bytes())), nonce).await
    }

    /// Opens the state of a run that changes committed offsets only, and reads the newest document.
    ///
    /// # Errors
    /// When the store fails or the document is damaged.
    pub async fn open_offset_run<T: for<'de> Deserialize<'de>>(
        store: &Store,
        cluster: &str,
        identity: &str,
        nonce: String,
    ) -> Result<(Self, Option<T>), ArchiveError> {
        Self::open_folder(store, offset_run_folder(cluster, identity), nonce).await
    }

    async fn open_folder<T: for<'de> Deserialize<'de>>(
        store: &Store,
        folder: String,
        nonce: String,
    ) -> Result<(Self, Option<T>), ArchiveError> {
        let mut journal = Self { store: store.clone(), folder, nonce, last: None };
        let names = store.objects(&Path::from(format!("{}/state", journal.folder))).await?;
        let mut number =
            names.iter().filter_map(|name| name.parse::<u64>().ok()).filter(|number| *number < END).max().unwrap_or(0);
        let mut newest = None;
        while let Some(bytes) = store.get(&journal.key(number)).await? {
            newest = Some((number, bytes));
            number += 1;
        }
        let Some((number, bytes)) = newest else { return Ok((journal, None)) };
        let shown = store.show(&journal.key(number));
        let document: Document<T> = decode_document(&shown, &bytes)?;
        journal.last = Some((number, Digest::of(&bytes)));
        Ok((journal, Some(document.content)))
    }

    fn key(&self, number: u64) -> Path {
        Path::from(format!("{}/state/{number:020}", self.folder))
    }

    /// Folder of this restore, for messages.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Saves the next document.
    ///
    /// # Errors
    /// [`ArchiveError::Fenced`] when another attempt saved meanwhile; the store's failures.
    pub async fn save<T: Serialize>(&mut self, content: &T) -> Result<u64, ArchiveError> {
        let number = self.last.as_ref().map_or(0, |(number, _)| number + 1);
        let document = Document {
            format: FORMAT,
            n: number,
            nonce: self.nonce.clone(),
            previous: self.last.as_ref().map(|(_, digest)| digest.clone()),
            content,
        };
        let bytes = encode_document(&document)?;
        let key = self.key(number);
        if settle::create(&self.store, &key, &bytes).await? != Settled::Ours {
            let by = "another attempt of this run, or `release`".to_owned();
            return Err(ArchiveError::Fenced { set: self.folder.clone(), entry: number, by });
        }
        self.last = Some((number, Digest::of(&bytes)));
        Ok(number)
    }

    /// Whether somebody saved a newer document than this journal knows.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_overtaken(&self) -> Result<bool, ArchiveError> {
        let next = self.last.as_ref().map_or(0, |(number, _)| number + 1);
        Ok(self.store.get(&self.key(next)).await?.is_some())
    }

    /// Saves a plan under its digest; one that is there already is the same. It can be read when this returns: what is
    /// saved next refers to it.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn save_plan(&self, plan: Vec<u8>) -> Result<Digest, ArchiveError> {
        let digest = Digest::of(&plan);
        settle::create_readable(&self.store, &self.plan_key(&digest), plan, "its digest does not match its name")
            .await?;
        Ok(digest)
    }

    /// The plan with this digest.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub async fn plan(&self, digest: &Digest) -> Result<bytes::Bytes, ArchiveError> {
        let key = self.plan_key(digest);
        let missing = || ArchiveError::damaged(self.store.show(&key), "the plan of the restore is missing");
        let bytes = self.store.get(&key).await?.ok_or_else(missing)?;
        if Digest::of(&bytes) == *digest {
            return Ok(bytes);
        }
        Err(ArchiveError::damaged(self.store.show(&key), "its digest does not match the state of the restore"))
    }

    /// An offset mapping of this restore, to be written; `of` tells it from others of the same restore.
    #[must_use]
    pub fn mapping(&self, of: &str) -> LongDocument {
        LongDocument::new(&self.store, Path::from(format!("{}/mappings/{of}/offset-mapping.json", self.folder)))
    }

    fn plan_key(&self, digest: &Digest) -> Path {
        Path::from(format!("{}/plan/{digest}", self.folder))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    async fn open(store: &Store, nonce: &str) -> (RestoreJournal, Option<u32>) {
        RestoreJournal::open(store, "c", "r", nonce.to_owned()).await.unwrap()
    }

    #[tokio::test]
    async fn of_two_who_save_the_same_number_one_is_overtaken() {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        let ((mut one, _), (mut two, _)) = (open(&store, "1").await, open(&store, "2").await);
        one.save(&1).await.unwrap();
        assert!(two.is_overtaken().await.unwrap() && !one.is_overtaken().await.unwrap());
        assert!(matches!(two.save(&2).await, Err(ArchiveError::Fenced { entry: 0, .. })));
        assert_eq!(open(&store, "3").await.1, Some(1));
    }

    #[tokio::test]
    async fn a_plan_is_what_its_digest_says() {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        let (journal, _) = open(&store, "1").await;
        let digest = journal.save_plan(b"one".to_vec()).await.unwrap();
        assert_eq!(journal.save_plan(b"one".to_vec()).await.unwrap(), digest);
        assert_eq!(journal.plan(&digest).await.unwrap().as_ref(), b"one");
        store.put(&journal.plan_key(&digest), bytes::Bytes::from_static(b"two").into()).await.unwrap();
        assert!(journal.plan(&digest).await.is_err() && journal.plan(&Digest::of(b"x")).await.is_err());
        assert!(journal.save_plan(b"one".to_vec()).await.is_err());
    }
}
