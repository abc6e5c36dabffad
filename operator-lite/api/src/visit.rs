//! Goes through a specification as it is written, field by field. A test goes through the definitions in the same way, so that
//! whoever looks for fields by name forgets none. Pure.

use serde_json::Value;

/// Shows every field below `value`, the outer ones first: its path, its name, and what it holds.
pub(crate) fn each_field<'a>(at: &str, value: &'a Value, visit: &mut impl FnMut(&str, &str, &'a Value)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                visit(&at, name, value);
                each_field(&at, value, visit);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                each_field(&format!("{at}[{place}]"), item, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
pub(crate) mod definitions {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};

    use crate::document::KINDS;

    /// Shows every field of every kind's specification: its path, its name, and its schema.
    pub(crate) fn each_field(mut visit: impl FnMut(&str, &str, &JSONSchemaProps)) {
        for kind in &KINDS {
            let definition = kind.definition();
            let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.clone().unwrap();
            below(&format!("{kind:?}"), &schema.properties.unwrap()["spec"], &mut visit);
        }
    }

    fn below(at: &str, schema: &JSONSchemaProps, visit: &mut impl FnMut(&str, &str, &JSONSchemaProps)) {
        for (field, schema) in schema.properties.iter().flatten() {
            let at = format!("{at}.{field}");
            visit(&at, field, schema);
            below(&at, schema, visit);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            below(&format!("{at}[]"), items, visit);
        }
    }
}
