//! Stores that are reached with the identity of the pod though nobody asked for that: whoever may write a resource uses what the
//! node or the service account may do. Pure.

use serde_json::{Map, Value};

use crate::finding::{Finding, Level};
use crate::secrets::name_in;
use crate::visit::each_field;

/// The blocks of stores in a specification.
const STORES: [&str; 3] = ["s3", "azure", "gcs"];

/// A finding of this weight for each store without credentials.
#[must_use]
pub fn unasked(spec: &Value, level: Level) -> Vec<Finding> {
    let mut out = Vec::new();
    each_field("spec", spec, &mut |at, name, value| {
        if let Value::Object(store) = value
            && STORES.contains(&name)
            && !asks(store)
        {
            out.push(Finding {
                level,
                field: at.to_owned(),
                value: None,
                rule: "names no credentials: the run reaches the store with the identity of its pod or node".to_owned(),
                fix: "name a Secret with credentials (or useWorkloadIdentity: true of azure), or have it allowed by \
                      admission.ambientIdentity (AMBIENT_IDENTITY of the operator)"
                    .to_owned(),
            });
        }
    });
    out
}

/// Whether a store has credentials, or asks for the identity of the pod.
fn asks(store: &Map<String, Value>) -> bool {
    let has_secret = |(field, value): (&String, &Value)| field != "caSecret" && name_in(field, value).is_some();
    store.iter().any(has_secret) || store.get("useWorkloadIdentity") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_store_without_credentials_is_found_wherever_it_stands() {
        let secret = json!({"name": "s"});
        let spec = json!({
            "storage": {"azure": {"container": "c", "caSecret": secret}},
            "stateStorage": {"gcs": {"bucket": "b", "credentialsSecret": secret}},
            "backupRef": {"storage": {"s3": {"bucket": "b"}}},
            "evidence": {"storage": {"azure": {"container": "c", "useWorkloadIdentity": true}}},
            "other": {"storage": {"gcs": {"bucket": "b", "credentialsSecret": null}}},
            "topics": ["s3"],
        });
        let found: Vec<_> = unasked(&spec, Level::Error).into_iter().map(|finding| finding.field).collect();
        assert_eq!(found, ["spec.backupRef.storage.s3", "spec.other.storage.gcs", "spec.storage.azure"]);
    }

    /// Every way of the definitions to give a store credentials is one that is seen.
    #[test]
    fn no_kind_of_credentials_is_forgotten() {
        let mut seen = 0;
        crate::visit::definitions::each_field(|at, field, schema| {
            let inside = STORES.iter().any(|store| at.contains(&format!(".{store}.")));
            let is_block = schema.type_.as_deref() == Some("object");
            if inside && is_block && at.ends_with(field) && !at.contains("Secret.") {
                assert!(field.ends_with("Secret"), "{at} may be credentials that nobody sees");
                seen += 1;
            }
        });
        assert!(seen > 20, "{seen}");
    }
}
