//! A run of retention beside backups: what it must not do, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{ExitCode, PruneReport, RunSpec};
use tokio_util::sync::CancellationToken;

use crate::attempt::{Ground, NAME};
use crate::gate::Gate;
use crate::oracle::Oracle;
use crate::script::Prune;
use crate::shown::shown;

/// Virtual time that one may take: a store that answers nothing is waited for.
const LONGEST: Duration = Duration::from_secs(900);

/// The specification of a run of retention.
fn spec(ground: &Ground, prune: Prune, ms: u64) -> RunSpec {
    let mut spec = ground.spec(&format!("{NAME}-prune-{ms}"), ms);
    (spec.backup, spec.kafka) = (None, contract::KafkaSpec::default());
    let part = serde_json::json!({
        "rules": { "least": prune.least, "most": prune.least }, "graceSecs": prune.grace, "waitSecs": prune.wait,
    });
    spec.prune = Some(serde_json::from_value(part).expect("the specification is right"));
    assert!(spec.findings().is_empty(), "{:?}", spec.findings());
    spec
}

/// One run of retention, and what it must not have done.
pub(crate) async fn run(ground: Ground, oracle: Oracle, prune: Prune, ms: u64) {
    let before = shown(&ground).await;
    let gate = Gate::new(prune.dies_at);
    let number = 2_000_000 + ms as u32;
    let spec = spec(&ground, prune, ms);
    let cancel = CancellationToken::new();
    let work = ground.attempt(&spec, &gate, &cancel, number);
    let ended = tokio::time::timeout(LONGEST, Box::pin(work)).await;
    gate.kill();
    let Ok(ended) = ended else {
        return oracle.violation(format!("retention of {ms} ms did not end within {} s", LONGEST.as_secs()));
    };
    if let Some((report, exit)) = &ended.said {
        let failure = &report.failure;
        ground.trace.step(format_args!("retention of {ms} ms: {} ({exit:?}) {failure:?}", report.outcome));
        if *exit != ExitCode::Done && *exit != ExitCode::Resumable && !before.is_empty() {
            oracle.violation(format!("retention ended for good: {failure:?}"));
        }
    }
    let after = shown(&ground).await;
    let all: BTreeSet<_> = before.union(&after).collect();
    // Others keep other numbers.
    let keeps = if oracle.has_other_retention() { 1 } else { prune.least as usize };
    for gone in all.iter().rev().take(keeps).filter(|point| !after.contains(**point)) {
        oracle.violation(format!("retention that keeps {keeps} removed {gone:?}"));
    }
}

/// Two runs of retention after all the others, when nothing is wrong: only the newest point is left, and nothing waits.
pub(crate) async fn last(ground: &Ground, oracle: &Oracle) {
    let before = shown(ground).await;
    let Some(newest) = before.last().cloned() else { return };
    let mut said: Option<PruneReport> = None;
    for _ in 0..2 {
        // Longer than any grace period of the script.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ms = ground.trace.now_ms();
        let prune = Prune { least: 1, grace: 1, wait: 0, dies_at: 0 };
        let spec = spec(ground, prune, ms);
        let (gate, cancel) = (Gate::new(0), CancellationToken::new());
        let ended = Box::pin(ground.attempt(&spec, &gate, &cancel, 3_000_000 + ms as u32)).await;
        match ended.said {
            Some((report, ExitCode::Done)) => said = report.prune,
            other => oracle.violation(format!("the last retention did not end well: {other:?}")),
        }
    }
    let Some(said) = said else { return };
    if !said.busy.is_empty() || !said.left.is_empty() {
        // A run that was killed has left its set open: nothing of it can go.
        return;
    }
    let after = shown(ground).await;
    // A run that was killed may have left a request on its way: a point that came since is newer.
    let Some(last) = after.last().filter(|last| **last >= newest) else {
        return oracle.violation(format!("the last retention removed the newest point {newest:?}: {after:?}"));
    };
    let others: Vec<_> = after.iter().filter(|(_, set, _)| *set == last.1).collect();
    if others.len() != 1 {
        oracle.violation(format!("the last retention left {others:?}: {said:?}"));
    }
    if said.waiting.objects + said.due.objects > 0 || !said.refused.is_empty() {
        oracle.violation(format!("the last retention left what may be deleted: {said:?}"));
    }
}
