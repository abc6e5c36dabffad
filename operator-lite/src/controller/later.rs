//! Kinds that are admitted and whose runs come in later work: each object says so.

use std::borrow::Cow;
use std::sync::Arc;

use api::lower::job::MANAGER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::{ApiResource, DynamicResourceScope};
use kube::runtime::controller::Action;
use kube::{Client, Resource, ResourceExt};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::{Value, json};

use super::foreign;
use crate::error::Error;
use crate::status::{Moment, health};

/// The kinds, by group. Empty at release.
pub(super) const KINDS: [(&str, &str); 4] = [
    ("backup.strimzi.io", "KafkaBackup"),
    ("backup.strimzi.io", "KafkaRestore"),
    ("kafkabackup.com", "KafkaBackup"),
    ("kafkabackup.com", "KafkaRestore"),
];

/// The resource of a kind.
#[must_use]
pub(super) fn resource(group: &str, kind: &str) -> ApiResource {
    let plural = format!("{}s", kind.to_ascii_lowercase());
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1alpha1", kind), &plural)
}

/// An object of such a kind as it is kept: what it asks for is passed over while it is read.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Noted {
    #[serde(deserialize_with = "slim")]
    metadata: ObjectMeta,
    #[serde(default)]
    status: Option<Told>,
}

/// What its status says of what was told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    observed_generation: Value,
}

/// What is read of the metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<IgnoredAny>,
}

fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Meta { name, namespace, uid, resource_version, generation, deletion_timestamp } =
        Meta::deserialize(deserializer)?;
    // When is of no interest.
    let deletion_timestamp = deletion_timestamp.map(|_| Time(Timestamp::UNIX_EPOCH));
    Ok(ObjectMeta { name, namespace, uid, resource_version, generation, deletion_timestamp, ..ObjectMeta::default() })
}

impl Resource for Noted {
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

/// Says on an object that its runs are not available.
///
/// # Errors
/// When the API server refuses.
pub(super) async fn tell(client: Client, kind: ApiResource, noted: Arc<Noted>) -> Result<Action, Error> {
    let generation = noted.metadata.generation.unwrap_or(0);
    let told = noted.status.as_ref().and_then(|status| status.observed_generation.as_i64()) == Some(generation);
    let is_going = noted.metadata.deletion_timestamp.is_some();
    if told && !is_going {
        return Ok(Action::await_change());
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client, &noted.namespace().unwrap_or_default(), &kind);
    let Some(object) = api.get_opt(&noted.name_any()).await? else { return Ok(Action::await_change()) };
    if is_going {
        foreign::release(&api, &object.metadata).await?;
        return Ok(Action::await_change());
    }
    let text = format!("runs of {} are not available in this release; the object is kept as it is", kind.kind);
    let old = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    // Those of another operator may not read: they are written anew.
    let mut conditions: Vec<Condition> = serde_json::from_value(old).unwrap_or_else(|_| Vec::new());
    let moment = Moment::new(generation, Timestamp::now());
    health(&mut conditions, (false, true, false), "NotImplemented", &text, moment);
    let status = json!({"observedGeneration": generation, "conditions": conditions});
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(&object.name_any(), &parameters, &Patch::Merge(json!({"status": status}))).await?;
    Ok(Action::await_change())
}
