//! What a run said that it reads: a later attempt of it is told just that, and a point that is short of it is refused.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use archive::{
    ArchiveError, Catalog, Digest, HeldBack, HeldReason, Layout, Moves, Opened, Owner, PartitionState, SealFacts,
    SetWriter, Source, Store, TopicState, WriterOptions,
};
use batch::Codec;
use object_store::memory::InMemory;
use uuid::Uuid;

const T: Uuid = Uuid::from_u128(1);

fn options(set: &str, run: &str, spec: &[u8]) -> WriterOptions {
    WriterOptions {
        layout: Layout::new(set),
        owner: Owner { namespace: "ns".into(), name: "orders".into(), cluster_id: "cluster".into() },
        incremental: set == "orders",
        continuous: false,
        head: None,
        adopt: false,
        run: run.into(),
        spec: Digest::of(spec),
        stamp: "20260131-080000".into(),
        nonce: "0123456789abcdef".into(),
        uuid: Uuid::nil(),
        codec: Codec::Zstd,
        level: 3,
        workers: 0,
        segment_max_bytes: 1 << 20,
        source: Source::default(),
    }
}

async fn open(store: &Store, set: &str, run: &str) -> SetWriter {
    let Opened::Writer(mut writer) = SetWriter::open(store.clone(), options(set, run, b"spec")).await.unwrap() else {
        panic!("{run} is over")
    };
    writer.know_topic(TopicState::new(T, "t", 3, 1));
    *writer
}

fn row(partition: i32, next: i64, target: i64) -> (Uuid, PartitionState) {
    (T, PartitionState { next, target, high_watermark: target, ..PartitionState::new(partition, 0) })
}

fn moves(positions: Vec<(Uuid, PartitionState)>) -> Moves {
    Moves { positions, ..Moves::default() }
}

fn facts(stamp: &str, held_back: Vec<HeldBack>) -> SealFacts {
    SealFacts {
        converted: None,
        stamp: stamp.into(),
        point: format!("orders-{stamp}"),
        at: "2026-01-31T08:00:00Z".into(),
        source_cluster_id: None,
        include_offset_headers: false,
        held_back,
        configs: BTreeMap::new(),
        groups: None,
        writer: "test".into(),
    }
}

fn store() -> Store {
    Store::new(Arc::new(InMemory::new()), "", "memory").inline()
}

#[tokio::test]
async fn an_attempt_is_told_what_its_own_run_said_and_nothing_of_older_ones() {
    let store = store();
    let mut first = open(&store, "orders", "run-1").await;
    let all = moves(vec![row(0, 1000, 1000), row(1, 1000, 1000), row(2, 1000, 1000)]);
    first.seal(all, &BTreeSet::from([T]), facts("20260131-080000", Vec::new())).await.unwrap();
    let mut second = open(&store, "orders", "run-2").await;
    assert!(!second.claim().resumed && second.claim().targets.is_empty());
    // It sees one of the three, and saves twice; the last word counts.
    second.commit(moves(vec![row(1, 1000, 1500)])).await.unwrap();
    second.commit(moves(vec![row(1, 1200, 1400), row(2, 1000, -1)])).await.unwrap();
    let again = open(&store, "orders", "run-2").await;
    assert!(again.claim().resumed);
    assert_eq!(again.claim().targets, BTreeMap::from([((T, 1), 1400)]));
    // Another run is told nothing of it.
    assert!(open(&store, "orders", "run-3").await.claim().targets.is_empty());
}

#[tokio::test]
async fn a_point_that_is_short_of_what_was_to_be_read_is_refused_unless_it_says_why() {
    let held = |from| HeldBack {
        topic: "t".into(),
        partition: 1,
        from,
        to: 1000,
        reason: HeldReason::Unavailable,
        producer_id: None,
        age_ms: None,
    };
    let live = BTreeSet::from([T]);
    for (held_back, live, fits) in [
        (vec![held(800)], &live, true),
        (vec![held(500)], &live, false),
        (Vec::new(), &live, false),
        // What is gone is closed by its gaps.
        (Vec::new(), &BTreeSet::new(), true),
    ] {
        let store = store();
        let mut writer = open(&store, "orders", "run-1").await;
        let all = moves(vec![row(0, 1000, 1000), row(1, 800, 1000), row(2, 7, -1)]);
        let sealed = writer.seal(all, live, facts("20260131-080000", held_back.clone())).await;
        assert_eq!(sealed.is_ok(), fits, "{held_back:?} {live:?}");
        if let Err(error) = sealed {
            assert!(matches!(error, ArchiveError::Config { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains("t/1 ends at 800, before 1000"), "{text}");
            let kept = Catalog::new(store).set("orders").await.unwrap();
            assert!(kept.points.is_empty(), "{kept:?}");
        }
    }
}

#[tokio::test]
async fn a_full_run_that_died_is_not_finished_behind_a_newer_point() {
    let store = store();
    let spec = Digest::of(b"spec");
    let catalog = Catalog::new(store.clone());
    let died = "orders-20260131-080000";
    open(&store, died, "run-1").await.commit(moves(vec![row(0, 5, 10)])).await.unwrap();
    assert_eq!(catalog.unfinished("orders", &spec).await.unwrap().unwrap().0, died);
    // One of another specification died later: that says nothing about it.
    let other = options("orders-20260131-090000", "run-2", b"other");
    drop(SetWriter::open(store.clone(), other).await.unwrap());
    assert_eq!(catalog.unfinished("orders", &spec).await.unwrap().unwrap().0, died);
    let mut newer = open(&store, "orders-20260131-100000", "run-3").await;
    newer.seal(Moves::default(), &BTreeSet::new(), facts("20260131-100000", Vec::new())).await.unwrap();
    assert!(catalog.unfinished("orders", &spec).await.unwrap().is_none());
}
