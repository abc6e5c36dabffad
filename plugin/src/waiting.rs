//! Tells what a store lets us wait for: within five seconds, and again each thirty.

use std::time::Duration;

use contract::Waits;
use contract::waits::{Announcer, line};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::screen::Screen;

/// How often somebody looks.
const EVERY: Duration = Duration::from_secs(1);

/// Tells until it is dropped.
#[derive(Debug)]
pub(crate) struct Telling(Option<JoinHandle<()>>);

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Telling {
    /// Begins to tell, unless messages are not wanted.
    pub(crate) fn of(waits: &Waits, screen: &Screen) -> Self {
        if screen.quiet {
            return Self(None);
        }
        let (waits, aside) = (waits.clone(), screen.aside());
        Self(Some(tokio::spawn(async move {
            let (started, mut announcer) = (Instant::now(), Announcer::default());
            loop {
                tokio::time::sleep(EVERY).await;
                let news = waits.take_news().into_iter().map(|news| (0, news));
                for (seconds, what) in news.chain(announcer.due(&waits, started.elapsed())) {
                    aside(&line(seconds, &what));
                }
            }
        })))
    }
}
