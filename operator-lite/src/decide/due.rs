//! When a resource runs. Pure.

use api::lower::job::run_ref;
use api::oso::RunClaim;
use api::schedule::Schedule;
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
    /// The trigger that it is for: never again.
    pub trigger: Option<String>,
}

/// Clocks of replicas and of the API server may differ by so much: a tick that little ahead was claimed.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// Ticks of many resources are spread over at most this long.
const SPREAD: SignedDuration = SignedDuration::from_secs(10);
/// A tick that was missed is looked for in windows of these seconds before now, the narrowest first.
const WINDOWS: [i64; 7] = [60, 3_600, 86_400, 7 * 86_400, 31 * 86_400, 366 * 86_400, 10 * 366 * 86_400];

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
    let claim = |why: Why, at: Timestamp, schedule: Option<Timestamp>| Tick {
        claim: claim(subject, wish, why, at),
        schedule,
        trigger: subject.trigger.clone().filter(|_| asked),
    };
    if asked && !matches!(wish.mode, Mode::Continuous) {
        return Ok(claim(Why::Manual, now, None));
    }
    if wish.suspended {
        return Err(None);
    }
    match &wish.mode {
        Mode::Once if may_run_once(subject) => Ok(claim(Why::Once, now, None)),
        // One that failed for good would fail again.
        Mode::Continuous if asked || !failed_as_it_is(subject, wish) => Ok(claim(Why::Continuous, now, None)),
        Mode::Once | Mode::Continuous => Err(None),
        Mode::Scheduled(schedule) => {
            let anchor = anchor(subject, now);
            let delay = spread(&subject.owner.uid, schedule, now);
            if let Some(tick) = newest_tick(schedule, anchor, now - delay) {
                return Ok(claim(Why::Schedule, tick, Some(tick)));
            }
            let next = schedule.next_after(anchor.max(now - delay));
            Err(next.map(|tick| Next { tick, turn: tick + delay }))
        }
    }
}

/// The newest tick that was claimed, or when the resource was made. A tick that is far ahead of now was written by a clock
/// that was wrong, or came with a status from elsewhere: the schedule would stand still until then.
fn anchor(subject: &Subject, now: Timestamp) -> Timestamp {
    let claimed = subject.last_schedule.filter(|tick| tick.duration_since(now) <= CLOCKS_DIFFER);
    claimed.unwrap_or(subject.created)
}

/// Whether a run was asked for by hand that was not claimed yet.
pub(super) fn is_asked(subject: &Subject) -> bool {
    subject.trigger.is_some() && subject.trigger != subject.last_trigger
}

fn claim(subject: &Subject, wish: &Wish, why: Why, at: Timestamp) -> RunClaim {
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    RunClaim {
        id: run_ref(&subject.owner.name, at).id,
        at: at.to_string(),
        trigger: why.as_str().to_owned(),
        generation: subject.generation,
        digest: wish.digest.clone(),
        attempt: 1,
        ran: Some(false),
        ..RunClaim::default()
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

/// The newest tick after `anchor` that is not in the future: a tick that was missed runs once.
fn newest_tick(schedule: &Schedule, anchor: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let not_later = |tick: &Timestamp| *tick <= now;
    schedule.next_after(anchor).filter(not_later)?;
    let mut begin = WINDOWS.into_iter().map(|seconds| anchor.max(now - SignedDuration::from_secs(seconds)));
    let mut tick = begin.find_map(|from| schedule.next_after(from).filter(not_later))?;
    while let Some(next) = schedule.next_after(tick).filter(not_later) {
        tick = next;
    }
    Some(tick)
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
