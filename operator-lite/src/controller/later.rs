//! Kinds that are admitted and whose runs come in later work: each object says so.

use std::sync::Arc;

use api::lower::job::MANAGER;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::ApiResource;
use kube::runtime::controller::Action;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::foreign;
use crate::error::Error;
use crate::status::{Moment, health};

/// The kinds, by group. Empty at release.
pub(super) const KINDS: [(&str, &str); 5] = [
    ("kafka.oso.sh", "KafkaBackupValidation"),
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

/// Says on an object that its runs are not available.
///
/// # Errors
/// When the API server refuses.
pub(super) async fn tell(client: Client, kind: ApiResource, object: Arc<DynamicObject>) -> Result<Action, Error> {
    let generation = object.metadata.generation.unwrap_or(0);
    let told = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64) == Some(generation);
    let api: Api<DynamicObject> = Api::namespaced_with(client, &object.namespace().unwrap_or_default(), &kind);
    if object.metadata.deletion_timestamp.is_some() {
        foreign::release(&api, &object.metadata).await?;
        return Ok(Action::await_change());
    }
    if told {
        return Ok(Action::await_change());
    }
    let text = format!("runs of {} are not available in this release; the object is kept as it is", kind.kind);
    let old = object.data.pointer("/status/conditions").cloned().unwrap_or_default();
    let mut conditions: Vec<Condition> = serde_json::from_value(old).unwrap_or_default();
    let moment = Moment::new(generation, Timestamp::now());
    health(&mut conditions, (false, true, false), "NotImplemented", &text, moment);
    let status = json!({"observedGeneration": generation, "conditions": conditions});
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(&object.name_any(), &parameters, &Patch::Merge(json!({"status": status}))).await?;
    Ok(Action::await_change())
}
