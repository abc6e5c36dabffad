//! The log of a set: numbered entries, each with the digest of the one before, created and never changed.

use std::time::Duration;

use bytes::Bytes;
use contract::{CrashPoint, crash};
use futures::{StreamExt, TryStreamExt};

use crate::again::reread;
use crate::store::{Created, Store};
use crate::{ArchiveError, Digest, Entry, Layout};

/// Entries read at once.
const PARALLEL: usize = 16;
/// Attempts to settle a create whose outcome is not known.
const ATTEMPTS: u32 = 8;

/// The log of one set.
#[derive(Debug, Clone)]
pub struct Chain {
    store: Store,
    layout: Layout,
}

impl Chain {
    /// The log of this set.
    #[must_use]
    pub fn new(store: Store, layout: Layout) -> Self {
        Self { store, layout }
    }

    /// Number of the newest entry; `None` when the log is empty.
    ///
    /// A listing only says where to start looking: the end is where the next number is absent.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest(&self) -> Result<Option<u64>, ArchiveError> {
        let folders = self.store.folders(&self.layout.log()).await?;
        let mut newest = None;
        if let Some(folder) = folders.iter().filter_map(|name| name.parse::<u64>().ok()).max() {
            let first = folder.saturating_mul(crate::layout::LOG_FOLDER);
            let names = self.store.objects(&self.layout.log_folder(first)).await?;
            newest = names.iter().filter_map(|name| name.parse::<u64>().ok()).max();
        }
        loop {
            let next = newest.map_or(0, |number| number + 1);
            match self.store.size(&self.layout.entry(next)).await? {
                Some(_) => newest = Some(next),
                None => return Ok(newest),
            }
        }
    }

    /// One entry and its digest.
    ///
    /// # Errors
    /// When it is missing or damaged, or the store fails.
    pub async fn entry(&self, number: u64) -> Result<(Entry, Digest), ArchiveError> {
        reread(|| self.entry_once(number)).await
    }

    async fn entry_once(&self, number: u64) -> Result<(Entry, Digest), ArchiveError> {
        let key = self.layout.entry(number);
        let shown = self.store.show(&key);
        let bytes = self.store.get(&key).await?;
        let bytes = bytes.ok_or_else(|| ArchiveError::damaged(&shown, "the log entry is missing"))?;
        Ok((Entry::decode(&shown, number, &bytes)?, Digest::of(&bytes)))
    }

    /// Entries `from..=to` with their digests; every link between them is checked.
    ///
    /// # Errors
    /// When one is missing or damaged, or a link is broken.
    pub async fn read(&self, from: u64, to: u64) -> Result<Vec<(Entry, Digest)>, ArchiveError> {
        self.read_after(from, to, None).await
    }

    /// The same; the first must follow the entry with this digest, when it is known.
    pub(crate) async fn read_after(
        &self,
        from: u64,
        to: u64,
        before: Option<&Digest>,
    ) -> Result<Vec<(Entry, Digest)>, ArchiveError> {
        let entries: Vec<_> =
            futures::stream::iter(from..=to).map(|number| self.entry(number)).buffered(PARALLEL).try_collect().await?;
        let mut previous: Option<&Digest> = before;
        for (entry, digest) in &entries {
            let linked = match previous {
                Some(previous) => entry.previous.as_ref() == Some(previous),
                None => (entry.n == 0) == entry.previous.is_none(),
            };
            if !linked {
                let key = self.store.show(&self.layout.entry(entry.n));
                return Err(ArchiveError::damaged(
                    key,
                    "it does not follow the entry before it: one of them was replaced",
                ));
            }
            previous = Some(digest);
        }
        Ok(entries)
    }

    /// Appends an entry whose bytes are frozen now: whatever the store answers, reading decides.
    ///
    /// # Errors
    /// [`ArchiveError::Fenced`] when the number holds another writer's entry; the store's failure when its
    /// outcome stays unknown.
    pub async fn append(&self, entry: &Entry) -> Result<Digest, ArchiveError> {
        let bytes = entry.encode()?;
        let key = self.layout.entry(entry.n);
        let mut pause = Duration::from_millis(100);
        let mut attempt = 0;
        loop {
            attempt += 1;
            crash::at(CrashPoint::EntryFrozen);
            let error = match self.store.create(&key, bytes.clone()).await {
                Created::Done => {
                    crash::at(CrashPoint::EntryCreated);
                    return Ok(Digest::of(&bytes));
                }
                Created::Exists => None,
                Created::Unknown(error) => Some(error),
            };
            match self.store.get(&key).await {
                Ok(Some(found)) if found == bytes => return Ok(Digest::of(&bytes)),
                Ok(Some(found)) => return Err(self.fenced(entry.n, &found)),
                Ok(None) | Err(_) if attempt < ATTEMPTS && retriable(error.as_ref()) => {}
                Ok(None) => return Err(error.unwrap_or_else(|| ArchiveError::contradiction(self.store.show(&key)))),
                Err(read_error) => return Err(error.unwrap_or(read_error)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Whether the store refuses to create an entry a second time.
    ///
    /// # Errors
    /// When the store fails in another way.
    pub(crate) async fn refuses_second_create(&self, number: u64, bytes: Bytes) -> Result<bool, ArchiveError> {
        let key = self.layout.entry(number);
        let mut pause = Duration::from_millis(100);
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.store.create(&key, bytes.clone()).await {
                Created::Exists => return Ok(true),
                // An earlier try cannot have made it: the entry was there before all of them.
                Created::Done => return Ok(false),
                Created::Unknown(error) if attempt < ATTEMPTS && retriable(Some(&error)) => {}
                Created::Unknown(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    fn fenced(&self, number: u64, found: &[u8]) -> ArchiveError {
        let by = Entry::decode("entry", number, found).map_or_else(
            |error| format!("unreadable: {error}"),
            |entry| format!("{} of run {}", entry.claim, entry.run),
        );
        ArchiveError::Fenced { set: self.layout.set().to_owned(), entry: number, by }
    }
}

/// Refused access and a full disk do not pass by waiting a few seconds.
fn retriable(error: Option<&ArchiveError>) -> bool {
    error.is_none_or(|error| error.code() == contract::Code::StoreUnreachable)
}
