//! Writing to stores that answer badly: what is whole counts as whole, what is lost is said to be lost, and a store that
//! catches up is waited for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod faulty;

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::{
    ArchiveError, Arena, Digest, Layout, Moves, Opened, Owner, PartitionState, PendingBatch, Point, SealFacts,
    SetWriter, Store, TopicState, WriterOptions, resolve,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, encode_batch};
use contract::Code;
use faulty::{Faulty, Kind, Wrong};
use uuid::Uuid;

const TOPIC: Uuid = Uuid::from_u128(1);
const GONE: &str = "store-answer:{\"status\":404,\"code\":\"NoSuchUpload\",\"words\":\"\",\"request\":\"\",\"region\":\"\",\"endpoint\":\"\",\"right\":\"\",\"ahead\":null,\"conditional\":false}";
const NO_PARTS: &str = "store-answer:{\"status\":501,\"code\":\"NotImplemented\",\"words\":\"\",\"request\":\"\",\"region\":\"\",\"endpoint\":\"\",\"right\":\"\",\"ahead\":null,\"conditional\":false}";

fn options(run: &str, stamp: &str) -> WriterOptions {
    WriterOptions {
        layout: Layout::new("orders"),
        owner: Owner { namespace: "ns".into(), name: "orders".into(), cluster_id: "cluster".into() },
        incremental: true,
        continuous: false,
        head: None,
        adopt: false,
        source: archive::Source::default(),
        run: run.into(),
        spec: Digest::of(b"spec"),
        stamp: stamp.into(),
        nonce: "0123456789abcdef".into(),
        uuid: Uuid::nil(),
        codec: Codec::None,
        level: 3,
        workers: 1,
        segment_max_bytes: 128 << 20,
    }
}

async fn open(store: &Store, run: &str, stamp: &str) -> Result<SetWriter, ArchiveError> {
    let mut writer = match SetWriter::open(store.clone(), options(run, stamp)).await? {
        Opened::Writer(writer) => *writer,
        Opened::Sealed(sealed) => panic!("{sealed:?}"),
    };
    writer.know_topic(TopicState {
        id: TOPIC,
        name: "t".into(),
        partitions: 1,
        replication: 1,
        live: true,
        since: None,
        first_partitions: None,
        until: None,
        source_id: None,
    });
    Ok(writer)
}

/// A batch of one record of `size` bytes that do not compress.
fn raw(offset: i64, size: usize) -> RawBatch {
    let varint = |mut n: usize, out: &mut Vec<u8>| {
        n *= 2;
        while n >= 0x80 {
            out.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    };
    let mut body = vec![0, 0, 0, 1];
    varint(size, &mut body);
    let mut state = offset.cast_unsigned() + 1;
    body.extend((0..size).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    }));
    body.push(0);
    let mut bytes = Vec::new();
    varint(body.len(), &mut bytes);
    bytes.extend(body);
    let meta =
        BatchMeta { base_offset: offset, base_timestamp: 1, max_timestamp: 1, producer: (-1, -1, -1), records: 1 };
    RawBatch::parse(encode_batch(&meta, &bytes, &mut Compressor::new(Codec::None, None)).unwrap().into()).unwrap()
}

/// Archives `count` records of 1 MiB from `from` on, and seals.
async fn backup(store: &Store, run: &str, stamp: &str, from: i64, count: i64) -> Result<(), ArchiveError> {
    let mut writer = open(store, run, stamp).await?;
    let mut arena = Arena::default();
    let known = writer.state().partitions.get(&(TOPIC, 0)).cloned();
    let mut position = known.unwrap_or_else(|| PartitionState::new(0, 0));
    position.next = from + count;
    for offset in from..from + count {
        let raw = raw(offset, 1 << 20);
        position.committed += 1;
        position.bytes += raw.bytes.len() as u64;
        arena.push(PendingBatch {
            topic: TOPIC,
            partition: 0,
            timeline: 0,
            from: offset,
            committed: 1,
            aborted: false,
            raw,
        });
    }
    if count > 0 {
        writer.push(arena).await?;
    }
    let facts = SealFacts {
        converted: None,
        stamp: stamp.into(),
        point: format!("orders-{stamp}"),
        at: "2026-01-31T08:00:00Z".into(),
        source_cluster_id: None,
        include_offset_headers: false,
        held_back: vec![],
        configs: [].into(),
        groups: None,
        writer: "test".into(),
    };
    let moves = Moves { positions: vec![(TOPIC, position)], ..Moves::default() };
    let (entry, digest) = writer.seal(moves, &BTreeSet::from([TOPIC]), facts).await?;
    writer.confirm().await?;
    writer.write_hint(&entry, &digest).await
}

fn store() -> (Faulty, Store) {
    let faulty = Faulty::new();
    (faulty.clone(), Store::new(Arc::new(faulty), "", "memory"))
}

/// Records of the newest point, by what its segments say.
async fn records(store: &Store) -> u64 {
    let (layout, seal) = resolve(store, "orders").await.unwrap();
    let point = Point::load(store, &layout, seal).await.unwrap();
    let mut records = 0;
    for segment in point.segments() {
        records += point.footer(segment).await.unwrap().shares.iter().map(|share| share.records).sum::<u64>();
    }
    records
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_end_of_an_upload_is_settled_by_the_object() {
    let (faulty, store) = store();
    faulty.fail(Kind::Complete, "data/", 1, Wrong::Lost(GONE));
    backup(&store, "r", "20260131-080000", 0, 10).await.unwrap();
    assert_eq!(records(&store).await, 10);
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_gone_end_the_run_so_that_the_next_attempt_goes_on() {
    for kind in [Kind::Complete, Kind::Part] {
        let (faulty, store) = store();
        faulty.fail(kind, "data/", 1, Wrong::Refused(GONE));
        let failed = backup(&store, "r", "20260131-080000", 0, 10).await.unwrap_err();
        assert_eq!(failed.code(), Code::StoreUnreachable, "{failed}");
        assert!(failed.to_string().contains("the parts of this upload are gone"), "{failed}");
        backup(&store, "r", "20260131-080000", 0, 10).await.unwrap();
        assert_eq!(records(&store).await, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_parts_takes_segments_whole() {
    let (faulty, store) = store();
    faulty.fail(Kind::Begin, "", usize::MAX, Wrong::Refused(NO_PARTS));
    backup(&store, "r", "20260131-080000", 0, 10).await.unwrap();
    assert_eq!(records(&store).await, 10);
    assert!(faulty.seen().iter().any(|(kind, key)| *kind == Kind::Put && key.contains("data/")));
    // Too much for memory: named with the field that helps.
    let failed = backup(&store, "r2", "20260131-080001", 10, 66).await.unwrap_err();
    assert_eq!(failed.code(), Code::StoreRefused, "{failed}");
    assert!(failed.to_string().contains("backup.segmentMaxBytes"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_and_shows_late_is_waited_for() {
    for (kind, part) in [(Kind::Head, "data/"), (Kind::Get, "log/main")] {
        let (faulty, store) = store();
        faulty.fail(kind, part, 5, Wrong::Absent);
        backup(&store, "r", "20260131-080000", 0, 2).await.unwrap();
        let (faulty, store) = self::store();
        faulty.fail(kind, part, usize::MAX, Wrong::Absent);
        let failed = backup(&store, "r", "20260131-080000", 0, 2).await.unwrap_err();
        assert_eq!(failed.code(), Code::StoreForgets, "{failed}");
        assert_eq!(failed.code().exit() as u8, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_is_asked_for_again() {
    for kind in [Kind::List, Kind::Get, Kind::Head, Kind::Put, Kind::Create] {
        let (faulty, store) = store();
        backup(&store, "r", "20260131-080000", 0, 2).await.unwrap();
        let mut number = 0;
        faulty.rule(move |seen, _| {
            number += u32::from(seen == kind);
            (seen == kind && number % 2 == 0).then_some(Wrong::Refused("error reading a body: unexpected end"))
        });
        backup(&store, "r2", "20260131-080001", 2, 2).await.unwrap();
        assert_eq!(records(&store).await, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_failed_and_left_nothing_is_tried_again() {
    for part in ["set.json", "log/main"] {
        let (faulty, store) = store();
        faulty.fail(Kind::Create, part, 2, Wrong::Refused("error reading a body: unexpected end"));
        backup(&store, "r", "20260131-080000", 0, 2).await.unwrap();
        assert_eq!(records(&store).await, 2);
        let tries = faulty.seen().iter().filter(|(kind, key)| *kind == Kind::Create && key.contains(part)).count();
        assert!(tries >= 3, "{part}: {tries}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_that_came_wrong_once_is_read_again() {
    let (faulty, store) = store();
    backup(&store, "r", "20260131-080000", 0, 2).await.unwrap();
    for part in ["set.json", "side/", "points/", "log/main"] {
        faulty.fail(Kind::Get, part, 1, Wrong::Byte);
        let (layout, seal) = resolve(&store, "orders-20260131-080000").await.unwrap();
        Point::load(&store, &layout, seal).await.unwrap().configs().await.unwrap();
        backup(&store, part, "20260131-080001", 2, 0).await.unwrap();
    }
}

const DAY: [&str; 4] = ["20260131-080000", "20260131-090000", "20260131-100000", "20260131-110000"];

#[tokio::test(start_paused = true)]
async fn a_run_does_not_build_on_segments_that_are_gone() {
    use object_store::ObjectStoreExt;
    let (faulty, store) = store();
    backup(&store, "r0", DAY[0], 0, 3).await.unwrap();
    backup(&store, "r1", DAY[1], 3, 2).await.unwrap();
    let all = store.walk(&Layout::new("orders").root()).await.unwrap();
    let segments: Vec<_> = all.iter().filter(|(key, _)| key.contains("/data/")).collect();
    assert_eq!(segments.len(), 2);
    let first = object_store::path::Path::from(segments[0].0.as_str());
    let bytes = faulty.inner.get(&first).await.unwrap().bytes().await.unwrap();
    let objects = all.len();
    // Gone, cut, or replaced by one of another size: the same refusal, and nothing is written.
    for instead in [None, Some(bytes.slice(..100))] {
        faulty.inner.delete(&first).await.unwrap();
        if let Some(instead) = instead {
            faulty.inner.put(&first, instead.into()).await.unwrap();
        }
        let lost = backup(&store, "r2", DAY[2], 5, 0).await.unwrap_err();
        assert_eq!((lost.code(), lost.code().exit() as u8), (Code::SegmentsMissing, 4));
        let text = lost.to_string();
        assert!(text.contains("1 of 2 segments") && text.contains("t/0 offsets 0 to 2 (3 records)"), "{text}");
        assert!(store.walk(&Layout::new("orders").root()).await.unwrap().len() <= objects);
    }
    faulty.inner.put(&first, bytes.into()).await.unwrap();
    backup(&store, "r2", DAY[2], 5, 1).await.unwrap();
    assert_eq!(records(&store).await, 6);
}

#[tokio::test(start_paused = true)]
async fn segments_that_no_entry_names_are_no_loss_and_cost_the_long_way_once() {
    use object_store::ObjectStoreExt;
    let (faulty, store) = store();
    backup(&store, "r0", DAY[0], 0, 3).await.unwrap();
    // What a killed run leaves: of the very size of one that counts.
    let all = store.walk(&Layout::new("orders").root()).await.unwrap();
    let key = all.iter().map(|(key, _)| key.as_str()).find(|key| key.contains("/data/")).unwrap();
    let bytes = faulty.inner.get(&key.into()).await.unwrap().bytes().await.unwrap();
    let stray = Layout::new("orders").segment(9, "aaaaaaaaaaaaaaaa", 0);
    faulty.inner.put(&stray, bytes.clone().into()).await.unwrap();
    backup(&store, "r1", DAY[1], 3, 0).await.unwrap();
    faulty.seen();
    backup(&store, "r2", DAY[2], 3, 0).await.unwrap();
    let lists = faulty.seen().iter().filter(|(kind, key)| *kind == Kind::List && key.ends_with("data")).count();
    assert_eq!(lists, 1);
    // It does not hide that the one of its size is gone.
    faulty.inner.delete(&key.into()).await.unwrap();
    assert_eq!(backup(&store, "r3", DAY[3], 3, 0).await.unwrap_err().code(), Code::SegmentsMissing);
}

#[tokio::test(start_paused = true)]
async fn a_log_without_its_set_document_is_refused_and_can_be_repaired() {
    use archive::{Repair, repair_set, verify_point};
    use object_store::ObjectStoreExt;
    let (faulty, store) = store();
    let layout = Layout::new("orders");
    backup(&store, "r0", DAY[0], 0, 3).await.unwrap();
    let key = object_store::path::Path::from("orders/set.json");
    let bytes = faulty.inner.get(&key).await.unwrap().bytes().await.unwrap();
    let other = faulty.inner.get(&"orders/log/main/00000000000000000000/00000000000000000001".into()).await.unwrap();
    faulty.inner.put(&key, other.bytes().await.unwrap().into()).await.unwrap();
    assert!(backup(&store, "r1", DAY[1], 3, 1).await.is_err());
    faulty.inner.delete(&key).await.unwrap();
    let before = store.walk(&layout.root()).await.unwrap().len();
    let lost = backup(&store, "r1", DAY[1], 3, 1).await.unwrap_err();
    assert_eq!((lost.code(), lost.code().exit() as u8), (Code::SetMissing, 4));
    assert!(lost.to_string().contains("repair"), "{lost}");
    let Repair::Planned(planned) = repair_set(&store, &layout, false).await.unwrap() else { panic!() };
    assert_eq!((planned.owner.name.as_str(), planned.incremental), ("orders", true));
    assert_eq!(store.walk(&layout.root()).await.unwrap().len(), before);
    assert!(matches!(repair_set(&store, &layout, true).await.unwrap(), Repair::Done(_)));
    assert_eq!(repair_set(&store, &layout, true).await.unwrap(), Repair::Sound);
    backup(&store, "r1", DAY[1], 3, 1).await.unwrap();
    let (layout, seal) = resolve(&store, "orders").await.unwrap();
    let found = verify_point(&store, &layout, seal, archive::Level::Decode).await.unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    // The document itself, brought back later, counts as well only where the log names it.
    faulty.inner.put(&key, bytes.into()).await.unwrap();
    assert_eq!(backup(&store, "r2", DAY[2], 4, 0).await.unwrap_err().code(), Code::SetMissing);
}

#[tokio::test(start_paused = true)]
async fn points_of_a_set_never_go_back_and_never_share_a_name() {
    let (_, store) = store();
    backup(&store, "r0", "20300101-000000", 0, 1).await.unwrap();
    // The clock went back; the same second again under another id.
    for (run, asked, taken) in [
        ("r1", "20260101-000000", "20300101-000001"),
        ("r2", "20300101-000000", "20300101-000002"),
        ("r3", "20300101-000005", "20300101-000005"),
    ] {
        let writer = open(&store, run, asked).await.unwrap();
        assert_eq!(writer.stamp(), taken);
        drop(writer);
        // The same run goes on with the stamp that it took.
        assert_eq!(open(&store, run, asked).await.unwrap().stamp(), taken);
        backup(&store, run, taken, 1, 0).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_asks_for_does_not_grow_with_the_set() {
    let (faulty, store) = store();
    let mut counts = Vec::new();
    let mut at: jiff::Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
    for point in 0..160 {
        faulty.seen();
        backup(&store, &format!("r{point}"), &contract::stamp::stamp(at), point, i64::from(point < 2)).await.unwrap();
        // As a run does behind its seal.
        let entry = 2 * point + 1;
        let manifest = format!("{{\"set\": \"orders\", \"entry\": {entry}, \"hint\": true}}");
        store.put(&Layout::new("orders").summary("manifest.json"), manifest.into_bytes().into()).await.unwrap();
        counts.push(faulty.seen().len());
        at += jiff::SignedDuration::from_secs(60);
    }
    // manifest, the number behind the entry that it names, that entry, set.json, one page of segments, one of roll-ups,
    // claim twice, configs, seal and its reading back, hint, manifest.
    let most = counts[100..].iter().copied().filter(|count| *count < 60).max().unwrap();
    assert!(most <= 13, "{counts:?}");
    // Before the first roll-up there is none to look for.
    assert_eq!(counts[5], 12);
}

/// The manifest is a summary: where it says less than the log has, or more, or nothing, the log counts.
#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_behind_or_wrong_misleads_no_run() {
    let (_, store) = store();
    for (number, entry) in [(0, 1), (1, 1), (2, 3), (3, 1), (4, 900), (5, 0)] {
        let stamp = format!("20260131-08000{number}");
        backup(&store, &format!("r{number}"), &stamp, number, 1).await.unwrap();
        let manifest = format!("{{\"set\": \"orders\", \"entry\": {entry}, \"hint\": true}}");
        store.put(&Layout::new("orders").summary("manifest.json"), manifest.into_bytes().into()).await.unwrap();
    }
    assert_eq!(records(&store).await, 6);
    let (layout, seal) = resolve(&store, "orders").await.unwrap();
    assert_eq!(seal, 11);
    let found = archive::verify_log(&store, &layout, seal, archive::Level::Decode).await.unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    // A run that died behind its claim goes on as itself, whatever the manifest says.
    let manifest = r#"{"set": "orders", "entry": 11, "hint": true}"#;
    store.put(&layout.summary("manifest.json"), manifest.as_bytes().to_vec().into()).await.unwrap();
    for (nonce, resumed) in [("aaaaaaaaaaaaaaaa", false), ("bbbbbbbbbbbbbbbb", true)] {
        let options = WriterOptions { nonce: nonce.into(), ..options("r6", "20260131-080006") };
        let Opened::Writer(died) = SetWriter::open(store.clone(), options).await.unwrap() else { panic!() };
        assert_eq!((died.claim().resumed, died.leftovers().is_some()), (resumed, resumed));
    }
    // Nobody takes over what belongs to somebody else by an old manifest.
    let owner = Owner { namespace: "ns".into(), name: "other".into(), cluster_id: "cluster".into() };
    let foreign = WriterOptions { owner, ..options("r7", "20260131-080007") };
    let refused = SetWriter::open(store.clone(), foreign).await.unwrap_err();
    assert_eq!(refused.code(), Code::ForeignOwner);
}

/// A bucket that was copied by hand, a gateway that drops conditions: what a store says it created may have replaced an
/// entry. With a manifest that is behind, the log keeps its entries all the same.
#[tokio::test(start_paused = true)]
async fn a_store_that_replaces_what_it_creates_loses_no_entry() {
    for every in [true, false] {
        let (faulty, store) = store();
        for number in 0..3 {
            backup(&store, &format!("r{number}"), &format!("20260131-08000{number}"), number, 1).await.unwrap();
        }
        let manifest = r#"{"set": "orders", "entry": 1, "hint": true}"#;
        store.put(&Layout::new("orders").summary("manifest.json"), manifest.as_bytes().to_vec().into()).await.unwrap();
        // Entries that it did not create itself, or all.
        let old = |path: &str| (2..=5).any(|n| path.ends_with(&format!("/{n:020}")));
        faulty
            .rule(move |kind, path| (kind == Kind::Create && (every || old(path.as_ref()))).then_some(Wrong::Replaces));
        let opened = open(&store, "r3", "20260131-080003").await;
        if every {
            assert_eq!(opened.unwrap_err().code(), Code::StoreUnsafe);
        } else {
            assert_eq!(opened.unwrap().claim().number, 6);
        }
        faulty.rule(|_, _| None);
        let (layout, seal) = resolve(&store, "orders").await.unwrap();
        let found = archive::verify_log(&store, &layout, seal, archive::Level::Decode).await.unwrap();
        assert!(seal == 5 && found.problems.is_empty(), "{seal} {:?}", found.problems);
    }
}

/// A run that was overtaken while its segment was on the way says so: its upload may be ended by the other run.
#[tokio::test(start_paused = true)]
async fn an_upload_that_a_newer_run_ended_is_told_as_taken_over() {
    let (faulty, store) = store();
    let mut old = open(&store, "old", "20260131-080000").await.unwrap();
    let mut arena = Arena::default();
    for offset in 0..10 {
        let raw = raw(offset, 1 << 20);
        let (from, committed) = (offset, 1);
        arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline: 0, from, committed, aborted: false, raw });
    }
    backup(&store, "new", "20260131-080001", 0, 1).await.unwrap();
    faulty.fail(Kind::Part, "data/", usize::MAX, Wrong::Refused(GONE));
    let failed = match old.push(arena).await {
        Ok(()) => old.commit(Moves::default()).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!((failed.code(), failed.code().exit() as u8), (Code::Fenced, 5), "{failed}");
}
