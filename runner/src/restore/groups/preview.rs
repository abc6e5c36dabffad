//! Where the groups of a restore go, before anything is committed.

use contract::{Failure, GroupLine, GroupOutcome, GroupRestore};

use super::chosen::choose;
use super::locate::locate;
use crate::offsets::commit::group_lines;
use crate::restore::Restore;
use crate::restore::plan::RestorePlan;

/// The chosen groups with their offsets in the target; those that the state of the restore has done are told as committed.
///
/// # Errors
/// When the archive cannot be read, or does not fit the state of the restore.
pub(crate) async fn lines(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    spec: &GroupRestore,
) -> Result<Vec<GroupLine>, Failure> {
    let chosen = choose(&restore.point, plan, spec).await?;
    let mut located = locate((&restore.point, &restore.state), plan, &chosen.groups).await?;
    for work in &mut located {
        if restore.state.groups.has(&work.line.group, &work.line.target) {
            work.line.outcome = GroupOutcome::Committed;
        }
    }
    Ok(group_lines(located))
}
