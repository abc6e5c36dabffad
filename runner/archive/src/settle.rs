//! Creating an object once, whatever the store answers: reading decides whose bytes are there. A try that left nothing is
//! made again, for a while. The bytes are the same at each try; nothing is ever replaced.

use std::time::Duration;

use bytes::Bytes;
use contract::pauses::Pauses;
use object_store::path::Path;

use crate::ArchiveError;
use crate::store::{Created, Store};

/// Tries of one create.
const TRIES: usize = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whose bytes are there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// These, created now or by an earlier try whose answer was lost.
    Ours,
    /// Another writer's.
    Other(Bytes),
}

/// Pauses between the tries, growing: one less than tries.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    Pauses::new(FIRST_PAUSE, LONGEST_PAUSE).take(TRIES - 1)
}

/// Creates `key` unless it exists, and says whose bytes are there.
///
/// # Errors
/// The store's failure when the outcome stays unknown, and a contradiction when it says that the object exists and is not
/// there.
pub(crate) async fn create(store: &Store, key: &Path, bytes: &Bytes) -> Result<Settled, ArchiveError> {
    let mut pauses = pauses();
    loop {
        let failed = match store.create(key, bytes.clone()).await {
            Created::Done => return Ok(Settled::Ours),
            Created::Exists => None,
            Created::Unknown(error) => Some(error),
        };
        let again = failed.as_ref().is_none_or(passes);
        let error = match store.get(key).await {
            Ok(Some(found)) if found == *bytes => return Ok(Settled::Ours),
            Ok(Some(found)) => return Ok(Settled::Other(found)),
            Ok(None) => failed.unwrap_or_else(|| ArchiveError::contradiction(store.show(key))),
            Err(unread) => failed.unwrap_or(unread),
        };
        match pauses.next().filter(|_| again) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}

/// Creates an object that can be read when this returns; `other` says what another one of its name would mean.
///
/// # Errors
/// The store's failures, and that there is another object.
pub(crate) async fn create_readable(
    store: &Store,
    key: &Path,
    content: Vec<u8>,
    other: &str,
) -> Result<(), ArchiveError> {
    let bytes = Bytes::from(content);
    if create(store, key, &bytes).await? != Settled::Ours {
        return Err(ArchiveError::damaged(store.show(key), other));
    }
    store.shows(key, bytes.len() as u64).await
}

/// Refused access and a full disk do not pass by waiting a few seconds.
pub(crate) fn passes(error: &ArchiveError) -> bool {
    error.code() == contract::Code::StoreUnreachable
}
