//! The Secrets that a specification names, found in the document as it is written: a run uses them against the hosts that the
//! same document names. A test goes through all definitions, so that no field with a Secret is forgotten. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Names of Secrets, each with the first field that names it, as `spec.storage.s3.credentialsSecret`.
#[must_use]
pub fn named(spec: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    walk("spec", spec, &mut out);
    out
}

fn walk(at: &str, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let at = format!("{at}.{field}");
                if let Some(name) = name_in(field, value).filter(|name| !name.is_empty()) {
                    out.entry(name.to_owned()).or_insert_with(|| at.clone());
                }
                walk(&at, value, out);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                let pull =
                    at.ends_with(".imagePullSecrets").then(|| item.get("name").and_then(Value::as_str)).flatten();
                if let Some(name) = pull.filter(|name| !name.is_empty()) {
                    out.entry(name.to_owned()).or_insert_with(|| format!("{at}[{place}]"));
                }
                walk(&format!("{at}[{place}]"), item, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The Secret that a field names.
fn name_in<'a>(field: &str, value: &'a Value) -> Option<&'a str> {
    let name = |fields: &'a Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str);
    match value {
        Value::String(text) if field == "secretName" => Some(text),
        Value::Object(fields) if is_reference(field) => name(fields, "name"),
        _ => None,
    }
}

/// Whether the object below a field of this name is a reference to a Secret by `name`. A KafkaUser has a Secret of its name.
fn is_reference(field: &str) -> bool {
    field.ends_with("Secret") || matches!(field, "secretKeyRef" | "secretRef" | "kafkaUserRef")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
    use serde_json::json;

    use super::*;
    use crate::document::KINDS;

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
        for kind in &KINDS {
            let definition = kind.definition();
            let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.clone().unwrap();
            check(&format!("{kind:?}"), &schema.properties.unwrap()["spec"], &mut seen);
        }
        assert!(seen > 40, "{seen}");
    }

    fn check(at: &str, schema: &JSONSchemaProps, seen: &mut u32) {
        for (field, below) in schema.properties.iter().flatten() {
            let at = format!("{at}.{field}");
            if field.to_ascii_lowercase().contains("secret") {
                let is_object = below.type_.as_deref() == Some("object");
                let is_key = below.type_.as_deref() == Some("string") && field.ends_with("Key");
                let known =
                    (is_object && is_reference(field)) || matches!(field.as_str(), "secretName" | "imagePullSecrets");
                assert!(known || is_key, "{at} may name a Secret that nobody asks about");
                *seen += u32::from(known);
            }
            check(&at, below, seen);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            check(&format!("{at}[]"), items, seen);
        }
    }
}
