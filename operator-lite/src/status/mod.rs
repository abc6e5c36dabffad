//! What the status of a resource says. Pure: the old status and what is known give the new one.

mod backup;
mod backup_plan;
mod conditions;
mod engine;
mod offsets;
mod once;
mod overdue;
mod points;
mod restore;
mod retention;
mod strimzi;
mod validation;

use api::finding::{self, Finding, Level};
use api::oso::RunClaim;
use jiff::Timestamp;

pub use backup::backup;
pub(crate) use conditions::{health, taken_over};
pub use offsets::{offset_reset, offset_rollback};
pub(crate) use overdue::is_overdue;
pub use restore::{expires_at, restore};
pub use retention::{Occasion, retention, retention_begins};
pub(crate) use retention::{forget_removed, rules_apply};
pub use strimzi::{PAUSED, strimzi_backup, strimzi_restore};
pub use validation::validation;

use crate::decide::{MANY_DISRUPTIONS, Tick, Verdict, working_words};
use crate::progress::Progress;

/// What is known of a resource.
#[derive(Debug, Clone)]
pub enum State {
    /// It cannot run as it is written.
    Invalid(Vec<Finding>),
    /// It asks for what comes in later work: these fields.
    NotImplemented(Vec<&'static str>),
    /// Another operator holds it.
    Foreign(String),
    /// It was taken over from another operator, with what stands for that one's run.
    TakenOver(Option<Box<RunClaim>>),
    /// It waits for something: a stable word, and the same in words.
    Pending(&'static str, String),
    /// Nothing is due before that time.
    Idle(Option<Timestamp>),
    /// A run is claimed.
    Claimed(Box<Tick>),
    /// The claimed run works.
    Running(Box<Running>),
    /// The claim is written anew, before its Job is made.
    Renewed(Box<RunClaim>),
    /// The next attempt is not due yet.
    Waiting,
    /// An attempt has ended, and this claim is for the next one.
    Retrying(Box<RunClaim>, String),
    /// The Job of a finished run is gone.
    Swept,
    /// The run is over.
    Over(Box<RunClaim>, Box<Verdict>),
}

/// A run that works.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Uid of its Job, if it is not written down yet.
    pub job_uid: Option<String>,
    /// Whether its container was seen to run.
    pub ran: bool,
    /// Whether its Job is told to end its pod.
    pub stopping: bool,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What keeps its pod from running: a stable word, and the same in words.
    pub problem: Option<(String, String)>,
}

/// What all statuses are made from.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Generation of the resource.
    pub generation: i64,
    /// Now.
    pub now: Timestamp,
    /// Whether the specification says something else of the run than it did when the run in the status was claimed.
    pub changed: bool,
}

impl Moment {
    /// A moment to the second: statuses tell no more.
    #[must_use]
    pub fn new(generation: i64, now: Timestamp) -> Self {
        Self { generation, now: Timestamp::from_second(now.as_second()).unwrap_or(now), changed: false }
    }
}

/// What is wrong, as long as a status may be: each finding may repeat what its author wrote.
fn findings(all: &[Finding]) -> String {
    let errors = all.iter().filter(|finding| finding.level == Level::Error);
    finding::text(&errors.map(ToString::to_string).collect::<Vec<_>>())
}

fn not_implemented(fields: &[&str]) -> String {
    format!("not available in this release: {}; remove it to run", fields.join(", "))
}

/// The uid of the claim's Job is written down once, and that its container ran; then the run has begun.
fn note(claim: Option<&mut RunClaim>, running: &Running, moment: Moment) {
    let Some(claim) = claim else { return };
    if let Some(uid) = &running.job_uid {
        claim.job_uid = Some(uid.clone());
        claim.started_at.get_or_insert_with(|| moment.now.to_string());
    }
    if running.ran {
        claim.ran = Some(true);
    }
    if running.stopping {
        claim.stopping = Some(true);
    }
}

/// What a run that works says: of attempts that failed before, what it warned of, else `usual`.
fn working_text(claim: Option<&RunClaim>, running: &Running, endless: bool, usual: &str) -> String {
    let failed = claim.and_then(|claim| working_words(claim, endless));
    let warning = running.progress.as_ref().and_then(|progress| progress.warning.clone());
    let waiting = running.progress.as_ref().and_then(|progress| progress.waiting.as_ref());
    let waiting = waiting.map(|what| format!("it waits: {what}"));
    let all: Vec<String> = failed.into_iter().chain(waiting).chain(warning).collect();
    if all.is_empty() { usual.to_owned() } else { all.join("; ") }
}

/// An attempt that saved something begins the count of failures anew.
fn forgive(claim: Option<&mut RunClaim>, progress: &Progress) {
    if let Some(claim) = claim.filter(|_| progress.committed_at.is_some()) {
        claim.failures = 0;
        claim.disruptions = 0;
        claim.last_error = None;
        claim.error_code = None;
    }
}

/// Reasons of runs that wait for somebody; what else is in their way may mend itself.
const NEEDS_SOMEBODY: [&str; 3] = ["NodeLost", "NameTaken", "SpecTooLarge"];

/// Whether an attempt that was ended waits for somebody: the cluster ends one after the other.
fn is_disrupted(claim: &RunClaim) -> bool {
    claim.disruptions >= MANY_DISRUPTIONS
}

/// The claim as it stands once its run is over.
fn closed(claim: &RunClaim, verdict: &Verdict, now: Timestamp) -> RunClaim {
    RunClaim {
        finished_at: Some(now.to_string()),
        outcome: Some(verdict.outcome().to_owned()),
        wrote: verdict.wrote,
        not_before: None,
        error_code: verdict.said().and_then(|said| said.failure.as_ref()).map(|(code, _)| code.clone()),
        ..claim.clone()
    }
}

/// What a run that is over says of an edit that came too late for it.
fn edited(moment: Moment) -> &'static str {
    if !moment.changed {
        return "";
    }
    "; the specification was changed while it ran, and the run did not see that: run it again for what it asks for now"
}

/// The reason of what runs once, has run, and was edited since.
const CHANGED: &str = "ChangedSinceRun";

/// Whether the run in a status is over and is not the one that is asked for now. What failed before it changed anything runs again by
/// itself.
fn is_outdated(claim: Option<&RunClaim>, moment: Moment) -> bool {
    moment.changed
        && claim.is_some_and(|claim| match claim.outcome.as_deref() {
            Some("Completed") => true,
            Some("Failed") => claim.wrote != Some(false),
            Some(_) | None => false,
        })
}

/// What a run warned of, in a sentence.
fn remarks(verdict: &Verdict) -> String {
    let Some(said) = verdict.said() else { return String::new() };
    let mut out = String::new();
    if said.gaps > 0 {
        out = format!("; {} ranges of offsets were gone from the source", said.gaps);
    }
    for warning in &said.warnings {
        out.push_str("; ");
        out.push_str(warning);
    }
    out
}

#[cfg(test)]
mod tests;
