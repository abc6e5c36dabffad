//! Rules that hold for a change of a resource. Pure.

use serde_json::Value;

use crate::finding::{Finding, Findings};
use crate::oso;

/// Kinds that never change.
const FIXED: [&str; 1] = ["KafkaBackupInspection"];
/// Kinds that run once.
const ONCE: [&str; 3] = ["KafkaRestore", "KafkaOffsetReset", "KafkaOffsetRollback"];
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
    if old.get("spec") != new.get("spec") && FIXED.contains(&kind) {
        out.missing("spec", "must stay as it is: rights were asked for when it was made", "make a new one");
    }
    for finalizer in finalizers(new) {
        if is_foreign(finalizer) && !finalizers(old).any(|known| known == finalizer) && is_ours(old) {
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

/// Whether it runs, has run, or failed after it changed its target. One that failed before may be mended.
fn is_frozen(document: &Value) -> bool {
    let status = |path: &str| document.pointer(&format!("/status/{path}"));
    match status("phase").and_then(Value::as_str) {
        Some("Running" | "Completed" | "PartiallyCompleted" | "RolledBack") => true,
        Some("Failed") => status("run/wrote").and_then(Value::as_bool).unwrap_or(true),
        _ => status("run").is_some_and(Value::is_object),
    }
}

/// The manual trigger of a group: the annotation whose new value asks for a run.
#[must_use]
pub fn trigger_annotation(group: &str) -> String {
    if group == oso::GROUP { "kafka.oso.sh/trigger-backup".to_owned() } else { format!("{group}/trigger") }
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
}
