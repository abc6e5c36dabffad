//! Whether a quota of the brokers keeps a run from ever going on. Pure, but for the clock.
//!
//! Brokers empty the answer and ask for silence (KIP-219). A batch that is larger than what the quota allows in its window is
//! never delivered, to no consumer.

use std::time::Duration;

use tokio::time::Instant;
use wire::Throttled;

/// What brokers held back since something came last.
#[derive(Debug, Default)]
pub(crate) struct QuotaWatch {
    total: Duration,
    moved: (u64, u64),
    /// When the first silence since then ends.
    first_end: Option<Instant>,
}

impl QuotaWatch {
    /// Takes what brokers asked for so far and what moved so far, from time to time. `true` when nothing moved for `limit`
    /// after the first silence was over, and brokers went on asking for silence.
    pub(crate) fn is_stuck(&mut self, told: Throttled, moved: (u64, u64), limit: Duration) -> bool {
        let now = Instant::now();
        let silent = told.until.filter(|until| *until > now || told.total > self.total);
        if silent.is_none() || self.moved != moved {
            self.first_end = None;
        }
        (self.total, self.moved) = (told.total, moved);
        let Some(until) = silent else { return false };
        let first_end = *self.first_end.get_or_insert(until);
        now.saturating_duration_since(first_end) >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(120);

    async fn tick(watch: &mut QuotaWatch, told: &mut Throttled, silence: u64, records: u64) -> bool {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if silence > 0 {
            let silence = Duration::from_secs(silence);
            (told.total, told.until) = (told.total + silence, Some(Instant::now() + silence));
        }
        watch.is_stuck(*told, (records, 0), LIMIT)
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_quota_that_lets_nothing_through_ends_a_run() {
        let (mut watch, mut told) = (QuotaWatch::default(), Throttled::default());
        // Slow, but something comes: for ever.
        for records in 0..300 {
            assert!(!tick(&mut watch, &mut told, 2, records).await);
        }
        // One silence of ten minutes is obeyed.
        assert!(!tick(&mut watch, &mut told, 600, 300).await);
        for _ in 0..299 {
            assert!(!tick(&mut watch, &mut told, 0, 300).await);
        }
        // Quiet without a quota is no matter of quotas.
        for _ in 0..200 {
            assert!(!tick(&mut watch, &mut told, 0, 300).await);
        }
        let rounds = async {
            for round in 0..200 {
                if tick(&mut watch, &mut told, 2, 300).await {
                    return round * 2;
                }
            }
            0
        };
        assert!((118..=126).contains(&rounds.await));
    }
}
