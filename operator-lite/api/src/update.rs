//! Rules that hold for a change of a resource. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::finding::{Finding, Findings};

/// Kinds that never change.
const FIXED: [&str; 1] = ["KafkaBackupInspection"];
/// Kinds that run once.
const ONCE: [&str; 3] = ["KafkaRestore", "KafkaOffsetReset", "KafkaOffsetRollback"];
/// Reasons for which the operator does not run a resource that its author can mend.
const HELD_BACK: [&str; 2] = ["NotImplemented", "ValidationFailed"];
/// Finalizers of other operators.
const FOREIGN_FINALIZERS: [&str; 7] = [
    "kafka.oso.sh/backup-finalizer",
    "kafka.oso.sh/restore-finalizer",
    "kafka.oso.sh/offset-reset-finalizer",
    "kafka.oso.sh/offset-rollback-finalizer",
    "kafka.oso.sh/validation-finalizer",
    "backup.strimzi.io/cleanup",
    "kafkabackup.com/cleanup",
];

/// Whether a finalizer is that of another operator.
#[must_use]
pub fn is_foreign(finalizer: &str) -> bool {
    FOREIGN_FINALIZERS.contains(&finalizer)
}

/// Findings on a change from `old` to `new`, both whole documents.
#[must_use]
pub fn check(old: &Value, new: &Value) -> Vec<Finding> {
    let mut out = Findings::default();
    let kind = new.get("kind").and_then(Value::as_str).unwrap_or_default();
    if old.get("spec") != new.get("spec") && ONCE.contains(&kind) && is_frozen(old) {
        let rule = "must stay as it is: this resource has run, and runs once";
        out.missing("spec", rule, "create a resource with a new name for another run");
    }
    if works_once(old) && without_suspend(old) != without_suspend(new) {
        let rule = "must stay as it is while the run of this resource works: what is changed now would not be in it";
        out.missing("spec", rule, "change it when the run has ended, or make a new one");
    }
    if old.get("spec") != new.get("spec") && FIXED.contains(&kind) {
        out.missing("spec", "must stay as it is: rights were asked for when it was made", "make a new one");
    }
    // Somebody may write a hundred thousand; there are few foreign ones.
    let foreign: BTreeSet<_> = finalizers(new).filter(|finalizer| is_foreign(finalizer)).collect();
    for finalizer in foreign.into_iter().filter(|_| is_ours(old)) {
        if !finalizers(old).any(|known| known == finalizer) {
            let rule = "is that of another operator, and this resource is run by this one";
            out.wrong("metadata.finalizers", finalizer, rule, "stop the other operator");
        }
    }
    out.into_vec()
}

fn finalizers(document: &Value) -> impl Iterator<Item = &str> {
    let list = document.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a run of ours was claimed for it.
fn is_ours(document: &Value) -> bool {
    document.pointer("/status/run").is_some_and(Value::is_object)
}

/// Whether it runs, has run, or failed after it changed its target. What failed before, was never begun, or has no
/// container that ran may be mended.
fn is_frozen(document: &Value) -> bool {
    let status = |path: &str| document.pointer(&format!("/status/{path}"));
    let wrote = status("run/wrote").and_then(Value::as_bool);
    let unfinished = status("run").is_some_and(|run| run.is_object() && run.get("finishedAt").is_none());
    if unfinished && status("run/ran") == Some(&Value::Bool(false)) && wrote != Some(true) {
        return false;
    }
    match status("phase").and_then(Value::as_str) {
        Some("Running" | "Completed" | "PartiallyCompleted" | "RolledBack") => true,
        Some("Failed") if !status("run").is_some_and(Value::is_object) => !was_held_back(document),
        Some("Failed") => wrote.unwrap_or(true),
        _ => status("run").is_some_and(Value::is_object),
    }
}

/// Whether we refused to run it as it is written.
fn was_held_back(document: &Value) -> bool {
    let conditions = document.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &Value, name: &str| condition.get(name).and_then(Value::as_str).map(str::to_owned);
    conditions
        .filter(|condition| text(condition, "type").as_deref() == Some("Ready"))
        .any(|condition| text(condition, "reason").is_some_and(|reason| HELD_BACK.contains(&reason.as_str())))
}

/// Kinds whose runs once are settled while they work.
const SETTLED: [&str; 2] = ["KafkaBackup", "KafkaBackupValidation"];

/// Whether a backup or a validation that runs once works: what it does is settled.
fn works_once(document: &Value) -> bool {
    let at = |path: &str| document.pointer(path).filter(|value| !value.is_null());
    let run = at("/status/run").filter(|run| run.get("finishedAt").is_none());
    document.get("kind").and_then(Value::as_str).is_some_and(|kind| SETTLED.contains(&kind))
        && at("/spec/schedule").is_none()
        && ["/spec/continuous", "/spec/backup/continuous"].iter().all(|path| at(path) != Some(&Value::Bool(true)))
        && run.is_some_and(|run| run.get("ran") != Some(&Value::Bool(false)))
}

/// Fields that say when runs begin, and what becomes of what they made; the others say what a run does.
const AROUND_RUNS: [&str; 4] = ["suspend", "schedule", "retention", "historyLimit"];

/// A digest of what a specification says of its run: an edit that changes it is one that a run before did not see.
#[must_use]
pub fn shape(spec: &Value) -> String {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, _| !AROUND_RUNS.contains(&name.as_str()));
    }
    digest(&spec.to_string())
}

/// A short digest of a text.
#[must_use]
pub fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

/// Whoever suspends a resource does not change what its run does.
fn without_suspend(document: &Value) -> Option<Value> {
    let mut spec = document.get("spec")?.clone();
    spec.as_object_mut()?.remove("suspend");
    Some(spec)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(old: &Value, new: &Value) -> Vec<String> {
        check(old, new).into_iter().map(|finding| finding.field).collect()
    }

    #[test]
    fn what_has_run_is_frozen() {
        let held = |reason: &str| json!({"phase": "Failed", "conditions": [{"type": "Ready", "reason": reason}]});
        let restore = |topic: &str, status: Value| json!({"kind": "KafkaRestore", "metadata": {}, "spec": {"topics": [topic]}, "status": status});
        for (status, frozen) in [
            (json!({}), false),
            (json!({"phase": "Pending"}), false),
            (json!({"run": {"id": "a"}}), true),
            (json!({"phase": "Running"}), true),
            (json!({"phase": "Completed"}), true),
            (json!({"phase": "Failed", "run": {"wrote": true}}), true),
            (json!({"phase": "Failed", "run": {"wrote": false}}), false),
            (json!({"phase": "Failed"}), true),
            (held("NotImplemented"), false),
            (held("ValidationFailed"), false),
            (held("ForeignOperator"), true),
            (json!({"phase": "Running", "run": {"ran": false}}), false),
            (json!({"phase": "Running", "run": {"ran": false, "wrote": true}}), true),
            (json!({"phase": "Running", "run": {"ran": true}}), true),
            (json!({"phase": "Completed", "run": {"ran": false, "finishedAt": "then"}}), true),
        ] {
            let found = fields(&restore("a", status.clone()), &restore("b", status.clone()));
            assert_eq!(found == ["spec"], frozen, "{status}");
            assert!(fields(&restore("a", status.clone()), &restore("a", status)).is_empty());
        }
    }

    #[test]
    fn a_schedule_may_change_at_any_time() {
        let backup = |topic: &str| json!({"kind": "KafkaBackup", "metadata": {}, "spec": {"topics": [topic]}, "status": {"phase": "Completed"}});
        assert!(fields(&backup("a"), &backup("b")).is_empty());
    }

    #[test]
    fn a_backup_that_runs_once_is_settled_while_its_run_works() {
        let backup = |more: Value, run: Value| {
            let mut spec = json!({"topics": ["a"]});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"kind": "KafkaBackup", "metadata": {}, "spec": spec, "status": {"run": run}})
        };
        let works = json!({"id": "a", "ran": true});
        let refused = |old: Value, run: &Value, new: Value| {
            !fields(&backup(old, run.clone()), &backup(new, run.clone())).is_empty()
        };
        let other = json!({"topics": ["b"]});
        assert!(refused(json!({}), &works, other.clone()));
        assert!(refused(json!({}), &works, json!({"schedule": "@daily"})));
        assert!(!refused(json!({}), &works, json!({"suspend": true})));
        assert!(!refused(json!({"schedule": "@daily"}), &works, other.clone()));
        assert!(!refused(json!({"continuous": true}), &works, other.clone()));
        assert!(!refused(json!({}), &json!({"id": "a", "ran": false}), other.clone()));
        assert!(!refused(json!({}), &json!({"id": "a", "ran": true, "finishedAt": "then"}), other));
    }

    #[test]
    fn a_validation_that_runs_once_is_settled_while_its_run_works() {
        let validation = |point: &str, more: Value, run: Value| {
            let mut spec = json!({"backupRef": {"name": "a", "backupId": point}});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"kind": "KafkaBackupValidation", "metadata": {}, "spec": spec, "status": {"run": run}})
        };
        let works = || json!({"id": "a", "ran": true});
        let found =
            |more: Value, run: Value| fields(&validation("1", more.clone(), run.clone()), &validation("2", more, run));
        assert_eq!(found(json!({}), works()), ["spec"]);
        assert!(found(json!({"schedule": "@daily"}), works()).is_empty(), "the next tick sees it");
        assert!(found(json!({}), json!({"id": "a", "ran": true, "finishedAt": "then"})).is_empty());
    }

    #[test]
    fn only_what_a_run_does_is_its_shape() {
        let of = |more: Value| {
            let mut spec = json!({"topics": ["a"]});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            shape(&spec)
        };
        for around in [
            json!({"suspend": true}),
            json!({"schedule": "@daily"}),
            json!({"retention": {"keepLast": 3}}),
            json!({"historyLimit": 3}),
        ] {
            assert_eq!(of(around.clone()), of(json!({})), "{around}");
        }
        assert_ne!(of(json!({"topics": ["b"]})), of(json!({})));
    }

    #[test]
    fn another_operator_is_kept_off() {
        let with = |finalizers: Value, run: Value| json!({"kind": "KafkaBackup", "metadata": {"finalizers": finalizers}, "spec": {}, "status": {"run": run}});
        let (none, theirs) = (json!([]), json!(["kafka.oso.sh/backup-finalizer"]));
        let ours = json!({"id": "a"});
        assert_eq!(
            fields(&with(none.clone(), ours.clone()), &with(theirs.clone(), ours.clone())),
            ["metadata.finalizers"]
        );
        assert!(fields(&with(theirs.clone(), ours.clone()), &with(theirs.clone(), ours)).is_empty());
        assert!(fields(&with(none, Value::Null), &with(theirs, Value::Null)).is_empty());
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_finalizers_hold_nobody_up() {
        let with = |finalizers: Vec<&str>| json!({"kind": "KafkaBackup", "metadata": {"finalizers": finalizers}, "spec": {}, "status": {"run": {}}});
        let (old, new) = (with(vec![""; 160_000]), with(vec!["kafkabackup.com/cleanup"; 120_000]));
        let since = std::time::Instant::now();
        assert_eq!(fields(&old, &new), ["metadata.finalizers"]);
        assert!(since.elapsed() < std::time::Duration::from_secs(2), "{:?}", since.elapsed());
    }
}
