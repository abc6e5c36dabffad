//! The runner of the backup, which is started again when it was killed, and when its points came.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::{INTERVAL, Outcome, PATIENCE};
use crate::live::Live;
use crate::runner::Bench;

/// Exit code of a run that was stopped.
const STOPPED: i32 = 75;
/// Exit codes after which an operator starts the run again.
const AGAIN: [i32; 2] = [3, 5];

/// The runner that works.
pub(super) struct Watch<'a> {
    bench: &'a Bench,
    spec: Value,
    live: Option<Live>,
    last_point: Instant,
    /// From when to when the cluster had no quorum.
    no_quorum: Vec<(Instant, Option<Instant>)>,
    lag: u64,
    /// When the run last said that everything is archived.
    whole_at: Option<Timestamp>,
    outcome: Outcome,
}

impl<'a> Watch<'a> {
    pub(super) fn start(bench: &'a Bench, spec: Value) -> Self {
        let live = Some(bench.live(&spec));
        let now = Instant::now();
        Self {
            bench,
            spec,
            live,
            last_point: now,
            no_quorum: Vec::new(),
            lag: u64::MAX,
            whole_at: None,
            outcome: Outcome::default(),
        }
    }

    /// Reads what the run told since the last look; one that ended by itself is a fault, and is started again.
    pub(super) fn look(&mut self) {
        let Some(live) = &mut self.live else { return };
        let ended = live.has_ended();
        for (at, event) in live.news() {
            match event["event"].as_str() {
                Some("committed") if event["sealed"] == true => self.point(at),
                Some("progress") => {
                    self.lag = event["lag"].as_u64().unwrap_or(u64::MAX);
                    self.whole_at = event["wholeAt"].as_str().map(|at| at.parse().expect("a time"));
                }
                Some("committed" | "started" | "planned" | "warning" | "gap" | "timeline" | "member") => {
                    println!("  {event}");
                }
                _ => {}
            }
        }
        if ended {
            let Some(ended) = self.live.take().map(Live::finish) else { return };
            self.fault(format!("the run ended by itself, exit {}: {}", ended.code, ended.stderr.trim()));
            if AGAIN.contains(&ended.code) {
                self.live = Some(self.bench.live(&self.spec));
            }
        }
    }

    /// Whether a run is there: one that failed for good is not started again.
    pub(super) fn works(&self) -> bool {
        self.live.is_some()
    }

    /// A recovery point came.
    fn point(&mut self, at: Instant) {
        let pause = at.duration_since(self.last_point);
        let limit = Duration::from_secs(INTERVAL) * PATIENCE + self.without_quorum(at);
        if pause > limit {
            self.fault(format!("no recovery point for {} s, more than {}", pause.as_secs(), limit.as_secs()));
        }
        self.outcome.longest = self.outcome.longest.max(pause);
        self.outcome.points += 1;
        self.last_point = at;
    }

    /// Whether the cluster has a quorum now: points may be late for as long as it has none.
    pub(super) fn quorum(&mut self, is_there: bool) {
        match (self.no_quorum.last_mut(), is_there) {
            (Some((_, end @ None)), true) => *end = Some(Instant::now()),
            (Some((_, None)), false) | (None | Some((_, Some(_))), true) => {}
            (None | Some((_, Some(_))), false) => self.no_quorum.push((Instant::now(), None)),
        }
    }

    /// For how long the cluster had none between the last point and this moment.
    fn without_quorum(&self, at: Instant) -> Duration {
        let overlap = |(from, to): &(Instant, Option<Instant>)| {
            let to = to.map_or(at, |to| to.min(at));
            to.saturating_duration_since((*from).max(self.last_point))
        };
        self.no_quorum.iter().map(overlap).sum()
    }

    fn fault(&mut self, text: String) {
        println!("FAULT: {text}");
        self.outcome.faults.push(text);
    }

    /// Kills the run, or asks it to stop, and starts it again.
    pub(super) fn restart(&mut self, signal: &str) {
        self.stop(signal);
        self.live = Some(self.bench.live(&self.spec));
    }

    /// Ends the run; one that is asked to stop says that it was stopped.
    fn stop(&mut self, signal: &str) {
        self.look();
        let Some(live) = self.live.take() else { return };
        let ended = live.end(signal);
        if signal == "TERM" && ended.code != STOPPED {
            self.fault(format!("stopped on request with exit {}: {}", ended.code, ended.stderr.trim()));
        }
    }

    /// Waits until nothing is left to read and points hold it. A lag says nothing of partitions that cannot be read, and the
    /// look after the one that found all archived comes when the point of that one is made.
    pub(super) fn catch_up(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(300);
        for look in ["first", "second"] {
            let since = Timestamp::now();
            while self.whole_at.is_none_or(|at| at < since) {
                if Instant::now() >= deadline {
                    let lag = self.lag;
                    return self.fault(format!(
                        "300 s after the last write, the {look} look finds less than all in the archive, lag {lag}"
                    ));
                }
                std::thread::sleep(Duration::from_millis(200));
                self.look();
            }
        }
    }

    /// Stops the run for good.
    pub(super) fn end(mut self) -> Outcome {
        self.stop("TERM");
        self.outcome
    }
}
