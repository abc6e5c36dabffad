//! A document that is written piece by piece and never held whole: what does not fill a part yet waits, full parts go out.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt};

use crate::{ArchiveError, Store};

/// Bytes of a part; every part but the last has exactly this size.
const PART: usize = 8 << 20;

/// A document that is being written. It can be read once [`LongDocument::finish`] returned.
#[derive(Debug)]
pub struct LongDocument {
    store: Store,
    key: Path,
    waiting: Vec<u8>,
    size: u64,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl LongDocument {
    pub(crate) fn new(store: &Store, key: Path) -> Self {
        Self { store: store.clone(), key, waiting: Vec::new(), size: 0, upload: None }
    }

    /// Adds text.
    ///
    /// # Errors
    /// The store's failures; the parts that are there are removed then.
    pub async fn push(&mut self, text: &str) -> Result<(), ArchiveError> {
        self.size += text.len() as u64;
        self.waiting.extend_from_slice(text.as_bytes());
        while self.waiting.len() >= PART {
            let rest = self.waiting.split_off(PART);
            let part = std::mem::replace(&mut self.waiting, rest);
            self.send(part.into()).await?;
        }
        Ok(())
    }

    async fn send(&mut self, part: Bytes) -> Result<(), ArchiveError> {
        let sent = async {
            if self.upload.is_none() {
                self.upload = Some(self.store.inner().put_multipart(&self.store.path(&self.key)).await?);
            }
            match &mut self.upload {
                Some(upload) => upload.put_part(part.into()).await,
                None => Ok(()),
            }
        };
        let sent = sent.await;
        self.settled(sent).await
    }

    /// Ends an upload that failed, so that its parts do not stay.
    async fn settled(&mut self, result: Result<(), object_store::Error>) -> Result<(), ArchiveError> {
        let Err(error) = result else { return Ok(()) };
        self.abandon().await;
        Err(ArchiveError::store("write", self.store.show(&self.key), &error))
    }

    /// Removes what was written of a document that will not be finished.
    pub async fn abandon(&mut self) {
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::info!(%error, "parts of an upload stay in the store");
        }
    }

    /// Writes what is left, and waits until the store shows all of it. Returns where it is, for people.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn finish(mut self) -> Result<String, ArchiveError> {
        let rest = Bytes::from(std::mem::take(&mut self.waiting));
        if self.upload.is_none() {
            self.store.put(&self.key, rest.into()).await?;
        } else {
            if !rest.is_empty() {
                self.send(rest).await?;
            }
            let completed = match &mut self.upload {
                Some(upload) => upload.complete().await.map(drop),
                None => Ok(()),
            };
            self.settled(completed).await?;
        }
        self.store.shows(&self.key, self.size).await?;
        Ok(self.store.show(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    async fn written(pieces: usize, piece: &str) -> Bytes {
        let store = Store::new(Arc::new(InMemory::new()), "p", "memory");
        let key = Path::from("a/b.json");
        let mut document = LongDocument::new(&store, key.clone());
        for _ in 0..pieces {
            document.push(piece).await.unwrap();
        }
        assert_eq!(document.finish().await.unwrap(), "memory/a/b.json");
        store.get(&key).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_document_of_any_length_is_what_was_written() {
        assert_eq!(written(0, "").await.as_ref(), b"");
        assert_eq!(written(2, "xy").await.as_ref(), b"xyxy");
        let piece = "0123456789abcdef".repeat(4_096);
        for pieces in [128, 300] {
            assert_eq!(written(pieces, &piece).await, piece.repeat(pieces).as_bytes(), "{pieces}");
        }
    }
}
