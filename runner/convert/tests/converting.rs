//! Archives of another tool, written by a generator of our own, and converted into sets of ours.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::large_futures)]

#[path = "../../foreign/tests/written/mod.rs"]
mod written;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use archive::{ArchiveError, Level, Owner, Point, Store, Timelines, Verification, Wanted};
use batch::{Decompressor, RecordIter, Window};
use bytes::Bytes;
use contract::{Code, Compression, ForeignRecords, Report};
use convert::{Progress, Request, convert};
use foreign::Set;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Value, json};
use uuid::Uuid;

use self::written::{Made, Pack, key, listed, manifest, segment, topic};

fn memory() -> (Arc<InMemory>, Store) {
    let inner = Arc::new(InMemory::new());
    (Arc::clone(&inner), Store::new(inner, "", "memory"))
}

async fn put(store: &Store, key: &str, bytes: Vec<u8>) {
    store.put(&Path::from(key), Bytes::from(bytes).into()).await.unwrap();
}

fn wide(offset: i64) -> Made {
    // What does not compress fills segments.
    let mut state = offset.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let value = (0..1_000).flat_map(|_| next()).collect();
    Made { value: Some(value), ..Made::plain(offset) }
}

fn covering(listed: Value, object: &[u8], covered: (i64, i64)) -> Value {
    let digest = ring::digest::digest(&ring::digest::SHA256, object);
    written::covering(listed, &hex::encode(digest), covered, 0)
}

/// The set `old`: two partitions of about 600 records in three segments each, with a gap in the first and a marker in the second.
async fn old(store: &Store) -> BTreeMap<i32, Vec<Made>> {
    let (mut partitions, mut all) = (Vec::new(), BTreeMap::new());
    for partition in 0..2 {
        let mut segments = Vec::new();
        for part in 0..3i64 {
            let first = part * 200 + if partition == 0 && part == 2 { 50 } else { 0 };
            // Compaction left holes in the second partition.
            let there = |offset: &i64| partition == 0 || offset % 50 != 7;
            let plain: Vec<Made> = (first..part * 200 + 200).filter(there).map(wide).collect();
            let mut stored: Vec<Made> = plain.iter().cloned().map(Made::with_added_headers).collect();
            if (partition, part) == (1, 2) {
                stored.push(Made::marker(600, true).with_added_headers());
            }
            all.entry(partition).or_insert_with(Vec::new).extend(plain);
            let pack = Pack::ALL[usize::try_from(part).unwrap()];
            let (key, object) = (key("old", "t", partition, first, pack), segment(&stored, pack));
            let listed = listed(&key, &stored, &object);
            // The first partition is one of 0.25.
            let last = stored.last().unwrap().offset;
            let listed = if partition == 0 { covering(listed, &object, (first, last)) } else { listed };
            segments.push(listed);
            put(store, &key, object).await;
        }
        let gaps = json!([{"start_offset": 400, "end_offset": 450, "reason": "offset_out_of_range", "detected_at": 1}]);
        let gaps = if partition == 0 { gaps } else { json!([]) };
        partitions.push(json!({"partition_id": partition, "segments": segments, "gaps": gaps}));
    }
    let mut topic = topic("t", Value::Array(partitions));
    topic["original_partition_count"] = json!(3);
    topic["configurations"] = json!({"retention.ms": "60000"});
    put(store, "old/manifest.json", serde_json::to_vec(&manifest("old", json!([topic]))).unwrap()).await;
    let snapshot = json!({"snapshot_time": 1, "groups": [{"group_id": "g", "offsets": {"t": {"0": 300}}}]});
    put(store, "old/consumer-groups-snapshot.json", serde_json::to_vec(&snapshot).unwrap()).await;
    all
}

static NONCE: AtomicU64 = AtomicU64::new(1);

fn request(set: &str) -> Request {
    Request {
        set: set.to_owned(),
        owner: Owner { namespace: "shop".into(), name: set.into(), cluster_id: String::new() },
        records: ForeignRecords::Cleaned,
        include_offset_headers: false,
        compression: Compression::Zstd,
        level: 1,
        workers: 0,
        segment_max_bytes: 1 << 20,
        nonce: format!("{:016x}", NONCE.fetch_add(1, Ordering::Relaxed)),
        uuid: Uuid::from_u128(7),
        release: "test".into(),
        now: "2026-01-31T08:00:00.000Z".into(),
    }
}

async fn found(store: &Store) -> Set {
    Set::find(store, "old").await.unwrap().unwrap()
}

async fn converted(from: &Store, to: &Store, set: &str) -> Result<Report, ArchiveError> {
    convert((from, "old"), to, &request(set), &|_| {}).await
}

async fn opened(store: &Store, name: &str) -> Point {
    Point::open(store, &archive::find(store, name).await.unwrap()).await.unwrap()
}

async fn records(point: &Point) -> BTreeMap<i32, Vec<Made>> {
    let topic = |row: &archive::PartitionState| point.seal.topics[row.topic as usize].id;
    let from: HashMap<_, _> = point.seal.partitions.iter().map(|row| ((topic(row), row.partition), 0)).collect();
    let mut stream = point.stream(Wanted::new(from, Timelines::default(), Window::ALL)).await.unwrap();
    let mut out: BTreeMap<i32, Vec<Made>> = BTreeMap::new();
    while let Some(share) = stream.next().await.unwrap() {
        for batch in &share.batches {
            let payload = batch::payload(batch, &mut Decompressor::default(), 1 << 30).unwrap();
            for record in RecordIter::new(&batch.header, &payload) {
                let record = record.unwrap();
                out.entry(share.partition).or_default().push(Made {
                    offset: batch.header.base_offset + i64::from(record.offset_delta),
                    timestamp: batch.header.base_timestamp + record.timestamp_delta,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: record.headers().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
                });
            }
        }
    }
    out
}

async fn verified(store: &Store, set: &str) -> Verification {
    archive::verify_named(store, set, Level::Decode).await.unwrap().2
}

async fn keys(store: &InMemory) -> Vec<(String, u64)> {
    use futures::TryStreamExt;
    let mut all: Vec<_> = store.list(None).try_collect::<Vec<_>>().await.unwrap();
    all.sort_by(|a, b| a.location.cmp(&b.location));
    all.into_iter().map(|one| (one.location.to_string(), one.size)).collect()
}

#[tokio::test]
async fn a_converted_set_holds_what_the_archive_held_and_says_what_it_lost() {
    let ((source, from), (_, to)) = (memory(), memory());
    let expected = old(&from).await;
    let before = keys(&source).await;
    let report = converted(&from, &to, "orders").await.unwrap();
    assert_eq!((report.outcome.as_str(), report.records, report.partitions), ("CompletedWithGaps", 1_138, 3));
    let point = opened(&to, "orders").await;
    assert_eq!(records(&point).await, expected);
    assert_eq!(keys(&source).await, before, "nothing is written into the archive");
    // The stamp is that of the archive's newest segment.
    assert_eq!(point.seal.point, report.point.clone().unwrap());
    assert_eq!(point.seal.at, contract::stamp::stamp_time(&contract::stamp::stamp(found(&from).await.moment())));
    let topic = &point.seal.topics[0];
    assert_eq!((topic.name.as_str(), topic.partitions, topic.is_undecided()), ("t", 3, true));
    let next: Vec<i64> = point.seal.partitions.iter().map(|row| row.next).collect();
    assert_eq!(next, [600, 601]);
    let gaps: Vec<_> =
        point.gaps().iter().map(|gap| (gap.partition, gap.from, gap.to, gap.reason.to_string())).collect();
    assert_eq!(gaps, [(0, 400, 450, "log-start-moved".to_owned())]);
    assert_eq!(point.configs().await.unwrap()["t"]["retention.ms"], "60000");
    let groups = point.groups().await.unwrap().unwrap();
    assert_eq!((groups[0].group.as_str(), groups[0].offsets[0].offset), ("g", 300));
    let found = verified(&to, "orders").await;
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(found.records, 1_138);
    let notes: Vec<String> = found.notes.iter().map(ToString::to_string).collect();
    let notes = notes.join("\n");
    assert!(notes.contains("was converted from old: t/0: offsets 400 to 449 are lost"), "{notes}");
    assert!(notes.contains("t/1: 1 records that look like markers of transactions are left out"), "{notes}");
    assert_eq!(report.gaps.len(), 1);
    assert!(report.warnings.iter().any(|loss| loss.contains("offsets 400 to 449 are lost")), "{:?}", report.warnings);
}

#[tokio::test]
async fn a_conversion_that_was_finished_is_not_done_again() {
    let ((_, from), (target, to)) = (memory(), memory());
    old(&from).await;
    let first = converted(&from, &to, "orders").await.unwrap();
    let before = keys(&target).await;
    let again = converted(&from, &to, "orders").await.unwrap();
    assert_eq!((again.outcome.as_str(), &again.point), ("AlreadyDone", &first.point));
    assert_eq!(again.earlier.records, 1_138);
    assert_eq!(keys(&target).await, before);
}

#[tokio::test]
async fn a_conversion_that_was_killed_goes_on_where_it_stopped() {
    let ((_, from), (_, to)) = (memory(), memory());
    let expected = old(&from).await;
    // Ended once before anything was saved, and then each time that progress was.
    let mut killed = 0;
    let report = loop {
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        // Nobody listens any more once it is ended.
        let tell = move |progress: Progress| {
            let _ = sender.send(progress);
        };
        let own = request("orders");
        let wait = async {
            for _ in 0..2usize.min(1 + killed) {
                told.recv().await;
            }
        };
        tokio::select! {
            biased;
            () = wait, if killed < 4 => killed += 1,
            done = convert((&from, "old"), &to, &own, &tell) => break done.unwrap(),
        }
    };
    assert_eq!(killed, 4);
    assert!(report.earlier.records > 0, "{report:?}");
    assert_eq!(report.earlier.records + report.records, 1_138);
    assert_eq!(records(&opened(&to, "orders").await).await, expected);
    let found = verified(&to, "orders").await;
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_converted_and_nothing_is_written() {
    let ((_, from), (target, to)) = (memory(), memory());
    old(&from).await;
    let name = key("old", "t", 1, 200, Pack::Zstd);
    let mut bytes = from.get(&Path::from(name.as_str())).await.unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(&from, &name, bytes).await;
    let error = converted(&from, &to, "orders").await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains(&name), "{error}");
    assert_eq!(keys(&target).await, []);
}

#[tokio::test]
async fn what_was_stored_wrongly_is_not_sealed() {
    let ((_, from), (target, to)) = (memory(), memory());
    old(&from).await;
    let spoil = |progress| {
        if progress == Progress::Comparing {
            futures::executor::block_on(async {
                let all = keys(&target).await;
                let (name, _) = all.iter().find(|(name, _)| name.ends_with("00000001.seg")).unwrap();
                let mut bytes = target.get(&Path::from(name.as_str())).await.unwrap().bytes().await.unwrap().to_vec();
                bytes[1_000] ^= 1;
                target.put(&Path::from(name.as_str()), Bytes::from(bytes).into()).await.unwrap();
            });
        }
    };
    let error = convert((&from, "old"), &to, &request("orders"), &spoil).await.unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(matches!(archive::find(&to, "orders").await, Err(ArchiveError::Missing { .. })));
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let ((_, from), (_, to)) = (memory(), memory());
    old(&from).await;
    // Where the archive itself is.
    let error = converted(&from, &from, "old").await.unwrap_err();
    assert_eq!(error.code(), Code::ForeignOwner);
    assert!(error.to_string().contains("the OSO tool wrote"), "{error}");
    // Where the set of another conversion is.
    converted(&from, &to, "orders").await.unwrap();
    put(&from, "old/consumer-groups-snapshot.json", b"{\"groups\": []}".to_vec()).await;
    let mut manifest: Value =
        serde_json::from_slice(&from.get(&Path::from("old/manifest.json")).await.unwrap().unwrap()).unwrap();
    manifest["created_at"] = json!(5);
    put(&from, "old/manifest.json", serde_json::to_vec(&manifest).unwrap()).await;
    let error = converted(&from, &to, "orders").await.unwrap_err();
    assert_eq!(error.code(), Code::ForeignOwner);
    assert!(error.to_string().contains("it was not begun by this conversion"), "{error}");
    // Beside the archive there is room for another name.
    converted(&from, &from, "orders").await.unwrap();
    assert!(verified(&from, "orders").await.problems.is_empty());
}
