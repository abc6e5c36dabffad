//! Archives with a `prune` entry: what is hidden is not offered, and every point that stays verifies and reads as before, also
//! when all that nothing needs any more is deleted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod made;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{
    ArchiveError, Arena, Catalog, Chain, DeadRow, Digest, Entry, EntryKind, Fork, Gap, GapReason, Layout, Left,
    LeftSet, Level, LogStart, Moves, Opened, PartitionState, PendingBatch, Point, Prune, PruneRun, SealFacts,
    SealedPoint, SetWriter, Timelines, TopicState, Wanted, prune_plan, replaced_by, resolve, verify_log, verify_point,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, Window, encode_batch};
use contract::SetOwner;
use contract::retention::RetentionRules;
use jiff::Timestamp;
use made::{Made, SET, stamp};
use object_store::path::Path;
use proptest::prelude::*;
use uuid::Uuid;

const PARTITIONS: i32 = 2;

/// Records by topic id and partition: offset and time.
type Records = BTreeMap<(Uuid, i32), Vec<(i64, i64)>>;

/// One partition of a source: what it has, and where its log was cut since the last run.
#[derive(Debug, Clone, Default)]
struct Log {
    records: Vec<(i64, i64)>,
    start: i64,
    end: i64,
    cut: Option<i64>,
}

impl Log {
    fn append(&mut self, count: i64, clock: &mut i64) {
        for _ in 0..count {
            *clock += 1;
            self.records.push((self.end, *clock));
            self.end += 1;
        }
    }

    fn delete_below(&mut self, offset: i64) {
        self.start = offset.clamp(self.start, self.end);
        self.records.retain(|(offset, _)| *offset >= self.start);
    }

    /// The source lost everything from here on; below its start nothing is left at all.
    fn cut_at(&mut self, offset: i64) {
        self.end = offset;
        self.start = self.start.min(offset);
        self.records.retain(|(other, _)| *other < offset);
        self.cut = Some(self.cut.map_or(offset, |cut| cut.min(offset)));
    }
}

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    Append {
        topic: usize,
        partition: i32,
        count: i64,
    },
    DeleteBelow {
        topic: usize,
        partition: i32,
        share: i64,
    },
    Cut {
        topic: usize,
        partition: i32,
        share: i64,
    },
    /// A topic is deleted and created again.
    Again {
        topic: usize,
    },
    /// A run with so many points.
    Run {
        points: u64,
        segments: bool,
    },
    /// All but so many points go.
    Prune {
        keep: u32,
    },
    /// What is needed no more is deleted.
    Delete,
    /// The store loses a segment that is needed, and the next run gives it up.
    Lose {
        share: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || (0usize..3, 0..PARTITIONS, 0i64..=10);
    let step = prop_oneof![
        6 => (0usize..3, 0..PARTITIONS, 1i64..8).prop_map(|(topic, partition, count)| Step::Append { topic, partition, count }),
        3 => place().prop_map(|(topic, partition, share)| Step::DeleteBelow { topic, partition, share }),
        1 => place().prop_map(|(topic, partition, share)| Step::Cut { topic, partition, share }),
        1 => (0usize..3).prop_map(|topic| Step::Again { topic }),
        8 => (1u64..3, any::<bool>()).prop_map(|(points, segments)| Step::Run { points, segments }),
        2 => (1u32..6).prop_map(|keep| Step::Prune { keep }),
        1 => Just(Step::Delete),
        1 => (0usize..10).prop_map(|share| Step::Lose { share }),
    ];
    proptest::collection::vec(step, 8..40)
}

/// A recovery point, as the test knows it.
#[derive(Debug)]
struct Known {
    name: String,
    seal: u64,
    /// What its reader saw when it was made.
    seen: Records,
    /// What the source had then.
    source: Records,
}

/// A source, and the archive of it.
struct World {
    made: Made,
    topics: Vec<(Uuid, Vec<Log>)>,
    clock: i64,
    ids: u128,
    runs: u64,
    points: Vec<Known>,
    /// The first so many of them lack a segment that was lost.
    lost: usize,
}

impl World {
    fn new() -> Self {
        let topics = (0..3).map(|n| (Uuid::from_u128(100 + n), vec![Log::default(); 2])).collect();
        Self { made: Made::new(), topics, clock: 0, ids: 200, runs: 0, points: Vec::new(), lost: 0 }
    }

    fn layout() -> Layout {
        Layout::new(SET)
    }

    async fn step(&mut self, step: &Step) {
        let part = |share: i64, log: &Log| log.end * share / 10;
        match step {
            Step::Append { topic, partition, count } => {
                let log = &mut self.topics[*topic].1[usize::try_from(*partition).unwrap()];
                log.append(*count, &mut self.clock);
            }
            // The log of topic 2 is compacted: it begins where it always did.
            Step::DeleteBelow { topic, partition, share } if *topic != 2 => {
                let log = &mut self.topics[*topic].1[usize::try_from(*partition).unwrap()];
                log.delete_below(part(*share, log));
            }
            Step::DeleteBelow { .. } => {}
            Step::Cut { topic, partition, share } => {
                let log = &mut self.topics[*topic].1[usize::try_from(*partition).unwrap()];
                log.cut_at(part(*share, log));
            }
            Step::Again { topic } => {
                self.ids += 1;
                self.topics[*topic] = (Uuid::from_u128(self.ids), vec![Log::default(); 2]);
            }
            Step::Run { points, segments } => self.run(*points, *segments).await,
            Step::Prune { keep } => self.prune(*keep).await,
            Step::Delete => self.delete().await,
            Step::Lose { share } => self.lose(*share).await,
        }
    }

    /// A run that reads all that the source has.
    async fn run(&mut self, points: u64, segments: bool) {
        let mut writer = self.made.claim(self.runs).await.unwrap();
        for (place, (topic, _)) in self.topics.iter().enumerate() {
            writer.know_topic(TopicState::new(*topic, &format!("t{place}"), PARTITIONS, 1));
        }
        for point in 0..points {
            if point > 0 {
                let log = &mut self.topics[0].1[0];
                log.append(2, &mut self.clock);
            }
            let moves = self.read(&mut writer, segments).await;
            self.seal(&mut writer, moves).await;
        }
    }

    async fn read(&mut self, writer: &mut SetWriter, segments: bool) -> Moves {
        let mut moves = Moves::default();
        for (place, (topic, logs)) in self.topics.iter_mut().enumerate() {
            let mut arena = Arena::default();
            for (partition, log) in (0i32..).zip(logs) {
                let (topic, name) = (*topic, format!("t{place}"));
                let known = writer.state().partitions.get(&(topic, partition)).cloned();
                let mut row = known.unwrap_or_else(|| PartitionState::new(partition, log.start));
                if let Some(from) = log.cut.take().filter(|from| *from < row.next) {
                    let timeline = row.timeline + 1;
                    let fork = Fork { topic, name: name.clone(), partition, timeline, from };
                    (row.timeline, row.next, row.first) = (timeline, from, row.first.min(from));
                    row.replace(
                        replaced_by(&self.made.store, &Layout::new(SET), writer.newest(), &fork).await.unwrap(),
                    );
                    let moves = Moves { positions: vec![(topic, row.clone())], forks: vec![fork], ..Moves::default() };
                    writer.commit(moves).await.unwrap();
                }
                if row.next < log.start {
                    let (from, to, reason) = (row.next, log.start, GapReason::LogStartMoved);
                    moves.gaps.push(Gap { topic, name, partition, from, to, reason, timeline: None });
                    row.next = log.start;
                }
                row.log_start = log.start;
                for (offset, time) in log.records.iter().filter(|(offset, _)| *offset >= row.next) {
                    let raw = record(*offset, *time);
                    row.committed += 1;
                    row.bytes += raw.bytes.len() as u64;
                    row.max_timestamp = row.max_timestamp.max(*time);
                    let (timeline, from, aborted) = (row.timeline, *offset, false);
                    arena.push(PendingBatch { topic, partition, timeline, from, committed: 1, aborted, raw });
                }
                row.next = log.end;
                moves.positions.push((topic, row));
            }
            if !arena.is_empty() {
                writer.push(arena).await.unwrap();
                if segments {
                    writer.close_segment().await.unwrap();
                }
            }
        }
        moves
    }

    async fn seal(&mut self, writer: &mut SetWriter, moves: Moves) {
        let n = self.runs;
        self.runs += 1;
        let name = format!("{SET}-{}", stamp(n));
        let facts = SealFacts {
            point: name.clone(),
            stamp: stamp(n),
            at: "2026-01-01T00:00:00Z".into(),
            source_cluster_id: None,
            include_offset_headers: false,
            held_back: vec![],
            configs: (0..3).map(|place| (format!("t{place}"), BTreeMap::new())).collect(),
            groups: None,
            writer: "test".into(),
        };
        let live: BTreeSet<Uuid> = self.topics.iter().map(|(topic, _)| *topic).collect();
        let (entry, digest) = writer.seal(moves, &live, facts).await.unwrap();
        writer.write_hint(&entry, &digest).await.unwrap();
        let point = Point::load(&self.made.store, &Self::layout(), entry.n).await.unwrap();
        // What the writer tells of its point is what a reader sees.
        assert_eq!(point.seal.partitions, entry.seal.unwrap().partitions);
        let mut source = Records::new();
        for (topic, logs) in &self.topics {
            for (partition, log) in (0i32..).zip(logs).filter(|(_, log)| !log.records.is_empty()) {
                source.insert((*topic, partition), log.records.clone());
            }
        }
        self.points.push(Known { name, seal: entry.n, seen: seen(&point).await, source });
    }

    /// Hides all points but so many.
    async fn prune(&mut self, keep: u32) {
        if self.points.len() <= keep as usize {
            return;
        }
        let rules = RetentionRules::keeping(Some(keep), None, None).unwrap();
        let owner = SetOwner { name: SET.into(), namespace: Some("ns".into()), cluster_id: Some("cluster".into()) };
        let plan = prune_plan(&self.made.store, &owner, &rules, Timestamp::MAX).await.unwrap();
        assert!(plan.left.is_empty(), "{:?}", plan.left);
        let cutting = plan.chains[0].cutting.as_ref().unwrap();
        let chain = Chain::new(self.made.store.clone(), Self::layout());
        let head = chain.head().await.unwrap().unwrap();
        let by = PruneRun {
            run: "prune".into(),
            spec: Digest::of(b"prune"),
            nonce: "0123456789abcdef".into(),
            stamp: stamp(self.runs),
        };
        chain.append(&cutting.entry(&head, &by).unwrap()).await.unwrap();
        // Behind its own entry it is not right any more.
        assert_eq!(cutting.entry(&chain.head().await.unwrap().unwrap(), &by), None);
        let gone = self.points.len() - keep as usize;
        self.lost = self.lost.saturating_sub(gone);
        for known in self.points.drain(..gone).collect::<Vec<_>>() {
            let error = resolve(&self.made.store, &known.name).await.unwrap_err();
            assert!(matches!(error, ArchiveError::Removed { .. }), "{error}");
        }
        self.check().await;
    }

    /// Deletes every segment that the newest `prune` entry says nothing needs.
    async fn delete(&mut self) {
        let chain = Chain::new(self.made.store.clone(), Self::layout());
        let Some(head) = chain.head().await.unwrap() else { return };
        let newest = if head.entry.kind == EntryKind::Prune { Some(head.entry.n) } else { head.entry.last_prune };
        let Some(newest) = newest else { return };
        let prune = chain.entry(newest).await.unwrap().0.prune.unwrap();
        for row in &prune.dead {
            for key in self.made.keys(&format!("data/{:020}-", row.claim)).await {
                let seq: u64 = key.rsplit('/').next().unwrap().strip_suffix(".seg").unwrap().parse().unwrap();
                if (row.from..row.to).contains(&seq) {
                    self.made.remove(&key).await;
                }
            }
        }
        self.check().await;
    }

    /// Loses a segment of the newest point. All points so far may need it: they are left out of account from here on.
    async fn lose(&mut self, share: usize) {
        let Some(newest) = self.points.last() else { return };
        let point = Point::load(&self.made.store, &Self::layout(), newest.seal).await.unwrap();
        let Some(lost) = point.segments().get(point.segments().len() * share / 10) else { return };
        self.made.remove(Self::layout().segment(lost.claim, &lost.nonce, lost.seq).as_ref()).await;
        let mut starts = BTreeMap::new();
        for row in &point.seal.partitions {
            let topic = point.seal.topics[row.topic as usize].id;
            let live = self.topics.iter().find(|(id, _)| *id == topic);
            let start = live
                .map_or(LogStart::Gone, |(_, logs)| LogStart::At(logs[usize::try_from(row.partition).unwrap()].start));
            starts.insert((topic, row.partition), start);
        }
        self.made.starts = Some(starts);
        self.lost = self.points.len();
        self.run(1, true).await;
        self.made.starts = None;
        self.check().await;
    }

    /// All that is promised of every point that stays.
    async fn check(&self) {
        let (store, layout) = (&self.made.store, Self::layout());
        let (summary, points) = Catalog::new(store.clone()).set_and_points(SET).await.unwrap();
        assert!(summary.problems.is_empty() && !summary.unfinished, "{summary:?}");
        let names: Vec<&str> = points.iter().map(|point| point.point.as_str()).collect();
        assert_eq!(names, self.points.iter().map(|known| known.name.as_str()).collect::<Vec<_>>());
        for (known, listed) in self.points.iter().zip(&points).skip(self.lost) {
            let (_, seal) = resolve(store, &known.name).await.unwrap();
            assert_eq!(seal, known.seal);
            let point = Point::load(store, &layout, seal).await.unwrap();
            assert!(point.notes().is_empty(), "{:?}", point.notes());
            point.check_sums().await.unwrap();
            let now = seen(&point).await;
            for (key, records) in &known.source {
                let found: BTreeSet<_> = now.get(key).into_iter().flatten().collect();
                assert!(
                    records.iter().all(|record| found.contains(record)),
                    "{} lacks of {key:?}: {now:?}",
                    known.name
                );
            }
            for (key, records) in &now {
                let before: BTreeSet<_> = known.seen.get(key).into_iter().flatten().collect();
                assert!(records.iter().all(|record| before.contains(record)), "{} has more of {key:?}", known.name);
            }
            let count = now.values().map(|records| records.len() as u64).sum::<u64>();
            let verified = verify_point(store, &layout, seal, Level::Decode).await.unwrap();
            assert!(verified.problems.is_empty() && verified.notes.is_empty(), "{}: {verified:?}", known.name);
            assert_eq!(verified.records, count, "{}", known.name);
            assert_eq!(listed.line(None).records, count, "{}", known.name);
            // A list knows one largest time of a point, which may be that of a hidden record.
            let summary = point.summary();
            assert!(summary.newest <= listed.newest);
            assert_eq!(SealedPoint { newest: listed.newest, ..summary }, *listed);
        }
        if let Some(newest) = self.points.last() {
            let verified = verify_log(store, &layout, newest.seal, Level::Decode).await.unwrap();
            assert!(verified.problems.is_empty() && verified.notes.is_empty(), "{verified:?}");
        }
    }
}

fn record(offset: i64, time: i64) -> RawBatch {
    let (producer, records) = ((-1, -1, -1), 1);
    let meta = BatchMeta { base_offset: offset, base_timestamp: time, max_timestamp: time, producer, records };
    let bytes = encode_batch(&meta, &[12, 0, 0, 0, 1, 1, 0], &mut Compressor::new(Codec::None, None)).unwrap();
    RawBatch::parse(bytes.into()).unwrap()
}

/// What a reader sees of a point, each partition in offset order.
async fn seen(point: &Point) -> Records {
    let all = point.seal.partitions.iter();
    let keys = all.map(|row| (point.seal.topics[row.topic as usize].id, row.partition));
    let from: HashMap<_, _> = keys.map(|key| (key, i64::MIN)).collect();
    let mut stream = point.stream(Wanted::new(from, Timelines::new(point.forks()), Window::ALL)).await.unwrap();
    let mut out = Records::new();
    while let Some(share) = stream.next().await.unwrap() {
        for batch in &share.batches {
            let offset = batch.header.base_offset;
            if (share.from..share.until).contains(&offset) {
                out.entry((share.topic, share.partition)).or_default().push((offset, batch.header.base_timestamp));
            }
        }
    }
    out
}

fn play(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        for step in steps {
            world.step(step).await;
        }
        world.run(1, false).await;
        world.prune(2).await;
        world.delete().await;
        world.run(2, true).await;
        world.check().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_stays_reads_as_before_in_every_history(steps in steps()) {
        play(&steps);
    }
}

fn append(topic: usize, count: i64) -> Step {
    Step::Append { topic, partition: 0, count }
}

fn run() -> Step {
    Step::Run { points: 1, segments: true }
}

/// A log that was cut below what is hidden begins there anew: none of its records is hidden by what was said of older ones.
#[test]
fn a_log_that_begins_anew_below_what_is_hidden_is_shown() {
    let cut = Step::Cut { topic: 0, partition: 0, share: 0 };
    let older = Step::DeleteBelow { topic: 0, partition: 0, share: 5 };
    play(&[
        append(0, 8),
        run(),
        older.clone(),
        append(0, 8),
        run(),
        run(),
        Step::Prune { keep: 1 },
        Step::Delete,
        cut,
        append(0, 6),
        run(),
        run(),
        run(),
        Step::Prune { keep: 1 },
        Step::Delete,
        older,
        run(),
        run(),
        Step::Prune { keep: 1 },
        Step::Delete,
    ]);
}

/// A long log, most of it in roll-ups.
#[tokio::test]
async fn roll_ups_and_entries_hide_the_same() {
    let mut world = World::new();
    for n in 0..150 {
        world.step(&append(0, 2)).await;
        world.step(&append(1, 1)).await;
        if n > 10 {
            world.step(&Step::DeleteBelow { topic: 0, partition: 0, share: 8 }).await;
        }
        world.run(1, false).await;
    }
    world.prune(20).await;
    world.delete().await;
    assert!(!world.made.keys("roll/").await.is_empty());
    for key in world.made.keys("roll/").await {
        world.made.remove(&key).await;
    }
    for known in &world.points {
        let point = Point::load(&world.made.store, &World::layout(), known.seal).await.unwrap();
        point.check_sums().await.unwrap();
    }
}

/// Whoever knows a hidden point by the number of its seal reads it while its objects are there, and is told.
#[tokio::test]
async fn a_hidden_point_is_read_by_its_number_until_it_is_deleted() {
    let mut world = World::new();
    for _ in 0..3 {
        world.step(&append(0, 4)).await;
        world.step(&Step::DeleteBelow { topic: 0, partition: 0, share: 10 }).await;
        world.step(&append(0, 4)).await;
        world.run(1, true).await;
    }
    let (seal, before) = (world.points[0].seal, world.points[0].seen.clone());
    world.prune(1).await;
    let point = Point::load(&world.made.store, &World::layout(), seal).await.unwrap();
    assert_eq!(seen(&point).await, before);
    assert!(point.notes().iter().any(|note| note.what.contains("retention removed")), "{:?}", point.notes());
    world.delete().await;
    let found = verify_point(&world.made.store, &World::layout(), seal, Level::Structure).await.unwrap();
    assert!(!found.problems.is_empty() && !found.notes.is_empty());
}

/// What is not known is refused by name: a set with an entry that a later release wrote, and one whose `prune` entry is gone.
#[tokio::test]
async fn a_prune_entry_that_cannot_be_read_ends_the_look() {
    let mut world = World::new();
    for _ in 0..3 {
        world.step(&append(0, 4)).await;
        world.run(1, true).await;
    }
    world.prune(1).await;
    world.run(1, true).await;
    let key = world.made.keys("log/").await[6].clone();
    world.made.put(&key, b"nothing".to_vec()).await;
    let error = Point::load(&world.made.store, &World::layout(), world.points[0].seal).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains(&key), "{error}");
    assert!(world.made.store.get(&Path::from(key)).await.unwrap().is_some());
}

/// A full backup goes whole: its set has no point any more, and is no run that was broken off.
#[tokio::test]
async fn a_full_backup_that_goes_is_offered_by_nobody() {
    let made = Made::new();
    let names: Vec<String> = (0..3).map(|n| format!("{SET}-{}", stamp(n))).collect();
    for name in &names {
        made.full(name).await;
    }
    let chain = Chain::new(made.store.clone(), Layout::new(&names[2]));
    let head = chain.head().await.unwrap().unwrap();
    let n = head.entry.n + 1;
    let prune = Prune { oldest: None, dead: vec![DeadRow { claim: 0, from: 0, to: 1 }], hidden: vec![] };
    let entry = Entry {
        requires: vec!["prune".into()],
        kind: EntryKind::Prune,
        n,
        previous: Some(head.digest),
        claim: n,
        last_seal: Some(head.entry.n),
        last_state: Some(head.entry.n),
        topics: vec![],
        segments: vec![],
        rows: vec![],
        positions: vec![],
        seal: None,
        prune: Some(Box::new(prune)),
        ..head.entry
    };
    chain.append(&entry).await.unwrap();
    let catalog = Catalog::new(made.store.clone());
    let (summary, points) = catalog.set_and_points(&names[2]).await.unwrap();
    assert!(points.is_empty() && !summary.unfinished && summary.problems.is_empty(), "{summary:?}");
    let error = resolve(&made.store, &names[2]).await.unwrap_err();
    assert!(matches!(&error, ArchiveError::Removed { point, entry } if *point == names[2] && *entry == n), "{error}");
    // The newest of the name is the one before.
    assert_eq!(resolve(&made.store, SET).await.unwrap().0.set(), names[1]);
    assert!(catalog.unfinished(SET, &entry.spec).await.unwrap().is_none());
    let owner = SetOwner { name: SET.into(), namespace: Some("ns".into()), cluster_id: Some("cluster".into()) };
    let rules = RetentionRules::keeping(Some(1), None, None).unwrap();
    let plan = prune_plan(&made.store, &owner, &rules, Timestamp::MAX).await.unwrap();
    assert!(
        matches!(&plan.left[..], [LeftSet { set, why: Left::Removed { .. } }] if *set == names[2]),
        "{:?}",
        plan.left
    );
    assert!(plan.unfinished.is_empty() && plan.points.len() == 2, "{plan:?}");
    // A run that made it has made it.
    let opened = SetWriter::open(made.store.clone(), made.options(&names[2], false, 2)).await.unwrap();
    assert!(matches!(opened, Opened::Sealed(_)), "{opened:?}");
}
