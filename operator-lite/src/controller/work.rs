//! One resource at one moment: what is decided of it is carried out.
//!
//! What follows a write (an Event, a count, the removal of a Job) follows only when the write was kept: whoever lost
//! against another writer reads again, and decides again.

use std::time::Duration;

use api::finding::Level;
use api::lower::job::{MANAGER, Owner, SPEC_LIMIT, claim, digest, is_job_name, job, queue, queues};
use api::oso::RunClaim;
use api::ticks::CLOCKS_DIFFER;
use axum::http;
use contract::RunSpec;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::core::request::Error as RequestError;
use kube::runtime::events::EventType;
use serde_json::json;

use super::jobs::{HELD, Jobs};
use super::kind::trigger_of;
use super::{AGAIN, AT_LEAST, Action, Context, Kind, LOOK, Pending, SOON, as_installed};
use crate::capacity::Turn;
use crate::decide::{
    End, JobView, Mode, Start, Step, Subject, Verdict, Wish, decide, job_of, outlived, retry_words, undo_first,
};
use crate::error::Error;
use crate::status::{Moment, Running, State};
use crate::view;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It is kept.
    Written,
    /// There was nothing to write.
    Unchanged,
    /// Somebody else wrote first: what they wrote is read, and decided on.
    Stale,
    /// The object is gone.
    Gone,
}

impl Told {
    /// What is done next: `after`, if the write stands.
    pub(super) fn then(self, after: Action) -> Action {
        match self {
            Self::Written | Self::Unchanged => after,
            Self::Stale => Action::requeue(SOON),
            Self::Gone => Action::await_change(),
        }
    }
}

/// Why a run cannot be lowered, where what it needs is there, and its owner does not give it.
const REFUSED: [&str; 4] = ["RestoreNotAllowed", "ValidationNotAllowed", "BackupForbidden", "StrimziForbidden"];
/// Attempts whose Jobs are kept.
const KEPT_ATTEMPTS: usize = 2;

/// One resource at one moment.
pub(super) struct Work<'a, K> {
    pub(super) context: &'a Context,
    pub(super) object: &'a K,
    pub(super) moment: Moment,
    pub(super) now: Timestamp,
    /// What its run takes and what is not there.
    pub(super) missing: Option<Pending>,
}

impl<K: Kind> Work<'_, K> {
    /// Why it must not run as it is written.
    pub(super) fn blocked(&self) -> Result<Option<State>, Error> {
        let document = serde_json::to_value(self.object)?;
        let findings = api::document::check_kept(&document, self.moment.now);
        if findings.iter().any(|finding| finding.level == Level::Error) {
            return Ok(Some(State::Invalid(findings)));
        }
        let fields = self.object.not_implemented();
        Ok((!fields.is_empty()).then_some(State::NotImplemented(fields)))
    }

    /// Decides, and does it. Without `spec`, nothing can be made: what it takes is not there, or nobody asks for it any more.
    pub(super) async fn step(&self, subject: &Subject, spec: Option<&RunSpec>) -> Result<Action, Error> {
        let (client, owner) = (&self.context.client, &subject.owner);
        let claimed = subject.claim.as_ref().map(|claim| claim.digest.clone()).unwrap_or_default();
        let placement = self.object.placement(&self.context.placement);
        let wish = Wish {
            // A run of a schedule that does not read any more ends like any other.
            mode: self.object.mode().unwrap_or(Mode::Once),
            suspended: self.object.suspended(),
            digest: spec.map_or(Ok(claimed), |spec| digest(spec, &placement))?,
            image: placement.image.clone(),
            shape: self.object.shape()?,
            lost_after: self.lost_after(),
            most_failures: self.object.most_failures(),
        };
        // A resource at rest costs no request.
        let unfinished = subject.is_unfinished();
        let swept = subject.claim.as_ref().is_none_or(|claim| claim.job_uid.is_none());
        let mut jobs = if !unfinished && swept { Jobs::none(client, owner) } else { Jobs::of(client, owner).await? };
        // Those of another work of the resource are looked at there.
        jobs.views.retain(|job| is_job_name(owner, &job.name));
        let problem = if unfinished { self.problem(subject, &mut jobs).await } else { None };
        let step = undo_first(self.object.undoes(), subject, decide(subject, &wish, &jobs.views, self.now));
        if let Err(turn) = self.place(&step, problem.is_some()) {
            return self.queue(unfinished, &turn).await;
        }
        self.act(step, subject, spec, &jobs, problem).await
    }

    /// How long after its node stopped to answer an attempt is given up.
    fn lost_after(&self) -> Option<SignedDuration> {
        self.context.lost_after.filter(|_| K::FENCED)
    }

    /// What keeps the claim's pod from running; its Job is then known to be stuck.
    async fn problem(&self, subject: &Subject, jobs: &mut Jobs) -> Option<(String, String)> {
        let claim = subject.claim.as_ref()?;
        let name = job_of(subject, claim)?;
        let view = jobs.views.iter().find(|job| job.name == name && job.ended.is_none())?.clone();
        if view.suspended && claim.stopping != Some(true) {
            return Some(self.held(&view, jobs).await);
        }
        let (reason, mut text) = jobs.problem(&view).await?;
        let turn = self.lost_after().zip(view.lost_since).and_then(|(after, since)| since.checked_add(after).ok());
        if let Some(turn) = turn {
            text = format!("{text}. The next attempt begins at {turn} without it");
        }
        let stuck = |job: &&mut JobView| job.name == name && job.start == Start::Awaited;
        if let Some(job) = jobs.views.iter_mut().find(stuck) {
            job.start = Start::Stuck;
        }
        Some((reason, text))
    }

    /// What is told of a Job that something else suspends. A queue that it was named wrongly is corrected.
    async fn held(&self, view: &JobView, jobs: &Jobs) -> (String, String) {
        let (reason, text) = HELD;
        let wanted = queues(self.object.labels());
        let mut text = text.to_owned();
        if view.queues != wanted
            && let Err(error) = jobs.move_to(view, &wanted).await
        {
            let why = error.refusal().map_or_else(|| error.to_string(), str::to_owned);
            text = format!("{text}. It cannot be given the labels of its resource: {}", view::told(&why));
        }
        (reason.to_owned(), text)
    }

    /// Takes, keeps or gives back the place of the resource's run.
    fn place(&self, step: &Step, stuck: bool) -> Result<(), Turn> {
        let (capacity, seat, now) = (&self.context.capacity, self.object.seat(), tokio::time::Instant::now());
        if step.begins() {
            return capacity.take(&seat, now);
        }
        if step.keeps_place(stuck) {
            capacity.count(&seat, now);
        } else {
            capacity.give_back(&seat.namespace, &seat.uid);
        }
        Ok(())
    }

    async fn queue(&self, unfinished: bool, turn: &Turn) -> Result<Action, Error> {
        let text = turn.to_string();
        let state = if unfinished {
            let problem = Some(("Queued".to_owned(), text));
            State::Running(Box::new(Running { problem, ..Running::default() }))
        } else {
            State::Pending("Queued", text)
        };
        Ok(self.tell(&state).await?.then(Action::requeue(SOON)))
    }

    async fn act(
        &self,
        step: Step,
        subject: &Subject,
        spec: Option<&RunSpec>,
        jobs: &Jobs,
        problem: Option<(String, String)>,
    ) -> Result<Action, Error> {
        let claim = subject.claim.clone().unwrap_or_default();
        let running = |running: Running| State::Running(Box::new(running));
        match step {
            Step::Idle { next, look } => {
                if self.object.is_new() {
                    self.end_orphans(&subject.owner, jobs).await?;
                }
                let later = |time| Action::requeue(until(time, self.now));
                let look = [look, self.object.changes_at(self.now)].into_iter().flatten().min();
                let after = look.map_or_else(Action::await_change, later);
                let told = self.tell(&State::Idle(next)).await?;
                self.tell_of_clock(subject, told).await;
                Ok(told.then(after))
            }
            Step::Claim(mut tick) => {
                if subject.claim.is_none()
                    && let Some(action) = self.end_orphans(&subject.owner, jobs).await?
                {
                    return Ok(action);
                }
                if !self.object.pin(self.context, &mut tick.claim).await? {
                    return Ok(Action::requeue(SOON));
                }
                let text = format!("run {}{}", tick.claim.id, tick.words());
                let told = self.tell(&State::Claimed(tick)).await?;
                if told == Told::Written {
                    self.run_event(EventType::Normal, "Claimed", &text).await;
                }
                self.tell_of_clock(subject, told).await;
                Ok(told.then(Action::requeue(Duration::ZERO)))
            }
            Step::Make => {
                let kept = if spec.is_none() { self.kept(subject, &claim, jobs).await? } else { None };
                match (spec.or(kept.as_ref()), &self.missing) {
                    (Some(spec), _) => self.make(subject, spec, claim.attempt, jobs).await,
                    (None, Some((reason, text))) => self.not_made(reason, text.clone()).await,
                    (None, None) => Ok(Action::requeue(AGAIN)),
                }
            }
            Step::Note(uid) => {
                let state = running(Running { job_uid: Some(uid), ..Running::default() });
                Ok(self.tell(&state).await?.then(Action::requeue(SOON)))
            }
            Step::NoteStart => {
                let state = running(Running { ran: true, ..Running::default() });
                Ok(self.tell(&state).await?.then(Action::requeue(SOON)))
            }
            Step::Renew(claim) => Ok(self.tell(&State::Renewed(claim)).await?.then(Action::requeue(Duration::ZERO))),
            Step::Watch => {
                let name = job_of(subject, &claim);
                let job = jobs.views.iter().find(|job| Some(&job.name) == name.as_ref());
                let progress = match job {
                    Some(job) => jobs.progress(&job.uid, &self.context.readings).await,
                    None => None,
                };
                let state = running(Running { progress, problem, ..Running::default() });
                Ok(self.tell(&state).await?.then(Action::requeue(LOOK)))
            }
            Step::NoteStop => {
                let state = running(Running { stopping: true, ..Running::default() });
                Ok(self.tell(&state).await?.then(Action::requeue(Duration::ZERO)))
            }
            Step::Stop => {
                if let Some(name) = job_of(subject, &claim) {
                    jobs.stop(&name).await?;
                }
                self.run_event(EventType::Normal, "Stopping", "the specification changed, or it is suspended").await;
                Ok(Action::requeue(SOON))
            }
            // Not longer than a look: clocks jump.
            Step::Wait(time) => {
                let after = Action::requeue(until(time, self.now).min(LOOK));
                Ok(self.tell(&State::Waiting).await?.then(after))
            }
            Step::Again { next, why } => self.again(subject, &claim, next, &why, jobs).await,
            Step::Conclude(verdict) => self.conclude(claim, verdict).await,
            Step::Clear(names) => {
                jobs.remove_all(&names).await?;
                Ok(Action::requeue(SOON))
            }
            Step::Unreadable(finding) => {
                Ok(self.tell(&State::Invalid(vec![finding])).await?.then(Action::await_change()))
            }
            Step::Sweep(names) => {
                jobs.remove_all(&names).await?;
                Ok(self.tell(&State::Swept).await?.then(Action::requeue(SOON)))
            }
        }
    }

    /// Runs of a resource of this name that was deleted without its Jobs are nobody's: they end before the first run of this one
    /// begins. What is done meanwhile; `None` when there is none of them.
    async fn end_orphans(&self, owner: &Owner, jobs: &Jobs) -> Result<Option<Action>, Error> {
        let orphans = jobs.orphans(owner).await?;
        if orphans.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = orphans.iter().map(|orphan| orphan.name.as_str()).collect();
        let names = names.join(", ");
        let text = format!("Jobs of a resource of this name that was deleted without them are ended first: {names}");
        if jobs.end_all(&orphans).await? {
            self.event(EventType::Normal, "OrphansEnded", &text).await;
        }
        let seat = self.object.seat();
        self.context.capacity.give_back(&seat.namespace, &seat.uid);
        Ok(Some(self.tell(&State::Pending("OrphanedJobs", text)).await?.then(Action::requeue(SOON))))
    }

    /// What an attempt before this one was made from, where what it was lowered from is gone since: a run that has begun needs it
    /// no more. What its owner refuses, or forbids to read, is not gone.
    async fn kept(&self, subject: &Subject, claim: &RunClaim, jobs: &Jobs) -> Result<Option<RunSpec>, Error> {
        let is_gone = self.missing.as_ref().is_some_and(|(reason, _)| !REFUSED.contains(reason));
        for attempt in (1..claim.attempt).rev().take(KEPT_ATTEMPTS).filter(|_| is_gone) {
            let before = RunClaim { attempt, ..claim.clone() };
            let Some(name) = job_of(subject, &before) else { return Ok(None) };
            let Some(mut spec) = jobs.spec_of(&name).await? else { continue };
            if spec.run.as_ref().is_none_or(|run| run.id != claim.id) {
                continue;
            }
            if let Some(restore) = &mut spec.restore {
                restore.undo_offsets.clone_from(&claim.undoing);
            }
            return Ok(Some(as_installed(spec, self.object, self.context)));
        }
        Ok(None)
    }

    /// Says once that a tick was claimed that is ahead of the clock: ticks count as if it had not been.
    async fn tell_of_clock(&self, subject: &Subject, told: Told) {
        let ahead = |time: &Timestamp| time.duration_since(self.now) > CLOCKS_DIFFER;
        let Some(claimed) = subject.last_schedule.filter(ahead).filter(|_| told == Told::Written) else { return };
        let text = format!(
            "status.lastScheduleTime is {claimed}, which is after now ({}): a clock was wrong, or the status came from elsewhere. \
             It is not counted, and ticks count from when the schedule was written",
            self.moment.now
        );
        self.event(EventType::Warning, "TickAhead", &text).await;
    }

    /// Claims the next attempt. Only a claim that is kept lets old Jobs go.
    async fn again(
        &self,
        subject: &Subject,
        claim: &RunClaim,
        mut next: Box<RunClaim>,
        why: &str,
        jobs: &Jobs,
    ) -> Result<Action, Error> {
        // The installation may have another one by now.
        next.image = Some(self.object.placement(&self.context.placement).image.clone());
        let endless = matches!(self.object.mode(), Some(Mode::Continuous));
        let text = retry_words(claim, &next, why, endless);
        let outlived = outlived(subject, &next);
        let told = self.tell(&State::Retrying(next, text.clone())).await?;
        if told == Told::Written {
            self.run_event(EventType::Warning, "Retried", &text).await;
            jobs.remove_all(&outlived).await?;
        }
        Ok(told.then(Action::requeue(Duration::ZERO)))
    }

    async fn conclude(&self, claim: RunClaim, verdict: Box<Verdict>) -> Result<Action, Error> {
        let state = State::Over(Box::new(claim.clone()), verdict.clone());
        let told = self.tell(&state).await?;
        if told == Told::Written {
            self.object.ended(&self.context.metrics, &claim, &verdict, self.moment.now);
            let (kind, end) = match verdict.end {
                End::Completed(_) => (EventType::Normal, "Completed"),
                End::Stopped(_) => (EventType::Normal, "Stopped"),
                End::Failed(_) => (EventType::Warning, "Failed"),
            };
            self.run_event(kind, end, &format!("{}: {}", verdict.reason, verdict.message)).await;
        }
        Ok(told.then(Action::requeue(SOON)))
    }

    /// Makes the Job of an attempt. What was read may be old: the resource is read again first.
    async fn make(&self, subject: &Subject, spec: &RunSpec, attempt: u32, jobs: &Jobs) -> Result<Action, Error> {
        let owner = &subject.owner;
        let fresh = self.api().get(&owner.name).await?;
        if fresh.resource_version() != self.object.resource_version() {
            return Ok(Action::requeue(SOON));
        }
        let mut made = job(owner, spec, attempt, &self.object.placement(&self.context.placement))?;
        queue(&mut made, self.object.labels());
        if serde_json::to_string(spec)?.len() > SPEC_LIMIT {
            let text = format!(
                "the specification of the run is larger than {SPEC_LIMIT} bytes; name fewer topics, or use patterns"
            );
            return self.not_made("SpecTooLarge", text).await;
        }
        let storage = self.object.storage(self.context);
        let asked = storage.and_then(|storage| claim(&owner.namespace, storage));
        let result = async {
            if let Some(claim) = &asked {
                jobs.make_claim(claim).await?;
            }
            jobs.make(&made).await
        };
        match result.await {
            Ok(true) => Ok(Action::requeue(Duration::ZERO)),
            Ok(false) => {
                let name = made.metadata.name.unwrap_or_default();
                let text = format!(
                    "there is a Job {name} that does not belong to this resource, and the run's Job has that name: delete it"
                );
                self.not_made("NameTaken", text).await
            }
            Err(error) => {
                let Some(text) = error.refusal() else { return Err(error) };
                self.not_made("JobRefused", format!("the Job of the run was refused: {text}")).await
            }
        }
    }

    /// The Job cannot be made as things are; it is tried again later.
    async fn not_made(&self, reason: &str, text: String) -> Result<Action, Error> {
        let seat = self.object.seat();
        self.context.capacity.give_back(&seat.namespace, &seat.uid);
        let state =
            State::Running(Box::new(Running { problem: Some((reason.to_owned(), text)), ..Running::default() }));
        Ok(self.tell(&state).await?.then(Action::requeue(AGAIN)))
    }

    /// Takes the trigger annotation away, unless it has another value by now.
    pub(super) async fn untrigger(&self) -> Result<(), Error> {
        let name = trigger_of::<K>();
        let Some(value) = self.object.annotations().get(&name) else { return Ok(()) };
        let pointer = format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
        let patch = serde_json::from_value(json!([
            {"op": "test", "path": pointer, "value": value}, {"op": "remove", "path": pointer},
        ]))?;
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match self.api().patch_metadata(&self.object.name_any(), &parameters, &Patch::<()>::Json(patch)).await {
            // Somebody was faster: the next look sees what is there.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(()),
            other => other.map(drop).map_err(Error::from),
        }
    }

    pub(super) fn api(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.object.namespace().unwrap_or_default())
    }

    /// Writes the status, if it changes, under the version that was read.
    pub(super) async fn tell(&self, state: &State) -> Result<Told, Error> {
        let Some(new) = self.object.with_status(state, self.moment) else { return Ok(Told::Unchanged) };
        write_status(&self.api(), &new).await
    }

    /// Tells of a run of the resource.
    async fn run_event(&self, kind: EventType, what: &str, note: &str) {
        self.event(kind, &format!("{}{what}", K::RUN), note).await;
    }

    pub(super) async fn event(&self, kind: EventType, reason: &str, note: &str) {
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

/// Writes an object's status under the version that was read. A definition that does not know a field of it refuses all of it:
/// it would drop the field without a word, and with a claim what is known of a run.
pub(super) async fn write_status<K>(api: &Api<K>, new: &K) -> Result<Told, Error>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let built = Request::new(api.resource_url()).replace_subresource(
        "status",
        &new.name_any(),
        &parameters,
        serde_json::to_vec(new)?,
    );
    let request = built.and_then(strict).map_err(kube::Error::BuildRequest)?;
    match api.clone().into_client().request::<K>(request).await.map_err(Error::from) {
        Ok(_) => Ok(Told::Written),
        Err(error) if error.is_conflict() => Ok(Told::Stale),
        Err(error) if error.is_missing() => Ok(Told::Gone),
        Err(error) => Err(error),
    }
}

/// A write that is refused where the API server does not know a field.
fn strict(mut request: http::Request<Vec<u8>>) -> Result<http::Request<Vec<u8>>, RequestError> {
    let uri = format!("{}&fieldValidation=Strict", request.uri()).parse::<http::Uri>();
    *request.uri_mut() = uri.map_err(|error| RequestError::BuildRequest(error.into()))?;
    Ok(request)
}

/// How long to wait for a time; not longer than a look may take: clocks jump.
pub(super) fn until(time: Timestamp, now: Timestamp) -> Duration {
    let wait = time.duration_since(now);
    Duration::try_from(wait).unwrap_or(Duration::ZERO).clamp(Duration::from_millis(50), AT_LEAST)
}
