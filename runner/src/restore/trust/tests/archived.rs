//! Plans against an archive.

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::{
    Arena, Moves, Opened, Owner, PartitionState, PendingBatch, SealFacts, SetWriter, Source, Store, TopicState,
    WriterOptions,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, encode_batch};
use object_store::memory::InMemory;

use super::*;
use crate::restore::plan::SourceRange;
use crate::restore::route::Route;

const TOPIC: Uuid = Uuid::from_u128(1);
const RECORDS: i64 = 3;
/// Time of the first record, in milliseconds.
const FIRST: i64 = 1000;

fn options() -> WriterOptions {
    WriterOptions {
        layout: Layout::new("shop"),
        owner: Owner { namespace: "ns".into(), name: "shop".into(), cluster_id: "s".into() },
        incremental: true,
        continuous: false,
        head: None,
        adopt: false,
        source: Source::default(),
        run: "run".into(),
        spec: archive::Digest::of(b"spec"),
        stamp: "20260101-000000".into(),
        nonce: "0123456789abcdef".into(),
        uuid: Uuid::nil(),
        codec: Codec::None,
        level: 3,
        workers: 1,
        segment_max_bytes: 1 << 20,
    }
}

/// A batch of one record.
fn batch(offset: i64) -> RawBatch {
    let time = FIRST + offset;
    let meta = BatchMeta {
        base_offset: offset,
        base_timestamp: time,
        max_timestamp: time,
        producer: (-1, -1, -1),
        records: 1,
    };
    let record = [14, 0, 0, 0, 1, 2, b'x', 0];
    RawBatch::parse(encode_batch(&meta, &record, &mut Compressor::new(Codec::None, None)).unwrap().into()).unwrap()
}

/// A point of one topic with a few records.
async fn point(store: &Store) -> Point {
    let Opened::Writer(mut writer) = SetWriter::open(store.clone(), options()).await.unwrap() else { panic!() };
    writer.know_topic(TopicState::new(TOPIC, "orders", 1, 1));
    let (mut arena, mut position) = (Arena::default(), PartitionState::new(0, 0));
    position.next = RECORDS;
    for from in 0..RECORDS {
        let raw = batch(from);
        position.committed += 1;
        position.bytes += raw.bytes.len() as u64;
        let (topic, partition, timeline, committed, aborted) = (TOPIC, 0, 0, 1, false);
        arena.push(PendingBatch { topic, partition, timeline, from, committed, aborted, raw });
    }
    writer.push(arena).await.unwrap();
    let facts = SealFacts {
        converted: None,
        stamp: "20260101-000000".into(),
        point: "shop-20260101-000000".into(),
        at: "2026-01-01T00:00:00Z".into(),
        source_cluster_id: None,
        include_offset_headers: false,
        held_back: Vec::new(),
        configs: [("orders".to_owned(), planned::source_configs())].into(),
        groups: None,
        writer: "test".into(),
    };
    let moves = Moves { positions: vec![(TOPIC, position)], ..Moves::default() };
    writer.seal(moves, &BTreeSet::from([TOPIC]), facts).await.unwrap();
    writer.confirm().await.unwrap();
    let (layout, entry) = archive::resolve(store, "shop").await.unwrap();
    Point::load(store, &layout, entry).await.unwrap()
}

fn plan(point: &Point) -> RestorePlan {
    let records = RECORDS.cast_unsigned();
    let bytes: u64 = (0..RECORDS).map(|offset| batch(offset).bytes.len() as u64).sum();
    let plan = planned::plan();
    let topic = TopicPlan {
        source: "orders".into(),
        target: "orders".into(),
        partition_count: 1,
        partitions: vec![0],
        targets: vec![0],
        route: Route::Partition([].into()),
        sources: vec![SourceRange { partition: 0, first: 0, next: RECORDS, records, exact: true }],
        records,
        bytes,
        largest_partition: bytes,
        oldest: Some(FIRST),
        ..plan.topics[2].clone()
    };
    RestorePlan {
        digest: point.digest.clone(),
        offset_headers: false,
        forks: Vec::new(),
        older: Vec::new(),
        topics: vec![topic],
        ..plan
    }
}

#[tokio::test]
async fn a_plan_is_held_against_the_records_and_configs_of_its_source() {
    let store = Store::new(Arc::new(InMemory::new()), "", "memory");
    let (point, mut spec) = (point(&store).await, spec());
    let part: RestoreSpec = serde_json::from_value(json!({"from": "shop"})).unwrap();
    spec.restore = Some(part.clone());
    let asked = Asked { spec: &spec, part: &part, cluster: "c" };
    let honest = plan(&point);
    let state =
        RestoreState { digest: point.digest.clone(), entry: point.entry, topics: intent(&honest), ..new_state() };
    asked.fits_archive(&honest, &state, &point).await.unwrap();
    for (pointer, value, word) in [
        ("/digest", json!("00"), "digest"),
        ("/topics/0/sourceId", json!(Uuid::from_u128(3)), "source"),
        ("/topics/0/partitionCount", json!(2), "topics[0].partitionCount"),
        ("/topics/0/oldest", json!(FIRST + 1), "topics[0].oldest"),
        ("/topics/0/largestPartition", json!(1), "topics[0].largestPartition"),
        ("/topics/0/configs/retention.ms", json!("1"), "topics[0].configs.retention.ms"),
        ("/topics/0/configs/cleanup.policy", json!("compact"), "topics[0].configs.cleanup.policy"),
        ("/topics/0/configs/flush.ms", json!("1"), "topics[0].configs has"),
    ] {
        let mut document = serde_json::to_value(&honest).unwrap();
        planned::set(&mut document, pointer, value);
        let forged = serde_json::from_value(document).unwrap();
        let refused = asked.fits_archive(&forged, &state, &point).await.expect_err(pointer);
        assert!(refused.code == Code::StateMismatch && refused.message.contains(word), "{pointer}: {refused}");
    }
    // The set belongs to somebody else than the one whom the specification names.
    let stranger =
        |name: &str| RestoreSpec { owner: serde_json::from_value(json!({"name": name})).unwrap(), ..part.clone() };
    let load = async |part: &RestoreSpec| crate::restore::load_point(&store, part, Some(&state)).await;
    assert_eq!(load(&stranger("other")).await.unwrap_err().code, Code::ForeignOwner);
    load(&stranger("shop")).await.unwrap();
    let anybody = RestoreSpec { accept: vec![contract::Risk::OtherOwner], ..stranger("other") };
    load(&anybody).await.unwrap();
}
