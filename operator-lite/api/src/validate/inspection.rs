//! Rules of KafkaBackupInspection.

use serde_json::Value;

use crate::finding::{Finding, Findings};
use crate::inspection::{InspectedBackup, InspectionLevel, KafkaBackupInspectionSpec};

/// Resources whose runs can be checked.
const CHECKED_VERSION: &str = "kafka.oso.sh/v1alpha1";
const CHECKED_KINDS: [&str; 2] = ["KafkaBackup", "KafkaRestore"];
/// Hexadecimal digits of a digest.
const DIGEST: usize = 64;
/// Seconds that an inspection may be idle.
const IDLE: std::ops::RangeInclusive<u32> = 10..=3_600;

/// Findings on an inspection.
#[must_use]
pub fn inspection(spec: &KafkaBackupInspectionSpec) -> Vec<Finding> {
    let mut out = Findings::default();
    let named = |reference: &Option<InspectedBackup>| reference.as_ref().map(|reference| !reference.name.is_empty());
    let (backup, restore) = (named(&spec.backup_ref), named(&spec.restore_ref));
    let count = [backup.is_some(), restore.is_some(), spec.resource.is_some()].into_iter().filter(|set| *set).count();
    let checks = spec.level == InspectionLevel::Check;
    if checks && count != 1 {
        let rule = "exactly one of backupRef, restoreRef and resource must say what is checked";
        out.missing("spec", rule, "set one of them");
    } else if !checks && count > usize::from(backup.is_some()) {
        out.missing(
            "spec",
            "restoreRef and resource go with the level check only",
            "set backupRef, or the level check",
        );
    }
    if backup == Some(false) || (backup.is_none() && !checks) {
        out.missing("spec.backupRef.name", "must name a KafkaBackup of this namespace", "name it");
    }
    if restore == Some(false) {
        out.missing("spec.restoreRef.name", "must name a KafkaRestore of this namespace", "name it");
    }
    if let Some(resource) = &spec.resource {
        let text = |field: &str| resource.get(field).and_then(Value::as_str).unwrap_or_default();
        if text("apiVersion") != CHECKED_VERSION || !CHECKED_KINDS.contains(&text("kind")) {
            let (value, rule) = (format!("{:?} of {:?}", text("kind"), text("apiVersion")), "must be one that runs");
            let fix = format!("give a KafkaBackup or KafkaRestore of {CHECKED_VERSION}");
            out.wrong("spec.resource.kind", value, rule, &fix);
        }
    }
    let is_digest = spec.token_digest.len() == DIGEST && spec.token_digest.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_digest {
        let fix = "let `kubectl kafka-backup` make the inspection";
        out.missing("spec.tokenDigest", "must be 64 hexadecimal digits", fix);
    }
    if !IDLE.contains(&spec.idle_secs) {
        out.wrong("spec.idleSecs", spec.idle_secs, "must be 10 to 3600", "leave it out for ten minutes");
    }
    out.into_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(spec: &Value) -> Vec<String> {
        let mut spec = spec.clone();
        spec["tokenDigest"] = "a".repeat(64).into();
        let spec = serde_json::from_value(spec).unwrap();
        inspection(&spec).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_thing_is_looked_at_and_what_is_checked_runs() {
        let resource = |kind: &str| json!({"apiVersion": CHECKED_VERSION, "kind": kind});
        for good in [
            json!({"backupRef": {"name": "a"}}),
            json!({"backupRef": {"name": "a"}, "level": "check"}),
            json!({"restoreRef": {"name": "a"}, "level": "check"}),
            json!({"resource": resource("KafkaRestore"), "level": "check"}),
        ] {
            assert!(found(&good).is_empty(), "{good}: {:?}", found(&good));
        }
        for (bad, says) in [
            (json!({}), "spec.backupRef.name"),
            (json!({"backupRef": {"name": ""}}), "spec.backupRef.name"),
            (json!({"restoreRef": {"name": "a"}}), "the level check only"),
            (json!({"backupRef": {"name": "a"}, "resource": resource("KafkaBackup"), "level": "peek"}), "check only"),
            (json!({"level": "check"}), "exactly one"),
            (json!({"backupRef": {"name": "a"}, "restoreRef": {"name": "a"}, "level": "check"}), "exactly one"),
            (json!({"restoreRef": {"name": ""}, "level": "check"}), "spec.restoreRef.name"),
            (json!({"resource": resource("KafkaOffsetReset"), "level": "check"}), "must be one that runs"),
        ] {
            assert!(found(&bad).iter().any(|text| text.contains(says)), "{bad}: {:?}", found(&bad));
        }
    }
}
