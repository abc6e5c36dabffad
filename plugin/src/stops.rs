//! Being asked to end: Ctrl-C, and what ends processes elsewhere (SIGTERM).

use std::pin::Pin;
use std::time::Duration;

use crate::error::Error;

/// How long tidying up may take once somebody asked to end.
const TIDY: Duration = Duration::from_secs(3);

/// Does the work, unless somebody asks to end.
pub(crate) fn or_interrupt<T>(
    work: impl Future<Output = Result<T, Error>>,
) -> Pin<Box<impl Future<Output = Result<T, Error>>>> {
    Box::pin(async move {
        tokio::select! {
            result = work => result,
            () = interrupted() => Err(Error::Interrupted),
        }
    })
}

/// Lets go of what was made in the cluster. Whoever asked to end, before or now, waits for it no longer than a moment.
pub(crate) async fn tidied<T>(asked_to_end: bool, tidy: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = async {
        if !asked_to_end {
            interrupted().await;
        }
        tokio::time::sleep(TIDY).await;
    };
    tokio::select! {
        done = tidy => done,
        () = late => Err(Error::Interrupted),
    }
}

/// Ends when somebody asks the process to end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler the signal ends the process itself.
        let Ok(mut told) = signal(SignalKind::terminate()) else { return pressed().await };
        tokio::select! {
            () = pressed() => {}
            _ = told.recv() => {}
        }
    }
    #[cfg(not(unix))]
    pressed().await;
}

async fn pressed() {
    if tokio::signal::ctrl_c().await.is_err() {
        // The same.
        std::future::pending::<()>().await;
    }
}
