//! An honest archive, and every way in which one is read or gone on with. For tests that change it first.

use archive::{
    Catalog, Layout, Level, Point, find, newest_configs, newest_groups, repair_set, resolve, verify_named, verify_point,
};

use crate::forge::Objects;
use crate::made::{Made, SET, TOPIC, read_all, stamp};

/// Entries enough for a roll-up and some behind it.
pub(crate) const POINTS: u64 = 33;
/// The last seal.
pub(crate) const LAST: u64 = 2 * POINTS - 1;

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

pub(crate) async fn honest() -> Objects {
    let made = Made::new();
    made.points(POINTS).await;
    made.claim(POINTS).await.unwrap();
    let mut out = Objects::new();
    for key in made.keys("").await {
        let bytes = made.bytes(&key).await.unwrap();
        out.insert(key, bytes);
    }
    out
}

pub(crate) async fn stored(objects: &Objects) -> Made {
    let made = Made::new();
    for (key, bytes) in objects {
        made.put(key, bytes.clone()).await;
    }
    made
}

/// Everything that reads an archive. What comes of it is of no interest: it must come.
pub(crate) async fn read(made: &Made) {
    let (store, layout) = (&made.store, Layout::new(SET));
    let catalog = Catalog::new(store.clone());
    drop(catalog.summaries().await);
    drop(catalog.set_and_points(SET).await);
    drop(catalog.last_point_with(SET, TOPIC).await);
    drop(find(store, SET).await);
    drop(resolve(store, &format!("{SET}-{}", stamp(3))).await);
    drop(newest_groups(store, &layout).await);
    drop(newest_configs(store, &layout).await);
    for seal in [63, LAST] {
        drop(read_all(store, &layout, seal).await);
        if let Ok(point) = Point::load(store, &layout, seal).await {
            drop(point.configs().await);
            drop(point.groups().await);
            drop(point.notes());
        }
    }
    drop(verify_point(store, &layout, LAST, Level::Structure).await);
    drop(verify_named(store, SET, Level::Decode).await);
}

/// A run that goes on with the set, and a repair.
pub(crate) async fn write(made: &Made) {
    drop(made.claim(POINTS).await);
    drop(repair_set(&made.store, &Layout::new(SET), true).await);
}
