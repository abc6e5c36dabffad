//! The status of a KafkaRestore.

use api::oso::{KafkaRestoreSpec, KafkaRestoreStatus, RollbackStatus};
use contract::OffsetsBefore;
use contract::words::plural;

use super::conditions::{health, is_unsettled, judged, set, settle, take_over};
use super::{
    Moment, NEEDS_SOMEBODY, State, closed, edited, findings, forgive, is_disrupted, not_implemented, note, remarks,
    working_text,
};
use crate::decide::Verdict;

/// The new status.
#[must_use]
pub fn restore(old: &KafkaRestoreStatus, spec: &KafkaRestoreSpec, state: &State, moment: Moment) -> KafkaRestoreStatus {
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    let tell = |new: &mut KafkaRestoreStatus, phase: &str, (ready, stalled, reconciling), reason: &str, text: &str| {
        new.phase = Some(phase.to_owned());
        new.message = Some(text.to_owned());
        health(&mut new.conditions, (ready, stalled, reconciling), reason, text, moment);
    };
    match state {
        State::Invalid(all) => tell(&mut new, "Failed", (false, true, false), "ValidationFailed", &findings(all)),
        State::NotImplemented(fields) => {
            let text = not_implemented(fields);
            tell(&mut new, "Failed", (false, true, false), "NotImplemented", &text);
            set(&mut new.conditions, "Failed", true, "NotImplemented", &text, moment);
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
        State::Pending(reason, text) => tell(&mut new, "Pending", (false, false, true), reason, text),
        State::Idle(_) => {
            let outcome = new.run.as_ref().and_then(|run| run.outcome.clone());
            let unsettled = |outcome: &String| is_unsettled(&new.conditions, outcome, new.phase.as_ref());
            if let Some(outcome) = outcome.filter(unsettled) {
                new.message = Some(settle(&mut new.conditions, &outcome, false, moment));
                new.phase = Some(outcome);
            }
        }
        State::Claimed(tick) => {
            tell(&mut new, "Running", (false, false, true), "RestoreRunning", "the run begins");
            new.run = Some(tick.claim.clone());
            new.start_time.get_or_insert_with(|| moment.now.to_string());
        }
        State::Running(running) => {
            note(new.run.as_mut(), running, moment);
            if let Some(progress) = &running.progress {
                forgive(new.run.as_mut(), progress);
            }
            let usual = || ("RestoreRunning", working_text(new.run.as_ref(), running, false, "Restore is running"));
            let problem = running.problem.as_ref().map(|(reason, text)| (reason.as_str(), text.clone()));
            let (reason, text) = problem.unwrap_or_else(usual);
            let stalled = NEEDS_SOMEBODY.contains(&reason);
            tell(&mut new, "Running", (false, stalled, !stalled), reason, &text);
            if let Some(progress) = &running.progress {
                new.progress_percent = Some((progress.percent * 10.0).round() / 10.0);
                new.current_topic = progress.topic.clone().or(new.current_topic.take());
                new.records_restored = Some(progress.records);
                new.bytes_restored = Some(progress.bytes);
                new.throughput_records_per_sec = Some(progress.records_per_sec.round());
                new.eta_ms = progress.remaining_secs.map(|seconds| seconds * 1_000);
            }
        }
        State::Waiting => {}
        State::Renewed(claim) => new.run = Some((**claim).clone()),
        State::Retrying(claim, text) => {
            let stalled = is_disrupted(claim);
            tell(&mut new, "Running", (false, stalled, !stalled), "RestoreRetrying", text);
            new.run = Some((**claim).clone());
        }
        State::Swept => {
            if let Some(run) = &mut new.run {
                run.job_uid = None;
            }
        }
        State::Over(claim, verdict) => {
            new.run = Some(closed(claim, verdict, moment.now));
            new.completion_time = Some(moment.now.to_string());
            new.eta_ms = None;
            new.current_topic = None;
            new.throughput_records_per_sec = None;
            if let Some(said) = verdict.said() {
                new.records_restored = Some(said.records.max(new.records_restored.unwrap_or(0)));
                new.bytes_restored = Some(said.bytes.max(new.bytes_restored.unwrap_or(0)));
                new.segments_processed = Some(said.segments);
                new.recovery_point.clone_from(&said.point);
                new.plan_fingerprint.clone_from(&said.plan_fingerprint);
                new.rollback = said.offsets_before.clone().map(saved).or(new.rollback.take());
                new.plan = said.plan.clone().filter(|_| spec.dry_run || only_computes(spec));
            }
            let completed = verdict.is_completed();
            let (reason, text) = if completed {
                new.progress_percent = Some(100.0);
                let text = match (spec.dry_run, verdict.reason.as_str()) {
                    (true, _) => "Dry run: nothing was written; the plan is in status.plan",
                    (_, "CompletedWithGaps") => {
                        "Restore completed without the records that cannot be read; the warnings name them"
                    }
                    (_, "AlreadyDone") => "This restore was completed before, and is not repeated",
                    _ => "Restore completed successfully",
                };
                let reason = if spec.dry_run { "DryRunPassed" } else { "RestoreSucceeded" };
                (reason, text.to_owned() + &of_groups(spec, verdict) + &remarks(verdict) + edited(claim, moment))
            } else {
                (verdict.reason.as_str(), verdict.message.clone())
            };
            new.phase = Some(if completed { "Completed" } else { "Failed" }.to_owned());
            health(&mut new.conditions, (completed, !completed, false), reason, &text, moment);
            set(&mut new.conditions, "Complete", completed, reason, &text, moment);
            set(&mut new.conditions, "Failed", !completed, reason, &text, moment);
            new.message = Some(text);
        }
    }
    judged(&mut new.conditions, moment);
    new
}

/// Offsets that were saved before the restore changed them.
fn saved(before: OffsetsBefore) -> RollbackStatus {
    RollbackStatus {
        snapshot_id: Some(before.id),
        snapshot_time: Some(before.at),
        snapshot_path: Some(before.path),
        ..RollbackStatus::default()
    }
}

/// Whether the offsets of consumer groups are computed and reported, and not committed.
fn only_computes(spec: &KafkaRestoreSpec) -> bool {
    spec.offset_reset.as_ref().is_some_and(|reset| reset.enabled && reset.strategy != "auto")
}

/// What became of the offsets of consumer groups, in words.
fn of_groups(spec: &KafkaRestoreSpec, verdict: &Verdict) -> String {
    match verdict.said().map_or(0, |said| said.groups) {
        0 => String::new(),
        count if only_computes(spec) => {
            let groups = plural(count, "consumer group");
            format!("; the offsets of {groups} are in status.plan and are not committed")
        }
        count => format!("; the offsets of {} are committed", plural(count, "consumer group")),
    }
}
