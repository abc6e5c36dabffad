//! Segments that the store lost: a claim gives them up, and from there on all readers leave them out, by entries and by
//! roll-ups.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod made;

use std::collections::BTreeMap;

use archive::{
    ArchiveError, Catalog, Chain, Entry, EntryKind, GapReason, Layout, Level, LogStart, Point, SegmentRow, resolve,
    verify_log, verify_point,
};
use made::{Made, SET, TOPIC, read_all};
use uuid::Uuid;

/// Points of a long set: each has a claim and a seal, so that roll-ups of level 1 cover most.
const POINTS: u64 = 100;

fn starts(all: &[(i32, LogStart)]) -> BTreeMap<(Uuid, i32), LogStart> {
    all.iter().map(|(partition, start)| ((TOPIC, *partition), *start)).collect()
}

async fn newest(made: &Made) -> (Layout, u64) {
    resolve(&made.store, SET).await.unwrap()
}

/// Key of the segment of the n-th point of [`Made::points`].
async fn segment(made: &Made, n: u64) -> String {
    let keys = made.keys("data/").await;
    keys.iter().find(|key| key.contains(&format!("-{n:016x}/"))).unwrap().clone()
}

async fn remove(made: &Made, points: &[u64]) {
    for n in points {
        made.remove(&segment(made, *n).await).await;
    }
}

/// Rows of the newest point: partition, timeline, first offset, and the claim of the segment.
async fn rows(made: &Made) -> Vec<(i32, u32, i64, u64)> {
    let (layout, seal) = newest(made).await;
    let point = Point::load(&made.store, &layout, seal).await.unwrap();
    let mut out = Vec::new();
    let segments = point.segments();
    let mut take = |_: Uuid, row: &SegmentRow| {
        out.push((row.partition, row.timeline, row.first, segments[row.segment as usize].claim));
    };
    point.each_row(None, &mut take).await.unwrap();
    out.sort_unstable();
    out
}

/// The newest point and all of the log are sound, and hold so many records for a reader of the newest timelines.
async fn is_sound(made: &Made, records: u64) {
    let (layout, seal) = newest(made).await;
    for level in [Level::Structure, Level::Decode] {
        for found in [
            verify_point(&made.store, &layout, seal, level).await.unwrap(),
            verify_log(&made.store, &layout, seal, level).await.unwrap(),
        ] {
            assert!(found.problems.is_empty(), "{:?}", found.problems);
        }
    }
    assert_eq!(read_all(&made.store, &layout, seal).await.unwrap(), records);
    let summary = Catalog::new(made.store.clone()).set(SET).await.unwrap();
    assert!(summary.problems.is_empty(), "{:?}", summary.problems);
}

/// The newest claim of the log.
async fn claim(made: &Made) -> Entry {
    let (layout, seal) = newest(made).await;
    let (seal, _) = Chain::new(made.store.clone(), layout.clone()).entry(seal).await.unwrap();
    Chain::new(made.store.clone(), layout).entry(seal.claim).await.unwrap().0
}

/// Points 10, 40 and 90 hold offset 3 and 13 of partition 1 and offset 30 of partition 0. The source begins at 5 in
/// partition 1, and has no partition 0 any more.
async fn lossy() -> Made {
    let mut made = Made::new();
    made.points(POINTS).await;
    remove(&made, &[10, 40, 90]).await;
    made.starts = Some(starts(&[(0, LogStart::Gone), (1, LogStart::At(5))]));
    made
}

#[tokio::test(start_paused = true)]
async fn lost_segments_are_refused_until_their_partitions_are_known() {
    let mut made = lossy().await;
    let before = made.copy().await;
    for known in [None, Some(starts(&[])), Some(starts(&[(1, LogStart::At(5))]))] {
        made.starts = known;
        let Err(ArchiveError::BaseLost { text, partitions }) = made.claim(POINTS).await else { panic!() };
        assert!(text.contains("3 of 100 segments") && text.contains("onMissingSegments: reread"), "{text}");
        let partitions: Vec<_> = partitions.iter().map(|lost| (lost.name.as_str(), lost.partition)).collect();
        assert_eq!(partitions, [("t", 0), ("t", 1)]);
    }
    assert!(!made.differs(&before, "").await && !before.differs(&made, "").await, "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn a_claim_gives_lost_segments_up_and_all_readers_leave_them_out() {
    let made = lossy().await;
    let old = newest(&made).await;
    made.read_up_to(POINTS, &[34, 33, 33]).await;
    let entry = claim(&made).await;
    assert_eq!((entry.kind, entry.requires.as_slice()), (EntryKind::Claim, &["lost-segments".to_owned()][..]));
    assert_eq!(entry.lost.iter().map(|lost| lost.claim).collect::<Vec<_>>(), [20, 80, 180]);
    let gaps: Vec<_> = entry.gaps.iter().map(|gap| (gap.partition, gap.from, gap.to, gap.timeline)).collect();
    assert_eq!(gaps, [(0, 30, 31, None), (1, 3, 4, None), (1, 13, 14, Some(0))]);
    assert!(entry.gaps.iter().all(|gap| gap.reason == GapReason::SegmentLost));
    assert_eq!(
        entry.forks.iter().map(|fork| (fork.partition, fork.timeline, fork.from)).collect::<Vec<_>>(),
        [(1, 1, 13)]
    );
    // 100 records, of which 2 are gone for good.
    is_sound(&made, 98).await;
    let damaged = verify_point(&made.store, &old.0, old.1, Level::Structure).await.unwrap();
    assert_eq!(damaged.problems.len(), 3, "{:?}", damaged.problems);
    // Roll-ups that cover the claim say the same as the entries.
    made.more_points(POINTS + 1, 60).await;
    is_sound(&made, 158).await;
    let by_rollups = rows(&made).await;
    assert!(made.keys("roll/").await.len() >= 4);
    for key in made.keys("roll/").await {
        made.remove(&key).await;
    }
    let by_entries = rows(&made).await;
    assert_eq!(by_rollups, by_entries);
    assert!(by_entries.iter().all(|(.., claim)| ![20, 80, 180].contains(claim)));
    assert!(by_entries.contains(&(1, 0, 14, 86)) && by_entries.contains(&(1, 1, 13, 200)), "what was hidden is kept");
    // A run makes the missing roll-ups again.
    made.more_points(200, 1).await;
    is_sound(&made, 159).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_loss_works_the_same_way_and_a_segment_that_comes_back_is_a_stray() {
    let mut made = lossy().await;
    let bytes = {
        let whole = Made::new();
        whole.points(POINTS).await;
        whole.bytes(&segment(&whole, 40).await).await.unwrap()
    };
    let (layout, nonce) = (Layout::new(SET), format!("{:016x}", 40));
    made.read_up_to(POINTS, &[34, 33, 33]).await;
    made.put(layout.segment(80, &nonce, 0).as_ref(), bytes).await;
    is_sound(&made, 98).await;
    made.starts = None;
    made.more_points(POINTS + 1, 40).await;
    is_sound(&made, 138).await;
    // The segment that was read again goes, and one that only timeline 0 shows, and one of before.
    remove(&made, &[POINTS, 43, 13]).await;
    made.starts = Some(starts(&[(1, LogStart::At(20))]));
    made.read_up_to(150, &[47, 47, 47]).await;
    let entry = claim(&made).await;
    let gaps: Vec<_> = entry.gaps.iter().map(|gap| (gap.from, gap.to, gap.timeline)).collect();
    assert_eq!(gaps, [(4, 5, None), (13, 20, None), (14, 15, Some(0)), (20, 33, Some(1))]);
    assert_eq!(entry.forks.iter().map(|fork| (fork.timeline, fork.from)).collect::<Vec<_>>(), [(2, 20)]);
    // 3 * 47 offsets; lost are 30 of partition 0, and 3, 4, 13..20 of partition 1.
    is_sound(&made, 141 - 1 - 9).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_dies_after_its_claim_does_not_give_up_twice() {
    let mut made = lossy().await;
    let first = made.claim(POINTS).await.unwrap();
    assert_eq!((first.claim().given_up, first.claim().lost.gaps.len(), first.claim().lost.forks.len()), (3, 2, 1));
    let lost = first.claim().lost.clone();
    drop(first);
    made.starts = None;
    let second = made.claim(POINTS).await.unwrap();
    assert!(second.claim().resumed);
    assert_eq!((second.claim().given_up, &second.claim().before), (0, &lost));
    assert_eq!(second.state().partitions[&(TOPIC, 1)].next, 13);
    drop(second);
    made.read_up_to(POINTS, &[34, 33, 33]).await;
    assert_eq!(claim(&made).await.lost, []);
    is_sound(&made, 98).await;
    // What another run named is not what this one names.
    assert_eq!(made.claim(POINTS + 1).await.unwrap().claim().before.gaps, []);
}

/// A segment that the store only shows late is not given up.
#[tokio::test(start_paused = true)]
async fn what_is_looked_for_twice_is_there_the_second_time() {
    let made = lossy().await;
    let (key, hidden) = (segment(&made, 50).await, segment(&made, 51).await);
    let bytes = made.bytes(&key).await.unwrap();
    made.remove(&key).await;
    made.remove(&hidden).await;
    let back = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        made.put(&key, bytes).await;
    };
    let starts = Some(starts(&[(0, LogStart::Gone), (1, LogStart::At(5)), (2, LogStart::At(0))]));
    let mut other = Made::sharing(&made);
    other.starts = starts;
    let (claimed, ()) = futures::join!(other.claim(POINTS), back);
    assert_eq!(claimed.unwrap().claim().given_up, 4, "points 10, 40, 90 and 51");
}
