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

`backup.strimzi.io/v1alpha1`, `kafkabackup.com/v1` and `kafkabackup.com/v1alpha1` serve the same kinds.
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
    let _ = writeln!(out, "\n## {} ({})", kind.kind, kind.group);
    let fields = all(kind);
    for part in ["spec", "status"] {
        let _ = writeln!(out, "\n### {part}\n\n| field | type | default | meaning |\n|---|---|---|---|");
        for field in &fields {
            let Some(path) = field.path.strip_prefix(part).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let default = match &field.default {
                Some(value) => format!("`{value}`"),
                None if field.required => "required".to_owned(),
                None => String::new(),
            };
            let meaning = field.description.replace('|', "\\|");
            let _ = writeln!(out, "| `{path}` | {} | {default} | {meaning} |", field.type_name);
        }
    }
}

/// A field of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Path, for example `spec.storage.s3.bucket`; `[]` for each of a list, `*` for each of a map.
    pub path: String,
    /// Its type, in words.
    pub type_name: String,
    /// Its default, as JSON.
    pub default: Option<String>,
    /// Whether it must be there.
    pub required: bool,
    /// What it does.
    pub description: String,
}

/// The fields of a kind, whose name may be in lower case; `None` without such a kind.
#[must_use]
pub fn of_kind(group: &str, kind: &str) -> Option<Vec<Field>> {
    let is_it = |known: &&Kind| known.group == group && known.kind.eq_ignore_ascii_case(kind);
    KINDS.iter().find(is_it).map(all)
}

fn all(kind: &Kind) -> Vec<Field> {
    let definition = kind.definition();
    let schema =
        definition.spec.versions.first().and_then(|version| version.schema.as_ref()?.open_api_v3_schema.clone());
    let properties = schema.and_then(|schema| schema.properties).unwrap_or_default();
    let mut out = Vec::new();
    for part in ["spec", "status"] {
        if let Some(schema) = properties.get(part) {
            fields(&mut out, part, schema);
        }
    }
    out
}

fn fields(out: &mut Vec<Field>, at: &str, schema: &JSONSchemaProps) {
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{at}.{name}");
        out.push(Field {
            path: path.clone(),
            type_name: type_of(field),
            default: field.default.as_ref().map(|value| value.0.to_string()),
            required: schema.required.iter().flatten().any(|known| known == name),
            description: field.description.clone().unwrap_or_default().replace('\n', " "),
        });
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
