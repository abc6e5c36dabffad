//! Looking again and again, and showing what changed.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::error::Error;
use crate::screen::Screen;

/// How often is looked at what cannot say that it changed.
const LOOK: Duration = Duration::from_secs(2);

/// The pause between two looks at what cannot say that it changed.
pub(crate) async fn pause() {
    tokio::time::sleep(LOOK).await;
}

/// Flags of commands that may look again and again.
#[derive(Debug, Clone, Copy, Args)]
pub struct Watch {
    /// Look again and again, and show what changed
    #[arg(short, long)]
    pub watch: bool,
}

/// Looks and draws, once or until interrupted, each time after `woken`; draws again only when what is seen has changed.
///
/// # Errors
/// What looking or drawing says.
pub(crate) async fn watch<T: PartialEq>(
    watch: Watch,
    screen: &mut Screen,
    mut look: impl AsyncFnMut(Timestamp) -> Result<T, Error>,
    mut woken: impl AsyncFnMut(),
    mut draw: impl FnMut(&T, &mut Screen) -> Result<(), Error>,
) -> Result<T, Error> {
    let mut last: Option<T> = None;
    loop {
        if watch.watch {
            screen.style.now = Timestamp::now();
        }
        let seen = look(screen.style.now).await?;
        if last.as_ref() != Some(&seen) {
            if watch.watch && screen.style.width.is_some() {
                // A terminal is cleared; a pipe gets one text after the other.
                screen.clear()?;
            }
            draw(&seen, screen)?;
            screen.flush()?;
        }
        if !watch.watch {
            return Ok(seen);
        }
        last = Some(seen);
        woken().await;
    }
}
