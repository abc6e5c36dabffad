//! Starting the controllers, for all namespaces or for some.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use api::inspection::KafkaBackupInspection;
use api::lower::job::{MANAGED_LABEL, MANAGER};
use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaOffsetReset, KafkaOffsetRollback, KafkaRestore, RunClaim};
use api::strimzi::{BackupOf, Documented, GROUP, RELEASED_GROUP, Released, RestoreOf};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, join_all, ready};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::kept::{Kept, Large, whole};
use super::pages::each;
use super::strimzi::{self, Strimzi};
use super::{Action, Context, Kind, inspection, reconcile, unreadable};
use crate::error::Error;
use crate::seen::Job;

/// How soon a failed look is repeated.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How often series of resources that are gone are ended.
const FORGET: Duration = Duration::from_secs(60);
/// Resources of a kind that are worked on at once: one whose request is answered late holds up no other.
const AT_ONCE: u16 = 256;

/// How long a large resource is looked at, of which few are looked at at once. Every request ends before that.
const TURN: Duration = Duration::from_secs(120);

/// Objects of a page when all of a kind are read: each may be large.
const PAGE: u32 = 8;
/// Of Jobs only the metadata is read.
const PAGE_OF_JOBS: u32 = 32;

/// Runs all controllers until `stop`. No namespaces means all of them; `groups` are those whose kinds are installed.
pub async fn start(context: Context, namespaces: &[String], groups: &[String], stop: CancellationToken) {
    let context = Arc::new(context);
    let serves = |group: &str| groups.iter().any(|known| known == group);
    let scopes: Vec<Option<&String>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(Some).collect() };
    // Runs of the operator before this one have their places, before a new one takes any.
    for scope in &scopes {
        tokio::select! {
            () = async {
                tokio::join!(
                    count::<KafkaBackup>(&context, *scope),
                    count::<KafkaRestore>(&context, *scope),
                    count::<KafkaOffsetReset>(&context, *scope),
                    count::<KafkaOffsetRollback>(&context, *scope),
                    count::<KafkaBackupValidation>(&context, *scope),
                );
                if serves(GROUP) {
                    tokio::join!(count::<BackupOf<Documented>>(&context, *scope), count::<RestoreOf<Documented>>(&context, *scope));
                }
                if serves(RELEASED_GROUP) {
                    tokio::join!(count::<BackupOf<Released>>(&context, *scope), count::<RestoreOf<Released>>(&context, *scope));
                }
            } => {}
            () = stop.cancelled() => return,
        }
    }
    let mut all: Vec<BoxFuture<'_, ()>> = Vec::new();
    for scope in scopes {
        all.push(kind::<KafkaBackup>(&context, scope, &stop).boxed());
        all.push(kind::<KafkaRestore>(&context, scope, &stop).boxed());
        all.push(kind::<KafkaOffsetReset>(&context, scope, &stop).boxed());
        all.push(kind::<KafkaOffsetRollback>(&context, scope, &stop).boxed());
        all.push(kind::<KafkaBackupValidation>(&context, scope, &stop).boxed());
        all.push(inspections(&context, scope, &stop).boxed());
        if serves(GROUP) {
            all.push(kind::<BackupOf<Documented>>(&context, scope, &stop).boxed());
            all.push(kind::<RestoreOf<Documented>>(&context, scope, &stop).boxed());
        }
        if serves(RELEASED_GROUP) {
            all.push(kind::<BackupOf<Released>>(&context, scope, &stop).boxed());
            all.push(kind::<RestoreOf<Released>>(&context, scope, &stop).boxed());
        }
    }
    join_all(all).await;
}

fn scoped<K>(context: &Context, scope: Option<&String>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match scope {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    }
}

/// Counts the runs of a kind that are claimed and work. Asks until the API server answers; where it refuses, nothing is run.
pub(super) async fn count<K: Kind>(context: &Context, scope: Option<&String>) {
    while let Err(error) = count_once::<K>(context, scope).await {
        if error.refusal().is_some() {
            tracing::warn!(%error, kind = %K::kind(&()), namespace = scope, "may not be listed: no run of it is counted");
            return;
        }
        tracing::warn!(%error, kind = %K::kind(&()), "the runs that work could not be counted; trying again");
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

async fn count_once<K: Kind>(context: &Context, scope: Option<&String>) -> Result<(), Error> {
    let works = |claim: &RunClaim| claim.is_unfinished() && claim.job_uid.is_some();
    let one = |object: &K| {
        if object.claim().is_some_and(works) {
            context.capacity.count(&object.seat(), tokio::time::Instant::now());
        }
    };
    let mut large = Vec::new();
    // What does not read has no claim that anybody knows of.
    let take = |kept: Kept<K>| match kept {
        Kept::Whole(object) => one(&object),
        Kept::Large(meta) => large.push(meta),
        Kept::Unreadable(_) => {}
    };
    each(&scoped::<Kept<K>>(context, scope), ListParams::default(), usize::MAX, take).await?;
    for meta in large {
        let read = whole::<K>(&place(context, &meta), &meta).await?;
        if let Some(Large { object: Ok(object), .. }) = read {
            one(&object);
        }
    }
    Ok(())
}

/// Where a resource is.
fn place<K>(context: &Context, meta: &ObjectMeta) -> Api<DeserializeGuard<K>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(context.client.clone(), meta.namespace.as_deref().unwrap_or_default())
}

/// Looks at a resource as `look` does, whichever way it is kept.
pub(super) async fn look_at<K, F>(
    kept: &Kept<K>,
    context: &Context,
    look: impl FnOnce(Arc<K>) -> F,
) -> Result<Action, Error>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
    F: Future<Output = Result<Action, Error>>,
{
    match kept {
        Kept::Whole(object) => look(Arc::new(K::clone(object))).await,
        Kept::Unreadable(invalid) => unreadable::tell::<K>(invalid, context).await,
        Kept::Large(meta) => match whole::<K>(&place(context, meta), meta).await? {
            // Its turn lasts as long as this match, and no longer than one may: others wait for it.
            Some(Large { object: Ok(object), .. }) => match timeout(TURN, look(Arc::new(object))).await {
                Ok(looked) => looked,
                Err(_) => Err(Error::TooSlow(TURN)),
            },
            Some(Large { object: Err(invalid), .. }) => unreadable::tell::<K>(&invalid, context).await,
            None => Ok(Action::await_change()),
        },
    }
}

/// Jobs that this operator made.
fn own_jobs() -> watcher::Config {
    watcher::Config::default().labels(&format!("{MANAGED_LABEL}={MANAGER}")).page_size(PAGE_OF_JOBS)
}

/// All resources of a kind.
fn all() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

async fn kind<K: Kind>(context: &Arc<Context>, scope: Option<&String>, stop: &CancellationToken) {
    let name = K::kind(&()).into_owned();
    let config = kube::runtime::controller::Config::default().concurrency(AT_ONCE).debounce(Duration::from_millis(20));
    let run = |object: Arc<Kept<K>>, context: Arc<Context>| async move {
        let name = K::kind(&()).into_owned();
        let begun = tokio::time::Instant::now();
        let look = |object| reconcile(object, Arc::clone(&context));
        let result = look_at(&object, &context, look).await;
        context.metrics.reconciled(&name, result.is_ok(), begun.elapsed());
        result.map(controller::Action::from)
    };
    let controller = Controller::new(scoped::<Kept<K>>(context, scope), all());
    let known = controller.store();
    let forget = async {
        loop {
            tokio::time::sleep(FORGET).await;
            // Only this scope's: another namespace's resources are another controller's.
            context.metrics.forget(&K::group(&()), &name, |namespace, name| {
                scope.is_some_and(|scope| scope != namespace)
                    || known.get(&ObjectRef::new(name).within(namespace)).is_some()
            });
        }
    };
    let control = beside::<K>(controller, context, scope)
        .await
        .owns(scoped::<Job>(context, scope), own_jobs())
        .with_config(config)
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(run, |_, error, _| after(error), Arc::clone(context))
        .for_each(|result| {
            report(&name, result);
            ready(())
        });
    tokio::select! {
        () = control => {}
        () = forget => {}
    }
}

/// Lets resources be looked at when what they refer to changes, too.
async fn beside<K: Kind>(
    mut controller: Controller<Kept<K>>,
    context: &Context,
    scope: Option<&String>,
) -> Controller<Kept<K>> {
    if !K::STRIMZI {
        return controller;
    }
    for kind in strimzi::kinds(&context.client).await {
        let api: Api<Strimzi> = match scope {
            Some(namespace) => Api::namespaced_with(context.client.clone(), namespace, &kind),
            None => Api::all_with(context.client.clone(), &kind),
        };
        let (known, name) = (controller.store(), kind.kind.clone());
        controller = controller.watches_with(api, kind, all(), move |object: Strimzi| {
            let (namespace, object) = (object.namespace().unwrap_or_default(), object.name_any());
            let refers = |kept: &Arc<Kept<K>>| match &**kept {
                Kept::Whole(whole) => whole.refers_to(&name, &namespace, &object),
                // What it refers to is not kept.
                Kept::Large(_) => true,
                Kept::Unreadable(_) => false,
            };
            known
                .state()
                .iter()
                .filter(|kept| refers(kept))
                .map(|kept| ObjectRef::from_obj(&**kept))
                .collect::<Vec<_>>()
        });
    }
    controller
}

async fn inspections(context: &Arc<Context>, scope: Option<&String>, stop: &CancellationToken) {
    let run = |object: Arc<Kept<KafkaBackupInspection>>, context: Arc<Context>| async move {
        let look = |object| inspection::reconcile(object, Arc::clone(&context));
        look_at(&object, &context, look).await.map(controller::Action::from)
    };
    Controller::new(scoped::<Kept<KafkaBackupInspection>>(context, scope), all())
        .owns(scoped::<Job>(context, scope), own_jobs())
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(run, |_, error, _| after(error), Arc::clone(context))
        .for_each(|result| {
            report("KafkaBackupInspection", result);
            ready(())
        })
        .await;
}

fn after(error: &Error) -> controller::Action {
    tracing::warn!(%error, "a look at a resource failed and is repeated");
    controller::Action::requeue(AFTER_ERROR)
}

fn report<T: Debug, E: Debug>(kind: &str, result: Result<T, controller::Error<Error, E>>) {
    match result {
        Ok(object) => tracing::debug!(kind, ?object, "looked at"),
        // An object that went meanwhile, and a look whose failure was told.
        Err(error @ (controller::Error::ObjectNotFound(_) | controller::Error::ReconcilerFailed(..))) => {
            tracing::debug!(kind, ?error, "not looked at");
        }
        Err(error) => tracing::warn!(kind, ?error, "a kind cannot be watched"),
    }
}
