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
mod undo;

use std::fmt::Write as _;

use archive::Digest;
use contract::words::{plural, safe};
use contract::{Code, Failure, GroupOutcome, GroupRestore, Report, RestoreSpec};
use wire::Cluster;

use self::chosen::{Chosen, ChosenGroup, choose};
use self::locate::locate;
use self::undo::{go_on_undoing, undo};
use super::Restore;
use super::plan::{Proposal, RestorePlan};
use super::state::RestoreState;
use crate::offsets::commit::{BETWEEN_SAVES, GroupWork, Manner, commit, failed, group_lines, listed, members};
use crate::offsets::snapshot::{Changes, keep};

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

/// Saves the offsets that the groups have in the target, once for each specification: before anything is written, or, where
/// groups were asked for later, before the first commit.
///
/// # Errors
/// When they cannot be read or saved: then nothing was committed.
pub(crate) async fn keep_offsets(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<(), Failure> {
    let Some(spec) = restore.spec.groups.as_ref().filter(|spec| spec.commit && !spec.saving.skip) else {
        return Ok(());
    };
    let of = digest(spec)?;
    let done = &restore.state.groups;
    if done.of.as_ref() == Some(&of) && done.before.is_some() {
        return Ok(());
    }
    let chosen = choose(&restore.point, plan, spec).await?;
    let is_open = |group: &ChosenGroup| !group.offsets.is_empty() && !done.has(&group.id, &group.target);
    let touched: Vec<_> = chosen.groups.into_iter().filter(is_open).collect();
    let topics =
        touched.iter().flat_map(|group| group.offsets.keys()).filter_map(|(number, _)| plan.topics.get(*number));
    let topics = topics.map(|topic| topic.target.clone()).collect();
    let groups = touched.into_iter().map(|group| (group.target, group.kind)).collect();
    let changes = Changes { by: format!("restore {}", restore.state.name), groups, topics, saving: &spec.saving };
    let (there, saved) = (listed(&restore.cluster).await?, restore.saved_offsets());
    let before = keep(restore.context, restore.emitter, &restore.cluster, &there, &saved, changes).await?;
    let before = Some(before);
    restore.state.groups.go_on(of);
    restore.state.groups.before = before;
    restore.save().await
}

/// Computes the offsets of the groups, commits them where that is asked for, and reports them.
///
/// # Errors
/// What the archive or the target refuses; [`Code::OffsetsNotCommitted`] when the offsets of some groups are not as they
/// should be: then all others are.
pub(crate) async fn restore(restore: &mut Restore<'_>, plan: &RestorePlan, report: &mut Report) -> Result<(), Failure> {
    let Some(spec) = &restore.spec.groups else { return Ok(()) };
    let chosen = choose(&restore.point, plan, spec).await?;
    if let Some(refusal) = chosen.refusals.into_iter().next() {
        return Err(refusal);
    }
    let of = digest(spec)?;
    let located = locate(restore, plan, &chosen.groups).await?;
    if !spec.commit {
        report.positions = located.into_iter().map(|group| group.line).collect();
        add_to_plan(report);
        return Ok(());
    }
    if let Some(failure) = go_on_undoing(restore, report).await? {
        return Err(failure);
    }
    keep_offsets(restore, plan).await?;
    report.offsets_before.clone_from(&restore.state.groups.before);
    restore.state.groups.go_on(of);
    let is_done = |group: &GroupWork| restore.state.groups.has(&group.line.group, &group.line.target);
    let (mut done, open): (Vec<_>, Vec<_>) = located.into_iter().partition(is_done);
    for group in &mut done {
        group.line.outcome = GroupOutcome::Committed;
    }
    let mut worked = Vec::new();
    for part in open.chunks(BETWEEN_SAVES) {
        let committed = commit(&restore.cluster, part.to_vec(), Manner::default()).await?;
        let good = committed.iter().filter(|group| group.line.outcome == GroupOutcome::Committed);
        restore.state.groups.done.extend(good.map(|group| (group.line.target.clone(), group.line.group.clone())));
        worked.extend(committed);
        restore.save().await?;
        if restore.context.cancel.is_cancelled() {
            return Err(Failure::new(
                Code::Interrupted,
                "stopped on request; all records are restored, offsets are left",
            ));
        }
    }
    let all = worked.len();
    let failure = failed(&worked, |count, why| {
        format!(
            "all records are restored; the committed offsets of {count} of {all} consumer groups are not: {why}. Run the restore again: it only does what is left"
        )
    });
    let changed = done.iter().chain(&worked).map(|group| group.line.target.clone()).collect();
    report.positions = group_lines(done.into_iter().chain(worked));
    if let Some(failure) = failure {
        return Err(undo(restore, changed, failure, report).await);
    }
    restore.state.groups.is_complete = true;
    Ok(())
}
