//! The name and the namespace of a document, as the API server judges them. Pure.

use contract::stamp::split_point;
use serde_json::Value;

use crate::finding::Findings;
use crate::validate::names::{is_label, is_object_name, object_name};

/// Judges the `metadata` of a document. Whoever lets the API server make up a name gives its beginning.
pub(crate) fn check(out: &mut Findings, kind: &str, metadata: &Value) {
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
    match text("namespace") {
        None => {}
        Some(Value::String(namespace)) if is_label(namespace) => {}
        Some(other) => {
            let rule = "must be the name of a namespace: lower-case letters, digits and '-', at most 63";
            out.wrong("metadata.namespace", other, rule, "write the name of a namespace");
        }
    }
}
