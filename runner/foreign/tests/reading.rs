//! Archives of another tool, written by a generator of our own, and read as recovery points.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod written;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use archive::{ArchiveError, Level, Point, Store, Timelines, Wanted};
use batch::{Decompressor, RecordIter, Window};
use bytes::Bytes;
use contract::ForeignRecords;
use foreign::Set;
use object_store::path::Path;
use proptest::prelude::*;
use serde_json::{Value, json};

use self::written::{Made, Pack, key, legacy, listed, manifest, segment, topic};

fn covering(listed: Value, object: &[u8], covered: (i64, i64), left_out: u64) -> Value {
    let digest = ring::digest::digest(&ring::digest::SHA256, object);
    written::covering(listed, &hex::encode(digest), covered, left_out)
}

fn memory() -> Store {
    Store::new(Arc::new(object_store::memory::InMemory::new()), "", "memory")
}

async fn put(store: &Store, key: &str, bytes: Vec<u8>) {
    store.put(&Path::from(key), Bytes::from(bytes).into()).await.unwrap();
}

/// A store with the set `old`.
async fn store_with(topics: Value, objects: &[(String, Vec<u8>)]) -> Store {
    let store = memory();
    put(&store, "old/manifest.json", serde_json::to_vec_pretty(&manifest("old", topics)).unwrap()).await;
    for (key, bytes) in objects {
        put(&store, key, bytes.clone()).await;
    }
    store
}

async fn found(store: &Store) -> Set {
    Set::find(store, "old").await.unwrap().unwrap()
}

async fn records(point: &Point) -> Vec<(i32, Made)> {
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
    out.into_iter().flat_map(|(partition, all)| all.into_iter().map(move |made| (partition, made))).collect()
}

async fn cleaned(store: &Store) -> (Point, Vec<Made>) {
    let point = found(store).await.surveyed(ForeignRecords::Cleaned).await.unwrap();
    point.check_sums().await.unwrap();
    let read = records(&point).await;
    (point, read.into_iter().map(|(_, made)| made).collect())
}

fn notes(point: &Point) -> String {
    point.notes().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

async fn problems(store: &Store, level: Level) -> Vec<String> {
    found(store).await.verify(level).await.unwrap().problems.iter().map(ToString::to_string).collect()
}

fn plain(offsets: impl IntoIterator<Item = i64>) -> Vec<Made> {
    offsets.into_iter().map(Made::plain).collect()
}

fn offsets(records: &[Made]) -> Vec<i64> {
    records.iter().map(|made| made.offset).collect()
}

/// One partition of one segment in the form of 0.17.
async fn one(records: &[Made], pack: Pack) -> Store {
    let (key, object) = (key("old", "t", 0, records[0].offset, pack), segment(records, pack));
    let partition = json!([{"partition_id": 0, "segments": [listed(&key, records, &object)]}]);
    store_with(json!([topic("t", partition)]), &[(key, object)]).await
}

fn made() -> impl Strategy<Value = Vec<Made>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..60);
    let header = (bytes(), proptest::option::of(bytes()));
    let record = (
        1i64..5,
        any::<i32>(),
        proptest::option::of(bytes()),
        proptest::option::of(bytes()),
        proptest::collection::vec(header, 0..4),
        any::<bool>(),
    );
    proptest::collection::vec(record, 1..60).prop_map(|records| {
        let mut offset = 0;
        let one = |(step, time, key, value, headers, added): (i64, i32, _, _, _, bool)| {
            offset += step;
            let made = Made { offset, timestamp: i64::from(time), key, value, headers };
            if added { made.with_added_headers() } else { made }
        };
        records.into_iter().map(one).collect()
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn without_added(records: &[Made]) -> Vec<Made> {
    let strip = |made: &Made| {
        let mut made = made.clone();
        let plain = Made { headers: Vec::new(), ..made.clone() }.with_added_headers().headers;
        if made.headers.ends_with(&plain) {
            made.headers.truncate(made.headers.len() - 2);
        }
        made
    };
    records.iter().map(strip).collect()
}

#[test]
fn a_batch_with_holes_ends_where_its_last_record_is() {
    run(async {
        let point = found(&one(&plain([3, 4, 9, 20]), Pack::None).await).await.surveyed(ForeignRecords::Cleaned).await;
        let point = point.unwrap();
        let id = point.seal.topics[0].id;
        let from = HashMap::from([((id, 0), 0)]);
        let mut stream = point.stream(Wanted::new(from, Timelines::default(), Window::ALL)).await.unwrap();
        let read = stream.next().await.unwrap().unwrap();
        let header = read.batches[0].header;
        assert_eq!((header.base_offset, header.records(), header.next_offset()), (3, 4, 21));
        let deltas = batch::places(&read.batches[0], &mut Decompressor::default(), |_| {}).unwrap();
        assert_eq!((deltas, header.is_dense()), (batch::Deltas::Ascending, false));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_come_back_whatever_they_are(records in made()) {
        for pack in Pack::ALL {
            run(async {
                let store = one(&records, pack).await;
                let set = found(&store).await;
                let raw = records_of(&set.surveyed(ForeignRecords::AsWritten).await.unwrap()).await;
                assert_eq!(raw, records);
                assert_eq!(records_of(&set.listed(ForeignRecords::AsWritten).await.unwrap()).await, records);
                assert_eq!(cleaned(&store).await.1, without_added(&records));
                assert_eq!(problems(&store, Level::Decode).await, [""; 0]);
            });
        }
    }

    /// Nothing that is changed in an object is read as if it were whole; nothing panics.
    #[test]
    fn a_changed_segment_is_never_taken_for_a_sound_one(
        records in made(), at in any::<prop::sample::Index>(), by in 1u8..=255, cut in any::<bool>(),
    ) {
        for pack in Pack::ALL {
            run(async {
                let mut object = segment(&records, pack);
                let place = at.index(object.len());
                if cut { object.truncate(place) } else { object[place] ^= by }
                let name = key("old", "t", 0, records[0].offset, pack);
                let sound = segment(&records, pack);
                let partition = json!([{"partition_id": 0, "segments": [listed(&name, &records, &sound)]}]);
                let store = store_with(json!([topic("t", partition)]), &[(name, object)]).await;
                for level in [Level::Checksum, Level::Decode] {
                    assert!(!problems(&store, level).await.is_empty(), "{pack:?} byte {place}");
                }
                assert!(found(&store).await.surveyed(ForeignRecords::Cleaned).await.is_err());
            });
        }
    }

    /// Any body behind a right header and checksum.
    #[test]
    fn hostile_bodies_end_in_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), count in any::<u64>(), span in any::<(i64, i64)>(), codec in 0u8..4,
    ) {
        run(async {
            let records = plain(0..3);
            let name = key("old", "t", 0, 0, Pack::None);
            let object = written::sealed((count, span.0, span.1), codec, &bytes);
            let partition = json!([{"partition_id": 0, "segments": [listed(&name, &records, &object)]}]);
            let store = store_with(json!([topic("t", partition)]), &[(name, object)]).await;
            let set = found(&store).await;
            set.verify(Level::Decode).await.unwrap();
            if let Ok(point) = set.surveyed(ForeignRecords::Cleaned).await {
                records_of(&point).await;
            }
        });
    }
}

async fn records_of(point: &Point) -> Vec<Made> {
    records(point).await.into_iter().map(|(_, made)| made).collect()
}

#[tokio::test]
async fn lists_of_json_are_read_in_each_packing() {
    let mut records = plain([0, 1, 5]);
    records[1].headers = vec![(b"a".to_vec(), Some(b"\\\"{".to_vec())), (b"b".to_vec(), None)];
    records[2].value = None;
    for pack in Pack::ALL {
        let name = format!("old/topics/t/partition=0/segment-000001.bin{}", pack.ending());
        let object = legacy(&records, pack);
        // What the oldest manifests say of a segment.
        let said = json!({"key": name, "start_offset": 0, "end_offset": 5, "start_timestamp": records[0].timestamp,
            "end_timestamp": records[2].timestamp, "record_count": 3});
        let store = store_with(
            json!([{"name": "t", "partitions": [{"partition_id": 0, "segments": [said]}]}]),
            &[(name, object)],
        )
        .await;
        assert_eq!(cleaned(&store).await.1, records, "{pack:?}");
        assert_eq!(problems(&store, Level::Decode).await, [""; 0]);
    }
}

#[tokio::test]
async fn lists_of_json_that_are_none_are_damage() {
    let records = plain([0]);
    for text in ["{}", "[", "[{}]", "[1]", "[{\"offset\":0,\"timestamp\":1,\"key\":\"*\"}]", "[] x", "[,]"] {
        let name = key("old", "t", 0, 0, Pack::None);
        let partition = json!([{"partition_id": 0, "segments": [listed(&name, &records, text.as_bytes())]}]);
        let store = store_with(json!([topic("t", partition)]), &[(name, text.into())]).await;
        assert!(found(&store).await.surveyed(ForeignRecords::Cleaned).await.is_err(), "{text}");
    }
}

/// Found by the target `foreign_segment` of tests/fuzz: the store was asked for nothing of it, again and again.
#[tokio::test]
async fn an_object_without_a_byte_is_damage_at_once() {
    let (records, name) = (plain(0..2), key("old", "t", 0, 0, Pack::Zstd));
    let said = listed(&name, &records, &segment(&records, Pack::Zstd));
    let store =
        store_with(json!([topic("t", json!([{"partition_id": 0, "segments": [said]}]))]), &[(name, Vec::new())]).await;
    let tried = async {
        for level in [Level::Structure, Level::Checksum, Level::Decode] {
            assert_eq!(problems(&store, level).await.len(), 1, "{level:?}");
        }
        assert!(found(&store).await.surveyed(ForeignRecords::Cleaned).await.is_err());
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), tried).await.unwrap();
}

#[tokio::test]
async fn manifests_are_read_plain_and_packed() {
    let records = plain(3..9);
    let plain_store = one(&records, Pack::Zstd).await;
    let json = plain_store.get(&Path::from("old/manifest.json")).await.unwrap().unwrap();
    let object = segment(&records, Pack::Zstd);
    for (ending, codec) in [(".gz", batch::Codec::Gzip), (".zst", batch::Codec::Zstd)] {
        let mut packed = Vec::new();
        batch::Compressor::new(codec, None).compress(&json, &mut packed).unwrap();
        let store = memory();
        put(&store, &format!("old/manifest.json{ending}"), packed).await;
        put(&store, &key("old", "t", 0, 3, Pack::Zstd), object.clone()).await;
        assert_eq!(Set::names(&store).await.unwrap(), ["old"]);
        assert_eq!(cleaned(&store).await.1, records, "{ending}");
    }
}

#[tokio::test]
async fn what_is_no_such_archive_is_never_taken_for_one() {
    let store = memory();
    assert!(Set::find(&store, "old").await.unwrap().is_none(), "there is nothing");
    // The summary that our own sets have for people.
    put(&store, "ours/manifest.json", br#"{"note": "n", "set": "ours", "topics": []}"#.to_vec()).await;
    assert!(Set::find(&store, "ours").await.unwrap().is_none());
    // One of ours whose summary was replaced by somebody.
    put(&store, "mine/set.json", b"{}".to_vec()).await;
    put(&store, "mine/manifest.json", serde_json::to_vec(&manifest("mine", json!([]))).unwrap()).await;
    assert!(Set::find(&store, "mine").await.unwrap().is_none());
    put(&store, "text/manifest.json", b"hello".to_vec()).await;
    assert!(Set::find(&store, "text").await.unwrap().is_none());
    assert!(Set::find(&store, "../text").await.unwrap().is_none());
    assert_eq!(Set::names(&store).await.unwrap(), [""; 0]);
    // A folder that was renamed is told, since its keys say another name.
    put(&store, "new/manifest.json", serde_json::to_vec(&manifest("older", json!([]))).unwrap()).await;
    let error = Set::find(&store, "new").await.unwrap_err().to_string();
    assert!(error.contains("\"older\""), "{error}");
}

#[tokio::test]
async fn manifests_with_numbers_that_cannot_be_are_refused() {
    let records = plain(0..3);
    let sound = || listed(&key("old", "t", 0, 0, Pack::None), &records, b"");
    let with = |field: &str, value: Value| {
        let mut segment = sound();
        segment[field] = value;
        json!([topic("t", json!([{"partition_id": 0, "segments": [segment]}]))])
    };
    let partition = |id: i64| json!([topic("t", json!([{"partition_id": id, "segments": []}]))]);
    let bad = [
        with("key", json!("other/topics/t/x")),
        with("key", json!("old/../secret")),
        with("start_offset", json!(-1)),
        with("end_offset", json!(-1)),
        with("end_offset", json!(i64::MAX)),
        with("record_count", json!(-1)),
        with("record_count", json!(i64::MAX)),
        with("covered_start_offset", json!(2)),
        with("covered_end_offset", json!(1)),
        partition(-1),
        partition(2_000_000_000),
        json!([topic("t", json!([])), topic("t", json!([]))]),
        json!([topic("../t", json!([]))]),
        json!([topic("t", json!([{"partition_id": 0, "gaps": [{"start_offset": 9, "end_offset": 3}]}]))]),
    ];
    for topics in bad {
        let store = store_with(topics.clone(), &[]).await;
        let error = Set::find(&store, "old").await.unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("manifest.json"), "{topics}: {error}");
    }
}

#[tokio::test]
async fn a_missing_segment_is_named_and_never_passed_over() {
    let (first, second) = (plain(0..5), plain(5..9));
    let (a, b) = (key("old", "t", 0, 0, Pack::Zstd), key("old", "t", 0, 5, Pack::Zstd));
    let (x, y) = (segment(&first, Pack::Zstd), segment(&second, Pack::Zstd));
    let partition = json!([{"partition_id": 0, "segments": [listed(&a, &first, &x), listed(&b, &second, &y)]}]);
    let store = store_with(json!([topic("t", partition)]), &[(b.clone(), y)]).await;
    for level in [Level::Structure, Level::Checksum, Level::Decode] {
        let found = problems(&store, level).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&a) && found[0].contains("offsets 0 to 4"), "{found:?}");
    }
    let error = found(&store).await.surveyed(ForeignRecords::Cleaned).await.unwrap_err();
    assert!(matches!(&error, ArchiveError::Damaged { key, .. } if key.contains(&a)), "{error}");
    // It is listed all the same.
    assert_eq!(found(&store).await.listed(ForeignRecords::Cleaned).await.unwrap().segments().len(), 2);
}

/// An old set: markers are among its records.
async fn with_markers(change: impl Fn(Value, &[u8]) -> Value, isolation: Option<&str>) -> (Store, Vec<Made>) {
    let records = vec![Made::plain(0), Made::plain(1), Made::marker(2, false), Made::plain(3), Made::marker(4, true)];
    let (name, object) = (key("old", "t", 0, 0, Pack::Lz4), segment(&records, Pack::Lz4));
    let said = change(listed(&name, &records, &object), &object);
    let mut document = manifest("old", json!([topic("t", json!([{"partition_id": 0, "segments": [said]}]))]));
    if let Some(level) = isolation {
        document["isolation_level"] = json!(level);
    }
    let store = memory();
    put(&store, "old/manifest.json", serde_json::to_vec(&document).unwrap()).await;
    put(&store, &name, object).await;
    (store, records)
}

#[tokio::test]
async fn markers_of_older_releases_are_left_out_and_told() {
    let (store, all) = with_markers(|said, _| said, None).await;
    let (point, read) = cleaned(&store).await;
    assert_eq!(offsets(&read), [0, 1, 3]);
    let told = notes(&point);
    assert!(
        told.contains("t/0: 2 records that look like markers of transactions are left out: offsets 2, 4"),
        "{told}"
    );
    assert!(told.contains("rolled back at offsets 2"), "{told}");
    let raw = found(&store).await.surveyed(ForeignRecords::AsWritten).await.unwrap();
    assert_eq!(records_of(&raw).await, all);
}

#[tokio::test]
async fn what_looks_like_a_marker_in_committed_data_is_a_users_record() {
    let covered = |said: Value, object: &[u8]| covering(said, object, (0, 6), 0);
    for level in ["read_committed", "READ_COMMITTED"] {
        let (store, all) = with_markers(covered, Some(level)).await;
        let (point, read) = cleaned(&store).await;
        assert_eq!(read, all);
        assert!(notes(&point).contains("are kept: offsets 2, 4"), "{}", notes(&point));
    }
    // The newest run took everything; this segment left something out.
    let counted = |said: Value, object: &[u8]| covering(said, object, (0, 6), 1);
    assert_eq!(cleaned(&with_markers(counted, Some("read_uncommitted")).await.0).await.1.len(), 5);
    // It says nothing, and may have taken everything.
    assert_eq!(offsets(&cleaned(&with_markers(covered, Some("read_uncommitted")).await.0).await.1), [0, 1, 3]);
    // A level that nobody knows is no reason to refuse the set.
    assert_eq!(cleaned(&with_markers(covered, Some("another")).await.0).await.1.len(), 3);
}

#[tokio::test]
async fn segments_that_overlap_give_each_offset_once() {
    let (wide, narrow) = (plain(0..10), plain([4, 6]));
    let (a, b) = (key("old", "t", 0, 0, Pack::None), key("old", "t", 0, 4, Pack::None));
    let (x, y) = (segment(&wide, Pack::None), segment(&narrow, Pack::None));
    // The narrow one says what it answers for: offset 5 was a record of a transaction that was rolled back.
    let said = json!([listed(&a, &wide, &x), covering(listed(&b, &narrow, &y), &y, (4, 7), 2)]);
    let partition = json!([{"partition_id": 0, "segments": said}]);
    let store = store_with(json!([topic("t", partition)]), &[(a, x), (b, y)]).await;
    let (point, read) = cleaned(&store).await;
    assert_eq!(offsets(&read), [0, 1, 2, 3, 4, 6, 8, 9]);
    assert_eq!(point.seal.partitions[0].committed, 8);
}

#[tokio::test]
async fn an_object_that_was_written_over_counts_as_it_is_and_is_named() {
    let (listed_records, there) = (plain(0..5), plain(0..8));
    let (name, next) = (key("old", "t", 0, 0, Pack::Zstd), key("old", "t", 0, 5, Pack::Zstd));
    let (said, object) = (segment(&listed_records, Pack::Zstd), segment(&there, Pack::Zstd));
    let (later, later_object) = (plain(5..7), segment(&plain(5..7), Pack::Zstd));
    let segments = json!([
        covering(listed(&name, &listed_records, &said), &said, (0, 4), 0),
        covering(listed(&next, &later, &later_object), &later_object, (5, 6), 0),
    ]);
    let partition = json!([{"partition_id": 0, "segments": segments, "covered_through": 6}]);
    let store = store_with(json!([topic("t", partition)]), &[(name.clone(), object), (next, later_object)]).await;
    let (point, read) = cleaned(&store).await;
    assert_eq!(offsets(&read), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(notes(&point).contains("was written over: it says offsets 0 to 7"), "{}", notes(&point));
    assert!(problems(&store, Level::Decode).await.iter().any(|told| told.contains("SHA-256")));
}

#[tokio::test]
async fn a_digest_that_does_not_fit_is_named_even_where_the_checksum_does() {
    let (said, there) = (plain(0..3), vec![Made::plain(0), Made::plain(1), Made { value: None, ..Made::plain(2) }]);
    let name = key("old", "t", 0, 0, Pack::None);
    let (expected, object) = (segment(&said, Pack::None), segment(&there, Pack::None));
    let partition =
        json!([{"partition_id": 0, "segments": [covering(listed(&name, &said, &expected), &expected, (0, 2), 0)]}]);
    let store = store_with(json!([topic("t", partition)]), &[(name, object)]).await;
    for level in [Level::Checksum, Level::Decode] {
        assert!(problems(&store, level).await.iter().any(|told| told.contains("SHA-256")), "{level:?}");
    }
    let (point, read) = cleaned(&store).await;
    assert_eq!(read, there);
    assert!(notes(&point).contains("SHA-256"), "never without a word: {}", notes(&point));
}

#[tokio::test]
async fn what_an_archive_lost_is_told_by_its_offsets() {
    let (first, second) = (plain(0..5), plain(20..25));
    let (a, b) = (key("old", "t", 0, 0, Pack::None), key("old", "t", 0, 20, Pack::None));
    let (x, y) = (segment(&first, Pack::None), segment(&second, Pack::None));
    let partition = json!([{"partition_id": 0,
        "segments": [covering(listed(&a, &first, &x), &x, (0, 5), 0), covering(listed(&b, &second, &y), &y, (20, 24), 0)],
        "gaps": [{"start_offset": 10, "end_offset": 15, "reason": "resume_beyond_durable", "detected_at": 1}],
        "pruned": [{"start_offset": 15, "end_offset": 17, "segments": 1, "bytes": 1, "pruned_at": 1, "cutoff_timestamp": 0, "reason": "another"}],
        "covered_through": 26, "snapshot_end_offset": 30, "high_watermark_at_capture": 33}]);
    let mut topics = json!([topic("t", partition)]);
    topics[0]["original_partition_count"] = json!(3);
    topics[0]["configurations"] = json!({"message.timestamp.type": "LogAppendTime"});
    let mut document = manifest("old", topics);
    document["missing_topics"] = json!(["gone"]);
    let store = memory();
    put(&store, "old/manifest.json", serde_json::to_vec(&document).unwrap()).await;
    put(&store, &a, x).await;
    put(&store, &b, y).await;
    let told = found(&store).await.verify(Level::Decode).await.unwrap();
    let problems: Vec<String> = told.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "t/0: offsets 6 to 9 are missing, and nothing says why",
            "t/0: offsets 18 to 19 are missing, and nothing says why",
            "t/0: offsets 27 to 29 are missing: the newest run was to read them",
        ]
    );
    let all: Vec<String> = told.notes.iter().map(ToString::to_string).collect();
    for expected in [
        "t/0: offsets 10 to 14 are lost: the source no longer had them (resume_beyond_durable)",
        "t/0: offsets 15 to 17 were taken away from the archive (another)",
        "t/0: offsets 30 to 32 are not in the archive: a transaction was open",
        "t: 1 of 3 partitions are in the archive: of the others it is not known whether they had records",
        "t: its times are those of producers: the archive lost the append times of the source",
        "gone: the newest run did not find this topic in the source",
    ] {
        assert!(all.contains(&expected.to_owned()), "{expected}: {all:#?}");
    }
    let (point, _) = cleaned(&store).await;
    let gap = &point.gaps()[0];
    assert_eq!((gap.from, gap.to, point.seal.partitions[0].next), (10, 15, 27));
    assert_eq!((point.seal.topics[0].partitions, point.seal.topics[0].replication), (3, -1), "unknown, and not one");
}

#[tokio::test]
async fn an_offset_between_old_segments_is_no_proof_of_a_loss() {
    let (first, second) = (plain(0..5), plain(8..9));
    let (a, b) = (key("old", "t", 0, 0, Pack::None), key("old", "t", 0, 8, Pack::None));
    let (x, y) = (segment(&first, Pack::None), segment(&second, Pack::None));
    let partition = json!([{"partition_id": 0, "segments": [listed(&a, &first, &x), listed(&b, &second, &y)]}]);
    let store = store_with(json!([topic("t", partition)]), &[(a, x), (b, y)]).await;
    let told = found(&store).await.verify(Level::Decode).await.unwrap();
    assert!(told.problems.is_empty(), "{:?}", told.problems);
    assert!(
        told.notes.iter().any(|note| note.to_string().contains("offsets 5 to 7 have no record")),
        "{:?}",
        told.notes
    );
}

#[tokio::test]
async fn a_segment_of_several_batches_is_counted_as_it_is_read() {
    let value = vec![7; 200_000];
    let large = |offset| Made { value: Some(value.clone()), ..Made::plain(offset) };
    let records: Vec<Made> = (0..40).map(large).collect();
    let store = one(&records, Pack::Zstd).await;
    let (point, read) = cleaned(&store).await;
    assert_eq!(read, records);
    let footer = point.footer(&point.segments()[0]).await.unwrap();
    assert!(footer.shares.len() > 4, "{}", footer.shares.len());
    assert_eq!(footer.shares.iter().map(|share| share.committed).sum::<u64>(), 40);
    // From the middle on, whole batches before are not read.
    let id = point.seal.topics[0].id;
    let from = footer.shares[2].first;
    let wanted = Wanted::new(HashMap::from([((id, 0), from)]), Timelines::default(), Window::ALL);
    let mut stream = point.stream(wanted).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().from, from);
}

#[tokio::test]
async fn group_positions_are_those_of_the_snapshot() {
    let store = one(&plain(0..3), Pack::None).await;
    assert_eq!(found(&store).await.groups().await.unwrap(), None, "unknown, and not none");
    let text = br#"{"snapshot_time": 1, "groups": [{"group_id": "g", "offsets": {"t": {"1": 4, "0": 2}}}]}"#;
    put(&store, "old/consumer-groups-snapshot.json", text.to_vec()).await;
    let groups = found(&store).await.groups().await.unwrap().unwrap();
    let at: Vec<_> = groups[0].offsets.iter().map(|at| (at.topic.as_str(), at.partition, at.offset)).collect();
    assert_eq!((groups.len(), groups[0].group.as_str(), at), (1, "g", vec![("t", 0, 2), ("t", 1, 4)]));
    put(
        &store,
        "old/consumer-groups-snapshot.json",
        br#"{"groups": [{"group_id": "g", "offsets": {"t": {"x": 4}}}]}"#.to_vec(),
    )
    .await;
    assert!(found(&store).await.groups().await.is_err());
}
