//! Where the groups stand that a restore committed, for whoever compares that with the target later.

use std::collections::HashMap;

use archive::Point;
use contract::{Code, Failure, GroupLine, GroupRestore};

use super::chosen::{ChosenGroup, choose};
use super::locate::locate;
use crate::offsets::commit::group_lines;
use crate::restore::plan::RestorePlan;
use crate::restore::state::RestoreState;

/// The groups that the state has as done, each with the offsets that were committed.
///
/// # Errors
/// When the archive cannot be read, or does not fit the state of the restore.
pub(crate) async fn expected(
    point: &Point,
    plan: &RestorePlan,
    state: &RestoreState,
) -> Result<Vec<GroupLine>, Failure> {
    if state.groups.done.is_empty() {
        return Ok(Vec::new());
    }
    let chosen = choose(point, plan, &GroupRestore::default()).await?;
    let known: HashMap<&str, &ChosenGroup> = chosen.groups.iter().map(|group| (group.id.as_str(), group)).collect();
    let of = |(target, source): (&String, &String)| {
        let group = known.get(source.as_str()).ok_or_else(|| {
            let text = format!("the state of the restore has group {source:?}, which the recovery point has not");
            Failure::new(Code::StateMismatch, text)
        })?;
        Ok::<_, Failure>(ChosenGroup { target: target.clone(), ..(*group).clone() })
    };
    let groups = state.groups.done.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    Ok(group_lines(locate((point, state), plan, &groups).await?))
}
