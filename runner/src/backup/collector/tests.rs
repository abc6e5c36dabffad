use archive::{HeldReason, PartitionState};
use contract::Moved;
use proptest::prelude::*;

use super::*;
use crate::backup::reader::Trouble;

const TARGET: i64 = 1_000;
const LIMIT: Duration = Duration::from_secs(120);

fn key(partition: i32) -> TopicIdPartition {
    (Uuid::nil(), partition)
}

fn trouble() -> Trouble {
    Trouble { failing: 2 * LIMIT, failure: Failure::new(Code::BrokerFailed, "silent"), hopeless: false }
}

/// A collection of so many partitions, each read up to 500 of 1000, and what its writer is asked to do.
fn collector(partitions: i32) -> (Collector, mpsc::Receiver<Job>) {
    let paths = archive::Paths { secrets: "/nowhere".into(), volumes: "/nowhere".into() };
    let (jobs, queue) = mpsc::channel(8);
    let mut positions = Positions::default();
    for partition in 0..partitions {
        let row = PartitionState { target: TARGET, ..PartitionState::new(partition, 500) };
        positions.start(Uuid::nil(), row, true);
    }
    let now = Instant::now();
    let collector = Collector {
        emitter: Emitter::new(&Context::system(paths), false),
        throttled: Box::new(Throttled::default),
        budget: Budget::new(FRAME_BUDGET),
        quota: QuotaWatch::default(),
        jobs,
        arena: Arena::default(),
        pinned: 0,
        positions,
        health: Health::new((0..partitions).map(key), 0, LIMIT),
        told_troubles: BTreeSet::new(),
        gap_is_failure: false,
        failed: None,
        held_back: Vec::new(),
        earlier: Moved::default(),
        totals: Totals::default(),
        follow: None,
        converted: BTreeSet::new(),
        odd: Odd::default(),
        names: HashMap::from([(Uuid::nil(), "t".to_owned())]),
        offsets: 0,
        moved_offsets: 0,
        missing: 0,
        meter: Meter::starting_at(0, 0),
        limiter: Limiter::new(contract::RateLimit::default()),
        time: archive::TimeSpent::default(),
        told_at: now,
        stale_until: now,
    };
    (collector, queue)
}

fn moves(partition: i32, to: i64) -> Chunk {
    Chunk::Skipped { key: key(partition), to, epoch: 0 }
}

#[tokio::test]
async fn what_is_given_up_begins_where_the_partition_was_read_to_at_last() {
    let (mut collector, _queue) = collector(2);
    let (chunks, mut received) = mpsc::channel(8);
    collector.take(Chunk::Troubled(vec![(key(1), trouble())])).await.unwrap();
    collector.take(Chunk::Done(key(0))).await.unwrap();
    let verdict = collector.verdict();
    assert!(matches!(&verdict, Verdict::Without(lost) if lost.len() == 1));
    // It came back just before, while the collector waited for the writer.
    chunks.send(moves(1, 800)).await.unwrap();
    assert!(collector.conclude(verdict, &mut received).await.unwrap().is_none());
    let [held] = &collector.held_back[..] else { panic!("{:?}", collector.held_back) };
    assert_eq!((held.from, held.to, held.reason), (800, TARGET, HeldReason::Unavailable));
    assert_eq!(collector.positions.row(key(1)).unwrap().next, held.from);
}

#[tokio::test]
async fn who_recovers_just_before_the_end_is_read_on() {
    let (mut collector, _queue) = collector(2);
    let (chunks, mut received) = mpsc::channel(8);
    collector.take(Chunk::Troubled(vec![(key(1), trouble())])).await.unwrap();
    collector.take(Chunk::Done(key(0))).await.unwrap();
    chunks.send(moves(1, 800)).await.unwrap();
    chunks.send(Chunk::Recovered(vec![key(1)])).await.unwrap();
    assert!(collector.ending(&mut received).await.unwrap().is_none());
    assert_eq!(collector.positions.row(key(1)).unwrap().next, 800);
    chunks.send(Chunk::Done(key(1))).await.unwrap();
    collector.take_queued(&mut received).await.unwrap();
    assert!(matches!(collector.ending(&mut received).await.unwrap(), Some(Verdict::Complete)));
}

#[tokio::test]
async fn who_is_read_to_its_end_at_last_lacks_nothing() {
    let (mut collector, _queue) = collector(1);
    let (chunks, mut received) = mpsc::channel(8);
    chunks.send(moves(0, TARGET)).await.unwrap();
    chunks.send(Chunk::Done(key(0))).await.unwrap();
    collector.gap_is_failure = true;
    let verdict = Verdict::Without(vec![(key(0), trouble())]);
    assert!(collector.conclude(verdict, &mut received).await.unwrap().is_none());
    assert!(collector.held_back.is_empty());
}

/// What readers tell of one of three partitions.
fn chunk() -> impl Strategy<Value = (u8, i32, i64)> {
    (0u8..4, 0i32..3, 500i64..=TARGET)
}

proptest! {
    /// In whatever order readers tell what: a collection that ends without partitions names each at the very position that
    /// its seal has, and no other.
    #[test]
    fn held_rows_meet_the_positions_of_the_seal(told in prop::collection::vec(chunk(), 1..40), before in 0usize..40) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut collector, _queue) = collector(3);
            let (chunks, mut received) = mpsc::channel(64);
            let mut lost = Vec::new();
            for (number, (kind, partition, to)) in told.into_iter().enumerate() {
                if number == before {
                    lost = (0..3).map(key).filter(|key| collector.health.is_open(*key)).map(|key| (key, trouble())).collect();
                }
                let all = match kind {
                    0 => vec![Chunk::Troubled(vec![(key(partition), trouble())])],
                    1 => vec![Chunk::Recovered(vec![key(partition)])],
                    2 => vec![moves(partition, to)],
                    _ => vec![moves(partition, TARGET), Chunk::Done(key(partition))],
                };
                for chunk in all {
                    if number < before { collector.take(chunk).await.unwrap() } else { chunks.send(chunk).await.unwrap() }
                }
            }
            assert!(collector.conclude(Verdict::Without(lost.clone()), &mut received).await.unwrap().is_none());
            for (key, _) in lost {
                let row = collector.positions.row(key).unwrap();
                let held = collector.held_back.iter().filter(|held| held.partition == key.1).map(|held| held.from);
                let is_short = collector.health.is_open(key) && row.next < TARGET;
                assert_eq!(held.collect::<Vec<_>>(), vec![row.next; usize::from(is_short)]);
            }
        });
    }
}
