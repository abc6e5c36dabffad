//! The committed offsets of consumer groups: the last step of a restore, once all records are in the target.
//!
//! ```text
//! groups of the recovery point -> chosen -> located among the restored records -> committed, read back -> report
//! ```
//! It never changes the offsets of a group that has members, and none of topics that the restore does not have.

mod chosen;
mod dealt;
pub(crate) mod expected;
mod fit;
mod keep;
mod kinds;
mod locate;
mod meet;
pub(crate) mod preview;
mod save_mapping;
mod tell;
mod undo;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use archive::Digest;
use contract::words::safe;
use contract::{Code, Failure, GroupOutcome, GroupRestore, Report, RestoreSpec};
use wire::Cluster;

use self::chosen::{Chosen, choose};
use self::fit::{fit, with_metadata};
pub(crate) use self::keep::{count_hours, hold_offsets, keep_offsets};
use self::keep::{done_before, keep_offsets_of};
use self::kinds::unfit;
use self::locate::locate;
use self::save_mapping::save_mapping;
pub(crate) use self::tell::add_places;
use self::tell::lines;
use self::undo::{go_on_undoing, undo};
pub(crate) use self::undo::{is_to_undo, undo_now};
use super::Restore;
use super::plan::{Proposal, RestorePlan};
use super::state::RestoreState;
use crate::offsets::commit::{GroupWork, Manner, There, commit_all, failed, group_lines, listed, members};
use crate::offsets::configs::refusals;

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
        proposal.blocked = live(cluster, &there, &chosen).await?;
        let refusal = |code, reason: &String| Failure::new(code, format!("{reason}, or leave the group out"));
        proposal.refusals.extend(proposal.blocked.values().map(|reason| refusal(Code::GroupIsLive, reason)));
        let unfit = unfit(cluster, &there, &chosen, spec).await?;
        proposal.refusals.extend(unfit.values().map(|reason| refusal(Code::OffsetsNotCommitted, reason)));
        proposal.blocked.extend(unfit);
        fit(cluster, &chosen, part, proposal).await?;
    } else {
        // Nothing is committed, so nothing is refused; what would be in the way is what somebody computes them for.
        match blocked(cluster, &chosen, spec).await {
            Ok(blocked) => proposal.blocked = blocked,
            Err(failure) => proposal
                .warnings
                .push(format!("whether the computed offsets could be committed now is not known: {}", failure.message)),
        }
        let would = |reason| format!("the computed offsets could not be committed now: {reason}");
        proposal.warnings.extend(proposal.blocked.values().map(would));
    }
    // A run that is carried out tells it with what became of the group.
    let without = chosen.groups.iter().filter(|_| part.dry_run).filter_map(|group| Some((group, group.nothing()?)));
    proposal.warnings.extend(without.map(|(group, why)| format!("consumer group {:?}: {why}", group.id)));
    proposal.groups = lines(&chosen, spec);
    proposal.positions_point = Some(chosen.point).filter(|point| !point.is_empty());
    proposal.targets = chosen.groups.iter().map(|group| group.target.clone()).collect();
    proposal.refusals.extend(chosen.refusals);
    proposal.warnings.extend(chosen.warnings);
    Ok(())
}

/// The groups that have members now, by their id in the target, each with who they are.
///
/// # Errors
/// When the target cannot be asked.
async fn live(cluster: &Cluster, there: &There, chosen: &Chosen) -> Result<BTreeMap<String, String>, Failure> {
    let mut out = BTreeMap::new();
    for group in chosen.groups.iter().filter(|group| !group.offsets.is_empty()) {
        if let Some(found) = there.get(&group.target)
            && let Some(reason) = members(cluster, found).await?
        {
            out.insert(group.target.clone(), reason);
        }
    }
    Ok(out)
}

/// What is in the way of groups, whatever it is.
///
/// # Errors
/// When the target cannot be asked.
async fn blocked(cluster: &Cluster, chosen: &Chosen, spec: &GroupRestore) -> Result<BTreeMap<String, String>, Failure> {
    let there = listed(cluster).await?;
    let mut out = live(cluster, &there, chosen).await?;
    out.extend(unfit(cluster, &there, chosen, spec).await?);
    Ok(out)
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
    restore.state.groups.point = Some(chosen.point);
    report.positions_point.clone_from(&restore.state.groups.point);
    let located = locate((&restore.point, &restore.state), plan, &chosen.groups).await?;
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
    let earlier = keep_offsets_of(restore, plan, spec, &chosen.groups).await?;
    report.offsets_before.clone_from(&restore.state.groups.before);
    let is_done = |group: &GroupWork| restore.state.groups.has(&group.line.group, &group.line.target);
    let (mut worked, open): (Vec<_>, Vec<_>) = located.into_iter().partition(is_done);
    for group in &mut worked {
        done_before(group, earlier.as_ref());
    }
    let all = open.len();
    let (open, refused) = with_metadata(restore, open).await?;
    worked.extend(refused);
    let (cluster, cancel) = (restore.cluster.clone(), restore.context.cancel.clone());
    let ended = commit_all(&cluster, &cancel, restore, &open, Manner::default(), &mut worked).await;
    for refusal in refusals(&worked) {
        restore.emitter.warn(refusal);
    }
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
