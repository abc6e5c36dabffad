//! Judging a document as the cluster would, without a cluster: its kind, its schema, then the rules of the kind.

use std::sync::LazyLock;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::checked::Checked;
use crate::finding::{Finding, Findings, Level, bounded};
use crate::validate::{Patterns, bounds};
use crate::{inspection, metadata, oso, schema, strimzi, validate};

/// A kind that is served.
pub struct Kind {
    /// API group.
    pub group: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
    crd: fn() -> CustomResourceDefinition,
    rules: fn(Value, Timestamp) -> Result<Vec<Finding>, String>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group, self.kind)
    }
}

/// All groups of resources that users write.
pub const GROUPS: [&str; 3] = [oso::GROUP, strimzi::GROUP, strimzi::RELEASED_GROUP];

/// All kinds.
pub const KINDS: [Kind; 10] = [
    Kind {
        group: oso::GROUP,
        kind: "KafkaBackup",
        crd: oso::KafkaBackup::crd,
        rules: |spec, now| typed(spec, |spec| validate::oso_backup(spec, now)),
    },
    Kind {
        group: oso::GROUP,
        kind: "KafkaRestore",
        crd: oso::KafkaRestore::crd,
        rules: |spec, _| typed(spec, validate::oso_restore),
    },
    Kind {
        group: oso::GROUP,
        kind: "KafkaOffsetReset",
        crd: oso::KafkaOffsetReset::crd,
        rules: |spec, _| typed(spec, validate::oso_offset_reset),
    },
    Kind {
        group: oso::GROUP,
        kind: "KafkaOffsetRollback",
        crd: oso::KafkaOffsetRollback::crd,
        rules: |spec, _| typed(spec, validate::oso_offset_rollback),
    },
    Kind {
        group: oso::GROUP,
        kind: "KafkaBackupValidation",
        crd: oso::KafkaBackupValidation::crd,
        rules: |spec, now| typed(spec, |spec| validate::oso_validation(spec, now)),
    },
    Kind {
        group: strimzi::GROUP,
        kind: "KafkaBackup",
        crd: || strimzi::backup_definition(strimzi::GROUP),
        rules: |spec, now| typed(spec, |spec| validate::strimzi_backup(spec, Patterns::Regex, now)),
    },
    Kind {
        group: strimzi::GROUP,
        kind: "KafkaRestore",
        crd: || strimzi::restore_definition(strimzi::GROUP),
        rules: |spec, _| typed(spec, |spec| validate::strimzi_restore(spec, Patterns::Regex)),
    },
    Kind {
        group: strimzi::RELEASED_GROUP,
        kind: "KafkaBackup",
        crd: || strimzi::backup_definition(strimzi::RELEASED_GROUP),
        rules: |spec, now| typed(spec, |spec| validate::strimzi_backup(spec, Patterns::Glob, now)),
    },
    Kind {
        group: strimzi::RELEASED_GROUP,
        kind: "KafkaRestore",
        crd: || strimzi::restore_definition(strimzi::RELEASED_GROUP),
        rules: |spec, _| typed(spec, |spec| validate::strimzi_restore(spec, Patterns::Glob)),
    },
    Kind {
        group: inspection::GROUP,
        kind: "KafkaBackupInspection",
        crd: inspection::KafkaBackupInspection::crd,
        rules: |spec, now| {
            // What is checked is judged as if it were made. Of other kinds, the rule of the field says so.
            let inner = spec.get("resource").filter(|resource| Checked::of_document(resource).is_some());
            let inner = inner.map(|resource| check(resource, now)).unwrap_or_default();
            let mut findings = typed(spec, validate::inspection)?;
            findings.extend(
                inner.into_iter().map(|found| Finding { field: format!("spec.resource.{}", found.field), ..found }),
            );
            Ok(findings)
        },
    },
];

fn typed<T: DeserializeOwned>(spec: Value, rules: impl FnOnce(&T) -> Vec<Finding>) -> Result<Vec<Finding>, String> {
    serde_json::from_value(spec).map(|spec| rules(&spec)).map_err(|error| error.to_string())
}

/// The definitions of [`KINDS`], in their order. Making one takes far longer than a look into it.
static DEFINITIONS: LazyLock<Vec<CustomResourceDefinition>> =
    LazyLock::new(|| KINDS.iter().map(|kind| (kind.crd)()).collect());

impl Kind {
    /// Whether it is served in this version.
    #[must_use]
    pub fn serves(&self, version: &str) -> bool {
        version == "v1alpha1" || self.group == strimzi::RELEASED_GROUP && version == "v1"
    }

    /// The definition of the kind.
    #[must_use]
    pub fn definition(&self) -> CustomResourceDefinition {
        (self.crd)()
    }
}

/// The limit that a specification passes, if any: nothing else of it is looked at then.
#[must_use]
pub fn too_large(document: &Value) -> Option<Finding> {
    bounds::exceeded(document.get("spec")?)
}

/// Judges a document that is new. It is refused if a finding is an error. Of very many findings, it gives the first ones.
#[must_use]
pub fn check(document: &Value, now: Timestamp) -> Vec<Finding> {
    check_since(document, now, now)
}

/// Judges a document that is kept already: the ticks of its schedule count from its making, so that one whose last tick has come, or
/// is about to run, is as good as it was.
#[must_use]
pub fn check_kept(document: &Value, now: Timestamp) -> Vec<Finding> {
    let made = document.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let made = made.and_then(|made| made.parse::<Timestamp>().ok());
    check_since(document, now, made.map_or(now, |made| made.min(now)))
}

/// Judges a document that takes the place of `old`: a schedule that does not change was judged before.
#[must_use]
pub fn check_changed(document: &Value, old: &Value, now: Timestamp) -> Vec<Finding> {
    let schedule = |document: &Value| document.pointer("/spec/schedule").cloned();
    if schedule(document) == schedule(old) { check_kept(document, now) } else { check(document, now) }
}

/// Judges what changed in the annotations of a document whose specification is that of `old`.
#[must_use]
pub fn check_annotations(document: &Value, old: &Value, now: Timestamp) -> Vec<Finding> {
    let mut out = Findings::default();
    let annotations = |document: &Value| document.pointer("/metadata/annotations").cloned();
    let (new, before) = (annotations(document).unwrap_or_default(), annotations(old).unwrap_or_default());
    let written =
        new.as_object().into_iter().flatten().filter(|(name, value)| before.get(name.as_str()) != Some(*value));
    metadata::annotations(&mut out, &written.collect(), now);
    bounded(out.into_vec())
}

/// Judges a document whose ticks count from `since`.
fn check_since(document: &Value, now: Timestamp, since: Timestamp) -> Vec<Finding> {
    match too_large(document) {
        Some(finding) => bounded([finding]),
        None => bounded(all(document, now, since)),
    }
}

fn all(document: &Value, now: Timestamp, since: Timestamp) -> Vec<Finding> {
    let mut out = Findings::default();
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let is_served = |known: &Kind| {
        let served =
            version.split_once('/').is_some_and(|(group, version)| known.group == group && known.serves(version));
        served && known.kind == kind
    };
    let Some((served, definition)) = KINDS.iter().zip(DEFINITIONS.iter()).find(|(known, _)| is_served(known)) else {
        let list: Vec<_> = KINDS.iter().map(|known| format!("{} of {}/v1alpha1", known.kind, known.group)).collect();
        let fix = format!("use one of: {}", list.join("; "));
        out.wrong("kind", format!("{kind:?} of {version:?}"), "is not a kind that is served", &fix);
        return out.into_vec();
    };
    metadata::check(&mut out, kind, document.get("metadata").unwrap_or(&Value::Null), now);
    let Some(spec) = document.get("spec") else {
        out.missing("spec", "is required", "add it");
        return out.into_vec();
    };
    let whole =
        definition.spec.versions.first().and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    if let Some(schema) = whole.and_then(|whole| whole.properties.as_ref()?.get("spec")) {
        schema::check(&mut out, "spec", spec, schema);
    }
    let mut findings = out.into_vec();
    if findings.iter().all(|finding| finding.level == Level::Warning) {
        match (served.rules)(without_nulls(spec.clone()), since) {
            Ok(more) => findings.extend(more),
            Err(reason) => {
                let mut out = Findings::default();
                out.wrong("spec", reason, "does not read", "mend the field that is named");
                findings.extend(out.into_vec());
            }
        }
    }
    findings
}

/// An explicit null means the same as a field that is absent.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}
