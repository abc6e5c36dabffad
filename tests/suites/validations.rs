//! Validations on a real control plane: once, by schedule, suspended, asked for; what passes, what fails, what cannot be made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::RunSpec;
use harness::cluster::{Cluster, PATIENCE, wait_for};
use serde_json::{Value, json};

use super::kubelet::report;
use super::{backup, is, namespace, phase, restore, shared};

const VALIDATIONS: &str = "kafkabackupvalidations.kafka.oso.sh";

/// Whether the archive that the validations named `turns` look at is whole.
pub(crate) static MENDED: AtomicBool = AtomicBool::new(false);

/// The report of a validation, as its runner writes it.
pub(crate) fn found(spec: &RunSpec, verdict: &str) -> String {
    let mut report: Value = serde_json::from_str(&report(spec, "Completed", 1_000)).unwrap();
    let part = spec.validation.as_ref().unwrap();
    let names =
        [("structure", part.checks.structure), ("checksum", part.checks.checksum), ("decode", part.checks.decode)];
    let checks: Vec<_> = names
        .iter()
        .filter(|(_, made)| *made)
        .map(|(name, _)| {
            let verdict = if *name == "decode" { verdict } else { "pass" };
            json!({"name": name, "verdict": verdict, "message": format!("{name}: as told"), "millis": 5})
        })
        .collect();
    report["kind"] = "validation".into();
    report["point"] = "held-20261121-020000".into();
    report["validation"] = json!({
        "verdict": verdict, "checks": checks, "segmentsRead": 1, "bytesRead": 9, "batchesRead": 1, "recordsRead": 1, "readMillis": 5,
        "point": {"id": "held-20261121-020000", "set": "held", "entry": 1, "digest": "d", "at": "2026-11-21T02:00:00Z",
                  "topics": 1, "partitions": 1, "records": 1, "bytes": 1, "gaps": 0, "heldBack": 0},
    });
    if verdict == "fail" {
        report["outcome"] = "Failed".into();
        report["failure"] = json!({"code": "KB6001", "message": "decode: a batch is damaged"});
    }
    report.to_string()
}

fn validation(namespace: &str, name: &str, more: Value) -> Value {
    let mut spec = json!({"backupRef": {"name": "held"}, "checks": {"decode": {}}});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

/// A namespace with the backup that is checked.
fn place(cluster: &Cluster, name: &str) {
    namespace(cluster, name);
    cluster.apply(&backup(name, "held", json!({"suspend": true}))).unwrap();
}

fn history(object: &Value) -> Vec<String> {
    let all = object["status"]["history"].as_array().cloned().unwrap_or_default();
    all.iter().map(|past| past["result"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_validation_runs_once_and_tells_each_check() {
    let (cluster, operator, _) = shared();
    place(cluster, "checked");
    cluster.apply(&validation("checked", "passes", json!({}))).unwrap();
    let done = cluster.wait(VALIDATIONS, "checked", "passes", "completed", |object| phase(object) == "Completed");
    let status = &done["status"];
    assert_eq!((&status["validationResult"], &status["checksPassed"]), (&json!("Pass"), &json!(3)), "{status}");
    assert_eq!((&status["checksTotal"], &status["checksCompleted"]), (&json!(3), &json!(3)));
    assert_eq!(
        status["checkResults"][0],
        json!({"checkName": "structure", "outcome": "Passed", "message": "structure: as told", "durationMs": 5})
    );
    assert_eq!(status["recoveryPoint"], "held-20261121-020000");
    for field in ["startTime", "completionTime", "lastValidationTime", "lastPassTime"] {
        assert!(status[field].is_string(), "{field}: {status}");
    }
    assert!(is(&done, "Ready", "True", "ValidationCompleted") && is(&done, "Complete", "True", "ValidationCompleted"));
    let table = cluster.ok(&["get", "kbv", "-n", "checked", "passes"]);
    assert!(table.contains("Completed") && table.contains("Pass") && table.contains("RESULT"), "{table}");
    // It does not run again, and leaves nothing when it goes.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(cluster.get(VALIDATIONS, "checked", "passes")["status"]["run"]["id"], status["run"]["id"]);
    assert_eq!(cluster.list("jobs", "checked").len(), 1);
    let (_, metrics) = operator.http("/metrics");
    let counted =
        r#"kafka_backup_operator_validations_total{outcome="Pass",resource_namespace="checked",name="passes"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    cluster.ok(&["delete", VALIDATIONS, "-n", "checked", "passes", "--timeout=20s"]);
    wait_for(PATIENCE, || {
        let left = cluster.list("jobs", "checked").len();
        if left == 0 { Ok(()) } else { Err(format!("{left} Jobs left")) }
    });
}

#[test]
fn a_failed_check_is_no_run_that_could_not_check() {
    let (cluster, operator, _) = shared();
    place(cluster, "unwell");
    cluster.apply(&validation("unwell", "finds", json!({}))).unwrap();
    cluster.apply(&validation("unwell", "wrong", json!({}))).unwrap();
    let bad =
        cluster.wait(VALIDATIONS, "unwell", "finds", "over", |object| is(object, "Ready", "False", "ChecksFailed"));
    let status = &bad["status"];
    assert_eq!((phase(&bad), &status["validationResult"]), ("Completed", &json!("Fail")), "{status}");
    assert_eq!(status["message"], "KB6001: decode: a batch is damaged");
    assert_eq!(
        (&status["checksFailed"], &status["run"]["attempt"]),
        (&json!(1), &json!(1)),
        "a found fault is not tried again"
    );
    assert!(is(&bad, "Stalled", "True", "ChecksFailed") && status["lastPassTime"].is_null());
    let unknown = cluster.wait(VALIDATIONS, "unwell", "wrong", "failed", |object| phase(object) == "Failed");
    assert!(unknown["status"]["validationResult"].is_null(), "{}", unknown["status"]);
    assert!(is(&unknown, "Ready", "False", "RunFailed") && is(&unknown, "Failed", "True", "RunFailed"));
    let events = cluster.ok(&["get", "events", "-n", "unwell", "-o", "jsonpath={.items[*].message}"]);
    assert!(events.contains("ChecksFailed: KB6001"), "{events}");
    let (_, metrics) = operator.http("/metrics");
    for (outcome, name) in [("Fail", "finds"), ("error", "wrong")] {
        let line = format!(
            r#"kafka_backup_operator_validations_total{{outcome="{outcome}",resource_namespace="unwell",name="{name}"}} 1"#
        );
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn a_schedule_runs_again_keeps_its_history_and_is_suspended() {
    let (cluster, ..) = shared();
    place(cluster, "recurring");
    let with = |more: Value| {
        let mut spec = json!({"schedule": "*/5 * * * * *", "historyLimit": 3});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        validation("recurring", "turns", spec)
    };
    cluster.apply(&with(json!({}))).unwrap();
    let twice = cluster.wait(VALIDATIONS, "recurring", "turns", "two results", |object| history(object).len() >= 2);
    assert!(history(&twice).iter().all(|result| result == "Fail"), "{}", twice["status"]);
    // The next tick is another chance.
    assert!(!is(&twice, "Stalled", "True", "ChecksFailed"), "{}", twice["status"]);
    MENDED.store(true, Ordering::Relaxed);
    let passed = cluster.wait(VALIDATIONS, "recurring", "turns", "passed", |object| {
        history(object).last().map(String::as_str) == Some("Pass") && is(object, "Ready", "True", "ValidationCompleted")
    });
    assert!(passed["status"]["nextScheduledValidation"].is_string() && passed["status"]["lastPassTime"].is_string());
    let full =
        cluster.wait(VALIDATIONS, "recurring", "turns", "full", |object| history(object) == ["Pass", "Pass", "Pass"]);
    assert_eq!(full["status"]["run"]["trigger"], "schedule");
    assert!(full["status"]["lastScheduleTime"].is_string(), "{}", full["status"]);
    cluster.apply(&with(json!({"suspend": true}))).unwrap();
    let halted = cluster.wait(VALIDATIONS, "recurring", "turns", "suspended", |object| {
        is(object, "Ready", "True", "ValidationSuspended") && object["status"]["run"]["finishedAt"].is_string()
    });
    assert!(halted["status"]["nextScheduledValidation"].is_null(), "{}", halted["status"]);
    std::thread::sleep(Duration::from_secs(8));
    let still = cluster.get(VALIDATIONS, "recurring", "turns");
    assert_eq!(still["status"]["run"]["id"], halted["status"]["run"]["id"], "no tick runs");
    cluster.ok(&["annotate", VALIDATIONS, "-n", "recurring", "turns", "kafka.oso.sh/trigger-validation=now"]);
    let asked = cluster.wait(VALIDATIONS, "recurring", "turns", "asked for", |object| {
        object["status"]["lastTrigger"] == "now" && object["status"]["run"]["finishedAt"].is_string()
    });
    assert_eq!(asked["status"]["run"]["trigger"], "manual");
    // At most two Jobs of it are there at any time: that of the last run, and the one before.
    assert!(cluster.list("jobs", "recurring").len() <= 2);
}

#[test]
fn what_a_validation_needs_is_waited_for() {
    let (cluster, ..) = shared();
    namespace(cluster, "needs");
    cluster.apply(&validation("needs", "passes", json!({}))).unwrap();
    cluster.wait(VALIDATIONS, "needs", "passes", "pending", |object| is(object, "Ready", "False", "BackupNotFound"));
    assert!(cluster.list("jobs", "needs").is_empty());
    cluster.apply(&backup("needs", "held", json!({"suspend": true}))).unwrap();
    cluster.wait(VALIDATIONS, "needs", "passes", "completed", |object| phase(object) == "Completed");
    // Compared with a restore: it must have restored.
    let compared = json!({
        "restoreRef": {"name": "well"}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "checks": {"messageCount": {}},
    });
    cluster.apply(&validation("needs", "passes-again", compared)).unwrap();
    cluster.wait(VALIDATIONS, "needs", "passes-again", "pending", |object| {
        is(object, "Ready", "False", "RestoreNotFound")
    });
    cluster.apply(&restore("needs", "well", "held", json!({}))).unwrap();
    let done = cluster.wait(VALIDATIONS, "needs", "passes-again", "completed", |object| phase(object) == "Completed");
    assert_eq!(done["status"]["validationResult"], "Pass", "{}", done["status"]);
}
