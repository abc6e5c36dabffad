#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::unnecessary_wraps)]

use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn days_ago(days: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(now().as_second() - days * DAY).unwrap())
}

fn point(number: usize, days: i64, shape: Shape) -> Candidate {
    let name = format!("P{number}");
    let set = if shape == Shape::Chain { "set".to_owned() } else { name.clone() };
    Candidate { name, set, committed: days_ago(days), bytes: 10, shape, held: None }
}

/// P1 the oldest, with these ages in days.
fn points(ages: &[i64], shape: Shape) -> Vec<Candidate> {
    (1..).zip(ages).map(|(number, age)| point(number, *age, shape)).collect()
}

const FIVE: [i64; 5] = [40, 30, 20, 10, 0];

fn rules(keep_last: Option<u32>, days: Option<u64>, bytes: Option<u64>) -> RetentionRules {
    RetentionRules::keeping(keep_last, days.map(|days| days * 86_400), bytes).unwrap()
}

/// Names of the points that go.
fn gone(rules: &RetentionRules, points: &[Candidate]) -> Vec<String> {
    let verdicts = judge(rules, now(), points);
    points.iter().zip(verdicts).filter(|(_, verdict)| verdict.goes()).map(|(point, _)| point.name.clone()).collect()
}

fn restore() -> Option<Hold> {
    Some(Hold::Restore { namespace: "shop".into(), name: "copy".into(), since: None })
}

#[test]
fn the_table_of_cases() {
    let five = points(&FIVE, Shape::Whole);
    assert_eq!(gone(&rules(Some(3), None, None), &five), ["P1", "P2"]);
    assert_eq!(gone(&rules(None, Some(15), None), &five), ["P1", "P2", "P3"]);
    // keepLast is a minimum that no age goes below.
    let both = rules(Some(3), Some(15), None);
    assert_eq!(gone(&both, &five), ["P1", "P2"]);
    assert_eq!(judge(&both, now(), &five)[2], Verdict::Stays(Stays::AmongNewest { least: 3 }));
    // A long outage removes all but the newest.
    let outage = points(&[40, 39, 38, 37, 36], Shape::Whole);
    assert_eq!(gone(&rules(None, Some(15), None), &outage), ["P1", "P2", "P3", "P4"]);
    assert_eq!(judge(&rules(None, Some(15), None), now(), &outage)[4], Verdict::Stays(Stays::Newest));
    // A cap and an age, as the Strimzi groups have them.
    let capped = RetentionRules { least: 1, most: Some(2), max_age_secs: Some(60 * 86_400), max_total_bytes: None };
    assert_eq!(gone(&capped, &five), ["P1", "P2", "P3"]);
    // Exactly as old as allowed is not too old.
    assert_eq!(gone(&rules(None, Some(20), None), &five), ["P1", "P2"]);
    assert!(gone(&rules(Some(9), None, None), &five).is_empty(), "least is more than there is");
    assert!(gone(&rules(Some(1), None, None), &five[..1]).is_empty() && gone(&both, &[]).is_empty());
}

#[test]
fn who_needs_a_point_keeps_it_and_in_a_chain_all_that_follow() {
    let held = |shape| {
        let mut five = points(&FIVE, shape);
        five[1].held = restore();
        five
    };
    let one = rules(Some(1), None, None);
    let chain = held(Shape::Chain);
    assert_eq!(gone(&one, &chain), ["P1"]);
    assert_eq!(judge(&one, now(), &chain)[1], Verdict::Stays(Stays::Held { hold: restore().unwrap() }));
    for later in [2, 3] {
        assert_eq!(judge(&one, now(), &chain)[later], Verdict::Stays(Stays::Behind { point: "P2".into() }));
    }
    assert_eq!(gone(&one, &held(Shape::Whole)), ["P1", "P3", "P4"]);
}

#[test]
fn a_size_lets_the_oldest_go_and_nothing_else() {
    let five = points(&FIVE, Shape::Whole);
    let of = |bytes| RetentionRules { least: 1, most: None, max_age_secs: None, max_total_bytes: Some(bytes) };
    assert_eq!(gone(&of(25), &five), ["P1", "P2", "P3"]);
    assert_eq!(judge(&of(25), now(), &five)[0], Verdict::Goes(Goes::OverBytes { total: 50 }));
    assert_eq!(gone(&of(5), &five), ["P1", "P2", "P3", "P4"], "the newest stays, however large");
    assert!(gone(&of(50), &five).is_empty());
    assert_eq!(gone(&RetentionRules { least: 4, ..of(5) }, &five), ["P1"]);
    // A chain has what it keeps from its oldest point on.
    let mut chain = points(&FIVE, Shape::Chain);
    for (point, bytes) in chain.iter_mut().zip([100, 90, 60, 30, 20]) {
        point.bytes = bytes;
    }
    assert_eq!(gone(&of(60), &chain), ["P1", "P2"]);
    assert_eq!(gone(&of(59), &chain), ["P1", "P2", "P3"]);
    // Beside it stands a full backup, younger than P3: it goes only when that is not enough.
    let mut both = chain.clone();
    both.insert(3, Candidate { name: "F".into(), ..point(9, 15, Shape::Whole) });
    assert_eq!(gone(&of(60), &both), ["P1", "P2", "P3"]);
    assert_eq!(gone(&of(30), &both), ["P1", "P2", "P3", "F"]);
    // What age took away already does not count.
    let rules = RetentionRules { max_age_secs: Some(35 * 86_400), ..of(40) };
    assert_eq!(gone(&rules, &five), ["P1"]);
}

#[test]
fn what_nobody_knows_the_age_of_stays() {
    let one = rules(Some(1), None, None);
    for (shape, expected) in [(Shape::Whole, vec!["P1", "P2", "P4"]), (Shape::Chain, vec!["P1", "P2"])] {
        let mut five = points(&FIVE, shape);
        five[2].committed = None;
        assert_eq!(gone(&one, &five), expected);
        assert_eq!(judge(&one, now(), &five)[2], Verdict::Stays(Stays::AgeUnknown));
        five[2].committed = days_ago(-1);
        assert_eq!(gone(&one, &five), expected, "a time that lies ahead is none");
    }
    let future = points(&[-1, -2, -3, -4, -5], Shape::Whole);
    assert!(gone(&one, &future).is_empty() && gone(&rules(None, Some(1), None), &future).is_empty());
}

#[test]
fn a_chain_never_goes_whole_beside_newer_full_backups() {
    let mut all = points(&[40, 30], Shape::Chain);
    all.extend([3, 4].map(|number| point(number, 10, Shape::Whole)));
    assert_eq!(gone(&rules(Some(1), None, None), &all), ["P1", "P3"]);
    assert_eq!(judge(&rules(Some(1), None, None), now(), &all)[1], Verdict::Stays(Stays::NewestOfSet));
}

/// A bucket that was copied dates its objects anew, in any order: the log of a set says which point came first.
#[test]
fn points_of_a_set_stay_in_the_order_of_its_log() {
    let chain = points(&[40, 5, 20, 1], Shape::Chain);
    let full = vec![Candidate { name: "F".into(), set: "F".into(), ..point(9, 10, Shape::Whole) }];
    let unknown = vec![Candidate { name: "U".into(), set: "U".into(), committed: None, ..point(8, 0, Shape::Whole) }];
    let all = in_order(vec![chain, full, unknown]);
    let names: Vec<&str> = all.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["U", "P1", "F", "P2", "P3", "P4"]);
    assert_eq!(all[4].committed, days_ago(5), "not older than the one before it");
    let mut late = points(&[40, 30], Shape::Chain);
    late[0].committed = None;
    assert_eq!(in_order(vec![late])[0].committed, None);
}

/// A store may tell whole seconds: the newest of several sets is then the one whose name says so.
#[test]
fn points_of_one_moment_are_in_the_order_of_their_stamps() {
    let dated = |set: &str, second: usize, shape| Candidate {
        name: format!("o-20261120-0000{second:02}"),
        set: set.to_owned(),
        ..point(second, 1, shape)
    };
    let full = [1, 2].map(|second| vec![dated(&format!("o-20261120-0000{second:02}"), second, Shape::Whole)]);
    let chain = [8, 9].map(|second| dated("o", second, Shape::Chain)).to_vec();
    let all = in_order(full.into_iter().chain([chain]).collect());
    let names: Vec<&str> = all.iter().map(|point| &point.name[point.name.len() - 2..]).collect();
    assert_eq!(names, ["01", "02", "08", "09"]);
    assert_eq!(gone(&rules(Some(2), None, None), &all), ["o-20261120-000001", "o-20261120-000002"]);
}

#[test]
fn rules_are_given_by_at_least_one_number() {
    assert_eq!(rules(Some(3), None, None).most, Some(3));
    assert_eq!(rules(Some(3), None, Some(5)).most, None, "with another rule it is a minimum only");
    let none = RetentionRules::keeping(None, None, None).unwrap_err();
    assert!(none.contains("must be given"), "{none}");
    for wrong in [(Some(0), None, None), (None, Some(0), None), (Some(2), None, Some(0))] {
        assert!(RetentionRules::keeping(wrong.0, wrong.1, wrong.2).unwrap_err().contains("above 0"));
    }
}

#[test]
fn ages_have_one_unit() {
    let known = [("90s", 90), ("5m", 300), ("36h", 129_600), ("30d", 2_592_000), ("2w", 1_209_600)];
    for (text, seconds) in known {
        assert_eq!(age_secs(text), Some(seconds), "{text}");
    }
    for wrong in ["", "d", "0d", "30", "-1d", "+3d", "1.5d", "1d12h", "30D", "5y", "4294967296s", "3\u{e4}", "\u{e4}d"]
    {
        assert_eq!(age_secs(wrong), None, "{wrong}");
    }
}

#[test]
fn reasons_are_told_in_words() {
    let both = rules(Some(3), Some(14), None);
    let stays = |stays: Stays, age| stays.words(&both, age);
    assert_eq!(stays(Stays::AmongNewest { least: 3 }, Some(86_400)), "younger than 14d, and one of the newest 3");
    assert_eq!(stays(Stays::AmongNewest { least: 3 }, Some(20 * 86_400)), "one of the newest 3");
    assert_eq!(stays(Stays::Held { hold: restore().unwrap() }, None), "restore shop/copy has not ended (release)");
    assert_eq!(Goes::TooOld { age_secs: 29 * 86_400 }.words(&both), "older than 14d");
    assert_eq!(Goes::BeyondMost { newer: 7 }.words(&rules(Some(3), None, None)), "not one of the newest 3");
    let size = rules(None, None, Some(5 << 30));
    assert_eq!(Goes::OverBytes { total: 6 << 30 }.words(&size), "all points have 6.0 GiB, and may have 5.0 GiB");
    assert_eq!(Stays::NoRule.words(&size, None), "there is room: all points may have 5.0 GiB");
}

#[test]
#[allow(clippy::disallowed_methods)] // it looks at a clock of its own
fn ten_thousand_points_are_judged_at_once() {
    for shape in [Shape::Whole, Shape::Chain] {
        let ages: Vec<i64> = (0..10_000).rev().collect();
        let all = points(&ages, shape);
        let rules = RetentionRules { max_age_secs: Some(9_000 * 86_400), ..rules(Some(3), None, Some(10)) };
        let since = std::time::Instant::now();
        assert!(gone(&rules, &all).len() >= 999);
        assert!(since.elapsed() < std::time::Duration::from_secs(1), "{:?}", since.elapsed());
    }
}

prop_compose! {
    fn any_rules()(
        least in 1u32..6,
        most in proptest::option::of(1u32..8),
        days in proptest::option::of(1u64..50),
        bytes in proptest::option::of(1u64..200),
    ) -> RetentionRules {
        RetentionRules { least, most, max_age_secs: days.map(|days| days * 86_400), max_total_bytes: bytes }
    }
}

prop_compose! {
    /// Points of up to two chains and some full backups, in any order of ages, some held and some of unknown age.
    fn any_points()(
        all in proptest::collection::vec((0usize..4, -3i64..60, 0u64..50, 0u8..10), 0..14),
    ) -> Vec<Candidate> {
        let mut sets: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for (number, (set, days, bytes, luck)) in (1..).zip(all) {
            let shape = if set < 2 { Shape::Chain } else { Shape::Whole };
            let mut found = Candidate { bytes, ..point(number, days, shape) };
            if shape == Shape::Chain {
                found.set = format!("set{set}");
            }
            found.held = (luck == 0).then(|| restore().unwrap());
            found.committed = found.committed.filter(|_| luck != 1);
            sets.entry(found.set.clone()).or_default().push(found);
        }
        in_order(sets.into_values().collect())
    }
}

/// Whether what goes by `strict` has all that goes by `mild`.
fn removes_no_more(mild: &RetentionRules, strict: &RetentionRules, points: &[Candidate]) -> bool {
    let strict = gone(strict, points);
    gone(mild, points).iter().all(|name| strict.contains(name))
}

proptest! {
    #[test]
    fn what_must_stay_stays(rules in any_rules(), points in any_points()) {
        let verdicts = judge(&rules, now(), &points);
        prop_assert_eq!(verdicts.len(), points.len());
        let stay: Vec<bool> = verdicts.iter().map(|verdict| !verdict.goes()).collect();
        for newer in 0..points.len().min(rules.least.max(1) as usize) {
            prop_assert!(stay[points.len() - 1 - newer], "one of the newest {}", rules.least);
        }
        for (point, stay) in points.iter().zip(&stay) {
            prop_assert!(*stay || (point.held.is_none() && point.committed.is_some_and(|at| at <= now())));
        }
        // Of a chain what stays is a suffix that is never empty.
        for set in ["set0", "set1"] {
            let of_set: Vec<bool> = points.iter().zip(&stay).filter(|(point, _)| point.set == set).map(|(_, stay)| *stay).collect();
            prop_assert!(of_set.is_sorted() && of_set.last() != Some(&false), "{:?}", of_set);
        }
    }

    #[test]
    fn milder_rules_remove_no_more(rules in any_rules(), points in any_points(), more in 1u32..5) {
        let milder = [
            RetentionRules { least: rules.least + more, ..rules },
            RetentionRules { most: rules.most.map(|most| most + more), ..rules },
            RetentionRules { most: None, ..rules },
            RetentionRules { max_age_secs: rules.max_age_secs.map(|age| age + u64::from(more) * 86_400), ..rules },
            RetentionRules { max_age_secs: None, ..rules },
            RetentionRules { max_total_bytes: rules.max_total_bytes.map(|bytes| bytes + u64::from(more) * 7), ..rules },
            RetentionRules { max_total_bytes: None, ..rules },
        ];
        for mild in milder {
            prop_assert!(removes_no_more(&mild, &rules, &points), "{:?}", mild);
        }
    }

    #[test]
    fn judging_what_stays_removes_nothing_more(rules in any_rules(), points in any_points()) {
        let verdicts = judge(&rules, now(), &points);
        let stay: Vec<Candidate> =
            points.iter().zip(verdicts).filter(|(_, verdict)| !verdict.goes()).map(|(point, _)| point.clone()).collect();
        prop_assert_eq!(gone(&rules, &stay), Vec::<String>::new());
    }

    #[test]
    fn names_decide_nothing(rules in any_rules(), points in any_points()) {
        let renamed: Vec<Candidate> =
            points.iter().map(|point| Candidate { name: format!("x{}", point.name.len()), ..point.clone() }).collect();
        let goes = |all: &[Candidate]| judge(&rules, now(), all).iter().map(Verdict::goes).collect::<Vec<_>>();
        prop_assert_eq!(goes(&renamed), goes(&points));
    }

    /// A clock that is a year behind never removes more than the right one.
    #[test]
    fn an_earlier_now_removes_a_subset(rules in any_rules(), points in any_points(), days in 0i64..400) {
        let earlier = Timestamp::from_second(now().as_second() - days * DAY).unwrap();
        let now_gone = gone(&rules, &points);
        let verdicts = judge(&rules, earlier, &points);
        for (point, verdict) in points.iter().zip(verdicts) {
            prop_assert!(!verdict.goes() || now_gone.contains(&point.name), "{}", point.name);
        }
    }

    #[test]
    fn a_hold_only_ever_keeps_more(rules in any_rules(), points in any_points(), place in 0usize..14) {
        let mut held = points.clone();
        if let Some(point) = held.get_mut(place) {
            point.held = restore();
            let name = point.name.clone();
            prop_assert!(!gone(&rules, &held).contains(&name));
        }
    }

    #[test]
    fn the_ends_of_numbers_are_no_matter(bytes in proptest::collection::vec(0..=u64::MAX, 0..6), most in 1..=u64::MAX) {
        let mut all = points(&[40, 30, 20, 10, 0, 0], Shape::Whole);
        for (point, bytes) in all.iter_mut().zip(bytes) {
            point.bytes = bytes;
        }
        all[0].committed = Some(Timestamp::MIN);
        for now in [Timestamp::MIN, Timestamp::MAX] {
            let rules = RetentionRules { least: u32::MAX, most: Some(1), max_age_secs: Some(most), max_total_bytes: Some(most) };
            prop_assert!(judge(&rules, now, &all).iter().all(|verdict| !verdict.goes()));
            let rules = RetentionRules { least: 1, ..rules };
            prop_assert!(!judge(&rules, now, &all)[5].goes());
        }
    }
}
