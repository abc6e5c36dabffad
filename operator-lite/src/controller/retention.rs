//! Retention of a backup: runs of its own, beside those that back up, that remove recovery points by the rules of the resource.
//!
//! One begins after a backup that ended well, after the grace period of what an earlier one removed, and when somebody asks for it by
//! the annotation [`ASKED`]. The resource has a second claim for it, in `status.retention`, and what is decided of that is carried
//! out as for every other run. The rules never apply to what was there when they were written before one more backup has ended
//! well. Nothing is removed here: only the pod of such a run deletes.

use std::borrow::Cow;

use api::finding::Finding;
use api::lower::Identity;
use api::lower::job::{Owner, Placement, is_job_name};
use api::oso::{RetentionStatus, RunClaim, Storage};
use api::trigger;
use contract::{RunRef, RunSpec};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::api::Api;
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};

use super::jobs::Jobs;
use super::kind::{Kind, Pending, owner_of};
use super::work::{Work, until, write_status};
use super::{Action, Context, SOON};
use crate::capacity::{Class, Seat};
use crate::decide::{Mode, Subject, Verdict, run_of};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::status::{Moment, Occasion, State, forget_removed, retention, retention_begins, rules_apply};

/// The part of the names of its runs and Jobs.
const PART: &str = "prune";
/// How long a backup that goes on is left alone: it makes points all the time.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Longest time that may be between a run and the next one that its status names; a farther one was written by a wrong clock.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 367);

/// A kind that has retention.
pub(super) trait Retains: Kind {
    /// The run that its rules ask for; `None` where nothing is to go.
    fn prune(&self, identity: Identity) -> Result<Option<RunSpec>, Finding>;
    /// What is known of its retention.
    fn retention(&self) -> Option<&RetentionStatus>;
    /// Its newest recovery point.
    fn newest_point(&self) -> Option<&String>;
    /// The conditions of its status.
    fn conditions(&self) -> &[Condition];
    /// The resource with what is known of its retention, and without points that `forgets` takes from its status.
    #[must_use]
    fn with_retention(
        &self,
        new: Option<RetentionStatus>,
        conditions: Vec<Condition>,
        forgets: impl FnOnce(&mut Vec<contract::PointLine>),
    ) -> Self;
}

/// Looks after the retention of a resource.
pub(super) async fn look<K: Retains>(object: &K, context: &Context, moment: Moment) -> Result<Action, Error> {
    let rules = object.prune(identity(object, None));
    match (rules, object.retention()) {
        // Admission refuses it, and the status of the backup tells of it.
        (Err(_), _) | (Ok(None), None) => Ok(Action::await_change()),
        (Ok(None), Some(_)) => stop(object, context).await,
        (Ok(Some(_)), None) => begin(object, context, moment).await,
        (Ok(Some(_)), Some(status)) => {
            let works = status.run.as_ref().is_some_and(|run| run.is_unfinished() || run.job_uid.is_some());
            match due(object, status, moment.now) {
                Err(next) if !works => Ok(later(next, moment.now)),
                Ok(_) | Err(_) => step(object, context, moment).await,
            }
        }
    }
}

/// When a run last ended well, and when the newest failed, if it did.
pub(super) fn ends(status: &RetentionStatus) -> [Option<Timestamp>; 2] {
    let failed = status.run.as_ref().filter(|run| run.outcome.as_deref() == Some("Failed"));
    let times = [status.last_time.as_ref(), failed.and_then(|run| run.finished_at.as_ref())];
    times.map(|time| time.and_then(|time| time.parse().ok()))
}

fn later(next: Option<Timestamp>, now: Timestamp) -> Action {
    next.map_or_else(Action::await_change, |next| Action::requeue(until(next, now).max(SOON)))
}

fn identity<K: Resource>(object: &K, run: Option<RunRef>) -> Identity {
    Identity { namespace: object.namespace().unwrap_or_default(), name: object.name_any(), run }
}

fn api<K: Retains>(object: &K, context: &Context) -> Api<K> {
    Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default())
}

/// The rules are seen first.
async fn begin<K: Retains>(object: &K, context: &Context, moment: Moment) -> Result<Action, Error> {
    let Some(fresh) = api(object, context).get_opt(&object.name_any()).await? else {
        return Ok(Action::await_change());
    };
    let mut conditions = fresh.conditions().to_vec();
    rules_apply(&mut conditions, moment);
    let new = fresh.with_retention(Some(retention_begins(&occasion(&fresh, None), moment)), conditions, |_| ());
    Ok(write_status(&api(object, context), &new).await?.then(Action::await_change()))
}

/// The rules were taken away: a run that works ends. It is sound wherever it is ended.
async fn stop<K: Retains>(object: &K, context: &Context) -> Result<Action, Error> {
    let Some(fresh) = api(object, context).get_opt(&object.name_any()).await? else {
        return Ok(Action::await_change());
    };
    if fresh.retention().is_some_and(|status| status.run.as_ref().is_some_and(|run| run.job_uid.is_some())) {
        let owner = owner(&fresh);
        let jobs = Jobs::of(&context.client, &owner).await?;
        let names = jobs.views.iter().map(|job| job.name.clone()).filter(|name| is_job_name(&owner, name));
        jobs.remove_all(&names.collect::<Vec<_>>()).await?;
    }
    let seat = seat(&fresh);
    context.capacity.give_back(&seat.namespace, &seat.uid);
    let conditions = fresh.conditions().to_vec();
    let new = fresh.with_retention(None, conditions, |_| ());
    Ok(write_status(&api(object, context), &new).await?.then(Action::await_change()))
}

/// Brings the run of retention a step further. What was read may be old: a status was written a moment ago.
async fn step<K: Retains>(object: &K, context: &Context, moment: Moment) -> Result<Action, Error> {
    let Some(fresh) = api(object, context).get_opt(&object.name_any()).await? else {
        return Ok(Action::await_change());
    };
    let due = fresh.retention().map(|status| due(&fresh, status, moment.now));
    let (due, next) = match due {
        Some(Ok(why)) => (Some(why), None),
        Some(Err(next)) => (None, next),
        None => (None, None),
    };
    let retained = Retention { object: fresh, due };
    let subject = retained.subject(moment.now);
    let run = subject.claim.as_ref().filter(|_| subject.is_unfinished()).and_then(run_of);
    let spec = match retained.lower(context, run).await {
        Ok(spec) => Some(RunSpec { allowed_endpoints: context.allowed_endpoints.to_vec(), ..spec }),
        Err(Ok(_)) => None,
        Err(Err(error)) => return Err(error),
    };
    let work = Work { context, object: &retained, moment, now: moment.now, missing: None };
    Ok(work.step(&subject, spec.as_ref()).await?.sooner(later(next, moment.now)))
}

/// Why a run is due, in a word, or when the next one is.
fn due<K: Retains>(object: &K, status: &RetentionStatus, now: Timestamp) -> Result<&'static str, Option<Timestamp>> {
    let time = |text: &String| text.parse::<Timestamp>().ok();
    let run = status.run.as_ref();
    if run.is_some_and(RunClaim::is_unfinished) {
        return Err(None);
    }
    let goes_on = matches!(object.mode(), Some(Mode::Continuous));
    if !goes_on && object.claim().is_some_and(RunClaim::is_unfinished) {
        // A backup that works is about to make a point, and nothing can be removed from its set until it has.
        return Err(None);
    }
    let asked = trigger_of(object);
    if asked.is_some() && asked != status.last_trigger {
        return Ok("asked");
    }
    if object.suspended() {
        return Err(None);
    }
    let mut next = Vec::new();
    if object.newest_point().is_some() && object.newest_point() != status.point.as_ref() {
        let last = run.and_then(|run| time(run.finished_at.as_ref()?)).or_else(|| time(&status.since));
        // A time that is ahead is no reason to wait until then.
        let free = last.filter(|last| goes_on && *last <= now).and_then(|last| last.checked_add(EVERY).ok());
        match free.filter(|free| *free > now) {
            None => return Ok("backup"),
            Some(free) => next.push(free),
        }
    }
    if let Some(at) = status.next_time.as_ref().and_then(time) {
        if at <= now || at.duration_since(now) > LONGEST {
            return Ok("time");
        }
        next.push(at);
    }
    Err(next.into_iter().min())
}

/// The value of the annotation that asks for a run.
fn trigger_of<K: Retains>(object: &K) -> Option<String> {
    object.annotations().get(trigger::PRUNE).map(|value| trigger::kept(value))
}

fn occasion<K: Retains>(object: &K, due: Option<&'static str>) -> Occasion {
    Occasion { point: object.newest_point().cloned(), trigger: trigger_of(object), due }
}

fn owner<K: Retains>(object: &K) -> Owner {
    Owner { part: Some(PART), ..owner_of(object) }
}

fn seat<K: Retains>(object: &K) -> Seat {
    let uid = format!("{}/{PART}", object.uid().unwrap_or_default());
    Seat { class: Class::Retention, namespace: object.namespace().unwrap_or_default(), uid }
}

/// A resource as what its retention runs for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Retention<K> {
    object: K,
    /// Why a run is due, while one is.
    #[serde(skip)]
    due: Option<&'static str>,
}

impl<K: Retains> Resource for Retention<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

impl<K: Retains> Kind for Retention<K> {
    // Of two of them each finds what the other did, and nothing is deleted that either still needs.
    const FENCED: bool = true;
    const RUN: &str = "Retention";

    fn is_new(&self) -> bool {
        false
    }

    fn claim(&self) -> Option<&RunClaim> {
        self.object.retention()?.run.as_ref()
    }

    fn last_success(&self) -> Option<&String> {
        self.object.retention()?.last_time.as_ref()
    }

    fn phase(&self) -> Option<&String> {
        self.object.phase()
    }

    fn is_taken_over(&self) -> bool {
        false
    }

    fn class(&self) -> Class {
        Class::Retention
    }

    // It runs only when it is due.
    fn suspended(&self) -> bool {
        true
    }

    fn placement<'a>(&self, installed: &'a Placement) -> Cow<'a, Placement> {
        self.object.placement(installed)
    }

    fn with_status(&self, state: &State, moment: Moment) -> Option<Self> {
        let old = self.object.retention()?;
        let known = self.object.conditions();
        let (new, conditions) = retention(old, known, &occasion(&self.object, self.due), state, moment);
        let changed = new != *old || conditions != known;
        let forgets = |points: &mut Vec<_>| forget_removed(points, state);
        changed.then(|| Self { object: self.object.with_retention(Some(new), conditions, forgets), due: self.due })
    }

    async fn lower(&self, _: &Context, run: Option<RunRef>) -> Result<RunSpec, Result<Pending, Error>> {
        let spec = self.object.prune(identity(self, run)).map_err(|finding| Err(finding.into()))?;
        spec.ok_or_else(|| Ok(("NoRules", "the rules of spec.retention were taken away".to_owned())))
    }

    fn ended(&self, metrics: &Metrics, claim: &RunClaim, verdict: &Verdict, now: Timestamp) {
        metrics.retention_ended(&self.owner(), claim, verdict, now);
    }

    fn storage<'a>(&'a self, _: &'a Context) -> Option<&'a Storage> {
        None
    }

    fn owner(&self) -> Owner {
        owner(&self.object)
    }

    fn seat(&self) -> Seat {
        seat(&self.object)
    }

    fn subject(&self, _: Timestamp) -> Subject {
        Subject {
            owner: self.owner(),
            generation: self.meta().generation.unwrap_or(0),
            created: self.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            claim: self.claim().cloned(),
            last_schedule: None,
            since: None,
            last_trigger: None,
            trigger: self.due.map(str::to_owned),
        }
    }
}
