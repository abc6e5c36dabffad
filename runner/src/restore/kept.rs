//! A restore and retention: once its state is saved, the point is looked at again, and from then on nothing of it is deleted.

use archive::RestoreJournal;
use contract::{Code, Failure, Report};

use super::state::{Ended, RestoreState};
use super::{Restore, RestorePlan, Sides};

/// How often a restore begins that retention is in the way of.
const BEGINNINGS: u32 = 3;

impl Restore<'_> {
    /// Looks at the point once more, now that everybody can see that it is needed: what retention took away before that may be
    /// deleted at any time. Once this is noted, nothing of it is.
    pub(super) async fn look_again(&mut self) -> Result<(), Failure> {
        if self.state.looked {
            return Ok(());
        }
        if self.point.pruned_now().await? == self.state.pruned {
            self.state.looked = true;
            return self.note().await;
        }
        let text = format!(
            "retention took something away of set {} while this restore of {} began. Nothing was written; a new plan is needed",
            self.state.set, self.point.seal.point
        );
        let failure = Failure::new(Code::PrunedMeanwhile, text);
        self.state.ended = Some(Ended::Failed(failure.clone()));
        self.note().await?;
        Err(failure)
    }
}

impl<'a> Sides<'a> {
    /// Begins; anew where retention took something away of the point meanwhile.
    pub(super) async fn begin_until_kept(
        &self,
        mut journal: RestoreJournal,
        report: &mut Report,
    ) -> Result<(Restore<'a>, RestorePlan), Failure> {
        for _ in 1..BEGINNINGS {
            match self.begin(journal, report).await {
                Err(failure) if failure.code == Code::PrunedMeanwhile => self.emitter.warn(failure.message),
                begun => return begun,
            }
            let (cluster, identity) = (self.identity.cluster(), self.identity.hex());
            let opened = RestoreJournal::open::<RestoreState>(&self.states, cluster, identity, self.context.nonce());
            journal = opened.await?.0;
        }
        self.begin(journal, report).await
    }
}
