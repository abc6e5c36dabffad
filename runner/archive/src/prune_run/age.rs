//! How long ago entries were written, by the store's clock alone.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::layout::PRUNE_FOLDER;
use crate::{ArchiveError, Chain, Entry, Layout, Store};

/// What time it is for the store, as far as it is believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// `None` where the store does not tell, or tells what cannot be: then nothing is old.
    now: Option<Timestamp>,
    /// Times behind it are not believed.
    latest: Timestamp,
}

impl Clock {
    /// A time that the store told.
    pub(super) fn at(now: Timestamp, latest: Timestamp) -> Self {
        Self { now: Some(now).filter(|now| *now <= latest), latest }
    }

    /// Writes a document of the run, and asks when it was written.
    pub(super) async fn of_store(store: &Store, run: &str, latest: Timestamp) -> Result<Self, ArchiveError> {
        let key = Layout::new(PRUNE_FOLDER).run(run, "began.json");
        let text = serde_json::to_vec(&serde_json::json!({"format": crate::FORMAT, "run": run}));
        let text = Bytes::from(text.map_err(ArchiveError::unencodable)?);
        store.put(&key, text.clone().into()).await?;
        store.shows(&key, text.len() as u64).await?;
        let now = store.written(&key).await?.and_then(|(_, at)| at);
        Ok(Self { now: now.filter(|now| *now <= latest), latest })
    }
}

impl Clock {
    /// Why nothing can be deleted, where the store's time is not known.
    pub(super) fn finding(&self) -> Option<&'static str> {
        self.now.is_none().then_some(
            "nothing is deleted: the store does not tell the time, or tells one that lies more than an hour ahead of this \
             machine's; correct the clock that is wrong",
        )
    }
}

/// How long what was said waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grace {
    pub(super) clock: Clock,
    pub(super) length: SignedDuration,
}

/// A `prune` entry, and when it was written.
#[derive(Debug)]
pub(super) struct Dated {
    pub(super) entry: Entry,
    /// When what it says may be deleted; `None` where nobody knows when it was written.
    pub(super) due: Option<Timestamp>,
}

impl Grace {
    /// Whether what an entry says may be deleted.
    pub(super) fn is_over(&self, dated: &Dated) -> bool {
        self.clock.now.zip(dated.due).is_some_and(|(now, due)| due <= now)
    }

    /// When an entry was written; `None` where it is not there any more.
    pub(super) async fn date(
        &self,
        store: &Store,
        layout: &Layout,
        entry: Entry,
    ) -> Result<Option<Dated>, ArchiveError> {
        let Some((_, at)) = store.written(&layout.entry(entry.n)).await? else { return Ok(None) };
        let due = at.filter(|at| *at <= self.clock.latest).and_then(|at| at.checked_add(self.length).ok());
        Ok(Some(Dated { entry, due }))
    }

    /// The newest `prune` entry of a log, and the newest whose grace period is over: what that one calls dead, every later one
    /// does, too. `head` is the newest entry of the log.
    pub(super) async fn entries(
        &self,
        store: &Store,
        layout: &Layout,
        head: &Entry,
    ) -> Result<(Option<Dated>, Option<Dated>), ArchiveError> {
        let chain = Chain::new(store.clone(), layout.clone());
        let (mut newest, mut number) = (None, if head.prune.is_some() { Some(head.n) } else { head.last_prune });
        while let Some(n) = number {
            let (entry, _) = chain.entry(n).await?;
            if entry.prune.is_none() {
                let what = "a later entry names it as one of retention, and it is none";
                return Err(ArchiveError::damaged(store.show(&layout.entry(n)), what));
            }
            number = entry.last_prune;
            let missing = || ArchiveError::damaged(store.show(&layout.entry(n)), "the log entry is missing");
            let dated = self.date(store, layout, entry).await?.ok_or_else(missing)?;
            if self.is_over(&dated) {
                return Ok((newest, Some(dated)));
            }
            newest = newest.or(Some(dated));
        }
        Ok((newest, None))
    }
}
