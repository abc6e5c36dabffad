//! A source whose records come and go, and the archive of it: whatever happens, every recovery point that stays reads as when
//! it was made.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{
    ArchiveError, Arena, Catalog, Chain, Digest, EntryKind, Fork, Gap, GapReason, Layout, Level, LogStart, Moves,
    PartitionState, PendingBatch, Point, PruneRun, SealFacts, SealedPoint, SetWriter, Timelines, TopicState, Wanted,
    prune_plan, replaced_by, resolve, verify_log, verify_point,
};
use batch::{BatchMeta, Codec, Compressor, RawBatch, Window, encode_batch};
use contract::SetOwner;
use contract::retention::RetentionRules;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use crate::made::{Made, SET, stamp};

pub(crate) const PARTITIONS: i32 = 2;

/// Records by topic id and partition: offset and time.
pub(crate) type Records = BTreeMap<(Uuid, i32), Vec<(i64, i64)>>;

/// One partition of a source: what it has, and where its log was cut since the last run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) records: Vec<(i64, i64)>,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) cut: Option<i64>,
}

impl Log {
    pub(crate) fn append(&mut self, count: i64, clock: &mut i64) {
        for _ in 0..count {
            *clock += 1;
            self.records.push((self.end, *clock));
            self.end += 1;
        }
    }

    pub(crate) fn delete_below(&mut self, offset: i64) {
        self.start = offset.clamp(self.start, self.end);
        self.records.retain(|(offset, _)| *offset >= self.start);
    }

    /// The source lost everything from here on; below its start nothing is left at all.
    pub(crate) fn cut_at(&mut self, offset: i64) {
        self.end = offset;
        self.start = self.start.min(offset);
        self.records.retain(|(other, _)| *other < offset);
        self.cut = Some(self.cut.map_or(offset, |cut| cut.min(offset)));
    }
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
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

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
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
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) seal: u64,
    /// What its reader saw when it was made.
    pub(crate) seen: Records,
    /// What the source had then.
    pub(crate) source: Records,
}

/// A source, and the archive of it.
pub(crate) struct World {
    pub(crate) made: Made,
    pub(crate) topics: Vec<(Uuid, Vec<Log>)>,
    pub(crate) clock: i64,
    pub(crate) ids: u128,
    pub(crate) runs: u64,
    pub(crate) points: Vec<Known>,
    /// The first so many of them lack a segment that was lost.
    pub(crate) lost: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let topics = (0..3).map(|n| (Uuid::from_u128(100 + n), vec![Log::default(); 2])).collect();
        Self { made: Made::new(), topics, clock: 0, ids: 200, runs: 0, points: Vec::new(), lost: 0 }
    }

    pub(crate) fn layout() -> Layout {
        Layout::new(SET)
    }

    pub(crate) async fn step(&mut self, step: &Step) {
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
    pub(crate) async fn run(&mut self, points: u64, segments: bool) {
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

    pub(crate) async fn read(&mut self, writer: &mut SetWriter, segments: bool) -> Moves {
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

    pub(crate) async fn seal(&mut self, writer: &mut SetWriter, moves: Moves) {
        let n = self.runs;
        self.runs += 1;
        let name = format!("{SET}-{}", stamp(n));
        let facts = SealFacts {
            converted: None,
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
    pub(crate) async fn prune(&mut self, keep: u32) {
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
    pub(crate) async fn delete(&mut self) {
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
    pub(crate) async fn lose(&mut self, share: usize) {
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
    pub(crate) async fn check(&self) {
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

pub(crate) fn record(offset: i64, time: i64) -> RawBatch {
    let (producer, records) = ((-1, -1, -1), 1);
    let meta = BatchMeta { base_offset: offset, base_timestamp: time, max_timestamp: time, producer, records };
    let bytes = encode_batch(&meta, &[12, 0, 0, 0, 1, 1, 0], &mut Compressor::new(Codec::None, None)).unwrap();
    RawBatch::parse(bytes.into()).unwrap()
}

/// What a reader sees of a point, each partition in offset order.
pub(crate) async fn seen(point: &Point) -> Records {
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
