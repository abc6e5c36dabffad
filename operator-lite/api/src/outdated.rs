//! Whether a definition in a cluster knows every field of ours. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceValidation, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// The first field of a definition of ours that another lacks; or what else it lacks.
#[must_use]
pub fn first_missing(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Option<String> {
    for version in &ours.spec.versions {
        let Some(other) = theirs.spec.versions.iter().find(|other| other.name == version.name && other.served) else {
            return Some(format!("version {}", version.name));
        };
        let schema = |schema: &Option<_>| -> Option<JSONSchemaProps> {
            let validation: &CustomResourceValidation = schema.as_ref()?;
            validation.open_api_v3_schema.clone()
        };
        let (Some(wanted), Some(found)) = (schema(&version.schema), schema(&other.schema)) else {
            return Some("a schema".to_owned());
        };
        if let Some(field) = missing("", &wanted, &found) {
            return Some(field);
        }
    }
    None
}

fn missing(at: &str, wanted: &JSONSchemaProps, found: &JSONSchemaProps) -> Option<String> {
    if found.x_kubernetes_preserve_unknown_fields == Some(true) {
        return None;
    }
    for (name, field) in wanted.properties.iter().flatten() {
        let path = format!("{at}.{name}");
        let Some(known) = found.properties.as_ref().and_then(|properties| properties.get(name)) else {
            return Some(path);
        };
        if let Some(deeper) = missing(&path, field, known) {
            return Some(deeper);
        }
    }
    match (&wanted.items, &found.items) {
        (Some(JSONSchemaPropsOrArray::Schema(wanted)), Some(JSONSchemaPropsOrArray::Schema(found))) => {
            missing(&format!("{at}[]"), wanted, found)
        }
        // What is no list has no items that could lack a field.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_definition_lacks_a_field() {
        let ours = crate::document::KINDS[0].definition();
        assert_eq!(first_missing(&ours, &ours), None);
        let mut older = ours.clone();
        let schema = older.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
        let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap();
        spec.properties.as_mut().unwrap().remove("schedule");
        assert_eq!(first_missing(&ours, &older).as_deref(), Some(".spec.schedule"));
        older.spec.versions[0].name = "v1".to_owned();
        assert_eq!(first_missing(&ours, &older).as_deref(), Some("version v1alpha1"));
    }
}
