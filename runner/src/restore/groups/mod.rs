//! The committed offsets of consumer groups: the last step of a restore, once all records are in the target.
//!
//! ```text
//! groups of the recovery point -> chosen -> located among the restored records -> committed, read back -> report
//! ```
//! It never changes the offsets of a group that has members, and none of topics that the restore does not have.

mod chosen;
mod dealt;
mod locate;
mod meet;
mod save_mapping;
mod undo;

use std::fmt::Write as _;

use archive::Digest;
use contract::words::{plural, safe};
use contract::{Code, Failure, GroupOutcome, GroupRestore, Report, RestoreSpec};
use wire::Cluster;

use self::chosen::{Chosen, ChosenGroup, choose};
use self::locate::locate;
use self::save_mapping::save_mapping;
use self::undo::{go_on_undoing, undo};
use super::Restore;
use super::plan::{Proposal, RestorePlan};
use super::state::RestoreState;
use crate::offsets::commit::{
    BETWEEN_SAVES, GroupWork, Manner, commit, failed, group_lines, listed, members, note_begin, note_sent,
};
use crate::offsets::snapshot::{Changes, Earlier, keep};

/// Adds to a plan which groups are taken along, and what stands in the way.
///
/// # Errors
/// When the archive or the target cannot be read.
pub(crate) async fn propose(
    cluster: &Cluster,
    point: &archive::Point,
    part: &RestoreSpec,
    proposal: &mut Proposal,
) -> Result<(), Failure> {
    let Some(spec) = &part.groups else { return Ok(()) };
    let chosen = choose(point, &proposal.plan, spec).await?;
    if spec.commit {
        let there = listed(cluster).await?;
        for group in chosen.groups.iter().filter(|group| !group.offsets.is_empty()) {
            if let Some(found) = there.get(&group.target)
                && let Some(reason) = members(cluster, found).await?
            {
                proposal.refusals.push(Failure::new(Code::GroupIsLive, format!("{reason}, or leave the group out")));
            }
        }
    }
    proposal.groups = lines(&chosen, spec);
    proposal.refusals.extend(chosen.refusals);
    proposal.warnings.extend(chosen.warnings);
    Ok(())
}

/// The chosen groups in words.
fn lines(chosen: &Chosen, spec: &GroupRestore) -> Vec<String> {
    let what =
        if spec.commit { "committed once all records are there" } else { "computed and reported, not committed" };
    let groups = plural(chosen.groups.len() as u64, "consumer group");
    let mut out = vec![format!("committed offsets of {groups} of {}: {what}", chosen.point)];
    for group in &chosen.groups {
        let name =
            if group.id == group.target { group.id.clone() } else { format!("{} -> {}", group.id, group.target) };
        let elsewhere = match group.elsewhere {
            0 => String::new(),
            count => format!(", {count} of topics or partitions that are not restored"),
        };
        out.push(format!("group {name}: {}{elsewhere}", plural(group.offsets.len() as u64, "offset")));
    }
    out
}

/// Adds the computed offsets to the text of the plan: nobody commits them, so people want to read them.
fn add_to_plan(report: &mut Report) {
    let mut text = report.details.get("text").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    for group in &report.positions {
        let _ = write!(text, "\n  group {}", safe(&group.target));
        for at in &group.offsets {
            let _ =
                write!(text, "\n    {}/{} offset {} ({})", safe(&at.topic), at.partition, at.offset, at.found.words());
        }
    }
    if let Some(details) = report.details.as_object_mut() {
        details.insert("text".into(), text.into());
    }
}

/// What the state says of the groups of this specification.
fn digest(spec: &GroupRestore) -> Result<Digest, Failure> {
    let text = serde_json::to_vec(spec).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    Ok(Digest::of(&text))
}

/// Whether a restore that is completed has not done what the specification asks of groups.
///
/// # Errors
/// When the specification cannot be written down.
pub(crate) fn are_left(state: &RestoreState, part: &RestoreSpec) -> Result<bool, Failure> {
    match part.groups.as_ref().filter(|spec| spec.commit) {
        None => Ok(false),
        Some(spec) => Ok(!state.groups.is_complete || state.groups.of != Some(digest(spec)?)),
    }
}

/// Whether a restore that is completed was in the middle of just what the specification asks of groups.
///
/// # Errors
/// When the specification cannot be written down.
pub(crate) fn are_begun(state: &RestoreState, part: &RestoreSpec) -> Result<bool, Failure> {
    match part.groups.as_ref().filter(|spec| spec.commit) {
        None => Ok(false),
        Some(spec) => Ok(!state.groups.is_complete && state.groups.of == Some(digest(spec)?)),
    }
}

/// Saves the offsets that the groups have in the target, before anything is written.
///
/// # Errors
/// When they cannot be read or saved: then nothing was changed.
pub(crate) async fn keep_offsets(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<(), Failure> {
    let Some(spec) = restore.spec.groups.as_ref().filter(|spec| spec.commit) else { return Ok(()) };
    let chosen = choose(&restore.point, plan, spec).await?;
    restore.state.groups.go_on(digest(spec)?);
    keep_offsets_of(restore, plan, spec, &chosen.groups).await
}

/// The same for these groups, as they are now; what those had is kept that may be changed already.
async fn keep_offsets_of(
    restore: &mut Restore<'_>,
    plan: &RestorePlan,
    spec: &GroupRestore,
    groups: &[ChosenGroup],
) -> Result<(), Failure> {
    if spec.saving.skip {
        return Ok(());
    }
    let done = &restore.state.groups;
    let is_open = |group: &&ChosenGroup| !group.offsets.is_empty() && !done.has(&group.id, &group.target);
    let open: Vec<_> = groups.iter().filter(is_open).collect();
    let numbers = open.iter().flat_map(|group| group.offsets.keys()).map(|(number, _)| *number);
    let topics = numbers.filter_map(|number| plan.topics.get(number)).map(|topic| topic.target.clone()).collect();
    let groups = open.iter().map(|group| (group.target.clone(), group.kind.clone())).collect();
    let changes = Changes { by: format!("restore {}", restore.state.name), groups, topics, saving: &spec.saving };
    let earlier = done.before.as_ref().map(|before| Earlier { before, touched: done.may_be_ours() });
    let saved = restore.saved_offsets();
    let before = keep(restore.context, restore.emitter, &restore.cluster, &saved, earlier, changes).await?;
    if before == restore.state.groups.before {
        return Ok(());
    }
    restore.state.groups.before = before;
    restore.note().await
}

/// Computes the offsets of the groups, commits them where that is asked for, and reports them. A rollback that an earlier
/// attempt began comes first, whatever the specification says now.
///
/// # Errors
/// What the archive or the target refuses; [`Code::OffsetsNotCommitted`] when the offsets of some groups are not as they
/// should be: then all others are.
pub(crate) async fn restore(restore: &mut Restore<'_>, plan: &RestorePlan, report: &mut Report) -> Result<(), Failure> {
    if let Some(failure) = go_on_undoing(restore, report).await? {
        return Err(failure);
    }
    let Some(spec) = &restore.spec.groups else { return Ok(()) };
    match Box::pin(take_along(restore, plan, spec, report)).await {
        Ok(()) => restore.note().await,
        Err(failure) => Err(undo(restore, failure, report).await),
    }
}

async fn take_along(
    restore: &mut Restore<'_>,
    plan: &RestorePlan,
    spec: &GroupRestore,
    report: &mut Report,
) -> Result<(), Failure> {
    let chosen = choose(&restore.point, plan, spec).await?;
    if let Some(refusal) = chosen.refusals.into_iter().next() {
        return Err(refusal);
    }
    let of = digest(spec)?;
    restore.state.groups.go_on(of.clone());
    let located = locate(restore, plan, &chosen.groups).await?;
    if spec.save_mapping && restore.state.groups.mapping.is_none() {
        let place = save_mapping(restore, plan, &located, of.0.get(..8).unwrap_or(&of.0)).await?;
        restore.state.groups.mapping = Some(place);
    }
    report.offset_mapping.clone_from(&restore.state.groups.mapping);
    if !spec.commit {
        report.positions = located.into_iter().map(|group| group.line).collect();
        add_to_plan(report);
        return Ok(());
    }
    keep_offsets_of(restore, plan, spec, &chosen.groups).await?;
    report.offsets_before.clone_from(&restore.state.groups.before);
    let is_done = |group: &GroupWork| restore.state.groups.has(&group.line.group, &group.line.target);
    let (mut worked, open): (Vec<_>, Vec<_>) = located.into_iter().partition(is_done);
    for group in &mut worked {
        group.line.outcome = GroupOutcome::Committed;
    }
    let all = open.len();
    let ended = commit_all(restore, &open, &mut worked).await;
    let failure = failed(&worked, |count, why| {
        let undone = if spec.roll_back_on_failure { "" } else { ". Run the restore again: it only does what is left" };
        format!(
            "all records are restored; the committed offsets of {count} of {all} consumer groups are not: {why}{undone}"
        )
    });
    // What no further attempt mends is rolled back at once, whatever may pass for other groups.
    let for_good = |group: &GroupWork| group.line.outcome == GroupOutcome::Failed && !group.may_pass;
    let is_over = spec.roll_back_on_failure && worked.iter().any(for_good);
    report.positions = group_lines(worked);
    ended?;
    if let Some(mut failure) = failure {
        if is_over {
            failure.code = Code::OffsetsNotCommitted;
        }
        return Err(failure);
    }
    restore.state.groups.is_complete = true;
    Ok(())
}

/// Works on one part of the groups after the other. Before anything is sent for a part, its groups are noted; after it, what is
/// done.
async fn commit_all(restore: &mut Restore<'_>, open: &[GroupWork], worked: &mut Vec<GroupWork>) -> Result<(), Failure> {
    for part in open.chunks(BETWEEN_SAVES) {
        if restore.context.cancel.is_cancelled() {
            return Err(Failure::new(
                Code::Interrupted,
                "stopped on request; all records are restored, offsets are left",
            ));
        }
        let new = note_begin(&mut restore.state.groups.touched, part);
        restore.note().await?;
        let committed = commit(&restore.cluster, part.to_vec(), Manner::default()).await;
        let sent = committed.as_deref().unwrap_or_default();
        note_sent(&mut restore.state.groups.touched, &new, sent);
        let good = sent.iter().filter(|group| group.line.outcome == GroupOutcome::Committed);
        let done: Vec<_> = good.map(|group| (group.line.target.clone(), group.line.group.clone())).collect();
        let is_step = !done.is_empty();
        restore.state.groups.done.extend(done);
        // Only what goes on counts as a step: a coordinator that stays away is not waited for again and again.
        if is_step {
            restore.save().await?;
        } else {
            restore.note().await?;
        }
        worked.extend(committed?);
    }
    Ok(())
}
