//! Reading archives of which something is missing, damaged, or another's: copies are never needed, what is read is what
//! was asked for, and no command says that all is well where it is not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod made;

use std::collections::BTreeMap;

use archive::{
    ArchiveError, Catalog, Chain, Layout, Level, Point, Store, find, resolve, verify_log, verify_named, verify_point,
};
use made::{Made, SET, stamp};
use proptest::prelude::*;

/// First offset, next offset and segment of each row of a point, by partition.
type Rows = BTreeMap<i32, Vec<(i64, i64, u32)>>;

async fn rows(store: &Store, seal: u64) -> Result<Rows, ArchiveError> {
    let point = Point::load(store, &Layout::new(SET), seal).await?;
    let mut rows = Rows::new();
    let mut take = |_, row: &archive::SegmentRow| {
        rows.entry(row.partition).or_default().push((row.first, row.next, row.segment));
    };
    point.each_row(None, &mut take).await?;
    point.check_sums().await?;
    Ok(rows)
}

/// Servers spawn what answers questions.
#[tokio::test]
async fn readers_may_run_on_any_thread() {
    fn sends<T: Send>(_: &T) {}
    let made = Made::new();
    let (store, layout) = (made.store.clone(), Layout::new(SET));
    let catalog = Catalog::new(store.clone());
    sends(&verify_point(&store, &layout, 1, Level::Structure));
    sends(&catalog.summaries());
    sends(&catalog.set_and_points(SET));
    sends(&catalog.last_point_with(SET, uuid::Uuid::nil()));
    sends(&find(&store, SET));
    sends(&Point::load(&store, &layout, 1));
}

/// What may happen to a roll-up.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Remove,
    Cut,
    Flip(usize),
    Swap,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![Just(Harm::Remove), Just(Harm::Cut), any::<usize>().prop_map(Harm::Flip), Just(Harm::Swap)]
}

async fn do_harm(made: &Made, keys: &[String], place: usize, harm: Harm) {
    let key = &keys[place % keys.len()];
    let Some(mut bytes) = made.bytes(key).await else { return };
    match harm {
        Harm::Remove => return made.remove(key).await,
        Harm::Cut => bytes.truncate(bytes.len() / 2),
        Harm::Flip(at) => {
            let at = at % bytes.len();
            bytes[at] ^= 0x21;
        }
        Harm::Swap => match made.bytes(&keys[(place + 1) % keys.len()]).await {
            Some(other) => bytes = other,
            None => return,
        },
    }
    made.put(key, bytes).await;
}

/// Any of the roll-ups of 300 entries harmed in any way: every point holds the same rows, the list is the same, `verify`
/// names the harm when it is in the way, and the next run writes what is missing again.
#[test]
fn roll_ups_are_never_needed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (good, expected) = runtime.block_on(async {
        let made = Made::new();
        made.points(150).await;
        let mut expected = Vec::new();
        for seal in [19, 65, 129, 255, 299] {
            expected.push((seal, rows(&made.store, seal).await.unwrap()));
        }
        (made, expected)
    });
    proptest!(ProptestConfig::with_cases(8), |(harms in proptest::collection::vec((0usize..4, harm()), 1..4))| {
        runtime.block_on(async {
            let made = good.copy().await;
            let keys = made.keys("roll/").await;
            assert_eq!(keys.len(), 4);
            for (place, harm) in &harms {
                do_harm(&made, &keys, *place, *harm).await;
            }
            for (seal, expected) in &expected {
                assert_eq!(&rows(&made.store, *seal).await.unwrap(), expected, "seal {seal} {harms:?}");
            }
            let (summary, points) = Catalog::new(made.store.clone()).set_and_points(SET).await.unwrap();
            assert_eq!((summary.points.len(), points.len()), (150, 150));
            let changed = made.differs(&good, "roll/").await;
            let found = verify_log(&made.store, &Layout::new(SET), 299, Level::Structure).await.unwrap();
            assert_eq!(found.problems.is_empty(), !changed, "{harms:?} {:?}", found.problems);
            assert_eq!(found.segments, 150, "it goes on behind the damage");
            // What is missing is there again after the next run, byte for byte.
            for key in &keys {
                made.remove(key).await;
            }
            made.one_more().await;
            assert!(!made.differs(&good, "roll/").await);
        });
    });
}

/// Where a roll-up is missing, each entry that is read instead is linked to something that is checked.
#[tokio::test]
async fn a_replaced_entry_is_found_wherever_roll_ups_are_missing() {
    let made = Made::new();
    made.points(150).await;
    let rolls = made.keys("roll/").await;
    for gone in &rolls {
        let copy = made.copy().await;
        copy.remove(gone).await;
        let from: u64 = gone.rsplit('/').next().unwrap()[..20].parse().unwrap();
        for number in (from..from + 64).rev().step_by(9) {
            let copy = copy.copy().await;
            let key = Layout::new(SET).entry(number);
            let (mut entry, _) = Chain::new(copy.store.clone(), Layout::new(SET)).entry(number).await.unwrap();
            entry.rows.clear();
            entry.segments.clear();
            entry.run.push('x');
            copy.put(key.as_ref(), entry.encode().unwrap().to_vec()).await;
            assert!(rows(&copy.store, 299).await.is_err(), "entry {number} without {gone}");
        }
    }
}

#[tokio::test]
async fn points_come_from_seals_and_hints_only_name_them() {
    let made = Made::new();
    made.points(4).await;
    let layout = Layout::new(SET);
    let hint = |n| format!("{SET}/points/{}", stamp(n));
    // A hint of another point, or of none: the name means what it says.
    let third = made.bytes(&hint(3)).await.unwrap();
    let second = made.bytes(&hint(2)).await.unwrap();
    made.put(&hint(2), third).await;
    let name = format!("{SET}-{}", stamp(2));
    assert_eq!(resolve(&made.store, &name).await.unwrap().1, 5);
    let found = verify_point(&made.store, &layout, 5, Level::Structure).await.unwrap();
    assert!(found.problems[0].what.contains("names entry 7"), "{:?}", found.problems);
    made.put(&hint(2), second).await;
    // A missing hint is no damage, and the newest is written again.
    made.remove(&hint(1)).await;
    made.remove(&hint(3)).await;
    for (n, seal) in [(1, 3), (3, 7)] {
        assert_eq!(resolve(&made.store, &format!("{SET}-{}", stamp(n))).await.unwrap().1, seal);
        let found = verify_point(&made.store, &layout, seal, Level::Structure).await.unwrap();
        assert!(found.problems.is_empty() && found.notes.len() == 1, "{found:?}");
    }
    let summary = Catalog::new(made.store.clone()).set(SET).await.unwrap();
    assert_eq!(summary.points, (0..4).map(stamp).collect::<Vec<_>>());
    assert!(summary.problems.is_empty(), "{:?}", summary.problems);
    made.one_more().await;
    assert!(made.bytes(&hint(3)).await.is_some());
}

#[tokio::test]
async fn another_set_under_this_name_is_refused() {
    let made = Made::new();
    made.points(2).await;
    // The whole folder under another name.
    for key in made.keys("").await {
        made.put(&key.replacen(SET, "other", 1), made.bytes(&key).await.unwrap()).await;
    }
    let (layout, seal) = resolve(&made.store, "other").await.unwrap();
    let refused = Point::load(&made.store, &layout, seal).await;
    assert!(matches!(refused, Err(ArchiveError::OtherSet { .. })), "{refused:?}");
    let found = verify_point(&made.store, &layout, seal, Level::Structure).await.unwrap();
    assert!(found.problems.iter().any(|problem| problem.what.contains("orders-")), "{found:?}");
    let listed = Catalog::new(made.store.clone()).set("other").await.unwrap();
    assert!(!listed.problems.is_empty());
    // Another set's document.
    let other = Made::with_uuid(9);
    other.points(1).await;
    made.put(&format!("{SET}/set.json"), other.bytes(&format!("{SET}/set.json")).await.unwrap()).await;
    let refused = Point::load(&made.store, &Layout::new(SET), 3).await;
    assert!(matches!(refused, Err(ArchiveError::OtherSet { .. })), "{refused:?}");
    // No document at all: nothing that a restore needs stands in it.
    made.remove(&format!("{SET}/set.json")).await;
    let point = Point::load(&made.store, &Layout::new(SET), 3).await.unwrap();
    assert_eq!(point.notes().len(), 1);
}

#[tokio::test]
async fn a_missing_seal_is_told_by_what_it_left() {
    for left in ["points", "manifest.json", "data"] {
        let made = Made::new();
        made.points(2).await;
        made.put(&format!("{SET}/manifest.json"), br#"{"entry":3}"#.to_vec()).await;
        made.remove(Layout::new(SET).entry(3).as_ref()).await;
        if left == "data" {
            made.remove(Layout::new(SET).entry(2).as_ref()).await;
        }
        for key in made.keys("").await {
            let ends = [stamp(1).as_str(), "manifest.json", "data/00000000000000000002", "side/00000000000000000003"]
                .iter()
                .any(|end| key.contains(end));
            if ends && !key.contains(left) {
                made.remove(&key).await;
            }
        }
        let found = find(&made.store, SET).await.unwrap();
        assert_eq!((found.seal, found.warnings.len()), (1, 1), "{left} {:?}", found.warnings);
        let verified = verify_point(&made.store, &Layout::new(SET), 1, Level::Structure).await.unwrap();
        assert_eq!(verified.problems.len(), 1, "{left} {:?}", verified.problems);
        assert_eq!(Catalog::new(made.store.clone()).set(SET).await.unwrap().problems.len(), 1);
    }
}

#[tokio::test]
async fn of_a_set_and_full_sets_of_its_name_the_newest_point_counts() {
    let made = Made::new();
    made.points(2).await;
    let full = |n| format!("{SET}-{}", stamp(n));
    made.full(&full(0)).await;
    assert_eq!(resolve(&made.store, SET).await.unwrap().0.set(), SET);
    made.full(&full(5)).await;
    let found = find(&made.store, SET).await.unwrap();
    assert_eq!(found.layout.set(), full(5));
    assert!(found.warnings[0].contains(&full(1)), "{:?}", found.warnings);
    assert_eq!(find(&made.store, "").await.unwrap().layout.set(), full(5));
    assert!(Point::load(&made.store, &found.layout, found.seal).await.is_ok());
    assert_eq!(find(&made.store, &full(1)).await.unwrap().layout.set(), SET);
}

#[tokio::test]
async fn a_point_that_does_not_add_up_is_found() {
    let made = Made::new();
    made.points(2).await;
    let chain = Chain::new(made.store.clone(), Layout::new(SET));
    let (mut entry, _) = chain.entry(3).await.unwrap();
    entry.rows.clear();
    entry.segments.clear();
    made.put(Layout::new(SET).entry(3).as_ref(), entry.encode().unwrap().to_vec()).await;
    made.remove(&format!("{SET}/points/{}", stamp(1))).await;
    let found = verify_point(&made.store, &Layout::new(SET), 3, Level::Structure).await.unwrap();
    assert_eq!(found.problems.len(), 1, "{found:?}");
    assert!(found.problems[0].what.contains("hold 0 committed"), "{found:?}");
    let point = Point::load(&made.store, &Layout::new(SET), 3).await.unwrap();
    let refused = point.check_sums().await.unwrap_err();
    assert!(refused.to_string().contains("the seal counts 1"), "{refused}");
}

/// What each reader says of an archive of three points (entries 0 to 5) after one object was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Says {
    /// Points that `ls` lists, and whether it says that all is well.
    listed: usize,
    list_is_well: bool,
    /// What the set's name means: an entry, or a refusal.
    named: Option<u64>,
    /// Points, by number, that can be read whole.
    read: Vec<u64>,
    /// Points of which `verify` says that nothing is wrong, and whether it has a note.
    verified: Vec<u64>,
}

async fn says(store: &Store) -> Says {
    let (summary, points) = Catalog::new(store.clone()).set_and_points(SET).await.unwrap();
    let (mut read, mut verified) = (Vec::new(), Vec::new());
    for n in 0..3u64 {
        let name = format!("{SET}-{}", stamp(n));
        if let Ok((layout, seal)) = resolve(store, &name).await
            && made::read_all(store, &layout, seal).await.is_ok_and(|records| records == n + 1)
        {
            read.push(n);
        }
        let found = verify_point(store, &Layout::new(SET), 2 * n + 1, Level::Decode).await.unwrap();
        if found.problems.is_empty() {
            verified.push(n);
        }
    }
    Says {
        listed: points.len(),
        list_is_well: summary.problems.is_empty(),
        named: find(store, SET).await.ok().filter(|found| found.warnings.is_empty()).map(|found| found.seal),
        read,
        verified,
    }
}

/// Every kind of object deleted, cut, flipped, emptied, swapped with its neighbour, or replaced by an older version.
#[tokio::test]
async fn every_object_in_every_way() {
    let good = Made::new();
    good.points(3).await;
    let whole = says(&good.store).await;
    let all = vec![0, 1, 2];
    let well = Says { listed: 3, list_is_well: true, named: Some(5), read: all.clone(), verified: all.clone() };
    assert_eq!(whole, well);
    let keys = good.keys("").await;
    let mut seen = 0;
    for key in &keys {
        let kind = key.split('/').nth(1).unwrap();
        let bytes = good.bytes(key).await.unwrap();
        let neighbours: Vec<_> =
            keys.iter().filter(|other| other.split('/').nth(1) == Some(kind) && *other != key).collect();
        let mut ways: Vec<(&str, Option<Vec<u8>>)> =
            vec![("deleted", None), ("cut", Some(bytes[..bytes.len() / 2].to_vec())), ("emptied", Some(Vec::new()))];
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x40;
        ways.push(("flipped", Some(flipped)));
        if let Some(other) = neighbours.first() {
            ways.push(("swapped", good.bytes(other).await));
        }
        for (way, changed) in ways {
            let made = good.copy().await;
            match changed {
                None => made.remove(key).await,
                Some(changed) if changed == bytes => continue,
                Some(changed) => made.put(key, changed).await,
            }
            seen += 1;
            let found = says(&made.store).await;
            // Which entries the object matters to: those of its own point and, in a chain, all after it.
            let number: u64 = match kind {
                "log" | "data" | "side" => {
                    let part = if kind == "log" { key.rsplit('/').next() } else { key.split('/').nth(2) };
                    part.unwrap()[..20].parse().unwrap()
                }
                "points" => (0..3).find(|n| key.ends_with(&stamp(*n))).unwrap() * 2 + 1,
                _ => 0,
            };
            let first = number / 2;
            let before: Vec<u64> = (0..first).collect();
            let others: Vec<u64> = (0..3).filter(|n| *n != first).collect();
            let expected = match (kind, way) {
                // Nothing that a restore needs is in it; another set's would be refused.
                ("set.json", _) => Says { list_is_well: false, verified: vec![], ..well.clone() },
                ("points", "deleted") => well.clone(),
                ("points" | "side", _) => Says { verified: others, ..well.clone() },
                // A list looks at sizes only.
                ("data", _) => {
                    let list_is_well = made.bytes(key).await.is_some_and(|now| now.len() == bytes.len());
                    Says { list_is_well, read: before.clone(), verified: before, ..well.clone() }
                }
                ("log", _) => {
                    // `verify` of points before the damage finds it only where it is behind the newest readable seal.
                    let at_the_end = number == 5;
                    let verified = if at_the_end { vec![] } else { before.clone() };
                    let named = if at_the_end { None } else { Some(5) };
                    Says { listed: before.len(), list_is_well: false, named, read: before, verified }
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{key} {way}");
        }
    }
    assert!(seen > 60, "{seen}");
}

/// The whole log put back to where it was two points ago, the rest not, and the other way round.
#[tokio::test]
async fn an_older_version_of_a_part_is_found() {
    let old = Made::new();
    old.points(1).await;
    let new = old.copy().await;
    new.more_points(1, 2).await;
    let listed = |store: Store| async move { Catalog::new(store).set(SET).await.unwrap() };
    for part in ["log/", "points/", "data/", "side/"] {
        let mixed = new.copy().await;
        let kept = old.keys(part).await;
        for key in mixed.keys(part).await.into_iter().filter(|key| !kept.contains(key)) {
            mixed.remove(&key).await;
        }
        let summary = listed(mixed.store.clone()).await;
        let newest = resolve(&mixed.store, SET).await.unwrap().1;
        let found = verify_point(&mixed.store, &Layout::new(SET), newest, Level::Structure).await.unwrap();
        match part {
            "log/" => assert!(!summary.problems.is_empty() && !found.problems.is_empty()),
            "points/" => assert!(found.problems.is_empty() && found.notes.len() == 1, "{found:?}"),
            _ => assert!(!found.problems.is_empty(), "{part}"),
        }
    }
    // All of it is an older state of the archive: nothing in the store tells.
    assert!(listed(old.store.clone()).await.problems.is_empty());
}

/// Whoever may write to the bucket may write an entry with any number: nobody looks at all the numbers before it.
#[tokio::test]
async fn an_entry_far_away_takes_nobody_far() {
    for far in [1_000_000_000_000_000_u64, 1 << 54, u64::MAX] {
        let made = Made::new();
        made.points(5).await;
        let key = format!("{SET}/log/main/{:020}/{far:020}", far / 4096);
        made.put(&key, b"nothing".to_vec()).await;
        made.put(&format!("{SET}/manifest.json"), format!("{{\"set\":\"{SET}\",\"entry\":{far}}}").into_bytes()).await;
        let counted = made.counted(std::time::Duration::ZERO);
        let (summary, points) = Catalog::new(counted.store.clone()).set_and_points(SET).await.unwrap();
        assert_eq!(points.len(), 5, "{far}: {:?}", summary.problems);
        let layout = Layout::new(SET);
        let found = verify_log(&counted.store, &layout, far.min(1 << 52), Level::Structure).await.unwrap();
        assert!(found.problems.len() < 100 && !found.problems.is_empty(), "{far}: {}", found.problems.len());
        assert!(counted.take() < 600);
    }
}

#[tokio::test]
async fn lists_and_checks_take_few_requests() {
    let made = Made::new();
    made.points(400).await;
    let counted = made.counted(std::time::Duration::ZERO);
    let catalog = Catalog::new(counted.store.clone());
    assert_eq!(catalog.set(SET).await.unwrap().points.len(), 400);
    assert!(counted.take() <= 80, "a list");
    let (layout, seal) = resolve(&counted.store, SET).await.unwrap();
    counted.take();
    Point::load(&counted.store, &layout, seal).await.unwrap();
    assert!(counted.take() <= 75, "a plan");
    let name = format!("{SET}-{}", stamp(200));
    resolve(&counted.store, &name).await.unwrap();
    // With the end of the log, which says what retention removed.
    assert!(counted.take() <= 12, "a point by its name");
    verify_log(&counted.store, &layout, seal, Level::Structure).await.unwrap();
    // Each entry and each segment once, the roll-ups, and little else.
    let asked = counted.take();
    assert!(asked <= 800 + 400 + 200, "{asked}");
}

/// `verify` of a named point costs what that point needs: its segments, roll-ups, and the entries that none covers.
#[tokio::test]
async fn a_named_point_is_verified_without_the_history_of_its_set() {
    let made = Made::new();
    made.points(400).await;
    let counted = made.counted(std::time::Duration::ZERO);
    // An early point costs the same whatever came after it, a late one no entries of the past.
    // The end of the log says what retention removed.
    for (n, most) in [(3, 46), (200, 201 + 130), (399, 400 + 130)] {
        let name = format!("{SET}-{}", stamp(n));
        let (_, _, found) = verify_named(&counted.store, &name, Level::Structure).await.unwrap();
        assert_eq!((found.segments, found.problems.len()), (n + 1, 0), "{found:?}");
        let asked = counted.take();
        assert!(asked <= most, "point {n}: {asked}");
    }
    // Its own damage is found all the same, and the rest is looked at.
    for key in [&made.keys("data/").await[5], &made.keys("log/").await[398]] {
        let copy = made.copy().await;
        copy.remove(key).await;
        let name = format!("{SET}-{}", stamp(199));
        let (_, _, found) = verify_named(&copy.store, &name, Level::Structure).await.unwrap();
        assert!(found.segments == 200 && !found.problems.is_empty(), "{key}: {found:?}");
    }
    // A roll-up that cannot be read is named, and its entries are read.
    let copy = made.copy().await;
    copy.remove(&made.keys("roll/").await[2]).await;
    let (_, _, found) = verify_named(&copy.store, &format!("{SET}-{}", stamp(399)), Level::Structure).await.unwrap();
    assert_eq!((found.segments, found.problems.len()), (400, 1), "{:?}", found.problems);
}

#[tokio::test(start_paused = true)]
async fn requests_go_out_side_by_side() {
    let made = Made::new();
    made.points(200).await;
    let counted = made.counted(std::time::Duration::from_millis(30));
    let started = tokio::time::Instant::now();
    Catalog::new(counted.store.clone()).set(SET).await.unwrap();
    let list = started.elapsed();
    assert!(list.as_millis() <= 30 * 25, "{list:?}");
    verify_log(&counted.store, &Layout::new(SET), 399, Level::Structure).await.unwrap();
    let verify = started.elapsed().checked_sub(list).unwrap();
    assert!(verify.as_millis() <= 30 * 120, "{verify:?} for {} requests", counted.take());
}
