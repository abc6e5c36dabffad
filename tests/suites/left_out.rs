//! Batches that cannot be read and are left out (`onUnreadable: skip`), over attempts that die. Brokers take no such batch, so that
//! the archive here is made by the writer itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use archive::{
    Arena, Digest, Layout, Moves, Opened, Owner, PartitionState, PendingBatch, SealFacts, SetWriter, Source, Store,
    TopicState, WriterOptions,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, encode_batch};
use harness::oracle;
use harness::runner::Bench;
use object_store::local::LocalFileSystem;
use serde_json::json;
use uuid::Uuid;

use super::target;

const TOPIC: Uuid = Uuid::from_u128(77);
/// Records of a batch, and batches.
const RECORDS: i64 = 10;
const BATCHES: i64 = 40;

/// A batch; one that cannot be read says that it is compressed, and is not.
fn batch(number: i64, is_sound: bool) -> RawBatch {
    let meta = BatchMeta {
        base_offset: number * RECORDS,
        base_timestamp: 1_000,
        max_timestamp: 1_000,
        producer: (-1, -1, -1),
        records: RECORDS as i32,
    };
    let record = |delta: i64| [12, 0, 0, (delta * 2) as u8, 1, 1, 0];
    let plain: Vec<u8> = (0..RECORDS).flat_map(record).collect();
    let mut bytes = encode_batch(&meta, &plain, &mut Compressor::new(Codec::None, None)).unwrap();
    if !is_sound {
        bytes[22] |= 4;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    RawBatch::parse(bytes.into()).unwrap()
}

/// An archive with one set and one point of a topic with one partition, whose first batch cannot be read.
async fn archive(folder: &Path, name: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let local = LocalFileSystem::new_with_prefix(folder).unwrap();
    let store = Store::new(Arc::new(local), "", "local");
    let stamp = "20260101-000000".to_owned();
    let owner = Owner { namespace: String::new(), name: name.to_owned(), cluster_id: "source".into() };
    let options = WriterOptions {
        layout: Layout::new(name),
        owner,
        source: Source::default(),
        incremental: true,
        continuous: false,
        head: None,
        adopt: false,
        run: "run-1".into(),
        spec: Digest::of(b"spec"),
        stamp: stamp.clone(),
        nonce: "0000000000000001".into(),
        uuid: Uuid::from_u128(1),
        codec: Codec::None,
        level: 1,
        workers: 1,
        segment_max_bytes: 1 << 20,
    };
    let Opened::Writer(mut writer) = SetWriter::open(store, options).await.unwrap() else { panic!("it is new") };
    writer.know_topic(TopicState::new(TOPIC, name, 1, 1));
    let (mut arena, mut row) = (Arena::default(), PartitionState::new(0, 0));
    for number in 0..BATCHES {
        let raw = batch(number, number > 0);
        let (timeline, from, committed) = (row.timeline, row.next, RECORDS as u64);
        row.next += RECORDS;
        row.committed += committed;
        row.bytes += raw.bytes.len() as u64;
        row.max_timestamp = 1_000;
        arena.push(PendingBatch { topic: TOPIC, partition: 0, timeline, from, committed, aborted: false, raw });
    }
    writer.push(arena).await.unwrap();
    let facts = SealFacts {
        converted: None,
        point: format!("{name}-{stamp}"),
        stamp,
        at: "2026-01-01T00:00:00Z".into(),
        source_cluster_id: None,
        include_offset_headers: false,
        held_back: vec![],
        configs: [(name.to_owned(), [].into())].into(),
        groups: None,
        writer: "test".into(),
    };
    let moves = Moves { positions: vec![(TOPIC, row)], ..Moves::default() };
    let (entry, digest) = writer.seal(moves, &BTreeSet::from([TOPIC]), facts).await.unwrap();
    writer.write_hint(&entry, &digest).await.unwrap();
}

/// An attempt that dies after records of its own are in the target leaves the next one with the whole account.
#[test]
fn what_was_left_out_is_told_also_when_an_attempt_dies() {
    let bench = Bench::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for headers in [true, false] {
        let name = format!("l-left-{headers}");
        runtime.block_on(archive(&bench.archive(), &name));
        let restore = json!({"from": name, "includeOffsetHeaders": headers, "onUnreadable": "skip"});
        let restore = bench.restore(&name, &target().bootstrap(), restore);
        assert_ne!(bench.run_to("produced", &restore).code, 0);
        let report = bench.run(&restore).ok().report();
        assert_eq!(
            (&report["outcome"], &report["leftOutRecords"]),
            (&json!("CompletedWithGaps"), &json!(RECORDS)),
            "{report}"
        );
        let read = oracle::read(&target().bootstrap(), &name, 0, false);
        assert_eq!(read.len() as i64, RECORDS * (BATCHES - 1), "each record once");
    }
}
