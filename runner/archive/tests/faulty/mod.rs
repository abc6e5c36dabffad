//! A store in memory whose requests are counted and go wrong as a test says.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Create,
    Get,
    Head,
    List,
    Begin,
    Part,
    Complete,
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is refused and nothing happens.
    Refused(&'static str),
    /// It is done, and the answer is this.
    Lost(&'static str),
    /// The object is not there yet.
    Absent,
    /// A byte is another one.
    Byte,
    /// A create replaces what is there.
    Replaces,
}

type Rule = Box<dyn FnMut(Kind, &Path) -> Option<Wrong> + Send>;

#[derive(Default)]
struct Shared {
    rule: Option<Rule>,
    seen: Vec<(Kind, String)>,
}

/// The store; clones share their rule and their counts.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: Arc<InMemory>,
    shared: Arc<Mutex<Shared>>,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(InMemory::new()), shared: Arc::default() }
    }

    /// From now on requests go wrong as `rule` says.
    pub(crate) fn rule(&self, rule: impl FnMut(Kind, &Path) -> Option<Wrong> + Send + 'static) {
        self.shared.lock().unwrap().rule = Some(Box::new(rule));
    }

    /// The first `times` requests of this kind whose key has `part` go wrong.
    pub(crate) fn fail(&self, kind: Kind, part: &'static str, times: usize, wrong: Wrong) {
        let mut left = times;
        self.rule(move |seen, path| {
            let hit = seen == kind && path.as_ref().contains(part) && left > 0;
            left -= usize::from(hit);
            hit.then_some(wrong)
        });
    }

    /// What was asked since the last call.
    pub(crate) fn seen(&self) -> Vec<(Kind, String)> {
        std::mem::take(&mut self.shared.lock().unwrap().seen)
    }

    fn ask(&self, kind: Kind, path: &Path) -> Option<Wrong> {
        let mut shared = self.shared.lock().unwrap();
        shared.seen.push((kind, path.to_string()));
        shared.rule.as_mut().and_then(|rule| rule(kind, path))
    }
}

fn error(answer: &str) -> Error {
    Error::Generic { store: "faulty", source: answer.to_owned().into() }
}

/// Nothing, or what goes wrong before anything happens.
fn before(wrong: Option<Wrong>, path: &Path) -> Result<()> {
    match wrong {
        Some(Wrong::Refused(answer)) => Err(error(answer)),
        Some(Wrong::Absent) => Err(Error::NotFound { path: path.to_string(), source: "not yet".into() }),
        None | Some(Wrong::Lost(_) | Wrong::Byte | Wrong::Replaces) => Ok(()),
    }
}

fn after<T>(wrong: Option<Wrong>, result: T) -> Result<T> {
    if let Some(Wrong::Lost(answer)) = wrong { Err(error(answer)) } else { Ok(result) }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let kind = if options.mode == object_store::PutMode::Create { Kind::Create } else { Kind::Put };
        let wrong = self.ask(kind, path);
        before(wrong, path)?;
        let replaces = wrong == Some(Wrong::Replaces);
        let options = if replaces { PutOptions::default() } else { options };
        let done = self.inner.put_opts(path, payload, options).await?;
        after(wrong, done)
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        before(self.ask(Kind::Begin, path), path)?;
        let inner = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(Upload { store: self.clone(), path: path.clone(), inner }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let wrong = self.ask(if options.head { Kind::Head } else { Kind::Get }, path);
        before(wrong, path)?;
        let found = self.inner.get_opts(path, options).await?;
        if wrong != Some(Wrong::Byte) {
            return Ok(found);
        }
        let (meta, range, attributes, extensions) =
            (found.meta.clone(), found.range.clone(), found.attributes.clone(), found.extensions.clone());
        let mut bytes = found.bytes().await?.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let stream = futures::stream::iter([Ok(Bytes::from(bytes))]);
        let payload = object_store::GetResultPayload::Stream(Box::pin(stream));
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    /// It does not know where a listing shall start, as some stores.
    fn list_with_offset(&self, prefix: Option<&Path>, _: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list(prefix)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let path = prefix.cloned().unwrap_or_default();
        if let Err(error) = before(self.ask(Kind::List, &path), &path) {
            return Box::pin(futures::stream::iter([Err(error)]));
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        before(self.ask(Kind::List, &path), &path)?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Upload {
    store: Faulty,
    path: Path,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let wrong = self.store.ask(Kind::Part, &self.path);
        let (path, part) = (self.path.clone(), self.inner.put_part(data));
        Box::pin(async move {
            before(wrong, &path)?;
            part.await?;
            after(wrong, ())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let wrong = self.store.ask(Kind::Complete, &self.path);
        before(wrong, &self.path)?;
        let done = self.inner.complete().await?;
        after(wrong, done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
