//! The task that owns the writer of the set: it does what the collector asks, in order.

use archive::{ArchiveError, Arena, Moves, SetWriter};
use contract::EventKind;
use tokio::sync::mpsc;

use super::seal::{Moment, Sealer};

/// What the writer task is asked to do.
pub(crate) enum Job {
    /// Pack and store these batches.
    Arena(Arena),
    /// End the current segment.
    CloseSegment,
    /// Make everything durable and save progress.
    Commit(Moves),
    /// Make a recovery point and go on.
    Seal(Box<Moment>),
}

/// Works until no more jobs come.
///
/// # Errors
/// The store's failure, or another run that took over.
pub(crate) async fn write(
    mut writer: SetWriter,
    mut queue: mpsc::Receiver<Job>,
    sealer: Sealer,
) -> Result<SetWriter, ArchiveError> {
    while let Some(job) = queue.recv().await {
        match job {
            Job::Arena(arena) => writer.push(arena).await?,
            Job::CloseSegment => writer.close_segment(),
            Job::Commit(moves) => {
                if let Some(entry) = writer.commit(moves).await? {
                    sealer.emitter.emit(EventKind::Committed { entry, sealed: false, point: None });
                }
            }
            Job::Seal(moment) => {
                sealer.seal(&mut writer, *moment).await?;
            }
        }
    }
    Ok(writer)
}
