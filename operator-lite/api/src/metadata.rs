//! The name and the namespace of a document, as the API server judges them. Pure.

use std::collections::BTreeMap;

use contract::stamp::split_point;
use jiff::Timestamp;
use serde_json::Value;

use crate::consent::{self, RESTORE_ANNOTATION};
use crate::finding::Findings;
use crate::ticks::{CLOCKS_DIFFER, SKIP_ANNOTATION};
use crate::validate::names::{self, is_object_name, object_name};

/// Judges the `metadata` of a document. Whoever lets the API server make up a name gives its beginning.
pub(crate) fn check(out: &mut Findings, kind: &str, metadata: &Value, now: Timestamp) {
    let text = |field: &str| metadata.get(field).filter(|value| !value.is_null());
    match (text("name"), text("generateName")) {
        (None, None) => out.missing("metadata.name", "is required", "add it"),
        // The API server puts five letters and digits behind it.
        (None, Some(Value::String(start))) => {
            if !is_object_name(&format!("{start}xxxxx")) {
                let rule =
                    "must be the beginning of an object's name: lower-case letters, digits, '-' and '.', at most 248";
                out.wrong("metadata.generateName", format!("{start:?}"), rule, "write such a beginning, as nightly-");
            }
        }
        (None, Some(other)) => out.wrong("metadata.generateName", other, "must be a text", "put it in quotes"),
        (Some(Value::String(name)), _) => {
            object_name(out, "metadata.name", name);
            if kind == "KafkaBackup" && split_point(name).is_some() {
                let rule = "must not end as recovery points do, in -YYYYMMDD-HHMMSS: it would stand for a point of another backup";
                out.wrong("metadata.name", format!("{name:?}"), rule, "leave that end out");
            }
        }
        (Some(other), _) => out.wrong("metadata.name", other, "must be a text", "put it in quotes"),
    }
    annotations(out, &metadata.get("annotations").and_then(Value::as_object).into_iter().flatten().collect(), now);
    match text("namespace") {
        None => {}
        Some(Value::String(namespace)) => names::namespace(out, "metadata.namespace", namespace),
        Some(other) => out.wrong("metadata.namespace", other, "must be a text", "put it in quotes"),
    }
}

/// Judges those of these annotations that the operator acts on.
pub(crate) fn annotations(out: &mut Findings, all: &BTreeMap<&String, &Value>, now: Timestamp) {
    let named = |name: &str| all.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| *value);
    if let Some(until) = named(SKIP_ANNOTATION) {
        let time = until.as_str().and_then(|until| until.parse::<Timestamp>().ok());
        if time.is_none_or(|time| time.duration_since(now) > CLOCKS_DIFFER) {
            let rule =
                "must be a time that is not in the future, such as 2026-11-28T10:00:00Z: ticks up to it do not run";
            let fix = "`kubectl kafka-backup schedule resume NAME --skip-missed` writes it";
            out.wrong(&format!("metadata.annotations[{SKIP_ANNOTATION}]"), until, rule, fix);
        }
    }
    if let Some(list) = named(RESTORE_ANNOTATION) {
        consent::check(out, list);
    }
}
