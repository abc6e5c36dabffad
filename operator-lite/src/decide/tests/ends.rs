//! How attempts end: what counts as stopped, as a success, and what follows when the cluster or the kernel ends them.

use api::oso::RunClaim;
use contract::{Code, Failure};
use jiff::{SignedDuration, Timestamp};

use super::super::{Ended, JobView, MOST_FAILURES, Mode, Said, Start, Step, Subject, Wish, decide, judge, retry_words};
use super::{at, every, job, noted, silent, subject, wish};

#[test]
fn only_a_job_that_we_stopped_has_stopped() {
    let now = at("10:05:00");
    for mode in [Mode::Once, Mode::Continuous, every("*/10 * * * * *")] {
        let subject = Subject { claim: Some(noted(true)), ..subject() };
        let held = JobView { suspended: true, live_pods: 0, ..job(&noted(true), None) };
        let step = decide(&subject, &wish(mode.clone()), std::slice::from_ref(&held), now);
        assert_eq!(step, Step::Watch, "a queue suspended it: {mode:?}");
        let resumed = JobView { suspended: false, live_pods: 1, ..held };
        assert_eq!(decide(&subject, &wish(mode), &[resumed], now), Step::Watch);
    }
    // What was told is done, even when nobody asks for it any more.
    let told = RunClaim { stopping: Some(true), ..noted(true) };
    let subject = Subject { claim: Some(told.clone()), ..subject() };
    assert_eq!(decide(&subject, &wish(Mode::Continuous), &[job(&told, None)], now), Step::Stop);
}

#[test]
fn a_run_that_was_told_to_stop_has_stopped_when_its_job_is_gone() {
    for ran in [true, false] {
        let told = RunClaim { stopping: Some(true), ..noted(ran) };
        let subject = Subject { claim: Some(told), ..subject() };
        let step = decide(&subject, &wish(Mode::Continuous), &[], at("10:05:00"));
        let Step::Conclude(verdict) = step else { panic!("{step:?}") };
        assert_eq!((verdict.reason.as_str(), verdict.outcome()), ("Stopped", "Stopped"));
    }
    let subject = Subject { claim: Some(noted(true)), ..subject() };
    let step = decide(&subject, &wish(Mode::Continuous), &[], at("10:05:00"));
    assert!(matches!(step, Step::Again { .. }), "{step:?}");
}

/// A validation that found something wrong is over. One that could not check is tried again: whatever it read, it saved nothing.
#[test]
fn a_validation_that_fails_is_no_validation_that_could_not_check() {
    let claim = RunClaim { id: "weekly-1".into(), failures: MOST_FAILURES - 1, ..noted(true) };
    let end = |code: i32, failure: Code| {
        let said = Said {
            run: "weekly-1".into(),
            records: 1_000,
            moved: true,
            failure: Some((failure.as_str().to_owned(), "in words".to_owned())),
            validation: Some(Box::default()),
            ..Said::default()
        };
        judge(&claim, &Ended { report: Some(Box::new(said)), ..silent(Some(code)) }, false, false, at("10:05:00"))
    };
    let reason = |step: Step| match step {
        Step::Conclude(verdict) => (verdict.reason.clone(), verdict.wrote),
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(end(1, Code::ValidationFailed)), ("ChecksFailed".to_owned(), Some(false)));
    assert_eq!(reason(end(1, Code::Internal)).0, "AnswerIsNo");
    assert_eq!(reason(end(3, Code::StoreUnreachable)).0, "RetriesExhausted", "no attempt saved anything");
}

#[test]
fn a_success_takes_the_report_of_this_run() {
    let claim = RunClaim { id: "nightly-1".into(), ..noted(true) };
    let end = |run: &str, outcome: &str| {
        let said = Said { run: run.into(), outcome: outcome.into(), ..Said::default() };
        judge(&claim, &Ended { report: Some(Box::new(said)), ..silent(Some(0)) }, false, false, at("10:05:00"))
    };
    for outcome in ["Completed", "CompletedWithGaps", "AlreadyDone", "DryRun"] {
        assert!(matches!(end("nightly-1", outcome), Step::Conclude(verdict) if verdict.is_completed()), "{outcome}");
    }
    let of_before =
        Said { attempt: Some(2), ..Said { run: "nightly-1".into(), outcome: "Completed".into(), ..Said::default() } };
    let of_before = Ended { report: Some(Box::new(of_before)), ..silent(Some(0)) };
    let step = judge(&claim, &of_before, false, false, at("10:05:00"));
    assert!(matches!(step, Step::Again { .. }), "another attempt's report: {step:?}");
    let Step::Again { next, .. } = end("nightly-1", "Failed") else { panic!() };
    assert_eq!((next.failures, next.not_before), (1, Some(at("10:05:05").to_string())));
    let lost = judge(&claim, &silent(Some(0)), false, false, at("10:05:00"));
    for step in [end("nightly-2", "Completed"), lost] {
        let Step::Again { next, why } = step else { panic!("{step:?}") };
        assert_eq!((next.failures, next.disruptions, next.not_before), (0, 1, None), "nothing failed");
        assert!(why.contains("its report is lost; it is asked again"), "{why}");
    }
}

/// Whoever removes pods before they are looked at makes no run fail, however often; what failed before stays counted.
#[test]
fn an_attempt_whose_report_is_lost_did_not_fail() {
    for exit_code in [Some(0), None] {
        let mut claim = RunClaim { failures: MOST_FAILURES - 1, ..noted(true) };
        for number in 1..=20 {
            let Step::Again { next, why } = judge(&claim, &silent(exit_code), false, false, at("10:00:00")) else {
                panic!("attempt {number} of {exit_code:?}")
            };
            assert_eq!((next.failures, next.disruptions), (MOST_FAILURES - 1, number));
            assert_eq!(next.not_before.is_some(), number > 1, "asked again at once, then later and later");
            if number > 1 {
                let words = retry_words(&claim, &next, &why, false);
                assert!(words.contains("ended without a result") && !words.contains("failed"), "{words}");
            }
            claim = *next;
        }
    }
    // A pod that never ran has nothing to report, and the kernel's end of a runner is no lost report.
    let claim = RunClaim { failures: MOST_FAILURES - 1, ..noted(true) };
    for ended in [Ended { never_ran: true, ..silent(None) }, silent(Some(137))] {
        let step = judge(&claim, &ended, false, false, at("10:00:00"));
        assert!(matches!(&step, Step::Conclude(verdict) if verdict.reason == "RetriesExhausted"), "{step:?}");
    }
}

#[test]
fn a_run_that_the_cluster_ends_again_and_again_waits_longer_and_longer() {
    let mut claim = noted(true);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let evicted = Ended { disrupted: true, message: "evicted".into(), ..silent(None) };
        let Step::Again { next, .. } = judge(&claim, &evicted, false, false, at("10:00:00")) else { panic!() };
        assert_eq!(next.failures, 0, "it did not fail");
        let wait = |time: &String| time.parse::<Timestamp>().unwrap().duration_since(at("10:00:00")).as_secs();
        waits.push(next.not_before.as_ref().map_or(0, wait));
        claim = *next;
    }
    assert_eq!(waits, [0, 5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(claim.disruptions, 9);
    let saved = Said { stored_bytes: 1, moved: true, ..Said::default() };
    let ended = Ended { report: Some(Box::new(saved)), ..silent(Some(75)) };
    let Step::Again { next, .. } = judge(&claim, &ended, false, false, at("10:00:00")) else { panic!() };
    assert_eq!((next.disruptions, next.not_before), (1, None), "it got further");
}

#[test]
fn a_run_that_needs_more_memory_ends_after_two_attempts() {
    let killed = Ended { memory_limit: Some("512Mi".into()), ..silent(Some(137)) };
    let Step::Again { next, why } = judge(&noted(true), &killed, true, false, at("10:00:00")) else { panic!() };
    assert!(why.contains("limit of 512Mi") && why.contains("runner.resources"), "{why}");
    let step = judge(&next, &killed, true, false, at("10:01:00"));
    assert!(matches!(step, Step::Conclude(verdict) if verdict.reason == "OutOfMemory"));
}

#[test]
fn a_given_up_job_without_a_pod_is_removed_before_the_next_is_made() {
    let first = noted(false);
    let second = RunClaim { attempt: 2, job_uid: None, ..first.clone() };
    let held = JobView { suspended: true, live_pods: 0, ..job(&first, None) };
    let subject = Subject { claim: Some(second), ..subject() };
    let step = decide(&subject, &wish(Mode::Once), std::slice::from_ref(&held), at("10:05:00"));
    assert_eq!(step, Step::Clear(vec![held.name]), "a queue would resume it one day");
}

/// A backup whose node is lost goes on elsewhere after a while: the archive refuses what the lost pod would still write.
#[test]
fn a_backup_whose_node_is_lost_is_given_up_after_a_while() {
    let fenced = |mode: Mode| Wish { lost_after: Some(SignedDuration::from_mins(10)), ..wish(mode) };
    let lost = JobView { lost_since: Some(at("10:00:00")), start: Start::Ran, ..job(&noted(true), None) };
    let subject = |claim: RunClaim| Subject { claim: Some(claim), ..subject() };
    let next = |claim: &RunClaim, wish: &Wish, now: &str| {
        decide(&subject(claim.clone()), wish, std::slice::from_ref(&lost), at(now))
    };
    for mode in [Mode::Once, Mode::Continuous, every("0 * * * * *")] {
        assert_eq!(next(&noted(true), &fenced(mode.clone()), "10:09:59"), Step::Watch, "{mode:?}");
        assert_eq!(next(&noted(true), &wish(mode.clone()), "23:00:00"), Step::Watch, "a restore waits: {mode:?}");
        let Step::Again { next: again, why } = next(&noted(true), &fenced(mode.clone()), "10:10:00") else { panic!() };
        assert_eq!((again.attempt, again.disruptions, again.failures, again.wrote), (2, 1, 0, Some(true)));
        assert!(why.contains("does not answer since 2026-11-21T10:00:00Z"), "{why}");
        // Its Job goes first, so that its pod ends when the node is back; what is left of it holds up nobody.
        let wish = fenced(mode);
        assert_eq!(next(&again, &wish, "10:10:01"), Step::Clear(vec![lost.name.clone()]));
        let going = JobView { deleting: true, ..lost.clone() };
        assert_eq!(decide(&subject(*again), &wish, &[going], at("10:10:02")), Step::Make);
    }
    // One that was told to stop has stopped, as far as anybody can tell.
    let told = RunClaim { stopping: Some(true), ..noted(true) };
    let ending = JobView { suspended: true, ..lost.clone() };
    let step = decide(&subject(told), &fenced(Mode::Continuous), &[ending], at("10:10:00"));
    assert!(matches!(step, Step::Conclude(verdict) if verdict.outcome() == "Stopped"));
}

/// The runner made the plan, and the plan says that nothing would be done.
#[test]
fn a_dry_run_whose_plan_is_blocked_fails_with_what_is_in_the_way() {
    let claim = RunClaim { id: "plan-1".into(), ..noted(true) };
    let end = |refusals: Vec<Failure>| {
        let said = Said { run: "plan-1".into(), outcome: "DryRun".into(), refusals, ..Said::default() };
        judge(&claim, &Ended { report: Some(Box::new(said)), ..silent(Some(0)) }, false, false, at("10:05:00"))
    };
    let Step::Conclude(verdict) = end(vec![Failure::new(Code::GroupIsLive, "consumer group \"shop\" has members")])
    else {
        panic!()
    };
    assert_eq!((verdict.is_completed(), verdict.reason.as_str()), (false, "DryRunFailed"));
    assert_eq!(verdict.message, "the plan is blocked: KB2016: consumer group \"shop\" has members");
    assert!(matches!(end(Vec::new()), Step::Conclude(verdict) if verdict.is_completed()));
}
