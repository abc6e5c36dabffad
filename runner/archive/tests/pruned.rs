//! Archives with a `prune` entry: what is hidden is not offered, and every point that stays verifies and reads as before, also
//! when all that nothing needs any more is deleted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "made/history.rs"]
mod history;
mod made;

use archive::{
    ArchiveError, Catalog, Chain, DeadRow, Entry, EntryKind, Layout, Left, LeftSet, Level, Opened, Owner, Point, Prune,
    SetWriter, prune_plan, resolve, verify_point,
};
use contract::SetOwner;
use contract::retention::RetentionRules;
use history::{Step, World, seen, steps};
use jiff::Timestamp;
use made::{Made, SET, stamp};
use object_store::path::Path;
use proptest::prelude::*;

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
        owner: Some(Owner { namespace: "ns".into(), name: SET.into(), cluster_id: "cluster".into() }),
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
