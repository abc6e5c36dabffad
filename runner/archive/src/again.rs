//! Reading once more what came damaged: not the archive but the way from the store may have been at fault.

use crate::ArchiveError;

/// What `read` reads, at the second try where the first brings damage.
pub(crate) async fn reread<T, F>(read: impl Fn() -> F) -> Result<T, ArchiveError>
where
    F: Future<Output = Result<T, ArchiveError>>,
{
    match read().await {
        Err(error) if error.is_damage() => read().await,
        other => other,
    }
}
