//! The state of a restore: numbered documents, created and never changed, the newest counts.
//!
//! Two attempts of one restore meet here: the slower one finds its number taken and stops.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::entry::{FORMAT, decode_document, encode_document};
use crate::layout::restore_folder;
use crate::store::{Created, Store};
use crate::{ArchiveError, Digest};

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    n: u64,
    /// Random text of the attempt that wrote it.
    nonce: String,
    previous: Option<Digest>,
    content: serde_json::Value,
}

/// The state documents of one restore.
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
        let folder = restore_folder(cluster, identity);
        let mut journal = Self { store: store.clone(), folder, nonce, last: None };
        let names = store.objects(&Path::from(format!("{}/state", journal.folder))).await?;
        let mut number = names.iter().filter_map(|name| name.parse::<u64>().ok()).max().unwrap_or(0);
        let mut newest = None;
        while let Some(bytes) = store.get(&journal.key(number)).await? {
            newest = Some((number, bytes));
            number += 1;
        }
        let Some((number, bytes)) = newest else { return Ok((journal, None)) };
        let shown = store.show(&journal.key(number));
        let document: Document = decode_document(&shown, &bytes)?;
        journal.last = Some((number, Digest::of(&bytes)));
        let content = serde_json::from_value(document.content);
        Ok((journal, Some(content.map_err(|error| ArchiveError::damaged(shown, error))?)))
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
            content: serde_json::to_value(content).map_err(|error| ArchiveError::damaged(&self.folder, error))?,
        };
        let bytes = encode_document(&document)?;
        self.create(number, bytes.clone()).await?;
        self.last = Some((number, Digest::of(&bytes)));
        Ok(number)
    }

    async fn create(&self, number: u64, bytes: Bytes) -> Result<(), ArchiveError> {
        let key = self.key(number);
        let mut last = None;
        for _ in 0..4 {
            match self.store.create(&key, bytes.clone()).await {
                Created::Done => return Ok(()),
                Created::Exists => {}
                Created::Unknown(error) => last = Some(error),
            }
            match self.store.get(&key).await? {
                Some(found) if found == bytes => return Ok(()),
                Some(_) => {
                    let by = "another attempt of this restore".to_owned();
                    return Err(ArchiveError::Fenced { set: self.folder.clone(), entry: number, by });
                }
                None => {}
            }
        }
        Err(last.unwrap_or_else(|| ArchiveError::damaged(self.store.show(&key), "it was created and is not there")))
    }
}
