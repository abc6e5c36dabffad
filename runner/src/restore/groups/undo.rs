//! Puts back the committed offsets of a restore that fails after it changed some of them, where that is asked for. The records
//! stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use contract::words::plural;
use contract::{Code, ExitCode, Failure, GroupLine, GroupOutcome, Report, SavedOffsets as From};

use crate::offsets::commit::{Manner, commit};
use crate::offsets::inexact::{self, Inexact, inexact_of};
use crate::offsets::reset::Plan;
use crate::offsets::rollback::{self, Which};
use crate::offsets::run::load;
use crate::restore::Restore;
use crate::restore::state::{RestoreState, Undoing};

/// Groups that a message names.
const NAMED: usize = 5;

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
        Ok(back) => {
            report.outcome = if back.is_whole() { "RolledBack" } else { "PartiallyRolledBack" }.into();
            Failure::new(failure.code, format!("{}. {}", failure.message, back.words(&saved)))
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

/// What became of groups that were to be put back.
#[derive(Debug, Default)]
struct Back {
    /// Groups that are exactly what they were.
    whole: u64,
    /// Offsets of the others that are not.
    inexact: Inexact,
    /// Groups that were changed, and of which nothing is saved.
    unsaved: BTreeSet<String>,
}

impl Back {
    fn is_whole(&self) -> bool {
        self.inexact.is_empty() && self.unsaved.is_empty()
    }

    fn words(&self, saved: &str) -> String {
        let groups = plural(self.whole, "consumer group");
        let mut out = format!("The committed offsets of {groups} are what they were before the restore");
        if let Some(text) = inexact::words(&self.inexact) {
            let _ = write!(out, "; {text}");
        }
        if !self.unsaved.is_empty() {
            let named: Vec<_> = self.unsaved.iter().take(NAMED).map(|id| format!("{id:?}")).collect();
            let count = plural(self.unsaved.len() as u64, "consumer group");
            let _ = write!(out, "; what {count} had is not among the saved offsets {saved}: {}", named.join(", "));
        }
        out
    }
}

/// Puts groups back where they stood, as far as the cluster has these places.
async fn put_back(
    restore: &mut Restore<'_>,
    saved: &str,
    changed: &BTreeSet<String>,
    report: &mut Report,
) -> Result<Back, Failure> {
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
    let (back, found) = told(ended.into_iter().map(|group| group.line).collect(), changed, &mut report.positions);
    // Whoever runs the restore again saves these groups anew: consumers may have gone on meanwhile. What was done for an
    // earlier specification was not put back: it stays done.
    let groups = &mut restore.state.groups;
    groups.undoing = None;
    groups.touched.retain(|target| !back.contains(target));
    groups.done.retain(|target, _| !back.contains(target));
    restore.note().await?;
    Ok(found)
}

/// Tells in the lines of the report which groups are what they were, and which are not.
fn told(ended: Vec<GroupLine>, changed: &BTreeSet<String>, lines: &mut Vec<GroupLine>) -> (BTreeSet<String>, Back) {
    let back: BTreeSet<_> = ended.iter().map(|line| line.target.clone()).collect();
    let inexact = inexact_of(&ended);
    for mut line in ended {
        let known = lines.iter_mut().find(|known| known.target == line.target);
        let is_known = known.is_some();
        let told = known.unwrap_or(&mut line);
        told.done = 0;
        match inexact.get(&told.target) {
            None => told.outcome = GroupOutcome::RolledBack,
            Some(places) => {
                told.outcome = GroupOutcome::Failed;
                told.reason = Some("not all of its offsets could be put back where they were".to_owned());
                told.inexact.clone_from(places);
            }
        }
        if !is_known {
            lines.push(line);
        }
    }
    lines.sort_by(|a, b| a.target.cmp(&b.target));
    let whole = (back.len() - inexact.len()) as u64;
    let unsaved = changed.difference(&back).cloned().collect();
    (back, Back { whole, inexact, unsaved })
}

#[cfg(test)]
mod tests {
    use contract::InexactOffset;

    use super::*;
    use crate::offsets::reset::empty;

    #[test]
    fn what_could_not_be_put_back_exactly_is_never_told_as_rolled_back() {
        let line = |id: &str, outcome| GroupLine { outcome, done: 2, ..empty(id, "classic").line };
        let mut near = line("near", GroupOutcome::Committed);
        near.inexact.push(InexactOffset {
            topic: "t".into(),
            partition: 0,
            wanted: 5,
            got: Some(50),
            reason: "its records up to 50 are deleted".into(),
        });
        let changed = ["near", "whole", "lost"].map(str::to_owned).into();
        // What the restore was to commit, of one group only: the report of an attempt that did not come so far.
        let mut lines = vec![line("whole", GroupOutcome::Committed)];
        let ended = vec![near, line("whole", GroupOutcome::Committed)];
        let (back, found) = told(ended, &changed, &mut lines);
        assert_eq!(back.len(), 2);
        let told: Vec<_> = lines.iter().map(|line| (line.target.as_str(), line.outcome, line.done)).collect();
        assert_eq!(told, [("near", GroupOutcome::Failed, 0), ("whole", GroupOutcome::RolledBack, 0)]);
        assert_eq!(lines[0].inexact[0].got, Some(50));
        let text = found.words("before-1");
        assert!(!found.is_whole() && text.contains("of 1 consumer group are what they were"), "{text}");
        assert!(text.contains("t/0: offset 50 instead of 5") && text.contains("before-1: \"lost\""), "{text}");
        let (_, found) =
            super::told(vec![line("whole", GroupOutcome::Committed)], &["whole".to_owned()].into(), &mut Vec::new());
        assert!(found.is_whole() && found.words("x").ends_with("before the restore"));
    }
}
