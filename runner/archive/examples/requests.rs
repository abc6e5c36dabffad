//! What readers ask of a store with many recovery points: requests, and seconds where each takes a while.
//!
//! usage: requests POINTS MILLISECONDS     an incremental set with so many points, so long for each request
//!
//! The table in docs/performance.md is made with it.
#![allow(clippy::large_futures, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../tests/made/mod.rs"]
mod made;

use std::time::Duration;

use archive::{Catalog, Layout, Level, Point, resolve, verify_point};
use made::{Counted, Made, SET};
use tokio::time::Instant;

#[tokio::main]
async fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let (points, delay) = (arguments[0], Duration::from_millis(arguments[1]));
    let made = Made::new();
    made.points(points).await;
    let counted = made.counted(delay);
    let (store, layout) = (&counted.store, Layout::new(SET));
    let seal = 2 * points - 1;
    println!("| {points} points, {delay:?} per request | requests | seconds |\n|---|--:|--:|");
    measure("`ls`", &counted, async { drop(Catalog::new(store.clone()).summaries().await.unwrap()) }).await;
    measure("points with their numbers (`timeline`)", &counted, async {
        drop(Catalog::new(store.clone()).set_and_points(SET).await.unwrap());
    })
    .await;
    measure("a point by its name", &counted, async {
        resolve(store, &format!("{SET}-{}", made::stamp(points / 2))).await.unwrap();
    })
    .await;
    measure("find and load the newest point", &counted, async {
        let (layout, seal) = resolve(store, SET).await.unwrap();
        Point::load(store, &layout, seal).await.unwrap();
    })
    .await;
    measure("`verify --level structure` of the newest point", &counted, async {
        assert!(verify_point(store, &layout, seal, Level::Structure).await.unwrap().problems.is_empty());
    })
    .await;
    measure("open the set for a run", &counted, made.open_on(store)).await;
}

async fn measure(what: &str, counted: &Counted, work: impl Future<Output = ()>) {
    counted.take();
    let started = Instant::now();
    work.await;
    println!("| {what} | {} | {:.1} |", counted.take(), started.elapsed().as_secs_f64());
}
