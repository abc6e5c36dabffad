//! The list of all fields of all kinds, as Markdown, from their schemas. Pure.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::document::{KINDS, Kind};
use crate::strimzi;

const HEAD: &str = "\
# Fields

Every field of each kind, with its type, its default, and what it does; made by `just gen` from the definitions. A field
that has no effect says so, and admission warns of it. Additions of ours to kinds of others are marked.

`backup.strimzi.io` and `kafkabackup.com` serve the same kinds.
";

/// Fields below which Kubernetes' own types begin.
const KUBERNETES: [&str; 7] =
    ["affinity", "tolerations", "securityContext", "env", "conditions", "imagePullSecrets", "claims"];

/// The whole list.
#[must_use]
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    for kind in KINDS.iter().filter(|kind| kind.group != strimzi::RELEASED_GROUP) {
        one(&mut out, kind);
    }
    out
}

fn one(out: &mut String, kind: &Kind) {
    let definition = kind.definition();
    let schema =
        definition.spec.versions.first().and_then(|version| version.schema.as_ref()?.open_api_v3_schema.clone());
    let Some(properties) = schema.and_then(|schema| schema.properties) else { return };
    let _ = writeln!(out, "\n## {} ({})", kind.kind, kind.group);
    for part in ["spec", "status"] {
        let Some(schema) = properties.get(part) else { continue };
        let _ = writeln!(out, "\n### {part}\n\n| field | type | default | meaning |\n|---|---|---|---|");
        fields(out, "", schema);
    }
}

fn fields(out: &mut String, at: &str, schema: &JSONSchemaProps) {
    for (name, field) in schema.properties.iter().flatten() {
        let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        let required = schema.required.iter().flatten().any(|known| known == name);
        let default = match &field.default {
            Some(value) => format!("`{}`", value.0),
            None if required => "required".to_owned(),
            None => String::new(),
        };
        let meaning = field.description.clone().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(out, "| `{path}` | {} | {default} | {meaning} |", type_of(field));
        if KUBERNETES.contains(&name.as_str()) {
            continue;
        }
        fields(out, &path, field);
        if let Some(JSONSchemaPropsOrArray::Schema(each)) = &field.items {
            fields(out, &format!("{path}[]"), each);
        }
        if let Some(JSONSchemaPropsOrBool::Schema(each)) = &field.additional_properties {
            fields(out, &format!("{path}.*"), each);
        }
    }
}

fn type_of(field: &JSONSchemaProps) -> String {
    if let Some(allowed) = &field.enum_ {
        return allowed.iter().filter_map(|value| value.0.as_str()).collect::<Vec<_>>().join(", ");
    }
    if field.x_kubernetes_int_or_string == Some(true) {
        return "number or text".to_owned();
    }
    match (field.type_.as_deref(), &field.items) {
        (Some("array"), Some(JSONSchemaPropsOrArray::Schema(each))) => format!("list of {}", type_of(each)),
        (Some("object"), _) if field.additional_properties.is_some() => "map".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => "any".to_owned(),
    }
}
