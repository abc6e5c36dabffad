//! When a resource runs. Pure.

use api::lower::job::run_ref;
use api::oso::RunClaim;
use api::schedule::Schedule;
use api::ticks::{CLOCKS_DIFFER, COUNTED, Passed, anchor, passed};
use jiff::{SignedDuration, Timestamp};

use super::{Subject, Wish};

/// When a resource runs.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Once.
    Once,
    /// At each tick.
    Scheduled(Box<Schedule>),
    /// All the time.
    Continuous,
}

/// Why a run was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The resource is there.
    Once,
    /// A tick of its schedule.
    Schedule,
    /// Its trigger annotation has a new value.
    Manual,
    /// It runs all the time.
    Continuous,
}

impl Why {
    /// The word in the claim.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Schedule => "schedule",
            Self::Manual => "manual",
            Self::Continuous => "continuous",
        }
    }
}

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The claim to write.
    pub claim: RunClaim,
    /// The tick that it is for: never again.
    pub schedule: Option<Timestamp>,
    /// Ticks before that one that did not run.
    pub missed: u32,
    /// The trigger that it is for: never again.
    pub trigger: Option<String>,
}

/// From how late on a run tells that its tick was missed.
const LATE: SignedDuration = SignedDuration::from_mins(2);

impl Tick {
    /// Which tick it is for, in words that follow the name of a run; empty without a schedule.
    #[must_use]
    pub fn words(&self) -> String {
        let Some(tick) = self.schedule else { return String::new() };
        // The claim was made of a time just now.
        let at = self.claim.at.parse::<Timestamp>().unwrap_or(tick);
        let late = if at.duration_since(tick) >= LATE { ", which was missed" } else { "" };
        let before = match self.missed {
            0 => String::new(),
            1 => "; the tick before it did not run".to_owned(),
            missed if missed + 1 >= COUNTED => format!("; {missed} or more ticks before it did not run"),
            missed => format!("; {missed} ticks before it did not run"),
        };
        format!(" for the tick of {tick}{late}{before}")
    }
}

/// Ticks of many resources are spread over at most this long.
const SPREAD: SignedDuration = SignedDuration::from_secs(10);

/// The next tick, and when it is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The tick.
    pub tick: Timestamp,
    /// Ticks of many resources are spread: this one's turn.
    pub turn: Timestamp,
}

/// The run that is due now, or when the next one will be.
///
/// # Errors
/// Nothing is due: the next tick, if there is one.
pub fn due(subject: &Subject, wish: &Wish, now: Timestamp) -> Result<Tick, Option<Next>> {
    let asked = is_asked(subject);
    let claim = |why: Why, passed: Option<Passed>| Tick {
        claim: claim(subject, wish, why, passed, now),
        schedule: passed.map(|passed| passed.newest),
        missed: passed.map_or(0, |passed| passed.count.saturating_sub(1)),
        trigger: subject.trigger.clone().filter(|_| asked),
    };
    if asked && !matches!(wish.mode, Mode::Continuous) {
        return Ok(claim(Why::Manual, None));
    }
    if wish.suspended {
        return Err(None);
    }
    match &wish.mode {
        Mode::Once if may_run_once(subject) => Ok(claim(Why::Once, None)),
        // One that failed for good would fail again.
        Mode::Continuous if asked || !failed_as_it_is(subject, wish) => Ok(claim(Why::Continuous, None)),
        Mode::Once | Mode::Continuous => Err(None),
        Mode::Scheduled(schedule) => {
            let anchor = anchor(subject.last_schedule, subject.created, subject.since, now);
            let delay = spread(&subject.owner.uid, schedule, now);
            if let Some(passed) = passed(schedule, anchor, now - delay) {
                return Ok(claim(Why::Schedule, Some(passed)));
            }
            let next = schedule.next_after(anchor.max(now - delay));
            Err(next.map(|tick| Next { tick, turn: tick + delay }))
        }
    }
}

/// Whether a run was asked for by hand that was not claimed yet.
pub(super) fn is_asked(subject: &Subject) -> bool {
    subject.trigger.is_some() && subject.trigger != subject.last_trigger
}

fn claim(subject: &Subject, wish: &Wish, why: Why, passed: Option<Passed>, now: Timestamp) -> RunClaim {
    let at = after_the_last(subject, Timestamp::from_second(now.as_second()).unwrap_or(now));
    let newest = newest(subject).filter(|newest| *newest >= at);
    RunClaim {
        id: id(subject, at, newest),
        at: at.to_string(),
        newest: newest.map(|newest| newest.to_string()),
        tick: passed.map(|passed| passed.newest.to_string()),
        trigger: why.as_str().to_owned(),
        generation: subject.generation,
        digest: wish.digest.clone(),
        image: Some(wish.image.clone()),
        shape: Some(wish.shape.clone()),
        attempt: 1,
        ran: Some(false),
        most_failures: wish.most_failures,
        ..RunClaim::default()
    }
}

/// Two runs of a resource never have the same second: it names their Jobs.
fn after_the_last(subject: &Subject, at: Timestamp) -> Timestamp {
    let last = subject.claim.as_ref().and_then(|claim| claim.at.parse::<Timestamp>().ok());
    let last = last.filter(|last| *last >= at && last.duration_since(at) <= CLOCKS_DIFFER);
    last.map_or(at, |last| last + SignedDuration::from_secs(1))
}

/// The newest time that a run of the resource was ever claimed at, as far as its claims tell.
fn newest(subject: &Subject) -> Option<Timestamp> {
    let claim = subject.claim.as_ref()?;
    let time = |text: &String| text.parse::<Timestamp>().ok();
    time(&claim.at).max(claim.newest.as_ref().and_then(time))
}

/// The id of a run: no two have the same, since the archive takes the second for the first, and does nothing. After clocks were set
/// back, times come again.
fn id(subject: &Subject, at: Timestamp, newest: Option<Timestamp>) -> String {
    let id = run_ref(&subject.owner.run_name(), at).id;
    match (newest, &subject.claim) {
        (Some(_), Some(before)) => format!("{id}-{}", api::update::digest(&before.id)),
        (Some(_) | None, _) => id,
    }
}

/// What runs once runs again only if it failed before it changed anything, and was mended since; or if the run before was
/// one without end that was stopped.
pub(super) fn may_run_once(subject: &Subject) -> bool {
    subject.claim.as_ref().is_none_or(|claim| match claim.outcome.as_deref() {
        Some("Stopped") => claim.generation < subject.generation,
        Some("Failed") => claim.wrote == Some(false) && claim.generation < subject.generation,
        Some(_) | None => false,
    })
}

fn failed_as_it_is(subject: &Subject, wish: &Wish) -> bool {
    let failed = |claim: &RunClaim| claim.outcome.as_deref() == Some("Failed") && claim.digest == wish.digest;
    // A Job that somebody removed says nothing about the next one.
    subject.claim.as_ref().is_some_and(|claim| failed(claim) && claim.wrote.is_some())
}

/// How long after its ticks a resource runs: its own share of the spread, which is short beside the interval.
fn spread(uid: &str, schedule: &Schedule, now: Timestamp) -> SignedDuration {
    let next = schedule.next_after(now);
    let interval = next.and_then(|next| Some(schedule.next_after(next)?.duration_since(next)));
    let most = interval.map_or(SPREAD, |interval| (interval / 4).min(SPREAD));
    let digest = uid.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let share = i64::try_from(digest % 1_000).unwrap_or(0);
    SignedDuration::from_millis(i64::try_from(most.as_millis()).unwrap_or(0) * share / 1_000)
}
