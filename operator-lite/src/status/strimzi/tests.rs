use api::strimzi::{KafkaBackupSpec, KafkaBackupStatus, KafkaRestoreSpec, KafkaRestoreStatus};
use contract::PointLine;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decide::{End, Tick};
use crate::status::Running;

fn at(second: i64) -> Moment {
    Moment::new(3, Timestamp::from_second(1_700_000_000 + second).unwrap())
}

fn nightly(more: &Value) -> KafkaBackupSpec {
    let mut spec = json!({"strimziClusterRef": {"name": "events"}, "storage": {"type": "filesystem", "filesystem": {"path": "c"}}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn back() -> KafkaRestoreSpec {
    let spec = json!({
        "strimziClusterRef": {"name": "events"}, "backupRef": {"name": "nightly"},
        "pointInTime": {"timestamp": "2023-11-14T00:00:00Z"},
    });
    serde_json::from_value(spec).unwrap()
}

fn claim(number: usize) -> Box<RunClaim> {
    Box::new(RunClaim {
        id: format!("nightly-{number}"),
        at: at(0).now.to_string(),
        generation: 3,
        job_uid: Some("j".into()),
        image: Some("runner:0.0.1".into()),
        ..RunClaim::default()
    })
}

// A state takes it so.
#[allow(clippy::unnecessary_box_returns)]
fn verdict(completed: bool) -> Box<Verdict> {
    let made = PointLine {
        name: "nightly-1".into(),
        at: at(0).now.to_string(),
        topics: 2,
        partitions: 6,
        records: 7,
        bytes: 70,
        newest: Some(1_700_000_000_000),
        held_back: 0,
        before: None,
        cluster_id: None,
    };
    let said = crate::decide::Said {
        point: completed.then(|| "nightly-1".into()),
        made: Some(made).filter(|_| completed),
        records: 7,
        bytes: 70,
        stored_bytes: 30,
        topics: 2,
        partitions: 6,
        ended: at(0).now.to_string(),
        ..Default::default()
    };
    let end = if completed { End::Completed(Box::new(said)) } else { End::Failed(Some(Box::new(said))) };
    let reason = if completed { "Completed" } else { "RunFailed" };
    Box::new(Verdict { end, reason: reason.into(), message: "words".into(), wrote: Some(true) })
}

/// `Type=Status/Reason` of some conditions.
fn said(all: &[Condition], names: &[&str]) -> Vec<String> {
    let find = |name: &&str| all.iter().find(|condition| condition.type_ == **name);
    names.iter().filter_map(find).map(|one| format!("{}={}/{}", one.type_, one.status, one.reason)).collect()
}

#[test]
fn a_backup_tells_its_runs_in_the_manner_of_strimzi() {
    let spec = nightly(&json!({"schedule": {"cron": "0 2 * * *"}}));
    let tick = Box::new(Tick { claim: *claim(1), schedule: None, missed: 0, trigger: None });
    let new = strimzi_backup(&KafkaBackupStatus::default(), &spec, &State::Claimed(tick), at(0));
    assert_eq!(new.last_backup.as_ref().unwrap().status.as_deref(), Some("Running"));
    let new = strimzi_backup(&new, &spec, &State::Over(claim(1), verdict(true)), at(5));
    let last = new.last_backup.clone().unwrap();
    assert_eq!((last.id.as_str(), last.status.as_deref()), ("nightly-1", Some("Completed")));
    assert_eq!((last.size_bytes, last.topics_backed_up, last.partitions_backed_up), (Some(30), Some(2), Some(6)));
    assert_eq!((last.completion_time, last.newest_timestamp), (Some(Time(at(5).now)), Some(Time(at(0).now))));
    assert_eq!((new.backup_history.len(), new.backup_history[0].status.as_str()), (1, "Completed"));
    let names = ["Ready", "Stalled", "Reconciling", "Error", "BackupComplete"];
    let fine = [
        "Ready=True/BackupSucceeded",
        "Stalled=False/BackupSucceeded",
        "Reconciling=False/BackupSucceeded",
        "Error=False/NoError",
        "BackupComplete=True/BackupSucceeded",
    ];
    assert_eq!(said(&new.conditions, &names), fine);
    assert!(said(&new.conditions, &["Failed", "Complete"]).is_empty(), "these are of the other group");
    let failed = strimzi_backup(&new, &spec, &State::Over(claim(2), verdict(false)), at(9));
    assert_eq!(
        said(&failed.conditions, &["Error", "BackupComplete"]),
        ["Error=True/RunFailed", "BackupComplete=False/RunFailed"]
    );
    assert_eq!((failed.backup_history.len(), failed.backup_history[0].status.as_str()), (2, "Failed"));
    let after = strimzi_backup(&failed, &spec, &State::Idle(Some(at(99).now)), at(10));
    assert_eq!(said(&after.conditions, &["Error"]), ["Error=True/RunFailed"], "a look changes nothing");
    assert_eq!(after.next_scheduled_backup, Some(at(99).now.to_string()), "a time");
    let mut many = new;
    for number in 0..60 {
        many = strimzi_backup(&many, &spec, &State::Over(claim(number), verdict(true)), at(100));
    }
    assert_eq!(many.backup_history.len(), 50);
}

#[test]
fn what_is_missing_is_an_error_with_its_reason_and_ends_with_it() {
    let spec = nightly(&json!({}));
    let waits = State::Pending("StrimziClusterNotFound", "there is no Kafka".into());
    let new = strimzi_backup(&KafkaBackupStatus::default(), &spec, &waits, at(0));
    let names = ["Ready", "Reconciling", "Error"];
    let told = [
        "Ready=False/StrimziClusterNotFound",
        "Reconciling=True/StrimziClusterNotFound",
        "Error=True/StrimziClusterNotFound",
    ];
    assert_eq!(said(&new.conditions, &names), told);
    let queued = strimzi_backup(&new, &spec, &State::Pending("Queued", "2 before".into()), at(1));
    assert_eq!(said(&queued.conditions, &["Error"]), ["Error=False/NoError"]);
    let running = strimzi_backup(&new, &spec, &State::Running(Box::default()), at(2));
    assert_eq!(said(&running.conditions, &["Error"]), ["Error=False/NoError"]);
}

#[test]
fn a_pause_is_told_and_changes_nothing_else() {
    let spec = nightly(&json!({}));
    let done = strimzi_backup(&KafkaBackupStatus::default(), &spec, &State::Over(claim(1), verdict(true)), at(0));
    let paused = strimzi_backup(&done, &spec, &State::Pending(PAUSED, "left alone".into()), at(1));
    assert_eq!(
        said(&paused.conditions, &[PAUSED, "Ready"]),
        ["ReconciliationPaused=True/ReconciliationPaused", "Ready=True/BackupSucceeded"]
    );
    let other = KafkaBackupStatus { conditions: done.conditions.clone(), ..paused.clone() };
    assert_eq!(other, done);
    let resumed = strimzi_backup(&paused, &spec, &State::Idle(None), at(2));
    assert_eq!(
        said(&resumed.conditions, &["Ready", PAUSED]),
        ["Ready=True/BackupSucceeded", "ReconciliationPaused=False/Resumed"]
    );
}

#[test]
fn a_restore_tells_what_it_did() {
    let spec = back();
    let tick = Box::new(Tick { claim: *claim(1), schedule: None, missed: 0, trigger: None });
    let new = strimzi_restore(&KafkaRestoreStatus::default(), &spec, &State::Claimed(tick), at(0));
    assert_eq!(new.restore.as_ref().unwrap().status.as_deref(), Some("Running"));
    let new = strimzi_restore(&new, &spec, &State::Over(claim(1), verdict(true)), at(5));
    let result = new.restore.clone().unwrap();
    assert_eq!((result.status.as_deref(), result.restored_bytes), (Some("Completed"), Some(70)));
    assert_eq!((result.restored_topics, result.restored_partitions), (Some(2), Some(6)));
    assert_eq!((result.start_time, result.completion_time), (Some(Time(at(0).now)), Some(Time(at(5).now))));
    assert!(result.point_in_time_target.is_some());
    assert_eq!(
        said(&new.conditions, &["Ready", "RestoreComplete", "Error"]),
        ["Ready=True/RestoreSucceeded", "RestoreComplete=True/RestoreSucceeded", "Error=False/NoError"]
    );
    let later = strimzi_restore(&new, &spec, &State::Swept, at(9));
    assert_eq!(later.restore, new.restore, "a result stays");
}

/// The image of a run stands with the run, and what its tag says comes last and stays.
#[test]
fn the_image_of_a_run_is_told() {
    let image = || Some("runner:0.0.1".to_owned());
    let old = ["EngineVersionSupported=False/EngineOlderThanMinimum"];
    let backup = strimzi_backup(&KafkaBackupStatus::default(), &nightly(&json!({})), &State::Idle(None), at(0));
    assert!(said(&backup.conditions, &["EngineVersionSupported"]).is_empty(), "nothing ran");
    let backup = strimzi_backup(&backup, &nightly(&json!({})), &State::Over(claim(1), verdict(true)), at(1));
    assert_eq!((&backup.last_backup.as_ref().unwrap().image, &backup.backup_history[0].image), (&image(), &image()));
    assert_eq!(said(&backup.conditions, &["EngineVersionSupported", "Ready"])[0], old[0]);
    assert_eq!(backup.conditions.last().unwrap().type_, "EngineVersionSupported");
    let later = strimzi_backup(&backup, &nightly(&json!({})), &State::Idle(None), at(9));
    assert_eq!(later.conditions.last(), backup.conditions.last());
    let restore =
        strimzi_restore(&KafkaRestoreStatus::default(), &back(), &State::Over(claim(1), verdict(true)), at(1));
    assert_eq!(restore.restore.unwrap().image, image());
    assert_eq!(said(&restore.conditions, &["EngineVersionSupported"]), old);
}

fn any_state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Pending("KafkaUserNotReady", "it has no Secret".into())),
        Just(State::Pending("Queued", "one before it".into())),
        Just(State::Pending(PAUSED, "left alone".into())),
        Just(State::Idle(None)),
        Just(State::Running(Box::default())),
        Just(State::Running(Box::new(Running {
            problem: Some(("NameTaken".into(), "words".into())),
            ..Running::default()
        }))),
        Just(State::Foreign("another operator".into())),
        Just(State::NotImplemented(vec!["spec.x"])),
        Just(State::Swept),
        any::<bool>().prop_map(|completed| State::Over(claim(1), verdict(completed))),
        Just(State::Claimed(Box::new(Tick { claim: *claim(2), schedule: None, missed: 0, trigger: None }))),
    ]
}

proptest! {
    /// Whatever happens: tools find what they need, times change with the status only, and the same look twice changes nothing.
    #[test]
    fn conditions_are_of_one_piece(states in prop::collection::vec(any_state(), 1..12), scheduled in any::<bool>()) {
        let spec = nightly(&if scheduled { json!({"schedule": {"cron": "0 2 * * *"}}) } else { json!({}) });
        let (mut backup, mut restore) = (KafkaBackupStatus::default(), KafkaRestoreStatus::default());
        for (number, state) in states.iter().enumerate() {
            let moment = at(i64::try_from(number).unwrap());
            let before = backup.conditions.clone();
            backup = strimzi_backup(&backup, &spec, state, moment);
            restore = strimzi_restore(&restore, &back(), state, moment);
            for all in [&backup.conditions, &restore.conditions] {
                let mut names: Vec<_> = all.iter().map(|condition| condition.type_.as_str()).collect();
                let count = names.len();
                names.sort_unstable();
                names.dedup();
                prop_assert_eq!(names.len(), count, "each once");
                let is = |name: &str| all.iter().any(|one| one.type_ == name && one.status == "True");
                prop_assert!(!(is("Ready") && is("Error")), "what is ready has no error: {:?}", all);
                prop_assert!(!(is("Ready") && (is("Stalled") || is("Reconciling"))) || scheduled);
                prop_assert!(!is("Stalled") || is("Error"));
            }
            for old in &before {
                let same = backup.conditions.iter().find(|one| one.type_ == old.type_ && one.status == old.status);
                prop_assert!(same.is_none_or(|one| one.last_transition_time == old.last_transition_time));
            }
            if !matches!(state, State::Over(..)) {
                prop_assert_eq!(&strimzi_backup(&backup, &spec, state, moment), &backup);
            }
        }
    }
}
