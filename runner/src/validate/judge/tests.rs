use std::sync::Arc;

use archive::{Layout, Look, Store, verify_look};
use object_store::memory::InMemory;

use super::*;

fn problem(key: &str) -> Problem {
    Problem { key: key.into(), what: "wrong".into() }
}

fn verdicts(checks: &[ValidationCheck]) -> Vec<(&str, CheckVerdict)> {
    checks.iter().map(|check| (check.name.as_str(), check.verdict)).collect()
}

fn looked() -> Verification {
    let mut found = Verification::default();
    found.segments = 3;
    found
}

#[test]
fn a_problem_counts_for_the_shallowest_check_that_was_asked_for() {
    // What the archive did not call deeper is of the structure.
    let mut found = looked();
    found.problems.push(problem("log/3"));
    let all = judge(&DEPTHS, &found, &Lacks::default(), 5);
    let expected =
        [("structure", CheckVerdict::Fail), ("checksum", CheckVerdict::Warn), ("decode", CheckVerdict::Warn)];
    assert_eq!(verdicts(&all), expected, "{all:?}");
    assert_eq!((all[0].findings[0].subject.as_str(), all[0].findings_total, all[0].millis), ("log/3", 1, 5));
    let deepest = judge(&DEPTHS[2..], &found, &Lacks::default(), 5);
    assert_eq!(verdicts(&deepest), [("decode", CheckVerdict::Fail)]);
}

#[test]
fn notes_and_what_a_point_lacks_warn_and_never_fail() {
    let clean = looked();
    let pass = judge(&DEPTHS, &clean, &Lacks::default(), 1);
    assert!(pass.iter().all(|check| check.verdict == CheckVerdict::Pass), "{pass:?}");
    let mut noted = clean.clone();
    noted.notes.push(problem("points/x"));
    assert_eq!(judge(&DEPTHS, &noted, &Lacks::default(), 1)[0].verdict, CheckVerdict::Warn);
    let lacks = Lacks { gaps: vec![("t/0".into(), "offsets 3 to 9".into())], held_back: Vec::new() };
    let found = judge(&DEPTHS[1..], &clean, &lacks, 1);
    assert_eq!(verdicts(&found), [("checksum", CheckVerdict::Warn), ("decode", CheckVerdict::Pass)]);
    assert!(!found[0].findings[0].is_wrong);
}

#[tokio::test]
async fn a_set_that_is_not_there_is_damage_and_no_pass() {
    let store = Store::new(Arc::new(InMemory::new()), "", "memory");
    let found = verify_look(&store, &Layout::new("s"), 3, true, &Look::whole(Level::Decode)).await.unwrap();
    let checks = judge(&DEPTHS, &found, &Lacks::default(), 1);
    assert_eq!(checks[0].verdict, CheckVerdict::Fail, "{checks:?}");
    assert!(checks[1..].iter().all(|check| check.verdict == CheckVerdict::Warn), "{checks:?}");
}
