//! An object as a stream of bytes for a thread that may block: a few megabytes of it are in memory, whatever its size.

use std::io::{Error, Read, Result};
use std::ops::ControlFlow;

use archive::{ArchiveError, Store};
use bytes::{Buf, Bytes};
use object_store::path::Path;
use tokio::sync::mpsc;

use crate::fault::Fault;
use crate::record::Record;
use crate::segment::{self, Facts, Packing};

/// Bytes of one request.
const REQUEST: u64 = 4 << 20;
/// Answers that wait for the reader.
const AHEAD: usize = 1;

/// What takes the records of a segment.
pub(crate) trait Sink: Send + 'static {
    /// Takes the next record; [`ControlFlow::Break`] ends the reading.
    fn take(&mut self, record: &Record<'_>) -> ControlFlow<()>;
}

/// Reads a segment of `size` bytes into a sink, which comes back with what the segment was, or what is wrong with it.
///
/// # Errors
/// When the store fails.
pub(crate) async fn read<S: Sink>(
    store: &Store,
    key: &str,
    size: u64,
    mut sink: S,
) -> std::result::Result<(S, std::result::Result<Facts, Fault>), ArchiveError> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let feeding = tokio::spawn(feed(store.clone(), Path::from(key), size, sender));
    let packing = Packing::of_key(key);
    let work = move || {
        let mut source = Source { receiver, now: Bytes::new(), failed: None };
        let result = segment::read(&mut source, size, packing, &mut |record| sink.take(record));
        (sink, result, source.failed)
    };
    let (sink, result, failed) = tokio::task::spawn_blocking(work).await.map_err(ArchiveError::task)?;
    feeding.abort();
    match failed {
        Some(error) => Err(error),
        None => Ok((sink, result)),
    }
}

/// The SHA-256 of an object, whose CRC is right where it is a segment; nothing is unpacked.
///
/// # Errors
/// When the store fails.
pub(crate) async fn checksum(
    store: &Store,
    key: &str,
    size: u64,
    is_segment: bool,
) -> std::result::Result<std::result::Result<String, Fault>, ArchiveError> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let feeding = tokio::spawn(feed(store.clone(), Path::from(key), size, sender));
    let work = move || {
        let mut source = Source { receiver, now: Bytes::new(), failed: None };
        let result = segment::checksum(&mut source, size, is_segment);
        (result, source.failed)
    };
    let (result, failed) = tokio::task::spawn_blocking(work).await.map_err(ArchiveError::task)?;
    feeding.abort();
    match failed {
        Some(error) if !error.is_damage() => Err(error),
        _ => Ok(result),
    }
}

/// The first bytes of an object.
///
/// # Errors
/// When the store fails, or the object is shorter.
pub(crate) async fn begins(store: &Store, key: &str, size: u64) -> std::result::Result<Bytes, ArchiveError> {
    store.get_range(&Path::from(key), 0..size.min(segment::HEADER as u64)).await
}

async fn feed(store: Store, key: Path, size: u64, sender: mpsc::Sender<std::result::Result<Bytes, ArchiveError>>) {
    let mut at = 0;
    while at < size {
        let end = at.saturating_add(REQUEST).min(size);
        let read = store.get_range(&key, at..end).await;
        let failed = read.is_err();
        if sender.send(read).await.is_err() || failed {
            return;
        }
        at = end;
    }
}

struct Source {
    receiver: mpsc::Receiver<std::result::Result<Bytes, ArchiveError>>,
    now: Bytes,
    failed: Option<ArchiveError>,
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.now.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Ok(bytes)) => self.now = bytes,
                Some(Err(error)) => {
                    self.failed = Some(error);
                    return Err(Error::other("the store failed"));
                }
            }
        }
        let length = self.now.len().min(out.len());
        self.now.copy_to_slice(out.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}
