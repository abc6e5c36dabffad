//! Being woken when objects change, instead of asking again and again. Where they cannot be watched (no right to, an API
//! server that is away), a moment is waited, and whoever waits asks.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};

/// How often is asked what cannot be watched.
const LOOK: Duration = Duration::from_secs(1);
/// After a change, what changes with it is waited for.
const SETTLE: Duration = Duration::from_millis(50);

/// Changes of some objects.
pub(crate) struct Changes(BoxStream<'static, bool>);

impl Changes {
    /// Of all objects that are meant, or of the one of this name.
    pub(crate) fn of<K>(api: Api<PartialObjectMeta<K>>, name: Option<&str>) -> Self
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
    {
        let config = watcher::Config::default();
        let config = match name {
            Some(name) => config.fields(&format!("metadata.name={name}")),
            None => config,
        };
        // Only that something changed is asked; what it is now, whoever waits reads.
        let events = watcher::watcher(api, config);
        Self(events.filter_map(async |event| word(event)).boxed())
    }

    /// These, or others.
    pub(crate) fn or(self, others: Self) -> Self {
        Self(futures::stream::select(self.0, others.0).boxed())
    }

    /// Waits until something changed, for `most` at most.
    pub(crate) async fn next(&mut self, most: Duration) {
        match tokio::time::timeout(most, self.0.next()).await {
            Ok(Some(true)) => tokio::time::sleep(SETTLE.min(most)).await,
            Ok(Some(false) | None) => tokio::time::sleep(LOOK.min(most)).await,
            Err(_) => {}
        }
    }
}

/// Whether an event is a change (true) or a failure (false); `None` for what is only there at the beginning.
fn word<K>(event: Result<Event<K>, watcher::Error>) -> Option<bool> {
    match event {
        Ok(Event::Init | Event::InitApply(_)) => None,
        Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => Some(true),
        Err(_) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_watched_is_asked_for_each_second() {
        let begun = Instant::now();
        let mut failing = Changes(futures::stream::repeat(false).boxed());
        for _ in 0..3 {
            failing.next(Duration::from_secs(10)).await;
        }
        assert_eq!(begun.elapsed().as_secs(), 3);
        let mut silent = Changes(futures::stream::pending().boxed());
        silent.next(Duration::from_secs(10)).await;
        assert_eq!(begun.elapsed().as_secs(), 13);
        let changed = Changes(futures::stream::once(async { true }).chain(futures::stream::pending()).boxed());
        changed.or(silent).next(Duration::from_secs(10)).await;
        assert_eq!(begun.elapsed().as_millis(), 13_050, "a change wakes at once");
    }
}
