//! The Secrets that a specification names, found in the document as it is written: a run uses them against the hosts that the
//! same document names. A test goes through all definitions, so that no field with a Secret is forgotten. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::visit::each_field;

/// Names of Secrets, each with the first field that names it, as `spec.storage.s3.credentialsSecret`.
#[must_use]
pub fn named(spec: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut add = |name: Option<&str>, at: String| {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            out.entry(name.to_owned()).or_insert(at);
        }
    };
    each_field("spec", spec, &mut |at, field, value| {
        add(name_in(field, value), at.to_owned());
        if let Value::Array(items) = value
            && field == "imagePullSecrets"
        {
            for (place, item) in items.iter().enumerate() {
                add(item.get("name").and_then(Value::as_str), format!("{at}[{place}]"));
            }
        }
    });
    out
}

/// The Secret that a field names.
pub(crate) fn name_in<'a>(field: &str, value: &'a Value) -> Option<&'a str> {
    let name = |fields: &'a Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str);
    match value {
        Value::String(text) if field == "secretName" => Some(text),
        Value::Object(fields) if is_reference(field) => name(fields, "name"),
        // Other values name no Secret.
        _ => None,
    }
}

/// Whether the object below a field of this name is a reference to a Secret by `name`. A KafkaUser has a Secret of its name.
fn is_reference(field: &str) -> bool {
    field.ends_with("Secret") || matches!(field, "secretKeyRef" | "secretRef" | "kafkaUserRef")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_wherever_they_stand() {
        let spec = json!({
            "kafkaCluster": {"saslSecret": {"name": "kafka"}, "tlsSecret": {"name": "kafka"}},
            "storage": {"s3": {"credentialsSecret": {"name": "s3", "accessKeyIdKey": "id"}}},
            "authentication": {"kafkaUserRef": {"name": "user"}, "certificateAndKey": {"secretName": "mtls"}},
            "template": {"pod": {"imagePullSecrets": [{"name": "pull"}]}},
            "env": [{"valueFrom": {"secretKeyRef": {"name": "token", "key": "a"}}}],
            "notSet": {"caSecret": {"name": ""}},
        });
        let found = named(&spec);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["kafka", "mtls", "pull", "s3", "token", "user"]);
        assert_eq!(found["s3"], "spec.storage.s3.credentialsSecret");
        assert_eq!(found["pull"], "spec.template.pod.imagePullSecrets[0]");
    }

    /// Every field of every kind with a Secret in its name is one that is looked at, or holds the key in one.
    #[test]
    fn no_field_of_a_definition_is_forgotten() {
        let mut seen = 0;
        crate::visit::definitions::each_field(|at, field, schema| {
            if field.to_ascii_lowercase().contains("secret") {
                let is_object = schema.type_.as_deref() == Some("object");
                let is_key = schema.type_.as_deref() == Some("string") && field.ends_with("Key");
                let known = (is_object && is_reference(field)) || matches!(field, "secretName" | "imagePullSecrets");
                assert!(known || is_key, "{at} may name a Secret that nobody asks about");
                seen += u32::from(known);
            }
        });
        assert!(seen > 40, "{seen}");
    }
}
