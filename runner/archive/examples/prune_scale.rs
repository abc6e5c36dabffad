//! What a plan of retention costs of a set of many points: time, requests (a listing asks for 1,000 keys) and memory.
//!
//! usage: `prune_scale` make DIR POINTS PARTITIONS     each point is a run: a claim, a segment, a seal
//!        `prune_scale` plan DIR [MILLISECONDS]        of a request, as of a store that is far away
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

mod scaled;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archive::{Arena, Layout, Moves, PartitionState, PendingBatch, SealFacts, Store, TopicState, prune_plan};
use contract::SetOwner;
use contract::retention::RetentionRules;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use tokio::time::Instant;

use scaled::{SET, TOPIC, one_record, open_writer, options, peak_mib};

/// Points whose records the source still has.
const KEPT_BY_SOURCE: i64 = 100;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let delay = arguments.get(3).filter(|_| arguments[1] == "plan").map_or(0, |text| text.parse().unwrap());
    let (store, requests) = open(&arguments[2], Duration::from_millis(delay));
    let started = Instant::now();
    match arguments[1].as_str() {
        "make" => make(&store, arguments[3].parse().unwrap(), arguments[4].parse().unwrap()).await,
        "plan" => {
            for (what, rules) in [
                ("keepLast 100", RetentionRules::keeping(Some(100), None, None).unwrap()),
                ("keepLast 1", RetentionRules::keeping(Some(1), None, None).unwrap()),
                ("a size", RetentionRules::keeping(Some(1), None, Some(1 << 20)).unwrap()),
            ] {
                requests.store(0, Ordering::SeqCst);
                let started = Instant::now();
                let owner = SetOwner { name: SET.into(), namespace: Some(String::new()), cluster_id: Some("c".into()) };
                let plan = prune_plan(&store, &owner, &rules, Timestamp::now()).await.unwrap();
                let gone = plan.points.iter().filter(|point| point.verdict.goes()).count();
                println!(
                    "{what:<14}{gone:>7} of {} points, {:>6} dead segments, {:>8} KiB come back: {:>6} ms, {:>5} requests, {:>4} MiB",
                    plan.points.len(),
                    plan.chains[0].dead.segments,
                    plan.chains[0].comes_back() >> 10,
                    started.elapsed().as_millis(),
                    requests.load(Ordering::SeqCst),
                    peak_mib()
                );
            }
        }
        other => panic!("{other}"),
    }
    println!("{:<8}{:>8} ms {:>6} MiB", arguments[1], started.elapsed().as_millis(), peak_mib());
}

async fn make(store: &Store, points: i64, partitions: i32) {
    let began = Timestamp::from_second(1_767_225_600).unwrap();
    for n in 0..points {
        let stamp = contract::stamp::stamp(Timestamp::from_second(began.as_second() + n * 3_600).unwrap());
        let mut writer = open_writer(store, options(format!("run-{n}"), &stamp, format!("{n:016x}"), false)).await;
        writer.know_topic(TopicState::new(TOPIC, "t", partitions, 1));
        let (mut arena, mut positions) = (Arena::default(), Vec::new());
        for partition in 0..partitions {
            let known = writer.state().partitions.get(&(TOPIC, partition)).cloned();
            let mut row = known.unwrap_or_else(|| PartitionState::new(partition, 0));
            row.log_start = (n - KEPT_BY_SOURCE).max(0);
            let raw = one_record(row.next);
            let from = row.next;
            row.next += 1;
            row.committed += 1;
            row.bytes += raw.bytes.len() as u64;
            row.max_timestamp = from;
            arena.push(PendingBatch { topic: TOPIC, partition, timeline: 0, from, committed: 1, aborted: false, raw });
            positions.push((TOPIC, row));
        }
        writer.push(arena).await.unwrap();
        let facts = SealFacts {
            converted: None,
            point: format!("{SET}-{stamp}"),
            stamp,
            at: "2026-01-31T08:00:00Z".into(),
            source_cluster_id: None,
            include_offset_headers: true,
            held_back: vec![],
            configs: [("t".to_owned(), std::collections::BTreeMap::new())].into(),
            groups: None,
            writer: "scale".into(),
        };
        let moves = Moves { positions, ..Moves::default() };
        let (entry, digest) = writer.seal(moves, &BTreeSet::from([TOPIC]), facts).await.unwrap();
        writer.write_hint(&entry, &digest).await.unwrap();
        for name in ["report.json", "events.jsonl"] {
            let run = Layout::new(SET).run(&format!("{SET}-{}", entry.point), name);
            store.put(&run, vec![b'x'; 400].into()).await.unwrap();
        }
    }
}

/// Without fsync: nothing here must survive anything.
fn open(dir: &str, delay: Duration) -> (Store, Arc<AtomicU64>) {
    std::fs::create_dir_all(dir).unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let inner = Arc::new(LocalFileSystem::new_with_prefix(dir).unwrap());
    let far = Far { inner, requests: Arc::clone(&requests), delay };
    (Store::new(Arc::new(far), "", dir), requests)
}

/// A store that is far away.
#[derive(Debug)]
struct Far {
    inner: Arc<LocalFileSystem>,
    requests: Arc<AtomicU64>,
    delay: Duration,
}

impl Far {
    async fn request(&self) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

impl std::fmt::Display for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("far")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.request().await;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.request().await;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.request().await;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    /// Pages of 1,000, as S3 lists.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (requests, delay) = (Arc::clone(&self.requests), self.delay);
        let page = move |(place, found): (usize, Result<ObjectMeta>)| {
            let requests = Arc::clone(&requests);
            async move {
                if place % 1_000 == 0 {
                    requests.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(delay).await;
                }
                found
            }
        };
        self.inner.list(prefix).enumerate().then(page).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request().await;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
