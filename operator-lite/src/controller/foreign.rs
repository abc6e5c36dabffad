//! Hand-over from another operator on the same group: nothing runs before its author says so, and nothing that is
//! finished runs again.

use api::oso::RunClaim;
use api::update::{FOREIGN_CLEANUPS, FOREIGN_FINALIZERS};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use serde_json::json;

use super::{FIELD_MANAGER, Kind, Work};
use crate::decide::Mode;
use crate::error::Error;
use crate::status::{Moment, State};

/// Names under which other operators write statuses of these kinds.
const FOREIGN_MANAGERS: [&str; 2] = ["kafka-backup-operator", "strimzi-backup-operator"];

/// Phases of a run that is over and did something.
const ENDED_WELL: [&str; 3] = ["Completed", "RolledBack", "PartiallyCompleted"];

/// Whether another operator holds the object; its leftovers go once the author asks for that.
pub(super) async fn hand_over<K: Kind>(work: &Work<'_, K>) -> Result<Option<Action>, Error> {
    let object = work.object;
    let is_theirs =
        |name: &&String| FOREIGN_FINALIZERS.contains(&name.as_str()) || FOREIGN_CLEANUPS.contains(&name.as_str());
    let theirs: Vec<&String> = object.finalizers().iter().filter(is_theirs).collect();
    let wrote = object.managed_fields().iter().any(|entry| {
        let manager = entry.manager.as_deref().unwrap_or_default();
        FOREIGN_MANAGERS.contains(&manager) && entry.subresource.as_deref() == Some("status")
    });
    let status_is_theirs = wrote && object.claim().is_none() && !object.is_taken_over();
    if theirs.is_empty() && !status_is_theirs {
        return Ok(None);
    }
    let annotation = format!("{}/take-over", K::group(&()));
    if object.annotations().get(&annotation).map(String::as_str) != Some("true") {
        let text = format!(
            "another operator holds this object; stop it, then annotate the object with {annotation}=true: nothing that \
             is finished runs again"
        );
        return work.tell(&State::Foreign(text), Action::await_change()).await.map(Some);
    }
    if status_is_theirs {
        let state = State::TakenOver(left_over(object, work.moment).map(Box::new));
        work.event(EventType::Normal, "TakenOver", "the object is run by this operator now").await;
        return work.tell(&state, Action::await_change()).await.map(Some);
    }
    let kept: Vec<&String> = object.finalizers().iter().filter(|name| !theirs.contains(name)).collect();
    let patch = json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": kept}});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    work.api().patch(&object.name_any(), &parameters, &Patch::Merge(patch)).await?;
    Ok(Some(Action::await_change()))
}

/// The claim that stands for what the other operator did: a run that is over stays over, one that it left is abandoned.
fn left_over<K: Kind>(object: &K, moment: Moment) -> Option<RunClaim> {
    let phase = object.phase()?.as_str();
    let once = matches!(object.mode(), Mode::Once);
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
        finished_at: Some(moment.now.to_string()),
        outcome: Some(outcome.to_owned()),
        wrote: Some(true),
        ..RunClaim::default()
    })
}
