//! What an attempt looks after while it produces: that nobody took over, here or elsewhere, and that the held configs
//! stay held.

use std::time::Duration;

use contract::{Code, Failure};

use super::lane::LaneEnd;
use super::lease::overtaken;
use super::{Restore, guard, holds};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(60);

/// Looks every minute, and at the guards more often; comes to an end only with what ends the epoch. Requests
/// that fail are tried again at the next look.
pub(crate) async fn watch(restore: &Restore<'_>) -> LaneEnd {
    let ours = async {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(failure) = look(restore).await {
                return LaneEnd::Fail(failure);
            }
        }
    };
    let guards = async {
        let mut round = guard::Round::default();
        loop {
            tokio::time::sleep(guard::EVERY).await;
            if let Err(ended) = round.look(restore).await {
                return ended;
            }
        }
    };
    tokio::select! {
        biased;
        ended = ours => ended,
        ended = guards => ended,
    }
}

async fn look(restore: &Restore<'_>) -> Result<(), Failure> {
    match restore.journal.is_overtaken().await {
        Ok(false) => {}
        Ok(true) => return Err(overtaken()),
        Err(error) => tracing::warn!(%error, "whether somebody took over is not known; looking again later"),
    }
    match holds::set(&restore.cluster, &restore.state.topics).await {
        Ok(changed) if changed.is_empty() => Ok(()),
        Ok(changed) => {
            tell(restore, &changed);
            Ok(())
        }
        Err(failure) if failure.code == Code::StateMismatch => Err(failure),
        Err(failure) => {
            tracing::warn!(%failure, "held configs could not be looked at; looking again later");
            Ok(())
        }
    }
}

/// Says which held configs somebody changed.
pub(crate) fn tell(restore: &Restore<'_>, changed: &[String]) {
    restore.emitter.warn(format!(
        "somebody changed held configs during the restore (an operator that manages these topics?), they are held again: {}",
        changed.join(", ")
    ));
}

/// Holds everything again at the start of an attempt that goes on.
///
/// # Errors
/// What the cluster refuses; a topic that is another one now.
pub(crate) async fn hold_again(restore: &Restore<'_>) -> Result<(), Failure> {
    let changed = holds::set(&restore.cluster, &restore.state.topics).await?;
    if !changed.is_empty() {
        tell(restore, &changed);
    }
    Ok(())
}
