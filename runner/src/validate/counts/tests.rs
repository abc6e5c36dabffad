use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::logs::Span;
use crate::restore::finished::Placed;

fn placed(start: i64, runs: Vec<(i64, u64)>) -> Shall {
    let (source, topic, id) = ("s".to_owned(), "t".to_owned(), Uuid::nil());
    let end = runs.last().map_or(start, |(at, count)| at + i64::try_from(*count).unwrap());
    Shall::Restored(Placed { source, topic, id, partition: 0, start, end, runs })
}

fn side(shall: Shall, is: Is) -> Side {
    Side { source: "s".into(), topic: "t".into(), partition: 0, shall, is }
}

fn log(start: i64, end: i64) -> Is {
    Is::Log(Span { start, end })
}

fn verdict_of(threshold: u64, side: Side) -> CheckVerdict {
    let spec = MessageCountSpec { fail_threshold: threshold, topics: Vec::new() };
    check(&spec, &[side], None).unwrap().verdict
}

#[test]
fn markers_and_later_records_are_no_difference_to_a_restore_and_deleted_records_are() {
    // 10 records, a marker, 5 records.
    let shall = || placed(100, vec![(100, 10), (111, 5)]);
    let verdict = |threshold, start, end| verdict_of(threshold, side(shall(), log(start, end)));
    assert_eq!(verdict(0, 100, 116), CheckVerdict::Pass);
    assert_eq!(verdict(0, 0, 500), CheckVerdict::Pass, "what was there before, and what others wrote");
    assert_eq!(verdict(0, 101, 116), CheckVerdict::Fail);
    assert_eq!(verdict(1, 101, 116), CheckVerdict::Pass);
    assert_eq!(verdict(1, 102, 116), CheckVerdict::Fail);
    assert_eq!(verdict(0, 100, 115), CheckVerdict::Fail, "the end of the log is gone");
    for gone in [Is::NoTopic, Is::OtherTopic, Is::NoPartition] {
        assert_eq!(verdict_of(0, side(shall(), gone)), CheckVerdict::Fail);
        assert_eq!(verdict_of(0, side(placed(5, vec![]), gone)), CheckVerdict::Pass, "nothing shall be there");
    }
}

#[test]
fn without_a_restore_fewer_offsets_than_records_fail_and_more_warn() {
    let shall = || Shall::Archived { first: 50, next: 80, records: 10 };
    assert_eq!(verdict_of(0, side(shall(), log(0, 10))), CheckVerdict::Pass);
    assert_eq!(verdict_of(0, side(shall(), log(0, 9))), CheckVerdict::Fail);
    assert_eq!(verdict_of(1, side(shall(), log(0, 9))), CheckVerdict::Pass);
    assert_eq!(verdict_of(0, side(shall(), log(50, 80))), CheckVerdict::Warn);
    assert_eq!(verdict_of(20, side(shall(), log(50, 80))), CheckVerdict::Pass);
}

#[test]
fn a_topic_that_is_named_must_be_compared() {
    let spec = |topics: &[&str]| MessageCountSpec {
        fail_threshold: 0,
        topics: topics.iter().map(|name| (*name).to_owned()).collect(),
    };
    let sides = [side(placed(0, vec![(0, 5)]), log(0, 5))];
    let verdict = |topics: &[&str]| check(&spec(topics), &sides, None).unwrap().verdict;
    assert_eq!(verdict(&["s"]), CheckVerdict::Pass);
    assert_eq!(verdict(&["s", "other"]), CheckVerdict::Fail);
    assert_eq!(verdict(&["o*"]), CheckVerdict::Skipped);
    assert!(check(&spec(&["~("]), &sides, None).is_err());
}

#[test]
fn the_account_of_a_restore_is_looked_at() {
    let sides = [side(placed(0, vec![(0, 5)]), log(0, 5))];
    let verdict = |planned, exact, left_out| {
        let account = Account { planned: vec![("s".into(), planned, exact)], left_out };
        check(&MessageCountSpec::default(), &sides, Some(&account)).unwrap().verdict
    };
    assert_eq!(verdict(5, true, 0), CheckVerdict::Pass);
    assert_eq!((verdict(6, true, 0), verdict(4, true, 0)), (CheckVerdict::Fail, CheckVerdict::Fail));
    assert_eq!((verdict(6, true, 1), verdict(9, false, 0)), (CheckVerdict::Warn, CheckVerdict::Pass));
}

proptest! {
    #[test]
    fn the_threshold_is_the_number_of_records_that_may_lack(
        count in 1u64..500, deleted in 0u64..500, threshold in 0u64..500,
    ) {
        let deleted = deleted.min(count);
        let start = i64::try_from(deleted).unwrap();
        let one = side(placed(0, vec![(0, count)]), log(start, i64::try_from(count).unwrap()));
        let expected = if deleted > threshold { CheckVerdict::Fail } else { CheckVerdict::Pass };
        prop_assert_eq!(verdict_of(threshold, one), expected);
    }
}
