//! How a restore ends that does not go on: its held configs are put back, its claims hold no longer, and its state keeps
//! the verdict.

use archive::RestoreJournal;
use contract::{Code, ExitCode, Failure};
use wire::Cluster;

use super::lease::overtaken;
use super::state::{Ended, RestoreState};
use super::{Restore, guard, holds};

/// Whether another attempt could not go on after this failure. Before the first record every failure that somebody must
/// mend first ends the restore: the next attempt makes its own plan. Afterwards only what no mending brings back.
fn is_for_good(failure: &Failure, started: bool) -> bool {
    if failure.code.exit() != ExitCode::Final {
        return false;
    }
    !started || matches!(failure.code, Code::ForeignWriter | Code::TargetLost | Code::StateMismatch)
}

/// Ends the restore when the failure is for good; whatever goes wrong with that is only said. Returns the failure that the
/// run ends with: an attempt that was overtaken changes nothing any more, and says so.
pub(crate) async fn after(restore: &mut Restore<'_>, failure: Failure) -> Failure {
    if failure.code.exit() != ExitCode::Final || restore.configs_are_final {
        return failure;
    }
    if !is_for_good(&failure, restore.state.started()) {
        restore.emitter.warn("configs of the target topics stay held off, because this restore can go on once that is mended; `kafka-backup-runner release` ends it instead".to_owned());
        return failure;
    }
    // Whose records the foreign ones are: those of a restore that took over from elsewhere are no reason to end for good.
    if failure.code == Code::ForeignWriter
        && let Err(superseded) = guard::renew(restore).await
        && superseded.code == Code::Fenced
    {
        return superseded;
    }
    match restore.journal.is_overtaken().await {
        Ok(true) => return overtaken(),
        Ok(false) => {}
        // Whether another attempt works on these topics is not known: they are left as they are.
        Err(error) => {
            restore
                .emitter
                .warn(format!("held configs are not put back: {error}; `kafka-backup-runner release` does it"));
            return failure;
        }
    }
    let (cluster, state) = (std::sync::Arc::clone(&restore.cluster), restore.state.clone());
    if let Err(error) = end(&cluster, &mut restore.journal, state, failure.clone()).await {
        restore.emitter.warn(format!(
            "held configs could not be put back: {error}; `kafka-backup-runner release` does it once that is mended"
        ));
    }
    failure
}

/// Puts held configs back, then saves the verdict.
///
/// # Errors
/// What the cluster or the store refuses; then nothing is saved, and the claims hold on.
pub(crate) async fn end(
    cluster: &Cluster,
    journal: &mut RestoreJournal,
    mut state: RestoreState,
    verdict: Failure,
) -> Result<(), Failure> {
    holds::put_back(cluster, &state.topics).await?;
    state.ended = Some(Ended::Failed(verdict));
    journal.save(&state).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_go_on_ends_a_restore() {
        let of = |code, started| is_for_good(&Failure::new(code, ""), started);
        for code in [Code::ForeignWriter, Code::TargetLost, Code::StateMismatch] {
            assert!(of(code, true) && of(code, false), "{code}");
        }
        for code in [Code::NotAuthorized, Code::StoreDenied, Code::ArchiveDamaged] {
            assert!(!of(code, true) && of(code, false), "{code}");
        }
        for code in [Code::BrokerFailed, Code::Interrupted, Code::Fenced, Code::Internal] {
            assert!(!of(code, true) && !of(code, false), "{code}");
        }
    }
}
