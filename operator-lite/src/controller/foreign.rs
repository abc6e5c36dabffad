//! Hand-over from another operator on the same group: nothing runs before its author says so, and nothing that is
//! finished runs again.

use std::fmt::Debug;

use api::lower::job::MANAGER;
use api::oso::RunClaim;
use api::update::is_foreign;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::EventType;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::work::{Told, Work};
use super::{Action, Kind};
use crate::decide::Mode;
use crate::error::Error;
use crate::status::{Moment, State};

/// Names under which other operators write statuses of these kinds. One of them is called as our program is; we write as
/// [`MANAGER`].
const FOREIGN_MANAGERS: [&str; 2] = ["kafka-backup-operator", "strimzi-backup-operator"];

/// Phases of a run that is over and did something.
const ENDED_WELL: [&str; 3] = ["Completed", "RolledBack", "PartiallyCompleted"];

/// Whether another operator holds the object; its leftovers go once the author asks for that.
pub(super) async fn hand_over<K: Kind>(work: &Work<'_, K>) -> Result<Option<Action>, Error> {
    let object = work.object;
    let holds = object.finalizers().iter().any(|name| is_foreign(name));
    let wrote = object.managed_fields().iter().any(|entry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        FOREIGN_MANAGERS.contains(&manager) && entry.subresource.as_deref() == Some("status")
    });
    let status_is_theirs = wrote && object.claim().is_none() && !object.is_taken_over();
    if !holds && !status_is_theirs {
        return Ok(None);
    }
    let annotation = format!("{}/take-over", K::group(&()));
    // Any other value asks for nothing, and what is written below tells the right one.
    if object.annotations().get(&annotation).map(String::as_str) != Some("true") {
        let text = format!(
            "another operator holds this object; stop it, then annotate the object with {annotation}=true: nothing that \
             is finished runs again"
        );
        return Ok(Some(work.tell(&State::Foreign(text)).await?.then(Action::await_change())));
    }
    if status_is_theirs {
        let state = State::TakenOver(left_over(object, work.moment).map(Box::new));
        let told = work.tell(&state).await?;
        if told == Told::Written {
            work.event(EventType::Normal, "TakenOver", "the object is run by this operator now").await;
        }
        return Ok(Some(told.then(Action::await_change())));
    }
    release(&work.api(), object.meta()).await?;
    Ok(Some(Action::await_change()))
}

/// Removes the finalizers of other operators from an object, under the version that was read; the others stay.
///
/// On an object that is deleted nobody may be left to do it, and what these finalizers stood for has an owner: the
/// garbage collector removes it.
pub(super) async fn release<K>(api: &Api<K>, meta: &ObjectMeta) -> Result<(), Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let all = meta.finalizers.as_deref().unwrap_or_default();
    let kept: Vec<&String> = all.iter().filter(|name| !is_foreign(name)).collect();
    if kept.len() == all.len() {
        return Ok(());
    }
    let patch = json!({"metadata": {"resourceVersion": meta.resource_version, "finalizers": kept}});
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let name = meta.name.as_deref().unwrap_or_default();
    api.patch_metadata(name, &parameters, &Patch::Merge(patch)).await?;
    Ok(())
}

/// The claim that stands for what the other operator did: a run that is over stays over, one that it left is abandoned.
fn left_over<K: Kind>(object: &K, moment: Moment) -> Option<RunClaim> {
    let phase = object.phase()?.as_str();
    let once = matches!(object.mode(), Some(Mode::Once));
    let outcome = match phase {
        "Running" => "Failed",
        "Failed" if once => "Failed",
        other if once && ENDED_WELL.contains(&other) => "Completed",
        _ => return None,
    };
    Some(RunClaim {
        id: object.name_any(),
        at: moment.now.to_string(),
        trigger: "taken-over".to_owned(),
        generation: moment.generation,
        // Without it, the run counts for any shape.
        shape: object.shape().ok(),
        finished_at: Some(moment.now.to_string()),
        outcome: Some(outcome.to_owned()),
        wrote: Some(true),
        ..RunClaim::default()
    })
}
