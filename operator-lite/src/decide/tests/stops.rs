//! Continuous backups that are told to stop while nothing of them works, and clocks that are set back.

use api::oso::RunClaim;

use super::super::{JobView, Mode, Step, Subject, Wish, decide};
use super::{at, claimed, every, job, noted, subject, wish};

/// A claim without a Job, as it is between two attempts.
fn between() -> RunClaim {
    RunClaim { job_uid: None, not_before: Some(at("10:05:00").to_string()), ..noted(false) }
}

fn step(claim: RunClaim, suspended: bool, jobs: &[JobView], now: &str) -> Step {
    let subject = Subject { claim: Some(claim), ..subject() };
    decide(&subject, &Wish { suspended, ..wish(Mode::Continuous) }, jobs, at(now))
}

/// Between two attempts, or while its Job cannot be made, nothing works that could be told to stop: it has stopped.
#[test]
fn a_continuous_backup_stops_though_it_has_no_job() {
    for now in ["10:01:00", "10:06:00"] {
        let stopped = step(between(), true, &[], now);
        assert!(matches!(&stopped, Step::Conclude(verdict) if verdict.outcome() == "Stopped"), "{now}: {stopped:?}");
    }
    assert_eq!(step(between(), false, &[], "10:01:00"), Step::Wait(at("10:05:00")));
    assert_eq!(step(between(), false, &[], "10:06:00"), Step::Make);
    // Whatever was edited meanwhile, too.
    let edited = RunClaim { digest: "other".into(), ..between() };
    assert!(matches!(step(edited, true, &[], "10:06:00"), Step::Conclude(_)));
    // The pod of an earlier attempt that still lives is removed first.
    let claim = RunClaim { attempt: 2, ..between() };
    let earlier = job(&RunClaim { attempt: 1, ..claim.clone() }, None);
    assert!(matches!(step(claim, true, &[earlier], "10:06:00"), Step::Clear(_)));
    // What runs once, or by a schedule, goes on with the run that it has.
    let subject = Subject { claim: Some(between()), ..subject() };
    let wish = Wish { suspended: true, ..wish(Mode::Once) };
    assert_eq!(decide(&subject, &wish, &[], at("10:06:00")), Step::Make);
}

/// After clocks were set back, times come again: the archive would take a run of the same id for one that is done.
#[test]
fn no_two_runs_have_one_id_though_clocks_are_set_back() {
    let wish = wish(every("0 0 * * * *"));
    let over = |claim: RunClaim| RunClaim {
        finished_at: Some(claim.at.clone()),
        outcome: Some("Completed".into()),
        job_uid: None,
        ..claim
    };
    let mut subject = Subject { created: at("00:00:00"), ..subject() };
    let mut ids = Vec::new();
    for now in ["09:00:30", "10:00:30", "11:00:30", "09:00:30", "10:00:30", "11:00:30", "12:00:30"] {
        // Ticks that came before run again: the tick that was claimed is far ahead.
        let claim = claimed(decide(&subject, &wish, &[], at(now)));
        ids.push(claim.id.clone());
        subject.last_schedule = claim.tick.as_ref().map(|tick| tick.parse().unwrap());
        subject.claim = Some(over(claim));
    }
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "{ids:?}");
    assert_eq!(ids[6], "nightly-20261121-120030", "once the clock is past them, ids are as before");
}
