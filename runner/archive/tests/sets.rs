//! Sets written and read back in memory: what comes out is what went in, two writers never both commit, and any
//! changed byte is found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use archive::{
    ArchiveError, Arena, Digest, Gap, Layout, Level, Moves, Opened, Owner, PartitionState, PendingBatch, Point,
    SealFacts, SetWriter, Source, Store, Timelines, TopicState, Wanted, WriterOptions, resolve, verify_log,
    verify_point,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, Window, encode_batch};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;
use uuid::Uuid;

const STAMP: &str = "20260131-080000";

fn owner() -> Owner {
    Owner { namespace: "ns".into(), name: "orders".into(), cluster_id: "cluster".into() }
}

fn options(run: &str, nonce: &str) -> WriterOptions {
    WriterOptions {
        layout: Layout::new("orders"),
        owner: owner(),
        incremental: true,
        continuous: false,
        head: None,
        adopt: false,
        run: run.into(),
        spec: Digest::of(b"spec"),
        stamp: STAMP.into(),
        nonce: nonce.into(),
        uuid: Uuid::nil(),
        codec: Codec::Zstd,
        level: 3,
        workers: 2,
        segment_max_bytes: 1 << 20,
        source: Source::default(),
    }
}

fn topic(number: u128) -> TopicState {
    TopicState::new(Uuid::from_u128(number), &format!("topic-{number}"), 4, 1)
}

/// A plain batch of `records` records of `size` bytes each, from `offset` on.
fn raw(offset: i64, records: i32, size: usize) -> RawBatch {
    let mut body = vec![0, 0, 0, 1];
    let mut length = size * 2;
    while length >= 0x80 {
        body.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.extend(std::iter::repeat_n(7, size));
    body.push(0);
    let mut bytes = Vec::new();
    for delta in 0..records {
        let mut one = body.clone();
        one[2] = u8::try_from(delta * 2).unwrap();
        let mut length = one.len() * 2;
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(one);
    }
    let meta =
        BatchMeta { base_offset: offset, base_timestamp: 1000, max_timestamp: 1000, producer: (-1, -1, -1), records };
    RawBatch::parse(encode_batch(&meta, &bytes, &mut Compressor::new(Codec::None, None)).unwrap().into()).unwrap()
}

fn position(partition: i32, next: i64) -> PartitionState {
    PartitionState { next, epoch: 0, last_stable: next, high_watermark: next, ..PartitionState::new(partition, 0) }
}

/// Counts a batch as a backup does.
fn take_in(row: &mut PartitionState, raw: &RawBatch) {
    row.next = raw.header.next_offset();
    (row.last_stable, row.high_watermark) = (row.next, row.next);
    row.committed += raw.header.records();
    row.bytes += raw.bytes.len() as u64;
}

fn facts() -> SealFacts {
    SealFacts {
        converted: None,
        stamp: STAMP.into(),
        point: format!("orders-{STAMP}"),
        at: "2026-01-31T08:00:00Z".into(),
        source_cluster_id: None,
        include_offset_headers: false,
        held_back: vec![],
        configs: [
            ("topic-1".to_owned(), [("retention.ms".to_owned(), "1".to_owned())].into()),
            ("topic-2".to_owned(), [].into()),
        ]
        .into(),
        groups: Some(vec![]),
        writer: "test".into(),
    }
}

fn moves(position: PartitionState, gaps: Vec<Gap>) -> Moves {
    Moves { positions: vec![(Uuid::from_u128(1), position)], gaps, forks: vec![] }
}

async fn writer(store: &Store, run: &str, nonce: &str) -> SetWriter {
    match SetWriter::open(store.clone(), options(run, nonce)).await.unwrap() {
        Opened::Writer(writer) => *writer,
        Opened::Sealed(sealed) => panic!("{sealed:?}"),
    }
}

fn memory() -> (Arc<InMemory>, Store) {
    let inner = Arc::new(InMemory::new());
    (Arc::clone(&inner), Store::new(inner, "team/a", "memory"))
}

async fn open(store: &Store, run: &str, nonce: &str) -> SetWriter {
    let mut writer = writer(store, run, nonce).await;
    writer.know_topic(topic(1));
    writer.know_topic(topic(2));
    writer
}

fn pending(number: u128, partition: i32, raw: RawBatch) -> PendingBatch {
    let (from, committed) = (raw.header.base_offset, raw.header.records());
    PendingBatch { topic: Uuid::from_u128(number), partition, timeline: 0, from, committed, aborted: false, raw }
}

/// Writes these batches, a commit after each arena, and seals. Returns what a reader must find, by partition.
async fn write(store: &Store, arenas: Vec<Vec<(u128, i32, i32, usize)>>) -> HashMap<(Uuid, i32), Vec<u8>> {
    let mut writer = open(store, "run-1", "0123456789abcdef").await;
    let (mut rows, mut expected) = (HashMap::new(), HashMap::<_, Vec<u8>>::new());
    for batches in arenas {
        let mut arena = Arena::default();
        for (number, partition, records, size) in batches {
            let key = (Uuid::from_u128(number), partition);
            let row = rows.entry(key).or_insert_with(|| PartitionState::new(partition, 0));
            let raw = raw(row.next, records, size);
            take_in(row, &raw);
            expected.entry(key).or_default().extend_from_slice(&raw.bytes);
            arena.push(pending(number, partition, raw));
        }
        writer.push(arena).await.unwrap();
        let moved: Vec<_> = rows.iter().map(|(key, row)| (key.0, row.clone())).collect();
        writer.commit(Moves { positions: moved, ..Moves::default() }).await.unwrap();
    }
    let live = BTreeSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]);
    let (entry, digest) = writer.seal(Moves::default(), &live, facts()).await.unwrap();
    writer.write_hint(&entry, &digest).await.unwrap();
    writer.confirm().await.unwrap();
    expected
}

async fn read(store: &Store) -> HashMap<(Uuid, i32), Vec<u8>> {
    let (layout, seal) = resolve(store, "orders").await.unwrap();
    let point = Point::load(store, &layout, seal).await.unwrap();
    let from = (1..=2).flat_map(|n| (0..4).map(move |p| ((Uuid::from_u128(n), p), i64::MIN))).collect();
    let mut stream = point.stream(Wanted::new(from, Timelines::default(), Window::ALL)).await.unwrap();
    let mut out = HashMap::<_, Vec<u8>>::new();
    while let Some(share) = stream.next().await.unwrap() {
        let bytes = out.entry((share.topic, share.partition)).or_default();
        share.batches.iter().for_each(|batch| bytes.extend_from_slice(&batch.bytes));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_read_is_what_was_written(
        arenas in proptest::collection::vec(
            proptest::collection::vec((1u128..3, 0i32..4, 1i32..5, 0usize..300_000), 1..12), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_, store) = memory();
            let expected = write(&store, arenas).await;
            assert_eq!(read(&store).await, expected);
            let (layout, seal) = resolve(&store, &format!("orders-{STAMP}")).await.unwrap();
            let found = verify_point(&store, &layout, seal, Level::Decode).await.unwrap();
            assert!(found.problems.is_empty(), "{:?}", found.problems);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_knows_since_when_it_has_its_members() {
    let (_, store) = memory();
    let claim = async |run: &str, found: &[u128], begin: i64| {
        let source = Source {
            topics: found.iter().map(|number| topic(*number)).collect(),
            begin: found.iter().map(|number| (Uuid::from_u128(*number), PartitionState::new(0, begin))).collect(),
            starts: None,
        };
        let options = WriterOptions { source, ..options(run, "aaaaaaaaaaaaaaaa") };
        match SetWriter::open(store.clone(), options).await.unwrap() {
            Opened::Writer(writer) => *writer,
            Opened::Sealed(sealed) => panic!("{sealed:?}"),
        }
    };
    let since = |writer: &SetWriter| -> Vec<_> {
        writer.state().topics.values().map(|topic| (topic.since, topic.first_partitions)).collect()
    };
    let begins = |writer: &SetWriter, number: u128| {
        writer.state().partitions.get(&(Uuid::from_u128(number), 0)).map(|row| row.next)
    };
    // The first claim decides where partitions begin, and its writer may die at once.
    drop(claim("run-1", &[1], 100).await);
    let mut second = claim("run-1", &[1, 2], 150).await;
    assert_eq!(since(&second), [(Some(0), Some(4)), (Some(1), Some(4))]);
    assert_eq!((begins(&second, 1), begins(&second, 2)), (Some(100), None));
    second.know_topic(TopicState { partitions: 9, ..topic(2) });
    second.know_topic(topic(3));
    let live = BTreeSet::from([1, 2, 3].map(Uuid::from_u128));
    second.seal(Moves::default(), &live, facts()).await.unwrap();
    // A reader of the seal alone, as the next writer is, knows all of it.
    let third = claim("run-2", &[1, 2, 3, 4], 200).await;
    assert_eq!(
        since(&third),
        [(Some(0), Some(4)), (Some(1), Some(4)), (Some(2), Some(4)), (Some(3), Some(4))],
        "a topic joins with the entry that names it first"
    );
    assert_eq!(third.state().topics[&Uuid::from_u128(2)].partitions, 9);
    assert_eq!((begins(&third, 1), begins(&third, 4)), (Some(100), None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Wherever the log start cuts a batch: what the writer counted, what the index says, what verification finds and
    /// what a reader gets is one number.
    #[test]
    fn all_count_the_same_records(
        batches in proptest::collection::vec((0i32..3, 1i32..40, 0i32..40, any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_, store) = memory();
            let mut writer = open(&store, "run-1", "0123456789abcdef").await;
            let (mut next, mut counted, mut arena) = (HashMap::<i32, i64>::new(), 0, Arena::default());
            let mut rows = HashMap::<i32, PartitionState>::new();
            for (partition, records, cut, ends_arena) in batches {
                // The source may delete records at any time: any batch can be cut.
                let cut = if cut < 20 { cut % records } else { 0 };
                let offset = next.entry(partition).or_insert(0);
                let raw = raw(*offset, records, 3);
                let from = *offset + i64::from(cut);
                *offset = raw.header.next_offset();
                let committed = u64::try_from(records - cut).unwrap();
                counted += committed;
                let row = rows.entry(partition).or_insert_with(|| position(partition, 0));
                row.next = *offset;
                row.committed += committed;
                row.bytes += raw.bytes.len() as u64;
                arena.push(PendingBatch { from, committed, ..pending(1, partition, raw) });
                if ends_arena {
                    writer.push(std::mem::take(&mut arena)).await.unwrap();
                }
            }
            writer.push(arena).await.unwrap();
            let live = BTreeSet::from([Uuid::from_u128(1)]);
            let positions = rows.into_values().map(|row| (Uuid::from_u128(1), row)).collect();
            let moves = Moves { positions, ..Moves::default() };
            let (entry, digest) = writer.seal(moves, &live, facts()).await.unwrap();
            writer.write_hint(&entry, &digest).await.unwrap();
            let (layout, seal) = resolve(&store, "orders").await.unwrap();
            let point = Point::load(&store, &layout, seal).await.unwrap();
            let (mut indexed, mut read) = (0, 0);
            point.each_row(None, &mut |_, row: &archive::SegmentRow| indexed += row.committed).await.unwrap();
            let from = (0..3).map(|p| ((Uuid::from_u128(1), p), i64::MIN)).collect();
            let mut stream = point.stream(Wanted::new(from, Timelines::default(), Window::ALL)).await.unwrap();
            while let Some(share) = stream.next().await.unwrap() {
                let visible = share.from..share.until;
                for batch in &share.batches {
                    let header = &batch.header;
                    read += (header.base_offset..header.next_offset()).filter(|o| visible.contains(o)).count() as u64;
                }
            }
            let verified = verify_point(&store, &layout, seal, Level::Decode).await.unwrap();
            assert!(verified.problems.is_empty(), "{:?}", verified.problems);
            assert_eq!((indexed, verified.records, read), (counted, counted, counted));
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_the_later_claim_wins() {
    let (_, store) = memory();
    let mut first = open(&store, "run-1", "aaaaaaaaaaaaaaaa").await;
    let mut second = open(&store, "run-2", "bbbbbbbbbbbbbbbb").await;
    let mut arena = Arena::default();
    arena.push(pending(1, 0, raw(0, 3, 10)));
    first.push(arena).await.unwrap();
    let lost = first.commit(moves(position(0, 3), vec![])).await;
    assert!(matches!(lost, Err(ArchiveError::Fenced { entry: 1, .. })), "{lost:?}");
    second.seal(Moves::default(), &BTreeSet::new(), facts()).await.unwrap();
    // The finished run is left alone when it is asked for again.
    let again = SetWriter::open(store.clone(), options("run-2", "cccccccccccccccc")).await.unwrap();
    assert!(matches!(again, Opened::Sealed(sealed) if sealed.line.name == format!("orders-{STAMP}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_goes_on_from_committed_positions_and_keeps_gaps() {
    let (_, store) = memory();
    let mut first = open(&store, "run-1", "aaaaaaaaaaaaaaaa").await;
    let gap = Gap {
        topic: Uuid::from_u128(1),
        name: "topic-1".into(),
        partition: 0,
        from: 3,
        to: 9,
        reason: archive::GapReason::LogStartMoved,
        timeline: None,
    };
    first.commit(moves(position(0, 9), vec![gap.clone()])).await.unwrap();
    drop(first);
    let mut second = open(&store, "run-1", "bbbbbbbbbbbbbbbb").await;
    assert!(second.claim().resumed);
    assert_eq!(second.state().partitions[&(Uuid::from_u128(1), 0)].next, 9);
    second.seal(Moves::default(), &BTreeSet::new(), facts()).await.unwrap();
    let (layout, seal) = resolve(&store, "orders").await.unwrap();
    assert_eq!(Point::load(&store, &layout, seal).await.unwrap().gaps(), [gap]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changed_byte_is_found() {
    use object_store::{ObjectStoreExt, path::Path};
    let (inner, store) = memory();
    write(&store, vec![vec![(1, 0, 2, 40), (1, 1, 1, 5), (2, 3, 3, 9)], vec![(1, 0, 1, 3)]]).await;
    let (layout, seal) = resolve(&store, "orders").await.unwrap();
    let unpacked = |bytes: &[u8]| zstd::stream::decode_all(bytes).ok();
    for (key, _) in store.walk(&layout.root()).await.unwrap() {
        let path = Path::from(format!("team/a/{key}"));
        let good = inner.get(&path).await.unwrap().bytes().await.unwrap();
        for position in 0..good.len() {
            let mut bad = good.to_vec();
            bad[position] ^= 0x15;
            // A hint, which no digest names, may be packed in another way: a match can be copied from an equal place.
            let same = unpacked(&good).is_some_and(|good| unpacked(&bad) == Some(good));
            inner.put(&path, bad.into()).await.unwrap();
            let found = verify_point(&store, &layout, seal, Level::Checksum).await.unwrap();
            assert!(!found.problems.is_empty() || same, "byte {position} of {key}");
        }
        inner.put(&path, good.into()).await.unwrap();
    }
    let found = verify_point(&store, &layout, seal, Level::Decode).await.unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
}

/// First offset, next offset and segment of each row, by partition.
type Places = HashMap<(Uuid, i32), Vec<(i64, i64, u32)>>;

/// 4,200 entries, each moving one of 40 partitions: roll-ups of both levels, and entries after them.
#[tokio::test]
async fn roll_ups_say_what_entries_say() {
    let (inner, store) = memory();
    let mut writer = writer(&store, "run-1", "aaaaaaaaaaaaaaaa").await;
    writer.know_topic(topic(1));
    writer.know_topic(topic(2));
    let mut next = HashMap::new();
    for round in 0..4_200i64 {
        let (number, partition) = (u128::try_from(round % 2 + 1).unwrap(), i32::try_from(round % 40).unwrap());
        let row = next.entry((number, partition)).or_insert_with(|| PartitionState::new(partition, 0));
        let mut arena = Arena::default();
        let raw = raw(row.next, 2, 5);
        take_in(row, &raw);
        arena.push(pending(number, partition, raw));
        let moved = (Uuid::from_u128(number), row.clone());
        writer.push(arena).await.unwrap();
        writer.commit(Moves { positions: vec![moved], ..Moves::default() }).await.unwrap();
    }
    let live = BTreeSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]);
    let (entry, digest) = writer.seal(Moves::default(), &live, facts()).await.unwrap();
    writer.write_hint(&entry, &digest).await.unwrap();
    assert_eq!(entry.last_rollup.as_ref().map(|rollup| (rollup.level, rollup.to)), Some((1, 4_159)));
    let (layout, seal) = resolve(&store, "orders").await.unwrap();
    let point = Point::load(&store, &layout, seal).await.unwrap();
    let mut rows = Places::new();
    let mut take = |topic: Uuid, row: &archive::SegmentRow| {
        rows.entry((topic, row.partition)).or_default().push((row.first, row.next, row.segment));
    };
    point.each_row(None, &mut take).await.unwrap();
    // By another way: every entry, one after the other.
    let chain = archive::Chain::new(store.clone(), layout.clone());
    let (mut expected, mut segments) = (Places::new(), 0);
    for (entry, _) in chain.read(0, seal).await.unwrap() {
        for row in &entry.rows {
            let topic = entry.topics[row.topic as usize].id;
            let key = (topic, row.partition);
            expected.entry(key).or_default().push((row.first, row.next, segments + row.segment));
        }
        segments += u32::try_from(entry.segments.len()).unwrap();
    }
    assert_eq!(rows, expected);
    assert_eq!(point.segments().len(), segments as usize);
    // Few partitions: the same rows, fewer pages.
    let only = std::collections::HashSet::from([(Uuid::from_u128(2), 7)]);
    let mut found = Vec::new();
    let mut take = |topic: Uuid, row: &archive::SegmentRow| found.push(((topic, row.partition), row.first));
    point.each_row(Some(&only), &mut take).await.unwrap();
    assert_eq!(found.len(), expected[&(Uuid::from_u128(2), 7)].len());
    let verified = verify_log(&store, &layout, seal, Level::Structure).await.unwrap();
    assert!(verified.problems.is_empty(), "{:?}", verified.problems);
    // A changed byte of a roll-up that counts is found.
    let prefix = object_store::path::Path::from("team/a/orders/roll");
    let all: Vec<_> = inner.list(Some(&prefix)).try_collect().await.unwrap();
    assert!(all.len() >= 66, "{} roll-ups", all.len());
    let large = all.iter().find(|object| object.location.as_ref().contains("/2/")).unwrap();
    let bytes = inner.get(&large.location).await.unwrap().bytes().await.unwrap();
    for at in [0, 7, 8, bytes.len() / 3, bytes.len() - 1] {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        inner.put(&large.location, changed.into()).await.unwrap();
        let verified = verify_log(&store, &layout, seal, Level::Structure).await.unwrap();
        assert!(!verified.problems.is_empty(), "byte {at}");
    }
}

/// Any producer can write offsets that repeat, and brokers take them: `verify` says so, and calls nothing damaged.
#[tokio::test(flavor = "multi_thread")]
async fn odd_offsets_are_a_note_and_no_damage() {
    let (_, store) = memory();
    let mut writer = open(&store, "run-1", "aaaaaaaaaaaaaaaa").await;
    // Length, attributes, time, delta, null key, null value, no headers: offsets 0, 0, 1.
    let records: Vec<u8> = [0, 0, 2].iter().flat_map(|delta| [12, 0, 0, *delta, 1, 1, 0]).collect();
    let meta =
        BatchMeta { base_offset: 0, base_timestamp: 1000, max_timestamp: 1000, producer: (-1, -1, -1), records: 3 };
    let bytes = encode_batch(&meta, &records, &mut Compressor::new(Codec::None, None)).unwrap();
    let mut arena = Arena::default();
    let mut row = position(0, 0);
    for raw in [RawBatch::parse(bytes.into()).unwrap(), raw(3, 2, 10)] {
        take_in(&mut row, &raw);
        arena.push(pending(1, 0, raw));
    }
    writer.push(arena).await.unwrap();
    writer.commit(moves(row, vec![])).await.unwrap();
    let live = BTreeSet::from([Uuid::from_u128(1), Uuid::from_u128(2)]);
    let (entry, digest) = writer.seal(Moves::default(), &live, facts()).await.unwrap();
    writer.write_hint(&entry, &digest).await.unwrap();
    writer.confirm().await.unwrap();
    let (layout, seal) = resolve(&store, "orders").await.unwrap();
    let found = verify_point(&store, &layout, seal, Level::Decode).await.unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    let [note] = found.notes.try_into().unwrap();
    assert!(note.what.contains("partition 0 offset 0"), "{}", note.what);
}

/// Other tools look at a prefix by the characters that a person wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_written_as_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    for prefix in ["team/a", "ä b/%2F~x", "a#b/c?d", "100%/[x]", "*"] {
        let inner = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let store = Store::new(Arc::new(inner), prefix, "folder");
        let expected = write(&store, vec![vec![(1, 0, 2, 40)]]).await;
        assert_eq!(read(&store).await, expected, "{prefix}");
        assert!(folder.path().join(prefix).join("orders").is_dir(), "{prefix}");
        let keys = store.walk(&Layout::new("orders").root()).await.unwrap();
        assert!(!keys.is_empty() && keys.iter().all(|(key, _)| key.starts_with("orders/")), "{prefix}: {keys:?}");
    }
}
