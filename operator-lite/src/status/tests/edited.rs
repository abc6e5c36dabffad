//! What statuses say of what runs once, has run, and was edited since; and of a run that begins after another.

use api::oso::{KafkaBackupStatus, KafkaRestoreStatus, RunClaim};
use contract::PointLine;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

use super::super::{Moment, State, backup, restore};
use super::{at, backup_spec, claim, health, restore_spec, verdict};
use crate::decide::{End, Said, Tick, Verdict};

/// An edit that changes what a run does.
fn edited(second: i64) -> Moment {
    Moment { generation: 4, changed: true, ..at(second) }
}

/// Status and generation of a condition.
fn is(all: &[Condition], name: &str) -> (String, Option<i64>) {
    let found = all.iter().find(|condition| condition.type_ == name).unwrap();
    (found.status.clone(), found.observed_generation)
}

fn pair(status: &str, generation: i64) -> (String, Option<i64>) {
    (status.to_owned(), Some(generation))
}

fn tick() -> State {
    let claim = RunClaim { id: "b-2".into(), generation: 4, ..RunClaim::default() };
    State::Claimed(Box::new(Tick { claim, schedule: None, missed: 0, trigger: None }))
}

fn ran(completed: bool, more: &serde_json::Value) -> KafkaBackupStatus {
    let reason = if completed { "Completed" } else { "RunFailed" };
    backup(&KafkaBackupStatus::default(), &backup_spec(more), &State::Over(claim(), verdict(completed, reason)), at(0))
}

/// Nothing of the new specification was done: whoever waits for Ready or Complete of it goes on waiting, and is told why.
#[test]
fn a_backup_that_was_edited_after_its_run_says_so() {
    let spec = backup_spec(&json!({}));
    for completed in [true, false] {
        let old = ran(completed, &json!({}));
        let new = backup(&old, &spec, &State::Idle(None), edited(1));
        assert_eq!(health(&new.conditions), ("FTF".to_owned(), "ChangedSinceRun"));
        assert!(new.message.as_ref().unwrap().contains("trigger it, or make a new one"), "{:?}", new.message);
        let end = if completed { "Complete" } else { "Failed" };
        assert_eq!(is(&new.conditions, end), pair("True", 3), "that of its run");
        assert_eq!(is(&new.conditions, "Ready"), pair("False", 4));
        assert_eq!(backup(&new, &spec, &State::Idle(None), edited(2)), new, "it is said once");
        // It is as it was again.
        let back = backup(&new, &spec, &State::Idle(None), Moment { generation: 5, ..at(3) });
        assert_eq!(health(&back.conditions), health(&old.conditions));
        assert_eq!((back.phase, back.message), (old.phase, old.message));
        assert_eq!(is(&back.conditions, end), pair("True", 5));
    }
    // The next tick sees it.
    let daily = json!({"schedule": "@daily"});
    let new = backup(&ran(true, &daily), &backup_spec(&daily), &State::Idle(None), edited(1));
    assert_ne!(health(&new.conditions).1, "ChangedSinceRun");
}

/// The webhook refuses that; where it was away, the resource says so itself.
#[test]
fn a_restore_that_was_edited_after_its_run_says_so() {
    let spec = restore_spec(&json!({}));
    let over = State::Over(claim(), verdict(true, "Completed"));
    let old = restore(&KafkaRestoreStatus::default(), &spec, &over, at(0));
    let new = restore(&old, &spec, &State::Idle(None), edited(1));
    assert_eq!(health(&new.conditions), ("FTF".to_owned(), "ChangedSinceRun"));
    assert_eq!(is(&new.conditions, "Complete"), pair("True", 3));
    let back = restore(&new, &spec, &State::Idle(None), Moment { generation: 5, ..at(2) });
    assert_eq!(health(&back.conditions), health(&old.conditions));
}

/// Whoever waits for the end of a run that was mended, or was asked for, does not get that of the run before.
#[test]
fn a_run_that_begins_ends_what_is_told_of_the_one_before() {
    let spec = restore_spec(&json!({}));
    let failed = Verdict { wrote: Some(false), ..*verdict(false, "InvalidSpec") };
    let old = restore(&KafkaRestoreStatus::default(), &spec, &State::Over(claim(), Box::new(failed)), at(0));
    assert_eq!(is(&old.conditions, "Failed"), pair("True", 3));
    let new = restore(&old, &spec, &tick(), edited(9));
    assert_eq!(is(&new.conditions, "Failed"), pair("False", 4));
    assert_eq!(is(&new.conditions, "Complete"), pair("False", 4));
    assert_eq!((new.completion_time, new.start_time), (None, Some(at(9).now.to_string())));
    assert_eq!((new.records_restored, new.plan_fingerprint), (None, None));
    // A backup that runs once, and is asked to run again.
    let new = backup(&ran(true, &json!({})), &backup_spec(&json!({})), &tick(), edited(9));
    assert_eq!((is(&new.conditions, "Complete"), is(&new.conditions, "Failed")), (pair("False", 4), pair("False", 4)));
    // Of a schedule, the last end counts.
    let daily = json!({"schedule": "@daily"});
    let new = backup(&ran(false, &daily), &backup_spec(&daily), &tick(), edited(9));
    assert_eq!(is(&new.conditions, "Failed"), pair("True", 4));
}

/// A continuous run that is told to stop may have made no point at all.
#[test]
fn a_run_that_was_stopped_has_the_points_that_it_made() {
    let spec = backup_spec(&json!({"continuous": true}));
    let point = PointLine {
        name: "b-20261121-030005".into(),
        at: "2026-11-21T03:00:05Z".into(),
        topics: 1,
        partitions: 1,
        records: 9,
        bytes: 90,
        newest: None,
        held_back: 0,
        before: None,
        cluster_id: None,
    };
    let old = KafkaBackupStatus {
        backup_id: Some("b-1".into()),
        last_backup_time: Some("before".into()),
        ..KafkaBackupStatus::default()
    };
    let stopped = |made: Option<PointLine>| {
        let said = Said { point: Some("b-2".into()), ended: "then".into(), made, ..Said::default() };
        let over = Verdict { end: End::Stopped(Some(Box::new(said))), ..Verdict::stopped(None) };
        let new = backup(&old, &spec, &State::Over(claim(), Box::new(over)), at(0));
        (new.backup_id.unwrap(), new.last_backup_time.unwrap())
    };
    assert_eq!(stopped(None), ("b-1".to_owned(), "before".to_owned()));
    assert_eq!(stopped(Some(point)), ("b-20261121-030005".to_owned(), "2026-11-21T03:00:05Z".to_owned()));
}
