//! Topic configs in the seal or beside it: readers find them in both places.
#![allow(clippy::unwrap_used)]

mod made;

use archive::{Entry, IN_SEAL, Layout, Level, Point, Side, newest_configs, resolve, verify_named};
use made::{Made, SET, stamp};

async fn made(in_seal: usize) -> Made {
    let mut made = Made::new();
    made.in_seal = in_seal;
    made.points(3).await;
    made
}

#[tokio::test]
async fn what_is_small_stands_in_the_seal_and_needs_no_object() {
    for (in_seal, objects) in [(IN_SEAL, 0), (0, 3)] {
        let made = made(in_seal).await;
        assert_eq!(made.keys("side/").await.len(), objects);
        for n in 0..3 {
            let name = format!("{SET}-{}", stamp(n));
            let (layout, seal) = resolve(&made.store, &name).await.unwrap();
            let point = Point::load(&made.store, &layout, seal).await.unwrap();
            assert_eq!(point.configs().await.unwrap()["t"]["retention.ms"], n.to_string());
            assert_eq!(matches!(point.seal.configs, Side::Here { .. }), objects == 0);
            let (.., found) = verify_named(&made.store, &name, Level::Decode).await.unwrap();
            assert!(found.problems.is_empty(), "{:?}", found.problems);
        }
        assert_eq!(newest_configs(&made.store, &Layout::new(SET)).await.unwrap()["t"]["retention.ms"], "2");
    }
}

#[tokio::test]
async fn a_seal_with_content_of_its_own_says_that_readers_must_know_it() {
    for (in_seal, requires) in [(IN_SEAL, vec!["side-in-seal"]), (0, vec![])] {
        let made = made(in_seal).await;
        let (layout, seal) = resolve(&made.store, SET).await.unwrap();
        let key = layout.entry(seal);
        let entry = Entry::decode("seal", seal, &made.bytes(key.as_ref()).await.unwrap()).unwrap();
        assert_eq!(entry.requires, requires);
    }
}
