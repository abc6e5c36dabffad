//! KafkaBackupInspection: a pod that answers one person's questions, until nobody asks.

use std::sync::Arc;
use std::time::Duration;

use api::inspection::{KafkaBackupInspection, KafkaBackupInspectionStatus};
use api::lower::job::{Owner, inspection as job_of};
use api::oso::KafkaBackup;
use contract::{InspectSpec, SetOwner};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};

use super::jobs::Jobs;
use super::kind::owner_of;
use super::work::write_status;
use super::{AGAIN, Context, SOON};
use crate::capacity::{Class, Seat};
use crate::error::Error;
use crate::status::{Moment, health};
use crate::view;

/// How often one renews its place, or asks for one: a place that is not renewed is free again.
const RENEW: Duration = Duration::from_secs(10);
/// How long one that failed is kept, so that its author can read why.
const KEPT: Duration = Duration::from_secs(600);

/// Brings an inspection a step further.
///
/// # Errors
/// When the API server refuses or does not answer.
pub(super) async fn reconcile(object: Arc<KafkaBackupInspection>, context: Arc<Context>) -> Result<Action, Error> {
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let owner = owner_of(&*object);
    if object.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Failed")) {
        return expire(&object, &context).await;
    }
    let jobs = Jobs::of(&context.client, &owner).await?;
    let Some(job) = jobs.views.first() else {
        if object.status.as_ref().is_some_and(|status| status.pod_name.is_some()) {
            return tell(&object, &context, "Failed", "the Job of the inspection was removed", None).await;
        }
        return begin(&object, &context, &owner, &jobs).await;
    };
    if let Some(ended) = &job.ended {
        context.capacity.give_back(&owner.namespace, &owner.uid);
        if ended.exit_code == Some(0) {
            // Nobody asks any more: what was made for the questions goes.
            return remove(&object, &context).await;
        }
        let said =
            ended.report.as_ref().and_then(|said| said.failure.as_ref()).map(|(code, text)| format!("{code}: {text}"));
        let text = said.unwrap_or_else(|| format!("its pod ended. {}", ended.message));
        return tell(&object, &context, "Failed", text.trim_end(), None).await;
    }
    context.capacity.count(&seat(&owner), tokio::time::Instant::now());
    let pod = view::pod_name(&job.uid, &jobs.pods).filter(|_| view::is_running(&job.uid, &jobs.pods));
    if pod.is_some() {
        tell(&object, &context, "Ready", "questions are answered", pod).await?;
        return Ok(Action::requeue(RENEW));
    }
    let problem = jobs.problem(job).await.map(|(reason, text)| format!("{reason}: {text}"));
    let text = problem.unwrap_or_else(|| "the pod starts".to_owned());
    tell(&object, &context, "Pending", &text, None).await?;
    Ok(Action::requeue(SOON))
}

/// Its place among those that hold a pod.
fn seat(owner: &Owner) -> Seat {
    Seat { class: Class::Inspection, namespace: owner.namespace.clone(), uid: owner.uid.clone() }
}

async fn begin(object: &KafkaBackupInspection, context: &Context, owner: &Owner, jobs: &Jobs) -> Result<Action, Error> {
    if let Err(turn) = context.capacity.take(&seat(owner), tokio::time::Instant::now()) {
        return tell(object, context, "Pending", &turn.to_string(), None).await.map(|_| Action::requeue(RENEW));
    }
    let name = &object.spec.backup_ref.name;
    let backups: Api<KafkaBackup> = Api::namespaced(context.client.clone(), &owner.namespace);
    let Some(backup) = backups.get_opt(name).await? else {
        let text = format!("KafkaBackup {name:?} is not in namespace {:?}", owner.namespace);
        return tell(object, context, "Failed", &text, None).await;
    };
    // Older points of the backup may come from another cluster: any will do.
    let whose = SetOwner { cluster_id: None, ..api::lower::owner_of(&backup, None) };
    let spec = match api::lower::inspection(&object.spec, &backup.spec.storage, whose) {
        Ok(spec) => InspectSpec { allowed_endpoints: context.allowed_endpoints.to_vec(), ..spec },
        Err(finding) => {
            let text = format!("KafkaBackup {name:?} cannot be read: {finding}");
            return tell(object, context, "Failed", &text, None).await;
        }
    };
    match jobs.make(&job_of(owner, &spec, &context.placement)?).await {
        Ok(true) => tell(object, context, "Pending", "the pod starts", None).await.map(|_| Action::requeue(SOON)),
        Ok(false) => {
            let text = "there is a Job of the name that this inspection's Job has, and it does not belong to it";
            tell(object, context, "Pending", text, None).await.map(|_| Action::requeue(AGAIN))
        }
        Err(error) => {
            let Some(text) = error.refusal() else { return Err(error) };
            let text = format!("its Job was refused: {text}");
            tell(object, context, "Pending", &text, None).await.map(|_| Action::requeue(AGAIN))
        }
    }
}

/// Writes the status, if it changes, under the version that was read.
async fn tell(
    object: &KafkaBackupInspection,
    context: &Context,
    phase: &str,
    text: &str,
    pod: Option<String>,
) -> Result<Action, Error> {
    let moment = Moment::new(object.meta().generation.unwrap_or(0), Timestamp::now());
    let old = object.status.clone().unwrap_or_default();
    let mut conditions = old.conditions.clone();
    let (ready, failed) = (phase == "Ready", phase == "Failed");
    health(&mut conditions, (ready, failed, !ready && !failed), phase, text, moment);
    let new = KafkaBackupInspectionStatus {
        phase: Some(phase.to_owned()),
        message: Some(text.to_owned()),
        pod_name: pod.or(old.pod_name.clone()),
        observed_generation: Some(moment.generation),
        conditions,
    };
    if new == old {
        return Ok(Action::await_change());
    }
    let changed = KafkaBackupInspection { status: Some(new), ..object.clone() };
    Ok(write_status(&own(object, context), &changed).await?.then(Action::requeue(AGAIN)))
}

fn own(object: &KafkaBackupInspection, context: &Context) -> Api<KafkaBackupInspection> {
    Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default())
}

/// Removes one that failed once its author has had time to read why.
async fn expire(object: &KafkaBackupInspection, context: &Context) -> Result<Action, Error> {
    let since = object.status.as_ref().and_then(|status| status.conditions.iter().find(|one| one.type_ == "Stalled"));
    let age = since.map(|one| Timestamp::now().duration_since(one.last_transition_time.0));
    let left = age.and_then(|age| KEPT.checked_sub(Duration::try_from(age).unwrap_or(Duration::ZERO)));
    match left.filter(|left| !left.is_zero()) {
        Some(left) => Ok(Action::requeue(left)),
        None => remove(object, context).await,
    }
}

async fn remove(object: &KafkaBackupInspection, context: &Context) -> Result<Action, Error> {
    let removed = own(object, context).delete(&object.name_any(), &DeleteParams::background()).await;
    match removed.map_err(Error::from) {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(Action::await_change()),
    }
}
