//! The status of a KafkaRestore.

use std::fmt::Write as _;

use api::oso::{KafkaRestoreSpec, KafkaRestoreStatus, PlanRefusal, RollbackStatus, RunClaim};
use contract::words::plural;
use contract::{Failure, GroupLine, GroupOutcome, OffsetsBefore};
use jiff::Timestamp;

use super::once::{Once, Words};
use super::{Moment, State, edited, remarks};
use crate::decide::{Said, Verdict};

/// Groups that a message names.
const NAMED: usize = 5;

const WORDS: Words = Words { running: "RestoreRunning", retrying: "RestoreRetrying", works: "Restore is running" };

/// What of a specification its status depends on; each group has its own way to write it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether the offsets of consumer groups are computed and reported, and not committed.
    pub only_computes: bool,
    /// Whether offsets are put back when the restore fails.
    pub puts_back: bool,
}

impl From<&KafkaRestoreSpec> for Plan {
    fn from(spec: &KafkaRestoreSpec) -> Self {
        Self {
            dry_run: spec.dry_run,
            only_computes: spec.offset_reset.as_ref().is_some_and(|reset| reset.enabled && reset.strategy != "auto"),
            puts_back: spec.rollback.as_ref().is_some_and(|rollback| rollback.auto_rollback_on_failure),
        }
    }
}

/// The new status.
#[must_use]
pub fn restore(old: &KafkaRestoreStatus, spec: impl Into<Plan>, state: &State, moment: Moment) -> KafkaRestoreStatus {
    let spec: Plan = spec.into();
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    new.common().advance(state, &WORDS, moment);
    match state {
        State::Running(running) => {
            if let Some(progress) = &running.progress {
                new.rollback = progress.offsets_before.clone().map(saved).or(new.rollback.take());
                new.progress_percent = Some((progress.percent * 10.0).round() / 10.0);
                new.current_topic = progress.topic.clone().or(new.current_topic.take());
                // A runner of an older release counts its own attempt only.
                new.records_restored = Some(progress.records.max(new.records_restored.unwrap_or(0)));
                new.bytes_restored = Some(progress.bytes.max(new.bytes_restored.unwrap_or(0)));
                new.throughput_records_per_sec = Some(progress.records_per_sec.round());
                new.eta_ms = progress.remaining_secs.map(|seconds| seconds * 1_000);
            }
        }
        State::Claimed(_) => forget(&mut new),
        State::Over(claim, verdict) => over(&mut new, spec, claim, verdict, moment),
        _ => {} // the fields of a restore itself change while it works, and at its end
    }
    if let Some(rollback) =
        new.rollback.as_mut().filter(|rollback| expires_at(rollback).is_some_and(|at| at <= moment.now))
    {
        rollback.rollback_available = Some(false);
    }
    new.common().judged(moment);
    new
}

/// A run begins that was mended: what the one before came to says nothing of it. What that one saved stays.
fn forget(new: &mut KafkaRestoreStatus) {
    new.progress_percent = None;
    new.current_topic = None;
    (new.records_restored, new.bytes_restored, new.segments_processed) = (None, None, None);
    (new.throughput_records_per_sec, new.eta_ms) = (None, None);
    (new.plan, new.plan_fingerprint) = (None, None);
    new.plan_blocked.clear();
}

/// What a restore says once it is over.
fn over(new: &mut KafkaRestoreStatus, spec: Plan, claim: &RunClaim, verdict: &Verdict, moment: Moment) {
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
        new.offset_mapping_path = said.offset_mapping.clone().or(new.offset_mapping_path.take());
        new.positions_point = said.positions_point.clone().or(new.positions_point.take());
        new.plan = said.plan.clone().filter(|_| spec.dry_run || spec.only_computes);
        let refusal = |failure: &Failure| PlanRefusal {
            code: failure.code.as_str().to_owned(),
            message: failure.message.clone(),
        };
        new.plan_blocked = said.refusals.iter().map(refusal).collect();
    }
    let is_told = |outcome: &str| verdict.said().is_some_and(|said| said.outcome == outcome);
    let (phase, reason, text) = if verdict.is_completed() {
        new.progress_percent = Some(100.0);
        let text = match (spec.dry_run, verdict.reason.as_str()) {
            (true, _) => "Dry run: nothing was written; the plan is in status.plan",
            _ if verdict.said().is_some_and(Said::has_gaps) => {
                "Restore completed without the records that cannot be read; the warnings name them"
            }
            (_, "AlreadyDone") if claim.attempt <= 1 => "This restore was completed before, and is not repeated",
            _ => "Restore completed successfully",
        };
        let reason = if spec.dry_run { "DryRunPassed" } else { "RestoreSucceeded" };
        let text = text.to_owned() + &of_groups(spec, verdict) + &remarks(verdict) + edited(moment);
        ("Completed", reason, text)
    } else if is_told("RolledBack") {
        ("RolledBack", "RolledBack", verdict.message.clone())
    } else if is_told("PartiallyRolledBack") {
        // Nobody can put back the rest: the cluster does not have those places any more. The message names them.
        ("Failed", "PartiallyRolledBack", verdict.message.clone())
    } else {
        ("Failed", verdict.reason.as_str(), verdict.message.clone() + not_put_back(new, spec, claim, verdict))
    };
    new.common().conclude((claim, verdict), phase, reason, &text, moment);
}

/// What a person has to know of offsets that should have been put back.
fn not_put_back(status: &KafkaRestoreStatus, spec: Plan, claim: &RunClaim, verdict: &Verdict) -> &'static str {
    let asked = spec.puts_back;
    // An attempt that was to put them back and ended for good without a change found nothing to put back.
    let undid_nothing = |changed: bool| claim.undoing.is_none() || (verdict.reason == "RunFailed" && !changed);
    // Without its last report it is not known how far it came.
    let began = verdict.said().is_none_or(|said| said.groups > 0 || !undid_nothing(said.changed));
    if asked && began && status.rollback.is_some() {
        "; committed offsets that it changed are not all put back: a KafkaOffsetRollback with snapshotRef.restoreRef does that"
    } else {
        ""
    }
}

/// Offsets that were saved before the restore changed them.
fn saved(before: OffsetsBefore) -> RollbackStatus {
    RollbackStatus {
        snapshot_id: Some(before.id),
        snapshot_time: Some(before.at),
        snapshot_path: Some(before.path),
        rollback_available: Some(true),
        expires_at: before.expires_at,
    }
}

/// Until when saved offsets can be put back for certain; `None` without end, and while the run that saved them is not over.
#[must_use]
pub fn expires_at(saved: &RollbackStatus) -> Option<Timestamp> {
    saved.expires_at.as_ref()?.parse().ok()
}

/// What became of the offsets of consumer groups, in words.
fn of_groups(spec: Plan, verdict: &Verdict) -> String {
    let Some(said) = verdict.said().filter(|said| said.groups > 0 && !spec.dry_run) else { return String::new() };
    if spec.only_computes {
        let groups = plural(said.groups, "consumer group");
        let told = format!("; the offsets of {groups} are in status.plan and are not committed");
        return told + &asked_in_vain(&said.positions);
    }
    // Groups that have none in what is restored are no news.
    let told = match said.committed_groups {
        0 => "; no consumer group has offsets in what is restored".to_owned(),
        count => {
            let from = said.positions_point.as_ref().map(|point| format!(", as {point} has them")).unwrap_or_default();
            format!("; the offsets of {} are committed{from}", plural(count, "consumer group"))
        }
    };
    told + &asked_in_vain(&said.positions)
}

/// Groups that were asked for by name, and of which nothing is committed.
fn asked_in_vain(lines: &[GroupLine]) -> String {
    let none = |line: &&GroupLine| line.outcome == GroupOutcome::NoOffsets;
    let told: Vec<_> =
        lines.iter().filter(none).filter_map(|line| Some((&line.group, line.reason.as_ref()?))).collect();
    let mut out = String::new();
    for (group, why) in told.iter().take(NAMED) {
        let _ = write!(out, "; consumer group {group:?}: {why}");
    }
    let more = told.len().saturating_sub(NAMED);
    if more > 0 {
        let _ = write!(out, "; and {more} more that are named have none, which the report tells");
    }
    out
}
