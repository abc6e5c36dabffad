//! When a continuous run looks at its source for the next recovery point, and since when one is overdue. It outlives every
//! change of the source: topics that come and go more often than a checkpoint interval never put a point off. Pure but for
//! what it tells.

use std::time::Duration;

use contract::BackupSpec;
use tokio::time::Instant;

use super::moment::PATIENCE;
use crate::emit::Emitter;

/// Checkpoints without a recovery point after which it is overdue.
const OVERDUE: u32 = 3;

/// The cadence of a run's recovery points.
#[derive(Debug)]
pub(crate) struct Cadence {
    interval: Duration,
    /// When everything was last archived that could be read of what the source had at a look.
    done_at: Instant,
    /// Whether this run knew of such a moment.
    has_done: bool,
    /// The same moment for people, while nothing was left out.
    whole_text: Option<String>,
    /// How many times people were told since then that the next point is overdue.
    told: u32,
    /// What an overdue recovery point waits for.
    reason: Option<String>,
}

impl Cadence {
    /// The cadence of a run that begins.
    pub(crate) fn new(backup: &BackupSpec) -> Self {
        let interval = Duration::from_secs(backup.checkpoint_interval_secs.unwrap_or(1)); // a continuous run has one
        Self { interval, done_at: Instant::now(), has_done: false, whole_text: None, told: 0, reason: None }
    }

    /// When the first look of a collection is due. A run that was restarted looks at once: how old the newest point is, it
    /// does not know. A look whose collection ended before its data came is due again.
    pub(crate) fn next_look(&self) -> Instant {
        if self.has_done { (self.done_at + self.interval).max(Instant::now()) } else { Instant::now() }
    }

    /// Everything that a look saw is archived, as far as it can be read; `whole_text` names the moment when nothing is left out.
    pub(crate) fn is_done(&mut self, whole_text: Option<String>) {
        (self.done_at, self.told, self.reason) = (Instant::now(), 0, None);
        (self.has_done, self.whole_text) = (true, whole_text);
    }

    /// A recovery point that something new waits for is overdue after three checkpoints: people are told, again and again.
    pub(crate) fn tell_overdue(
        &mut self,
        emitter: &Emitter,
        is_awaited: bool,
        behind: impl FnOnce() -> Option<String>,
    ) {
        let limit = self.interval.max(PATIENCE) * OVERDUE;
        let since = self.done_at.elapsed();
        let is_overdue = is_awaited && since >= limit;
        if let Some(metrics) = emitter.metrics() {
            metrics.take_overdue(if is_overdue { since.as_secs() } else { 0 });
        }
        if !is_overdue {
            (self.told, self.reason) = (0, None);
            return;
        }
        let reason = match behind() {
            Some(behind) => format!("it waits for {behind}"),
            None => "the source could not be looked at".into(),
        };
        if since >= limit * (self.told + 1) {
            self.told += 1;
            emitter.warn(format!("no recovery point was made for {} s: {reason}", since.as_secs()));
        }
        self.reason = Some(reason);
    }

    /// When everything was last known to be archived that the source had at a look; nothing while a partition cannot be read.
    pub(crate) fn whole_text(&self) -> Option<String> {
        self.whole_text.clone()
    }

    /// What the next recovery point waits for, while it is overdue.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cadence() -> Cadence {
        let backup = serde_json::from_value(serde_json::json!({"topics": ["t"], "continuous": true}));
        let backup: BackupSpec = backup.unwrap();
        Cadence::new(&BackupSpec { checkpoint_interval_secs: Some(15), ..backup })
    }

    #[tokio::test(start_paused = true)]
    async fn looks_come_an_interval_after_the_last_point_whatever_restarts_in_between() {
        let mut cadence = cadence();
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(cadence.next_look(), Instant::now(), "a run that begins looks at once");
        cadence.is_done(None);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(cadence.next_look(), Instant::now() + Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(cadence.next_look(), Instant::now(), "its collection ended before its data came");
    }

    #[test]
    fn what_lacks_a_partition_is_not_whole() {
        let mut cadence = cadence();
        cadence.is_done(Some("then".into()));
        assert_eq!(cadence.whole_text().as_deref(), Some("then"));
        cadence.is_done(None);
        assert_eq!(cadence.whole_text(), None);
    }
}
