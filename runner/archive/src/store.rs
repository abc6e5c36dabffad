//! Object store operations in the words of the archive, below one prefix, with classified errors.

mod listed;
mod pieces;
mod source;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use contract::Code;
use contract::pauses::Pauses;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use tokio::time::Instant;

pub(crate) use self::listed::Listed;
pub use self::pieces::Pieces;
use self::source::{Source, arrived};
use crate::answer::RANGE_IGNORED;
use crate::limit::readable;
use crate::uploads::Uploads;
use crate::{ArchiveError, classify, listing};

/// How long requests are tried again that the library does not send again itself: answers whose body was cut.
const BUDGET: Duration = Duration::from_secs(180);
/// Pauses between such tries.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a store may take to show what it confirmed.
pub(crate) const SHOWN_WITHIN: Duration = Duration::from_secs(10);
/// Tries of one request.
const TRIES: u32 = 12;

/// The outcome of a create-if-absent.
#[derive(Debug)]
pub enum Created {
    /// The object is there now with these bytes, written by this call.
    Done,
    /// The store says that somebody created it before; read it to learn who.
    Exists,
    /// The outcome is not known; read it to learn.
    Unknown(ArchiveError),
}

/// A store and a prefix in it.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    prefix: String,
    place: String,
    budget: Duration,
    inline: bool,
    /// What of its uploads in parts can be asked, where it can.
    uploads: Option<Arc<dyn Uploads>>,
    /// How often the line to it was too slow for a body since it last was quick.
    slow: Arc<AtomicU32>,
}

impl Store {
    /// The part of `inner` below `prefix`; `place` names it in messages.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, prefix: &str, place: impl Into<String>) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        Self { inner, prefix, place: place.into(), budget: BUDGET, inline: false, uploads: None, slow: Arc::default() }
    }

    /// The same store, behind a line that is watched.
    #[must_use]
    pub(crate) fn with_line(self, slow: Arc<AtomicU32>) -> Self {
        Self { slow, ..self }
    }

    /// Whether bodies that were sent lately took too long.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed) > 0
    }

    /// The same store, whose uploads in parts can be asked.
    #[must_use]
    pub(crate) fn with_uploads(self, uploads: Arc<dyn Uploads>) -> Self {
        Self { uploads: Some(uploads), ..self }
    }

    pub(crate) fn uploads(&self) -> Option<&Arc<dyn Uploads>> {
        self.uploads.as_ref()
    }

    /// The same store for somebody who waits: failing requests are not tried again for longer than this.
    #[must_use]
    pub(crate) fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// Asks again while the answer is one that may well be another in a moment.
    async fn again<T, F>(&self, ask: impl Fn() -> F) -> Result<T, object_store::Error>
    where
        F: Future<Output = Result<T, object_store::Error>>,
    {
        let (started, mut pauses, mut tries) = (Instant::now(), Pauses::new(PAUSE, LONGEST_PAUSE), 1);
        loop {
            match ask().await {
                Err(error)
                    if tries < TRIES
                        && started.elapsed() + pauses.coming() < self.budget
                        && classify::passes(&error) =>
                {
                    tracing::info!(%error, "asking the store again");
                }
                other => return other,
            }
            tokio::time::sleep(pauses.step()).await;
            tries += 1;
        }
    }

    /// The same store, whose reads are worked on where they are waited for and not on threads: a simulation repeats
    /// itself only so.
    #[must_use]
    pub fn inline(self) -> Self {
        Self { inline: true, ..self }
    }

    /// Where this is, for messages.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn inner(&self) -> &Arc<dyn ObjectStore> {
        &self.inner
    }

    pub(crate) fn path(&self, key: &Path) -> Path {
        if self.prefix.is_empty() {
            return key.clone();
        }
        let whole = format!("{}/{key}", self.prefix);
        // As it is written: policies, lifecycle rules and people look at a prefix by its own characters. Those that no
        // key can have are refused by `StoreSpec::findings`.
        Path::parse(&whole).unwrap_or_else(|_| Path::from(whole))
    }

    /// Reads a whole object; `None` when it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, key: &Path) -> Result<Option<Bytes>, ArchiveError> {
        let fail = |error: object_store::Error| ArchiveError::store("read", self.show(key), &error);
        let (path, most) = (self.path(key), readable());
        let read = async || {
            let found = self.inner.get(&path).await?;
            // What is read at once is a document.
            let size = found.meta.size;
            if size > most as u64 {
                return Ok(Err(format!("it has {size} bytes, and at most {most} are read")));
            }
            Ok(arrived(found, size)
                .await?
                .ok_or_else(|| format!("it has more than the {size} bytes that the store says")))
        };
        match self.again(read).await {
            Ok(Ok(bytes)) => Ok(Some(bytes)),
            Ok(Err(reason)) => Err(ArchiveError::damaged(self.show(key), reason)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// Reads part of an object.
    ///
    /// # Errors
    /// When the store fails or the object is shorter.
    pub async fn get_range(&self, key: &Path, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        self.with_range(key, range, |bytes| bytes).await
    }

    /// Gives the bytes of a range to `work` on a thread that may block: the one that read them, where the store is
    /// local, so that they are still in its cache.
    ///
    /// # Errors
    /// As [`Store::get_range`].
    pub async fn with_range<T: Send + 'static>(
        &self,
        key: &Path,
        range: Range<u64>,
        work: impl FnOnce(Bytes) -> T + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let mut source = self.open_range(key, range.clone()).await?;
        let shown = self.show(key);
        self.blocking(key, move || source.part(&shown, range, Vec::new()).map(work)).await
    }

    /// Gives the bytes of `ranges`, which lie side by side, to `work` with their numbers, one after the other on one
    /// thread that may block, and returns what became of `out`. A local file is read into the same memory again and
    /// again, which stays in the cache of that thread's core; other stores are asked once for all ranges.
    ///
    /// # Errors
    /// As [`Store::get_range`].
    pub(crate) async fn with_ranges<T: Send + 'static>(
        &self,
        key: &Path,
        ranges: Vec<Range<u64>>,
        mut out: T,
        mut work: impl FnMut(&mut T, usize, &Bytes) + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return Ok(out) };
        let mut source = self.open_range(key, first.start..last.end).await?;
        let shown = self.show(key);
        let read_all = move || {
            let mut buffer = Vec::new();
            for (number, range) in ranges.into_iter().enumerate() {
                let bytes = source.part(&shown, range, buffer)?;
                work(&mut out, number, &bytes);
                // Where somebody still holds the bytes, the next part takes a buffer of its own.
                buffer = bytes.try_into_mut().map_or_else(|_| Vec::new(), Vec::from);
            }
            Ok(out)
        };
        self.blocking(key, read_all).await
    }

    /// Asks for a range; a local file is only opened.
    async fn open_range(&self, key: &Path, range: Range<u64>) -> Result<Source, ArchiveError> {
        let (path, start) = (self.path(key), range.start);
        if range.end < start {
            return Err(ArchiveError::damaged(
                self.show(key),
                format!("it ends at byte {}, before {start}", range.end),
            ));
        }
        let ask = async || {
            let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            let found = self.inner.get_opts(&path, options).await?;
            let end = found.range.end;
            Ok(match found.payload {
                GetResultPayload::File(file, _) => Source::File(file, end),
                GetResultPayload::Stream(_) => match arrived(found, range.end - start).await? {
                    Some(bytes) => Source::Read { start, bytes },
                    None => Source::TooMuch,
                },
            })
        };
        let error = match ask().await {
            Ok(source) => return Ok(source),
            Err(error) => error,
        };
        // Stores say it in many ways that an object ends before the range: its size tells, and nobody asks again.
        if let Ok(meta) = self.inner.head(&path).await
            && meta.size < range.end
        {
            return Err(ArchiveError::damaged(
                self.show(key),
                format!("it has {} bytes, not {}", meta.size, range.end),
            ));
        }
        let error = if classify::passes(&error) {
            match self.again(ask).await {
                Ok(source) => return Ok(source),
                Err(error) => error,
            }
        } else {
            error
        };
        match classify::answer_of(&error) {
            Some(answer) if answer.code == RANGE_IGNORED => {
                let bytes = self.again(|| self.cut_out(&path, range.clone())).await;
                let bytes = bytes.map_err(|error| ArchiveError::store("read", self.show(key), &error))?;
                Ok(Source::Read { start, bytes })
            }
            Some(answer) if answer.status == 416 => {
                Err(ArchiveError::damaged(self.show(key), format!("it ends before byte {start}")))
            }
            _ if is_absent(&error) => Err(ArchiveError::damaged(self.show(key), "the object is missing")),
            _ => Err(ArchiveError::store("read", self.show(key), &error)),
        }
    }

    /// A part of an object out of all of it: the way through a store that knows no ranges.
    async fn cut_out(&self, path: &Path, range: Range<u64>) -> Result<Bytes, object_store::Error> {
        let mut stream = self.inner.get(path).await?.into_stream();
        let (mut at, mut out) = (0u64, Vec::new());
        while let Some(bytes) = stream.next().await.transpose()? {
            let within =
                |place: u64| usize::try_from(place.saturating_sub(at)).map_or(bytes.len(), |n| n.min(bytes.len()));
            out.extend_from_slice(bytes.get(within(range.start)..within(range.end)).unwrap_or(&[]));
            at += bytes.len() as u64;
            if at >= range.end {
                break;
            }
        }
        Ok(out.into())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        key: &Path,
        work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        if self.inline {
            return work();
        }
        tokio::task::spawn_blocking(work).await.map_err(|error| ArchiveError::damaged(self.show(key), error))?
    }

    /// The object at a path that a person wrote; `None` where there is none. The path is relative to the prefix, or begins
    /// with [`Store::place`], as reports and statuses tell it.
    ///
    /// # Errors
    /// When it is larger than `most` bytes; as [`Self::get`].
    pub async fn at(&self, path: &str, most: u64) -> Result<Option<Bytes>, ArchiveError> {
        let key = Path::from(self.inside(path));
        match self.size(&key).await? {
            Some(size) if size > most => {
                let reason = format!("{}: it has {size} bytes, and at most {most} are read", self.show(&key));
                Err(ArchiveError::Config { reason, code: Code::SpecInvalid })
            }
            Some(_) => self.get(&key).await,
            None => Ok(None),
        }
    }

    /// A path that a person wrote, relative to the prefix.
    fn inside<'a>(&self, path: &'a str) -> &'a str {
        let place = self.place.trim_matches('/');
        let path = path.trim_matches('/');
        path.strip_prefix(place).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
    }

    /// Creates an object that must not exist. Whatever is not [`Created::Done`] is settled by reading it.
    pub async fn create(&self, key: &Path, bytes: Bytes) -> Created {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.inner.put_opts(&self.path(key), PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Created::Done,
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Created::Exists
            }
            Err(error) => Created::Unknown(ArchiveError::store("create", self.show(key), &error)),
        }
    }

    /// Writes an object, over an older one if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put(&self, key: &Path, payload: PutPayload) -> Result<(), ArchiveError> {
        let path = self.path(key);
        let result = self.again(|| self.inner.put(&path, payload.clone())).await;
        result.map(drop).map_err(|error| ArchiveError::store("write", self.show(key), &error))
    }

    /// Size of an object; `None` when it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn size(&self, key: &Path) -> Result<Option<u64>, ArchiveError> {
        Ok(self.written(key).await?.map(|(size, _)| size))
    }

    /// Size of an object, and when it was written by the store's clock; `None` when it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn written(&self, key: &Path) -> Result<Option<(u64, Option<Timestamp>)>, ArchiveError> {
        let path = self.path(key);
        match self.again(|| self.inner.head(&path)).await {
            Ok(meta) => Ok(Some((meta.size, listed::written_at(&meta)))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(ArchiveError::store("look at", self.show(key), &error)),
        }
    }

    /// Waits until an object that was written shows with this size. Stores may show a write late.
    ///
    /// # Errors
    /// [`ArchiveError::Unseen`] when it does not; the store's failures.
    pub(crate) async fn shows(&self, key: &Path, size: u64) -> Result<(), ArchiveError> {
        let deadline = Instant::now() + SHOWN_WITHIN;
        let mut pauses = Pauses::new(PAUSE, LONGEST_PAUSE);
        loop {
            let found = self.size(key).await?;
            if found == Some(size) {
                return Ok(());
            }
            if Instant::now() + pauses.coming() > deadline {
                let shown = found.map_or_else(|| "nothing".to_owned(), |found| format!("{found} bytes"));
                let seconds = SHOWN_WITHIN.as_secs();
                let reason = format!("the store confirmed {size} bytes and shows {shown} for {seconds} s");
                return Err(ArchiveError::Unseen { key: self.show(key), reason });
            }
            tokio::time::sleep(pauses.step()).await;
        }
    }

    /// Names of the objects directly in a folder, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn objects(&self, folder: &Path) -> Result<Vec<String>, ArchiveError> {
        let listed = self.list(folder).await?;
        for meta in &listed.objects {
            listing::name(&meta.location, &self.place)?;
        }
        let mut names: Vec<_> =
            listed.objects.iter().filter_map(|meta| meta.location.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Names of the folders directly in a folder, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn folders(&self, folder: &Path) -> Result<Vec<String>, ArchiveError> {
        let listed = self.list(folder).await?;
        for folder in &listed.common_prefixes {
            listing::name(folder, &self.place)?;
        }
        let last = |path: &Path| path.parts().next_back().map(|part| part.as_ref().to_owned());
        let mut names: Vec<_> = listed.common_prefixes.iter().filter_map(last).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Keys below a folder that sort after `after`, relative to the prefix, sorted: the newest of many names with few
    /// requests.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn keys_after(&self, folder: &Path, after: &Path) -> Result<Vec<String>, ArchiveError> {
        let path = self.path(folder);
        let after = self.path(after);
        let all = self
            .again(|| listing::kept(self.inner.list_with_offset(Some(&path), &after).try_collect::<Vec<_>>()))
            .await;
        let all = all.map_err(|error| ArchiveError::store("list", self.show(folder), &error))?;
        // Some stores do not know where a listing shall start, and list all.
        let later = all.iter().filter(|meta| meta.location > after);
        let mut keys = later.map(|meta| self.relative(&meta.location)).collect::<Result<Vec<_>, _>>()?;
        keys.sort_unstable();
        Ok(keys)
    }

    /// Every object below a folder with its size: key relative to the prefix.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn walk(&self, folder: &Path) -> Result<Vec<(String, u64)>, ArchiveError> {
        let path = self.path(folder);
        let all = self.again(|| listing::kept(self.inner.list(Some(&path)).try_collect::<Vec<_>>())).await;
        let all = all.map_err(|error| ArchiveError::store("list", self.show(folder), &error))?;
        all.iter().map(|meta| Ok((self.relative(&meta.location)?, meta.size))).collect()
    }

    /// A listed key without the prefix.
    fn relative(&self, listed: &Path) -> Result<String, ArchiveError> {
        let name = listing::name(listed, &self.place)?;
        let key = match self.prefix.as_str() {
            "" => Some(name),
            prefix => name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        key.map(str::to_owned).ok_or_else(|| {
            let reason =
                format!("the list below {:?} has the key {listed}: the store does not list by prefix", self.prefix);
            ArchiveError::Config { reason, code: contract::Code::StoreRefused }
        })
    }

    /// Removes an object by its key relative to the prefix. Nothing of an archive is ever removed by a run.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), ArchiveError> {
        let key = Path::from(key);
        let result = self.inner.delete(&self.path(&key)).await;
        result.map_err(|error| ArchiveError::store("remove", self.show(&key), &error))
    }

    async fn list(&self, folder: &Path) -> Result<object_store::ListResult, ArchiveError> {
        let path = self.path(folder);
        let path = (!path.as_ref().is_empty()).then_some(path);
        let result = self.again(|| listing::kept(self.inner.list_with_delimiter(path.as_ref()))).await;
        result.map_err(|error| ArchiveError::store("list", self.show(folder), &error))
    }

    /// A key as messages show it.
    #[must_use]
    pub fn show(&self, key: &Path) -> String {
        format!("{}/{key}", self.place)
    }
}

/// Whether an object is not there; a bucket that is not there is another matter.
fn is_absent(error: &object_store::Error) -> bool {
    let of_object = || classify::answer_of(error).is_none_or(|answer| !answer.no_bucket());
    matches!(error, object_store::Error::NotFound { .. }) && of_object()
}
