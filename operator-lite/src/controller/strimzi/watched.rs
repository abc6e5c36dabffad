//! Strimzi's resources as they are watched: whenever one changes, the resources that refer to it are looked at. Of what is
//! watched, only where it is is kept.

use std::borrow::Cow;

use api::strimzi::{Authentication, ClusterRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject};
use kube::core::DynamicResourceScope;
use kube::{Client, Resource};
use serde::Deserialize;

use super::discover::{GROUP, resource};

/// A `Kafka` or a `KafkaUser`.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::controller) struct Strimzi {
    #[serde(deserialize_with = "place")]
    metadata: ObjectMeta,
}

/// What is read of the metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

fn place<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Meta { name, namespace, uid, resource_version } = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() })
}

impl Resource for Strimzi {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(of)
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(of)
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(of)
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The kinds that are watched, in the version that the API server prefers; none where Strimzi is not installed: resources are then
/// looked at from time to time.
pub(in crate::controller) async fn kinds(client: &Client) -> Vec<ApiResource> {
    let groups = match client.list_api_groups().await {
        Ok(groups) => groups,
        Err(error) => {
            tracing::warn!(%error, "the API server does not tell its groups: Strimzi's resources are not watched");
            return Vec::new();
        }
    };
    let Some(group) = groups.groups.into_iter().find(|group| group.name == GROUP) else {
        tracing::warn!("{GROUP} is not served: resources of its clusters wait for it");
        return Vec::new();
    };
    let version = group.preferred_version.or_else(|| group.versions.into_iter().next());
    version
        .into_iter()
        .flat_map(|version| ["Kafka", "KafkaUser"].map(|kind| resource(kind, &version.version)))
        .collect()
}

/// Whether a resource of a namespace refers to an object of Strimzi.
pub(in crate::controller) fn refers_to(
    (own, cluster, who): (&str, &ClusterRef, Option<&Authentication>),
    (kind, namespace, name): (&str, &str, &str),
) -> bool {
    match kind {
        "Kafka" => cluster.name == name && cluster.namespace.as_deref().unwrap_or(own) == namespace,
        "KafkaUser" => {
            own == namespace && who.and_then(|who| who.kafka_user_ref.as_ref()).is_some_and(|user| user.name == name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_hears_of_what_it_refers_to() {
        let cluster: ClusterRef = serde_json::from_value(json!({"name": "events", "namespace": "kafka"})).unwrap();
        let near = ClusterRef { namespace: None, ..cluster.clone() };
        let who: Authentication =
            serde_json::from_value(json!({"type": "tls", "kafkaUserRef": {"name": "backup"}})).unwrap();
        let hears = |cluster: &ClusterRef, kind, namespace, name| {
            refers_to(("shop", cluster, Some(&who)), (kind, namespace, name))
        };
        assert!(hears(&cluster, "Kafka", "kafka", "events") && !hears(&cluster, "Kafka", "shop", "events"));
        assert!(hears(&near, "Kafka", "shop", "events") && !hears(&near, "Kafka", "shop", "other"));
        assert!(hears(&near, "KafkaUser", "shop", "backup") && !hears(&near, "KafkaUser", "kafka", "backup"));
        assert!(!refers_to(("shop", &near, None), ("KafkaUser", "shop", "backup")));
    }
}
