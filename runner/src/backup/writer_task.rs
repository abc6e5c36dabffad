//! The task that owns the writer of the set: it does what the collector asks, in order.

use std::time::Duration;

use archive::{ArchiveError, Arena, Moves, SetWriter};
use contract::EventKind;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::timeout;

use super::seal::{Sealer, Sealing};

/// After so long without work the writer lets go of frames: readers may be waiting for their memory.
const IDLE: Duration = Duration::from_millis(100);

/// What the writer task is asked to do.
pub(crate) enum Job {
    /// Pack and store these batches.
    Arena(Arena),
    /// End the current segment.
    CloseSegment,
    /// Make everything durable and save progress.
    Commit(Moves),
    /// Make a recovery point and go on.
    Seal(Box<Sealing>),
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
    while let Some(job) = next(&mut writer, &mut queue).await? {
        match job {
            Job::Arena(arena) => writer.push(arena).await?,
            Job::CloseSegment => writer.close_segment().await?,
            Job::Commit(moves) => {
                if let Some(entry) = writer.commit(moves).await? {
                    sealer.emitter.emit(EventKind::Committed { entry, sealed: false, point: None, made: None });
                }
            }
            Job::Seal(moment) => {
                sealer.seal(&mut writer, *moment).await?;
            }
        }
    }
    Ok(writer)
}

/// The next job. Until it comes, what is packed is stored.
async fn next(writer: &mut SetWriter, queue: &mut mpsc::Receiver<Job>) -> Result<Option<Job>, ArchiveError> {
    loop {
        match queue.try_recv() {
            Ok(job) => return Ok(Some(job)),
            Err(TryRecvError::Disconnected) => return Ok(None),
            Err(TryRecvError::Empty) if writer.store_next().await? => {}
            Err(TryRecvError::Empty) => break,
        }
    }
    if let Ok(job) = timeout(IDLE, queue.recv()).await {
        return Ok(job);
    }
    writer.let_go();
    Ok(queue.recv().await)
}
