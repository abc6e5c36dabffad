//! Reconciling a resource: read, validate, decide, write the claim, make the Job, tell what became of it.
//!
//! Every write of a status carries the version that was read: two replicas cannot claim the same run. What is not
//! certain is read again.

mod backup;
mod foreign;
mod inspection;
mod jobs;
mod kind;
mod later;
mod restore;
mod start;

use std::sync::Arc;
use std::time::Duration;

use api::finding::Level;
use api::lower::job::{Owner, Placement, SPEC_LIMIT, claim, digest, job};
use contract::RunSpec;
use jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{EventType, Recorder};
use kube::{Client, ResourceExt};

use crate::capacity::Capacity;
use crate::decide::{Step, Subject, Wish, decide, run_of};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::status::{Moment, Running, State};
use jobs::Jobs;
pub use kind::{Kind, Pending};
pub use start::start;

/// Our name as a writer of statuses.
pub const FIELD_MANAGER: &str = "kafka-backup-lite";
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
    /// Where pods of runs go.
    pub placement: Arc<Placement>,
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
    let subject = object.subject();
    // From the status: an operator that was started anew knows it, too.
    if let Some(time) = object.last_success().and_then(|time| time.parse().ok()) {
        context.metrics.last_success(&subject.owner, time);
    }
    if object.meta().deletion_timestamp.is_some() {
        // The garbage collector ends what belongs to it.
        context.capacity.give_back(&subject.owner.namespace, &subject.owner.uid);
        let api: Api<K> = Api::namespaced(context.client.clone(), &subject.owner.namespace);
        foreign::release(&api, object.meta()).await?;
        return Ok(Action::await_change());
    }
    let moment = Moment::new(subject.generation, now);
    let work = Work { context: &context, object: &*object, moment, now };
    if let Some(action) = foreign::hand_over(&work).await? {
        return Ok(action);
    }
    let unfinished = subject.is_unfinished();
    if !unfinished && let Some(blocked) = work.blocked()? {
        return work.tell(&blocked, Action::await_change()).await;
    }
    let run = subject.claim.as_ref().filter(|_| unfinished).map(run_of);
    let spec = match object.lower(&context.client, run).await {
        Ok(spec) => spec,
        Err(Ok((reason, text))) if !unfinished => {
            return work.tell(&State::Pending(reason, text), Action::requeue(AGAIN)).await;
        }
        // What a run needed is gone while it works: its Job goes on with what it has.
        Err(Ok(_)) => return Ok(Action::requeue(AGAIN)),
        Err(Err(error)) => return Err(error),
    };
    work.step(&subject, &spec).await
}

/// One resource at one moment.
pub(crate) struct Work<'a, K> {
    pub(crate) context: &'a Context,
    pub(crate) object: &'a K,
    pub(crate) moment: Moment,
    now: Timestamp,
}

impl<K: Kind> Work<'_, K> {
    /// Why it must not run as it is written.
    fn blocked(&self) -> Result<Option<State>, Error> {
        let document = serde_json::to_value(self.object)?;
        let findings = api::document::check(&document, self.moment.now);
        if findings.iter().any(|finding| finding.level == Level::Error) {
            return Ok(Some(State::Invalid(findings)));
        }
        let fields = self.object.not_implemented();
        Ok((!fields.is_empty()).then_some(State::NotImplemented(fields)))
    }

    async fn step(&self, subject: &Subject, spec: &RunSpec) -> Result<Action, Error> {
        let (client, owner) = (&self.context.client, &subject.owner);
        let wish = Wish {
            mode: self.object.mode(),
            suspended: self.object.suspended(),
            digest: digest(spec, &self.context.placement),
        };
        // A resource at rest costs no request.
        let unfinished = subject.is_unfinished();
        let swept = subject.claim.as_ref().is_none_or(|claim| claim.job_uid.is_none());
        let at_rest = !unfinished && swept;
        let jobs = if at_rest { Jobs::none(client, owner) } else { Jobs::of(client, owner).await? };
        let room = self.room(owner, unfinished);
        let step = decide(subject, &wish, &jobs.views, room, self.now);
        if !unfinished && !matches!(step, Step::Claim(_)) {
            self.context.capacity.give_back(&owner.namespace, &owner.uid);
        }
        self.act(step, subject, spec, &jobs).await
    }

    fn room(&self, owner: &Owner, unfinished: bool) -> bool {
        let (capacity, now) = (&self.context.capacity, tokio::time::Instant::now());
        if unfinished {
            capacity.count(&owner.namespace, &owner.uid, now);
        }
        capacity.take(&owner.namespace, &owner.uid, now)
    }

    async fn act(&self, step: Step, subject: &Subject, spec: &RunSpec, jobs: &Jobs) -> Result<Action, Error> {
        let claim = subject.claim.clone().unwrap_or_default();
        let name = api::lower::job::job_name(&subject.owner, &run_of(&claim), claim.attempt);
        match step {
            Step::Idle { next, look } => {
                let later = |time| Action::requeue(until(time, self.now));
                self.tell(&State::Idle(next), look.map_or_else(Action::await_change, later)).await
            }
            Step::Queue => {
                let text = "a run is due and waits until another one has ended (maxConcurrentRuns)".to_owned();
                self.tell(&State::Pending("Queued", text), Action::requeue(SOON)).await
            }
            Step::Claim(tick) => {
                let id = tick.claim.id.clone();
                let action = self.tell(&State::Claimed(tick), Action::requeue(Duration::ZERO)).await?;
                self.event(EventType::Normal, "RunClaimed", &format!("run {id}")).await;
                Ok(action)
            }
            Step::Make => self.make(&subject.owner, spec, claim.attempt, jobs).await,
            Step::Note(uid) => {
                let running = Running { job_uid: Some(uid), ..Running::default() };
                self.tell(&State::Running(Box::new(running)), Action::requeue(SOON)).await
            }
            Step::Watch => {
                let job = jobs.views.iter().find(|job| job.name == name);
                let (mut progress, mut problem) = (None, None);
                if let Some(job) = job {
                    progress = jobs.progress(&job.uid).await;
                    problem = jobs.problem(job).await;
                }
                let running = Running { job_uid: None, progress, problem };
                self.tell(&State::Running(Box::new(running)), Action::requeue(LOOK)).await
            }
            Step::Stop => {
                jobs.stop(&name).await?;
                self.event(EventType::Normal, "RunStopping", "the specification changed, or it is suspended").await;
                Ok(Action::requeue(SOON))
            }
            // Not longer than a look: its place is kept.
            Step::Wait(time) => Ok(Action::requeue(until(time, self.now).min(LOOK))),
            Step::Again { next, why } => {
                let text = format!("attempt {} ended; attempt {} follows. {why}", claim.attempt, next.attempt);
                let action = self.tell(&State::Retrying(next, text.clone()), Action::requeue(Duration::ZERO)).await?;
                self.event(EventType::Warning, "RunRetried", &text).await;
                jobs.remove(&name).await?;
                Ok(action)
            }
            Step::Conclude(verdict) => {
                let (completed, reason, text) = (verdict.completed, verdict.reason.clone(), verdict.message.clone());
                self.context.metrics.run_ended(&subject.owner, &claim, &verdict, self.moment.now);
                let state = State::Over(Box::new(claim), verdict);
                let action = self.tell(&state, Action::requeue(SOON)).await?;
                let kind = if completed { EventType::Normal } else { EventType::Warning };
                self.event(kind, if completed { "RunCompleted" } else { "RunFailed" }, &format!("{reason}: {text}"))
                    .await;
                self.context.capacity.give_back(&subject.owner.namespace, &subject.owner.uid);
                Ok(action)
            }
            Step::Sweep(names) => {
                for job in jobs.views.iter().filter(|job| !job.deleting && names.contains(&job.name)) {
                    jobs.remove(&job.name).await?;
                }
                self.tell(&State::Swept, Action::requeue(SOON)).await
            }
        }
    }

    /// Makes the Job of an attempt. What was read may be old: the resource is read again first.
    async fn make(&self, owner: &Owner, spec: &RunSpec, attempt: u32, jobs: &Jobs) -> Result<Action, Error> {
        let fresh = self.api().get(&owner.name).await?;
        if fresh.resource_version() != self.object.resource_version() {
            return Ok(Action::requeue(SOON));
        }
        let made = job(owner, spec, attempt, &self.context.placement);
        if serde_json::to_string(spec)?.len() > SPEC_LIMIT {
            let text = format!(
                "the specification of the run is larger than {SPEC_LIMIT} bytes; name fewer topics, or use patterns"
            );
            return self.tell(&State::Pending("SpecTooLarge", text), Action::await_change()).await;
        }
        let asked = self.object.storage().and_then(|storage| claim(&owner.namespace, storage));
        let result = async {
            if let Some(claim) = &asked {
                jobs.make_claim(claim).await?;
            }
            jobs.make(&made).await
        };
        match result.await {
            Ok(()) => Ok(Action::requeue(Duration::ZERO)),
            Err(error) => {
                let Some(text) = error.refusal() else { return Err(error) };
                let problem = Some(("JobRefused".to_owned(), format!("the Job of the run was refused: {text}")));
                let running = Running { problem, ..Running::default() };
                self.tell(&State::Running(Box::new(running)), Action::requeue(AGAIN)).await
            }
        }
    }

    pub(crate) fn api(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.object.namespace().unwrap_or_default())
    }

    /// Writes the status, if it changes, under the version that was read.
    pub(crate) async fn tell(&self, state: &State, after: Action) -> Result<Action, Error> {
        let Some(new) = self.object.with_status(state, self.moment) else { return Ok(after) };
        write_status(&self.api(), &new, after).await
    }

    pub(crate) async fn event(&self, kind: EventType, reason: &str, note: &str) {
        let event = kube::runtime::events::Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note.chars().take(1_000).collect()),
            action: "Run".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.context.recorder.publish(&event, &self.object.object_ref(&())).await {
            tracing::warn!(%error, "an Event could not be written");
        }
    }
}

/// Writes an object's status under the version that was read.
async fn write_status<K>(api: &Api<K>, new: &K, after: Action) -> Result<Action, Error>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match api.replace_status(&new.name_any(), &parameters, new).await.map_err(Error::from) {
        Ok(_) => Ok(after),
        // Somebody else wrote: what they wrote is read, and decided on.
        Err(error) if error.is_conflict() => Ok(Action::requeue(SOON)),
        Err(error) if error.is_missing() => Ok(Action::await_change()),
        Err(error) => Err(error),
    }
}

fn until(time: Timestamp, now: Timestamp) -> Duration {
    let wait = time.duration_since(now);
    Duration::try_from(wait).unwrap_or(Duration::ZERO).clamp(Duration::from_millis(50), AT_LEAST)
}
