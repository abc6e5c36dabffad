//! The store as one attempt sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::faults::{Fault, Op, StoreFaults};
use super::upload::Upload;
use crate::broker::state::EPOCH_MS;
use crate::gate::Gate;
use crate::rng::Rng;
use crate::trace::Trace;

/// How long a client tries a request again before it gives up.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Parts of that time.
const PARTS: u32 = 6;

/// A log entry that was created.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its key.
    pub key: String,
    /// Its number.
    pub number: u64,
    /// Virtual milliseconds.
    pub at_ms: u64,
    /// It makes a recovery point.
    pub sealed: bool,
    /// A writer takes the set with it.
    pub claim: bool,
    /// Segments that it gives up.
    pub lost: usize,
}

/// The store of a simulation.
#[derive(Debug, Clone)]
pub struct ModelStore {
    pub(super) inner: Arc<InMemory>,
    faults: Arc<Mutex<StoreFaults>>,
    created: Arc<Mutex<Vec<Created>>>,
    /// Virtual millisecond at which each object was written last.
    written: Arc<Mutex<BTreeMap<String, u64>>>,
    /// Bytes of segments that were read.
    read: Arc<AtomicU64>,
    rng: Arc<Rng>,
    trace: Trace,
}

impl ModelStore {
    /// An empty store.
    pub fn new(seed: u64, trace: &Trace) -> Self {
        let rng = Arc::new(Rng::new(seed, "store"));
        let (inner, faults, created, written, read) = Default::default();
        Self { inner, faults, created, written, read, rng, trace: trace.clone() }
    }

    /// The faults.
    pub fn faults(&self) -> MutexGuard<'_, StoreFaults> {
        self.faults.lock().unwrap()
    }

    /// Without faults and gates, for the oracle.
    pub fn plain(&self) -> Arc<InMemory> {
        Arc::clone(&self.inner)
    }

    /// Bytes of segments that attempts read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// When each entry of a log was created, in order.
    pub fn created(&self) -> Vec<Created> {
        self.created.lock().unwrap().clone()
    }

    /// Writes, whoever asked for it and whether or not anybody hears of it.
    async fn put_now(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let key = location.to_string();
        let number =
            key.rsplit_once('/').filter(|_| key.contains("/log/main/")).and_then(|(_, name)| name.parse().ok());
        let bytes = number.map(|_| Bytes::from(payload.clone()));
        let result = self.inner.put_opts(location, payload, options).await;
        if result.is_ok() {
            self.note_written(&key);
        }
        if let (Some(number), Some(bytes), Ok(_)) = (number, bytes, &result) {
            let entry = archive::Entry::decode(&key, number, &bytes).ok();
            let sealed = entry.as_ref().is_some_and(|entry| entry.seal.is_some());
            let claim = entry.as_ref().is_some_and(|entry| entry.kind == archive::EntryKind::Claim);
            let lost = entry.map_or(0, |entry| entry.lost.len());
            let created = Created { key, number, at_ms: self.trace.now_ms(), sealed, claim, lost };
            self.created.lock().unwrap().push(created);
        }
        result
    }

    /// An object is written.
    pub(super) fn note_written(&self, key: &str) {
        self.written.lock().unwrap().insert(key.to_owned(), self.trace.now_ms());
    }

    /// An object as it is told: with the virtual time at which it was written.
    fn timed(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let written = self.written.lock().unwrap().get(meta.location.as_ref()).copied();
        if let Some(ms) = written {
            let (told, real) = (EPOCH_MS + ms as i64, meta.last_modified.timestamp_millis());
            let apart = Duration::from_millis(told.abs_diff(real));
            meta.last_modified = if told > real { meta.last_modified + apart } else { meta.last_modified - apart };
        }
        meta
    }

    /// What one attempt sees.
    pub fn view(&self, gate: &Gate) -> StoreView {
        StoreView { store: self.clone(), gate: gate.clone() }
    }

    /// Keys that contain a text, in order.
    pub async fn keys(&self, part: &str) -> Vec<String> {
        let all: Vec<_> = self.inner.list(None).collect().await;
        let keys = all.into_iter().map(|meta| meta.unwrap().location.to_string());
        keys.filter(|key| key.contains(part)).collect()
    }

    /// Removes objects, as a lifecycle rule does.
    pub async fn remove(&self, keys: &[String]) {
        for key in keys {
            self.inner.delete(&Path::from(key.as_str())).await.unwrap();
        }
    }
}

/// The store as one attempt sees it.
#[derive(Debug, Clone)]
pub struct StoreView {
    pub(super) store: ModelStore,
    pub(super) gate: Gate,
}

impl fmt::Display for StoreView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("model")
    }
}

pub(super) fn unreachable(what: &str) -> Error {
    Error::Generic { store: "model", source: format!("no answer to {what}").into() }
}

fn not_found(key: &Path) -> Error {
    Error::NotFound { path: key.to_string(), source: "the model says so".into() }
}

impl StoreView {
    /// A request on its way there.
    pub(super) async fn arrive(&self, op: Op, key: &str) -> Option<Fault> {
        self.gate.pass().await;
        let millis = self.store.rng.between(1, 12);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let fault = self.store.faults().take(op, key);
        if let Some(Fault::Slow(millis)) = fault {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        if fault.is_some() {
            self.store.trace.note_trouble();
        }
        self.gate.pass().await;
        let told = fault.map(|fault| format!(", {fault:?}")).unwrap_or_default();
        self.store.trace.step(format_args!("store {op:?} {key}{told}"));
        fault
    }

    /// An answer on its way back.
    pub(super) async fn back(&self) {
        let millis = self.store.rng.between(1, 8);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.gate.runs().await;
    }

    /// The client gives up.
    pub(super) async fn give_up(&self, what: &str) -> Error {
        // All this time something is wrong.
        for _ in 0..PARTS {
            self.store.trace.note_trouble();
            tokio::time::sleep(GIVE_UP / PARTS).await;
        }
        self.store.trace.note_trouble();
        self.gate.runs().await;
        unreachable(what)
    }

    pub(super) fn hide(&self, key: &str, fault: Option<Fault>) {
        let now = self.store.trace.now_ms();
        let mut faults = self.store.faults();
        if let Some(Fault::ListedLate(millis) | Fault::SeenLate(millis)) = fault {
            faults.unlisted.insert(key.to_owned(), now + millis);
        }
        if let Some(Fault::SeenLate(millis)) = fault {
            faults.unread.insert(key.to_owned(), now + millis);
        }
    }

    fn listed(&self, key: &str) -> bool {
        !StoreFaults::hidden(&self.store.faults().unlisted, key, self.store.trace.now_ms())
    }

    fn readable(&self, key: &str) -> bool {
        !StoreFaults::hidden(&self.store.faults().unread, key, self.store.trace.now_ms())
    }
}

#[async_trait]
impl ObjectStore for StoreView {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let op = if options.mode == PutMode::Create { Op::Create } else { Op::Put };
        let fault = self.arrive(op, location.as_ref()).await;
        match fault {
            Some(Fault::Failed) => return Err(self.give_up("a write").await),
            Some(Fault::Late(millis)) => {
                let (store, location) = (self.store.clone(), location.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    drop(store.put_now(&location, payload, options).await);
                });
                return Err(self.give_up("a write").await);
            }
            Some(Fault::DoneButFailed) => {
                drop(self.store.put_now(location, payload, options).await);
                return Err(self.give_up("a write").await);
            }
            Some(Fault::LostAnswer) => {
                drop(self.store.put_now(location, payload.clone(), options.clone()).await);
                self.back().await;
            }
            _ => {}
        }
        self.hide(location.as_ref(), fault);
        let result = self.store.put_now(location, payload, options).await;
        self.back().await;
        result
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.arrive(Op::Put, location.as_ref()).await;
        let inner = self.store.inner.put_multipart_opts(location, options).await?;
        self.back().await;
        Ok(Box::new(Upload::new(self.clone(), location.to_string(), inner)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let op = if options.head { Op::Head } else { Op::Get };
        let fault = self.arrive(op, location.as_ref()).await;
        match fault {
            Some(Fault::Failed | Fault::DoneButFailed | Fault::Late(_)) => return Err(self.give_up("a read").await),
            Some(Fault::NotFound) => return Err(not_found(location)),
            _ => {}
        }
        if !self.readable(location.as_ref()) {
            return Err(not_found(location));
        }
        let mut result = self.store.inner.get_opts(location, options).await;
        if let Ok(found) = &mut result {
            found.meta = self.store.timed(found.meta.clone());
        }
        if let (Ok(found), Op::Get, true) = (&result, op, location.extension() == Some("seg")) {
            self.store.read.fetch_add(found.range.end - found.range.start, Ordering::Relaxed);
        }
        self.back().await;
        result
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let view = self.clone();
        let delete = move |location: Result<Path>| {
            let view = view.clone();
            async move {
                let location = location?;
                if let Some(Fault::Failed) = view.arrive(Op::Delete, location.as_ref()).await {
                    return Err(view.give_up("a deletion").await);
                }
                let result = view.store.inner.delete(&location).await;
                view.back().await;
                result.map(|()| location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (view, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let shown = prefix.as_ref().map(ToString::to_string).unwrap_or_default();
            if let Some(Fault::Failed | Fault::DoneButFailed | Fault::Late(_)) = view.arrive(Op::List, &shown).await {
                return futures::stream::iter(vec![Err(view.give_up("a list").await)]);
            }
            let mut all: Vec<_> = view.store.inner.list(prefix.as_ref()).collect().await;
            all.retain(|meta| meta.as_ref().is_ok_and(|meta| view.listed(meta.location.as_ref())));
            view.back().await;
            let timed = |meta: Result<ObjectMeta>| meta.map(|meta| view.store.timed(meta));
            futures::stream::iter(all.into_iter().map(timed).collect::<Vec<_>>())
        };
        futures::stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let shown = prefix.map(ToString::to_string).unwrap_or_default();
        if let Some(Fault::Failed | Fault::DoneButFailed | Fault::Late(_)) = self.arrive(Op::List, &shown).await {
            return Err(self.give_up("a list").await);
        }
        let mut result = self.store.inner.list_with_delimiter(prefix).await?;
        result.objects.retain(|meta| self.listed(meta.location.as_ref()));
        result.objects = result.objects.into_iter().map(|meta| self.store.timed(meta)).collect();
        self.back().await;
        Ok(result)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.inner.copy_opts(from, to, options).await
    }
}
