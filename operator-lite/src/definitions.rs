//! Whether the definitions in the cluster know every field that this program writes or reads.

use api::outdated::first_missing;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt};

use crate::error::Error;

/// The first field of the kinds of `groups` that a definition in the cluster lacks, or a definition that is missing.
///
/// # Errors
/// When the API server does not answer.
pub async fn outdated(client: &Client, groups: &[String]) -> Result<Option<String>, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let wanted = |group: &str| group == api::inspection::GROUP || groups.iter().any(|known| known == group);
    for kind in api::document::KINDS.iter().filter(|kind| wanted(kind.group)) {
        let ours = kind.definition();
        let name = ours.name_any();
        let Some(theirs) = api.get_opt(&name).await? else {
            return Ok(Some(format!("{name} is not installed")));
        };
        if let Some(field) = first_missing(&ours, &theirs) {
            return Ok(Some(format!("{name} lacks {field}")));
        }
    }
    Ok(None)
}
