//! The status of a KafkaBackupValidation.
//!
//! One whose checks were made is Completed, whatever they found: the result says that, and Ready. One whose checks could not
//! all be made, and found nothing wrong, has failed, and has no result.

use api::oso::{CheckResult, KafkaBackupValidationSpec, KafkaBackupValidationStatus, PastValidation, RunClaim};
use contract::words::{cut, plural};
use contract::{CheckVerdict, ValidationCheck, ValidationReport, ValidationVerdict};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::{ended_before, health, judged, keep_ends, set};
use super::once::{Once, Words};
use super::{CHANGED, Moment, State, closed, edited, is_outdated, remarks};
use crate::decide::{Said, Tick, Verdict};
use crate::progress::Checked;

/// Most characters of what a check says, in a status.
const TEXT: usize = 1_000;
/// Most characters of what a past validation says.
const PAST: usize = 300;

const WORDS: Words = Words {
    running: "ValidationRunning",
    retrying: "ValidationRetrying",
    works: "the recovery point is being checked",
};

/// The new status.
#[must_use]
pub fn validation(
    old: &KafkaBackupValidationStatus,
    spec: &KafkaBackupValidationSpec,
    state: &State,
    moment: Moment,
) -> KafkaBackupValidationStatus {
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    if let State::Claimed(tick) = state {
        begin(&mut new, tick);
    }
    // Each attempt begins anew.
    if let State::Retrying(..) = state {
        forget_checks(&mut new);
    }
    if let State::Running(running) = state
        && let Some(progress) = &running.progress
    {
        checked(&mut new, &progress.checked);
    }
    if let State::Idle(next) = state {
        idle(&mut new, spec, *next, moment);
    } else {
        new.common().advance(state, &WORDS, moment);
    }
    let is_undisturbed = match state {
        State::Claimed(_) => true,
        State::Running(running) => running.problem.is_none(),
        State::Invalid(_)
        | State::NotImplemented(_)
        | State::Foreign(_)
        | State::TakenOver(_)
        | State::Pending(..)
        | State::Idle(_)
        | State::Renewed(_)
        | State::Waiting
        | State::Retrying(..)
        | State::Swept
        | State::Over(..) => false,
    };
    if matches!(state, State::Claimed(_)) && spec.schedule.is_some() {
        keep_ends(&mut new.conditions, &old.conditions);
    }
    // A schedule whose last result is good stays well while the next run works.
    if is_undisturbed && spec.schedule.is_some() && is_good(old) {
        let text = new.message.clone().unwrap_or_default();
        new.conditions.clone_from(&old.conditions);
        health(&mut new.conditions, (true, false, false), WORDS.running, &text, moment);
    }
    if let State::Over(claim, verdict) = state {
        over(&mut new, spec, claim, verdict, moment);
    }
    let most = usize::try_from(spec.history_limit).unwrap_or(usize::MAX);
    let surplus = new.history.len().saturating_sub(most);
    new.history.drain(..surplus);
    judged(&mut new.conditions, moment);
    let is_begun = new.run.as_ref().is_none_or(RunClaim::is_unfinished);
    if moment.changed && !is_begun && spec.schedule.is_none() {
        ended_before(&mut new.conditions, new.run.as_ref());
    }
    new
}

/// A run is claimed: what is told of the one before ends, but for its result.
fn begin(new: &mut KafkaBackupValidationStatus, tick: &Tick) {
    (new.start_time, new.completion_time) = (None, None);
    (new.report_path, new.sample_seed) = (None, None);
    (new.evidence_report_path, new.evidence_report_signed) = (None, None);
    new.last_schedule_time = tick.schedule.map(|time| time.to_string()).or(new.last_schedule_time.take());
    new.last_trigger = tick.trigger.clone().or(new.last_trigger.take());
    forget_checks(new);
}

fn forget_checks(new: &mut KafkaBackupValidationStatus) {
    new.check_results.clear();
    (new.checks_total, new.checks_passed, new.checks_failed, new.checks_warned) = (None, None, None, None);
    new.checks_completed = Some(0);
}

/// Checks that are made while the run works. Its log is read in parts: what was read before stays.
fn checked(new: &mut KafkaBackupValidationStatus, made: &[Checked]) {
    for check in made {
        let result = CheckResult {
            check_name: check.name.clone(),
            outcome: outcome(check.verdict).to_owned(),
            message: Some(cut(check.message.clone(), TEXT)).filter(|text| !text.is_empty()),
            duration_ms: None,
        };
        match new.check_results.iter_mut().find(|known| known.check_name == result.check_name) {
            Some(known) => *known = result,
            None => new.check_results.push(result),
        }
    }
    new.checks_completed = Some(new.check_results.len() as u64);
}

fn outcome(verdict: CheckVerdict) -> &'static str {
    match verdict {
        CheckVerdict::Pass => "Passed",
        CheckVerdict::Warn => "Warning",
        CheckVerdict::Fail => "Failed",
        CheckVerdict::Skipped | CheckVerdict::NotRun => "Skipped",
    }
}

/// The word for a result, as others documented it.
fn word(verdict: ValidationVerdict) -> &'static str {
    match verdict {
        ValidationVerdict::Pass => "Pass",
        ValidationVerdict::Warn => "Warn",
        ValidationVerdict::Fail => "Fail",
    }
}

fn is_good(status: &KafkaBackupValidationStatus) -> bool {
    matches!(status.validation_result.as_deref(), Some("Pass" | "Warn"))
}

/// The condition that tells how the last run ended, whatever was told since.
fn end(all: &[Condition]) -> Option<&Condition> {
    all.iter().find(|condition| condition.type_ == "Complete")
}

fn idle(
    new: &mut KafkaBackupValidationStatus,
    spec: &KafkaBackupValidationSpec,
    next: Option<jiff::Timestamp>,
    moment: Moment,
) {
    let scheduled = spec.schedule.is_some();
    let next = next.filter(|_| scheduled && !spec.suspend);
    new.next_scheduled_validation = next.map(|time| time.to_string());
    let is_over = new.run.as_ref().is_some_and(|run| !run.is_unfinished());
    let end = end(&new.conditions).filter(|_| is_over).cloned();
    if end.is_none() {
        new.conditions.retain(|condition| condition.type_ != "Failed");
    }
    let is_complete = end.as_ref().is_some_and(|end| end.status == "True");
    let is_well = end.is_none() || is_complete && new.validation_result.as_deref() != Some("Fail");
    let phase = match &end {
        None => "Ready",
        Some(_) if is_complete => "Completed",
        Some(_) => "Failed",
    };
    let is_outdated = !scheduled && is_outdated(new.run.as_ref(), moment);
    let is_well = is_well && !is_outdated;
    let (reason, text, stalled) = match (end, next) {
        (Some(_), _) if is_outdated => {
            let text = "the specification was changed since its run, and what it asks for now is not checked: trigger it, or make a \
                        new one";
            (CHANGED.to_owned(), text.to_owned(), true)
        }
        (end, _) if spec.suspend && (scheduled || end.is_none()) => {
            let last = end.filter(|_| !is_well).map(|end| format!("; the last one: {}", end.message));
            let text = format!("suspended: no validation is started{}", last.unwrap_or_default());
            ("ValidationSuspended".to_owned(), text, false)
        }
        (Some(end), _) => (end.reason, end.message, !is_well && !scheduled),
        (None, Some(next)) => ("ScheduleActive".to_owned(), format!("the next validation is due at {next}"), false),
        (None, None) => ("Ready".to_owned(), "nothing is due".to_owned(), false),
    };
    new.phase = Some(phase.to_owned());
    health(&mut new.conditions, (is_well, stalled, false), &reason, &text, moment);
    new.message = Some(text);
}

fn over(
    new: &mut KafkaBackupValidationStatus,
    spec: &KafkaBackupValidationSpec,
    claim: &RunClaim,
    verdict: &Verdict,
    moment: Moment,
) {
    let said = verdict.said();
    let report = said.and_then(|said| said.validation.as_deref());
    new.run = Some(closed(claim, verdict, moment.now));
    new.completion_time = Some(moment.now.to_string());
    of_report(new, said, report);
    let lasting = spec.schedule.is_some();
    let result = result(verdict, report);
    let (reason, text) = match result {
        Some(ValidationVerdict::Pass | ValidationVerdict::Warn) => {
            let late = if lasting { "" } else { edited(moment) };
            ("ValidationCompleted", summary(new) + &remarks(verdict) + late)
        }
        Some(ValidationVerdict::Fail) => ("ChecksFailed", verdict.message.clone()),
        None if verdict.is_completed() => (
            "ResultMissing",
            "the run ended well, but its report has no result: nothing is known to be checked".to_owned(),
        ),
        None => (verdict.reason.as_str(), verdict.message.clone()),
    };
    new.validation_result = result.map(|result| word(result).to_owned());
    if result.is_some() {
        new.last_validation_time = Some(moment.now.to_string());
    }
    if is_good(new) {
        new.last_pass_time = Some(moment.now.to_string());
    }
    remember(new, claim, &text, moment);
    let (is_complete, ready) = (result.is_some(), is_good(new));
    new.phase = Some(if is_complete { "Completed" } else { "Failed" }.to_owned());
    // The next tick is another chance; one that runs once stays as it is.
    health(&mut new.conditions, (ready, !ready && !lasting, false), reason, &text, moment);
    set(&mut new.conditions, "Complete", is_complete, reason, &text, moment);
    set(&mut new.conditions, "Failed", !is_complete, reason, &text, moment);
    new.message = Some(text);
}

/// The result of a run: that a check failed counts however the run ended, that all passed only where it ended well.
fn result(verdict: &Verdict, report: Option<&ValidationReport>) -> Option<ValidationVerdict> {
    match report?.verdict? {
        ValidationVerdict::Fail => Some(ValidationVerdict::Fail),
        good @ (ValidationVerdict::Pass | ValidationVerdict::Warn) => verdict.is_completed().then_some(good),
    }
}

/// What the run found.
fn of_report(new: &mut KafkaBackupValidationStatus, said: Option<&Said>, report: Option<&ValidationReport>) {
    let point = report.and_then(|report| report.point.as_ref()).map(|point| point.id.clone());
    new.recovery_point = point.or_else(|| said.and_then(|said| said.point.clone()));
    new.report_path = said.and_then(|said| said.stored_at.clone());
    new.sample_seed = report.and_then(|report| report.sample.as_ref()).map(|sample| sample.seed);
    let evidence = report.and_then(|report| report.evidence.as_ref());
    new.evidence_report_path = evidence.map(|evidence| evidence.path.clone());
    new.evidence_report_signed = evidence.map(|evidence| evidence.signed);
    let Some(report) = report else { return };
    let count = |wanted: &[CheckVerdict]| {
        Some(report.checks.iter().filter(|check| wanted.contains(&check.verdict)).count() as u64)
    };
    new.checks_total = Some(report.checks.len() as u64);
    new.checks_completed = count(&[CheckVerdict::Pass, CheckVerdict::Warn, CheckVerdict::Fail, CheckVerdict::Skipped]);
    new.checks_passed = count(&[CheckVerdict::Pass]);
    new.checks_failed = count(&[CheckVerdict::Fail]);
    new.checks_warned = count(&[CheckVerdict::Warn]);
    new.check_results = report.checks.iter().map(line).collect();
}

fn line(check: &ValidationCheck) -> CheckResult {
    let findings: Vec<String> = check.findings.iter().map(ToString::to_string).collect();
    let more = check.findings_total.saturating_sub(findings.len() as u64);
    let mut parts = vec![check.message.clone()];
    parts.extend(findings);
    if more > 0 {
        parts.push(format!("and {more} more in the report"));
    }
    parts.retain(|part| !part.is_empty());
    CheckResult {
        check_name: check.name.clone(),
        outcome: outcome(check.verdict).to_owned(),
        message: Some(cut(parts.join("; "), TEXT)).filter(|text| !text.is_empty()),
        duration_ms: Some(check.millis),
    }
}

/// What came of all checks, in a sentence.
fn summary(new: &KafkaBackupValidationStatus) -> String {
    let (total, passed) = (new.checks_total.unwrap_or(0), new.checks_passed.unwrap_or(0));
    let point = new.recovery_point.as_deref().unwrap_or("the recovery point");
    if passed == total {
        return format!("{point}: {} passed", plural(total, "check"));
    }
    let beside = |outcome: &str| {
        let named = new.check_results.iter().filter(|result| result.outcome == outcome);
        named.map(|result| result.check_name.clone()).collect::<Vec<_>>()
    };
    let told: Vec<String> = [("Warning", "warned"), ("Skipped", "had nothing to look at")]
        .into_iter()
        .map(|(outcome, words)| (beside(outcome), words))
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, words)| format!("{} {words}", names.join(", ")))
        .collect();
    format!("{point}: {passed} of {} passed; {}", plural(total, "check"), told.join("; "))
}

/// Keeps what came of a run.
fn remember(new: &mut KafkaBackupValidationStatus, claim: &RunClaim, text: &str, moment: Moment) {
    let past = PastValidation {
        run: claim.id.clone(),
        at: moment.now.to_string(),
        result: new.validation_result.clone().unwrap_or_else(|| "Error".to_owned()),
        recovery_point: new.recovery_point.clone(),
        evidence_report_path: new.evidence_report_path.clone(),
        evidence_report_signed: new.evidence_report_signed,
        message: (!is_good(new)).then(|| cut(text.to_owned(), PAST)),
    };
    new.history.push(past);
}

#[cfg(test)]
mod tests;
