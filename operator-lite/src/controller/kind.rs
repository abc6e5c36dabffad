//! What the controller must know of a kind that runs.

use std::borrow::Cow;
use std::fmt::Debug;

use api::lower::job::{Owner, Placement};
use api::oso::{RunClaim, Storage};
use api::schedule::Schedule;
use api::ticks::Scheduled;
use api::{trigger, update};
use contract::{RunRef, RunSpec};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Action, Context};
use crate::capacity::{Class, Seat};
use crate::decide::{Mode, Subject, Verdict};
use crate::error::Error;
use crate::metrics::{Metrics, Seen, Told};
use crate::status::{Moment, State};

/// Why a resource cannot run yet: a stable word, and the same in words.
pub type Pending = (&'static str, String);

/// Another resource of the namespace that something refers to by name, or why there is none, in words. Whoever deleted one may still
/// change it, behind a finalizer of their own, and nobody judges what it says: it counts as gone.
pub(super) async fn named<K: Kind>(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Result<K, String>, kube::Error> {
    let found = Api::<K>::namespaced(context.client.clone(), namespace).get_opt(name).await?;
    let kind = K::kind(&());
    Ok(match found {
        None => Err(format!("{kind} {name:?} is not in namespace {namespace:?}")),
        Some(object) if object.meta().deletion_timestamp.is_some() => {
            Err(format!("{kind} {name:?} in namespace {namespace:?} is being deleted"))
        }
        Some(object) => Ok(object),
    })
}

/// A kind that runs.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Whether no operator has looked at it yet.
    fn is_new(&self) -> bool;
    /// The claim in its status.
    fn claim(&self) -> Option<&RunClaim>;
    /// The newest tick that was claimed.
    fn last_schedule(&self) -> Option<&String> {
        None
    }
    /// The newest trigger that was claimed.
    fn last_trigger(&self) -> Option<&String> {
        None
    }
    /// From when on ticks of its schedule count, if not from its creation.
    fn since(&self, _now: Timestamp) -> Option<Timestamp> {
        None
    }
    /// When a run of it last ended well (RFC 3339).
    fn last_success(&self) -> Option<&String>;
    /// Whether its next recovery point is overdue; `None` when nobody waits for one.
    fn is_overdue(&self) -> Option<bool> {
        None
    }
    /// From when on its next recovery point is late; `None` when no schedule promises one.
    fn late_at(&self) -> Option<Timestamp> {
        None
    }
    /// When a run of its retention last ended well, and when the newest failed, if it did; `None` without rules.
    fn retention_ends(&self) -> Option<[Option<Timestamp>; 2]> {
        None
    }
    /// Its phase.
    fn phase(&self) -> Option<&String>;
    /// Whether it was taken over from another operator.
    fn is_taken_over(&self) -> bool;
    /// When it runs; `None` when its schedule does not read.
    fn mode(&self) -> Option<Mode> {
        Some(Mode::Once)
    }
    /// Which budget its runs are of.
    fn class(&self) -> Class;
    /// Whether an attempt whose node is lost may be given up: whatever it still writes is refused.
    const FENCED: bool = false;
    /// What the reasons of its Events begin with.
    const RUN: &str = "Run";
    /// Whether its annotation may ask for a run.
    const TRIGGERED: bool = false;
    /// Whether the annotation is taken away once it was claimed, so that the same value may ask again.
    const UNTRIGGERS: bool = false;
    /// What the series of Strimzi's users tell of it.
    fn told(&self) -> Option<Told> {
        None
    }
    /// Whether it refers to resources of Strimzi.
    const STRIMZI: bool = false;
    /// Whether it refers to this resource of Strimzi.
    fn refers_to(&self, _kind: &str, _namespace: &str, _name: &str) -> bool {
        false
    }
    /// Why no run of it is begun or made anew, in words, while its author wants it left alone.
    fn paused(&self) -> Option<String> {
        None
    }
    /// Attempts in a row that fail before a run has failed; the operator's own number when absent.
    fn most_failures(&self) -> Option<u32> {
        None
    }
    /// Where its pods go, where an installation says this.
    fn placement<'a>(&self, installed: &'a Placement) -> Cow<'a, Placement> {
        Cow::Borrowed(installed)
    }
    /// Whether a run that fails puts committed offsets back that it changed.
    fn undoes(&self) -> bool {
        false
    }
    /// Whether no run is started by itself.
    fn suspended(&self) -> bool {
        false
    }
    /// Fields that it sets and that come in later work.
    fn not_implemented(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// The resource with its new status; `None` when nothing changes.
    fn with_status(&self, state: &State, moment: Moment) -> Option<Self>;
    /// The run that it asks for. `Err(Ok(..))` when something must be there first.
    fn lower(
        &self,
        context: &Context,
        run: Option<RunRef>,
    ) -> impl Future<Output = Result<RunSpec, Result<Pending, Error>>> + Send;
    /// Writes into a new claim what its run finds once and keeps for all attempts. `false` when it is not there.
    fn pin(&self, _context: &Context, _claim: &mut RunClaim) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(true))
    }
    /// Whether it says itself whether its runs serve metrics.
    fn says_metrics(&self) -> bool {
        false
    }
    /// The storage block that may ask for a claim.
    fn storage<'a>(&'a self, context: &'a Context) -> Option<&'a Storage>;
    /// Work of it beside its runs; when it is looked at again for that.
    fn beside(&self, _context: &Context, _moment: Moment) -> impl Future<Output = Result<Action, Error>> + Send {
        std::future::ready(Ok(Action::await_change()))
    }
    /// Counts a run that is over.
    fn ended(&self, metrics: &Metrics, claim: &RunClaim, verdict: &Verdict, now: Timestamp) {
        metrics.run_ended(&self.owner(), claim, verdict, now);
    }
    /// When its status says something else by itself, though nothing happens.
    fn changes_at(&self, _now: Timestamp) -> Option<Timestamp> {
        None
    }

    /// When its newest run failed for good, if it did.
    fn last_failure(&self) -> Option<Timestamp> {
        let claim = self.claim().filter(|claim| claim.outcome.as_deref() == Some("Failed"))?;
        claim.finished_at.as_ref()?.parse().ok()
    }

    /// What its status says that alerts ask for.
    fn seen(&self) -> Seen {
        Seen {
            last_success: self.last_success().and_then(|time| time.parse().ok()),
            last_failure: self.last_failure(),
            overdue: self.is_overdue(),
            late_at: self.late_at(),
            retention: self.retention_ends(),
        }
    }

    /// A digest of what its specification says of its run.
    fn shape(&self) -> Result<String, serde_json::Error> {
        Ok(update::shape(serde_json::to_value(self)?.get("spec").unwrap_or(&Value::Null)))
    }

    /// Whether it was edited since the run in its status was claimed, so that the run is not what is asked for now.
    fn is_changed(&self) -> Result<bool, serde_json::Error> {
        match self.claim() {
            Some(claim) if Some(claim.generation) != self.meta().generation => {
                Ok(claim.shape.as_ref() != Some(&self.shape()?))
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Whose runs these are.
    fn owner(&self) -> Owner {
        owner_of(self)
    }

    /// Its place among the runs that work.
    fn seat(&self) -> Seat {
        let (namespace, uid) = (self.namespace().unwrap_or_default(), self.uid().unwrap_or_default());
        Seat { class: self.class(), namespace, uid }
    }

    /// The value of its trigger annotation.
    fn trigger(&self) -> Option<String> {
        self.annotations().get(&trigger_of::<Self>()).filter(|_| Self::TRIGGERED).map(|value| trigger::kept(value))
    }

    /// The value of its trigger annotation that asks for nothing any more: the newest that was claimed, or the one that it was
    /// made with.
    fn settled_trigger(&self) -> Option<String> {
        if !self.is_new() {
            return self.last_trigger().cloned();
        }
        self.trigger().filter(|_| trigger::is_made_with(self.meta(), &trigger_of::<Self>()))
    }

    /// The same in a status that says `state`: what another operator was asked for is no question to this one.
    fn noted_trigger(&self, state: &State) -> Option<String> {
        if matches!(state, State::TakenOver(_)) { self.trigger() } else { self.settled_trigger() }
    }

    /// What the decisions need.
    fn subject(&self, now: Timestamp) -> Subject {
        let time = |text: &String| text.parse::<Timestamp>().ok();
        Subject {
            owner: self.owner(),
            generation: self.meta().generation.unwrap_or(0),
            created: self.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            claim: self.claim().cloned(),
            last_schedule: self.last_schedule().and_then(time),
            since: self.since(now),
            last_trigger: self.settled_trigger(),
            trigger: self.trigger(),
        }
    }
}

/// What every kind answers from its status.
macro_rules! from_status {
    () => {
        $crate::controller::kind::claimed_in_status!();

        fn phase(&self) -> Option<&String> {
            self.status.as_ref()?.phase.as_ref()
        }
    };
}

pub(super) use from_status;

/// The same where the phase stands elsewhere, too.
macro_rules! claimed_in_status {
    () => {
        // One that did not read has conditions, and was not looked at.
        fn is_new(&self) -> bool {
            self.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
        }

        fn claim(&self) -> Option<&api::oso::RunClaim> {
            self.status.as_ref()?.run.as_ref()
        }

        fn is_taken_over(&self) -> bool {
            self.status.as_ref().is_some_and(|status| $crate::status::taken_over(&status.conditions))
        }
    };
}

pub(super) use claimed_in_status;

/// What kinds that run once answer from their status and their `dryRun`; `$status` makes the new status.
macro_rules! runs_once {
    ($status:ident) => {
        $crate::controller::kind::from_status!();

        fn last_success(&self) -> Option<&String> {
            self.status.as_ref().filter(|status| status.phase.as_deref() == Some("Completed"))?.completion_time.as_ref()
        }

        // They wait behind no backup: somebody stands before a cluster whose consumers are stopped.
        fn class(&self) -> $crate::capacity::Class {
            if self.spec.dry_run { $crate::capacity::Class::Plan } else { $crate::capacity::Class::Restore }
        }

        fn with_status(&self, state: &$crate::status::State, moment: $crate::status::Moment) -> Option<Self> {
            let old = self.status.clone().unwrap_or_default();
            let new = $status(&old, &self.spec, state, moment);
            (new != old).then(|| Self { status: Some(new), ..self.clone() })
        }
    };
}

pub(super) use runs_once;

/// The new status of a resource with a schedule, of which `$status` makes all but what is noted of its ticks; `None` where it is the
/// old one. `$next` is its field of the next tick.
macro_rules! with_ticks {
    ($object:ident, $status:ident, $next:ident, $state:ident, $moment:ident) => {{
        use $crate::status::State;
        let old = $object.status.clone().unwrap_or_default();
        let mut seen = old.clone();
        seen.last_trigger = $object.noted_trigger($state);
        let mut new = $status(&seen, &$object.spec, $state, $moment);
        let noted = api::ticks::note($object, new.last_schedule_time.as_ref(), new.run.as_ref(), $moment.now);
        let kept = new.$next.take().filter(|next| $crate::controller::kind::is_ahead($object, next, $state, $moment));
        new.$next = noted.next.map(|next| next.to_string()).or(kept);
        (new.observed_schedule, new.schedule_since) = (noted.observed, noted.since);
        new.missed_ticks = noted.missed;
        if let (State::Running(_) | State::Retrying(..), Some(message)) = ($state, &mut new.message) {
            message.push_str(&api::ticks::meanwhile_words(new.missed_ticks));
        }
        (new != old).then_some(new)
    }};
}

pub(super) use with_ticks;

/// What kinds that run again, by a schedule or when they are asked to, answer from their specification and their status.
/// `$status` makes the new status; `$success` is its field of when a run last ended well, `$next` that of the next
/// tick.
macro_rules! runs_again {
    ($status:ident, $success:ident, $next:ident) => {
        $crate::controller::kind::from_status!();

        const TRIGGERED: bool = true;

        fn last_schedule(&self) -> Option<&String> {
            self.status.as_ref()?.last_schedule_time.as_ref()
        }

        fn since(&self, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
            api::ticks::since(self, now)
        }

        fn last_trigger(&self) -> Option<&String> {
            self.status.as_ref()?.last_trigger.as_ref()
        }

        fn last_success(&self) -> Option<&String> {
            self.status.as_ref()?.$success.as_ref()
        }

        fn suspended(&self) -> bool {
            self.spec.suspend
        }

        fn with_status(&self, state: &$crate::status::State, moment: $crate::status::Moment) -> Option<Self> {
            let new = $crate::controller::kind::with_ticks!(self, $status, $next, state, moment);
            new.map(|new| Self { status: Some(new), ..self.clone() })
        }
    };
}

pub(super) use runs_again;

/// Whether a time that a status told before is still that of its next tick. A resource at rest tells it anew.
pub(super) fn is_ahead<S: Scheduled>(object: &S, next: &str, state: &State, moment: Moment) -> bool {
    match state {
        State::Idle(_) => true,
        State::Invalid(_) | State::NotImplemented(_) | State::Foreign(_) => false,
        // In every other state something is under way or waited for: the schedule goes on beside it.
        _ => object.follows_ticks() && next.parse::<Timestamp>().is_ok_and(|next| next > moment.now),
    }
}

/// When something with this schedule runs: once without one; `None` where it does not read.
pub(super) fn by_schedule(schedule: Option<&String>) -> Option<Mode> {
    match schedule {
        Some(text) => Schedule::parse(text).ok().map(|schedule| Mode::Scheduled(Box::new(schedule))),
        None => Some(Mode::Once),
    }
}

/// The annotation that asks for a run of a kind.
pub(super) fn trigger_of<K: Resource<DynamicType = ()>>() -> String {
    trigger::annotation(&K::group(&()), &K::kind(&()))
}

/// A resource as the owner of Jobs.
pub(super) fn owner_of<K: Resource<DynamicType = ()>>(object: &K) -> Owner {
    Owner {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        part: None,
    }
}
