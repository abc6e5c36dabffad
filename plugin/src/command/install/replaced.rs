//! Definitions that somebody else made, and what becomes of their fields when ours take their place.

use api::outdated::first_missing;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::Api;

use crate::cluster::{Cluster, MANAGER, failed};
use crate::error::Error;

/// What is said of each definition in the cluster that somebody else made and that ours would change.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn replaced(cluster: &Cluster, ours: &[CustomResourceDefinition]) -> Result<Vec<String>, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let mut out = Vec::new();
    for definition in ours {
        let name = definition.name_any();
        let found = api.get_opt(&name).await.map_err(|error| failed(&format!("read definition {name}"), error))?;
        out.extend(found.and_then(|theirs| change(definition, &theirs)));
    }
    Ok(out)
}

/// What changes of a definition; `None` when this program made it, or nothing changes.
fn change(ours: &CustomResourceDefinition, theirs: &CustomResourceDefinition) -> Option<String> {
    let managers: Vec<&str> = theirs
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.is_none())
        .filter_map(|entry| entry.manager.as_deref())
        .collect();
    if managers.contains(&MANAGER) {
        return None;
    }
    let (goes, comes) = (first_missing(theirs, ours), first_missing(ours, theirs));
    let parts = [goes.map(|field| format!("{field} goes")), comes.map(|field| format!("{field} comes"))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let by = managers.first().copied().unwrap_or("somebody else");
    (!parts.is_empty()).then(|| format!("{} of {by}: {} (the first of each kind)", theirs.name_any(), parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_changes_of_a_definition_of_others_is_named() {
        let ours = api::document::KINDS[0].definition();
        let made_by = |manager: &str, goes: bool| {
            let mut theirs = ours.clone();
            theirs.metadata.managed_fields = from_value(json!([{"manager": manager, "operation": "Apply"}])).unwrap();
            let schema = theirs.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
            let spec = schema.properties.as_mut().unwrap().get_mut("spec").unwrap().properties.as_mut().unwrap();
            let schedule = spec.remove("schedule").unwrap();
            if goes {
                spec.insert("clock".to_owned(), schedule);
            }
            change(&ours, &theirs)
        };
        let text = made_by("helm", true).unwrap();
        assert_eq!(
            text,
            "kafkabackups.kafka.oso.sh of helm: .spec.clock goes, .spec.schedule comes (the first of each kind)"
        );
        assert!(!made_by("kubectl", false).unwrap().contains("goes"));
        assert_eq!(made_by(MANAGER, true), None, "an upgrade of ours asks nothing");
        assert_eq!(change(&ours, &ours), None);
    }
}
