//! The statuses of a KafkaOffsetReset and of a KafkaOffsetRollback.

use api::oso::{
    GroupResult, KafkaOffsetResetSpec, KafkaOffsetResetStatus, KafkaOffsetRollbackSpec, KafkaOffsetRollbackStatus,
    MismatchedPosition, RollbackVerification,
};
use contract::words::plural;
use contract::{GroupLine, GroupOutcome, InexactOffset, OffsetsBefore};
use jiff::Timestamp;

use super::once::{Once, Words};
use super::{Moment, State, edited, remarks};
use crate::decide::{Said, Verdict};

/// Groups that a status lists: the whole list is in the report of the run.
const LISTED: usize = 100;

/// The new status of a KafkaOffsetReset.
#[must_use]
pub fn offset_reset(
    old: &KafkaOffsetResetStatus,
    spec: &KafkaOffsetResetSpec,
    state: &State,
    moment: Moment,
) -> KafkaOffsetResetStatus {
    let words = Words { running: "ResetRunning", retrying: "ResetRetrying", works: "the offsets are being reset" };
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    new.common().advance(state, &words, moment);
    if let State::Running(running) = state
        && let Some(before) = running.progress.as_ref().and_then(|progress| progress.offsets_before.as_ref())
    {
        of_saved(&mut new, before);
    }
    if let State::Over(claim, verdict) = state {
        if let Some(said) = verdict.said() {
            of_reset(&mut new, spec, said);
        }
        let partly = verdict.said().is_some_and(|said| said.outcome == "PartiallyCompleted");
        let (phase, reason, text) = match (verdict.is_completed(), partly, spec.dry_run) {
            (true, _, true) => ("Completed", "DryRunPassed", DRY_RUN.to_owned()),
            (true, _, false) => ("Completed", "ResetSucceeded", done("reset", new.groups_reset, verdict, moment)),
            (false, true, _) => ("PartiallyCompleted", "PartialFailure", verdict.message.clone()),
            (false, false, true) => ("Failed", failed(verdict, DRY_RUN_FAILED), verdict.message.clone()),
            (false, false, false) => ("Failed", failed(verdict, "ResetFailed"), verdict.message.clone()),
        };
        new.common().conclude((claim, verdict), phase, reason, &text, moment);
    }
    new.common().judged(moment);
    new
}

/// The reason of a dry run that found something in the way.
const DRY_RUN_FAILED: &str = "DryRunFailed";
const DRY_RUN: &str = "Dry run: nothing was written; the plan is in status.plan";

/// What a reset found and did.
fn of_reset(new: &mut KafkaOffsetResetStatus, spec: &KafkaOffsetResetSpec, said: &Said) {
    new.groups_total = Some(spec.consumer_groups.len() as u64);
    if !spec.dry_run && !is_untold(said) {
        new.groups_failed = Some(said.failed_groups);
        new.groups_reset = Some(said.committed_groups);
        let listed = worst_first(&said.positions);
        new.group_results = listed.iter().map(|line| result(line)).collect();
        new.group_results_left_out = left_out(said.groups, listed.len());
        new.report_path.clone_from(&said.stored_at);
    }
    if let Some(before) = &said.offsets_before {
        of_saved(new, before);
    }
    new.duration = duration(&said.began, &said.ended);
    new.plan = said.plan.clone().filter(|_| spec.dry_run);
}

/// Whether a run that was done before says nothing of its groups.
fn is_untold(said: &Said) -> bool {
    said.outcome == "AlreadyDone" && said.groups == 0
}

/// Where the offsets are that the groups had before.
fn of_saved(new: &mut KafkaOffsetResetStatus, before: &OffsetsBefore) {
    (new.snapshot_id, new.snapshot_path) = (Some(before.id.clone()), Some(before.path.clone()));
}

/// The groups that a status lists: those that failed, then those that are not exactly as they should be, then the others.
fn worst_first(lines: &[GroupLine]) -> Vec<&GroupLine> {
    let mut all: Vec<_> = lines.iter().collect();
    all.sort_by_key(|line| (line.outcome != GroupOutcome::Failed, line.inexact.is_empty()));
    all.truncate(LISTED);
    all
}

/// How many groups a list does not name; `None` when it names all.
fn left_out(all: u64, listed: usize) -> Option<u64> {
    all.checked_sub(listed as u64).filter(|count| *count > 0)
}

/// Whether a group is not exactly as it should be.
fn is_wrong(line: &GroupLine) -> bool {
    line.outcome == GroupOutcome::Failed || !line.inexact.is_empty()
}

fn result(line: &GroupLine) -> GroupResult {
    let inexact = || line.inexact.first().map(|at| at.words(&line.target));
    GroupResult {
        group_id: line.target.clone(),
        success: !is_wrong(line),
        error: line.reason.clone().or_else(inexact),
        partitions_reset: Some(line.done),
    }
}

/// The new status of a KafkaOffsetRollback.
#[must_use]
pub fn offset_rollback(
    old: &KafkaOffsetRollbackStatus,
    spec: &KafkaOffsetRollbackSpec,
    state: &State,
    moment: Moment,
) -> KafkaOffsetRollbackStatus {
    let words =
        Words { running: "RollbackRunning", retrying: "RollbackRetrying", works: "the offsets are being put back" };
    let mut new = old.clone();
    new.observed_generation = Some(moment.generation);
    new.common().advance(state, &words, moment);
    if let State::Over(claim, verdict) = state {
        if let Some(said) = verdict.said() {
            of_rollback(&mut new, spec, said);
        }
        let partly = verdict.said().is_some_and(|said| said.outcome == "PartiallyCompleted");
        let (phase, reason, text) = match (verdict.is_completed(), partly, spec.dry_run) {
            (true, _, true) => ("Completed", "DryRunPassed", DRY_RUN.to_owned()),
            (true, _, false) => {
                ("Completed", "RollbackSucceeded", done("rolled back", new.groups_rolled_back, verdict, moment))
            }
            (false, true, _) => ("PartiallyCompleted", "PartialFailure", verdict.message.clone()),
            (false, false, true) => ("Failed", failed(verdict, DRY_RUN_FAILED), verdict.message.clone()),
            (false, false, false) => ("Failed", failed(verdict, "RollbackFailed"), verdict.message.clone()),
        };
        new.common().conclude((claim, verdict), phase, reason, &text, moment);
    }
    new.common().judged(moment);
    new
}

/// What a rollback found and did.
fn of_rollback(new: &mut KafkaOffsetRollbackStatus, spec: &KafkaOffsetRollbackSpec, said: &Said) {
    new.plan = said.plan.clone().filter(|_| spec.dry_run);
    if spec.dry_run || is_untold(said) {
        return;
    }
    let (all, failed) = (said.groups, said.failed_groups);
    new.groups_failed = Some(failed);
    new.groups_rolled_back = Some(said.committed_groups);
    new.report_path.clone_from(&said.stored_at);
    new.verification = spec.verify_after_rollback.then(|| verification(said, all, failed + said.inexact_groups));
}

/// What stands where it stood, and what does not.
fn verification(said: &Said, all: u64, mismatched: u64) -> RollbackVerification {
    let listed: Vec<_> = worst_first(&said.positions).into_iter().filter(|line| is_wrong(line)).collect();
    let place = |(line, at): (&GroupLine, &InexactOffset)| MismatchedPosition {
        group_id: line.target.clone(),
        topic: at.topic.clone(),
        partition: at.partition,
        wanted: at.wanted,
        got: at.got,
        reason: at.reason.clone(),
    };
    let places = listed.iter().flat_map(|line| line.inexact.iter().map(move |at| (*line, at)));
    RollbackVerification {
        all_matched: mismatched == 0,
        total_groups: all,
        matched_groups: all.saturating_sub(mismatched),
        mismatched_groups: listed.iter().map(|line| line.target.clone()).collect(),
        mismatched_groups_left_out: left_out(mismatched, listed.len()),
        mismatched_positions: places.take(LISTED).map(place).collect(),
    }
}

/// The reason of a failure: what keeps a run from being made or from ending says more than that it failed.
fn failed<'a>(verdict: &'a Verdict, usual: &'a str) -> &'a str {
    if verdict.reason == "RunFailed" { usual } else { &verdict.reason }
}

fn done(what: &str, groups: Option<u64>, verdict: &Verdict, moment: Moment) -> String {
    if verdict.reason == "AlreadyDone" {
        return "This run was completed before, and is not repeated".to_owned();
    }
    let groups = plural(groups.unwrap_or(0), "consumer group");
    format!("the offsets of {groups} are {what}{}{}", remarks(verdict), edited(moment))
}

/// The time between two texts, for example `1.23s`.
fn duration(began: &str, ended: &str) -> Option<String> {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let took = time(ended)?.duration_since(time(began)?);
    Some(format!("{:.2}s", took.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::End;

    fn line(group: &str, outcome: GroupOutcome, reason: Option<&str>) -> GroupLine {
        let value = json!({
            "group": group, "target": group, "kind": "classic", "outcome": outcome, "reason": reason, "offsets": [],
            "done": if reason.is_none() { 3 } else { 0 },
        });
        serde_json::from_value(value).unwrap()
    }

    /// A group that stands at the start of a log, because its record is deleted.
    fn inexact(group: &str) -> GroupLine {
        let reason = "its records up to 50 are deleted".to_owned();
        let at = InexactOffset { topic: "t".into(), partition: 0, wanted: 5, got: Some(50), reason };
        GroupLine { inexact: vec![at], ..line(group, GroupOutcome::Committed, None) }
    }

    fn over(outcome: &str, positions: Vec<GroupLine>) -> State {
        let said = Said {
            run: "r".into(),
            outcome: outcome.into(),
            groups: positions.len() as u64,
            failed_groups: positions.iter().filter(|line| line.outcome == GroupOutcome::Failed).count() as u64,
            committed_groups: positions
                .iter()
                .filter(|line| line.outcome == GroupOutcome::Committed && line.inexact.is_empty())
                .count() as u64,
            inexact_groups: positions.iter().filter(|line| line.is_inexact()).count() as u64,
            stored_at: Some("s3://b/_offsets/runs/r/report.json".into()),
            positions,
            began: "2026-11-29T15:00:00Z".into(),
            ended: "2026-11-29T15:00:01.234Z".into(),
            offsets_before: Some(OffsetsBefore {
                id: "before-1".into(),
                at: "2026-11-29T15:00:00Z".into(),
                path: "s3://b/_offsets/c/saved/before-1.json".into(),
                expires_at: None,
            }),
            ..Said::default()
        };
        let completed = ["Completed", "DryRun"].contains(&outcome);
        let end = if completed { End::Completed(Box::new(said)) } else { End::Failed(Some(Box::new(said))) };
        let reason = if completed { outcome } else { "RunFailed" }.to_owned();
        let verdict = Verdict { end, reason, message: "KB2017: why".into(), wrote: Some(true) };
        State::Over(Box::default(), Box::new(verdict))
    }

    fn moment() -> Moment {
        Moment::new(0, "2026-11-29T15:00:02Z".parse().unwrap())
    }

    fn spec(more: serde_json::Value) -> KafkaOffsetResetSpec {
        let mut spec = json!({
            "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "consumerGroups": ["a", "b"], "resetStrategy": "to-latest",
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_reset_tells_what_came_of_each_group() {
        let good = || line("a", GroupOutcome::Committed, None);
        let bad = || line("b", GroupOutcome::Failed, Some("has members"));
        let status = |outcome: &str, positions| {
            offset_reset(&KafkaOffsetResetStatus::default(), &spec(json!({})), &over(outcome, positions), moment())
        };
        let whole = status("Completed", vec![good(), line("b", GroupOutcome::Committed, None)]);
        assert_eq!(
            (whole.phase.as_deref(), whole.groups_reset, whole.groups_failed),
            (Some("Completed"), Some(2), Some(0))
        );
        assert_eq!((whole.duration.as_deref(), whole.snapshot_id.as_deref()), (Some("1.23s"), Some("before-1")));
        assert_eq!(whole.group_results[0].partitions_reset, Some(3));
        // One that has nothing to set went well, and was not set.
        let none = status("Completed", vec![good(), line("b", GroupOutcome::NoOffsets, None)]);
        assert_eq!((none.groups_total, none.groups_reset, none.groups_failed), (Some(2), Some(1), Some(0)));
        assert!(none.group_results[1].success);
        let part = status("PartiallyCompleted", vec![bad(), good()]);
        assert_eq!(part.phase.as_deref(), Some("PartiallyCompleted"));
        assert_eq!((part.groups_total, part.groups_reset, part.groups_failed), (Some(2), Some(1), Some(1)));
        assert_eq!(part.group_results[0].error.as_deref(), Some("has members"));
        // Looked at again, it still says so.
        let again = offset_reset(&part, &spec(json!({})), &State::Idle(None), moment());
        assert_eq!(again, part);
        assert_eq!(status("Failed", vec![bad()]).phase.as_deref(), Some("Failed"));
        let dry = offset_reset(
            &KafkaOffsetResetStatus::default(),
            &spec(json!({"dryRun": true})),
            &over("DryRun", vec![good()]),
            moment(),
        );
        assert_eq!((dry.phase.as_deref(), dry.groups_reset), (Some("Completed"), None));
    }

    #[test]
    fn a_rollback_tells_which_groups_stand_where_they_stood() {
        let spec: KafkaOffsetRollbackSpec = serde_json::from_value(json!({
            "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "snapshotRef": {"name": "before-1"},
        }))
        .unwrap();
        let lines = vec![line("b", GroupOutcome::Failed, Some("x")), line("a", GroupOutcome::Committed, None)];
        let told = offset_rollback(&KafkaOffsetRollbackStatus::default(), &spec, &over("Failed", lines), moment());
        let found = told.verification.unwrap();
        assert_eq!((found.all_matched, found.total_groups, found.matched_groups), (false, 2, 1));
        assert_eq!((found.mismatched_groups, told.groups_failed), (vec!["b".to_owned()], Some(1)));
        // Put at the start of the log instead: that is no match, whatever was committed and read back.
        let lines = || vec![inexact("b"), line("a", GroupOutcome::Committed, None)];
        let verdict = over("PartiallyCompleted", lines());
        let told = offset_rollback(&KafkaOffsetRollbackStatus::default(), &spec, &verdict, moment());
        assert_eq!((told.phase.as_deref(), told.groups_rolled_back), (Some("PartiallyCompleted"), Some(1)));
        let ready = told.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "PartialFailure"));
        let found = told.verification.unwrap();
        assert_eq!((found.all_matched, found.total_groups, found.matched_groups), (false, 2, 1));
        assert_eq!((found.mismatched_groups, told.groups_failed), (vec!["b".to_owned()], Some(0)));
        let place = &found.mismatched_positions[0];
        assert_eq!((place.group_id.as_str(), place.wanted, place.got), ("b", 5, Some(50)));
    }

    /// A status has room for some of them: it says how many it leaves out, and where the whole is.
    #[test]
    fn many_groups_are_listed_in_part_and_the_rest_is_counted() {
        let reset = |positions| {
            let verdict = over("PartiallyCompleted", positions);
            offset_reset(&KafkaOffsetResetStatus::default(), &spec(json!({})), &verdict, moment())
        };
        let mut lines: Vec<_> = (0..150).map(|n| line(&format!("g-{n:03}"), GroupOutcome::Committed, None)).collect();
        lines.push(line("z", GroupOutcome::Failed, Some("has members")));
        lines.push(inexact("zz"));
        let told = reset(lines);
        let listed: Vec<_> =
            told.group_results.iter().map(|result| (result.group_id.as_str(), result.success)).collect();
        assert_eq!(
            (listed.len(), listed[0], listed[1], listed[2]),
            (100, ("z", false), ("zz", false), ("g-000", true))
        );
        assert_eq!(
            (told.group_results_left_out, told.groups_reset, told.groups_failed),
            (Some(52), Some(150), Some(1))
        );
        assert_eq!(told.report_path.as_deref(), Some("s3://b/_offsets/runs/r/report.json"));
        assert!(told.group_results[1].error.as_ref().unwrap().contains("t/0: offset 50 instead of 5"));
        assert_eq!(reset(vec![inexact("a")]).group_results_left_out, None);
    }
}
