//! What is to be done next for a resource. Pure: everything comes in as values, one step goes out.
//!
//! A run is claimed in the status before its Job is made, under the version of the resource that was read; the Job's
//! name follows from the claim. So whoever decides on old facts fails at the write, and nobody makes a run twice.

mod attempt;
mod due;
#[cfg(test)]
mod tests;

use api::lower::job::{Owner, job_name};
use api::oso::RunClaim;
use contract::RunRef;
use jiff::{SignedDuration, Timestamp};

pub use attempt::{Ended, Said, Verdict, judge};
pub use due::{Mode, Tick, Why, due};

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
    /// Whether it was told to end its pod.
    pub suspended: bool,
    /// Pods that have not ended.
    pub live_pods: usize,
    /// How its attempt ended, once it has.
    pub ended: Option<Ended>,
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
    /// A run is due, and there is no room for it yet.
    Queue,
    /// Write this claim, and the tick and the trigger that it is for.
    Claim(Box<Tick>),
    /// Make the Job of the claim.
    Make,
    /// Write down the uid of the claim's Job.
    Note(String),
    /// The run works; look again.
    Watch,
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
    /// Its result stands: remove the Jobs of its attempts, by these names and no others.
    Sweep(Vec<String>),
}

/// How long the Job of a finished run stays, for its log.
pub const KEEP_JOB: SignedDuration = SignedDuration::from_mins(10);

/// The next step for a resource. `jobs` are all Jobs of the resource; `room` says whether one more run may start.
#[must_use]
pub fn decide(subject: &Subject, wish: &Wish, jobs: &[JobView], room: bool, now: Timestamp) -> Step {
    match &subject.claim {
        Some(claim) if claim.is_unfinished() => unfinished(subject, wish, claim, jobs, now),
        claim => idle(subject, wish, claim.as_ref(), jobs, room, now),
    }
}

/// The run of a claim.
#[must_use]
pub fn run_of(claim: &RunClaim) -> RunRef {
    RunRef { id: claim.id.clone(), at: claim.at.parse().unwrap_or(Timestamp::UNIX_EPOCH) }
}

/// The Jobs of all attempts of a claim.
fn names(subject: &Subject, claim: Option<&RunClaim>) -> Vec<String> {
    let all = claim.into_iter().flat_map(|claim| (1..=claim.attempt).map(move |attempt| (claim, attempt)));
    all.map(|(claim, attempt)| job_name(&subject.owner, &run_of(claim), attempt)).collect()
}

fn unfinished(subject: &Subject, wish: &Wish, claim: &RunClaim, jobs: &[JobView], now: Timestamp) -> Step {
    let name = job_name(&subject.owner, &run_of(claim), claim.attempt);
    let Some(job) = jobs.iter().find(|job| job.name == name) else {
        if claim.job_uid.is_some() {
            return Step::Conclude(Box::new(Verdict::vanished(&name)));
        }
        if let Some(time) = claim.not_before.as_ref().and_then(|time| time.parse().ok()).filter(|time| *time > now) {
            return Step::Wait(time);
        }
        // Two pods of one set would fence each other.
        return if jobs.iter().any(|job| job.live_pods > 0) { Step::Watch } else { Step::Make };
    };
    if claim.job_uid.is_none() {
        return Step::Note(job.uid.clone());
    }
    let endless = matches!(wish.mode, Mode::Continuous);
    let unwanted = endless && (wish.suspended || wish.digest != claim.digest);
    match &job.ended {
        _ if job.suspended && job.live_pods == 0 => Step::Conclude(Box::new(Verdict::stopped())),
        None if unwanted && !job.suspended => Step::Stop,
        None => Step::Watch,
        Some(_) if job.live_pods > 0 => Step::Watch,
        Some(ended) => judge(claim, ended, endless, unwanted, now),
    }
}

fn idle(
    subject: &Subject,
    wish: &Wish,
    claim: Option<&RunClaim>,
    jobs: &[JobView],
    room: bool,
    now: Timestamp,
) -> Step {
    let next = due(subject, wish, now);
    let kept = claim.filter(|claim| claim.job_uid.is_some()).map(|claim| {
        let ended = claim.finished_at.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        ended.and_then(|ended| ended.checked_add(KEEP_JOB).ok()).unwrap_or(now)
    });
    match (next, kept) {
        // A new run takes the place of the one before.
        (Ok(_), Some(_)) => Step::Sweep(names(subject, claim)),
        (_, Some(until)) if until <= now => Step::Sweep(names(subject, claim)),
        (Ok(_), None) if jobs.iter().any(|job| job.live_pods > 0) => Step::Watch,
        (Ok(_), None) if !room => Step::Queue,
        (Ok(tick), None) => Step::Claim(Box::new(tick)),
        (Err(next), kept) => Step::Idle {
            next: next.map(|next| next.tick),
            look: [next.map(|next| next.turn), kept].into_iter().flatten().min(),
        },
    }
}
