//! Writing to stores that answer badly: what is whole counts as whole, what is lost is said to be lost, and a store that
//! catches up is waited for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod faulty;

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::{
    Arena, ArchiveError, Digest, Layout, Moves, Opened, Owner, PartitionState, PendingBatch, Point, SealFacts,
    SetWriter, Store, TopicState, WriterOptions, resolve,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, encode_batch};
use contract::Code;
use faulty::{Faulty, Kind, Wrong};
use uuid::Uuid;

const TOPIC: Uuid = Uuid::from_u128(1);
const GONE: &str = "store-answer:{\"status\":404,\"code\":\"NoSuchUpload\",\"words\":\"\",\"request\":\"\",\"region\":\"\",\"ahead\":null,\"conditional\":false}";
const NO_PARTS: &str = "store-answer:{\"status\":501,\"code\":\"NotImplemented\",\"words\":\"\",\"request\":\"\",\"region\":\"\",\"ahead\":null,\"conditional\":false}";

fn options(run: &str, stamp: &str) -> WriterOptions {
    WriterOptions {
        layout: Layout::new("orders"),
        owner: Owner { namespace: "ns".into(), name: "orders".into(), cluster_id: "cluster".into() },
        incremental: true,
        continuous: false,
        head: None,
        adopt: false,
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
    writer.know_topic(TopicState { id: TOPIC, name: "t".into(), partitions: 1, replication: 1, live: true });
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
    let mut state = offset as u64 + 1;
    body.extend((0..size).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    }));
    body.push(0);
    let mut bytes = Vec::new();
    varint(body.len(), &mut bytes);
    bytes.extend(body);
    let meta = BatchMeta { base_offset: offset, base_timestamp: 1, max_timestamp: 1, producer: (-1, -1, -1), records: 1 };
    RawBatch::parse(encode_batch(&meta, &bytes, &mut Compressor::new(Codec::None, None)).unwrap().into()).unwrap()
}

/// Archives `count` records of 1 MiB from `from` on, and seals.
async fn backup(store: &Store, run: &str, stamp: &str, from: i64, count: i64) -> Result<(), ArchiveError> {
    let mut writer = open(store, run, stamp).await?;
    let mut arena = Arena::default();
    for offset in from..from + count {
        let raw = raw(offset, 1 << 20);
        arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline: 0, from: offset, committed: 1, aborted: false, raw });
    }
    if count > 0 {
        writer.push(arena).await?;
    }
    let position = PartitionState { next: from + count, ..PartitionState::new(0, 0) };
    let facts = SealFacts {
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
    backup(&store, "r", "20260131-080000", 0, 20).await.unwrap();
    assert_eq!(records(&store).await, 20);
}

#[tokio::test(start_paused = true)]
async fn parts_that_are_gone_end_the_run_so_that_the_next_attempt_goes_on() {
    for kind in [Kind::Complete, Kind::Part] {
        let (faulty, store) = store();
        faulty.fail(kind, "data/", 1, Wrong::Refused(GONE));
        let failed = backup(&store, "r", "20260131-080000", 0, 20).await.unwrap_err();
        assert_eq!(failed.code(), Code::StoreUnreachable, "{failed}");
        assert!(failed.to_string().contains("the parts of this upload are gone"), "{failed}");
        backup(&store, "r", "20260131-080000", 0, 20).await.unwrap();
        assert_eq!(records(&store).await, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_parts_takes_segments_whole() {
    let (faulty, store) = store();
    faulty.fail(Kind::Begin, "", usize::MAX, Wrong::Refused(NO_PARTS));
    backup(&store, "r", "20260131-080000", 0, 20).await.unwrap();
    assert_eq!(records(&store).await, 20);
    assert!(faulty.seen().iter().any(|(kind, key)| *kind == Kind::Put && key.contains("data/")));
    // Too much for memory: named with the field that helps.
    let failed = backup(&store, "r2", "20260131-080001", 20, 80).await.unwrap_err();
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
            number += 1;
            (seen == kind && number % 2 == 0).then_some(Wrong::Refused("error reading a body: unexpected end"))
        });
        backup(&store, "r2", "20260131-080001", 2, 2).await.unwrap();
        assert_eq!(records(&store).await, 4);
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
