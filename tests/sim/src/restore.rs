//! A restore in the model: a backup of one cluster is restored into another while the script happens there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{ExitCode, RunSpec};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::Apply;
use crate::attempt::{Ground, NAME};
use crate::broker::{Kafka, State};
use crate::gate::Gate;
use crate::log::{Fate, Log};
use crate::script::{Action, Script};
use crate::store::ModelStore;
use crate::trace::Trace;
use crate::world::{Outcome, alone};

const LONGEST: Duration = Duration::from_secs(1800);
const ATTEMPTS: u32 = 60;

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
    let mut attempts = Vec::new();
    let mut violations = Vec::new();
    let ended = source.attempt(&source.spec("source", 0), &Gate::new(0), &CancellationToken::new(), 0).await;
    let backed_up = ended.said.map(|(report, exit)| (report.outcome, exit));
    if !matches!(backed_up, Some((_, ExitCode::Done))) {
        violations.push(format!("the backup ended with {backed_up:?}"));
    }
    attempts.push(format!("backup: {backed_up:?}"));
    let target = ground(Kafka::new(State::new(script.brokers), seed ^ 1, &trace));
    let spec = spec(&target);
    let (actor_ground, current) = (target.clone(), Arc::new(std::sync::Mutex::new(Gate::new(0))));
    let killed = Arc::clone(&current);
    let actor = tokio::task::spawn_local(async move {
        let mut apply = Apply::new(&actor_ground);
        let begun = Instant::now();
        for at in &actor_ground.script.actions {
            tokio::time::sleep_until(begun + Duration::from_millis(at.ms)).await;
            apply.apply(&at.what).await;
            match at.what {
                Action::Kill => killed.lock().unwrap().kill(),
                Action::Freeze(millis) => {
                    let gate = killed.lock().unwrap().clone();
                    gate.stop(true);
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(millis)).await;
                        gate.stop(false);
                    });
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        apply.apply(&Action::Heal).await;
    });
    let mut done = false;
    for number in 1..=ATTEMPTS {
        let dies_at = script.deaths.iter().find(|(attempt, _)| *attempt == number).map_or(0, |(_, exchange)| *exchange);
        let gate = Gate::new(dies_at);
        *current.lock().unwrap() = gate.clone();
        let cancel = CancellationToken::new();
        let work = target.attempt(&spec, &gate, &cancel, number);
        let Ok(ended) = tokio::time::timeout(LONGEST, work).await else {
            violations.push(format!("attempt {number} did not end"));
            break;
        };
        let said = ended.said.as_ref().map_or_else(
            || "killed".to_owned(),
            |(report, exit)| format!("{} ({exit:?}) {:?}", report.outcome, report.failure),
        );
        trace.step(format_args!("attempt {number}: {said}"));
        attempts.push(format!("attempt {number}, {} exchanges: {said}", ended.exchanges));
        match ended.said.map(|(_, exit)| exit) {
            Some(ExitCode::Done) => {
                done = true;
                break;
            }
            Some(ExitCode::Resumable) | None => tokio::time::sleep(Duration::from_secs(1)).await,
            Some(exit) => {
                violations.push(format!("ended for good with {exit:?}: {said}"));
                break;
            }
        }
    }
    actor.abort();
    if !done && violations.is_empty() {
        violations.push(format!("did not end within {ATTEMPTS} attempts"));
    }
    let records = if done { compare(&source, &target, &mut violations) } else { 0 };
    Outcome {
        violations,
        steps: trace.steps(),
        hash: trace.hash(),
        virtual_ms: trace.now_ms(),
        points: 1,
        records,
        attempts,
        trace: trace.tail(400),
    }
}

fn spec(target: &Ground) -> RunSpec {
    let mut spec = target.spec("restore", 0);
    (spec.name, spec.backup, spec.run) = ("again".to_owned(), None, None);
    let part = serde_json::json!({ "from": NAME, "includeOffsetHeaders": false });
    spec.restore = Some(serde_json::from_value(part).expect("the specification is right"));
    assert!(spec.findings().is_empty(), "{:?}", spec.findings());
    spec
}

/// Ids of the committed records that consumers see in a log, in offset order.
fn visible(log: &Log) -> Vec<u64> {
    let shown = log.truth.range(log.start..log.stable().max(log.start)).flat_map(|(_, all)| all);
    shown.filter(|w| w.fate == Fate::Committed && w.gone.is_none()).map(|w| w.id).collect()
}

/// Every record of the source once, in order, and nothing else; configs as the source had them.
fn compare(source: &Ground, target: &Ground, out: &mut Vec<String>) -> u64 {
    let (source, target) = (source.kafka.look(), target.kafka.look());
    let mut records = 0;
    for topic in source.topics.values() {
        let Some(restored) = target.topics.get(&topic.name) else {
            out.push(format!("{} was not restored", topic.name));
            continue;
        };
        for (number, p) in topic.partitions.iter().enumerate() {
            let wanted = visible(&p.log);
            let found = restored.partitions.get(number).map(|p| visible(&p.log)).unwrap_or_default();
            records += wanted.len() as u64;
            if found != wanted {
                let mut counts: BTreeMap<u64, i64> = BTreeMap::new();
                for (id, one) in wanted.iter().map(|id| (*id, -1)).chain(found.iter().map(|id| (*id, 1))) {
                    *counts.entry(id).or_default() += one;
                }
                let lost: i64 = counts.values().filter(|count| **count < 0).sum();
                let more: i64 = counts.values().filter(|count| **count > 0).sum();
                let text = format!("{} of {} records are lost, {more} too many", -lost, wanted.len());
                out.push(format!("{}/{number}: {text}; out of order: {}", topic.name, lost == 0 && more == 0));
            }
        }
        if restored.configs != topic.configs {
            out.push(format!("{}: configs {:?} instead of {:?}", topic.name, restored.configs, topic.configs));
        }
    }
    records
}
