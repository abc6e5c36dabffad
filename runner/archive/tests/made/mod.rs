//! Archives in memory, made by the writer: a claim and a seal for each recovery point, with one record each.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archive::{
    ArchiveError, Arena, Digest, Fork, Layout, LogStart, Moves, Opened, Owner, PartitionState, PendingBatch, Point,
    SealFacts, SetWriter, Source, Store, Timelines, TopicState, Wanted, WriterOptions, replaced_by,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, Window, encode_batch};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use uuid::Uuid;

pub(crate) const SET: &str = "orders";
pub(crate) const TOPIC: Uuid = Uuid::from_u128(1);
const PARTITIONS: i32 = 3;

/// The stamp of the n-th point.
pub(crate) fn stamp(n: u64) -> String {
    format!("202601{:02}-{:02}{:02}{:02}", 1 + n / 86_400, n / 3_600 % 24, n / 60 % 60, n % 60)
}

/// An archive in memory.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) store: Store,
    uuid: u128,
    /// Who owns the sets that it writes.
    pub(crate) owner: Owner,
    /// Whether runs take sets over.
    pub(crate) adopt: bool,
    /// What runs know of the source when they may give up lost segments.
    pub(crate) starts: Option<BTreeMap<(Uuid, i32), LogStart>>,
}

impl Made {
    pub(crate) fn new() -> Self {
        Self::with_uuid(1)
    }

    pub(crate) fn with_uuid(uuid: u128) -> Self {
        let inner = Arc::new(InMemory::new());
        let store = Store::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, "", "memory");
        let owner = Owner { namespace: "ns".into(), name: SET.into(), cluster_id: "cluster".into() };
        Self { store, inner, uuid, owner, adopt: false, starts: None }
    }

    /// The same archive, reached through another store.
    pub(crate) fn through(&self, store: Store) -> Self {
        Self { store, ..Self::sharing(self) }
    }

    /// All objects with their bytes.
    pub(crate) async fn all(&self) -> BTreeMap<String, u64> {
        let all: Vec<_> = self.inner.list(None).try_collect().await.unwrap();
        all.into_iter().map(|meta| (meta.location.to_string(), meta.size)).collect()
    }

    /// The same archive, whose runs are those of this resource.
    pub(crate) fn owned_by(self, owner: Owner) -> Self {
        Self { owner, ..self }
    }

    /// Another view of the same objects.
    pub(crate) fn sharing(other: &Self) -> Self {
        let (inner, store, owner) = (Arc::clone(&other.inner), other.store.clone(), other.owner.clone());
        Self { inner, store, uuid: other.uuid, owner, adopt: false, starts: None }
    }

    pub(crate) async fn points(&self, count: u64) {
        self.more_points(0, count).await;
    }

    pub(crate) async fn more_points(&self, from: u64, count: u64) {
        for n in from..from + count {
            self.point(SET, true, n).await;
        }
    }

    /// A run after all others.
    pub(crate) async fn one_more(&self) {
        self.point(SET, true, 80_000).await;
    }

    /// What a run does before it reads from the source.
    pub(crate) async fn open_on(&self, store: &Store) {
        drop(SetWriter::open(store.clone(), self.options(SET, true, 90_000)).await.unwrap());
    }

    /// A run that begins point `n` and dies after its claim, or the failure.
    pub(crate) async fn claim(&self, n: u64) -> Result<SetWriter, ArchiveError> {
        match SetWriter::open(self.store.clone(), self.options(SET, true, n)).await? {
            Opened::Writer(writer) => Ok(*writer),
            Opened::Sealed(sealed) => panic!("{sealed:?}"),
        }
    }

    /// A run that reads each partition up to these offsets, one record at each, and makes point `n`.
    pub(crate) async fn read_up_to(&self, n: u64, ends: &[i64]) {
        let mut writer = self.claim(n).await.unwrap();
        let (mut arena, mut positions) = (Arena::default(), Vec::new());
        for (partition, end) in (0i32..).zip(ends) {
            let mut row = writer.state().partitions.get(&(TOPIC, partition)).cloned().unwrap();
            for offset in row.next..*end {
                let raw = one_record(offset);
                row.next += 1;
                row.committed += 1;
                row.bytes += raw.bytes.len() as u64;
                row.max_timestamp = row.max_timestamp.max(offset + 1);
                let (timeline, from, aborted) = (row.timeline, offset, false);
                arena.push(PendingBatch { topic: TOPIC, partition, timeline, from, committed: 1, aborted, raw });
            }
            positions.push((TOPIC, row));
        }
        writer.push(arena).await.unwrap();
        self.seal(&mut writer, SET, n, positions).await;
    }

    /// A run that finds the log of partition 0 cut at `from`, reads it up to `end` in batches of `size` records, and makes point `n`.
    pub(crate) async fn read_again(&self, n: u64, (from, end): (i64, i64), size: i64) {
        let mut writer = self.claim(n).await.unwrap();
        let mut row = writer.state().partitions.get(&(TOPIC, 0)).cloned().unwrap();
        (row.timeline, row.next) = (row.timeline + 1, from);
        let fork = Fork { topic: TOPIC, name: "t".into(), partition: 0, timeline: row.timeline, from };
        row.replace(replaced_by(&self.store, &Layout::new(SET), writer.newest(), &fork).await.unwrap());
        let moves = Moves { positions: vec![(TOPIC, row.clone())], forks: vec![fork], ..Moves::default() };
        writer.commit(moves).await.unwrap();
        let mut arena = Arena::default();
        while row.next < end {
            let (raw, from, timeline) = (records(row.next, size), row.next, row.timeline);
            let committed = raw.header.records();
            row.next += size;
            row.committed += committed;
            row.bytes += raw.bytes.len() as u64;
            arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline, from, committed, aborted: false, raw });
        }
        writer.push(arena).await.unwrap();
        self.seal(&mut writer, SET, n, vec![(TOPIC, row)]).await;
    }

    /// A run that makes point `n`: it reads two records more, of a log that has lost all but its last two.
    pub(crate) async fn moving_point(&self, n: u64) {
        self.try_moving_point(n).await.unwrap();
    }

    /// The same beside others; whoever is faster wins.
    pub(crate) async fn moving_or_fenced(&self, n: u64) {
        match self.try_moving_point(n).await {
            Ok(()) => {}
            Err(error) => assert_eq!(error.code(), contract::Code::PrunedMeanwhile, "{error}"),
        }
    }

    async fn try_moving_point(&self, n: u64) -> Result<(), ArchiveError> {
        let mut writer = self.claim(n).await?;
        writer.know_topic(TopicState::new(TOPIC, "t", PARTITIONS, 1));
        let known = writer.state().partitions.get(&(TOPIC, 0)).cloned();
        let mut row = known.unwrap_or_else(|| PartitionState::new(0, 0));
        row.log_start = row.next;
        let mut arena = Arena::default();
        for _ in 0..2 {
            let (raw, from) = (one_record(row.next), row.next);
            row.next += 1;
            row.committed += 1;
            row.bytes += raw.bytes.len() as u64;
            let timeline = row.timeline;
            arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline, from, committed: 1, aborted: false, raw });
        }
        writer.push(arena).await?;
        self.try_seal(&mut writer, SET, n, vec![(TOPIC, row)]).await
    }

    /// A segment that nobody names yet.
    pub(crate) async fn push_one(&self, writer: &mut SetWriter) {
        writer.know_topic(TopicState::new(TOPIC, "t", PARTITIONS, 1));
        let (mut arena, raw) = (Arena::default(), one_record(1_000));
        let (from, timeline) = (1_000, 0);
        arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline, from, committed: 1, aborted: false, raw });
        let before = self.all().await.len();
        writer.push(arena).await.unwrap();
        writer.close_segment().await.unwrap();
        while self.all().await.len() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A full set of this name.
    pub(crate) async fn full(&self, name: &str) {
        let n = (0..100).find(|n| name.ends_with(&stamp(*n))).unwrap();
        self.point(name, false, n).await;
    }

    pub(crate) async fn point(&self, set: &str, incremental: bool, n: u64) {
        let base = if incremental { set } else { contract::stamp::split_point(set).unwrap().0 };
        let mut writer = match SetWriter::open(self.store.clone(), self.options(set, incremental, n)).await.unwrap() {
            Opened::Writer(writer) => *writer,
            Opened::Sealed(sealed) => panic!("{sealed:?}"),
        };
        writer.know_topic(TopicState::new(TOPIC, "t", PARTITIONS, 1));
        let partition = i32::try_from(n % 3).unwrap();
        let known = writer.state().partitions.get(&(TOPIC, partition)).cloned();
        let mut row = known.unwrap_or_else(|| PartitionState::new(partition, 0));
        let raw = one_record(row.next);
        let from = row.next;
        row.next += 1;
        row.committed += 1;
        row.bytes += raw.bytes.len() as u64;
        let (mut arena, timeline) = (Arena::default(), row.timeline);
        arena.push(PendingBatch { topic: TOPIC, partition, timeline, from, committed: 1, aborted: false, raw });
        writer.push(arena).await.unwrap();
        self.seal(&mut writer, base, n, vec![(TOPIC, row)]).await;
    }

    /// Seals the point of moment `n`, with its hint.
    pub(crate) async fn seal(
        &self,
        writer: &mut SetWriter,
        base: &str,
        n: u64,
        positions: Vec<(Uuid, PartitionState)>,
    ) {
        self.try_seal(writer, base, n, positions).await.unwrap();
    }

    async fn try_seal(
        &self,
        writer: &mut SetWriter,
        base: &str,
        n: u64,
        positions: Vec<(Uuid, PartitionState)>,
    ) -> Result<(), ArchiveError> {
        let facts = SealFacts {
            converted: None,
            point: format!("{base}-{}", stamp(n)),
            stamp: stamp(n),
            at: "2026-01-01T00:00:00Z".into(),
            source_cluster_id: None,
            include_offset_headers: false,
            held_back: vec![],
            configs: [("t".to_owned(), [("retention.ms".to_owned(), n.to_string())].into())].into(),
            groups: None,
            writer: "test".into(),
        };
        let moves = Moves { positions, ..Moves::default() };
        let (entry, digest) = writer.seal(moves, &BTreeSet::from([TOPIC]), facts).await?;
        writer.write_hint(&entry, &digest).await
    }

    pub(crate) fn options(&self, set: &str, incremental: bool, n: u64) -> WriterOptions {
        WriterOptions {
            layout: Layout::new(set),
            owner: self.owner.clone(),
            source: Source { starts: self.starts.clone(), ..Source::default() },
            incremental,
            continuous: false,
            head: None,
            adopt: self.adopt,
            run: format!("run-{n}"),
            spec: Digest::of(b"spec"),
            stamp: stamp(n),
            nonce: format!("{n:016x}"),
            uuid: Uuid::from_u128(self.uuid),
            codec: Codec::None,
            level: 1,
            workers: 1,
            segment_max_bytes: 1 << 20,
        }
    }

    /// All keys of the set that begin with `part`.
    pub(crate) async fn keys(&self, part: &str) -> Vec<String> {
        let all: Vec<_> = self.inner.list(None).try_collect().await.unwrap();
        let start = format!("{SET}/{part}");
        let mut keys: Vec<String> =
            all.iter().map(|meta| meta.location.to_string()).filter(|key| key.starts_with(&start)).collect();
        keys.sort();
        keys
    }

    pub(crate) async fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let found = self.inner.get(&Path::from(key)).await.ok()?;
        Some(found.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.inner.put(&Path::from(key), bytes.into()).await.unwrap();
    }

    pub(crate) async fn remove(&self, key: &str) {
        self.inner.delete(&Path::from(key)).await.unwrap();
    }

    /// The same objects in another store.
    pub(crate) async fn copy(&self) -> Self {
        let copy = Self::with_uuid(self.uuid);
        for key in self.keys("").await {
            copy.put(&key, self.bytes(&key).await.unwrap()).await;
        }
        copy
    }

    /// Whether an object below `part` is not as in the other archive.
    pub(crate) async fn differs(&self, other: &Self, part: &str) -> bool {
        for key in other.keys(part).await {
            if self.bytes(&key).await != other.bytes(&key).await {
                return true;
            }
        }
        false
    }

    /// The same archive behind a store that counts requests, and takes its time for each.
    pub(crate) fn counted(&self, delay: Duration) -> Counted {
        let requests = Arc::new(AtomicU64::new(0));
        let counting = Counting { inner: Arc::clone(&self.inner), requests: Arc::clone(&requests), delay };
        Counted { store: Store::new(Arc::new(counting), "", "memory"), requests }
    }
}

pub(crate) fn one_record(offset: i64) -> RawBatch {
    records(offset, 1)
}

fn records(offset: i64, count: i64) -> RawBatch {
    let meta = BatchMeta {
        base_offset: offset,
        base_timestamp: offset + 1,
        max_timestamp: offset + 1,
        producer: (-1, -1, -1),
        records: i32::try_from(count).unwrap(),
    };
    let record = |delta: i64| [12, 0, 0, u8::try_from(delta * 2).unwrap(), 1, 1, 0];
    let records: Vec<u8> = (0..count).flat_map(record).collect();
    RawBatch::parse(encode_batch(&meta, &records, &mut Compressor::new(Codec::None, None)).unwrap().into()).unwrap()
}

/// Reads every record of a point and counts them.
pub(crate) async fn read_all(store: &Store, layout: &Layout, seal: u64) -> Result<u64, ArchiveError> {
    let point = Point::load(store, layout, seal).await?;
    point.check_sums().await?;
    let from: HashMap<_, _> = (0..PARTITIONS).map(|partition| ((TOPIC, partition), i64::MIN)).collect();
    let mut stream = point.stream(Wanted::new(from, Timelines::new(point.forks()), Window::ALL)).await?;
    let mut records = 0;
    while let Some(share) = stream.next().await? {
        records += share.batches.iter().map(|batch| batch.header.records()).sum::<u64>();
    }
    Ok(records)
}

/// A store that is counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) store: Store,
    requests: Arc<AtomicU64>,
}

impl Counted {
    /// Requests since the last call.
    pub(crate) fn take(&self) -> u64 {
        self.requests.swap(0, Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Counting {
    inner: Arc<InMemory>,
    requests: Arc<AtomicU64>,
    delay: Duration,
}

impl Counting {
    async fn request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.delay).await;
    }
}

impl std::fmt::Display for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("counting")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, at: &Path, payload: PutPayload, o: PutOptions) -> object_store::Result<PutResult> {
        self.request().await;
        self.inner.put_opts(at, payload, o).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.request().await;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.request().await;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    /// Pages of 1,000, as S3 lists.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (requests, delay) = (Arc::clone(&self.requests), self.delay);
        requests.fetch_add(1, Ordering::SeqCst);
        let page = move |(place, found): (usize, object_store::Result<ObjectMeta>)| {
            let requests = Arc::clone(&requests);
            async move {
                if place % 1_000 == 0 {
                    requests.fetch_add(u64::from(place > 0), Ordering::SeqCst);
                    tokio::time::sleep(delay).await;
                }
                found
            }
        };
        self.inner.list(prefix).enumerate().then(page).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (requests, delay) = (Arc::clone(&self.requests), self.delay);
        requests.fetch_add(1, Ordering::SeqCst);
        let inner = self.inner.list_with_offset(prefix, offset);
        let first = futures::stream::once(async move { tokio::time::sleep(delay).await });
        first.flat_map(|()| futures::stream::empty()).chain(inner).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.request().await;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.request().await;
        self.inner.copy_opts(from, to, options).await
    }
}
