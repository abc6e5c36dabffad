//! What follows the end of an attempt. Pure.

use api::oso::RunClaim;
use contract::{Code, ExitCode, Failure, GroupLine, OffsetsBefore, PointLine, PruneReport, Report, ValidationReport};
use jiff::{SignedDuration, Timestamp};

use super::Step;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Exit code of the runner; `None` when nobody knows it any more.
    pub exit_code: Option<i32>,
    /// The limit of its memory, when the runner was ended because it needed more.
    pub memory_limit: Option<String>,
    /// Whether its pod is there and its container certainly never ran.
    pub never_ran: bool,
    /// Whether the cluster ended the pod: an eviction, a drained node, preemption.
    pub disrupted: bool,
    /// What the runner said of it.
    pub report: Option<Box<Said>>,
    /// What the cluster said of it.
    pub message: String,
}

/// The part of a report that counts here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// Id of the run that it is about.
    pub run: String,
    /// Number of the attempt that it is about; a runner of an older release says none.
    pub attempt: Option<u32>,
    /// `Completed`, `AlreadyDone`, `DryRun`, `Failed`, ...
    pub outcome: String,
    /// Code and text of the failure.
    pub failure: Option<(String, String)>,
    /// Why the restore that a dry run planned would not start; none when it would.
    pub refusals: Vec<Failure>,
    /// The recovery point.
    pub point: Option<String>,
    /// What the recovery point holds that was made.
    pub made: Option<PointLine>,
    /// Topics of the point or the restore.
    pub topics: u64,
    /// Their partitions.
    pub partitions: u64,
    /// Records that the run moved, over all its attempts.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes that it wrote to the store.
    pub stored_bytes: u64,
    /// Segments that it wrote, or that a restore reads.
    pub segments: u64,
    /// Whether this attempt itself moved anything.
    pub moved: bool,
    /// Records that a restore left out, because they cannot be read.
    pub left_out: u64,
    /// Whether the run began to change the archive or the target.
    pub changed: bool,
    /// Fingerprint of a restore's plan.
    pub plan_fingerprint: Option<String>,
    /// The plan in words.
    pub plan: Option<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Gaps: ranges of offsets that the source no longer had.
    pub gaps: u64,
    /// Where the offsets are that consumer groups had before a restore changed them.
    pub offsets_before: Option<OffsetsBefore>,
    /// Where the offset mapping of a restore is.
    pub offset_mapping: Option<String>,
    /// Recovery point whose offsets of consumer groups a restore takes.
    pub positions_point: Option<String>,
    /// Where the whole report is.
    pub stored_at: Option<String>,
    /// What a validation found.
    pub validation: Option<Box<ValidationReport>>,
    /// What a run of retention did.
    pub prune: Option<Box<PruneReport>>,
    /// Consumer groups whose offsets a restore committed, or computed only.
    pub groups: u64,
    /// Those of them whose offsets are not as they should be.
    pub failed_groups: u64,
    /// Those of them whose offsets are committed, were read back and are what they should be.
    pub committed_groups: u64,
    /// Those of them that did not fail, and whose offsets are not all what they should be.
    pub inexact_groups: u64,
    /// What came of consumer groups, as far as the short form of the report has room for them: those that failed first.
    pub positions: Vec<GroupLine>,
    /// When the attempt began and ended (RFC 3339).
    pub began: String,
    /// When it ended.
    pub ended: String,
}

impl From<Report> for Said {
    fn from(report: Report) -> Self {
        let (lengths, earlier) = (report.lengths(), report.earlier);
        Self {
            run: report.run,
            attempt: report.attempt,
            moved: report.records > 0
                || report.stored_bytes > 0
                || report.prune.as_ref().is_some_and(PruneReport::has_changed),
            left_out: report.left_out_records,
            outcome: report.outcome,
            failure: report.failure.map(|failure| (failure.code.as_str().to_owned(), failure.message)),
            // Absent where nothing was planned.
            refusals: report.refusals.unwrap_or_default(),
            point: report.point,
            made: report.made,
            topics: report.topics,
            partitions: report.partitions,
            records: earlier.records.saturating_add(report.records),
            bytes: earlier.bytes.saturating_add(report.bytes),
            stored_bytes: earlier.stored_bytes.saturating_add(report.stored_bytes),
            changed: report.changed,
            plan_fingerprint: report.plan_fingerprint,
            plan: report.details.get("text").and_then(serde_json::Value::as_str).map(str::to_owned),
            segments: earlier.segments.saturating_add(report.segments),
            warnings: report.warnings,
            gaps: lengths.gaps,
            groups: lengths.positions,
            failed_groups: lengths.failed_positions,
            // A runner of an older release counts all that did not fail.
            committed_groups: lengths
                .committed_positions
                .unwrap_or_else(|| lengths.positions.saturating_sub(lengths.failed_positions)),
            offsets_before: report.offsets_before,
            offset_mapping: report.offset_mapping,
            positions_point: report.positions_point,
            stored_at: report.stored_at,
            validation: report.validation.map(Box::new),
            prune: report.prune.map(Box::new),
            inexact_groups: lengths.inexact_positions,
            positions: report.positions,
            began: report.started_at,
            ended: report.finished_at,
        }
    }
}

/// Outcomes of a report by which a run did what was asked for.
const SUCCESS: [&str; 4] = ["Completed", "CompletedWithGaps", "AlreadyDone", "DryRun"];

impl Said {
    /// Whether the runner says that it did what was asked for.
    fn is_success(&self) -> bool {
        SUCCESS.contains(&self.outcome.as_str())
    }

    /// Whether the attempt did something that the next one need not do again. A validation begins anew, whatever it read.
    fn has_saved(&self) -> bool {
        self.validation.is_none() && self.moved
    }

    /// Whether it is about this attempt of this run.
    fn is_of(&self, claim: &RunClaim) -> bool {
        self.run == claim.id && self.attempt.is_none_or(|attempt| attempt == claim.attempt)
    }

    /// Whether what it did lacks something for good: what the source no longer had, or what cannot be read.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.outcome == "CompletedWithGaps" || self.gaps > 0 || self.left_out > 0
    }

    /// Whether a check of a validation failed.
    fn has_failed_checks(&self) -> bool {
        self.failure.as_ref().is_some_and(|(code, _)| code == Code::ValidationFailed.as_str())
    }

    /// Whether what a dry run planned would not start.
    fn is_blocked(&self) -> bool {
        !self.refusals.is_empty()
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It did what was asked for. Only the runner's own report of this run says so: no Job, no pod and no exit code does.
    Completed(Box<Said>),
    /// It was told to stop; what the runner said last, if that is known.
    Stopped(Option<Box<Said>>),
    /// It did not do what was asked for; what the runner said last, if that is known.
    Failed(Option<Box<Said>>),
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// How it ended.
    pub end: End,
    /// A stable word for it.
    pub reason: String,
    /// In words.
    pub message: String,
    /// Whether the target may have been changed; `None` when that is not known.
    pub wrote: Option<bool>,
}

impl Verdict {
    /// It was told to stop.
    #[must_use]
    pub fn stopped(said: Option<Box<Said>>) -> Self {
        Self {
            end: End::Stopped(said),
            reason: "Stopped".to_owned(),
            message: "the run was stopped; what it saved before stays".to_owned(),
            wrote: Some(true),
        }
    }

    /// Whether it did what was asked for.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        matches!(self.end, End::Completed(_))
    }

    /// What the runner said last, if that is known.
    #[must_use]
    pub fn said(&self) -> Option<&Said> {
        match &self.end {
            End::Completed(said) => Some(said),
            End::Stopped(said) | End::Failed(said) => said.as_deref(),
        }
    }

    /// The word for its end in a claim.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self.end {
            End::Completed(_) => "Completed",
            End::Stopped(_) => "Stopped",
            End::Failed(_) => "Failed",
        }
    }
}

/// Attempts in a row without progress before a run that is not endless has failed.
pub const MOST_FAILURES: u32 = 6;
/// Most characters of an error that a claim keeps.
const ERROR_LENGTH: usize = 1_000;
/// Attempts in a row that need more memory than their limit before a run has failed: the next one would need it, too.
const MOST_OUT_OF_MEMORY: u32 = 2;
/// Attempts in a row that ended without a result before somebody should look.
pub const MANY_DISRUPTIONS: u32 = 3;
/// The first wait after a failed attempt; it doubles.
const FIRST_WAIT_SECS: i64 = 5;
/// The longest.
pub(super) const LONGEST_WAIT_SECS: i64 = 300;
/// How long another run of the same set is waited for.
const FENCE_WAIT_SECS: i64 = 30;
const DONE: i32 = ExitCode::Done as i32;
const NO: i32 = ExitCode::No as i32;
const BAD_SPEC: i32 = ExitCode::BadSpec as i32;
const FINAL: i32 = ExitCode::Final as i32;
const FENCED: i32 = ExitCode::Fenced as i32;
const INTERRUPTED: i32 = ExitCode::Interrupted as i32;

/// What follows: the run is over, or another attempt. `endless` runs are tried for ever; `unwanted` ones only once.
#[must_use]
pub fn judge(claim: &RunClaim, ended: &Ended, endless: bool, unwanted: bool, now: Timestamp) -> Step {
    // What the report of another run or attempt says is nothing about this one.
    let said = ended.report.clone().filter(|said| said.is_of(claim));
    let progressed = said.as_ref().is_some_and(|said| said.has_saved());
    let failures = if progressed { 0 } else { claim.failures };
    let over = |end: End, reason: &str| {
        Step::Conclude(Box::new(Verdict {
            end,
            reason: reason.to_owned(),
            message: words(ended, said.as_deref()),
            wrote: Some(wrote(claim, ended, said.as_deref())),
        }))
    };
    let failed = |reason: &str| over(End::Failed(said.clone()), reason);
    let disruptions = if progressed { 0 } else { claim.disruptions };
    // What goes on at once did not fail.
    let again = |(failures, disruptions): (u32, u32), wait: i64| {
        let why = words(ended, said.as_deref());
        let next = Box::new(RunClaim {
            failures,
            disruptions,
            last_error: if wait > 0 {
                Some(why.chars().take(ERROR_LENGTH).collect())
            } else {
                claim.last_error.clone().filter(|_| failures > 0)
            },
            error_code: match (&said, wait > 0) {
                (Some(said), true) => said.failure.as_ref().map(|(code, _)| code.clone()),
                (None, true) => None,
                (_, false) => claim.error_code.clone().filter(|_| failures > 0),
            },
            not_before: (wait > 0).then(|| from_now(now, wait)),
            wrote: Some(wrote(claim, ended, said.as_deref())),
            ..next_attempt(claim)
        });
        Step::Again { next, why }
    };
    match ended.exit_code {
        _ if unwanted => Step::Conclude(Box::new(Verdict::stopped(said.clone()))),
        // The plan was made, and says that nothing would be done.
        Some(DONE) if said.as_ref().is_some_and(|said| said.is_success() && said.is_blocked()) => {
            failed("DryRunFailed")
        }
        Some(DONE) if let Some(said) = said.clone().filter(|said| said.is_success()) => {
            let reason = said.outcome.clone();
            over(End::Completed(said), &reason)
        }
        Some(NO) if said.as_ref().is_some_and(|said| said.has_failed_checks()) => failed("ChecksFailed"),
        Some(NO) => failed("AnswerIsNo"),
        Some(BAD_SPEC) => failed("InvalidSpec"),
        Some(FINAL) if !(endless && is_unknown_name(said.as_deref())) => failed("RunFailed"),
        // Nothing failed. Whoever ends pods, or removes them before they are looked at, may do so again at once, and for ever.
        code if code == Some(INTERRUPTED) || ended.disrupted || is_lost(ended, said.as_deref()) => {
            again((failures, disruptions.saturating_add(1)), doubled(disruptions.checked_sub(1)))
        }
        Some(FENCED) if claim.failures == 0 || progressed => again((1, 0), FENCE_WAIT_SECS),
        Some(FENCED) => failed("Fenced"),
        _ if ended.memory_limit.is_some() && failures.saturating_add(1) >= MOST_OUT_OF_MEMORY => failed("OutOfMemory"),
        _ if !endless && failures.saturating_add(1) >= most(claim) => failed("RetriesExhausted"),
        _ => again((failures.saturating_add(1), 0), doubled(Some(failures))),
    }
}

/// Whether the runner may have done all that was asked for, and its report of that is lost: the next attempt asks the archive
/// or the target, and does nothing twice.
fn is_lost(ended: &Ended, said: Option<&Said>) -> bool {
    match (said, ended.exit_code) {
        (Some(_), _) => false,
        (None, Some(code)) => code == DONE,
        (None, None) => !ended.never_ran,
    }
}

/// The claim of the attempt after this one: nothing is known of its Job yet.
pub(super) fn next_attempt(claim: &RunClaim) -> RunClaim {
    RunClaim {
        attempt: claim.attempt.saturating_add(1),
        job_uid: None,
        stopping: None,
        not_before: None,
        ran: Some(false),
        ..claim.clone()
    }
}

/// The attempt after one that somebody removed before it ran: the first of them begins at once, later ones wait, for whoever
/// removes Jobs may do so as soon as they are there.
pub(super) fn after_removal(claim: &RunClaim, now: Timestamp) -> RunClaim {
    let wait = doubled(claim.disruptions.checked_sub(1));
    RunClaim {
        disruptions: claim.disruptions.saturating_add(1),
        not_before: (wait > 0).then(|| from_now(now, wait)),
        ..next_attempt(claim)
    }
}

/// The time so many seconds from now, to the second.
pub(super) fn from_now(now: Timestamp, seconds: i64) -> String {
    let at = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// Seconds to wait after so many failures before; none at all after `None`.
fn doubled(failures: Option<u32>) -> i64 {
    let wait = |failures: u32| FIRST_WAIT_SECS.checked_shl(failures.min(16)).unwrap_or(LONGEST_WAIT_SECS);
    failures.map_or(0, |failures| wait(failures).min(LONGEST_WAIT_SECS))
}

/// Whether the run failed because nobody knows the name of a server. Somebody may give it that name later, and a run
/// without end waits for that.
fn is_unknown_name(said: Option<&Said>) -> bool {
    let unknown = [Code::BrokerNameUnknown, Code::StoreNameUnknown];
    let failure = said.and_then(|said| said.failure.as_ref());
    failure.is_some_and(|(said, _)| unknown.iter().any(|code| code.as_str() == said))
}

/// What people are told of an attempt that ended, before the next one begins.
#[must_use]
pub fn retry_words(claim: &RunClaim, next: &RunClaim, why: &str, endless: bool) -> String {
    match &next.not_before {
        Some(time) if next.disruptions > 0 => format!(
            "attempt {} ended without a result, as the {} before it: {why}; the next one begins at {time}",
            claim.attempt,
            next.disruptions - 1
        ),
        Some(time) => format!("{} failed: {why}; the next one begins at {time}", nth(claim, next.failures, endless)),
        None => format!("attempt {} ended; attempt {} begins now. {why}", claim.attempt, next.attempt),
    }
}

/// What people are told while an attempt works after others failed; `None` when none did since something was saved.
#[must_use]
pub fn working_words(claim: &RunClaim, endless: bool) -> Option<String> {
    let error = claim.last_error.as_ref().filter(|_| claim.failures > 0)?;
    Some(format!("{} works; the one before failed: {error}", nth(claim, claim.failures.saturating_add(1), endless)))
}

/// Attempts are counted since something was saved.
fn nth(claim: &RunClaim, number: u32, endless: bool) -> String {
    if endless { format!("attempt {number}") } else { format!("attempt {number} of {}", most(claim)) }
}

/// Attempts in a row that fail before a run has failed.
fn most(claim: &RunClaim) -> u32 {
    claim.most_failures.unwrap_or(MOST_FAILURES).max(1)
}

/// Whether a run may have changed something, now or in an attempt before. Nothing is known of one that ran and left no
/// report.
fn wrote(claim: &RunClaim, ended: &Ended, said: Option<&Said>) -> bool {
    claim.wrote == Some(true) || said.map_or(!ended.never_ran, |said| said.changed)
}

fn words(ended: &Ended, said: Option<&Said>) -> String {
    if let Some((code, message)) = said.and_then(|said| said.failure.as_ref()) {
        return format!("{code}: {message}");
    }
    if let Some(said) = said.filter(|said| said.is_blocked()) {
        let all: Vec<_> = said.refusals.iter().map(ToString::to_string).collect();
        return format!("the plan is blocked: {}", all.join("; "));
    }
    let message = &ended.message;
    let text = match (said, ended.exit_code, &ended.memory_limit) {
        (_, _, Some(limit)) => format!(
            "the runner was ended because it needs more memory than its limit of {limit}: raise it (spec.resources in \
             resources of the Strimzi groups, runner.resources in the values of the chart for the others)"
        ),
        (Some(said), Some(DONE), _) if said.is_success() => match &said.point {
            Some(point) => format!("{point}: {} records, {} bytes", said.records, said.bytes),
            None => format!("{} records, {} bytes", said.records, said.bytes),
        },
        (_, Some(DONE), _) => format!(
            "the runner ended with exit code 0, but its report is lost; it is asked again, and does nothing twice. {message}"
        ),
        (_, Some(code), _) => format!("the runner ended with exit code {code}. {message}"),
        (_, None, _) => format!("the pod of the run is gone. {message}"),
    };
    text.trim_end().to_owned()
}
