//! How well backups are protected, what runs, and what restores and validations did: from the resources alone. Pure.

use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaRestore, RunClaim};
use api::promise::{Promise, newest};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;

pub use super::health::Health;
use super::health::{RECOVERY_POINT_OVERDUE, condition, condition_of, text, waiting, works};
use super::others::OtherLine;
use super::validations::ValidationLine;

/// A backup.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupLine {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// The newest recovery point.
    pub point: Option<String>,
    /// Its moment: what came later would be lost.
    pub newest: Option<Timestamp>,
    /// Seconds since then.
    pub exposed_seconds: Option<i64>,
    /// The next tick.
    pub next: Option<Timestamp>,
    /// Seconds between two ticks.
    pub every_seconds: Option<i64>,
    /// Whether it follows the topics without end.
    pub continuous: bool,
    /// Records of the run.
    pub records: Option<u64>,
    /// Bytes of the run.
    pub bytes: Option<u64>,
    /// Bytes per second of the run.
    pub bytes_per_sec: Option<f64>,
    /// What is wrong, or waited for.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreLine {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Whether it only plans.
    pub dry_run: bool,
    /// Share of the records, 0 to 100.
    pub percent: Option<f64>,
    /// Records restored.
    pub records: Option<u64>,
    /// The topic that is worked on.
    pub topic: Option<String>,
    /// Seconds that are left.
    pub left_seconds: Option<u64>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What is wrong, or waited for.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All that is looked after.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Status {
    /// Backups by namespace and name.
    pub backups: Vec<BackupLine>,
    /// Restores, newest first.
    pub restores: Vec<RestoreLine>,
    /// Validations by namespace and name.
    pub validations: Vec<ValidationLine>,
    /// Resets and rollbacks of committed offsets, and resources of the Strimzi groups.
    pub others: Vec<OtherLine>,
    /// Why nothing is run, if the operator is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl Status {
    /// The status of these resources.
    #[must_use]
    pub fn of(backups: &[KafkaBackup], restores: &[KafkaRestore], now: Timestamp) -> Self {
        let mut restores: Vec<&KafkaRestore> = restores.iter().collect();
        restores.sort_by_key(|restore| std::cmp::Reverse(restore.creation_timestamp().map(|time| time.0)));
        let mut backups: Vec<BackupLine> = backups.iter().map(|backup| backup_line(backup, now)).collect();
        backups.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let restores = restores.into_iter().map(restore_line).collect();
        Self { backups, restores, validations: Vec::new(), others: Vec::new(), operator: None }
    }

    /// The same with these validations.
    #[must_use]
    pub fn with_validations(self, validations: &[KafkaBackupValidation], now: Timestamp) -> Self {
        let mut lines: Vec<_> = validations.iter().map(|object| ValidationLine::of(object, now)).collect();
        lines.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self { validations: lines, ..self }
    }

    /// The same with these of other kinds.
    #[must_use]
    pub fn with_others(self, mut others: Vec<OtherLine>) -> Self {
        others.sort_by(|a, b| (&a.kind, &a.namespace, &a.name).cmp(&(&b.kind, &b.namespace, &b.name)));
        Self { others, ..self }
    }

    /// Whether somebody must look at something.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.operator.is_some()
            || self.backups.iter().any(|line| line.health.is_bad())
            || self.restores.iter().any(|line| line.health.is_bad())
            || self.validations.iter().any(|line| line.health.is_bad())
            || self.others.iter().any(|line| line.health.is_bad())
    }
}

fn backup_line(backup: &KafkaBackup, now: Timestamp) -> BackupLine {
    let status = backup.status.clone().unwrap_or_default();
    let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
    let point = status.backup_id.clone();
    let newest = newest(backup);
    let promised = Promise::of(backup);
    let overdue = condition(&status.conditions, RECOVERY_POINT_OVERDUE);
    let late = overdue.is_some() || promised.is_some_and(|promise| now > promise.late);
    let running = status.run.as_ref().is_some_and(RunClaim::is_unfinished);
    let stalled = condition(&status.conditions, "Stalled");
    let last_failed = status.run.as_ref().is_some_and(|run| run.outcome.as_deref() == Some("Failed"));
    let (health, problem) = match stalled {
        Some(condition) => (Health::Failed, Some(condition)),
        None if last_failed => (Health::Failed, condition_of(&status.conditions, "Ready")),
        None if late && !backup.spec.suspend => (Health::Late, overdue.or_else(|| waiting(&status.conditions))),
        None if running => works(&status.conditions),
        None if backup.spec.suspend => (Health::Paused, None),
        None if newest.is_none() => (Health::Waiting, waiting(&status.conditions)),
        None => (Health::Ok, None),
    };
    let hint = hint(health, problem, status.run.as_ref(), (&namespace, &name));
    // A backup is well without it; whoever set rules wants to know.
    let retention = condition_of(&status.conditions, "RetentionActive");
    let retention = retention.filter(|told| told.status == "False" && problem.is_none());
    BackupLine {
        health,
        exposed_seconds: newest.map(|at| now.duration_since(at).as_secs().max(0)),
        newest,
        next: status.next_scheduled_backup.as_deref().and_then(|time| time.parse().ok()),
        every_seconds: promised.map(|promise| promise.every.as_secs()),
        continuous: backup.spec.continuous,
        records: status.records_processed.filter(|_| running),
        bytes: status.bytes_processed.filter(|_| running),
        bytes_per_sec: status.throughput_bytes_per_sec.filter(|_| running),
        problem: problem.map(text).or_else(|| Some(format!("retention: {}", text(retention?)))),
        hint: hint.or_else(|| retention.map(|_| format!("kubectl kafka-backup prune {name} -n {namespace}"))),
        point,
        namespace,
        name,
    }
}

fn restore_line(restore: &KafkaRestore) -> RestoreLine {
    let status = restore.status.clone().unwrap_or_default();
    let (namespace, name) = (restore.namespace().unwrap_or_default(), restore.name_any());
    let stalled = condition(&status.conditions, "Stalled");
    let (health, problem) = match (status.phase.as_deref(), stalled) {
        (_, Some(condition)) => (Health::Failed, Some(condition)),
        (Some("Failed"), _) => (Health::Failed, condition_of(&status.conditions, "Ready")),
        (Some("Completed"), _) => (Health::Ok, None),
        (Some("Running"), _) => works(&status.conditions),
        _ => (Health::Waiting, waiting(&status.conditions)),
    };
    RestoreLine {
        health,
        dry_run: restore.spec.dry_run,
        percent: status.progress_percent,
        records: status.records_restored,
        topic: status.current_topic.clone(),
        left_seconds: status.eta_ms.map(|millis| millis / 1_000),
        ended: status.completion_time.as_deref().and_then(|time| time.parse().ok()),
        problem: problem.map(text),
        hint: hint(health, problem, status.run.as_ref(), (&namespace, &name)),
        namespace,
        name,
    }
}

fn hint(
    health: Health,
    problem: Option<&Condition>,
    run: Option<&RunClaim>,
    (namespace, name): (&str, &str),
) -> Option<String> {
    let logs = || format!("kubectl kafka-backup logs {name} -n {namespace}");
    match problem.map(|condition| condition.reason.as_str()) {
        Some("ForeignOperator" | "InvalidConfiguration" | "NotImplemented" | "ChangedSinceRun") => None,
        Some(_) => {
            let code = run.and_then(|run| run.error_code.as_ref()?.parse::<contract::Code>().ok());
            Some(match code {
                // What keeps a run from its brokers or its store is tried out faster than read about.
                Some(code) if code.is_found_by_check() => format!("kubectl kafka-backup check {name} -n {namespace}"),
                Some(code) => format!("kubectl kafka-backup explain {code}"),
                None => logs(),
            })
        }
        None if health.is_bad() => Some(logs()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn backup(spec: Value, status: Value) -> BackupLine {
        let mut whole = json!({
            "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["orders"],
            "storage": {"storageType": "pvc", "pvc": {"claimName": "b"}},
        });
        for (name, value) in spec.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let object = json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {"name": "nightly", "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": whole, "status": status,
        });
        backup_line(&serde_json::from_value(object).unwrap(), now())
    }

    fn done(point: &str) -> Value {
        json!({"phase": "Ready", "backupId": point, "run": {"id": "r", "finishedAt": "x", "outcome": "Completed"}})
    }

    #[test]
    fn retention_that_fails_is_told_beside_a_backup_that_is_well() {
        let told = |status: &str| {
            let mut known = done("nightly-20261122-020000");
            known["conditions"] = json!([{"type": "RetentionActive", "status": status, "reason": "RetentionFailed",
                "message": "KB4012: sets of two owners", "lastTransitionTime": "2026-11-22T03:00:00Z"}]);
            let line = backup(json!({"schedule": "0 0 2 * * *"}), known);
            assert_eq!(line.health, Health::Ok);
            (line.problem, line.hint)
        };
        let (problem, hint) = told("False");
        assert!(problem.as_ref().unwrap().starts_with("retention: ") && problem.unwrap().contains("KB4012"));
        assert_eq!(hint.as_deref(), Some("kubectl kafka-backup prune nightly -n shop"));
        assert_eq!(told("True"), (None, None));
    }

    #[test]
    fn a_schedule_promises_how_old_a_point_may_be() {
        let daily = || json!({"schedule": "0 0 2 * * *"});
        let fine = backup(daily(), done("nightly-20261122-020000"));
        assert_eq!((fine.health, fine.exposed_seconds, fine.every_seconds), (Health::Ok, Some(36_000), Some(86_400)));
        let slow = backup(daily(), done("nightly-20261121-020000"));
        assert_eq!((slow.health, slow.exposed_seconds), (Health::Ok, Some(122_400)), "half an interval is allowed");
        let late = backup(json!({"schedule": "0 0 * * * *"}), done("nightly-20261122-100000"));
        assert_eq!(late.health, Health::Late);
        assert_eq!(late.hint.as_deref(), Some("kubectl kafka-backup logs nightly -n shop"));
        let overdue = json!({
            "type": "RecoveryPointOverdue", "status": "True", "reason": "Overdue", "message": "late",
            "lastTransitionTime": "2026-11-22T12:00:00Z",
        });
        let status = json!({"phase": "Running", "run": {"id": "r", "number": 1}, "conditions": [overdue]});
        let continuous = |suspend: bool| backup(json!({"continuous": true, "suspend": suspend}), status.clone());
        assert_eq!(continuous(false).health, Health::Late, "its alert fires, too");
        assert_eq!(continuous(false).problem.as_deref(), Some("Overdue: late"));
        assert_eq!(continuous(true).health, Health::Running, "somebody stopped it");
        let paused = backup(json!({"schedule": "0 0 * * * *", "suspend": true}), done("nightly-20261122-100000"));
        assert_eq!(paused.health, Health::Paused);
        let never = backup(json!({"schedule": "0 0 * * * *"}), json!({"phase": "Ready"}));
        assert_eq!(never.health, Health::Late, "its first tick is long gone");
        assert_eq!(backup(json!({}), done("nightly-20260101-000000")).health, Health::Ok, "once is for ever");
    }

    #[test]
    fn a_run_whose_pod_cannot_start_waits() {
        let status = |reason: &str| {
            json!({"phase": "Running", "run": {"id": "r"}, "conditions": [{
                "type": "Reconciling", "status": "True", "reason": reason, "message": "0/3 nodes are available",
                "lastTransitionTime": "2026-11-22T00:00:00Z",
            }]})
        };
        assert_eq!(backup(json!({}), status("BackupRunning")).health, Health::Running);
        let stuck = backup(json!({}), status("Unschedulable"));
        assert_eq!(stuck.health, Health::Waiting);
        assert_eq!(stuck.problem.as_deref(), Some("Unschedulable: 0/3 nodes are available"));
    }

    #[test]
    fn a_continuous_backup_that_is_idle_is_not_late() {
        let spec = json!({"continuous": true, "schedule": "0 0 * * * *"});
        let mut status = done("nightly-20261120-100000");
        status["run"] = json!({"id": "r"});
        assert_eq!(backup(spec, status).health, Health::Running);
    }

    #[test]
    fn a_failure_names_what_helps_next() {
        let condition = |name: &str, status: &str, message: &str| json!({"type": name, "status": status, "reason": "RunFailed", "message": message, "lastTransitionTime": "2026-11-22T00:00:00Z"});
        let failed_with = |text: &str| {
            let code = text.split(':').next();
            let run = json!({"id": "r", "outcome": "Failed", "finishedAt": "x", "errorCode": code});
            backup(
                json!({}),
                json!({"phase": "Failed", "run": run, "conditions": [condition("Ready", "False", text), condition("Stalled", "True", text)]}),
            )
        };
        let failed = failed_with("KB2001: no broker could be reached");
        assert_eq!(failed.health, Health::Failed);
        assert_eq!(failed.problem.as_deref(), Some("RunFailed: KB2001: no broker could be reached"));
        let check = format!("kubectl kafka-backup check {} -n {}", failed.name, failed.namespace);
        assert_eq!(failed.hint, Some(check));
        let damaged = failed_with("KB4001: the archive is damaged");
        assert_eq!(damaged.hint.as_deref(), Some("kubectl kafka-backup explain KB4001"));
    }
}
