//! A whole simulation: the script happens while the runner is started, killed and started again as an operator does it;
//! then everything heals, and the last run must end well.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::{ExitCode, Report};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::Apply;
pub use crate::attempt::Ended;
use crate::attempt::{Ground, NAME};
use crate::broker::{Kafka, State};
use crate::gate::{Current, Gate};
use crate::oracle::Oracle;
use crate::panics;
use crate::pruner;
use crate::restore::restore;
use crate::script::{Action, Mode, Script};
use crate::store::ModelStore;
use crate::trace::Trace;

/// Virtual time that one attempt may take, whatever goes wrong.
const LONGEST: Duration = Duration::from_secs(1800);
/// Virtual time that a run has to end once everything is well again.
const HEALED: Duration = Duration::from_secs(240);
/// Attempts of one run at most.
const ATTEMPTS: u32 = 60;
/// Pause between two attempts of one run.
const AGAIN: Duration = Duration::from_secs(1);

/// What a simulation found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What must not be; empty when all is well.
    pub violations: Vec<String>,
    /// Answered requests and actions.
    pub steps: u64,
    /// Differs when anything happened differently.
    pub hash: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Recovery points that were compared with the truth.
    pub points: u64,
    /// Records that were compared.
    pub records: u64,
    /// Claims that gave up segments that the store had lost.
    pub given_up: u64,
    /// Bytes of segments that a restore read.
    pub read: u64,
    /// How each attempt ended.
    pub attempts: Vec<String>,
    /// What the attempts of a backup reported that were not killed.
    pub reports: Vec<Report>,
    /// The newest lines of the trace.
    pub trace: String,
}

/// Runs a script from its beginning to its end.
pub fn simulate(script: &Script) -> Outcome {
    let before = panics::count();
    let mut outcome = match script.settings.mode {
        Mode::Restore => restore(script),
        Mode::Full | Mode::Incremental | Mode::Continuous => alone(async { Box::pin(World::new(script).run()).await }),
    };
    if panics::count() > before {
        outcome.violations.push("something panicked".to_owned());
    }
    outcome
}

/// Runs on this thread with virtual time.
pub(crate) fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(tokio::task::LocalSet::new().run_until(work))
}

/// What one attempt did under one fault, and what the next did without it.
#[derive(Debug)]
pub struct Probe {
    /// The attempt under the fault; `None` when it did not end.
    pub under: Option<Ended>,
    /// The next one.
    pub after: Option<Ended>,
    /// What must not be, whatever the fault was.
    pub violations: Vec<String>,
    /// Answered requests.
    pub steps: u64,
}

/// Runs a whole attempt, then one under a fault, then one without it.
pub fn probe(script: &Script, fault: &Action) -> Probe {
    let before = panics::count();
    let mut probe = alone(async { Box::pin(World::new(script).probe(fault)).await });
    if panics::count() > before {
        probe.violations.push("something panicked".to_owned());
    }
    probe
}

struct World {
    ground: Ground,
    trace: Trace,
    current: Current,
    oracle: Oracle,
    attempts: Vec<String>,
    reports: Vec<Report>,
    number: u32,
}

impl World {
    fn new(script: &Script) -> Self {
        let (trace, seed) = (Trace::default(), script.seed);
        let kafka = Kafka::new(State::new(script.brokers), seed, &trace);
        let store = ModelStore::new(seed, &trace);
        let script = Arc::new(script.clone());
        let ground = Ground { kafka, store, trace: trace.clone(), started: Instant::now(), script };
        let oracle = Oracle::new(&ground);
        Self {
            ground,
            trace,
            current: Current::default(),
            oracle,
            attempts: Vec::new(),
            reports: Vec::new(),
            number: 0,
        }
    }

    async fn run(mut self) -> Outcome {
        let script = Arc::clone(&self.ground.script);
        let mut apply = Apply::new(&self.ground);
        for action in &script.before {
            apply.apply(action).await;
        }
        let pulse = tokio::task::spawn_local(self.oracle.clone().watch());
        let (current, ground) = (self.current.clone(), self.ground.clone());
        let (oracle, retention) = (self.oracle.clone(), Rc::new(RefCell::new(Vec::new())));
        let pruning = Rc::clone(&retention);
        let healed = CancellationToken::new();
        let told = healed.clone();
        let actor = tokio::task::spawn_local(async move {
            for at in &ground.script.actions {
                tokio::time::sleep_until(ground.started + Duration::from_millis(at.ms)).await;
                apply.apply(&at.what).await;
                if at.what.is_trouble() {
                    ground.trace.note_trouble();
                }
                match at.what {
                    Action::Kill => current.kill(),
                    Action::Freeze(millis) => {
                        current.stop(true);
                        let (current, trace) = (current.clone(), ground.trace.clone());
                        tokio::spawn(async move {
                            let thaws = Instant::now() + Duration::from_millis(millis);
                            while Instant::now() < thaws {
                                trace.note_trouble();
                                tokio::time::sleep_until(thaws.min(Instant::now() + Duration::from_secs(1))).await;
                            }
                            current.stop(false);
                            trace.note_trouble();
                        });
                    }
                    Action::Rival => drop(tokio::task::spawn_local(rival(ground.clone(), at.ms))),
                    Action::Prune(prune) => {
                        let running = pruner::run(ground.clone(), oracle.clone(), prune, at.ms);
                        pruning.borrow_mut().push(tokio::task::spawn_local(running));
                    }
                    _ => {}
                }
            }
            apply.apply(&Action::Heal).await;
            told.cancel();
        });
        if script.settings.mode == Mode::Continuous {
            self.follow(&healed).await;
        } else {
            self.snapshots(&healed).await;
        }
        actor.abort();
        pulse.abort();
        let running: Vec<JoinHandle<()>> = retention.borrow_mut().drain(..).collect();
        for one in running {
            one.await.expect("it does not panic");
        }
        if self.oracle.has_retention() {
            pruner::last(&self.ground, &self.oracle).await;
        }
        let mut violations = self.oracle.finish().await;
        violations.sort();
        violations.dedup();
        Outcome {
            violations,
            steps: self.trace.steps(),
            hash: self.trace.hash(),
            virtual_ms: self.trace.now_ms(),
            points: self.oracle.counts().0,
            records: self.oracle.counts().1,
            given_up: self.ground.store.created().iter().filter(|made| made.lost > 0).count() as u64,
            read: 0,
            attempts: self.attempts,
            reports: self.reports,
            trace: self.trace.tail(3000),
        }
    }

    async fn probe(mut self, fault: &Action) -> Probe {
        self.oracle = self.oracle.probing();
        let script = Arc::clone(&self.ground.script);
        let mut apply = Apply::new(&self.ground);
        for action in &script.before {
            apply.apply(action).await;
        }
        self.step(1, LONGEST).await;
        for at in &script.actions {
            apply.apply(&at.what).await;
        }
        apply.apply(fault).await;
        self.trace.note_trouble();
        let under = self.step(2, LONGEST).await;
        self.trace.note_trouble();
        apply.apply(&Action::Heal).await;
        let after = self.step(3, HEALED).await;
        Probe { under, after, violations: self.oracle.finish().await, steps: self.trace.steps() }
    }

    async fn step(&mut self, run: u32, limit: Duration) -> Option<Ended> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let spec = self.ground.spec(&format!("{NAME}-run-{run}"), self.trace.now_ms());
        self.attempt(&spec, &CancellationToken::new(), false, limit).await
    }

    /// The runs of the script one after the other; the last one begins when everything is well.
    async fn snapshots(&mut self, healed: &CancellationToken) {
        let script = Arc::clone(&self.ground.script);
        for run in 1..=script.settings.runs {
            let last = run == script.settings.runs;
            if last {
                healed.cancelled().await;
            }
            self.snapshot(run, last).await;
            tokio::time::sleep(Duration::from_millis(script.pause_ms)).await;
        }
    }

    async fn snapshot(&mut self, run: u32, well: bool) {
        let at_ms = self.trace.now_ms();
        let spec = self.ground.spec(&format!("{NAME}-run-{run}"), at_ms);
        for _ in 0..ATTEMPTS {
            let Some(ended) = self.attempt(&spec, &CancellationToken::new(), well, LONGEST).await else { return };
            match &ended.said {
                Some((report, ExitCode::Resumable)) if well && !self.oracle.loses() => {
                    let text = format!("run {run} failed although everything was well: {:?}", report.failure);
                    return self.oracle.violation(text);
                }
                Some((_, ExitCode::Resumable)) | None => {}
                // Done, or somebody must change something first: the next run shows whether it goes on.
                Some(_) => return,
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.oracle.violation(format!("run {run} did not end within {ATTEMPTS} attempts"));
    }

    /// One continuous run, started again whenever it ends; stopped when the last point was made.
    async fn follow(&mut self, healed: &CancellationToken) {
        let spec = self.ground.spec(&format!("{NAME}-run-1"), 0);
        let stop = CancellationToken::new();
        let (token, rest) =
            (stop.clone(), Duration::from_secs(self.ground.script.settings.checkpoint * 3) + HEALED / 4);
        let (waits, oracle) = (healed.clone(), self.oracle.clone());
        tokio::spawn(async move {
            waits.cancelled().await;
            oracle.note_healed();
            tokio::time::sleep(rest).await;
            token.cancel();
        });
        for _ in 0..ATTEMPTS {
            let well = healed.is_cancelled();
            let Some(ended) = self.attempt(&spec, &stop, well, LONGEST * 4).await else { return };
            match &ended.said {
                Some((_, ExitCode::Interrupted)) if stop.is_cancelled() => return,
                Some((_, ExitCode::Final)) if self.ground.kafka.look().topics.is_empty() => return,
                Some((report, exit)) if well && !matches!(exit, ExitCode::Resumable) => {
                    let text = format!("a continuous run ended by itself with {exit:?}: {:?}", report.failure);
                    return self.oracle.violation(text);
                }
                _ => tokio::time::sleep(AGAIN).await,
            }
            if stop.is_cancelled() {
                return;
            }
        }
        self.oracle.violation(format!("a continuous run was started {ATTEMPTS} times"));
    }

    async fn attempt(
        &mut self,
        spec: &contract::RunSpec,
        cancel: &CancellationToken,
        well: bool,
        longest: Duration,
    ) -> Option<Ended> {
        self.number += 1;
        let dies_at = self.ground.script.deaths.iter().find(|(attempt, _)| *attempt == self.number);
        let gate = Gate::new(dies_at.map_or(0, |(_, exchange)| *exchange));
        self.current.set(&gate);
        let number = self.number;
        self.trace.step(format_args!("attempt {number} starts"));
        let limit = if well && self.ground.script.settings.mode != Mode::Continuous { HEALED } else { longest };
        let work = Box::pin(self.ground.attempt(spec, &gate, cancel, number));
        let Ok(ended) = tokio::time::timeout(limit, work).await else {
            let text = format!("attempt {number} did not end within {} s of virtual time", limit.as_secs());
            self.attempts.push(text.clone());
            self.oracle.violation(text);
            return None;
        };
        let said = ended.said.as_ref().map_or_else(
            || "killed".to_owned(),
            |(report, exit)| {
                let failure = report.failure.as_ref().map(|failure| format!(" {failure}")).unwrap_or_default();
                format!("{} ({exit:?}){failure}", report.outcome)
            },
        );
        let line =
            format!("attempt {number}, {} to {} ms, {} exchanges: {said}", ended.from_ms, ended.to_ms, ended.exchanges);
        self.trace.step(format_args!("{line}"));
        self.attempts.push(line);
        self.reports.extend(ended.said.iter().map(|(report, _)| report.clone()));
        Box::pin(self.oracle.judge(spec, &ended)).await;
        Some(ended)
    }
}

/// Another run of the same set, at the same time.
async fn rival(ground: Ground, at_ms: u64) {
    let spec = ground.spec(&format!("{NAME}-rival-{at_ms}"), at_ms);
    let gate = Gate::new(0);
    let cancel = CancellationToken::new();
    let work = ground.attempt(&spec, &gate, &cancel, 1000 + at_ms as u32);
    drop(tokio::time::timeout(HEALED, work).await);
    gate.kill();
}
