//! Reads the `Kafka` and the `KafkaUser` that a resource refers to. What they mean is decided in `api::strimzi::discovery`. No
//! Secret is read.

use api::strimzi::discovery::{Login, Place, brokers, no_user, own_login, user_login};
use api::strimzi::{Authentication, ClusterRef};
use contract::KafkaSpec;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::super::Pending;
use crate::error::Error;

/// Strimzi's group.
pub(super) const GROUP: &str = "kafka.strimzi.io";
/// Its versions, the newest first: each has releases that serve no other.
pub(super) const VERSIONS: [&str; 2] = ["v1", "v1beta2"];

pub(super) fn resource(kind: &str, version: &str) -> ApiResource {
    let plural = format!("{}s", kind.to_ascii_lowercase());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, kind), &plural)
}

/// An object of Strimzi in whichever version is served; `None` where it is not there. One that is being deleted counts as gone.
async fn read(
    client: &Client,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, Result<Pending, Error>> {
    for version in VERSIONS {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource(kind, version));
        match api.get_opt(name).await {
            Ok(Some(object)) if object.metadata.deletion_timestamp.is_some() => return Ok(None),
            Ok(Some(object)) => return serde_json::to_value(object).map(Some).map_err(|error| Err(error.into())),
            Ok(None) => {}
            // A version that is not served is answered in other words than an object that is not there.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let text = format!(
                    "the operator may not read {kind} {name:?} in namespace {namespace:?}: install it with the groups of these \
                     resources (kubectl kafka-backup install --groups, or groups of the chart), and let it watch that namespace"
                );
                return Err(Ok(("StrimziForbidden", text)));
            }
            Err(error) => return Err(Err(error.into())),
        }
    }
    Ok(None)
}

/// How the brokers are reached.
pub(super) async fn kafka(
    client: &Client,
    own: &str,
    cluster: &ClusterRef,
    who: Option<&Authentication>,
) -> Result<KafkaSpec, Result<Pending, Error>> {
    let place = Place { cluster, own };
    let Some(kafka) = read(client, "Kafka", place.namespace(), &cluster.name).await? else {
        return Err(Ok(place.absent()));
    };
    let login = login(client, place, who).await?;
    brokers(place, &kafka, who.map(|who| who.kind), &login).map_err(Ok)
}

async fn login(
    client: &Client,
    place: Place<'_>,
    who: Option<&Authentication>,
) -> Result<Login, Result<Pending, Error>> {
    if let Some(login) = own_login(who) {
        return Ok(login);
    }
    let named = who.and_then(|who| Some((who.kind, &who.kafka_user_ref.as_ref()?.name)));
    let Some((kind, name)) = named else {
        let text = "spec.authentication names no credentials: set kafkaUserRef, certificateAndKey, or username and passwordSecret";
        return Err(Ok(("InvalidConfiguration", text.to_owned())));
    };
    match read(client, "KafkaUser", place.own, name).await? {
        None => Err(Ok(no_user(place, name))),
        Some(user) => user_login(place, kind, name, &user).map_err(Ok),
    }
}
