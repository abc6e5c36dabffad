//! The KafkaRestore that a command makes, and how far it is. Pure.

use api::oso::KafkaRestore;
use serde_json::{Map, Value, json};

use super::wait::Progress;
use crate::words;

/// The document of a restore.
pub(crate) fn document(name: &str, spec: Map<String, Value>) -> Value {
    of_kind("KafkaRestore", name, spec)
}

/// The document of a resource of `kafka.oso.sh`.
pub(crate) fn of_kind(kind: &str, name: &str, spec: Map<String, Value>) -> Value {
    json!({"apiVersion": "kafka.oso.sh/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// How far a restore is.
pub(crate) fn progress(object: &KafkaRestore) -> Progress {
    let status = object.status.clone().unwrap_or_default();
    let message = status.message.clone().unwrap_or_else(|| "waiting for the operator".to_owned());
    match status.phase.as_deref() {
        Some("Completed") => {
            let moved = words::plural(status.records_restored.unwrap_or(0), "record");
            Progress::Over(true, format!("{message}: {moved}, {}", words::size(status.bytes_restored.unwrap_or(0))))
        }
        Some("Failed" | "RolledBack") => Progress::Over(false, message),
        _ => {
            let percent = status.progress_percent.map(|percent| format!("{}%  ", percent.floor())).unwrap_or_default();
            let left = status.eta_ms.map(|millis| format!(", {} left", words::duration((millis / 1_000) as i64)));
            Progress::Going(format!("{percent}{message}{}", left.unwrap_or_default()))
        }
    }
}
