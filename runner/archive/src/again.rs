//! Reading once more what came damaged: not the archive but the way from the store may have been at fault.

use std::time::Duration;

use contract::pauses::Pauses;
use tokio::time::Instant;

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

/// What `read` reads of what was written a moment ago: a store may show it as late as `within`, and until then it looks damaged.
pub(crate) async fn reread_written<T, F>(within: Duration, read: impl Fn() -> F) -> Result<T, ArchiveError>
where
    F: Future<Output = Result<T, ArchiveError>>,
{
    let deadline = Instant::now() + within;
    let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match read().await {
            Err(error) if error.is_damage() && Instant::now() + pauses.coming() < deadline => {
                tokio::time::sleep(pauses.step()).await;
            }
            other => return other,
        }
    }
}
