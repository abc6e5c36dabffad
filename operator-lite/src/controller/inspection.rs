//! KafkaBackupInspection: a pod that answers one person's questions, or checks what a run connects to, until nobody asks.

use std::sync::Arc;
use std::time::Duration;

use api::checked::Checked;
use api::inspection::{
    CheckedResource, InspectedBackup, InspectionLevel, KafkaBackupInspection, KafkaBackupInspectionStatus,
};
use api::lower::job::{Owner, inspection as job_of, queue, queues};
use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaOffsetReset, KafkaOffsetRollback, KafkaRestore};
use api::strimzi::{self, BackupOf, Documented, Released, RestoreOf};
use contract::{InspectSpec, RunSpec, SetOwner};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::jobs::{HELD, Jobs};
use super::kind::{Kind, named, owner_of};
use super::work::write_status;
use super::{AGAIN, Action, Context, SOON};
use crate::capacity::{Class, Seat};
use crate::error::Error;
use crate::status::{Moment, health};
use crate::view;

/// The kinds that are named by a field of their own.
const OSO: &str = "kafka.oso.sh/v1alpha1";
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
    let wanted = queues(object.labels());
    if job.suspended && job.queues != wanted {
        jobs.move_to(job, &wanted).await?;
    }
    if job.lost_since.is_some()
        && let Some((reason, text)) = jobs.problem(job).await
    {
        tell(&object, &context, "Pending", &format!("{reason}: {text}"), None).await?;
        return Ok(Action::requeue(RENEW));
    }
    let pod = view::pod_name(&job.uid, &jobs.pods).filter(|_| view::is_running(&job.uid, &jobs.pods));
    if pod.is_some() {
        tell(&object, &context, "Ready", "questions are answered", pod).await?;
        return Ok(Action::requeue(RENEW));
    }
    let held = job.suspended.then(|| (HELD.0.to_owned(), HELD.1.to_owned()));
    let problem = jobs.problem(job).await.or(held).map(|(reason, text)| format!("{reason}: {text}"));
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
    let mut made_of = job_of(owner, &spec, &context.placement)?;
    queue(&mut made_of, object.labels());
    match jobs.make(&made_of).await {
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
    let found = match (&spec.resource, &spec.resource_ref, &spec.restore_ref, &spec.backup_ref) {
        (Some(resource), None, None, None) => {
            Checked::of_document(resource).map(|kind| (kind, Subject::Given(resource)))
        }
        (None, Some(CheckedResource { api_version, kind, name }), None, None) => {
            Checked::of(api_version, kind).map(|kind| (kind, Subject::Named(name)))
        }
        (None, None, Some(restore), None) => {
            Checked::of(OSO, "KafkaRestore").map(|kind| (kind, Subject::Named(&restore.name)))
        }
        (None, None, None, Some(backup)) => {
            Checked::of(OSO, "KafkaBackup").map(|kind| (kind, Subject::Named(&backup.name)))
        }
        _ => None, // admission refuses it; it may have been away
    };
    let Some((kind, subject)) = found else {
        let rule = "spec: exactly one of backupRef, restoreRef, resourceRef and resource must name what runs";
        return Ok(Err(rule.to_owned()));
    };
    let run = match (kind.group, kind.kind) {
        (strimzi::GROUP, "KafkaBackup") => subject.run::<BackupOf<Documented>>(context, owner).await?,
        (strimzi::GROUP, "KafkaRestore") => subject.run::<RestoreOf<Documented>>(context, owner).await?,
        (strimzi::RELEASED_GROUP, "KafkaBackup") => subject.run::<BackupOf<Released>>(context, owner).await?,
        (strimzi::RELEASED_GROUP, "KafkaRestore") => subject.run::<RestoreOf<Released>>(context, owner).await?,
        (_, "KafkaBackup") => subject.run::<KafkaBackup>(context, owner).await?,
        (_, "KafkaRestore") => subject.run::<KafkaRestore>(context, owner).await?,
        (_, "KafkaOffsetReset") => subject.run::<KafkaOffsetReset>(context, owner).await?,
        (_, "KafkaOffsetRollback") => subject.run::<KafkaOffsetRollback>(context, owner).await?,
        (_, "KafkaBackupValidation") => subject.run::<KafkaBackupValidation>(context, owner).await?,
        (group, kind) => Err(format!("{kind} of {group} cannot be checked by this release of the operator")),
    };
    Ok(run.map(|run| api::lower::check(spec, run)))
}

/// What is checked.
#[derive(Clone, Copy)]
enum Subject<'a> {
    /// A resource that came with the question.
    Given(&'a Value),
    /// A resource of the inspection's namespace.
    Named(&'a str),
}

impl Subject<'_> {
    async fn run<K: Kind>(self, context: &Context, owner: &Owner) -> Result<Result<RunSpec, String>, Error> {
        let object = match self {
            Self::Given(resource) => made(resource, owner),
            Self::Named(name) => named::<K>(context, &owner.namespace, name).await?,
        };
        Box::pin(run_of(object, context)).await
    }
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
    // A time ahead of the clock is no age: it would be kept until then.
    let left = age.and_then(|age| KEPT.checked_sub(Duration::try_from(age).ok()?));
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
