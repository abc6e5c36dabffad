use contract::{SampleSize, SampleTaken, ValidatedPoint};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decide::End;
use crate::progress::Progress;
use crate::status::Running;

fn moment() -> Moment {
    Moment::new(1, "2026-11-29T15:00:00Z".parse().unwrap())
}

fn spec(more: Value) -> KafkaBackupValidationSpec {
    let mut spec = json!({"backupRef": {"name": "nightly"}, "checks": {"decode": {}}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn once() -> KafkaBackupValidationSpec {
    spec(json!({}))
}

fn daily() -> KafkaBackupValidationSpec {
    spec(json!({"schedule": "0 0 2 * * *"}))
}

fn checks(verdicts: &[CheckVerdict]) -> Vec<ValidationCheck> {
    let names = ["structure", "checksum", "decode", "messageCount", "offsetRange"];
    names.iter().zip(verdicts).map(|(name, verdict)| ValidationCheck::new(*name, *verdict, "as told")).collect()
}

/// A run that is over with these checks, as its runner ends it.
fn over(verdicts: &[CheckVerdict]) -> State {
    over_with(verdicts, None)
}

fn over_with(verdicts: &[CheckVerdict], evidence: Option<contract::EvidenceLine>) -> State {
    let checks = checks(verdicts);
    let verdict = ValidationReport::judge(&checks);
    let report = ValidationReport {
        verdict,
        checks,
        point: Some(ValidatedPoint { id: "nightly-20261129-020000".into(), ..ValidatedPoint::default() }),
        sample: Some(SampleTaken {
            size: SampleSize::Percent(10),
            seed: 7,
            segments: 1,
            of_segments: 10,
            bytes: 1,
            of_bytes: 10,
        }),
        evidence,
        ..ValidationReport::default()
    };
    let said = Said {
        stored_at: Some("s3://b/nightly/runs/r/report.json".into()),
        validation: Some(Box::new(report)),
        ..Said::default()
    };
    let (end, reason) = match verdict {
        Some(ValidationVerdict::Pass | ValidationVerdict::Warn) => (End::Completed(Box::new(said)), "Completed"),
        Some(ValidationVerdict::Fail) => (End::Failed(Some(Box::new(said))), "ChecksFailed"),
        None => (End::Failed(Some(Box::new(said))), "RunFailed"),
    };
    let verdict = Verdict { end, reason: reason.into(), message: "KB6001: why".into(), wrote: Some(false) };
    State::Over(Box::new(RunClaim { id: "r".into(), generation: 1, ..RunClaim::default() }), Box::new(verdict))
}

fn told(
    old: &KafkaBackupValidationStatus,
    spec: &KafkaBackupValidationSpec,
    state: &State,
) -> KafkaBackupValidationStatus {
    validation(old, spec, state, moment())
}

fn fresh() -> KafkaBackupValidationStatus {
    KafkaBackupValidationStatus::default()
}

/// Status and reason of a condition.
fn is(status: &KafkaBackupValidationStatus, name: &str) -> (String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == name).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

fn result_of(status: &KafkaBackupValidationStatus) -> (Option<&str>, Option<&str>) {
    (status.phase.as_deref(), status.validation_result.as_deref())
}

#[test]
fn a_run_whose_checks_pass_is_completed_and_well() {
    use CheckVerdict::{Pass, Skipped, Warn};
    let good = told(&fresh(), &once(), &over(&[Pass, Pass]));
    assert_eq!(result_of(&good), (Some("Completed"), Some("Pass")));
    assert_eq!((good.checks_total, good.checks_completed, good.checks_passed), (Some(2), Some(2), Some(2)));
    assert_eq!(is(&good, "Ready"), pair("True", "ValidationCompleted"));
    assert_eq!(is(&good, "Complete").0, "True");
    assert_eq!(good.last_pass_time, good.last_validation_time);
    assert_eq!((good.recovery_point.as_deref(), good.sample_seed), (Some("nightly-20261129-020000"), Some(7)));
    assert_eq!(good.report_path.as_deref(), Some("s3://b/nightly/runs/r/report.json"));
    assert_eq!(good.message.as_deref(), Some("nightly-20261129-020000: 2 checks passed"));
    let warned = told(&fresh(), &once(), &over(&[Pass, Warn, Skipped]));
    assert_eq!(result_of(&warned), (Some("Completed"), Some("Warn")));
    assert_eq!((warned.checks_passed, warned.checks_warned, warned.checks_failed), (Some(1), Some(1), Some(0)));
    let outcomes: Vec<_> = warned.check_results.iter().map(|check| check.outcome.as_str()).collect();
    assert_eq!(outcomes, ["Passed", "Warning", "Skipped"]);
    let text = "nightly-20261129-020000: 1 of 3 checks passed; checksum warned; decode had nothing to look at";
    assert_eq!(warned.message.as_deref(), Some(text));
    assert_eq!(is(&warned, "Ready").0, "True", "nothing is wrong");
}

#[test]
fn a_failed_check_is_a_result_and_one_that_could_not_be_made_is_none() {
    use CheckVerdict::{Fail, NotRun, Pass};
    let bad = told(&fresh(), &once(), &over(&[Pass, Fail, NotRun]));
    assert_eq!(result_of(&bad), (Some("Completed"), Some("Fail")));
    assert_eq!((bad.checks_total, bad.checks_completed, bad.checks_failed), (Some(3), Some(2), Some(1)));
    assert_eq!(is(&bad, "Ready"), pair("False", "ChecksFailed"));
    assert_eq!((is(&bad, "Stalled").0.as_str(), is(&bad, "Failed").0.as_str()), ("True", "False"));
    assert!(bad.last_validation_time.is_some() && bad.last_pass_time.is_none());
    // Of a schedule, the next tick is another chance.
    assert_eq!(is(&told(&fresh(), &daily(), &over(&[Fail])), "Stalled").0, "False");
    let unknown = told(&fresh(), &once(), &over(&[Pass, NotRun]));
    assert_eq!(result_of(&unknown), (Some("Failed"), None));
    assert_eq!(is(&unknown, "Ready"), pair("False", "RunFailed"));
    assert_eq!((is(&unknown, "Failed").0.as_str(), unknown.last_validation_time), ("True", None));
    // A run that says it is well and has no result has shown nothing.
    let State::Over(claim, mut verdict) = over(&[Pass]) else { panic!() };
    verdict.end = End::Completed(Box::default());
    let empty = told(&fresh(), &once(), &State::Over(claim, verdict));
    assert_eq!(result_of(&empty), (Some("Failed"), None));
    assert_eq!(is(&empty, "Ready"), pair("False", "ResultMissing"));
}

/// Looked at again and again, it says the same; and what was told meanwhile is no news any more.
#[test]
fn a_result_stays_what_it_is() {
    use CheckVerdict::{Fail, NotRun, Pass};
    for verdicts in [&[Pass][..], &[Fail], &[NotRun]] {
        for spec in [once(), daily()] {
            let end = told(&fresh(), &spec, &over(verdicts));
            let again = told(&end, &spec, &State::Idle(None));
            assert_eq!(again, end);
            let waited = told(&end, &spec, &State::Pending("BackupNotFound", "it is away".into()));
            assert_eq!(waited.phase.as_deref(), Some("Pending"));
            assert_eq!(told(&waited, &spec, &State::Idle(None)), end, "{verdicts:?}");
        }
    }
}

#[test]
fn a_schedule_stays_well_while_the_next_run_works() {
    use CheckVerdict::{Fail, Pass};
    let tick = |at: &str| {
        let claim = RunClaim { id: "r2".into(), at: at.into(), ..RunClaim::default() };
        let schedule = Some(at.parse::<Timestamp>().unwrap());
        State::Claimed(Box::new(Tick { claim, schedule, missed: 0, trigger: None }))
    };
    let good = told(&fresh(), &daily(), &over(&[Pass]));
    let claimed = told(&good, &daily(), &tick("2026-11-30T02:00:00Z"));
    assert_eq!(is(&claimed, "Ready"), pair("True", "ValidationRunning"));
    assert_eq!((claimed.phase.as_deref(), claimed.checks_completed), (Some("Running"), Some(0)));
    assert_eq!(result_of(&claimed).1, Some("Pass"), "the last result stands until there is another one");
    assert_eq!(claimed.last_schedule_time.as_deref(), Some("2026-11-30T02:00:00Z"));
    assert!(claimed.check_results.is_empty() && claimed.completion_time.is_none());
    let bad = told(&fresh(), &daily(), &over(&[Fail]));
    assert_eq!(is(&told(&bad, &daily(), &tick("2026-11-30T02:00:00Z")), "Ready").0, "False");
    let stuck = State::Running(Box::new(Running {
        problem: Some(("Unschedulable".into(), "no".into())),
        ..Running::default()
    }));
    assert_eq!(is(&told(&claimed, &daily(), &stuck), "Ready"), pair("False", "Unschedulable"));
    let once_again = told(&told(&fresh(), &once(), &over(&[Pass])), &once(), &tick("2026-11-30T02:00:00Z"));
    assert_eq!(is(&once_again, "Ready").0, "False", "one that runs once is under way");
}

#[test]
fn checks_are_told_as_they_are_made() {
    let checked = |names: &[&str]| {
        let made = |name: &&str| Checked { name: (*name).to_owned(), verdict: CheckVerdict::Pass, message: "m".into() };
        let progress = Progress { checked: names.iter().map(made).collect(), ..Progress::default() };
        State::Running(Box::new(Running { progress: Some(progress), ..Running::default() }))
    };
    let one = told(&fresh(), &once(), &checked(&["structure"]));
    // The log has more lines than are read at once.
    let two = told(&one, &once(), &checked(&["decode"]));
    let names: Vec<_> = two.check_results.iter().map(|check| check.check_name.as_str()).collect();
    assert_eq!((names, two.checks_completed), (vec!["structure", "decode"], Some(2)));
    let next = RunClaim { attempt: 2, ..RunClaim::default() };
    let again = told(&two, &once(), &State::Retrying(Box::new(next), "it failed".into()));
    assert_eq!((again.check_results.len(), again.checks_completed), (0, Some(0)), "an attempt begins anew");
}

#[test]
fn suspended_ones_say_so_and_how_the_last_one_ended() {
    use CheckVerdict::{Fail, Pass};
    let paused = |schedule: bool| {
        spec(if schedule { json!({"schedule": "@daily", "suspend": true}) } else { json!({"suspend": true}) })
    };
    let never = told(&fresh(), &paused(true), &State::Idle(None));
    assert_eq!((is(&never, "Ready"), never.phase.as_deref()), (pair("True", "ValidationSuspended"), Some("Ready")));
    let bad = told(&told(&fresh(), &daily(), &over(&[Fail])), &paused(true), &State::Idle(None));
    assert_eq!(is(&bad, "Ready"), pair("False", "ValidationSuspended"));
    assert_eq!(bad.message.as_deref(), Some("suspended: no validation is started; the last one: KB6001: why"));
    // One that has run once is over.
    let end = told(&fresh(), &once(), &over(&[Pass]));
    assert_eq!(told(&end, &paused(false), &State::Idle(None)), end);
    let next = "2026-11-30T02:00:00Z".parse().unwrap();
    let due = told(&never, &daily(), &State::Idle(Some(next)));
    assert_eq!(is(&due, "Ready"), pair("True", "ScheduleActive"));
    assert_eq!(due.next_scheduled_validation.as_deref(), Some("2026-11-30T02:00:00Z"));
}

/// A field that is refused by name, and is taken out again.
#[test]
fn what_was_refused_leaves_no_mark() {
    let refused = told(&fresh(), &daily(), &State::NotImplemented(vec!["spec.drill"]));
    assert_eq!(is(&refused, "Ready"), pair("False", "NotImplemented"));
    assert!(refused.message.as_deref().unwrap().contains("spec.drill"));
    let mended = told(&refused, &daily(), &State::Idle(None));
    assert!(mended.conditions.iter().all(|condition| condition.reason != "NotImplemented"), "{mended:?}");
}

#[test]
fn evidence_of_a_run_is_told_and_stays_with_its_result() {
    let line =
        contract::EvidenceLine { path: "s3://b/_evidence/x".into(), signed: true, ..contract::EvidenceLine::default() };
    let end = told(&fresh(), &daily(), &over_with(&[CheckVerdict::Pass], Some(line)));
    assert_eq!(end.evidence_report_path.as_deref(), Some("s3://b/_evidence/x"));
    assert_eq!(end.evidence_report_signed, Some(true));
    assert_eq!(end.history[0].evidence_report_path, end.evidence_report_path);
    // The next result has its own, or none.
    let next = told(&end, &daily(), &over(&[CheckVerdict::Pass]));
    assert_eq!((next.evidence_report_path, next.evidence_report_signed), (None, None));
    assert_eq!(next.history[0].evidence_report_signed, Some(true));
}

#[test]
fn findings_of_a_check_are_told_and_the_rest_is_counted() {
    let finding = |n: usize| contract::CheckFinding { subject: format!("t/{n}"), what: "a CRC".into(), is_wrong: true };
    let mut check = ValidationCheck::new("decode", CheckVerdict::Fail, "2 batches are damaged");
    (check.findings, check.findings_total) = (vec![finding(0), finding(1)], 9);
    let told = line(&check).message.unwrap();
    assert_eq!(told, "2 batches are damaged; t/0: a CRC; t/1: a CRC; and 7 more in the report");
}

fn any_verdict() -> impl Strategy<Value = CheckVerdict> {
    prop::sample::select(vec![
        CheckVerdict::Pass,
        CheckVerdict::Warn,
        CheckVerdict::Fail,
        CheckVerdict::Skipped,
        CheckVerdict::NotRun,
    ])
}

proptest! {
    /// Whatever runs find, one after the other: the history has the newest of them and no more than it may, Ready says what the
    /// newest found, and no status grows.
    #[test]
    fn the_history_is_bounded_and_true(
        runs in prop::collection::vec(prop::collection::vec(any_verdict(), 1..5), 1..20),
        limit in 0_u32..8,
        scheduled in any::<bool>(),
    ) {
        let mut spec = if scheduled { daily() } else { once() };
        spec.history_limit = limit;
        let mut status = fresh();
        let mut wanted = Vec::new();
        for verdicts in &runs {
            status = told(&status, &spec, &over(verdicts));
            let result = ValidationReport::judge(&checks(verdicts));
            wanted.push(result.map_or("Error", word).to_owned());
            let good = matches!(result, Some(ValidationVerdict::Pass | ValidationVerdict::Warn));
            prop_assert_eq!(is(&status, "Ready").0 == "True", good);
            prop_assert_eq!(status.validation_result.is_some(), result.is_some());
            prop_assert_eq!(status.phase.as_deref() == Some("Completed"), result.is_some());
            let of = |count: Option<u64>| count.unwrap();
            prop_assert_eq!(of(status.checks_total), verdicts.len() as u64);
            prop_assert!(of(status.checks_passed) + of(status.checks_failed) + of(status.checks_warned) <= of(status.checks_completed));
            status = told(&status, &spec, &State::Idle(None));
        }
        let kept: Vec<_> = status.history.iter().map(|past| past.result.clone()).collect();
        let from = wanted.len().saturating_sub(limit as usize);
        prop_assert_eq!(&kept[..], &wanted[from..]);
    }
}

/// Nobody has checked the point that it names now.
#[test]
fn a_validation_that_was_edited_after_its_run_says_so() {
    let old = told(&fresh(), &once(), &over(&[CheckVerdict::Pass]));
    let edited = Moment { generation: 2, changed: true, ..moment() };
    let new = validation(&old, &once(), &State::Idle(None), edited);
    assert_eq!(is(&new, "Ready"), pair("False", "ChangedSinceRun"));
    assert!(new.message.as_ref().unwrap().contains("is not checked"), "{:?}", new.message);
    let end = new.conditions.iter().find(|condition| condition.type_ == "Complete").unwrap();
    assert_eq!((end.status.as_str(), end.observed_generation), ("True", Some(1)));
    assert_eq!(validation(&new, &once(), &State::Idle(None), edited), new, "it is said once");
    let back = validation(&new, &once(), &State::Idle(None), Moment { generation: 3, ..moment() });
    assert_eq!(is(&back, "Ready"), is(&old, "Ready"));
    // The next tick sees it.
    let old = told(&fresh(), &daily(), &over(&[CheckVerdict::Pass]));
    assert_eq!(is(&validation(&old, &daily(), &State::Idle(None), edited), "Ready").0, "True");
}
