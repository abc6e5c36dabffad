//! What statuses say, case by case.

mod edited;

use api::finding::{Finding, Level};
use api::oso::{KafkaBackupSpec, KafkaBackupStatus, KafkaRestoreSpec, KafkaRestoreStatus, RunClaim};
use contract::OffsetsBefore;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use super::{Moment, Running, State, backup, restore};
use crate::decide::{End, Said, Tick, Verdict};
use crate::progress::Progress;

fn at(second: i64) -> Moment {
    Moment::new(3, Timestamp::from_second(1_700_000_000 + second).unwrap())
}

fn backup_spec(more: &Value) -> KafkaBackupSpec {
    let mut spec = json!({
        "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["a"], "storage": {"pvc": {"claimName": "c"}},
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn restore_spec(more: &Value) -> KafkaRestoreSpec {
    let mut spec = json!({"backupRef": {"name": "b"}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn claim() -> Box<RunClaim> {
    Box::new(RunClaim { id: "b-1".into(), generation: 3, job_uid: Some("j".into()), ..RunClaim::default() })
}

// A state takes it so.
#[allow(clippy::unnecessary_box_returns)]
fn verdict(completed: bool, reason: &str) -> Box<Verdict> {
    let said =
        Said { point: Some("b-1".into()), records: 7, bytes: 70, segments: 2, ended: "then".into(), ..Said::default() };
    let said = Box::new(said);
    let end = if completed { End::Completed(said) } else { End::Failed(Some(said)) };
    Box::new(Verdict { end, reason: reason.into(), message: "words".into(), wrote: Some(true) })
}

/// A failure of a run whose report nobody has.
// A state takes it so.
#[allow(clippy::unnecessary_box_returns)]
fn verdict_without_report() -> Box<Verdict> {
    Box::new(Verdict { end: End::Failed(None), wrote: None, ..*verdict(false, "RetriesExhausted") })
}

/// The report that a runner writes which is asked again: it moved nothing, and tells what the run did over all its attempts.
#[test]
fn who_asks_again_hears_of_the_whole_run() {
    let report = |more: &str| {
        let text = format!(
            r#"{{"run":"r","attempt":2,"kind":"backup","outcome":"AlreadyDone","point":"b-1","startedAt":"x","finishedAt":"then",
            "topics":1,"partitions":1,"records":0,"bytes":0,"storedBytes":0,"segments":0,"warnings":["w-1"]{more}}}"#
        );
        let said = Box::new(Said::from(serde_json::from_str::<contract::Report>(&text).unwrap()));
        assert!(!said.moved, "an attempt that moved nothing has made no progress");
        Box::new(Verdict { end: End::Completed(said), ..*verdict(true, "AlreadyDone") })
    };
    let earlier = r#","earlier":{"records":900,"bytes":9000,"storedBytes":800,"segments":3}"#;
    let gaps = r#","gaps":[{"topic":"t"},{"topic":"t"}]"#;
    let told = |verdict| {
        let old = KafkaBackupStatus { records_processed: Some(850), ..KafkaBackupStatus::default() };
        let new = backup(&old, &backup_spec(&json!({})), &State::Over(claim(), verdict), at(0));
        (new.records_processed, new.bytes_processed, new.segments_completed, new.message.unwrap())
    };
    let (records, bytes, segments, text) = told(report(earlier));
    assert_eq!((records, bytes, segments), (Some(900), Some(9_000), Some(3)));
    assert_eq!(text, "Backup completed successfully; w-1");
    let (.., text) = told(report(&format!("{earlier}{gaps}")));
    assert_eq!(text, "Backup completed with gaps; 2 ranges of offsets were gone from the source; w-1");
    // Of a restore.
    let second = Box::new(RunClaim { attempt: 2, ..*claim() });
    let left_out = format!(r#"{earlier},"leftOutRecords":4"#);
    for (more, words) in
        [(earlier, "Restore completed successfully"), (&left_out, "without the records that cannot be read")]
    {
        let over = State::Over(second.clone(), report(more));
        let new = restore(&KafkaRestoreStatus::default(), &restore_spec(&json!({})), &over, at(0));
        assert_eq!((new.records_restored, new.bytes_restored), (Some(900), Some(9_000)));
        assert!(new.message.as_ref().unwrap().contains(words), "{new:?}");
    }
}

/// A restore that goes on says at no time that less is restored than before.
#[test]
fn what_is_restored_does_not_become_less() {
    let working = |records: u64| {
        let progress = Some(Progress { records, bytes: records * 10, ..Progress::default() });
        State::Running(Box::new(Running { progress, ..Running::default() }))
    };
    let spec = restore_spec(&json!({}));
    let status = restore(&KafkaRestoreStatus::default(), &spec, &working(500), at(0));
    let status = restore(&status, &spec, &working(20), at(1));
    assert_eq!((status.records_restored, status.bytes_restored), (Some(500), Some(5_000)));
}

/// `Ready Stalled Reconciling` as letters, and the reason of Ready.
fn health(all: &[Condition]) -> (String, &str) {
    let find = |name: &str| all.iter().find(|condition| condition.type_ == name).unwrap();
    let letters = ["Ready", "Stalled", "Reconciling"].map(|name| find(name).status[..1].to_owned());
    (letters.concat(), &find("Ready").reason)
}

#[test]
fn a_finished_backup_tells_what_it_did() {
    let spec = backup_spec(&json!({}));
    let new = backup(&KafkaBackupStatus::default(), &spec, &State::Over(claim(), verdict(true, "Completed")), at(0));
    assert_eq!(new.phase.as_deref(), Some("Completed"));
    assert_eq!(new.message.as_deref(), Some("Backup completed successfully"));
    assert_eq!((new.records_processed, new.bytes_processed, new.segments_completed), (Some(7), Some(70), Some(2)));
    assert_eq!((new.backup_id.as_deref(), new.last_backup_time.as_deref()), (Some("b-1"), Some("then")));
    assert_eq!((new.resumable, new.checkpoint_enabled, new.observed_generation), (Some(true), Some(true), Some(3)));
    assert_eq!(health(&new.conditions), ("TFF".to_owned(), "BackupSucceeded"));
    let run = new.run.unwrap();
    assert_eq!((run.outcome.as_deref(), run.is_unfinished()), (Some("Completed"), false));
}

/// A resource of before the rules of today may break one in every field, and repeat a long text in each.
#[test]
fn what_is_wrong_is_told_at_a_length_that_a_status_may_have() {
    let finding = |number| Finding {
        level: Level::Error,
        field: format!("spec.topics[{number}]"),
        value: Some("x".repeat(1_000)),
        rule: "must be a topic".into(),
        fix: "mend it".into(),
    };
    let invalid = State::Invalid((0..100).map(finding).collect());
    let of_backup = backup(&KafkaBackupStatus::default(), &backup_spec(&json!({})), &invalid, at(0)).message.unwrap();
    let of_restore =
        restore(&KafkaRestoreStatus::default(), &restore_spec(&json!({})), &invalid, at(0)).message.unwrap();
    for said in [of_backup, of_restore] {
        assert!(said.starts_with("spec.topics[0] (") && said.ends_with("more"), "{said:.40}");
        assert!(said.len() < 9_000, "{} bytes", said.len());
    }
}

/// The attempt before made the point, and its report was lost: the status has the time of then.
#[test]
fn a_point_that_was_made_before_keeps_its_time() {
    let mut over = *verdict(true, "Completed");
    let End::Completed(said) = &mut over.end else { unreachable!() };
    let made = json!({"name": "b-1", "at": "2026-11-21T03:00:05Z", "topics": 1, "partitions": 1, "records": 9, "bytes": 90, "heldBack": 0});
    let made = Some(serde_json::from_value(made).unwrap());
    **said = Said { outcome: "AlreadyDone".into(), made, ..(**said).clone() };
    let time_of = |over: &Verdict| {
        let state = State::Over(claim(), Box::new(over.clone()));
        let new = backup(&KafkaBackupStatus::default(), &backup_spec(&json!({})), &state, at(0));
        assert_eq!((new.phase.as_deref(), &new.last_checkpoint_time), (Some("Completed"), &new.last_backup_time));
        new.last_backup_time.unwrap()
    };
    assert_eq!(time_of(&over), "2026-11-21T03:00:05Z");
    // A runner of an older release does not tell of the point.
    if let End::Completed(said) = &mut over.end {
        said.made = None;
    }
    assert_eq!(time_of(&over), "then");
}

/// `kubectl wait --for=condition=Ready` after an edit waits until the condition is that of the edit.
#[test]
fn every_condition_was_judged_for_the_generation_that_is_there() {
    let spec = backup_spec(&json!({}));
    let over = backup(&KafkaBackupStatus::default(), &spec, &State::Over(claim(), verdict(true, "Completed")), at(0));
    let edited = Moment { generation: 4, ..at(1) };
    let new = backup(&over, &spec, &State::Idle(None), edited);
    assert!(new.conditions.iter().all(|condition| condition.observed_generation == Some(4)), "{:?}", new.conditions);
    assert_eq!(health(&new.conditions), health(&over.conditions));
}

#[test]
fn a_failure_stalls_what_runs_once_and_not_a_schedule() {
    let failed = State::Over(claim(), verdict(false, "RunFailed"));
    for (more, wanted) in [(json!({}), "FTF"), (json!({"schedule": "@daily"}), "FFF")] {
        let new = backup(&KafkaBackupStatus::default(), &backup_spec(&more), &failed, at(0));
        assert_eq!(health(&new.conditions), (wanted.to_owned(), "RunFailed"), "{more}");
        assert_eq!((new.phase.as_deref(), new.message.as_deref()), (Some("Failed"), Some("words")));
        assert_eq!(new.backup_id, None, "no point was made");
    }
}

#[test]
fn what_the_source_lost_is_said_of_a_success() {
    let mut verdict = verdict(true, "Completed");
    let said = verdict.said().unwrap().clone();
    verdict.end = End::Completed(Box::new(Said { gaps: 2, warnings: vec!["a word".into()], ..said }));
    let new = backup(&KafkaBackupStatus::default(), &backup_spec(&json!({})), &State::Over(claim(), verdict), at(0));
    let text = new.message.unwrap();
    assert!(text.contains("2 ranges of offsets were gone") && text.contains("a word"), "{text}");
}

#[test]
fn times_of_conditions_stay_while_nothing_changes() {
    let spec = backup_spec(&json!({"schedule": "@daily"}));
    let next = Some(at(60).now);
    let first = backup(&KafkaBackupStatus::default(), &spec, &State::Idle(next), at(0));
    assert_eq!(health(&first.conditions), ("TFF".to_owned(), "ScheduleActive"));
    let second = backup(&first, &spec, &State::Idle(next), at(9));
    assert_eq!(first, second, "nothing is written when nothing changes");
    let paused =
        backup(&first, &backup_spec(&json!({"schedule": "@daily", "suspend": true})), &State::Idle(None), at(9));
    assert_eq!((health(&paused.conditions).1, paused.next_scheduled_backup), ("BackupSuspended", None));
}

#[test]
fn retention_is_told_until_it_is_taken_back() {
    let asked = backup_spec(&json!({"retention": {"enabled": true, "keepLast": 3}}));
    let mut old = KafkaBackupStatus::default();
    crate::status::rules_apply(&mut old.conditions, at(0));
    let told = backup(&old, &asked, &State::Idle(None), at(0));
    let is =
        |status: &KafkaBackupStatus| status.conditions.iter().any(|condition| condition.type_ == "RetentionActive");
    assert!(is(&told) && !is(&backup(&told, &backup_spec(&json!({})), &State::Idle(None), at(1))));
}

#[test]
fn a_claim_keeps_its_tick_and_its_trigger() {
    let tick = Tick { claim: *claim(), schedule: Some(at(5).now), missed: 0, trigger: Some("monday".into()) };
    let new = backup(&KafkaBackupStatus::default(), &backup_spec(&json!({})), &State::Claimed(Box::new(tick)), at(6));
    assert_eq!(new.last_schedule_time, Some(at(5).now.to_string()));
    assert_eq!((new.last_trigger.as_deref(), new.phase.as_deref()), (Some("monday"), Some("Running")));
}

#[test]
fn an_attempt_that_saved_something_is_forgiven_its_forerunners() {
    let old = KafkaBackupStatus { run: Some(RunClaim { failures: 4, ..*claim() }), ..KafkaBackupStatus::default() };
    let progress = |committed: Option<&str>| {
        let progress = Progress { committed_at: committed.map(str::to_owned), records: 5, ..Progress::default() };
        State::Running(Box::new(Running { progress: Some(progress), ..Running::default() }))
    };
    let after = |state| backup(&old, &backup_spec(&json!({})), &state, at(0)).run.unwrap().failures;
    assert_eq!((after(progress(None)), after(progress(Some("now")))), (4, 0));
}

#[test]
fn a_restore_tells_its_way_and_its_end() {
    let spec = restore_spec(&json!({}));
    let progress = Progress { percent: 41.26, topic: Some("a".into()), remaining_secs: Some(3), ..Progress::default() };
    let running = State::Running(Box::new(Running { progress: Some(progress), ..Running::default() }));
    let way = restore(&KafkaRestoreStatus::default(), &spec, &running, at(0));
    assert_eq!((way.progress_percent, way.eta_ms, way.current_topic.as_deref()), (Some(41.3), Some(3_000), Some("a")));
    assert_eq!(health(&way.conditions), ("FFT".to_owned(), "RestoreRunning"));
    let end = restore(&way, &spec, &State::Over(claim(), verdict(true, "Completed")), at(9));
    assert_eq!((end.progress_percent, end.eta_ms, end.current_topic), (Some(100.0), None, None));
    assert_eq!((end.records_restored, end.segments_processed), (Some(7), Some(2)));
    assert_eq!(health(&end.conditions), ("TFF".to_owned(), "RestoreSucceeded"));
    let dry = restore_spec(&json!({"dryRun": true}));
    let dry = restore(&KafkaRestoreStatus::default(), &dry, &State::Over(claim(), verdict(true, "DryRun")), at(9));
    assert_eq!(health(&dry.conditions).1, "DryRunPassed");
}

#[test]
fn what_blocks_is_named_and_a_lost_node_stalls() {
    let spec = restore_spec(&json!({}));
    let told = |state: &State| restore(&KafkaRestoreStatus::default(), &spec, state, at(0));
    let later = told(&State::NotImplemented(vec!["spec.rollback"]));
    assert_eq!(health(&later.conditions), ("FTF".to_owned(), "NotImplemented"));
    assert!(later.message.unwrap().contains("spec.rollback"));
    let lost = Running { problem: Some(("NodeLost".into(), "gone".into())), ..Running::default() };
    assert_eq!(health(&told(&State::Running(Box::new(lost))).conditions), ("FTF".to_owned(), "NodeLost"));
    let pending = told(&State::Pending("BackupNotFound", "no".into()));
    assert_eq!((pending.phase.as_deref(), health(&pending.conditions).1), (Some("Pending"), "BackupNotFound"));
}

#[test]
fn what_waited_and_is_not_due_any_more_does_not_wait() {
    let daily = |suspend: bool| backup_spec(&json!({"schedule": "@daily", "suspend": suspend}));
    let queued = State::Pending("Queued", "waits".into());
    let first = backup(&KafkaBackupStatus::default(), &daily(false), &queued, at(0));
    for old in
        [first, backup(&over(true), &daily(false), &queued, at(0)), backup(&over(false), &daily(false), &queued, at(0))]
    {
        assert_eq!(old.phase.as_deref(), Some("Pending"));
        let suspended = backup(&old, &daily(true), &State::Idle(None), at(1));
        assert_eq!(health(&suspended.conditions).1, "BackupSuspended");
        assert_ne!(suspended.phase.as_deref(), Some("Pending"));
        let next = backup(&old, &daily(false), &State::Idle(Some(at(60).now)), at(1));
        let failed = old.run.as_ref().is_some_and(|run| run.outcome.as_deref() == Some("Failed"));
        assert_eq!(health(&next.conditions).1, if failed { "RunFailed" } else { "ScheduleActive" });
    }
}

/// A backup whose run is over.
fn over(well: bool) -> KafkaBackupStatus {
    let state = State::Over(claim(), verdict(well, if well { "Completed" } else { "RunFailed" }));
    backup(&KafkaBackupStatus::default(), &backup_spec(&json!({"schedule": "@daily"})), &state, at(0))
}

#[test]
fn a_restore_that_is_over_says_how_it_ended_whatever_was_said_since() {
    let spec = restore_spec(&json!({}));
    for (well, reason) in [(true, "RestoreSucceeded"), (false, "RunFailed")] {
        let end =
            restore(&KafkaRestoreStatus::default(), &spec, &State::Over(claim(), verdict(well, "RunFailed")), at(0));
        assert_eq!(restore(&end, &spec, &State::Idle(None), at(9)), end, "nothing to say");
        let lost = restore(&end, &spec, &State::Pending("BackupNotFound", "no".into()), at(1));
        let healed = restore(&lost, &spec, &State::Idle(None), at(9));
        assert_eq!((healed.phase, healed.message), (end.phase, end.message));
        assert_eq!(health(&healed.conditions), (if well { "TFF" } else { "FTF" }.to_owned(), reason));
    }
}

#[test]
fn an_edit_that_came_too_late_is_told() {
    let later = Moment { generation: 4, changed: true, ..at(0) };
    let done = State::Over(claim(), verdict(true, "Completed"));
    let told = |state: &State, moment| {
        backup(&KafkaBackupStatus::default(), &backup_spec(&json!({})), state, moment).message.unwrap()
    };
    assert!(told(&done, later).contains("was changed while it ran"), "{}", told(&done, later));
    assert!(!told(&done, at(0)).contains("changed"));
}

#[test]
fn that_a_container_ran_is_written_down() {
    let old =
        KafkaRestoreStatus { run: Some(RunClaim { ran: Some(false), ..*claim() }), ..KafkaRestoreStatus::default() };
    let told = |ran| {
        let state = State::Running(Box::new(Running { ran, ..Running::default() }));
        restore(&old, &restore_spec(&json!({})), &state, at(0)).run.unwrap().ran
    };
    assert_eq!((told(false), told(true)), (Some(false), Some(true)));
}

/// The status and the reason of the condition `RecoveryPointOverdue`.
fn overdue(status: &KafkaBackupStatus) -> Option<(&str, &str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == "RecoveryPointOverdue")?;
    Some((&found.status, &found.reason))
}

#[test]
fn an_overdue_recovery_point_is_told() {
    let spec = backup_spec(&json!({"continuous": true, "checkpoint": {"intervalSecs": 10}}));
    let works = |whole: bool, overdue: Option<&str>, said: i64| {
        let progress = Progress {
            whole_at: whole.then(|| at(0).now.to_string()),
            overdue: overdue.map(str::to_owned),
            said_at: Some(at(said).now.to_string()),
            ..Progress::default()
        };
        State::Running(Box::new(Running { progress: Some(progress), ..Running::default() }))
    };
    let new = backup(&KafkaBackupStatus::default(), &spec, &works(false, None, 1), at(1));
    assert_eq!(overdue(&new), Some(("Unknown", "NotKnown")));
    let whole = backup(&new, &spec, &works(true, None, 2), at(2));
    assert_eq!((overdue(&whole), health(&whole.conditions).1), (Some(("False", "Whole")), "BackupRunning"));
    let late = backup(&whole, &spec, &works(true, Some("it waits for a/0"), 40), at(40));
    assert_eq!(overdue(&late), Some(("True", "Overdue")));
    assert_eq!(health(&late.conditions), ("FFT".to_owned(), "RecoveryPointOverdue"));
    assert!(late.message.as_ref().unwrap().contains("three checkpoint intervals: it waits for a/0"));
    let still = backup(&late, &spec, &works(true, Some("it waits for a/0"), 41), at(41));
    assert_eq!(still, late, "it is written once, and keeps its time");
    // A new attempt knows nothing yet: what was overdue stays so.
    let again = backup(&late, &spec, &works(false, None, 50), at(50));
    assert_eq!(overdue(&again), Some(("True", "NotKnown")));
    assert_eq!(overdue(&backup(&again, &spec, &works(true, None, 60), at(60))), Some(("False", "Whole")));
    let paused = backup_spec(&json!({"continuous": true, "suspend": true}));
    assert_eq!(overdue(&backup(&late, &paused, &State::Idle(None), at(70))), None);
    let nightly = backup_spec(&json!({"schedule": "@daily"}));
    assert_eq!(overdue(&backup(&late, &nightly, &State::Idle(None), at(70))), None);
}

#[test]
fn a_run_that_does_not_work_leaves_its_recovery_point_overdue() {
    let spec = backup_spec(&json!({"continuous": true, "checkpoint": {"intervalSecs": 10}}));
    let silent = Progress { whole_at: Some("x".into()), said_at: Some(at(0).now.to_string()), ..Progress::default() };
    let silent = State::Running(Box::new(Running { progress: Some(silent), ..Running::default() }));
    let whole = backup(&KafkaBackupStatus::default(), &spec, &silent, at(1));
    assert_eq!(overdue(&whole), Some(("False", "Whole")));
    let failing = [State::Retrying(claim(), "KB2001: away".into()), State::Waiting];
    for states in [failing.to_vec(), vec![silent.clone(), silent]] {
        let mut status = whole.clone();
        for (second, wanted) in [(70, "Unknown"), (99, "Unknown"), (100, "True")] {
            status = backup(&status, &spec, states.get(usize::from(second > 70)).unwrap(), at(second));
            assert_eq!(overdue(&status).unwrap().0, wanted, "{second}");
        }
    }
    let failed = backup(&whole, &spec, &State::Over(claim(), verdict(false, "RunFailed")), at(70));
    assert_eq!(overdue(&failed), Some(("True", "Overdue")));
    assert_eq!(health(&failed.conditions).1, "RunFailed");
}

#[test]
fn attempts_that_failed_are_counted_until_something_is_saved() {
    let failed = RunClaim { failures: 2, last_error: Some("KB2001: no route".into()), ..*claim() };
    let run = Some(failed);
    let old = KafkaBackupStatus { run: run.clone(), ..KafkaBackupStatus::default() };
    let running = |committed: Option<&str>| {
        let progress = Progress { committed_at: committed.map(str::to_owned), ..Progress::default() };
        State::Running(Box::new(Running { progress: Some(progress), ..Running::default() }))
    };
    let spec = backup_spec(&json!({}));
    let works = backup(&old, &spec, &running(None), at(0)).message.unwrap();
    assert_eq!(works, "attempt 3 of 6 works; the one before failed: KB2001: no route");
    let saved = backup(&old, &spec, &running(Some("now")), at(0));
    assert_eq!(saved.message.as_deref(), Some("Backup is running"));
    assert_eq!(saved.run.unwrap().last_error, None);
    let endless = backup_spec(&json!({"continuous": true}));
    assert!(backup(&old, &endless, &running(None), at(0)).message.unwrap().starts_with("attempt 3 works"));
    let old = KafkaRestoreStatus { run, ..KafkaRestoreStatus::default() };
    let works = restore(&old, &restore_spec(&json!({})), &running(None), at(0)).message.unwrap();
    assert_eq!(works, "attempt 3 of 6 works; the one before failed: KB2001: no route");
}

#[test]
fn suspension_is_told_after_a_run_too() {
    let spec = |suspend: bool| backup_spec(&json!({"schedule": "@daily", "suspend": suspend}));
    for (well, ready) in [(true, "TFF"), (false, "FFF")] {
        let told = backup(&over(well), &spec(true), &State::Idle(None), at(1));
        assert_eq!(health(&told.conditions), (ready.to_owned(), "BackupSuspended"));
        let text = told.message.clone().unwrap();
        assert!(text.starts_with("suspended: no run is started"), "{text}");
        assert_eq!(text.ends_with("the last run failed: words"), !well, "{text}");
        assert_eq!(told.phase.as_deref(), Some(if well { "Completed" } else { "Failed" }));
        assert_eq!(backup(&told, &spec(true), &State::Idle(None), at(2)), told, "it is written once");
        let back = backup(&told, &spec(false), &State::Idle(Some(at(60).now)), at(3));
        assert_eq!(health(&back.conditions).1, if well { "ScheduleActive" } else { "RunFailed" });
        assert!(!back.message.unwrap().contains("suspended"));
    }
}

/// A runner whose report nobody has: what it saved is known from what it said while it worked.
#[test]
fn saved_offsets_are_known_without_a_report() {
    let spec = restore_spec(&json!({"autoConsumerGroups": true}));
    let path = "s3://b/x.json".to_owned();
    let before = OffsetsBefore { id: "before-1".into(), at: "2026-11-29T15:00:00Z".into(), path, expires_at: None };
    let progress = Some(Progress { offsets_before: Some(before.clone()), ..Progress::default() });
    let working = State::Running(Box::new(Running { progress, ..Running::default() }));
    let status = restore(&KafkaRestoreStatus::default(), &spec, &working, at(0));
    let gone = restore(&status, &spec, &State::Over(claim(), verdict_without_report()), at(1));
    let saved = gone.rollback.unwrap();
    assert_eq!((saved.snapshot_id.as_deref(), saved.rollback_available), (Some("before-1"), Some(true)));
    // The hours count from the end: once they are over, nobody promises anything.
    let mut over = *verdict(true, "Completed");
    if let End::Completed(said) = &mut over.end {
        said.offsets_before = Some(OffsetsBefore { expires_at: Some(at(60).now.to_string()), ..before });
    }
    let over = restore(&status, &spec, &State::Over(claim(), Box::new(over)), at(2));
    let available = |now| restore(&over, &spec, &State::Idle(None), at(now)).rollback.unwrap().rollback_available;
    assert_eq!([2, 59, 60, 61].map(available), [Some(true), Some(true), Some(false), Some(false)]);
}

/// Groups that have no offsets in what is restored were not committed.
#[test]
fn only_groups_that_are_committed_are_told_as_committed() {
    let spec = restore_spec(&json!({"autoConsumerGroups": true}));
    let text = |groups, committed| {
        let mut over = *verdict(true, "Completed");
        if let End::Completed(said) = &mut over.end {
            (said.groups, said.committed_groups) = (groups, committed);
        }
        restore(&KafkaRestoreStatus::default(), &spec, &State::Over(claim(), Box::new(over)), at(0)).message.unwrap()
    };
    assert!(text(3, 1).contains("the offsets of 1 consumer group are committed"), "{}", text(3, 1));
    assert!(text(3, 0).contains("no consumer group has offsets in what is restored"), "{}", text(3, 0));
    assert!(!text(0, 0).contains("consumer group"));
}

/// Whoever names a group must not take it for one that was moved.
#[test]
fn a_group_that_was_named_and_has_no_offsets_stands_in_the_message() {
    let text = |spec: &Value, count: usize| {
        let mut over = *verdict(true, "Completed");
        if let End::Completed(said) = &mut over.end {
            let line = |number: usize| {
                serde_json::from_value(json!({"group": format!("g-{number}"), "target": format!("g-{number}"),
                    "outcome": "no-offsets", "reason": "nothing is set for it", "offsets": []}))
            };
            (said.groups, said.committed_groups) = (count as u64 + 1, 1);
            said.positions = (0..count).map(line).collect::<Result<_, _>>().unwrap();
        }
        let status = KafkaRestoreStatus::default();
        restore(&status, &restore_spec(spec), &State::Over(claim(), Box::new(over)), at(0)).message.unwrap()
    };
    let auto = json!({"offsetReset": {"enabled": true, "strategy": "auto", "consumerGroups": ["g-0"]}});
    let told = text(&auto, 1);
    assert!(
        told.contains("of 1 consumer group are committed; consumer group \"g-0\": nothing is set for it"),
        "{told}"
    );
    let told = text(&auto, 7);
    assert!(
        told.contains("\"g-4\"") && !told.contains("\"g-5\"") && told.contains("and 2 more that are named"),
        "{told}"
    );
    let manual = json!({"offsetReset": {"enabled": true, "strategy": "manual", "consumerGroups": ["g-0"]}});
    assert!(text(&manual, 1).contains("consumer group \"g-0\": nothing is set for it"));
}

/// A plan that would not be carried out did not pass, and an undo that put some offsets elsewhere did not roll back.
#[test]
fn what_is_blocked_or_nearly_done_is_never_told_as_done() {
    let over = |spec: &Value, verdict: Verdict| {
        restore(&KafkaRestoreStatus::default(), &restore_spec(spec), &State::Over(claim(), Box::new(verdict)), at(0))
    };
    let said = |outcome: &str| Said {
        outcome: outcome.into(),
        plan: Some("restore of a-1".into()),
        positions_point: Some("a-0".into()),
        groups: 2,
        ..Said::default()
    };
    let failed = |outcome: &str, reason: &str| Verdict {
        end: End::Failed(Some(Box::new(said(outcome)))),
        reason: reason.into(),
        message: "the plan is blocked: KB2016: consumer group \"shop\" has members".into(),
        wrote: Some(false),
    };
    let dry = json!({"dryRun": true, "autoConsumerGroups": true});
    let told = over(&dry, failed("DryRun", "DryRunFailed"));
    assert_eq!((told.phase.as_deref(), health(&told.conditions)), (Some("Failed"), ("FTF".to_owned(), "DryRunFailed")));
    assert_eq!((told.plan.as_deref(), told.positions_point.as_deref()), (Some("restore of a-1"), Some("a-0")));
    assert!(told.message.unwrap().contains("KB2016"));
    let passed = Verdict { end: End::Completed(Box::new(said("DryRun"))), ..failed("DryRun", "DryRun") };
    let told = over(&dry, passed);
    assert_eq!(health(&told.conditions).1, "DryRunPassed");
    assert!(!told.message.unwrap().contains("no consumer group has offsets"), "nothing was to be committed");
    let undo = json!({"autoConsumerGroups": true, "rollback": {"autoRollbackOnFailure": true}});
    let mut partly = failed("PartiallyRolledBack", "RunFailed");
    partly.message = "KB2017: why. 1 committed offset cannot be what they should be".into();
    let told = over(&undo, partly);
    assert_eq!((told.phase.as_deref(), health(&told.conditions).1), (Some("Failed"), "PartiallyRolledBack"));
    assert!(!told.message.unwrap().contains("KafkaOffsetRollback"), "no other resource does that either");
}
