//! Whether the next recovery point of a continuous backup is overdue.
//!
//! A run that works knows it, and says so. While no run works, or it says nothing, nobody knows whether something new
//! waits: after three checkpoint intervals of that, the recovery point counts as overdue, too.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::backup_plan::Plan;
use super::conditions::put;
use super::{Moment, State};
use crate::decide::End;
use crate::progress::Progress;

/// The condition.
pub(super) const OVERDUE: &str = "RecoveryPointOverdue";
/// Checkpoint intervals without a recovery point after which it is overdue.
const INTERVALS: u64 = 3;
/// An interval counts for at least so many seconds, as the runner sees it.
const LEAST_SECS: u64 = 5;
/// A run that says nothing for so many seconds is not known to work: it tells its progress every other second.
const LEAST_SILENCE_SECS: u64 = 60;

/// What is known of the next recovery point.
enum Known {
    /// The newest one holds what the source had.
    Whole,
    /// It is late, and this is what it waits for.
    Late(String),
    /// Nobody knows.
    Nothing,
    /// Nobody waits for one.
    Unasked,
    /// This changes nothing.
    Same,
}

/// Whether conditions say that a recovery point is overdue; `None` where they say nothing of it.
pub(crate) fn is_overdue(all: &[Condition]) -> Option<bool> {
    find(all).map(|condition| condition.status == "True")
}

fn find(all: &[Condition]) -> Option<&Condition> {
    all.iter().find(|condition| condition.type_ == OVERDUE)
}

/// Seconds without a recovery point after which it is overdue; `None` for a backup that does not go on.
fn limit(spec: &Plan) -> Option<u64> {
    spec.checkpoint_secs.filter(|_| spec.continuous).map(|secs| secs.max(LEAST_SECS) * INTERVALS)
}

/// What an overdue recovery point waits for, in a sentence, when it is known to be late.
pub(super) fn late(spec: &Plan, state: &State, now: Timestamp) -> Option<String> {
    match known(spec, state, limit(spec)?, now) {
        Known::Late(why) => Some(sentence(&why)),
        Known::Whole | Known::Nothing | Known::Unasked | Known::Same => None,
    }
}

fn sentence(why: &str) -> String {
    format!("no recovery point was made for three checkpoint intervals: {why}")
}

/// Says whether the next recovery point is overdue.
pub(super) fn overdue(all: &mut Vec<Condition>, spec: &Plan, state: &State, moment: Moment) {
    let Some(limit) = limit(spec) else { return all.retain(|condition| condition.type_ != OVERDUE) };
    match known(spec, state, limit, moment.now) {
        Known::Whole => {
            put(all, OVERDUE, "False", ("Whole", "the newest recovery point holds what the source had"), moment);
        }
        Known::Nothing => unknown(all, limit, moment),
        Known::Unasked => all.retain(|condition| condition.type_ != OVERDUE),
        Known::Late(why) => put(all, OVERDUE, "True", ("Overdue", &sentence(&why)), moment),
        Known::Same => {}
    }
}

fn known(spec: &Plan, state: &State, limit: u64, now: Timestamp) -> Known {
    match state {
        State::Running(running) if running.problem.is_none() => match &running.progress {
            Some(progress) if is_silent(progress, limit, now) => Known::Nothing,
            Some(Progress { overdue: Some(why), .. }) => Known::Late(why.clone()),
            Some(Progress { whole_at: Some(_), .. }) => Known::Whole,
            Some(_) | None => Known::Nothing,
        },
        State::Over(_, verdict) if matches!(verdict.end, End::Failed(_)) => {
            Known::Late(format!("no run works. {}", verdict.message))
        }
        State::Idle(_) | State::Over(..) if spec.suspend => Known::Unasked,
        State::Running(_)
        | State::Waiting
        | State::Renewed(_)
        | State::Retrying(..)
        | State::Claimed(_)
        | State::Pending(..)
        | State::Over(..) => Known::Nothing,
        State::Idle(_)
        | State::Invalid(_)
        | State::NotImplemented(_)
        | State::Foreign(_)
        | State::TakenOver(_)
        | State::Swept => Known::Same,
    }
}

fn is_silent(progress: &Progress, limit: u64, now: Timestamp) -> bool {
    let said = progress.said_at.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
    said.is_none_or(|said| now.duration_since(said) > seconds(limit.max(LEAST_SILENCE_SECS)))
}

/// What is not known for too long counts as overdue, and stays so until a run knows better.
fn unknown(all: &mut Vec<Condition>, limit: u64, moment: Moment) {
    let before = find(all).map(|condition| (condition.status.clone(), condition.last_transition_time.0));
    let late = match before {
        Some((status, _)) if status == "True" => true,
        Some((status, since)) if status == "Unknown" => moment.now.duration_since(since) >= seconds(limit),
        Some(_) | None => false,
    };
    if late {
        let text = "for three checkpoint intervals no run said that its recovery points hold what the source has";
        put(all, OVERDUE, "True", ("NotKnown", text), moment);
    } else {
        put(all, OVERDUE, "Unknown", ("NotKnown", "no run has said yet what the source has"), moment);
    }
}

fn seconds(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}
