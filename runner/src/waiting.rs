//! Tells what a command waits for: looks each second, and says what is due.

use std::convert::Infallible;
use std::time::Duration;

use contract::Waits;
use contract::waits::Announcer;

/// How often somebody looks.
const EVERY: Duration = Duration::from_secs(1);
const NEWS_EVERY: Duration = Duration::from_millis(250);

/// Says what is waited for, and the seconds that it takes already (0: it begins), until it is dropped.
pub(crate) async fn announce(waits: &Waits, say: impl Fn(u64, String)) -> Infallible {
    let started = tokio::time::Instant::now();
    let mut announcer = Announcer::default();
    let mut looked = Duration::ZERO;
    loop {
        tokio::time::sleep(NEWS_EVERY).await;
        tell_news(waits, &say);
        let now = started.elapsed();
        if now >= looked + EVERY {
            looked = now;
            announcer.due(waits, now).into_iter().for_each(|(seconds, what)| say(seconds, what));
        }
    }
}

/// Says what is to be said at once.
pub(crate) fn tell_news(waits: &Waits, say: &impl Fn(u64, String)) {
    waits.take_news().into_iter().for_each(|news| say(0, news));
}
