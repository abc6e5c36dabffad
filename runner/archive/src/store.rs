//! Object store operations in the words of the archive, below one prefix, with classified errors.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use crate::ArchiveError;

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
    inline: bool,
}

impl Store {
    /// The part of `inner` below `prefix`; `place` names it in messages.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, prefix: &str, place: impl Into<String>) -> Self {
        Self { inner, prefix: prefix.trim_matches('/').to_owned(), place: place.into(), inline: false }
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
        if self.prefix.is_empty() { key.clone() } else { Path::from(format!("{}/{key}", self.prefix)) }
    }

    /// Reads a whole object; `None` when it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, key: &Path) -> Result<Option<Bytes>, ArchiveError> {
        let fail = |error: object_store::Error| ArchiveError::store("read", self.show(key), &error);
        match self.inner.get(&self.path(key)).await {
            Ok(result) => result.bytes().await.map(Some).map_err(fail),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
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
                buffer = bytes.try_into_mut().map(Vec::from).unwrap_or_default();
            }
            Ok(out)
        };
        self.blocking(key, read_all).await
    }

    /// Asks for a range; a local file is only opened.
    async fn open_range(&self, key: &Path, range: Range<u64>) -> Result<Source, ArchiveError> {
        let start = range.start;
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let fail = |error: object_store::Error| match error {
            object_store::Error::NotFound { .. } => ArchiveError::damaged(self.show(key), "the object is missing"),
            error => ArchiveError::store("read", self.show(key), &error),
        };
        let found = self.inner.get_opts(&self.path(key), options).await.map_err(fail)?;
        Ok(match found.payload {
            GetResultPayload::File(file, _) => Source::File(file),
            GetResultPayload::Stream(_) => Source::Read { start, bytes: found.bytes().await.map_err(fail)? },
        })
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
        let result = self.inner.put(&self.path(key), payload).await;
        result.map(drop).map_err(|error| ArchiveError::store("write", self.show(key), &error))
    }

    /// Size of an object; `None` when it does not exist.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn size(&self, key: &Path) -> Result<Option<u64>, ArchiveError> {
        match self.inner.head(&self.path(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ArchiveError::store("look at", self.show(key), &error)),
        }
    }

    /// Names of the objects directly in a folder, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn objects(&self, folder: &Path) -> Result<Vec<String>, ArchiveError> {
        let listed = self.list(folder).await?;
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
        let last = |path: &Path| path.parts().next_back().map(|part| part.as_ref().to_owned());
        let mut names: Vec<_> = listed.common_prefixes.iter().filter_map(last).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Every object below a folder with its size: key relative to the prefix.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn walk(&self, folder: &Path) -> Result<Vec<(String, u64)>, ArchiveError> {
        let path = self.path(folder);
        let all: Result<Vec<_>, _> = self.inner.list(Some(&path)).try_collect().await;
        let all = all.map_err(|error| ArchiveError::store("list", self.show(folder), &error))?;
        let skip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        Ok(all.into_iter().map(|m| (m.location.as_ref().get(skip..).unwrap_or_default().to_owned(), m.size)).collect())
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
        let result = self.inner.list_with_delimiter(path.as_ref()).await;
        result.map_err(|error| ArchiveError::store("list", self.show(folder), &error))
    }

    /// A key as messages show it.
    pub(crate) fn show(&self, key: &Path) -> String {
        format!("{}/{key}", self.place)
    }
}

/// Where the bytes of a range come from.
enum Source {
    /// A local file, not read yet.
    File(File),
    /// Bytes that have arrived, from this place of the object on.
    Read { start: u64, bytes: Bytes },
}

impl Source {
    /// The bytes of a part of the range that was asked for; a file is read into `buffer`, without clearing its memory
    /// first. `shown` is the object in messages.
    fn part(&mut self, shown: &str, range: Range<u64>, buffer: Vec<u8>) -> Result<Bytes, ArchiveError> {
        let wanted = range.end - range.start;
        let bytes = match self {
            Self::File(file) => read_file(file, range, buffer).map_err(|source| {
                let source = Box::new(source);
                ArchiveError::store("read", shown, &object_store::Error::Generic { store: "file system", source })
            })?,
            Self::Read { start, bytes } => {
                let place =
                    |at: u64| usize::try_from(at.saturating_sub(*start)).map_or(bytes.len(), |at| at.min(bytes.len()));
                bytes.slice(place(range.start)..place(range.end))
            }
        };
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(ArchiveError::damaged(shown, format!("{} bytes instead of {wanted}", bytes.len())))
        }
    }
}

fn read_file(file: &mut File, range: Range<u64>, mut buffer: Vec<u8>) -> std::io::Result<Bytes> {
    let length = range.end - range.start;
    buffer.clear();
    buffer.reserve_exact(usize::try_from(length).map_err(std::io::Error::other)?);
    file.seek(SeekFrom::Start(range.start))?;
    file.take(length).read_to_end(&mut buffer)?;
    Ok(buffer.into())
}
