//! Puts back the committed offsets of a restore that fails after it changed some of them, where that is asked for. The records
//! stay.

use std::collections::{BTreeMap, BTreeSet};

use contract::words::plural;
use contract::{Code, ExitCode, Failure, GroupOutcome, Report, SavedOffsets as From};

use crate::offsets::commit::{Manner, commit};
use crate::offsets::reset::Plan;
use crate::offsets::rollback::{self, Which};
use crate::offsets::run::load;
use crate::restore::Restore;
use crate::restore::state::{RestoreState, Undoing};

/// Rolls back after a failure for good, where that is asked for. Returns the failure that the run ends with.
pub(crate) async fn undo(restore: &mut Restore<'_>, failure: Failure, report: &mut Report) -> Failure {
    let asked = restore.spec.groups.as_ref().is_some_and(|spec| spec.roll_back_on_failure);
    let changed = restore.state.groups.touched.clone();
    if !asked || changed.is_empty() || failure.code.exit() != ExitCode::Final {
        return failure;
    }
    begin(restore, failure, report).await
}

/// Whether a restore is in the middle of its groups, and has changed some.
pub(crate) fn is_to_undo(state: &RestoreState) -> bool {
    let groups = &state.groups;
    groups.undoing.is_some() || (!groups.is_complete && !groups.touched.is_empty())
}

/// Rolls back now, because nobody tries any more. Returns the failure that the run ends with.
pub(crate) async fn undo_now(restore: &mut Restore<'_>, failure: Failure, report: &mut Report) -> Failure {
    match go_on_undoing(restore, report).await {
        Ok(Some(failure)) | Err(failure) => failure,
        Ok(None) => begin(restore, failure, report).await,
    }
}

async fn begin(restore: &mut Restore<'_>, failure: Failure, report: &mut Report) -> Failure {
    report.offsets_before.clone_from(&restore.state.groups.before);
    let undoing = Undoing { failure, changed: restore.state.groups.touched.clone() };
    restore.state.groups.undoing = Some(undoing.clone());
    match restore.note().await {
        Ok(()) => finish(restore, undoing, report).await,
        Err(unsaved) => unsaved,
    }
}

/// Ends a rollback that an earlier attempt began, and the run with it.
///
/// # Errors
/// When the store cannot be asked.
pub(crate) async fn go_on_undoing(restore: &mut Restore<'_>, report: &mut Report) -> Result<Option<Failure>, Failure> {
    let Some(undoing) = restore.state.groups.undoing.clone() else { return Ok(None) };
    report.offsets_before.clone_from(&restore.state.groups.before);
    Ok(Some(finish(restore, undoing, report).await))
}

/// Puts everything back; says so, or what could not be put back.
async fn finish(restore: &mut Restore<'_>, undoing: Undoing, report: &mut Report) -> Failure {
    let Undoing { failure, changed } = undoing;
    let Some(saved) = restore.state.groups.before.as_ref().map(|before| before.id.clone()) else {
        let text = format!("{}. No committed offsets were saved that could be put back", failure.message);
        return Failure::new(Code::Internal, text);
    };
    match put_back(restore, &saved, &changed, report).await {
        Ok(count) => {
            report.outcome = "RolledBack".into();
            let groups = plural(count, "consumer group");
            let text =
                format!("{}. The committed offsets of {groups} are what they were before the restore", failure.message);
            Failure::new(failure.code, text)
        }
        Err(trouble) => {
            let text = format!(
                "{}. Putting the committed offsets back failed, too: {}. They are saved as {saved}",
                failure.message, trouble.message
            );
            Failure::new(trouble.code, text)
        }
    }
}

/// How many groups are as they were.
async fn put_back(
    restore: &mut Restore<'_>,
    saved: &str,
    changed: &BTreeSet<String>,
    report: &mut Report,
) -> Result<u64, Failure> {
    let from = From::Id(saved.to_owned());
    let snapshot = load(&restore.saved_in, restore.identity.cluster(), &from).await?;
    let plan = rollback::plan(&restore.cluster, &snapshot, Which::Changed(changed), &BTreeMap::new()).await?;
    let Plan { work, warnings, there, .. } = plan;
    for warning in warnings {
        restore.emitter.warn(warning);
    }
    let (mut ended, open): (Vec<_>, Vec<_>) =
        work.into_iter().partition(|group| group.line.outcome != GroupOutcome::Planned);
    let manner = Manner { all_configs: true, ..Manner::default() };
    ended.extend(commit(&restore.cluster, &there, open, manner).await);
    if let Some(wrong) = ended.iter().find_map(|group| group.line.reason.clone()) {
        return Err(Failure::new(Code::OffsetsNotCommitted, wrong));
    }
    let back: BTreeSet<_> = ended.into_iter().map(|group| group.line.target).collect();
    for line in report.positions.iter_mut().filter(|line| back.contains(&line.target)) {
        line.outcome = GroupOutcome::RolledBack;
        line.done = 0;
    }
    // Whoever runs the restore again saves these groups anew: consumers may have gone on meanwhile. What was done for an
    // earlier specification was not put back: it stays done.
    let groups = &mut restore.state.groups;
    groups.undoing = None;
    groups.touched.retain(|target| !back.contains(target));
    groups.done.retain(|target, _| !back.contains(target));
    restore.note().await?;
    Ok(back.len() as u64)
}
