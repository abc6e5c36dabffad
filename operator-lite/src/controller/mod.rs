//! Reconciling a resource: read, validate, decide, write the claim, make the Job, tell what became of it.
//!
//! Every write of a status carries the version that was read: two replicas cannot claim the same run. What is not
//! certain is read again.

mod backup;
mod follows;
mod foreign;
mod inspection;
mod jobs;
mod kept;
mod kind;
mod next;
mod offsets;
mod pages;
mod readings;
mod restore;
mod retention;
mod start;
mod strimzi;
#[cfg(test)]
mod tests;
mod unreadable;
mod validation;
mod work;

use std::sync::Arc;
use std::time::Duration;

use api::lower::job::Placement;
use api::oso::Storage;
use contract::{MetricsSpec, RunSpec};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::Api;
use kube::runtime::events::Recorder;

use crate::capacity::Capacity;
use crate::decide::{is_over, run_of};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::status::{Moment, PAUSED, State};
pub use kind::{Kind, Pending};
pub use next::Action;
pub use readings::Readings;
pub use start::start;
use work::Work;

/// How often a working run is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How soon a short step is followed by the next.
const SOON: Duration = Duration::from_secs(2);
/// How often something that is missing is looked for.
const AGAIN: Duration = Duration::from_secs(15);
/// Longest wait without a look: clocks jump.
const AT_LEAST: Duration = Duration::from_secs(300);

/// What all controllers share.
#[derive(Clone)]
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// How long after its node stopped to answer an attempt of a backup is given up, if ever.
    pub lost_after: Option<SignedDuration>,
    /// Where runs may connect to; everywhere when empty.
    pub allowed_endpoints: Arc<[String]>,
    /// Where committed offsets are saved by resources that name no place themselves.
    pub offsets_storage: Option<Arc<Storage>>,
    /// Where pods of runs go.
    pub placement: Arc<Placement>,
    /// How far runs are.
    pub readings: Readings,
    /// How many runs may work.
    pub capacity: Arc<Capacity>,
    /// Writes Events.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// Brings one resource a step further.
///
/// # Errors
/// When the API server refuses or does not answer; the resource is looked at again.
pub async fn reconcile<K: Kind>(object: Arc<K>, context: Arc<Context>) -> Result<Action, Error> {
    let now = Timestamp::now();
    let subject = object.subject(now);
    // From the status: an operator that was started anew knows it, too.
    context.metrics.seen(&subject.owner, &object.seen());
    if let Some(told) = object.told() {
        context.metrics.strimzi_seen(&subject.owner, &told);
    }
    if object.meta().deletion_timestamp.is_some() {
        // The garbage collector ends what belongs to it.
        context.capacity.give_back(&subject.owner.namespace, &subject.owner.uid);
        let api: Api<K> = Api::namespaced(context.client.clone(), &subject.owner.namespace);
        foreign::release(&api, object.meta()).await?;
        return Ok(Action::await_change());
    }
    let moment = Moment { changed: object.is_changed()?, ..Moment::new(subject.generation, now) };
    let mut work = Work { context: &context, object: &*object, moment, now, missing: None };
    if let Some(action) = foreign::hand_over(&work).await? {
        return Ok(action);
    }
    if K::UNTRIGGERS && subject.trigger.is_some() && subject.trigger == object.last_trigger().cloned() {
        work.untrigger().await?;
    }
    if !subject.is_unfinished()
        && let Some(text) = object.paused()
    {
        context.capacity.give_back(&subject.owner.namespace, &subject.owner.uid);
        return Ok(work.tell(&State::Pending(PAUSED, text)).await?.then(Action::await_change()));
    }
    let mode = object.mode();
    if mode.as_ref().is_some_and(|mode| is_over(&subject, mode)) {
        // What it ran with is not asked for any more: it may be gone.
        return beside(&work, work.step(&subject, None).await?).await;
    }
    let unfinished = subject.is_unfinished();
    if !unfinished && let Some(blocked) = work.blocked()? {
        context.capacity.give_back(&subject.owner.namespace, &subject.owner.uid);
        return Ok(work.tell(&blocked).await?.then(Action::await_change()));
    }
    let run = subject.claim.as_ref().filter(|_| unfinished).and_then(run_of);
    let spec = match object.lower(&context, run).await {
        Ok(spec) => Some(as_installed(spec, &*object, &context)),
        Err(Ok((reason, text))) if !unfinished => {
            return Ok(work.tell(&State::Pending(reason, text)).await?.then(Action::requeue(AGAIN)));
        }
        Err(Err(Error::TooLate(finding))) if !unfinished => {
            return Ok(work.tell(&State::Invalid(vec![finding])).await?.then(Action::await_change()));
        }
        // What a run needed is gone while it works: its Job goes on with what it has, and only another attempt waits for it.
        Err(Ok(pending)) => {
            work.missing = Some(pending);
            None
        }
        Err(Err(error)) if unfinished && (error.refusal().is_some() || error.is_missing()) => {
            tracing::warn!(%error, name = subject.owner.name, "what a run needs cannot be read; its Job goes on");
            work.missing = Some(("NotReadable", format!("what the run needs cannot be read: {error}")));
            None
        }
        Err(Err(error)) => return Err(error),
    };
    beside(&work, work.step(&subject, spec.as_ref()).await?).await
}

/// The work of a resource beside its runs, once they are looked at; what follows both.
async fn beside<K: Kind>(work: &Work<'_, K>, action: Action) -> Result<Action, Error> {
    let other = Box::pin(work.object.beside(work.context, work.moment)).await?;
    Ok(action.sooner(other))
}

/// A run with what the installation adds to it.
fn as_installed<K: Kind>(spec: RunSpec, object: &K, context: &Context) -> RunSpec {
    let by_default = context.placement.metrics && !object.says_metrics();
    RunSpec {
        allowed_endpoints: context.allowed_endpoints.to_vec(),
        metrics: if by_default { Some(MetricsSpec::default()) } else { spec.metrics },
        ..spec
    }
}
