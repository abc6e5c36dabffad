//! Restores that give up after they changed committed offsets.

use api::oso::RunClaim;

use super::super::{Ended, Step, Verdict, judge, undo_first};
use super::{Subject, at, noted, subject};

/// The sixth attempt in a row that cannot reach its brokers.
fn exhausted(claim: &RunClaim) -> Step {
    let ended = Ended {
        exit_code: Some(3),
        memory_limit: None,
        never_ran: false,
        disrupted: false,
        report: None,
        message: "KB2008: group \"g\"\nis away".into(),
    };
    let claim = RunClaim { failures: 5, ..claim.clone() };
    judge(&claim, &ended, false, false, at("10:00:00"))
}

fn with(claim: &RunClaim) -> Subject {
    Subject { claim: Some(claim.clone()), ..subject() }
}

#[test]
fn a_restore_that_gives_up_puts_offsets_back_first_and_only_once() {
    let claim = noted(true);
    let step = exhausted(&claim);
    assert!(matches!(&step, Step::Conclude(verdict) if verdict.reason == "RetriesExhausted"), "{step:?}");
    assert_eq!(undo_first(false, &with(&claim), step.clone()), step, "nobody asks for it");
    let Step::Again { next, why } = undo_first(true, &with(&claim), step) else { panic!() };
    assert_eq!((next.attempt, next.failures, next.not_before.clone()), (claim.attempt + 1, 0, None));
    let reason = next.undoing.clone().unwrap();
    assert!(reason.starts_with("RetriesExhausted: ") && reason.contains("is away"), "{reason}");
    assert!(!reason.contains('\n') && why.contains("put back now"), "it stands in a specification: {reason}");
    // Nor does the undo run for ever.
    let again = exhausted(&next);
    assert_eq!(undo_first(true, &with(&next), again.clone()), again);
    // What the runner settled itself, or somebody removed, is not begun again.
    for reason in ["RunFailed", "AnswerIsNo"] {
        let verdict = Verdict { end: super::super::End::Failed(None), reason: reason.into(), ..Verdict::stopped(None) };
        let step = Step::Conclude(Box::new(verdict));
        assert_eq!(undo_first(true, &with(&claim), step.clone()), step);
    }
}
