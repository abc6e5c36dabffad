//! A restore that does not go on after it changed committed offsets: they are put back, where that is asked for. Its records
//! stay.

use archive::RestoreJournal;
use contract::{Code, ExitCode, Failure, Report};

use super::plan::RestorePlan;
use super::state::RestoreState;
use super::{Restore, Sides, groups, load_point};

impl<'a> Sides<'a> {
    /// Puts back the committed offsets that earlier attempts changed, because nobody tries any more. Returns the failure that
    /// the run ends with.
    pub(super) async fn undo_offsets(
        &self,
        journal: RestoreJournal,
        saved: Option<RestoreState>,
        why: &str,
        report: &mut Report,
    ) -> Failure {
        let failure = |text: String| Failure::new(Code::OffsetsNotCommitted, text);
        match saved.filter(groups::is_to_undo) {
            Some(state) => self.undo(journal, state, failure(why.to_owned()), report).await,
            None => failure(format!("{why}. No committed offsets that it changed are left to put back")),
        }
    }

    /// The same after a failure for good that came before the groups were looked at again.
    pub(super) async fn undo_after(
        &self,
        journal: RestoreJournal,
        state: RestoreState,
        failure: Failure,
        report: &mut Report,
    ) -> Failure {
        let asked = self.part.groups.as_ref().is_some_and(|groups| groups.roll_back_on_failure);
        if asked && failure.code.exit() == ExitCode::Final && groups::is_to_undo(&state) {
            return self.undo(journal, state, failure, report).await;
        }
        failure
    }

    async fn undo(
        &self,
        journal: RestoreJournal,
        state: RestoreState,
        failure: Failure,
        report: &mut Report,
    ) -> Failure {
        let mut restore = match self.opened(journal, state, report).await {
            Ok(restore) => restore,
            Err(trouble) => {
                let text =
                    format!("{}. Putting the committed offsets back failed, too: {}", failure.message, trouble.message);
                return Failure::new(trouble.code, text);
            }
        };
        report.changed = true;
        groups::hold_offsets(&mut restore).await;
        let ended = groups::undo_now(&mut restore, failure, report).await;
        groups::count_hours(&mut restore, report).await;
        ended
    }

    /// The restore as its state has it, which must be its own.
    async fn opened(
        &self,
        journal: RestoreJournal,
        state: RestoreState,
        report: &mut Report,
    ) -> Result<Restore<'a>, Failure> {
        let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?.with_groups_of(self.part);
        let point = load_point(&self.store, self.part, Some(&state)).await?;
        self.asked().fits_archive(&plan, &state, &point).await?;
        self.tell_start(&point, true, report);
        self.restore(point, journal, state).await
    }
}
