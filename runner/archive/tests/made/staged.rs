//! A store in memory with a clock of its own, whose users can be ended at any request, take turns in an order that a seed
//! says, and be refused what they want to delete.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use archive::Store;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What all users of one store share.
#[derive(Debug)]
pub(crate) struct Stage {
    inner: Arc<InMemory>,
    /// Seconds since 1970.
    clock: AtomicU64,
    written: Mutex<BTreeMap<Path, u64>>,
    /// Keys that nobody may delete.
    locked: Mutex<BTreeSet<String>>,
    seed: Mutex<u64>,
    deleted: AtomicU64,
    /// Whether users take turns.
    pub(crate) turns: std::sync::atomic::AtomicBool,
}

/// One user of the store.
#[derive(Debug)]
pub(crate) struct User {
    stage: Arc<Stage>,
    /// Requests that it may still make.
    left: Arc<AtomicU64>,
    died: Arc<Notify>,
}

impl Stage {
    pub(crate) fn new(inner: &Arc<InMemory>, clock: u64, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            clock: clock.into(),
            written: Mutex::default(),
            locked: Mutex::default(),
            seed: Mutex::new(seed),
            deleted: 0.into(),
            turns: false.into(),
        })
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    /// Says when an object was written.
    pub(crate) fn date(&self, key: &str, at: u64) {
        self.written.lock().unwrap().insert(Path::from(key), at);
    }

    pub(crate) fn lock(&self, key: &str) {
        self.locked.lock().unwrap().insert(key.to_owned());
    }

    pub(crate) fn unlock(&self) {
        self.locked.lock().unwrap().clear();
    }

    /// Objects that were deleted.
    pub(crate) fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::SeqCst)
    }

    /// A user that is ended at its request number `requests`, and what tells of that.
    pub(crate) fn user(self: &Arc<Self>, requests: u64) -> (Store, Arc<Notify>) {
        let died = Arc::new(Notify::new());
        let user = User { stage: Arc::clone(self), left: Arc::new(requests.into()), died: Arc::clone(&died) };
        (Store::new(Arc::new(user), "", "stage").inline(), died)
    }

    fn draw(&self, below: u64) -> u64 {
        let mut seed = self.seed.lock().unwrap();
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % below
    }

    fn dated(&self, meta: ObjectMeta) -> ObjectMeta {
        let at = self.written.lock().unwrap().get(&meta.location).copied().unwrap_or_else(|| self.now());
        let last_modified: DateTime<Utc> = DateTime::from_timestamp(i64::try_from(at).unwrap(), 0).unwrap();
        ObjectMeta { last_modified, ..meta }
    }

    /// The answer of a store to one key of many.
    async fn delete(&self, key: Path) -> Result<Path> {
        if self.locked.lock().unwrap().contains(key.as_ref()) {
            let source =
                format!("DeleteObjects request failed for key {key}: Access Denied (code: AccessDenied)").into();
            return Err(object_store::Error::Generic { store: "S3", source });
        }
        // Who of two comes second is told that there is nothing.
        self.inner.head(&key).await?;
        self.inner.delete(&key).await?;
        self.deleted.fetch_add(1, Ordering::SeqCst);
        Ok(key)
    }
}

async fn request(stage: &Stage, left: &AtomicU64, died: &Notify) {
    if stage.turns.load(Ordering::SeqCst) {
        for _ in 0..stage.draw(6) {
            tokio::task::yield_now().await;
        }
    }
    if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
        died.notify_one();
        std::future::pending::<()>().await;
    }
}

impl User {
    async fn request(&self) {
        request(&self.stage, &self.left, &self.died).await;
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("staged")
    }
}

#[async_trait::async_trait]
impl ObjectStore for User {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.request().await;
        let done = self.stage.inner.put_opts(at, payload, options).await?;
        self.stage.written.lock().unwrap().insert(at.clone(), self.stage.now());
        Ok(done)
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.request().await;
        self.stage.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.request().await;
        let found = self.stage.inner.get_opts(at, options).await?;
        Ok(GetResult { meta: self.stage.dated(found.meta.clone()), ..found })
    }

    /// Each object is a request of its own: a user can be ended between any two.
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (stage, died, left) = (Arc::clone(&self.stage), Arc::clone(&self.died), Arc::clone(&self.left));
        let all = locations.then(move |location| {
            let (stage, died, left) = (Arc::clone(&stage), Arc::clone(&died), Arc::clone(&left));
            async move {
                request(&stage, &left, &died).await;
                stage.delete(location?).await
            }
        });
        all.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (stage, died, left) = (Arc::clone(&self.stage), Arc::clone(&self.died), Arc::clone(&self.left));
        let prefix = prefix.cloned();
        let all = futures::stream::once(async move {
            request(&stage, &left, &died).await;
            stage.inner.list(prefix.as_ref()).map(move |meta| meta.map(|meta| stage.dated(meta)))
        });
        all.flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request().await;
        self.stage.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.request().await;
        self.stage.inner.copy_opts(from, to, options).await
    }
}
