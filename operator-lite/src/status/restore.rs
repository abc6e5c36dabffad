//! The status of a KafkaRestore.

use api::oso::{KafkaRestoreSpec, KafkaRestoreStatus, RollbackStatus, RunClaim};
use contract::OffsetsBefore;
use contract::words::plural;

use super::conditions::judged;
use super::once::{Once, Words};
use super::{Moment, State, edited, remarks};
use crate::decide::Verdict;

const WORDS: Words = Words { running: "RestoreRunning", retrying: "RestoreRetrying", works: "Restore is running" };

/// The new status.
#[must_use]
pub fn restore(old: &KafkaRestoreStatus, spec: &KafkaRestoreSpec, state: &State, moment: Moment) -> KafkaRestoreStatus {
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    new.common().advance(state, &WORDS, moment);
    match state {
        State::Running(running) => {
            if let Some(progress) = &running.progress {
                new.progress_percent = Some((progress.percent * 10.0).round() / 10.0);
                new.current_topic = progress.topic.clone().or(new.current_topic.take());
                new.records_restored = Some(progress.records);
                new.bytes_restored = Some(progress.bytes);
                new.throughput_records_per_sec = Some(progress.records_per_sec.round());
                new.eta_ms = progress.remaining_secs.map(|seconds| seconds * 1_000);
            }
        }
        State::Over(claim, verdict) => over(&mut new, spec, claim, verdict, moment),
        _ => {} // the fields of a restore itself change while it works, and at its end
    }
    judged(&mut new.conditions, moment);
    new
}

/// What a restore says once it is over.
fn over(new: &mut KafkaRestoreStatus, spec: &KafkaRestoreSpec, claim: &RunClaim, verdict: &Verdict, moment: Moment) {
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
        new.plan = said.plan.clone().filter(|_| spec.dry_run || only_computes(spec));
    }
    let rolled_back = verdict.said().is_some_and(|said| said.outcome == "RolledBack");
    let (phase, reason, text) = if verdict.is_completed() {
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
        let text = text.to_owned() + &of_groups(spec, verdict) + &remarks(verdict) + edited(claim, moment);
        ("Completed", reason, text)
    } else if rolled_back {
        ("RolledBack", "RolledBack", verdict.message.clone())
    } else {
        ("Failed", verdict.reason.as_str(), verdict.message.clone() + not_put_back(new, spec, verdict))
    };
    new.common().conclude((claim, verdict), phase, reason, &text, moment);
}

/// What a person has to know of offsets that should have been put back.
fn not_put_back(status: &KafkaRestoreStatus, spec: &KafkaRestoreSpec, verdict: &Verdict) -> &'static str {
    let asked = spec.rollback.as_ref().is_some_and(|rollback| rollback.auto_rollback_on_failure);
    // Without its last report it is not known how far it came.
    let began = verdict.said().is_none_or(|said| said.groups > 0);
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
