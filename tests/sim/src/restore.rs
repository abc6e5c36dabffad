//! A restore in the model: a backup of one cluster is restored into another while the script happens there.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::{ExitCode, RunSpec};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::Apply;
use crate::attempt::{Ended, Ground, NAME};
use crate::broker::state::EPOCH_MS;
use crate::broker::{Kafka, State, Topic};
use crate::gate::{Current, Gate};
use crate::log::Log;
use crate::restored::{BYSTANDER, Judge, OF_OTHERS};
use crate::script::{Action, Rival, Script};
use crate::store::ModelStore;
use crate::trace::Trace;
use crate::world::{Outcome, alone};

const LONGEST: Duration = Duration::from_secs(1800);
const ATTEMPTS: u32 = 60;
/// Virtual time that a rival may take.
const HEALED: Duration = Duration::from_secs(240);
/// How often a restore is started again that somebody took over from.
const FENCED: u32 = 3;

/// Backs up what `before` made, and restores it into an empty cluster where `actions` happen.
pub(crate) fn restore(script: &Script) -> Outcome {
    alone(async { Box::pin(run(script)).await })
}

async fn run(script: &Script) -> Outcome {
    let (trace, seed) = (Trace::default(), script.seed);
    let store = ModelStore::new(seed, &trace);
    let ground = |kafka: Kafka| Ground {
        kafka,
        store: store.clone(),
        trace: trace.clone(),
        started: Instant::now(),
        script: Arc::new(script.clone()),
    };
    let source = ground(Kafka::new(State::new(script.brokers), seed, &trace));
    let mut apply = Apply::new(&source);
    for action in &script.before {
        apply.apply(action).await;
    }
    source.kafka.change(|state| end_in_batches(state, trace.now_ms()));
    let mut attempts = Vec::new();
    let mut violations = Vec::new();
    let ended = source.attempt(&source.spec("source", 0), &Gate::new(0), &CancellationToken::new(), 0).await;
    let backed_up = ended.said.map(|(report, exit)| (report.outcome, exit));
    if !matches!(backed_up, Some((_, ExitCode::Done))) {
        violations.push(format!("the backup ended with {backed_up:?}"));
    }
    attempts.push(format!("backup: {backed_up:?}"));
    let target = ground(Kafka::new(State::new(script.brokers), seed ^ 1, &trace));
    target.kafka.change(|state| state.number_after(OF_OTHERS));
    let mut apply = Apply::new(&target);
    let bystander = [Action::Create(BYSTANDER.to_owned(), 1, 1), Action::Produce(BYSTANDER.to_owned(), 0, 1, 5, 50)];
    for action in bystander.iter().chain(&script.target) {
        apply.apply(action).await;
    }
    let before = store.read();
    let judge = Judge::new(script, &source.kafka.look(), &target.kafka.look());
    let mut restores =
        Restores { target, judge, begun: Instant::now(), current: Current::default(), rivals: Rivals::default() };
    let actor = tokio::task::spawn_local(act(restores.clone()));
    let done = Box::pin(restores.run(script, &mut attempts, &mut violations)).await;
    actor.abort();
    for rival in restores.rivals.take() {
        violations.extend(rival.await.expect("a rival panicked"));
    }
    violations.extend(restores.judge.beside_strangers(&restores.target.kafka.look()));
    if done {
        // Whoever came later has not changed what was complete.
        violations.extend(restores.judge.still(&restores.target.kafka.look()));
    }
    violations.sort();
    violations.dedup();
    Outcome {
        violations,
        steps: trace.steps(),
        hash: trace.hash(),
        virtual_ms: trace.now_ms(),
        points: 1,
        records: if done { restores.judge.records() } else { 0 },
        given_up: 0,
        read: store.read() - before,
        attempts,
        reports: Vec::new(),
        trace: trace.tail(400),
    }
}

/// Writes one more record where a log ends in offsets without a batch: a run holds such a partition back until something is written, and
/// here nobody writes behind the script.
fn end_in_batches(state: &mut State, now_ms: u64) {
    let is_bare = |log: &Log| log.ends_in_nothing(log.batches.last().map_or(log.start, |batch| batch.last + 1));
    let of_topic = |topic: &Topic| {
        let bare = (0..).zip(&topic.partitions).filter(|(_, p)| is_bare(&p.log));
        bare.map(|(number, _)| (topic.name.clone(), number)).collect::<Vec<(String, i32)>>()
    };
    let bare: Vec<_> = state.topics.values().flat_map(of_topic).collect();
    for (topic, partition) in bare {
        state.produce(&topic, partition, &[10], None, now_ms);
    }
}

/// What each rival did wrong, once it has ended.
type Rivals = Rc<RefCell<Vec<JoinHandle<Vec<String>>>>>;

/// The restore of the script, and its rivals.
#[derive(Clone)]
struct Restores {
    target: Ground,
    judge: Judge,
    begun: Instant,
    current: Current,
    rivals: Rivals,
}

impl Restores {
    /// Attempts until one ends well or for good; whether it ended well.
    async fn run(&mut self, script: &Script, attempts: &mut Vec<String>, violations: &mut Vec<String>) -> bool {
        let spec = spec(&self.target, None);
        let mut fenced = 0;
        for number in 1..=ATTEMPTS {
            let dies_at = script.deaths.iter().find(|(attempt, _)| *attempt == number).map_or(0, |(_, at)| *at);
            let gate = Gate::new(dies_at);
            self.current.set(&gate);
            self.target.kafka.change(|state| state.strangers.attempt());
            let cancel = CancellationToken::new();
            let work = self.target.attempt(&spec, &gate, &cancel, number);
            let Ok(ended) = tokio::time::timeout(LONGEST, work).await else {
                violations.push(format!("attempt {number} did not end"));
                return false;
            };
            let said = self.said(&format!("attempt {number}"), &ended, violations);
            attempts.push(said);
            match ended.said.map(|(_, exit)| exit) {
                Some(ExitCode::Done) => return true,
                Some(ExitCode::Resumable) | None => {}
                // A rival took over: it may be asked a few times more.
                Some(ExitCode::Fenced) if fenced < FENCED => fenced += 1,
                Some(_) => return false,
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        violations.push(format!("did not end within {ATTEMPTS} attempts"));
        false
    }

    /// Judges what an attempt said, and tells it in words.
    fn said(&self, who: &str, ended: &Ended, violations: &mut Vec<String>) -> String {
        let Some((report, exit)) = &ended.said else { return format!("{who}: killed") };
        let said = format!("{who}, {} exchanges: {} ({exit:?}) {:?}", ended.exchanges, report.outcome, report.failure);
        self.target.trace.step(format_args!("{said}"));
        let since = self.begun.elapsed().as_millis() as u64;
        violations.extend(self.judge.ended(who, report, *exit, &self.target.kafka.look(), since));
        said
    }

    /// One attempt of another restore; what it did wrong.
    async fn rival(self, rival: Rival, ms: u64) -> Vec<String> {
        let spec = spec(&self.target, Some(rival));
        let (gate, cancel) = (Gate::new(0), CancellationToken::new());
        let work = self.target.attempt(&spec, &gate, &cancel, 1000 + ms as u32);
        let ended = tokio::time::timeout(HEALED, work).await;
        gate.kill();
        let mut violations = Vec::new();
        if let Ok(ended) = ended {
            self.said(&format!("rival of {ms} ms ({rival:?})"), &ended, &mut violations);
        }
        violations
    }
}

/// Does what the script says.
async fn act(restores: Restores) {
    let mut apply = Apply::new(&restores.target);
    for at in &restores.target.script.actions {
        tokio::time::sleep_until(restores.begun + Duration::from_millis(at.ms)).await;
        apply.apply(&at.what).await;
        match at.what {
            Action::Kill => restores.current.kill(),
            Action::Freeze(millis) => {
                let Some(gate) = restores.current.gate() else { continue };
                gate.stop(true);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    gate.stop(false);
                });
            }
            Action::Restore(rival) => {
                let running = tokio::task::spawn_local(restores.clone().rival(rival, at.ms));
                restores.rivals.borrow_mut().push(running);
            }
            _ => {}
        }
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    apply.apply(&Action::Heal).await;
}

/// The restore of the script, or a rival of it.
fn spec(target: &Ground, rival: Option<Rival>) -> RunSpec {
    let mut spec = target.spec("restore", 0);
    let name = if matches!(rival, None | Some(Rival::Same)) { "again" } else { "other" };
    (spec.name, spec.backup, spec.run) = (name.to_owned(), None, None);
    let said = target.script.settings.part;
    let mut part = serde_json::json!({
        "from": NAME,
        "includeOffsetHeaders": said.headers,
        "rateLimit": { "bytesPerSec": said.bytes_per_sec },
    });
    for (field, time) in [("startTime", said.start), ("endTime", said.end)] {
        if let Some(millis) = time {
            part[field] = (EPOCH_MS + millis as i64).to_string().into();
        }
    }
    for partition in 1..said.meet {
        part["partitionMapping"][partition.to_string()] = said.target_of(partition).into();
    }
    if rival == Some(Rival::Elsewhere) {
        part["stateStorage"] = serde_json::json!({ "type": "filesystem", "path": "model", "prefix": "elsewhere" });
    }
    spec.restore = Some(serde_json::from_value(part).expect("the specification is right"));
    assert!(spec.findings().is_empty(), "{:?}", spec.findings());
    spec
}
