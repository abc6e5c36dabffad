//! Objects of any size as a stream of bytes for a reader that may block: only a few pieces are held at a time.

use std::io::{Error, Read};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{Receiver, channel};

use super::Store;
use crate::ArchiveError;
use object_store::path::Path;

/// Bytes that are asked for at once.
const PIECE: u64 = 1 << 20;
/// Pieces that wait for the reader.
const WAITING: usize = 2;

/// The bytes of an object, in order.
#[derive(Debug)]
pub struct Pieces {
    left: Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        while self.piece.is_empty() {
            match self.left.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        (&mut self.piece).reader().read(into)
    }
}

impl Store {
    /// Gives the bytes of the object at a path that a person wrote to `work`, on a thread that may block; `None` where there is
    /// no such object. See [`Store::at`].
    ///
    /// # Errors
    /// As [`Store::get_range`]; `work` may have ended by then, since it saw no more bytes.
    pub async fn read_at<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(Pieces) -> T + Send + 'static,
    ) -> Result<Option<T>, ArchiveError> {
        let key = Path::from(self.inside(path));
        let Some(size) = self.size(&key).await? else { return Ok(None) };
        let (sender, left) = channel(WAITING);
        let work = tokio::task::spawn_blocking(move || work(Pieces { left, piece: Bytes::new() }));
        let mut start = 0;
        while start < size {
            let end = size.min(start + PIECE);
            let piece = self.get_range(&key, start..end).await?;
            // Whoever wants no more has seen enough.
            if sender.send(piece).await.is_err() {
                break;
            }
            start = end;
        }
        drop(sender);
        let done = work.await.map_err(|error| ArchiveError::damaged(self.show(&key), error))?;
        Ok(Some(done))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn an_object_of_several_pieces_is_read_in_order_and_not_beyond_what_is_wanted() {
        let store = Store::new(Arc::new(InMemory::new()), "p", "place");
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|n| u8::try_from(n % 251).unwrap()).collect();
        store.put(&Path::from("a/b"), Bytes::from(bytes.clone()).into()).await.unwrap();
        let all = |mut pieces: Pieces| {
            let mut out = Vec::new();
            pieces.read_to_end(&mut out).unwrap();
            out
        };
        assert!(store.read_at("a/b", all).await.unwrap().unwrap() == bytes);
        let first = |mut pieces: Pieces| {
            let mut out = [0; 3];
            pieces.read_exact(&mut out).unwrap();
            out
        };
        assert_eq!(store.read_at("place/a/b", first).await.unwrap(), Some([0, 1, 2]));
        assert!(store.read_at("a/c", all).await.unwrap().is_none());
    }
}
