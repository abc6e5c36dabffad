//! KafkaBackupInspection: a pod that answers one person's questions, or checks what a run connects to, until nobody asks.

use std::sync::Arc;
use std::time::Duration;

use api::inspection::{InspectedBackup, InspectionLevel, KafkaBackupInspection, KafkaBackupInspectionStatus};
use api::lower::job::{Owner, inspection as job_of};
use api::oso::{KafkaBackup, KafkaRestore};
use contract::{InspectSpec, RunSpec, SetOwner};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::jobs::Jobs;
use super::kind::{Kind, named, owner_of};
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
        return Box::pin(begin(&object, &context, &owner, &jobs)).await;
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
    let told = match object.spec.level {
        InspectionLevel::Check => Box::pin(checked(object, context, owner)).await?,
        InspectionLevel::Inspect | InspectionLevel::Peek | InspectionLevel::Compare | InspectionLevel::Diff => {
            Box::pin(looked_into(object, context, owner)).await?
        }
    };
    let spec = match told {
        Ok(spec) => spec,
        Err(text) => return tell(object, context, "Failed", &text, None).await,
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

/// What a pod is told, or why there is none, in words.
type Told = Result<InspectSpec, String>;

/// The look into the archive of a KafkaBackup.
async fn looked_into(object: &KafkaBackupInspection, context: &Context, owner: &Owner) -> Result<Told, Error> {
    let Some(InspectedBackup { name }) = &object.spec.backup_ref else {
        return Ok(Err("spec.backupRef is missing; name a KafkaBackup of this namespace".to_owned()));
    };
    let backup = match named::<KafkaBackup>(context, &owner.namespace, name).await? {
        Ok(backup) => backup,
        Err(text) => return Ok(Err(text)),
    };
    // Older points of the backup may come from another cluster: any will do.
    let whose = SetOwner { cluster_id: None, ..api::lower::set_owner_of(&backup, None) };
    let spec = api::lower::inspection(&object.spec, &backup.spec.storage, whose);
    let mut spec = match spec {
        Ok(spec) => InspectSpec { allowed_endpoints: context.allowed_endpoints.to_vec(), ..spec },
        Err(finding) => return Ok(Err(format!("KafkaBackup {name:?} cannot be read: {finding}"))),
    };
    if matches!(object.spec.level, InspectionLevel::Compare | InspectionLevel::Diff) {
        spec.source = match run_of(Ok(backup), context).await? {
            Ok(run) => Some(Box::new(run)),
            Err(text) => return Ok(Err(text)),
        };
    }
    Ok(Ok(spec))
}

/// The check of a run: of a resource in the cluster, or of one that came with the question.
async fn checked(object: &KafkaBackupInspection, context: &Context, owner: &Owner) -> Result<Told, Error> {
    let spec = &object.spec;
    let run = match (&spec.resource, &spec.restore_ref, &spec.backup_ref) {
        (Some(resource), None, None) if resource.get("kind").is_some_and(|kind| kind == "KafkaRestore") => {
            run_of::<KafkaRestore>(made(resource, owner), context).await?
        }
        (Some(resource), None, None) => run_of::<KafkaBackup>(made(resource, owner), context).await?,
        (None, Some(restore), None) => {
            run_of(named::<KafkaRestore>(context, &owner.namespace, &restore.name).await?, context).await?
        }
        (None, None, Some(backup)) => {
            run_of(named::<KafkaBackup>(context, &owner.namespace, &backup.name).await?, context).await?
        }
        // Admission refuses it; it may have been away.
        _ => Err("spec: exactly one of backupRef, restoreRef and resource must say what is checked".to_owned()),
    };
    Ok(run.map(|run| api::lower::check(spec, run)))
}

/// The resource that came with the question, as if it were in the namespace of the inspection. Only what was judged is taken.
fn made<K: Kind>(resource: &Value, owner: &Owner) -> Result<K, String> {
    let at = |path: &str| resource.pointer(path);
    let written = at("/metadata/namespace").and_then(Value::as_str);
    if let Some(other) = written.filter(|other| *other != owner.namespace) {
        return Err(format!(
            "spec.resource.metadata.namespace is {other:?}, and the pod of this check is in {:?}; make the inspection there",
            owner.namespace
        ));
    }
    let document = json!({
        "apiVersion": at("/apiVersion"), "kind": at("/kind"), "spec": at("/spec"),
        "metadata": {
            "name": at("/metadata/name"), "generateName": at("/metadata/generateName"), "namespace": owner.namespace,
        },
    });
    serde_json::from_value(document).map_err(|error| format!("spec.resource does not read: {error}"))
}

/// The run that a resource would have.
async fn run_of<K: Kind>(object: Result<K, String>, context: &Context) -> Result<Result<RunSpec, String>, Error> {
    let object = match object {
        Ok(object) => object,
        Err(text) => return Ok(Err(text)),
    };
    match object.lower(context, None).await {
        Ok(run) => Ok(Ok(RunSpec { allowed_endpoints: context.allowed_endpoints.to_vec(), ..run })),
        Err(Ok((_, text))) => Ok(Err(text)),
        Err(Err(Error::Unlowered(finding))) => Ok(Err(format!("{} cannot run: {finding}", K::kind(&())))),
        Err(Err(error)) => Err(error),
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
