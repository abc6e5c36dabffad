//! The status of a KafkaBackup.

use api::oso::{KafkaBackupStatus, RunClaim};

use super::backup_plan::Plan;
use super::conditions::{begin, ended_before, health, judged, set, settle, take_over};
use super::overdue::{OVERDUE, late, overdue};
use super::points::remember;
use super::retention::ACTIVE;
use super::{
    CHANGED, Moment, NEEDS_SOMEBODY, State, closed, edited, findings, forgive, is_disrupted, is_outdated,
    not_implemented, note, remarks, working_text,
};
use crate::decide::{End, Verdict};

/// Reasons that end when what they complain of is mended.
const BLOCKED: [&str; 7] = [
    "Unreadable",
    "ValidationFailed",
    "NotImplemented",
    "ForeignOperator",
    "BackupSuspended",
    "ScheduleActive",
    CHANGED,
];

/// The new status.
#[must_use]
pub fn backup(old: &KafkaBackupStatus, spec: impl Into<Plan>, state: &State, moment: Moment) -> KafkaBackupStatus {
    let spec = &spec.into();
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    let scheduled = spec.scheduled;
    let saved = spec.checkpoint_secs.is_some();
    new.checkpoint_enabled = Some(saved);
    new.resumable = Some(saved);
    let phase = |new: &mut KafkaBackupStatus, phase: &str, message: String| {
        new.phase = Some(phase.to_owned());
        new.message = Some(message);
    };
    match state {
        State::Invalid(all) => {
            let text = findings(all);
            phase(&mut new, "Failed", text.clone());
            health(&mut new.conditions, (false, true, false), "ValidationFailed", &text, moment);
        }
        State::NotImplemented(fields) => {
            let text = not_implemented(fields);
            phase(&mut new, "Failed", text.clone());
            health(&mut new.conditions, (false, true, false), "NotImplemented", &text, moment);
        }
        State::Foreign(text) => {
            new.message = Some(text.clone());
            health(&mut new.conditions, (false, true, false), "ForeignOperator", text, moment);
        }
        State::TakenOver(claim) => {
            if let Some(text) = take_over(&mut new.conditions, claim.as_deref(), old.phase.as_ref(), moment) {
                new.run = claim.as_deref().cloned();
                new.phase = new.run.as_ref().and_then(|run| run.outcome.clone());
                new.message = Some(text);
            }
        }
        State::Pending(reason, text) => {
            phase(&mut new, "Pending", text.clone());
            health(&mut new.conditions, (false, false, true), reason, text, moment);
        }
        State::Idle(next) => idle(&mut new, spec, *next, moment),
        State::Claimed(tick) => {
            new.run = Some(tick.claim.clone());
            new.last_schedule_time = tick.schedule.map(|time| time.to_string()).or(new.last_schedule_time.take());
            new.last_trigger = tick.trigger.clone().or(new.last_trigger.take());
            let text = format!("the run begins{}", tick.words());
            phase(&mut new, "Running", text.clone());
            working(&mut new, scheduled, "BackupRunning", &text, moment);
            // Whoever waits for the end of what runs once waits for that of this run; of a schedule, the last end counts.
            if !scheduled && !spec.continuous {
                begin(&mut new.conditions, "BackupRunning", &text, moment);
            }
        }
        State::Running(running) => {
            note(new.run.as_mut(), running, moment);
            if let Some(progress) = &running.progress {
                new.records_processed = Some(progress.records);
                new.bytes_processed = Some(progress.bytes);
                new.throughput_records_per_sec = Some(progress.records_per_sec.round());
                new.throughput_bytes_per_sec = Some(progress.bytes_per_sec.round());
                new.last_checkpoint_time = progress.committed_at.clone().or(new.last_checkpoint_time.take());
                forgive(new.run.as_mut(), progress);
                // Continuous runs make points while they work.
                if let Some(point) = &progress.point {
                    new.backup_id = Some(point.clone());
                    new.last_backup_time.clone_from(&progress.point_at);
                }
                remember(&mut new.recent_points, &progress.made);
            }
            if let Some((reason, text)) = &running.problem {
                phase(&mut new, "Running", text.clone());
                let stalled = NEEDS_SOMEBODY.contains(&reason.as_str());
                health(&mut new.conditions, (false, stalled, !stalled), reason, text, moment);
            } else {
                let late = late(spec, state, moment.now);
                let reason = if late.is_some() { OVERDUE } else { "BackupRunning" };
                let usual = || working_text(new.run.as_ref(), running, spec.continuous, "Backup is running");
                let lasting = (scheduled || spec.continuous) && late.is_none();
                let text = late.unwrap_or_else(usual);
                phase(&mut new, "Running", text.clone());
                working(&mut new, lasting, reason, &text, moment);
            }
        }
        State::Waiting => {}
        State::Renewed(claim) => new.run = Some((**claim).clone()),
        State::Retrying(claim, text) => {
            new.run = Some((**claim).clone());
            phase(&mut new, "Running", text.clone());
            let stalled = is_disrupted(claim);
            health(&mut new.conditions, (false, stalled, !stalled), "BackupRetrying", text, moment);
        }
        State::Swept => {
            if let Some(run) = &mut new.run {
                run.job_uid = None;
            }
        }
        State::Over(claim, verdict) => over(&mut new, spec, claim, verdict, moment),
    }
    if !spec.retention {
        new.conditions.retain(|condition| condition.type_ != ACTIVE);
    }
    overdue(&mut new.conditions, spec, state, moment);
    judged(&mut new.conditions, moment);
    // What is under way, or goes on, is judged as it is now.
    let is_begun = new.run.as_ref().is_none_or(RunClaim::is_unfinished);
    if moment.changed && !is_begun && !(scheduled || spec.continuous) {
        ended_before(&mut new.conditions, new.run.as_ref());
    }
    new
}

/// A schedule is well while a run works; one that runs once is under way.
fn working(new: &mut KafkaBackupStatus, lasting: bool, reason: &str, message: &str, moment: Moment) {
    health(&mut new.conditions, (lasting, false, !lasting), reason, message, moment);
}

fn idle(new: &mut KafkaBackupStatus, spec: &Plan, next: Option<jiff::Timestamp>, moment: Moment) {
    let next = next.filter(|_| spec.scheduled && !spec.suspend);
    new.next_scheduled_backup = next.map(|time| time.to_string());
    // One that was stopped has no end that counts.
    let outcome = new.run.as_ref().and_then(|run| run.outcome.clone()).filter(|outcome| outcome != "Stopped");
    let ready = new.conditions.iter().find(|condition| condition.type_ == "Ready");
    // Nothing waits when nothing is due.
    let waited = new.phase.as_deref() == Some("Pending");
    let blocked = waited || ready.is_none_or(|ready| BLOCKED.contains(&ready.reason.as_str()));
    let lasting = spec.scheduled || spec.continuous;
    if !lasting && is_outdated(new.run.as_ref(), moment) {
        return outdated(new, moment);
    }
    if outcome.is_some() && !blocked && !(spec.suspend && lasting) {
        return;
    }
    if let Some(outcome) =
        outcome.as_deref().filter(|outcome| !spec.suspend && (next.is_none() || *outcome == "Failed"))
    {
        new.message = Some(settle(&mut new.conditions, outcome, lasting, moment));
        new.phase = Some(outcome.to_owned());
        return;
    }
    if spec.suspend {
        return suspended(new, outcome, moment);
    }
    let (reason, text) = if let Some(next) = next {
        ("ScheduleActive", format!("the next run is due at {next}"))
    } else {
        ("Ready", "nothing is due".to_owned())
    };
    new.phase = Some(outcome.unwrap_or_else(|| "Ready".to_owned()));
    new.message = Some(text.clone());
    health(&mut new.conditions, (true, false, false), reason, &text, moment);
}

/// It has run, and not as it is written now. How that run ended stays.
fn outdated(new: &mut KafkaBackupStatus, moment: Moment) {
    let text = "the specification was changed since its run, and it does not run again by itself: trigger it, or make a new one";
    new.message = Some(text.to_owned());
    health(&mut new.conditions, (false, true, false), CHANGED, text, moment);
}

/// That no run is started is told also after a run; how that one ended still counts.
fn suspended(new: &mut KafkaBackupStatus, outcome: Option<String>, moment: Moment) {
    let failed = outcome.as_deref() == Some("Failed");
    let mut text = "suspended: no run is started".to_owned();
    if let Some(end) = new.conditions.iter().find(|condition| condition.type_ == "Failed" && failed) {
        text = format!("{text}; the last run failed: {}", end.message);
    }
    // A continuous run that was stopped is not complete.
    let complete = new.conditions.iter().any(|condition| condition.type_ == "Complete" && condition.status == "True");
    new.phase = Some(outcome.filter(|_| failed || complete).unwrap_or_else(|| "Ready".to_owned()));
    new.message = Some(text.clone());
    health(&mut new.conditions, (!failed, false, false), "BackupSuspended", &text, moment);
}

fn over(new: &mut KafkaBackupStatus, spec: &Plan, claim: &RunClaim, verdict: &Verdict, moment: Moment) {
    new.run = Some(closed(claim, verdict, moment.now));
    new.throughput_records_per_sec = None;
    new.throughput_bytes_per_sec = None;
    if let Some(said) = verdict.said() {
        new.records_processed = Some(said.records);
        new.bytes_processed = Some(said.bytes);
        new.segments_completed = Some(said.segments);
        remember(&mut new.recent_points, &said.made);
    }
    let lasting = spec.scheduled || spec.continuous;
    let stopped = matches!(verdict.end, End::Stopped(_));
    if stopped || verdict.is_completed() {
        if let Some(said) = verdict.said() {
            // The point was made by an attempt before, whose report did not come: it has the time of then. A run that was told to stop
            // has a point only where it says what is in it.
            let before = said.made.as_ref().filter(|_| stopped || said.outcome == "AlreadyDone");
            let made = match before {
                Some(made) => Some((Some(made.name.clone()), made.at.clone())),
                None if stopped => None,
                None => Some((said.point.clone(), said.ended.clone())),
            };
            if let Some((point, at)) = made {
                new.backup_id = point.or(new.backup_id.take());
                new.last_checkpoint_time = Some(at.clone());
                new.last_backup_time = Some(at);
            }
        }
        let text = match verdict.said() {
            _ if stopped => verdict.message.clone(),
            Some(said) if said.has_gaps() => "Backup completed with gaps".to_owned(),
            Some(_) | None => "Backup completed successfully".to_owned(),
        };
        let text = text + &remarks(verdict) + if lasting { "" } else { edited(moment) };
        let (phase, reason) = if stopped { ("Ready", "Stopped") } else { ("Completed", "BackupSucceeded") };
        new.phase = Some(phase.to_owned());
        health(&mut new.conditions, (true, false, false), reason, &text, moment);
        set(&mut new.conditions, "Complete", !stopped, reason, &text, moment);
        set(&mut new.conditions, "Failed", false, reason, &text, moment);
        new.message = Some(text);
    } else {
        new.phase = Some("Failed".to_owned());
        new.message = Some(verdict.message.clone());
        // The next tick is another chance; one that runs once stays as it is.
        health(&mut new.conditions, (false, !lasting, false), &verdict.reason, &verdict.message, moment);
        set(&mut new.conditions, "Complete", false, &verdict.reason, &verdict.message, moment);
        set(&mut new.conditions, "Failed", true, &verdict.reason, &verdict.message, moment);
    }
}
