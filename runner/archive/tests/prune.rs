//! What retention would take away: whose sets, which points, which bytes. Archives are made by the writer, copied into a
//! folder, and dated there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use archive::{
    Arena, Fork, Layout, Left, Moves, Opened, Owner, PartitionState, PendingBatch, Point, PrunePlan, RestoreJournal,
    SealFacts, SegmentRow, SetWriter, Store, TopicState, prune_plan, resolve,
};
use contract::retention::{Goes, RetentionRules, Stays, Verdict};
use contract::{Code, SetOwner};
use jiff::Timestamp;
use made::{Made, SET, one_record, stamp};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use uuid::Uuid;

const DAY: i64 = 86_400;
const A: Uuid = Uuid::from_u128(11);
const B: Uuid = Uuid::from_u128(12);

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn ours() -> SetOwner {
    SetOwner { name: SET.into(), namespace: Some("ns".into()), cluster_id: Some("cluster".into()) }
}

fn owner(namespace: &str, name: &str, cluster: &str) -> Owner {
    Owner { namespace: namespace.into(), name: name.into(), cluster_id: cluster.into() }
}

fn rules(keep_last: Option<u32>, days: Option<u64>, bytes: Option<u64>) -> RetentionRules {
    RetentionRules::keeping(keep_last, days.map(|days| days * 86_400), bytes).unwrap()
}

/// An archive in a folder, with times that were chosen.
struct Dated {
    folder: tempfile::TempDir,
    store: Store,
}

impl Dated {
    /// The same objects, each as many days old as `age` says of its key.
    async fn of(made: &Made, age: impl Fn(&str) -> i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let dated = Self { store: Store::new(Arc::new(inner), "", "folder"), folder };
        for (key, _) in made.store.walk(&Path::default()).await.unwrap() {
            let bytes = made.store.get(&Path::from(key.as_str())).await.unwrap().unwrap();
            dated.write(&key, &bytes);
            dated.date(&key, age(&key));
        }
        dated
    }

    fn write(&self, key: &str, bytes: &[u8]) {
        let file = self.folder.path().join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    fn date(&self, key: &str, days: i64) {
        let seconds = u64::try_from(now().as_second() - days * DAY).unwrap();
        let file = std::fs::File::options().write(true).open(self.folder.path().join(key)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    fn remove(&self, key: &Path) {
        std::fs::remove_file(self.folder.path().join(key.as_ref())).unwrap();
    }

    /// The plan; whatever it says, nothing is changed.
    async fn plan_for(&self, owner: &SetOwner, rules: &RetentionRules) -> Result<PrunePlan, archive::ArchiveError> {
        let before = self.contents().await;
        let plan = prune_plan(&self.store, owner, rules, now()).await;
        assert_eq!(self.contents().await, before);
        plan
    }

    async fn plan(&self, rules: &RetentionRules) -> PrunePlan {
        self.plan_for(&ours(), rules).await.unwrap()
    }

    async fn contents(&self) -> BTreeMap<String, (u64, SystemTime)> {
        let mut out = BTreeMap::new();
        for (key, size) in self.store.walk(&Path::default()).await.unwrap() {
            let at = std::fs::metadata(self.folder.path().join(&key)).unwrap().modified().unwrap();
            out.insert(key, (size, at));
        }
        out
    }

    /// Bytes of all objects whose keys the caller picks.
    async fn bytes(&self, pick: impl Fn(&str) -> bool) -> u64 {
        self.contents().await.into_iter().filter(|(key, _)| pick(key)).map(|(_, (size, _))| size).sum()
    }
}

fn gone(plan: &PrunePlan) -> Vec<String> {
    plan.points.iter().filter(|point| point.verdict.goes()).map(|point| point.name.clone()).collect()
}

fn names(numbers: &[u64]) -> Vec<String> {
    numbers.iter().map(|n| format!("{SET}-{}", stamp(*n))).collect()
}

fn why(plan: &PrunePlan, name: &str) -> Verdict {
    plan.points.iter().find(|point| point.name == name).unwrap().verdict.clone()
}

/// What a run reads of partition 0 of a topic: up to which offset, and where the source's log begins.
type Read = (Uuid, i64, i64);

/// A run of the set [`SET`] that makes point `n`.
async fn run(made: &Made, n: u64, reads: &[Read], live: &[Uuid]) {
    let mut writer = made.claim(n).await.unwrap();
    let mut positions = Vec::new();
    let mut arena = Arena::default();
    for (topic, end, log_start) in reads {
        writer.know_topic(TopicState::new(*topic, &name_of(*topic), 1, 1));
        let known = writer.state().partitions.get(&(*topic, 0)).cloned();
        let mut row = known.unwrap_or_else(|| PartitionState::new(0, 0));
        row.log_start = *log_start;
        read(&mut arena, *topic, &mut row, *end);
        positions.push((*topic, row));
    }
    if !arena.is_empty() {
        writer.push(arena).await.unwrap();
    }
    seal(&mut writer, n, Moves { positions, ..Moves::default() }, live).await;
}

fn read(arena: &mut Arena, topic: Uuid, row: &mut PartitionState, end: i64) {
    for offset in row.next..end {
        let raw = one_record(offset);
        row.next += 1;
        row.committed += 1;
        row.bytes += raw.bytes.len() as u64;
        let (timeline, from, aborted) = (row.timeline, offset, false);
        arena.push(PendingBatch { topic, partition: 0, timeline, from, committed: 1, aborted, raw });
    }
}

fn name_of(topic: Uuid) -> String {
    format!("t{}", topic.as_u128())
}

async fn seal(writer: &mut SetWriter, n: u64, moves: Moves, live: &[Uuid]) {
    let config = |topic: &Uuid| {
        let policy = if *topic == B { "compact" } else { "delete" };
        (name_of(*topic), [("cleanup.policy".to_owned(), policy.to_owned())].into())
    };
    let facts = SealFacts {
        converted: None,
        point: format!("{SET}-{}", stamp(n)),
        stamp: stamp(n),
        at: "2026-01-01T00:00:00Z".into(),
        source_cluster_id: None,
        include_offset_headers: false,
        held_back: vec![],
        configs: live.iter().map(config).collect(),
        groups: None,
        writer: "test".into(),
    };
    let live: BTreeSet<Uuid> = live.iter().copied().collect();
    let (entry, digest) = writer.seal(moves, &live, facts).await.unwrap();
    writer.write_hint(&entry, &digest).await.unwrap();
}

/// Entry `n` of a log is a day younger than the two before it: with a claim and a seal for each point, the last of `points` is
/// of today. Everything else is old.
fn by_entry(points: i64) -> impl Fn(&str) -> i64 {
    move |key| {
        let number = key.contains("/log/main/").then(|| key.rsplit('/').next().unwrap().parse::<i64>().unwrap());
        number.map_or(300, |number| points - 1 - number / 2)
    }
}

#[tokio::test]
async fn a_chain_gives_back_what_its_oldest_point_does_not_need() {
    let made = Made::new();
    for (n, (end, start)) in (0u64..).zip([(10, 0), (20, 10), (30, 20), (40, 20), (50, 30)]) {
        run(&made, n, &[(A, end, start)], &[A]).await;
    }
    let dated = Dated::of(&made, by_entry(5)).await;
    let plan = dated.plan(&rules(Some(2), None, None)).await;
    assert_eq!(gone(&plan), names(&[0, 1, 2]));
    assert_eq!(plan.now, now());
    assert_eq!(why(&plan, &names(&[2])[0]), Verdict::Goes(Goes::BeyondMost { newer: 2 }));
    let chain = &plan.chains[0];
    assert_eq!(chain.oldest, names(&[3])[0]);
    // Offsets 0 to 19 are in the segments of the first two runs; point 3 begins at offset 20.
    let dead = dated.bytes(|key| {
        ["data/00000000000000000000-", "data/00000000000000000002-"].iter().any(|part| key.contains(part))
    });
    let dead = dead.await;
    assert_eq!((chain.dead.segments, chain.dead.bytes), (2, dead));
    assert_eq!((chain.topics, chain.newest_record), (1, Some(20)));
    let of_old = |key: &str| {
        let sides = [1, 3, 5].map(|n| format!("/side/{n:020}/"));
        let hints = [0, 1, 2].map(|n| format!("/points/{}", stamp(n)));
        sides.iter().any(|side| key.contains(side)) || hints.iter().any(|hint| key.ends_with(hint))
    };
    let beside = dated.bytes(of_old).await;
    assert!(beside > 0 && chain.comes_back() == dead + beside, "{chain:?}");
    // They stand beside the newest point that goes.
    let bytes: Vec<Option<u64>> = plan.points.iter().map(|point| point.bytes).collect();
    assert_eq!(bytes, [None, None, Some(chain.comes_back()), None, None]);
    assert_eq!(chain.stored_bytes, dated.bytes(|key| key.starts_with("orders/") && key.matches('/').count() > 1).await);
}

#[tokio::test]
async fn a_compacted_topic_stays_whole_and_is_named() {
    let made = Made::new();
    run(&made, 0, &[(A, 10, 0), (B, 10, 0)], &[A, B]).await;
    for n in 1..4 {
        let end = 10 + i64::try_from(n).unwrap() * 10;
        run(&made, n, &[(A, end, end - 10), (B, end, 0)], &[A, B]).await;
    }
    let plan = Dated::of(&made, by_entry(4)).await.plan(&rules(Some(1), None, None)).await;
    let chain = &plan.chains[0];
    // Each segment holds both topics: nothing is dead, though records of the other topic go.
    assert_eq!((chain.dead.segments, chain.topics, chain.newest_record), (0, 1, Some(30)));
    let compacted: Vec<&str> = chain.compacted.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(compacted, [name_of(B)]);
    assert!(chain.compacted[0].bytes > 0);
}

#[tokio::test]
async fn a_topic_that_no_kept_point_had_goes_with_all_its_records() {
    let made = Made::new();
    run(&made, 0, &[(A, 5, 0)], &[A]).await;
    run(&made, 1, &[(A, 9, 0)], &[A]).await;
    for n in 2..5 {
        let end = i64::try_from(n).unwrap() * 10;
        run(&made, n, &[(Uuid::from_u128(13), end, 0)], &[Uuid::from_u128(13)]).await;
    }
    let dated = Dated::of(&made, by_entry(5)).await;
    let dead = async |last| dated.plan(&rules(Some(last), None, None)).await.chains[0].dead.segments;
    // Points 0 and 1 had it: while 1 is kept, it is needed, though no later point has it.
    assert_eq!((dead(4).await, dead(3).await, dead(1).await), (0, 2, 2));
}

#[tokio::test]
async fn ages_are_those_of_the_store() {
    let made = Made::new();
    made.points(5).await;
    let ages = [40, 30, 20, 10, 0];
    let by = |key: &str| {
        let number = key.contains("/log/main/").then(|| key.rsplit('/').next().unwrap().parse::<usize>().unwrap());
        number.map_or(100, |number| ages[number / 2])
    };
    let dated = Dated::of(&made, by).await;
    assert_eq!(gone(&dated.plan(&rules(None, Some(15), None)).await), names(&[0, 1, 2]));
    assert_eq!(gone(&dated.plan(&rules(Some(4), Some(15), None)).await), names(&[0]));
    let point = &dated.plan(&rules(None, Some(15), None)).await.points[1];
    assert_eq!(
        (point.age_secs, point.committed),
        (Some(30 * 86_400), Some(Timestamp::from_second(now().as_second() - 30 * DAY).unwrap()))
    );
}

#[tokio::test]
async fn clocks_that_are_wrong_by_a_year_remove_nothing_more() {
    let made = Made::new();
    made.points(5).await;
    let old = |key: &str| if key.contains("/log/main/") { by_entry(5)(key) + 10 } else { 300 };
    let dated = Dated::of(&made, old).await;
    let rules = rules(None, Some(11), None);
    assert_eq!(gone(&dated.plan(&rules).await), names(&[]), "the newest time of the store is what counts");
    // One object from the future is no clock, and what it is about has no age.
    let entry = Layout::new(SET).entry(3);
    dated.date(entry.as_ref(), -365);
    dated.date("orders/points/20260101-000004", 0);
    let plan = dated.plan(&rules).await;
    assert_eq!((plan.now, gone(&plan)), (now(), names(&[0])));
    assert_eq!(why(&plan, &names(&[1])[0]), Verdict::Stays(Stays::AgeUnknown));
    assert_eq!(why(&plan, &names(&[2])[0]), Verdict::Stays(Stays::Behind { point: names(&[1])[0].clone() }));
    // All of the store lies ahead of the reader, as of one whose clock is a year behind.
    let early = Timestamp::from_second(now().as_second() - 365 * DAY).unwrap();
    let plan = prune_plan(&dated.store, &ours(), &rules, early).await.unwrap();
    assert!(gone(&plan).is_empty());
}

/// Keys of full sets by the day of their stamp, so that each has an age of its own.
fn by_set(ages: &[(u64, i64)]) -> impl Fn(&str) -> i64 {
    let ages: Vec<(String, i64)> = ages.iter().map(|(n, age)| (stamp(*n), *age)).collect();
    move |key| {
        let set = key.split('/').next().unwrap();
        ages.iter().find(|(stamp, _)| set.ends_with(stamp.as_str())).map_or(200, |(_, age)| *age)
    }
}

/// A full backup that was claimed and never sealed.
async fn unfinished(made: &Made, n: u64) {
    let set = format!("{SET}-{}", stamp(n));
    let opened = SetWriter::open(made.store.clone(), made.options(&set, false, n)).await.unwrap();
    assert!(matches!(opened, Opened::Writer(_)));
}

#[tokio::test]
async fn only_sets_of_exactly_one_owner_are_looked_at() {
    let made = Made::new();
    for n in [0, 1, 2, 3, 4] {
        made.full(&format!("{SET}-{}", stamp(n))).await;
    }
    let beside = |owner| Made::sharing(&made).owned_by(owner);
    // Names that begin alike, and one that ends as points do.
    let europe = beside(owner("ns", "orders-eu", "cluster"));
    europe.full(&format!("orders-eu-{}", stamp(5))).await;
    europe.point("orders-eu", true, 6).await;
    beside(owner("ns", "orders-99991231-235959", "cluster")).point("orders-99991231-235959", true, 7).await;
    // Another cluster and another namespace in the same prefix.
    beside(owner("ns", SET, "rebuilt")).full(&format!("{SET}-{}", stamp(10))).await;
    beside(owner("ns", SET, "rebuilt")).full(&format!("{SET}-{}", stamp(11))).await;
    beside(owner("other", SET, "cluster")).full(&format!("{SET}-{}", stamp(12))).await;
    // The newest run failed, and an old one never ended.
    unfinished(&made, 20).await;
    unfinished(&made, 21).await;
    // One that cannot be read.
    let broken = format!("{SET}-{}", stamp(30));
    made.full(&broken).await;
    made.store.put(&Layout::new(&broken).entry(1), b"{".to_vec().into()).await.unwrap();
    let ages = [(0, 40), (1, 30), (2, 20), (3, 10), (4, 0), (20, 0), (21, 60), (30, 50)];
    let dated = Dated::of(&made, by_set(&ages)).await;
    let plan = dated.plan(&rules(Some(3), None, None)).await;
    assert_eq!(gone(&plan), names(&[0, 1]));
    assert_eq!(plan.points.len(), 5, "an unfinished run and the sets of others are no points: {:?}", plan.points);
    assert_eq!(why(&plan, &names(&[4])[0]), Verdict::Stays(Stays::Newest));
    assert_eq!(plan.owner, Some(owner("ns", SET, "cluster")));
    for (point, n) in plan.points.iter().zip(0u64..) {
        let set = dated.bytes(|key| key.starts_with(&format!("{SET}-{}/", stamp(n)))).await;
        assert_eq!(point.bytes, (n < 2).then_some(set));
    }
    let left: Vec<(&str, bool)> =
        plan.left.iter().map(|left| (left.set.as_str(), matches!(left.why, Left::OtherOwner { .. }))).collect();
    let others = names(&[10, 11, 12]);
    assert_eq!(
        left,
        [
            (&*others[0], true),
            (&*others[1], true),
            (&*others[2], true),
            (&*broken, false),
            ("orders-99991231-235959", true)
        ]
    );
    let runs: Vec<(String, bool)> = plan.unfinished.iter().map(|set| (set.set.clone(), set.goes)).collect();
    let expected = names(&[20, 21]);
    assert_eq!(runs, [(expected[0].clone(), false), (expected[1].clone(), true)]);
    // What is not said must be clear.
    for (namespace, cluster) in [(Some("ns"), None), (None, Some("cluster")), (None, None)] {
        let text = |text: &str| text.to_owned();
        let unclear = SetOwner { name: SET.into(), namespace: namespace.map(text), cluster_id: cluster.map(text) };
        let error = dated.plan_for(&unclear, &rules(Some(3), None, None)).await.unwrap_err();
        assert_eq!(error.code(), Code::OwnerUnclear, "{error}");
    }
    let nobody = SetOwner { cluster_id: Some("none".into()), ..ours() };
    let plan = dated.plan_for(&nobody, &rules(Some(3), None, None)).await.unwrap();
    assert!(plan.points.is_empty() && plan.owner.is_none() && plan.unfinished.is_empty());
    let missing = SetOwner { name: "payments".into(), ..ours() };
    let error = dated.plan_for(&missing, &rules(Some(3), None, None)).await.unwrap_err();
    assert_eq!(error.code(), Code::NoSuchPoint, "{error}");
}

#[tokio::test]
async fn a_set_that_is_adopted_half_way_is_its_new_owners() {
    let made = Made::new();
    made.points(4).await;
    let mut adopter = Made::sharing(&made).owned_by(owner("new", SET, "cluster"));
    adopter.adopt = true;
    // It took the set over, and died before its first point.
    drop(adopter.claim(5).await.unwrap());
    let dated = Dated::of(&made, by_entry(4)).await;
    let one = rules(Some(1), None, None);
    let before = dated.plan(&one).await;
    assert!(
        before.points.is_empty()
            && matches!(&before.left[0].why, Left::OtherOwner { owner } if owner.namespace == "new")
    );
    let after = SetOwner { namespace: Some("new".into()), ..ours() };
    assert_eq!(gone(&dated.plan_for(&after, &one).await.unwrap()), names(&[0, 1, 2]));
}

/// The state of a restore of this point.
async fn restoring(store: &Store, name: &str, set: &str, entry: u64, ended: bool) {
    let opened = RestoreJournal::open::<serde_json::Value>(store, "target", name, "n".to_owned()).await.unwrap();
    let ended = if ended { serde_json::json!("completed") } else { serde_json::Value::Null };
    let state = serde_json::json!({"namespace": "shop", "name": name, "set": set, "entry": entry, "ended": ended});
    let (mut journal, _) = opened;
    journal.save(&state).await.unwrap();
}

#[tokio::test]
async fn a_restore_that_has_not_ended_keeps_its_set() {
    let made = Made::new();
    made.points(5).await;
    let dated = Dated::of(&made, by_entry(5)).await;
    let one = rules(Some(1), None, None);
    restoring(&dated.store, "done", SET, 1, true).await;
    restoring(&dated.store, "other", "orders-eu", 1, false).await;
    assert_eq!(gone(&dated.plan(&one).await), names(&[0, 1, 2, 3]));
    restoring(&dated.store, "copy", SET, 3, false).await;
    let plan = dated.plan(&one).await;
    // It reads rows that the points before its own had.
    assert!(gone(&plan).is_empty() && plan.chains[0].cutting.is_none());
    for n in [0, 1] {
        assert!(matches!(why(&plan, &names(&[n])[0]), Verdict::Stays(Stays::Held { .. })), "{n}");
    }
    assert_eq!(plan.holds.len(), 1, "{:?}", plan.holds);
    // Of full backups the others may go.
    let made = Made::new();
    for n in 0..4 {
        made.full(&format!("{SET}-{}", stamp(n))).await;
    }
    let dated = Dated::of(&made, by_set(&[(0, 40), (1, 30), (2, 20), (3, 10)])).await;
    restoring(&dated.store, "copy", &format!("{SET}-{}", stamp(1)), 1, false).await;
    assert_eq!(gone(&dated.plan(&one).await), names(&[0, 2]));
}

#[tokio::test]
async fn nothing_goes_in_favour_of_what_is_not_whole() {
    let made = Made::new();
    made.points(3).await;
    let dated = Dated::of(&made, by_entry(3)).await;
    let one = rules(Some(1), None, None);
    // A segment that only the newest point has.
    let key = made.keys("data/00000000000000000004-").await.remove(0);
    dated.remove(&Path::from(key.as_str()));
    let plan = dated.plan(&one).await;
    assert!(plan.points.is_empty());
    assert!(
        matches!(&plan.left[0].why, Left::Incomplete { what } if what.contains("1 of 3 segments") && what.contains(&key)),
        "{:?}",
        plan.left
    );
    let made = Made::new();
    for n in 0..3 {
        made.full(&format!("{SET}-{}", stamp(n))).await;
    }
    let dated = Dated::of(&made, by_set(&[(0, 40), (1, 30), (2, 20)])).await;
    let walked = dated.store.walk(&Layout::new(names(&[2])[0].clone()).root()).await.unwrap();
    let segment = walked.into_iter().map(|(key, _)| key).find(|key| key.contains("/data/")).unwrap();
    dated.remove(&Path::from(segment.as_str()));
    let plan = dated.plan(&one).await;
    assert!(plan.points.is_empty() && plan.left.len() == 3, "{:?}", plan.left);
    // An older one that is not whole keeps nobody from going.
    let made_whole = Dated::of(&made, by_set(&[(0, 40), (1, 30), (2, 20)])).await;
    let walked = made_whole.store.walk(&Layout::new(names(&[1])[0].clone()).root()).await.unwrap();
    let segment = walked.into_iter().map(|(key, _)| key).find(|key| key.contains("/data/")).unwrap();
    made_whole.remove(&Path::from(segment.as_str()));
    assert_eq!(gone(&made_whole.plan(&one).await), names(&[0, 1]));
}

#[tokio::test]
async fn a_size_is_kept_to_by_what_comes_back() {
    let made = Made::new();
    for n in 0..40u64 {
        let end = i64::try_from(n + 1).unwrap() * 200;
        run(&made, n, &[(A, end, end - 200)], &[A]).await;
    }
    let dated = Dated::of(&made, by_entry(40)).await;
    let all = dated.plan(&rules(Some(1), None, Some(u64::MAX))).await;
    assert!(gone(&all).is_empty());
    let stored = all.chains[0].stored_bytes;
    let mut before = 0;
    for part in [9, 7, 5, 3] {
        let most = stored * part / 10;
        let plan = dated.plan(&rules(Some(1), None, Some(most))).await;
        let chain = &plan.chains[0];
        assert!(chain.stored_bytes - chain.comes_back() <= most, "{part}: {chain:?}");
        let going = gone(&plan).len();
        assert!(going > before && going < 39, "{part}: {going}");
        before = going;
    }
}

#[tokio::test]
async fn a_chain_and_full_backups_of_one_name_are_judged_together() {
    let made = Made::new();
    made.points(3).await;
    for n in [10, 11] {
        made.full(&format!("{SET}-{}", stamp(n))).await;
    }
    let ages = by_set(&[(10, 25), (11, 5)]);
    let age = |key: &str| if key.starts_with("orders/") { by_entry(3)(key) * 10 + 10 } else { ages(key) };
    let dated = Dated::of(&made, age).await;
    // Ages: 30, 25 (full), 20, 10, 5 (full).
    let plan = dated.plan(&rules(Some(2), None, None)).await;
    assert_eq!(plan.points.iter().map(|point| point.name.clone()).collect::<Vec<_>>(), names(&[0, 10, 1, 2, 11]));
    assert_eq!(gone(&plan), names(&[0, 10, 1]));
    let plan = dated.plan(&rules(Some(1), None, None)).await;
    assert_eq!(why(&plan, &names(&[2])[0]), Verdict::Stays(Stays::NewestOfSet), "a chain never goes whole");
}

/// A small generator of numbers that repeats itself.
struct Draw(u64);

impl Draw {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A random history of one topic: its log start moves, and sometimes its log was cut and is read again.
async fn history(draw: &mut Draw, points: u64, forks: bool) -> Made {
    let made = Made::new();
    let (mut end, mut start) = (0i64, 0i64);
    for n in 0..points {
        start += i64::try_from(draw.below(4)).unwrap();
        start = start.min(end);
        if forks && n > 0 && draw.below(4) == 0 && end > start {
            let from = start + i64::try_from(draw.below(u64::try_from(end - start).unwrap())).unwrap();
            end = from + i64::try_from(1 + draw.below(5)).unwrap();
            cut_and_read_again(&made, n, (from, end), start).await;
        } else {
            end += i64::try_from(1 + draw.below(5)).unwrap();
            run(&made, n, &[(A, end, start)], &[A]).await;
        }
    }
    made
}

async fn cut_and_read_again(made: &Made, n: u64, (from, end): (i64, i64), log_start: i64) {
    let mut writer = made.claim(n).await.unwrap();
    let mut row = writer.state().partitions.get(&(A, 0)).cloned().unwrap();
    (row.timeline, row.next, row.log_start) = (row.timeline + 1, from, log_start);
    let fork = Fork { topic: A, name: name_of(A), partition: 0, timeline: row.timeline, from };
    let moves = Moves { positions: vec![(A, row.clone())], forks: vec![fork], ..Moves::default() };
    writer.commit(moves).await.unwrap();
    let mut arena = Arena::default();
    read(&mut arena, A, &mut row, end);
    writer.push(arena).await.unwrap();
    seal(&mut writer, n, Moves { positions: vec![(A, row)], ..Moves::default() }, &[A]).await;
}

/// Segments that some point from `place` on needs: of any timeline, from its log start on. And all that were named before it.
async fn needed(store: &Store, points: u64, place: u64) -> (BTreeSet<(u64, u64)>, BTreeSet<(u64, u64)>) {
    let (mut needed, mut before) = (BTreeSet::new(), BTreeSet::new());
    for n in 0..points {
        let (layout, entry) = resolve(store, &format!("{SET}-{}", stamp(n))).await.unwrap();
        let point = Point::load(store, &layout, entry).await.unwrap();
        if n < place {
            before.extend(point.segments().iter().map(|segment| (segment.claim, segment.seq)));
            continue;
        }
        let log_start = point.seal.partitions[0].log_start;
        let mut take = |_: Uuid, row: &SegmentRow| {
            if row.next > log_start {
                let segment = &point.segments()[row.segment as usize];
                needed.insert((segment.claim, segment.seq));
            }
        };
        point.each_row(None, &mut take).await.unwrap();
    }
    (needed, before)
}

/// What the plan calls dead is what no kept point needs; with timelines that cross each other it may be less.
#[tokio::test]
async fn what_is_dead_is_what_no_kept_point_needs() {
    for seed in 0..24 {
        let (mut draw, forks) = (Draw(seed), seed % 2 == 1);
        let points = 3 + draw.below(8);
        let made = history(&mut draw, points, forks).await;
        let dated = Dated::of(&made, by_entry(i64::try_from(points).unwrap())).await;
        for last in 1..points {
            let plan = dated.plan(&rules(Some(u32::try_from(last).unwrap()), None, None)).await;
            let place = points - last;
            assert_eq!(gone(&plan).len() as u64, place, "seed {seed}, keep {last}");
            let (needed, before) = needed(&dated.store, points, place).await;
            let free = before.difference(&needed).count() as u64;
            let dead = plan.chains[0].dead.segments;
            assert!(dead <= free && (forks || dead == free), "seed {seed}, keep {last}: {dead} dead, {free} free");
        }
    }
}
