//! An object that does not read as its kind, because an older or another definition let it be stored. It says so itself,
//! and the others of its kind go on. Nothing runs for it, and nothing of it is changed but its conditions.

use api::lower::job::{MANAGER, Owner};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::events::{Event, EventType};
use serde_json::{Value, json};

use super::{Action, Context};
use crate::error::Error;
use crate::status::{Moment, health};

/// The reason that its conditions give.
const REASON: &str = "Unreadable";

/// Says on an object that it does not read.
///
/// # Errors
/// When its status cannot be written; an Event then says it.
pub(super) async fn tell<K>(object: &InvalidObject, context: &Context) -> Result<Action, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let (kind, meta) = (K::kind(&()), &object.metadata);
    let (namespace, name) = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let text = format!(
        "this {kind} does not read as the definition of this version: {}; mend the field, or make it anew",
        object.error
    );
    context.metrics.unreadable(&Owner {
        api_version: K::api_version(&()).into_owned(),
        kind: kind.clone().into_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: meta.uid.clone().unwrap_or_default(),
        part: None,
    });
    tracing::warn!(%kind, namespace, name, error = object.error, "an object does not read: nothing runs for it");
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let Some(stored) = api.get_opt(name).await? else { return Ok(Action::await_change()) };
    let old = stored.data.pointer("/status/conditions").cloned().unwrap_or(Value::Null);
    // Conditions that do not read are what is wrong, maybe: they are written anew.
    let mut conditions: Vec<Condition> = serde_json::from_value(old.clone()).unwrap_or_else(|_| Vec::new());
    let moment = Moment::new(meta.generation.unwrap_or(0), jiff::Timestamp::now());
    health(&mut conditions, (false, true, false), REASON, &text, moment);
    if serde_json::to_value(&conditions)? == old {
        return Ok(Action::await_change());
    }
    let status = json!({"metadata": {"resourceVersion": stored.metadata.resource_version}, "status": {"conditions": conditions}});
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api.patch_status(name, &parameters, &Patch::Merge(status)).await.map_err(Error::from) {
        Ok(_) => Ok(Action::await_change()),
        Err(error) if error.is_missing() => Ok(Action::await_change()),
        Err(error) => {
            let event = Event {
                type_: EventType::Warning,
                reason: REASON.to_owned(),
                note: Some(text.chars().take(1_000).collect()),
                action: "Run".to_owned(),
                secondary: None,
            };
            if let Err(error) =
                context.recorder.publish(&event, &stored.object_ref(&ApiResource::erase::<K>(&()))).await
            {
                tracing::warn!(%error, "an Event could not be written");
            }
            Err(error)
        }
    }
}
