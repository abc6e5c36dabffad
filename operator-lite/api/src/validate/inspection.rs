//! Rules of KafkaBackupInspection.

use serde_json::Value;

use super::bounds::size;
use super::names::object_name;
use crate::checked::{Checked, known};
use crate::finding::{Finding, Findings};
use crate::inspection::{InspectedBackup, InspectionLevel, KafkaBackupInspectionSpec};

/// Its fields. What says nothing about connections has no place in an object that others may read.
const CHECKED_FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
/// Fields of its `metadata`.
const CHECKED_NAMES: [&str; 3] = ["name", "generateName", "namespace"];
/// Most bytes of it as JSON: more than any run takes.
const LARGEST_RESOURCE: usize = 256 << 10;
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
    let given = [backup.is_some(), restore.is_some(), spec.resource_ref.is_some(), spec.resource.is_some()];
    let count = given.into_iter().filter(|set| *set).count();
    let checks = spec.level == InspectionLevel::Check;
    if checks && count != 1 {
        let rule = "exactly one of backupRef, restoreRef, resourceRef and resource must say what is checked";
        out.missing("spec", rule, "set one of them");
    } else if !checks && count > usize::from(backup.is_some()) {
        out.missing(
            "spec",
            "restoreRef, resourceRef and resource go with the level check only",
            "set backupRef, or the level check",
        );
    }
    if backup == Some(false) || (backup.is_none() && !checks) {
        out.missing("spec.backupRef.name", "must name a KafkaBackup of this namespace", "name it");
    }
    if restore == Some(false) {
        out.missing("spec.restoreRef.name", "must name a KafkaRestore of this namespace", "name it");
    }
    for (field, reference) in [("spec.backupRef.name", &spec.backup_ref), ("spec.restoreRef.name", &spec.restore_ref)] {
        if let Some(name) = reference.as_ref().map(|reference| &reference.name).filter(|name| !name.is_empty()) {
            object_name(&mut out, field, name);
        }
    }
    if let Some(reference) = &spec.resource_ref {
        const FIELD: &str = "spec.resourceRef";
        kind(&mut out, FIELD, &reference.api_version, &reference.kind);
        object_name(&mut out, &format!("{FIELD}.name"), &reference.name);
    }
    if let Some(resource) = &spec.resource {
        checked(&mut out, resource);
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

/// The kind of what is checked runs.
fn kind(out: &mut Findings, at: &str, api_version: &str, name: &str) {
    if Checked::of(api_version, name).is_none() {
        let fix = format!("give one of {}", known());
        out.wrong(&format!("{at}.kind"), format!("{name:?} of {api_version:?}"), "must be one that runs", &fix);
    }
}

/// A resource that comes with the question. Its own kind judges its specification.
fn checked(out: &mut Findings, resource: &Value) {
    const FIELD: &str = "spec.resource";
    let text = |field: &str| resource.get(field).and_then(Value::as_str).unwrap_or_default();
    kind(out, FIELD, text("apiVersion"), text("kind"));
    let bytes = size(resource);
    if bytes > LARGEST_RESOURCE {
        let rule = format!("is larger than {LARGEST_RESOURCE} bytes");
        let fix = "use patterns in the place of long lists of names";
        out.wrong(FIELD, format!("{bytes} bytes"), &rule, fix);
    }
    only(out, FIELD, resource, &CHECKED_FIELDS);
    match resource.get("metadata") {
        None => {}
        Some(metadata) if metadata.is_object() => only(out, &format!("{FIELD}.metadata"), metadata, &CHECKED_NAMES),
        Some(_) => out.missing(&format!("{FIELD}.metadata"), "must be a block of fields", "write name below it"),
    }
}

/// Refuses fields that are not among the known ones.
fn only(out: &mut Findings, at: &str, block: &Value, known: &[&str]) {
    let fields = block.as_object().into_iter().flatten();
    for (name, _) in fields.filter(|(name, _)| !known.contains(&name.as_str())) {
        let rule = format!("is not taken for a check; these are: {}", known.join(", "));
        out.missing(&format!("{at}.{name}"), &rule, "remove it");
    }
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
        const OSO: &str = "kafka.oso.sh/v1alpha1";
        let resource = |kind: &str| json!({"apiVersion": OSO, "kind": kind});
        let named = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "name": "a"});
        for good in [
            json!({"backupRef": {"name": "a"}}),
            json!({"backupRef": {"name": "a"}, "level": "check"}),
            json!({"restoreRef": {"name": "a"}, "level": "check"}),
            json!({"resource": resource("KafkaRestore"), "level": "check"}),
            json!({"resource": resource("KafkaOffsetReset"), "level": "check"}),
            json!({"resourceRef": named(OSO, "KafkaBackupValidation"), "level": "check"}),
            json!({"resourceRef": named("kafkabackup.com/v1", "KafkaRestore"), "level": "check"}),
            json!({"resourceRef": named("backup.strimzi.io/v1alpha1", "KafkaBackup"), "level": "check"}),
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
            (json!({"resource": resource("KafkaTopic"), "level": "check"}), "must be one that runs"),
            (
                json!({"resourceRef": named("v1", "Secret"), "level": "check"}),
                "spec.resourceRef.kind (\"Secret\" of \"v1\"): must be",
            ),
            (
                json!({"resourceRef": named("backup.strimzi.io/v1", "KafkaBackup"), "level": "check"}),
                "must be one that runs",
            ),
            (json!({"resourceRef": named(OSO, "KafkaBackup")}), "the level check only"),
            (json!({"backupRef": {"name": "../secrets"}}), "spec.backupRef.name (\"../secrets\"): must be the name"),
            (
                json!({"restoreRef": {"name": "a/b"}, "level": "check"}),
                "spec.restoreRef.name (\"a/b\"): must be the name",
            ),
        ] {
            assert!(found(&bad).iter().any(|text| text.contains(says)), "{bad}: {:?}", found(&bad));
        }
    }

    /// Whatever else stands in a file, or came from the cluster, is not kept in an object that others may read.
    #[test]
    fn a_resource_of_a_check_is_bounded_and_has_names_and_a_specification_only() {
        let checked = |more: Value| {
            let mut resource =
                json!({"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "a"}});
            for (name, value) in more.as_object().unwrap() {
                resource[name] = value.clone();
            }
            found(&json!({"resource": resource, "level": "check"}))
        };
        let names = json!({"name": "a", "generateName": "a-", "namespace": "shop"});
        assert!(checked(json!({"metadata": names, "spec": {"topics": ["a"]}})).is_empty());
        let large = checked(json!({"spec": {"topics": ["x".repeat(LARGEST_RESOURCE)]}}));
        assert!(large.len() == 1 && large[0].contains("is larger than 262144 bytes"), "{large:?}");
        for (field, value) in [("data", json!({"a": "b"})), ("status", json!({"phase": "Completed"}))] {
            let foreign = checked(json!({field: value}));
            let begins = format!("spec.resource.{field}: is not taken for a check");
            assert!(foreign.len() == 1 && foreign[0].starts_with(&begins), "{foreign:?}");
        }
        for field in ["labels", "annotations", "managedFields", "uid", "finalizers"] {
            let foreign = checked(json!({"metadata": {"name": "a", field: []}}));
            let begins = format!("spec.resource.metadata.{field}: is not taken for a check");
            assert!(foreign.len() == 1 && foreign[0].starts_with(&begins), "{foreign:?}");
        }
        assert!(checked(json!({"metadata": "a"}))[0].starts_with("spec.resource.metadata: must be a block"));
    }
}
