//! Being asked to end: Ctrl-C, and what ends processes elsewhere (SIGTERM).

use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;

/// How long tidying up may take once somebody asked to end.
const TIDY: Duration = Duration::from_secs(3);

/// Does the work, unless somebody asks to end.
pub(crate) fn or_interrupt<T>(
    work: impl Future<Output = Result<T, Error>>,
) -> Pin<Box<impl Future<Output = Result<T, Error>>>> {
    Box::pin(async move {
        tokio::select! {
            // The handlers are there before the work begins.
            biased;
            () = interrupted() => Err(Error::Interrupted),
            result = work => result,
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

/// Ends when somebody asks, or has asked, the process to end.
pub(crate) async fn interrupted() {
    // Heard once for all of the process: nothing is missed between two works.
    static ASKED: OnceLock<watch::Receiver<bool>> = OnceLock::new();
    let mut asked = ASKED.get_or_init(listen).clone();
    if asked.wait_for(|asked| *asked).await.is_err() {
        // Nobody listens: without a handler the signal ends the process itself.
        std::future::pending::<()>().await;
    }
}

/// Catches what asks a process to end, from now on.
#[cfg(unix)]
fn listen() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (ask, asked) = watch::channel(false);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let Ok(mut told) = signal(kind) else { continue };
        let ask = ask.clone();
        tokio::spawn(async move {
            if told.recv().await.is_some() {
                ask.send_replace(true);
            }
        });
    }
    asked
}

#[cfg(not(unix))]
fn listen() -> watch::Receiver<bool> {
    let (ask, asked) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            ask.send_replace(true);
        }
    });
    asked
}
