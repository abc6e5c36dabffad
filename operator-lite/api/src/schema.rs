//! Checks a document against the schema of its kind, as an API server with strict fields does, and gives all findings
//! at once. Pure.

use contract::words::cut;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use crate::finding::Findings;

/// Longest value that a message shows.
const SHOWN: usize = 60;

/// Walks a value and its schema.
pub(crate) fn check(out: &mut Findings, at: &str, value: &Value, schema: &JSONSchemaProps) {
    if schema.x_kubernetes_int_or_string == Some(true) {
        if !value.is_string() && !value.is_i64() && !value.is_u64() {
            wrong_type(out, at, value, "a number or a text");
        }
        return;
    }
    if value.is_null() && schema.nullable == Some(true) {
        return;
    }
    if !has_type(value, schema) {
        return wrong_type(out, at, value, article(schema.type_.as_deref().unwrap_or_default()));
    }
    if let Some(allowed) = &schema.enum_
        && !allowed.iter().any(|allowed| allowed.0 == *value)
    {
        let list: Vec<_> = allowed.iter().filter_map(|allowed| allowed.0.as_str()).collect();
        out.wrong(at, shown(value), &format!("must be one of {}", list.join(", ")), "write one of them");
    }
    if let (Some(number), Some(minimum)) = (value.as_f64(), schema.minimum)
        && number < minimum
    {
        out.wrong(at, number, &format!("must be at least {minimum}"), "write a larger number");
    }
    if let (Some(number), Some(maximum)) = (value.as_f64(), schema.maximum)
        && number > maximum
    {
        out.wrong(at, number, &format!("must be at most {maximum}"), "write a smaller number");
    }
    match value {
        Value::Object(fields) => object(out, at, fields, schema),
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(each)) = &schema.items {
                for (number, item) in items.iter().enumerate() {
                    check(out, &format!("{at}[{number}]"), item, each);
                }
            }
        }
        // Plain values hold nothing.
        _ => {}
    }
}

fn object(out: &mut Findings, at: &str, fields: &serde_json::Map<String, Value>, schema: &JSONSchemaProps) {
    for name in schema.required.iter().flatten().filter(|name| !fields.contains_key(*name)) {
        out.missing(&format!("{at}.{name}"), "is required", "add it");
    }
    for (name, value) in fields {
        let path = format!("{at}.{name}");
        let known = schema.properties.as_ref().and_then(|properties| properties.get(name));
        match (known, &schema.additional_properties) {
            (Some(known), _) => check(out, &path, value, known),
            (None, Some(JSONSchemaPropsOrBool::Schema(each))) => check(out, &path, value, each),
            (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
            (None, _) if schema.x_kubernetes_preserve_unknown_fields == Some(true) => {}
            (None, _) => {
                let known: Vec<_> = schema.properties.iter().flatten().map(|(name, _)| name.as_str()).collect();
                let fix = format!("remove it; known here: {}", known.join(", "));
                out.wrong(&path, shown(value), "is not a field of this kind", &fix);
            }
        }
    }
}

fn has_type(value: &Value, schema: &JSONSchemaProps) -> bool {
    match schema.type_.as_deref() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

fn article(name: &str) -> &str {
    match name {
        "object" => "a block of fields",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

fn wrong_type(out: &mut Findings, at: &str, value: &Value, wanted: &str) {
    out.wrong(at, shown(value), &format!("must be {wanted}"), "change its type");
}

fn shown(value: &Value) -> String {
    cut(value.to_string(), SHOWN)
}
