//! Watches a continuous run from second to second: while nothing is wrong, recovery points come.

use std::time::Duration;

use super::Oracle;
use crate::broker::{Power, State};
use crate::script::Mode;

/// Whether every partition can be read and nothing goes wrong now.
fn calm(state: &State, now: u64) -> bool {
    let faults = &state.faults;
    let quiet = now >= faults.empty_until
        && faults.quota == 0
        && faults.slow_ms == 0
        && faults.throttle.is_empty()
        && faults.codes.is_empty()
        && faults.broken.is_empty();
    let any_up = state.brokers.values().any(|broker| broker.power == Power::Up);
    any_up && state.all_led() && quiet && state.brokers.values().all(|broker| broker.power != Power::Silent)
}

impl Oracle {
    /// Watches until the simulation ends.
    pub(crate) async fn watch(self) {
        let settings = &self.ground.script.settings;
        let interval = settings.checkpoint * 1000;
        // Three intervals, and a look of a broker that has just gone away.
        let limit = 3 * interval + settings.timeout_ms + settings.deadline_ms + 5_000;
        let (mut seals, mut ends, mut waiting) = (0, 0, None);
        let mut told = false;
        loop {
            let now = self.ground.trace.now_ms();
            let (marks, calm) = {
                let state = self.ground.kafka.look();
                (state.marks(), calm(&state, now))
            };
            let end: i64 = marks.values().map(|marks| marks.stable).sum();
            self.inner().history.push((now, marks));
            let made = self.ground.store.created().iter().filter(|created| created.sealed).count();
            if !calm || !self.store_calm() {
                self.ground.trace.note_trouble();
            }
            // What a fault does may last longer than its cause: a request that is tried again for long.
            if made != seals || self.ground.trace.calm_ms() < 1500 {
                (seals, ends, waiting) = (made, end, None);
            }
            if end > ends {
                waiting.get_or_insert(now);
            }
            if let Some(since) = waiting.filter(|since| now > since + limit)
                && settings.mode == Mode::Continuous
                && !told
            {
                told = true;
                self.violation(format!(
                    "no recovery point for {} s though every partition has a leader and records wait",
                    (now - since) / 1000
                ));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn store_calm(&self) -> bool {
        self.ground.store.faults().rules.is_empty()
    }
}
