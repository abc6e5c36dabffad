//! What a status says of retention: the run that removes recovery points, beside those that make them. Pure.
//!
//! How a run of retention ends never changes `Ready`: a backup whose old points stay is a backup.

use api::oso::{RetentionStatus, RunClaim};
use contract::words::size;
use contract::{PointFate, PointLine, PruneReport};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::{put, set};
use super::points::forget;
use super::{Moment, State, closed, findings, note};
use crate::decide::{Verdict, working_words};

/// The condition that tells of it.
pub(crate) const ACTIVE: &str = "RetentionActive";
/// How soon it is tried again after it failed, or after a backup kept it from removing anything.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// The clock of the store is another one than ours.
const CLOCKS: SignedDuration = SignedDuration::from_mins(5);

/// Why a run of retention is due, and what it is noted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occasion {
    /// The newest recovery point.
    pub point: Option<String>,
    /// The value of the annotation that asks for a run.
    pub trigger: Option<String>,
    /// Why it is due, in a word; `None` while it is not.
    pub due: Option<&'static str>,
}

/// What the condition says: whether the rules are carried out, a stable word, and the same in words.
type Told = (bool, String, String);

/// The rules were seen first: they apply after the next backup.
#[must_use]
pub fn retention_begins(occasion: &Occasion, moment: Moment) -> RetentionStatus {
    RetentionStatus {
        since: moment.now.to_string(),
        point: occasion.point.clone(),
        last_trigger: occasion.trigger.clone(),
        ..RetentionStatus::default()
    }
}

/// Tells that the rules apply from now on.
pub(crate) fn rules_apply(all: &mut Vec<Condition>, moment: Moment) {
    put(
        all,
        ACTIVE,
        "True",
        ("RulesApply", "the rules of spec.retention are carried out after the next backup"),
        moment,
    );
}

/// The new status, and the new conditions.
#[must_use]
pub fn retention(
    old: &RetentionStatus,
    conditions: &[Condition],
    occasion: &Occasion,
    state: &State,
    moment: Moment,
) -> (RetentionStatus, Vec<Condition>) {
    let (mut new, mut all) = (old.clone(), conditions.to_vec());
    if let Some((active, reason, text)) = step(&mut new, occasion, state, moment) {
        set(&mut all, ACTIVE, active, &reason, &text, moment);
    }
    (new, all)
}

fn step(new: &mut RetentionStatus, occasion: &Occasion, state: &State, moment: Moment) -> Option<Told> {
    let works = |text: String| Some((true, "RetentionRunning".to_owned(), text));
    match state {
        State::Claimed(tick) => {
            let why = occasion.due.unwrap_or("asked").to_owned();
            new.run = Some(RunClaim { trigger: why, ..tick.claim.clone() });
            new.point.clone_from(&occasion.point);
            new.last_trigger.clone_from(&occasion.trigger);
            new.next_time = None;
            works("recovery points are looked at".to_owned())
        }
        State::Running(running) => {
            note(new.run.as_mut(), running, moment);
            if let Some((reason, text)) = &running.problem {
                return Some((false, reason.clone(), text.clone()));
            }
            let failed = new.run.as_ref().and_then(|claim| working_words(claim, false));
            works(failed.unwrap_or_else(|| "recovery points are looked at".to_owned()))
        }
        State::Renewed(claim) => {
            new.run = Some((**claim).clone());
            None
        }
        State::Retrying(claim, text) => {
            new.run = Some((**claim).clone());
            Some((false, "RetentionRetrying".to_owned(), text.clone()))
        }
        State::Swept => {
            if let Some(run) = &mut new.run {
                run.job_uid = None;
            }
            None
        }
        State::Over(claim, verdict) => Some(over(new, claim, verdict, moment)),
        State::Pending(reason, text) => Some((true, (*reason).to_owned(), text.clone())),
        State::Invalid(all) => Some((false, "ValidationFailed".to_owned(), findings(all))),
        // These are told of the backup itself.
        State::Idle(_) | State::Waiting | State::NotImplemented(_) | State::Foreign(_) | State::TakenOver(_) => None,
    }
}

fn over(new: &mut RetentionStatus, claim: &RunClaim, verdict: &Verdict, moment: Moment) -> Told {
    new.run = Some(closed(claim, verdict, moment.now));
    let done = verdict.said().and_then(|said| said.prune.as_deref()).filter(|_| verdict.is_completed());
    let Some(done) = done else {
        let text = if verdict.is_completed() {
            "the report of the run says nothing of retention: its image is not of this release".to_owned()
        } else {
            verdict.message.clone()
        };
        new.next_time = later(moment.now, AGAIN);
        new.error = Some(text.clone());
        return (false, "RetentionFailed".to_owned(), text);
    };
    new.error = None;
    new.last_time = Some(moment.now.to_string());
    new.inspected = Some(done.inspected);
    new.eligible = Some(done.eligible);
    new.removed = Some(done.removed);
    new.deleted_bytes = Some(done.deleted.bytes);
    new.waiting_bytes = Some(done.waiting.bytes);
    new.waits_until = done.waits_until.map(|time| time.to_string());
    new.dry_run = Some(done.dry_run);
    new.next_time = next_time(done, moment.now);
    let reason = if done.busy.is_empty() { "RetentionSucceeded" } else { "RetentionWaits" };
    (true, reason.to_owned(), words(done))
}

/// When a run has something to do though no backup ends before.
fn next_time(done: &PruneReport, now: Timestamp) -> Option<String> {
    if !done.busy.is_empty() {
        return later(now, AGAIN);
    }
    // A time that is over by our clock is no reason to begin at once, again and again.
    let until = done.waits_until?.checked_add(CLOCKS).ok()?;
    Some(until.max(now.checked_add(AGAIN).ok()?).to_string())
}

fn later(now: Timestamp, after: SignedDuration) -> Option<String> {
    Some(now.checked_add(after).ok()?.to_string())
}

/// What a run did, in words.
fn words(done: &PruneReport) -> String {
    let names = |fate| {
        let named: Vec<&str> =
            done.points.iter().filter(|point| point.fate == fate).map(|point| point.name.as_str()).collect();
        if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
    };
    if done.dry_run {
        return format!(
            "dry run: {} of {} recovery points would be removed{}; nothing was changed",
            done.eligible,
            done.inspected,
            names(PointFate::MayGo)
        );
    }
    let mut out =
        format!("{} of {} recovery points were removed{}", done.removed, done.inspected, names(PointFate::Removed));
    let mut add = |text: String| {
        out.push_str("; ");
        out.push_str(&text);
    };
    if done.deleted.objects > 0 {
        add(format!("{} were deleted", size(done.deleted.bytes)));
    }
    if let Some(until) = done.waits_until {
        add(format!("{} are deleted after {until}", size(done.waiting.bytes)));
    }
    if done.due.objects > 0 {
        add(format!("{} stay because a restore needs them", size(done.due.bytes)));
    }
    for refused in &done.refused {
        add(format!(
            "{} objects were not deleted, {} for example: {}",
            refused.sum.objects, refused.example, refused.why
        ));
    }
    for busy in &done.busy {
        add(format!("nothing of set {} could be removed: run {} writes to it", busy.set, busy.run));
    }
    for left in &done.left {
        add(left.clone());
    }
    out
}

/// Forgets points of a status that a run which is over may have removed: where its report came, up to the newest that it removed;
/// where an attempt before it may have removed some, all.
pub(crate) fn forget_removed(points: &mut Vec<PointLine>, state: &State) {
    let State::Over(claim, verdict) = state else { return };
    let done = verdict.said().and_then(|said| said.prune.as_deref());
    if verdict.wrote == Some(false) || done.is_some_and(|done| done.dry_run) {
        return;
    }
    match done.filter(|_| verdict.is_completed() && claim.attempt == 1) {
        Some(done) if done.removed == 0 => {}
        Some(done) => forget(points, done.removed_until.as_deref()),
        None => forget(points, None),
    }
}

#[cfg(test)]
mod tests;
