//! A recovery point counts each record once, however often the source made a run read its offsets.
#![allow(clippy::unwrap_used)]

mod made;

use archive::{Catalog, Layout, Level, PartitionState, Point, resolve, verify_log};

use made::{Made, SET, read_all};

/// Records of the newest point as a list, its partition 0, and verification count them.
async fn counts(made: &Made) -> (u64, u64, u64) {
    let (_, points) = Catalog::new(made.store.clone()).set_and_points(SET).await.unwrap();
    let listed = points.last().unwrap().line(None);
    let (layout, seal) = resolve(&made.store, SET).await.unwrap();
    let point = Point::load(&made.store, &layout, seal).await.unwrap();
    let rows = &point.seal.partitions;
    assert_eq!(listed.bytes, rows.iter().map(PartitionState::held_bytes).sum::<u64>());
    let verified = verify_log(&made.store, &Layout::new(SET), seal, Level::Decode).await.unwrap();
    assert_eq!(verified.problems, []);
    (listed.records, rows.iter().find(|row| row.partition == 0).unwrap().held(), verified.records)
}

#[tokio::test]
async fn a_range_that_is_read_again_counts_once() {
    let made = Made::new();
    made.points(3).await;
    made.read_up_to(3, &[10, 1, 1]).await;
    assert_eq!(counts(&made).await, (12, 10, 12));
    // The log was cut at 6, in the middle of a block, and 6 to 11 are others now.
    made.read_again(4, (6, 12), 3).await;
    assert_eq!(counts(&made).await, (14, 12, 14));
    let (layout, seal) = resolve(&made.store, SET).await.unwrap();
    assert_eq!(read_all(&made.store, &layout, seal).await.unwrap(), 14);
    // Cut again in the middle of a batch, and then far below everything that was read again.
    made.read_again(5, (10, 11), 1).await;
    assert_eq!(counts(&made).await, (13, 11, 13));
    made.read_again(6, (2, 4), 1).await;
    assert_eq!(counts(&made).await, (6, 4, 6));
    let (layout, seal) = resolve(&made.store, SET).await.unwrap();
    assert_eq!(read_all(&made.store, &layout, seal).await.unwrap(), 6);
}
