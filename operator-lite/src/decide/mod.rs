//! What is to be done next for a resource. Pure: everything comes in as values, one step goes out.
//!
//! A run is claimed in the status before its Job is made, under the version of the resource that was read; the Job's
//! name follows from the claim. So whoever decides on old facts fails at the write, and nobody makes a run twice.

mod attempt;
mod due;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::BTreeMap;
use std::ops::Range;

use api::finding::{Finding, Level};
use api::lower::job::{Owner, job_name};
use api::oso::RunClaim;
use api::ticks::CLOCKS_DIFFER;
use contract::RunRef;
use contract::words::cut;
use jiff::{SignedDuration, Timestamp};

pub use attempt::{End, Ended, MANY_DISRUPTIONS, MOST_FAILURES, Said, Verdict, judge, retry_words, working_words};
use attempt::{LONGEST_WAIT_SECS, after_removal, from_now, next_attempt};
pub use due::{Mode, Tick, Why, due};
pub use undo::undo_first;

/// What is known of a resource, apart from its specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Who it is.
    pub owner: Owner,
    /// Its generation.
    pub generation: i64,
    /// When it was created.
    pub created: Timestamp,
    /// The claim in its status.
    pub claim: Option<RunClaim>,
    /// The newest tick that a run was claimed for.
    pub last_schedule: Option<Timestamp>,
    /// From when on ticks count, if not from the creation.
    pub since: Option<Timestamp>,
    /// The trigger annotation's value.
    pub trigger: Option<String>,
    /// The value that a run was claimed for.
    pub last_trigger: Option<String>,
}

impl Subject {
    /// Whether a run was claimed that is not over.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.claim.as_ref().is_some_and(RunClaim::is_unfinished)
    }
}

/// What its specification asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// When it runs.
    pub mode: Mode,
    /// Whether no run is started by itself.
    pub suspended: bool,
    /// Digest of what shapes a run.
    pub digest: String,
    /// Digest of what the specification says of it.
    pub shape: String,
    /// How long after its node stopped to answer an attempt is given up for the next one. Only where what the lost one
    /// still does is harmless.
    pub lost_after: Option<SignedDuration>,
    /// Attempts in a row that fail before a run has failed; the operator's own number when absent.
    pub most_failures: Option<u32>,
    /// Image of its pods.
    pub image: String,
}

/// A Job of a resource, and its pod.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Whether it is being removed.
    pub deleting: bool,
    /// Whether it makes no pod, and ends the one that it has: as we, a queue or somebody else told it.
    pub suspended: bool,
    /// Pods whose runner has not ended.
    pub live_pods: usize,
    /// Since when the node of these pods does not answer.
    pub lost_since: Option<Timestamp>,
    /// The labels by which a queue for Jobs knows it.
    pub queues: BTreeMap<String, String>,
    /// Whether a container of its pods ran.
    pub start: Start,
    /// How its attempt ended, once it has.
    pub ended: Option<Ended>,
}

/// Whether a container of a Job's pods ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It runs, or did.
    Ran,
    /// It cannot start: the pod cannot be made, placed, or get its image.
    Stuck,
    /// Not known to have run, and nothing known to keep it.
    Awaited,
}

/// The next step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing is due.
    Idle {
        /// When the next run is, if there will be one.
        next: Option<Timestamp>,
        /// When to look again, if at all.
        look: Option<Timestamp>,
    },
    /// Write this claim, and the tick and the trigger that it is for.
    Claim(Box<Tick>),
    /// Make the Job of the claim.
    Make,
    /// Write down the uid of the claim's Job.
    Note(String),
    /// Write down that a container of the claim's Job runs, or did.
    NoteStart,
    /// The claim's Job is not made, and something has changed: write the claim as it is now.
    Renew(Box<RunClaim>),
    /// Remove the Jobs of earlier attempts that may still run, by these names.
    Clear(Vec<String>),
    /// The run works; look again.
    Watch,
    /// Write down that the Job is told to end its pod.
    NoteStop,
    /// Tell the Job to end its pod, which saves its progress.
    Stop,
    /// Not before that time.
    Wait(Timestamp),
    /// Write the claim of the next attempt.
    Again {
        /// The claim.
        next: Box<RunClaim>,
        /// How the attempt before ended.
        why: String,
    },
    /// The run is over: write what became of it.
    Conclude(Box<Verdict>),
    /// The claim does not read: nothing can be said of its run. This field, its value, what it must be.
    Unreadable(Finding),
    /// Its result stands: remove the Jobs of its attempts, by these names and no others.
    Sweep(Vec<String>),
}

/// How long the Job of a finished run stays, for its log.
pub const KEEP_JOB: SignedDuration = SignedDuration::from_mins(10);

impl Step {
    /// Whether it begins a run or an attempt, which takes a place.
    #[must_use]
    pub fn begins(&self) -> bool {
        matches!(self, Self::Claim(_) | Self::Make)
    }

    /// Whether the run works until the next look, and keeps its place. One whose pod cannot start, or whose next attempt
    /// waits, gives it to another.
    #[must_use]
    pub fn keeps_place(&self, stuck: bool) -> bool {
        match self {
            Self::Claim(_)
            | Self::Make
            | Self::Note(_)
            | Self::NoteStart
            | Self::Renew(_)
            | Self::Clear(_)
            | Self::NoteStop
            | Self::Stop => true,
            Self::Watch => !stuck,
            Self::Again { next, .. } => next.not_before.is_none(),
            Self::Idle { .. } | Self::Wait(_) | Self::Conclude(_) | Self::Sweep(_) | Self::Unreadable(_) => false,
        }
    }
}

/// The next step for a resource. `jobs` are all Jobs of the resource.
#[must_use]
pub fn decide(subject: &Subject, wish: &Wish, jobs: &[JobView], now: Timestamp) -> Step {
    match &subject.claim {
        Some(claim) if claim.is_unfinished() => unfinished(subject, wish, claim, jobs, now),
        claim => idle(subject, wish, claim.as_ref(), jobs, now),
    }
}

/// Whether a resource that runs once has run, and will not again as it is: nothing that happens elsewhere changes that.
#[must_use]
pub fn is_over(subject: &Subject, mode: &Mode) -> bool {
    let ended = subject.claim.as_ref().is_some_and(|claim| !claim.is_unfinished());
    matches!(mode, Mode::Once) && ended && !due::is_asked(subject) && !due::may_run_once(subject)
}

/// The run of a claim; `None` where its time does not read: it names the run's Jobs.
#[must_use]
pub fn run_of(claim: &RunClaim) -> Option<RunRef> {
    Some(RunRef { id: claim.id.clone(), at: claim.at.parse().ok()?, attempt: None })
}

/// The name of the Job of a claim's attempt; `None` where the claim does not read.
#[must_use]
pub fn job_of(subject: &Subject, claim: &RunClaim) -> Option<String> {
    Some(job_name(&subject.owner, &run_of(claim)?, claim.attempt))
}

/// What is wrong with a claim that does not read.
fn unreadable(claim: &RunClaim) -> Finding {
    Finding {
        level: Level::Error,
        field: "status.run.at".to_owned(),
        value: Some(cut(claim.at.clone(), SHOWN)),
        rule: "must be a time (RFC 3339): it names the Jobs of the run that works".to_owned(),
        fix: "put back what stood there, or remove status.run once no Job of the resource works".to_owned(),
    }
}

/// Most characters of a value that is shown.
const SHOWN: usize = 100;

/// The Jobs of all attempts of a claim.
fn names(subject: &Subject, claim: Option<&RunClaim>) -> Vec<String> {
    claim.map(|claim| names_of(subject, claim, 1..claim.attempt.saturating_add(1))).unwrap_or_default()
}

/// Attempts whose Jobs are looked for: earlier ones were removed long ago. A status that somebody wrote by hand may name any
/// number.
const NEWEST_ATTEMPTS: u32 = 100;

/// The Jobs of some attempts of a claim, of the newest ones at most.
fn names_of(subject: &Subject, claim: &RunClaim, attempts: Range<u32>) -> Vec<String> {
    let first = attempts.start.max(attempts.end.saturating_sub(NEWEST_ATTEMPTS));
    let run = run_of(claim);
    let name = |attempt| run.as_ref().map(|run| job_name(&subject.owner, run, attempt));
    (first..attempts.end).filter_map(name).collect()
}

fn unfinished(subject: &Subject, wish: &Wish, claim: &RunClaim, jobs: &[JobView], now: Timestamp) -> Step {
    let Some(name) = job_of(subject, claim) else { return Step::Unreadable(unreadable(claim)) };
    let Some(job) = jobs.iter().find(|job| job.name == name) else {
        if claim.job_uid.is_some() {
            return match claim.ran {
                // Whoever tells a Job to end its pod may remove it, too.
                _ if claim.stopping == Some(true) => Step::Conclude(Box::new(Verdict::stopped(None))),
                Some(false) => {
                    let next = Box::new(after_removal(&renewed(subject, wish, claim), now));
                    Step::Again { next, why: "its Job was removed before its container ran".to_owned() }
                }
                Some(true) | None => removed(claim, &name, now),
            };
        }
        if let Some(step) = clear(subject, claim, jobs) {
            return step;
        }
        let endless = matches!(wish.mode, Mode::Continuous);
        let lives = |job: &JobView| job.live_pods > 0 && !is_given_up(wish, job, now);
        // Nothing of it works, and nothing is to begin.
        if endless && wish.suspended && !jobs.iter().any(lives) {
            return Step::Conclude(Box::new(Verdict::stopped(None)));
        }
        if claim.digest != wish.digest {
            return Step::Renew(Box::new(renewed(subject, wish, claim)));
        }
        if let Some(time) = claim.not_before.as_ref().and_then(|time| time.parse().ok()).filter(|time| *time > now) {
            return wait(claim, time, now);
        }
        // Two pods of one set would fence each other.
        return if jobs.iter().any(lives) { Step::Watch } else { Step::Make };
    };
    if claim.job_uid.is_none() {
        return Step::Note(job.uid.clone());
    }
    if job.start == Start::Ran && claim.ran == Some(false) {
        return Step::NoteStart;
    }
    let endless = matches!(wish.mode, Mode::Continuous);
    // A pod that cannot start would wait for ever, whatever was mended since.
    let stuck = job.start == Start::Stuck && claim.ran == Some(false) && job.ended.is_none();
    if stuck && claim.digest != wish.digest && !(endless && wish.suspended) {
        return anew(subject, wish, claim);
    }
    let unwanted = endless && (wish.suspended || wish.digest != claim.digest);
    // A Job that something else suspended goes on one day: only what we told to stop has stopped.
    let told = claim.stopping == Some(true);
    let given_up = is_given_up(wish, job, now);
    match &job.ended {
        Some(_) if job.live_pods > 0 && !given_up => Step::Watch,
        Some(ended) => judge(claim, ended, endless, unwanted || told, now),
        None if told && !job.suspended => Step::Stop,
        None if told && (job.live_pods == 0 || given_up) => Step::Conclude(Box::new(Verdict::stopped(None))),
        None if unwanted && !told => Step::NoteStop,
        None if given_up && !told => lost(claim, job),
        None => Step::Watch,
    }
}

/// Until the next attempt is due. A time that is farther away than any that is written here was written by a clock that was
/// wrong, or came with a status from elsewhere: then the wait is the longest one, from now.
fn wait(claim: &RunClaim, until: Timestamp, now: Timestamp) -> Step {
    if until.duration_since(now) <= SignedDuration::from_secs(LONGEST_WAIT_SECS) {
        return Step::Wait(until);
    }
    Step::Renew(Box::new(RunClaim { not_before: Some(from_now(now, LONGEST_WAIT_SECS)), ..claim.clone() }))
}

/// The next attempt of a run whose Job somebody removed before its result was known: it may be done, and its archive or target
/// tells. Nothing is done twice.
fn removed(claim: &RunClaim, name: &str, now: Timestamp) -> Step {
    let next = RunClaim { wrote: Some(true), ..after_removal(claim, now) };
    let why =
        format!("the Job {name} was removed before its result was known; it is asked again, and does nothing twice");
    Step::Again { next: Box::new(next), why }
}

/// Whether nobody waits for the pods of a Job any more: their node has not answered for too long.
fn is_given_up(wish: &Wish, job: &JobView, now: Timestamp) -> bool {
    let turn = wish.lost_after.zip(job.lost_since).and_then(|(after, since)| since.checked_add(after).ok());
    turn.is_some_and(|turn| turn <= now)
}

/// The next attempt of a run whose node is lost. The lost pod may still work, and may have written.
fn lost(claim: &RunClaim, job: &JobView) -> Step {
    let since = job.lost_since.map(|since| since.to_string()).unwrap_or_default();
    let next = RunClaim { disruptions: claim.disruptions.saturating_add(1), wrote: Some(true), ..next_attempt(claim) };
    let why = format!(
        "its node does not answer since {since}, and it is given up: what it may still write, the archive refuses"
    );
    Step::Again { next: Box::new(next), why }
}

/// What is to be done with earlier attempts that may still run: whose pod could not start, or that a queue holds back.
fn clear(subject: &Subject, claim: &RunClaim, jobs: &[JobView]) -> Option<Step> {
    let earlier = names_of(subject, claim, 1..claim.attempt);
    let alive = || {
        let given_up = |job: &&JobView| !job.deleting && job.ended.is_none();
        jobs.iter().filter(given_up).filter(|job| earlier.contains(&job.name))
    };
    if alive().any(|job| job.start == Start::Ran) && claim.wrote != Some(true) {
        // It started after all.
        return Some(Step::Renew(Box::new(RunClaim { wrote: Some(true), ..claim.clone() })));
    }
    let names: Vec<String> = alive().map(|job| job.name.clone()).collect();
    (!names.is_empty()).then_some(Step::Clear(names))
}

/// The Jobs of attempts that nobody looks at any more: those of the last two that failed stay, for their logs.
#[must_use]
pub fn outlived(subject: &Subject, claim: &RunClaim) -> Vec<String> {
    names_of(subject, claim, 1..claim.attempt.saturating_sub(1))
}

/// The claim for what is asked for now.
fn renewed(subject: &Subject, wish: &Wish, claim: &RunClaim) -> RunClaim {
    RunClaim {
        digest: wish.digest.clone(),
        image: Some(wish.image.clone()),
        shape: Some(wish.shape.clone()),
        generation: subject.generation,
        ..claim.clone()
    }
}

/// The next attempt of a run whose pod could not start, once what it is made from has changed: nothing was tried, so nothing
/// failed.
fn anew(subject: &Subject, wish: &Wish, claim: &RunClaim) -> Step {
    let next = next_attempt(&renewed(subject, wish, claim));
    let why = "its pod could not start, and the specification or the placement has changed".to_owned();
    Step::Again { next: Box::new(next), why }
}

fn idle(subject: &Subject, wish: &Wish, claim: Option<&RunClaim>, jobs: &[JobView], now: Timestamp) -> Step {
    let next = due(subject, wish, now);
    let kept = claim.filter(|claim| claim.job_uid.is_some()).map(|claim| {
        let ended = claim.finished_at.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        // A time that is ahead is no reason to wait until then.
        let ended = ended.filter(|ended| ended.duration_since(now) <= CLOCKS_DIFFER);
        ended.and_then(|ended| ended.checked_add(KEEP_JOB).ok()).unwrap_or(now)
    });
    match (next, kept) {
        // A new run takes the place of the one before.
        (Ok(_), Some(_)) => Step::Sweep(names(subject, claim)),
        (_, Some(until)) if until <= now => Step::Sweep(names(subject, claim)),
        (Ok(_), None) if jobs.iter().any(|job| job.live_pods > 0) => Step::Watch,
        (Ok(tick), None) => Step::Claim(Box::new(tick)),
        (Err(next), kept) => Step::Idle {
            next: next.map(|next| next.tick),
            look: [next.map(|next| next.turn), kept].into_iter().flatten().min(),
        },
    }
}
