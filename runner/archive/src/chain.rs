//! The log of a set: numbered entries, each with the digest of the one before, created and never changed.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use contract::pauses::Pauses;
use contract::{CrashPoint, crash};
use futures::{StreamExt, TryStreamExt};

use crate::again::reread;
use crate::settle::{self, Settled};
use crate::store::{Created, SHOWN_WITHIN, Store};
use crate::{ArchiveError, Digest, Entry, Layout, memory};

/// Entries read at once.
const PARALLEL: usize = 16;
/// Entries that are looked for one by one behind the one that `manifest.json` names.
const STEPS: u64 = 8;

/// Numbers of entries lie below: a log that writes one every microsecond gets there after centuries.
pub(crate) const END: u64 = 1 << 53;
/// Of entries that are missing side by side, so many are looked for one by one.
const GAP: usize = 64;

/// The numbers that names are.
fn numbers(names: &[String]) -> impl Iterator<Item = u64> {
    names.iter().filter_map(|name| name.parse().ok()).filter(|number| *number < END)
}

/// The newest entry of a log.
#[derive(Debug, Clone)]
pub struct Head {
    /// The entry.
    pub entry: Entry,
    /// Its digest.
    pub digest: Digest,
    /// Whether the run that sealed it says that its hint is there.
    pub hinted: bool,
}

/// What `manifest.json` says of the end of a log.
#[derive(serde::Deserialize)]
struct Manifest {
    set: String,
    entry: u64,
    #[serde(default)]
    hint: bool,
}

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
        if let Some(folder) = numbers(&folders).max() {
            let first = folder.saturating_mul(crate::layout::LOG_FOLDER);
            let names = self.store.objects(&self.layout.log_folder(first)).await?;
            newest = numbers(&names).max();
        }
        loop {
            let next = newest.map_or(0, |number| number + 1);
            match self.store.size(&self.layout.entry(next)).await? {
                Some(_) => newest = Some(next),
                None => return Ok(newest),
            }
        }
    }

    /// Numbers up to `last` that whoever reads a damaged log looks at: those that lists show, and the first few of what is
    /// missing between them. What somebody wrote far away from the others makes nobody look at everything in between.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn candidates(&self, last: u64) -> Result<Vec<u64>, ArchiveError> {
        let mut out = BTreeSet::from([0, last]);
        for folder in numbers(&self.store.folders(&self.layout.log()).await?) {
            let first = folder.saturating_mul(crate::layout::LOG_FOLDER);
            let names = self.store.objects(&self.layout.log_folder(first)).await?;
            out.extend(numbers(&names).filter(|number| *number <= last));
        }
        let listed: Vec<u64> = out.iter().copied().collect();
        for pair in listed.windows(2) {
            if let [from, to] = *pair {
                out.extend((from + 1..to).take(GAP));
            }
        }
        Ok(out.into_iter().collect())
    }

    /// The newest entry; `None` when the log is empty. `manifest.json` says where to begin to look, which saves listing
    /// a long log; wherever it is wrong, the listing counts. That no entry follows is always looked for: a store that says
    /// it created an object may have replaced one.
    ///
    /// # Errors
    /// When the store fails, or the newest entry is damaged.
    pub async fn head(&self) -> Result<Option<Head>, ArchiveError> {
        if let Some(manifest) = self.manifest().await? {
            for number in manifest.entry..manifest.entry.saturating_add(STEPS) {
                if !self.ends_with(number).await? {
                    continue;
                }
                let hinted = manifest.hint && number == manifest.entry;
                if let Ok(head) = self.head_at(number, hinted).await {
                    return Ok(Some(head));
                }
                break;
            }
        }
        match self.newest().await? {
            None => Ok(None),
            Some(number) => self.head_at(number, false).await.map(Some),
        }
    }

    async fn head_at(&self, number: u64, hinted: bool) -> Result<Head, ArchiveError> {
        let (entry, digest) = self.entry(number).await?;
        Ok(Head { entry, digest, hinted })
    }

    async fn manifest(&self) -> Result<Option<Manifest>, ArchiveError> {
        let Some(bytes) = self.store.get(&self.layout.summary("manifest.json")).await? else { return Ok(None) };
        // A summary for people: what it says is taken only where the log has it.
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else { return Ok(None) };
        let is_ours = manifest.set == self.layout.set() && (1..END).contains(&manifest.entry);
        Ok(is_ours.then_some(manifest))
    }

    /// Whether nobody wrote behind this entry.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn ends_with(&self, number: u64) -> Result<bool, ArchiveError> {
        Ok(self.store.size(&self.layout.entry(number + 1)).await?.is_none())
    }

    /// Entries that this writer created; a store may show them late.
    ///
    /// # Errors
    /// [`ArchiveError::Unseen`] when they do not show; when one is damaged.
    pub(crate) async fn written(&self, from: u64, to: u64) -> Result<Vec<(Entry, Digest)>, ArchiveError> {
        let deadline = tokio::time::Instant::now() + SHOWN_WITHIN;
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match self.read(from, to).await {
                Err(error) if error.is_damage() => {}
                other => return other,
            }
            // It may have come meanwhile; else it is there and damaged.
            let Some(absent) = self.first_absent(from, to).await? else { return self.read(from, to).await };
            if tokio::time::Instant::now() + pauses.coming() > deadline {
                let reason =
                    format!("the store confirmed the entry and does not show it for {} s", SHOWN_WITHIN.as_secs());
                return Err(ArchiveError::Unseen { key: self.store.show(&self.layout.entry(absent)), reason });
            }
            tokio::time::sleep(pauses.step()).await;
        }
    }

    async fn first_absent(&self, from: u64, to: u64) -> Result<Option<u64>, ArchiveError> {
        for number in from..=to {
            if self.store.get(&self.layout.entry(number)).await?.is_none() {
                return Ok(Some(number));
            }
        }
        Ok(None)
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
        let mut reading =
            std::pin::pin!(futures::stream::iter(from..=to).map(|number| self.entry(number)).buffered(PARALLEL));
        let (mut entries, mut held): (Vec<(Entry, Digest)>, u64) = (Vec::new(), 0);
        while let Some(read) = reading.try_next().await? {
            held = held.saturating_add(read.0.weight());
            if held > memory::of_log() {
                return Err(ArchiveError::log_too_large(self.store.show(&self.layout.log()), memory::of_log()));
            }
            entries.push(read);
        }
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
        crash::at(CrashPoint::EntryFrozen);
        match settle::create(&self.store, &self.layout.entry(entry.n), &bytes).await? {
            Settled::Ours => {
                crash::at(CrashPoint::EntryCreated);
                Ok(Digest::of(&bytes))
            }
            Settled::Other(found) => Err(self.fenced(entry.n, &found)),
        }
    }

    /// Whether the store refuses to create an entry a second time.
    ///
    /// # Errors
    /// When the store fails in another way.
    pub(crate) async fn refuses_second_create(&self, number: u64, bytes: Bytes) -> Result<bool, ArchiveError> {
        let key = self.layout.entry(number);
        let mut tries = settle::pauses();
        loop {
            let pause = tries.next();
            match self.store.create(&key, bytes.clone()).await {
                Created::Exists => return Ok(true),
                // An earlier try cannot have made it: the entry was there before all of them.
                Created::Done => return Ok(false),
                Created::Unknown(error) => match pause.filter(|_| settle::passes(&error)) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
            }
        }
    }

    /// How it looks when another writer wrote behind this entry; `None` when nobody did.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn overtaken(&self, number: u64) -> Result<Option<ArchiveError>, ArchiveError> {
        let found = self.store.get(&self.layout.entry(number + 1)).await?;
        Ok(found.map(|bytes| self.fenced(number + 1, &bytes)))
    }

    fn fenced(&self, number: u64, found: &[u8]) -> ArchiveError {
        let set = self.layout.set().to_owned();
        let by = match Entry::decode("entry", number, found) {
            // Retention takes nothing over: whoever reads the log again goes on behind it.
            Ok(entry) if entry.prune.is_some() => return ArchiveError::PrunedMeanwhile { set, entry: number },
            Ok(entry) => format!("{} of run {}", entry.claim, entry.run),
            Err(error) => format!("unreadable: {error}"),
        };
        ArchiveError::Fenced { set, entry: number, by }
    }
}
