//! Runs of retention on real archives: what they say, what they delete, and that nothing else is touched, whoever else is at work
//! and wherever they are ended.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "made/history.rs"]
mod history;
mod made;
#[path = "made/staged.rs"]
mod staged;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use archive::prune_run::{Counted, PruneDone, PruneRequest, look, prune};
use archive::{
    ArchiveError, Catalog, Digest, Layout, Left, Level, Opened, Owner, Point, PruneRun, RestoreJournal, SetWriter,
    Store, resolve, verify_log, verify_point,
};
use contract::retention::RetentionRules;
use contract::{Code, SetOwner, Waits};
use history::{Step, World, steps};
use jiff::{SignedDuration, Timestamp};
use made::{Made, SET, read_all, stamp};
use proptest::prelude::*;
use staged::Stage;

const DAY: u64 = 86_400;
const NOW: u64 = 1_800_000_000;

fn ours() -> SetOwner {
    SetOwner { name: SET.into(), namespace: Some("ns".into()), cluster_id: Some("cluster".into()) }
}

fn request(keep: u32, run: &str) -> PruneRequest {
    PruneRequest {
        owner: ours(),
        rules: RetentionRules::keeping(Some(keep), None, None).unwrap(),
        grace: SignedDuration::from_hours(24),
        patience: Duration::ZERO,
        by: PruneRun { run: run.into(), spec: Digest::of(b"prune"), nonce: "0123456789abcdef".into(), stamp: stamp(5) },
        reader: Timestamp::MAX,
    }
}

/// So many cases, unless somebody asks for another number.
fn cases(usual: u32) -> u32 {
    option_env!("PRUNE_CASES").map_or(usual, |cases| cases.parse().unwrap())
}

/// A run to its end.
async fn run(store: &Store, request: &PruneRequest) -> PruneDone {
    let mut done = PruneDone::default();
    prune(store, request, &Waits::default(), &mut done).await.unwrap();
    done
}

/// What is in the store but for what runs of retention leave for people.
async fn contents(made: &Made) -> BTreeMap<String, u64> {
    let all = made.all().await;
    all.into_iter().filter(|(key, _)| !key.starts_with("_prune/")).collect()
}

fn sum(all: &BTreeMap<String, u64>) -> Counted {
    Counted { objects: all.len() as u64, bytes: all.values().sum() }
}

/// Objects of before that are not there any more.
fn missing(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    before.iter().filter(|(key, _)| !after.contains_key(*key)).map(|(key, size)| (key.clone(), *size)).collect()
}

fn names(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("{SET}-{}", stamp(n))).collect()
}

/// Every point of these names verifies and reads to the end.
async fn are_whole(store: &Store, points: &[String]) {
    for name in points {
        let (layout, seal) = resolve(store, name).await.unwrap();
        let found = verify_point(store, &layout, seal, Level::Decode).await.unwrap();
        assert!(found.problems.is_empty() && found.notes.is_empty(), "{name}: {found:?}");
        assert!(read_all(store, &layout, seal).await.unwrap() > 0);
    }
}

/// Full backups, each a day older than the next; the last is of now.
async fn full_backups(made: &Made, stage: &Stage, numbers: std::ops::Range<u64>) {
    let last = numbers.end - 1;
    for n in numbers {
        let before = made.all().await;
        made.full(&format!("{SET}-{}", stamp(n))).await;
        for key in made.all().await.into_keys().filter(|key| !before.contains_key(key)) {
            stage.date(&key, NOW - (last - n) * DAY);
        }
    }
}

/// A set of many points whose source had less and less of the beginning.
async fn chain(made: &Made, stage: &Stage, points: u64) {
    for n in 0..points {
        let before = made.all().await;
        made.moving_point(n).await;
        for key in made.all().await.into_keys().filter(|key| !before.contains_key(key)) {
            stage.date(&key, NOW - (points - 1 - n) * DAY);
        }
    }
}

#[tokio::test]
async fn a_set_of_many_points_gives_back_what_was_promised_after_the_grace_period() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    chain(&made, &stage, 6).await;
    let (store, _) = stage.user(u64::MAX);
    let before = contents(&made).await;
    let first = run(&store, &request(2, "a")).await;
    let plan = first.plan.as_ref().unwrap();
    let promised = plan.chains[0].comes_back();
    assert!(plan.chains[0].dead.segments > 1 && promised > 0, "{plan:?}");
    let gone: Vec<&str> = first.said[0].points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(gone, names(0..4));
    // Nothing is deleted, and everything that goes is counted.
    let after = contents(&made).await;
    assert!(missing(&before, &after).is_empty() && after.len() == before.len() + 1);
    assert_eq!((first.gone, first.waiting.bytes), (Counted::default(), promised));
    assert!(matches!(resolve(&store, &names([1])[0]).await, Err(ArchiveError::Removed { .. })));
    are_whole(&store, &names(4..6)).await;
    // Too early by a second.
    stage.wait(DAY - 1);
    let early = run(&store, &request(2, "b")).await;
    assert!(early.said.is_empty() && early.gone == Counted::default() && early.waiting == first.waiting, "{early:?}");
    assert_eq!(early.waits_until, Some(Timestamp::from_second(i64::try_from(NOW + DAY).unwrap()).unwrap()));
    stage.wait(1);
    let mut looked = PruneDone::default();
    look(&store, &request(2, "c"), &mut looked).await.unwrap();
    assert_eq!(contents(&made).await, after, "a look changes nothing");
    let late = run(&store, &request(2, "c")).await;
    let gone = missing(&after, &contents(&made).await);
    assert_eq!((late.gone, late.gone.bytes, late.waiting), (sum(&gone), promised, Counted::default()), "{late:?}");
    assert_eq!(looked.gone, Counted::default());
    are_whole(&store, &names(4..6)).await;
    let log = verify_log(&store, &Layout::new(SET), 11, Level::Decode).await.unwrap();
    assert!(log.problems.is_empty() && log.notes.is_empty(), "{log:?}");
    // Nothing is left to do, and a backup goes on.
    assert_eq!(run(&store, &request(2, "d")).await.gone, Counted::default());
    made.moving_point(6).await;
    are_whole(&store, &names(4..7)).await;
}

#[tokio::test]
async fn a_full_backup_goes_whole_and_leaves_nothing() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    full_backups(&made, &stage, 0..5).await;
    // A restore left its report beside those of backups.
    made.put(&format!("{}/runs/copy-0af/report.json", names([0])[0]), b"{}".to_vec()).await;
    let (store, _) = stage.user(u64::MAX);
    let before = contents(&made).await;
    let first = run(&store, &request(2, "a")).await;
    assert_eq!(first.said.iter().map(|said| said.set.clone()).collect::<Vec<_>>(), names(0..3));
    let said = contents(&made).await;
    let of_gone = |all: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
        let is_gone = |key: &String| names(0..3).iter().any(|name| key.starts_with(&format!("{name}/")));
        all.iter().filter(|(key, _)| is_gone(key)).map(|(key, size)| (key.clone(), *size)).collect()
    };
    assert_eq!((first.waiting, first.gone), (sum(&of_gone(&said)), Counted::default()));
    stage.wait(DAY);
    let late = run(&store, &request(2, "b")).await;
    let after = contents(&made).await;
    assert_eq!(late.gone, sum(&of_gone(&said)));
    assert!(of_gone(&after).is_empty(), "{after:?}");
    assert_eq!(missing(&before, &after), of_gone(&before), "and nothing else");
    are_whole(&store, &names(3..5)).await;
    let again = run(&store, &request(2, "c")).await;
    assert!(again.said.is_empty() && again.plan.unwrap().left.is_empty());
}

/// Everything that a prefix may hold besides, and what is done to it: nothing.
#[tokio::test]
async fn nothing_is_touched_that_is_not_exactly_ours() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    full_backups(&made, &stage, 0..5).await;
    let owner = |namespace: &str, name: &str, cluster: &str| Owner {
        namespace: namespace.into(),
        name: name.into(),
        cluster_id: cluster.into(),
    };
    let beside = |owner| Made::sharing(&made).owned_by(owner);
    let europe = beside(owner("ns", "orders-eu", "cluster"));
    for n in 5..9 {
        europe.full(&format!("orders-eu-{}", stamp(n))).await;
    }
    for n in 10..13 {
        europe.point("orders-eu", true, n).await;
    }
    beside(owner("ns", SET, "rebuilt")).full(&format!("{SET}-{}", stamp(20))).await;
    beside(owner("other", SET, "cluster")).full(&format!("{SET}-{}", stamp(21))).await;
    // The newest run failed, an old one never ended, and one of another owner never ended.
    let unfinished = async |made: &Made, n: u64, age: u64| {
        let set = format!("{SET}-{}", stamp(n));
        let opened = SetWriter::open(made.store.clone(), made.options(&set, false, n)).await.unwrap();
        let Opened::Writer(mut writer) = opened else { panic!("{opened:?}") };
        made.push_one(&mut writer).await;
        for key in made.all().await.into_keys().filter(|key| key.starts_with(&format!("{set}/"))) {
            stage.date(&key, NOW - age);
        }
    };
    unfinished(&made, 30, 0).await;
    unfinished(&made, 31, 60 * DAY).await;
    unfinished(&beside(owner("other", SET, "cluster")), 32, 60 * DAY).await;
    // A file of a user, in a set that goes and in one that does not.
    for set in names([0, 4]) {
        made.put(&format!("{set}/notes.txt"), b"mine".to_vec()).await;
        made.put(&format!("{set}/data/00000000000000000000-ffff/00000000.seg"), b"mine".to_vec()).await;
    }
    let (store, _) = stage.user(u64::MAX);
    let before = contents(&made).await;
    let first = run(&store, &request(2, "a")).await;
    let said: Vec<String> = first.said.iter().map(|said| said.set.clone()).collect();
    assert_eq!(said, names([0, 1, 2, 31]));
    assert!(first.said[3].points.is_empty());
    stage.wait(DAY);
    let late = run(&store, &request(2, "b")).await;
    let after = contents(&made).await;
    let gone = missing(&before, &after);
    for key in before.keys() {
        let goes = names([0, 1, 2, 31]).iter().any(|name| key.starts_with(&format!("{name}/")));
        let is_mine = key.ends_with("notes.txt") || key.contains("-ffff/");
        assert_eq!(gone.contains_key(key), goes && !is_mine, "{key}");
    }
    assert_eq!(late.unknown, Counted { objects: 2, bytes: 8 });
    // Four entries that said so were deleted with their sets.
    assert_eq!(late.gone.objects, gone.len() as u64 + 4);
    are_whole(&store, &names([3])).await;
    // What is left of a user's is no set.
    assert!(Catalog::new(store.clone()).sets().await.unwrap().iter().all(|set| *set != names([0])[0]));
}

/// A run that gave up and comes back finds that its set is taken away, and writes nothing.
#[tokio::test]
async fn a_run_that_was_given_up_stops() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    let set = format!("{SET}-{}", stamp(0));
    let opened = SetWriter::open(made.store.clone(), made.options(&set, false, 0)).await.unwrap();
    let Opened::Writer(mut writer) = opened else { panic!("{opened:?}") };
    for key in made.all().await.into_keys() {
        stage.date(&key, NOW - 30 * DAY);
    }
    full_backups(&made, &stage, 1..3).await;
    let (store, _) = stage.user(u64::MAX);
    let done = run(&store, &request(5, "a")).await;
    assert_eq!(done.said.iter().map(|said| &said.set).collect::<Vec<_>>(), [&set]);
    made.push_one(&mut writer).await;
    let failed = writer.commit(archive::Moves::default()).await.unwrap_err();
    assert_eq!(failed.code(), Code::PrunedMeanwhile, "{failed}");
    let opened = SetWriter::open(made.store.clone(), made.options(&set, false, 0)).await;
    assert!(matches!(opened, Err(ArchiveError::Removed { .. })), "{opened:?}");
    let summary = Catalog::new(store.clone()).set(&set).await.unwrap();
    assert!(summary.points.is_empty() && summary.problems.is_empty() && !summary.unfinished, "{summary:?}");
    // What it sent late goes with the rest.
    stage.wait(DAY);
    run(&store, &request(5, "b")).await;
    assert!(contents(&made).await.keys().all(|key| !key.starts_with(&format!("{set}/"))));
}

/// Ended at each of its requests, and run again: nothing that stays is harmed at any moment, and in the end the same is gone.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_ended_anywhere_is_gone_on_with() {
    let whole = async |kill: Option<u64>, kill_late: Option<u64>| {
        let made = Made::new();
        let stage = Stage::new(&made.inner, NOW, 0);
        chain(&made, &stage, 3).await;
        full_backups(&made, &stage, 10..12).await;
        let (store, _) = stage.user(u64::MAX);
        let keep = names([2, 11]);
        let mut counted = Counted::default();
        let mut was_ended = false;
        let mut early = BTreeMap::new();
        for (at, run_id) in [(kill, "a"), (kill_late, "b")] {
            if run_id == "b" {
                stage.wait(DAY);
                early = contents(&made).await;
            }
            for (at, run_id) in [(at, run_id.to_owned()), (None, format!("{run_id}-again"))] {
                let (user, died) = stage.user(at.unwrap_or(u64::MAX));
                let mut done = PruneDone::default();
                let asked = request(2, &run_id);
                let waits = Waits::default();
                tokio::select! {
                    biased;
                    ended = prune(&user, &asked, &waits, &mut done) => ended.unwrap(),
                    () = died.notified() => was_ended = true,
                }
                counted.objects += done.gone.objects;
                for set in Catalog::new(store.clone()).summaries().await.unwrap() {
                    assert!(set.problems.is_empty() && !set.unfinished, "{at:?}: {set:?}");
                }
                are_whole(&store, &keep).await;
            }
        }
        are_whole(&store, &keep).await;
        let after = contents(&made).await;
        // What was counted before the end is what is gone, but for the batch on its way.
        let gone = missing(&early, &after).len() as u64;
        assert!(counted.objects <= gone && (was_ended || counted.objects == gone), "{counted:?} of {gone}");
        (was_ended, after.into_keys().collect::<Vec<_>>())
    };
    let (_, expected) = whole(None, None).await;
    for (first, step) in [(true, 1), (false, 1)] {
        let mut at = 0;
        loop {
            let (was_ended, after) = if first { whole(Some(at), None).await } else { whole(None, Some(at)).await };
            if !was_ended {
                break;
            }
            assert_eq!(after, expected, "ended at request {at} of {}", if first { "the first" } else { "the second" });
            at += step;
        }
        assert!(at > 40, "{at}");
    }
}

/// What a store does not delete is told, stays readable as what it is, and goes once the store lets it.
#[tokio::test]
async fn what_is_locked_is_counted_and_keeps_what_says_that_it_goes() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    full_backups(&made, &stage, 0..3).await;
    let (store, _) = stage.user(u64::MAX);
    run(&store, &request(1, "a")).await;
    let set = names([0])[0].clone();
    let locked: Vec<(String, u64)> =
        contents(&made).await.into_iter().filter(|(key, _)| key.starts_with(&format!("{set}/data/"))).collect();
    stage.lock(&locked[0].0);
    stage.wait(DAY);
    let before = contents(&made).await;
    let done = run(&store, &request(1, "b")).await;
    let refused: Vec<_> = done.refused.values().collect();
    assert_eq!((refused[0].of, refused.len()), (Counted { objects: 1, bytes: locked[0].1 }, 1), "{done:?}");
    assert!(refused[0].example.ends_with(&locked[0].0));
    assert_eq!(done.gone, sum(&missing(&before, &contents(&made).await)));
    // The set still says that it is gone: its log stays.
    let summary = Catalog::new(store.clone()).set(&set).await.unwrap();
    assert!(summary.points.is_empty() && summary.problems.is_empty(), "{summary:?}");
    assert!(contents(&made).await.contains_key(&format!("{set}/set.json")));
    stage.unlock();
    run(&store, &request(1, "c")).await;
    assert!(contents(&made).await.keys().all(|key| !key.starts_with(&format!("{set}/"))));
}

/// Clocks that are wrong by a year delete nothing too early, and nothing that stays.
#[tokio::test]
async fn clocks_that_are_wrong_by_a_year_delete_nothing() {
    const YEAR: u64 = 365 * DAY;
    let at = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    for (reader, store_ahead) in [(NOW - YEAR, 0), (NOW + YEAR, 0), (NOW, YEAR)] {
        let made = Made::new();
        let stage = Stage::new(&made.inner, NOW, 0);
        full_backups(&made, &stage, 0..4).await;
        let (store, _) = stage.user(u64::MAX);
        let ask = |run: &str| PruneRequest { reader: at(reader), ..request(2, run) };
        run(&store, &ask("a")).await;
        // The store's clock jumps ahead: the reader does not believe it.
        stage.wait(3_600 + store_ahead);
        let before = contents(&made).await;
        let done = run(&store, &ask("b")).await;
        assert!(missing(&before, &contents(&made).await).is_empty(), "{reader} {store_ahead}");
        assert_eq!(
            done.warnings.len(),
            usize::from(reader != NOW + YEAR),
            "{reader} {store_ahead}: {:?}",
            done.warnings
        );
        are_whole(&store, &names([2, 3])).await;
    }
}

/// A set that cannot be read keeps nothing else from going.
#[tokio::test]
async fn a_set_that_cannot_be_read_is_left_and_told() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    full_backups(&made, &stage, 0..4).await;
    let (store, _) = stage.user(u64::MAX);
    let broken = names([0])[0].clone();
    made.put(Layout::new(&*broken).entry(0).as_ref(), b"{".to_vec()).await;
    let done = run(&store, &request(2, "a")).await;
    assert_eq!(done.said.iter().map(|said| &said.set).collect::<Vec<_>>(), [&names([1])[0]]);
    let told = done.plan.unwrap().left.iter().any(|left| left.set == broken);
    assert!(told || done.warnings.iter().any(|warning| warning.contains(&broken)), "{:?}", done.warnings);
    stage.wait(DAY);
    let before = contents(&made).await;
    run(&store, &request(2, "b")).await;
    let gone = missing(&before, &contents(&made).await);
    assert!(!gone.is_empty() && gone.keys().all(|key| key.starts_with(&names([1])[0])), "{gone:?}");
}

/// The state of a restore of this point.
async fn restoring(store: &Store, set: &str, entry: u64) -> RestoreJournal {
    let opened = RestoreJournal::open::<serde_json::Value>(store, "target", "copy", "n".to_owned()).await.unwrap();
    let state = serde_json::json!({"namespace": "shop", "name": "copy", "set": set, "entry": entry, "ended": null});
    let (mut journal, _) = opened;
    journal.save(&state).await.unwrap();
    journal
}

/// A restore that began before anything was said keeps what it reads until it has ended, also after the grace period.
#[tokio::test]
async fn a_restore_keeps_what_it_reads() {
    for full in [true, false] {
        let made = Made::new();
        let stage = Stage::new(&made.inner, NOW, 0);
        if full {
            full_backups(&made, &stage, 0..4).await;
        } else {
            chain(&made, &stage, 4).await;
        }
        let (store, _) = stage.user(u64::MAX);
        run(&store, &request(1, "a")).await;
        // It saved its state before the entry was there, as far as it knows.
        let (set, entry) = if full { (names([1])[0].clone(), 1) } else { (SET.to_owned(), 3) };
        let mut journal = restoring(&store, &set, entry).await;
        stage.wait(2 * DAY);
        let done = run(&store, &request(1, "b")).await;
        assert_eq!(done.holds.len(), 1);
        assert!(done.due.objects > 0, "{done:?}");
        assert_eq!(read_all(&store, &Layout::new(&*set), entry).await.unwrap(), if full { 1 } else { 4 });
        let over =
            serde_json::json!({"namespace": "shop", "name": "copy", "set": set, "entry": entry, "ended": "completed"});
        journal.save(&over).await.unwrap();
        let done = run(&store, &request(1, "c")).await;
        assert!(done.gone.objects > 0 && done.due == Counted::default(), "{done:?}");
        assert!(Point::load(&store, &Layout::new(&*set), entry).await.is_err() || !full);
    }
}

/// A run that is going on is waited for, and what it left when it died is deleted once another one has sealed.
#[tokio::test]
async fn what_dead_runs_left_goes_and_what_a_living_one_writes_stays() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    chain(&made, &stage, 3).await;
    let mut dead = made.claim(10).await.unwrap();
    made.push_one(&mut dead).await;
    let left: Vec<String> = made.keys("data/00000000000000000006-").await;
    assert_eq!(left.len(), 1);
    let (store, _) = stage.user(u64::MAX);
    let busy = run(&store, &request(1, "a")).await;
    assert_eq!(busy.busy, BTreeMap::from([(SET.to_owned(), "run-10".to_owned())]));
    assert!(busy.said.is_empty() && busy.gone == Counted::default());
    made.moving_point(11).await;
    let before = contents(&made).await;
    let done = run(&store, &request(1, "b")).await;
    assert_eq!(
        (done.said.len(), done.leftovers, done.gone),
        (1, Counted { objects: 1, bytes: before[&left[0]] }, done.leftovers)
    );
    assert_eq!(missing(&before, &contents(&made).await).into_keys().collect::<Vec<_>>(), left);
    // It comes back, and cannot name what it wrote.
    assert_eq!(dead.commit(archive::Moves::default()).await.unwrap_err().code(), Code::Fenced);
    assert!(made.claim(12).await.is_ok(), "another one goes on");
    are_whole(&store, &names([11])).await;
}

/// Of a set that was taken over half-way nothing goes for the old owner.
#[tokio::test]
async fn a_set_that_is_taken_over_is_the_new_owners() {
    let made = Made::new();
    let stage = Stage::new(&made.inner, NOW, 0);
    chain(&made, &stage, 4).await;
    let mut adopter = Made::sharing(&made).owned_by(Owner {
        namespace: "new".into(),
        name: SET.into(),
        cluster_id: "cluster".into(),
    });
    adopter.adopt = true;
    drop(adopter.claim(9).await.unwrap());
    let (store, _) = stage.user(u64::MAX);
    let before = contents(&made).await;
    let done = run(&store, &request(1, "a")).await;
    assert!(matches!(done.plan.unwrap().left[0].why, Left::OtherOwner { .. }));
    assert_eq!(contents(&made).await, before);
}

/// A history of a source and its archive, with runs of retention in it.
#[derive(Debug, Clone)]
enum Happens {
    Step(Step),
    /// So many hours pass, and then two runs of retention are at work at once.
    Retain {
        hours: u64,
        keep: [u32; 2],
    },
}

fn histories() -> impl Strategy<Value = Vec<Happens>> {
    let retain = (0u64..30, 1u32..6, 1u32..6);
    let retain = retain.prop_map(|(hours, one, other)| Happens::Retain { hours, keep: [one, other] });
    let at = proptest::collection::vec((any::<prop::sample::Index>(), retain), 1..6);
    (steps(), at).prop_map(|(steps, retain)| {
        let mut all: Vec<Happens> = steps.into_iter().map(Happens::Step).collect();
        for (at, retain) in retain {
            all.insert(at.index(all.len()), retain);
        }
        all
    })
}

async fn happen(world: &mut World, stage: &Arc<Stage>, what: &Happens, number: usize) {
    let (hours, keep) = match what {
        Happens::Step(step) => return world.step(step).await,
        Happens::Retain { hours, keep } => (*hours, *keep),
    };
    if world.points.is_empty() {
        return;
    }
    stage.wait(hours * 3_600);
    stage.turns.store(true, Ordering::SeqCst);
    let (one, other) = (stage.user(u64::MAX).0, stage.user(u64::MAX).0);
    let [a, b] = [(keep[0], "a"), (keep[1], "b")].map(|(keep, run)| request(keep, &format!("{run}-{number}")));
    let before = stage.deleted();
    let (first, second) = tokio::join!(run(&one, &a), run(&other, &b));
    stage.turns.store(false, Ordering::SeqCst);
    assert_eq!(first.gone.objects + second.gone.objects, stage.deleted() - before);
    let gone: usize = first.said.iter().chain(&second.said).map(|said| said.points.len()).sum();
    // Both never leave fewer than one of them would.
    assert!(
        gone == 0 || world.points.len() - gone >= keep[0].min(keep[1]) as usize,
        "{gone} of {}",
        world.points.len()
    );
    world.points.drain(..gone);
    world.lost = world.lost.saturating_sub(gone);
    world.check().await;
}

/// In every history each point that stays reads as before, and what nothing needs any more is gone in the end.
fn live(history: &[Happens], seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        let stage = Stage::new(&world.made.inner, NOW, seed);
        for (number, what) in history.iter().enumerate() {
            Box::pin(happen(&mut world, &stage, what, number)).await;
        }
        for step in [Step::Append { topic: 0, partition: 0, count: 1 }, Step::Run { points: 1, segments: true }] {
            world.step(&step).await;
        }
        for number in 0..3 {
            let hours = 24 * u64::from(number > 0);
            let last = Happens::Retain { hours, keep: [1, 1] };
            Box::pin(happen(&mut world, &stage, &last, 1_000 + number)).await;
        }
        let done = run(&stage.user(u64::MAX).0, &request(1, "last")).await;
        let none = Counted::default();
        assert_eq!((done.gone, done.waiting, done.due, done.unknown), (none, none, none, none));
        // What is in the store is what the newest point is made of, and the log.
        let point = Point::load(&world.made.store, &World::layout(), world.points[0].seal).await.unwrap();
        let needed = point.segments().len();
        assert_eq!(world.made.keys("data/").await.len(), needed);
        assert_eq!(world.made.keys("side/").await.len() + world.made.keys("points/").await.len(), 2);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_stays_reads_as_before(history in histories(), seed in any::<u64>()) {
        live(&history, seed);
    }
}

/// Two runs of retention and a backup at once, in an order that a seed says.
#[tokio::test(start_paused = true)]
async fn whoever_else_is_at_work_what_stays_is_whole() {
    let cases = u64::from(cases(60));
    let (mut both, mut overtaken, mut deleted) = (0, 0, 0);
    for seed in 0..cases {
        let made = Made::new();
        let stage = Stage::new(&made.inner, NOW, seed);
        chain(&made, &stage, 4).await;
        full_backups(&made, &stage, 10..13).await;
        let (store, _) = stage.user(u64::MAX);
        if seed % 2 == 0 {
            run(&store, &request(4, "before")).await;
            stage.wait(DAY);
        }
        stage.turns.store(true, Ordering::SeqCst);
        let (one, _) = stage.user(u64::MAX);
        let (other, _) = stage.user(u64::MAX);
        let writer = made.through(stage.user(u64::MAX).0);
        let (a, b) = (request(2, "a"), request(3, "b"));
        let (first, second, ()) =
            tokio::join!(run(&one, &a), run(&other, &b), async { writer.moving_or_fenced(5).await });
        stage.turns.store(false, Ordering::SeqCst);
        both += u64::from(!first.said.is_empty() && !second.said.is_empty());
        overtaken += u64::from(!first.busy.is_empty() || !second.busy.is_empty());
        deleted += stage.deleted();
        let told = first.gone.objects + second.gone.objects;
        assert_eq!(told, stage.deleted(), "seed {seed}: a store that tells who was first");
        let catalog = Catalog::new(store.clone());
        for set in catalog.summaries().await.unwrap() {
            assert!(set.problems.is_empty(), "seed {seed}: {set:?}");
            let points: Vec<String> = set.points.iter().map(|stamp| format!("{SET}-{stamp}")).collect();
            are_whole(&store, &points).await;
        }
        // The newest always stays, and what goes is gone after the second step.
        are_whole(&store, &names([12])).await;
        made.moving_point(6).await;
        stage.wait(DAY);
        run(&store, &request(2, "c")).await;
        stage.wait(DAY);
        run(&store, &request(2, "d")).await;
        let done = run(&store, &request(2, "e")).await;
        assert_eq!((done.gone, done.waiting, done.due), Default::default(), "seed {seed}: {done:?}");
        for set in catalog.summaries().await.unwrap() {
            let points: Vec<String> = set.points.iter().map(|stamp| format!("{SET}-{stamp}")).collect();
            are_whole(&store, &points).await;
        }
    }
    assert!(both > 0 && deleted > 0 && (overtaken > 0 || cases < 60), "{both} {overtaken} {deleted}");
}
