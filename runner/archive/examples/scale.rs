//! A set with many entries, and how long and how much memory it takes to plan from it, to resume and to find a point.
//!
//! usage: scale make DIR ENTRIES PARTITIONS MOVED     each entry moves MOVED of PARTITIONS partitions
//!        scale plan | resume | lookup DIR            time in milliseconds and peak memory in MiB
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

mod scaled;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use archive::{
    Arena, Moves, PartitionState, PendingBatch, Point, SealFacts, SetWriter, Store, Timelines, TopicState, Wanted,
    resolve,
};
use batch::Window;
use object_store::local::LocalFileSystem;
use tokio::time::Instant;

use scaled::{SET, TOPIC, one_record, open_writer, options, peak_mib};

const STAMP: &str = "20260131-080000";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let store = open(&arguments[2]);
    let started = Instant::now();
    match arguments[1].as_str() {
        "make" => make(&store, &arguments[3..]).await,
        "plan" => plan(&store).await,
        "resume" => drop(writer(&store, "resumes").await),
        "lookup" => assert!(resolve(&store, &format!("{SET}-{STAMP}")).await.unwrap().1 > 0),
        other => panic!("{other}"),
    }
    println!("{:<8}{:>8} ms {:>6} MiB", arguments[1], started.elapsed().as_millis(), peak_mib());
}

/// Without fsync: nothing here must survive anything.
fn open(dir: &str) -> Store {
    std::fs::create_dir_all(dir).unwrap();
    Store::new(Arc::new(LocalFileSystem::new_with_prefix(dir).unwrap()), "", dir)
}

async fn writer(store: &Store, run: &str) -> SetWriter {
    open_writer(store, options(run.to_owned(), STAMP, "0123456789abcdef".to_owned(), true)).await
}

async fn make(store: &Store, arguments: &[String]) {
    let number = |place: usize| arguments[place].parse::<i64>().unwrap();
    let (entries, partitions, per_entry) = (number(0), number(1), number(2));
    let mut writer = writer(store, "run").await;
    let count = i32::try_from(partitions).unwrap();
    writer.know_topic(TopicState::new(TOPIC, "t", count, 1));
    let mut rows: Vec<PartitionState> = (0..count).map(|partition| PartitionState::new(partition, 0)).collect();
    let mut last = Instant::now();
    for entry in 0..entries {
        let mut arena = Arena::default();
        let mut moves = Moves::default();
        for turn in 0..per_entry {
            let partition = usize::try_from((entry * per_entry + turn) % partitions).unwrap();
            let row = &mut rows[partition];
            let raw = one_record(row.next);
            row.next += 1;
            row.committed += 1;
            // The seal is held against what the segments hold.
            row.bytes += raw.bytes.len() as u64;
            let (partition, from) = (row.partition, row.next - 1);
            arena.push(PendingBatch { topic: TOPIC, partition, timeline: 0, from, committed: 1, aborted: false, raw });
            moves.positions.push((TOPIC, row.clone()));
        }
        writer.push(arena).await.unwrap();
        // A continuous run seals now and then; the last entry is a seal.
        if entry % 100 == 99 || entry == entries - 1 {
            let all = rows.iter().map(|row| (TOPIC, row.clone())).collect();
            let facts = SealFacts {
                converted: None,
                stamp: STAMP.into(),
                point: format!("{SET}-{STAMP}"),
                at: "2026-01-31T08:00:00Z".into(),
                source_cluster_id: None,
                include_offset_headers: true,
                held_back: vec![],
                configs: std::collections::BTreeMap::default(),
                groups: None,
                writer: "scale".into(),
            };
            let moves = Moves { positions: all, ..Moves::default() };
            let (entry, digest) = writer.seal(moves, &BTreeSet::from([TOPIC]), facts).await.unwrap();
            writer.write_hint(&entry, &digest).await.unwrap();
        } else {
            writer.commit(moves).await.unwrap();
        }
        if last.elapsed() > Duration::from_secs(10) {
            last = Instant::now();
            println!("{entry} of {entries} entries");
        }
    }
}

/// What a restore does before it writes: load the point, sum up every partition, and find the segments to read.
async fn plan(store: &Store) {
    let (layout, seal) = resolve(store, SET).await.unwrap();
    let point = Point::load(store, &layout, seal).await.unwrap();
    let from: HashMap<_, _> = point.seal.partitions.iter().map(|row| ((TOPIC, row.partition), 0)).collect();
    let mut records = 0;
    point.each_row(None, &mut |_, row| records += row.committed).await.unwrap();
    let plan = point.plan(&Wanted::new(from, Timelines::default(), Window::ALL)).await.unwrap();
    assert_eq!((plan.records, plan.segments.len()), (records, point.segments().len()));
}
