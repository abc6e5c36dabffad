//! A run of retention: what the rules take away of the backups of one name is hidden, and what was hidden long enough ago is
//! deleted. It asks no cluster. `archive::prune_run` does it, and nobody else may use that.
//!
//! Data comes from the specification and leaves as a [`PruneReport`], also where the run failed on the way.

use std::collections::BTreeSet;

use archive::prune_run::{self, Counted, PruneDone, PruneRequest};
use archive::{PlannedPoint, PruneRun};
use contract::stamp::{split_point, stamp, stamp_time};
use contract::{
    BusySet, Code, EventKind, Failure, ObjectSum, PointFate, PruneReport, PruneSpec, PrunedPoint, RefusedObjects,
    Report, RunSpec, SetOwner,
};
use inspect::{RetainedPoint, WholeRetentionPlan, told};
use jiff::SignedDuration;

use crate::connect;
use crate::context::Context;
use crate::emit::Emitter;

/// Runs retention and fills `report`.
///
/// # Errors
/// The failure that ended it; another run goes on.
pub(crate) async fn run(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &PruneSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let now = context.clock.now();
    if report.run.is_empty() {
        report.run = format!("{}-prune-{}", spec.name, stamp(now));
    }
    let store = connect::store(context, spec).await?;
    let (run, name) = (report.run.clone(), spec.name.clone());
    emitter.emit(EventKind::Started { run, name, resumed: false });
    let request = request(context, spec, part, report)?;
    let mut done = PruneDone::default();
    let ended = if part.dry_run {
        prune_run::look(&store, &request, &mut done).await.map_err(Failure::from)
    } else {
        report.changed = true;
        tokio::select! {
            biased;
            ended = Box::pin(prune_run::prune(&store, &request, &context.waits, &mut done)) => ended.map_err(Failure::from),
            // Whatever it was about to do, another run goes on.
            () = context.cancel.cancelled() => Err(Failure::new(Code::Interrupted, "stopped on request; another run goes on")),
        }
    };
    fill(spec, part, done, emitter, report);
    ended?;
    report.outcome = if part.dry_run { "DryRun" } else { "Completed" }.into();
    Ok(())
}

fn request(context: &Context, spec: &RunSpec, part: &PruneSpec, report: &Report) -> Result<PruneRequest, Failure> {
    let work = serde_json::to_vec(&serde_json::json!({
        "name": spec.name, "namespace": spec.namespace, "prune": part,
    }));
    let work = work.map_err(|error| Failure::new(Code::Internal, format!("as JSON: {error}")))?;
    let now = context.clock.now();
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    Ok(PruneRequest {
        owner: SetOwner {
            name: spec.name.clone(),
            namespace: Some(spec.namespace.clone()),
            cluster_id: part.cluster_id.clone(),
        },
        rules: part.rules,
        grace: SignedDuration::from_secs(seconds(part.grace_secs)),
        patience: std::time::Duration::from_secs(part.wait_secs),
        by: PruneRun {
            run: report.run.clone(),
            spec: archive::Digest::of(&work),
            nonce: context.nonce(),
            stamp: stamp(spec.run.as_ref().map_or(now, |run| run.at)),
        },
        reader: now,
    })
}

/// Tells what was done, and what somebody should look at.
fn fill(spec: &RunSpec, part: &PruneSpec, mut done: PruneDone, emitter: &Emitter, report: &mut Report) {
    for warning in std::mem::take(&mut done.warnings) {
        emitter.warn(warning);
    }
    for (why, refusal) in &done.refused {
        emitter.warn(format!(
            "{} objects ({}) were not deleted, the first of them {}: {why}",
            refusal.of.objects,
            contract::words::size(refusal.of.bytes),
            refusal.example
        ));
    }
    if done.unknown.objects > 0 {
        emitter.warn(format!(
            "{} objects in folders that go are no part of a backup, and stay: move them away, or delete them",
            done.unknown.objects
        ));
    }
    report.ended_uploads = done.ended_uploads;
    report.prune = Some(tell(spec, part, done));
}

fn tell(spec: &RunSpec, part: &PruneSpec, mut done: PruneDone) -> PruneReport {
    let given_up = done.said.iter().filter(|said| said.points.is_empty()).count() as u64;
    let removed: Vec<PlannedPoint> = done.said.into_iter().flat_map(|said| said.points).collect();
    let gone: BTreeSet<String> = removed.iter().map(|point| point.name.clone()).collect();
    let plan = done.plan.take().map(|mut plan| {
        plan.points.extend(removed);
        plan.points.sort_by(|a, b| (a.committed, &a.name).cmp(&(b.committed, &b.name)));
        told(&spec.name, &part.rules, plan)
    });
    let line = |point: RetainedPoint| PrunedPoint {
        fate: if gone.contains(&point.name) {
            PointFate::Removed
        } else if point.verdict.goes() {
            PointFate::MayGo
        } else {
            PointFate::Stays
        },
        why: point.remark(),
        name: point.name,
        committed: point.committed,
        bytes: point.bytes,
    };
    let (plan, points) = match plan {
        Some(WholeRetentionPlan { plan, items }) => (Some(plan), items.into_iter().map(line).collect()),
        None => (None, Vec::new()),
    };
    let holds = plan.iter().flat_map(|plan| &plan.holds).chain(&done.holds).map(contract::retention::Hold::words);
    let mut holds: Vec<String> = holds.collect();
    holds.sort();
    holds.dedup();
    PruneReport {
        namespace: plan.as_ref().and_then(|plan| plan.namespace.clone()),
        cluster_id: plan.as_ref().and_then(|plan| plan.cluster_id.clone()),
        rules: part.rules,
        dry_run: part.dry_run,
        inspected: points.len() as u64,
        eligible: points.iter().filter(|point: &&PrunedPoint| point.fate != PointFate::Stays).count() as u64,
        removed: gone.len() as u64,
        removed_until: gone.iter().filter_map(|name| Some(stamp_time(split_point(name)?.1))).max(),
        given_up,
        comes_back: plan.as_ref().map_or(0, |plan| plan.comes_back),
        deleted: sum(done.gone),
        leftovers: sum(done.leftovers),
        ended_uploads: done.ended_uploads,
        waiting: sum(done.waiting),
        waits_until: done.waits_until,
        due: sum(done.due),
        unknown: sum(done.unknown),
        refused: done.refused.into_iter().map(|(why, of)| refused(why, of)).collect(),
        busy: done.busy.into_iter().map(|(set, run)| BusySet { set, run }).collect(),
        holds,
        left: plan.iter().flat_map(|plan| &plan.left).map(|left| format!("set {}: {}", left.set, left.why)).collect(),
        points,
    }
}

fn refused(why: String, refusal: prune_run::Refusal) -> RefusedObjects {
    RefusedObjects { why, example: refusal.example, sum: sum(refusal.of) }
}

fn sum(of: Counted) -> ObjectSum {
    ObjectSum { objects: of.objects, bytes: of.bytes }
}
