//! A restore run: plan, prepare the target, produce exactly once, put configs back.
//!
//! ```text
//! archive stream -> transform (copy or re-encode) -> lanes (one batch per partition in flight) -> target
//! ```
//! Every ambiguous answer and every restart take one path: fence the old epoch, read how far the target is, go on.

mod identity;
mod state;

mod configs;
mod fit;
mod route;
mod select;

mod cuts;
mod estimate;

mod plan;

mod cut_reader;

mod facts;
mod prepare;
mod tails;

mod epoch;
mod transform;

mod lane;

mod dealer;
mod passes;

mod attempt;
mod finish;

mod lookup;

use archive::{Point, RestoreJournal, Store, find};
use contract::{Code, CrashPoint, EventKind, Failure, Report, RestoreSpec, RunSpec, crash};
use wire::Cluster;

use crate::connect;
use crate::context::Context;
use crate::emit::Emitter;
use crate::limiter::Limiter;
use identity::Identity;
pub(crate) use lookup::lookup;
pub use plan::RestorePlan;
use state::RestoreState;

/// What every step of a restore uses.
pub(crate) struct Restore<'a> {
    pub(crate) context: &'a Context,
    pub(crate) emitter: &'a Emitter,
    pub(crate) spec: &'a RestoreSpec,
    pub(crate) cluster: std::sync::Arc<Cluster>,
    pub(crate) point: Point,
    pub(crate) identity: Identity,
    pub(crate) journal: RestoreJournal,
    pub(crate) state: RestoreState,
    pub(crate) limiter: Limiter,
}

impl Restore<'_> {
    /// Saves the state; a second attempt that saved first wins.
    pub(crate) async fn save(&mut self) -> Result<(), Failure> {
        let entry = self.journal.save(&self.state).await?;
        self.emitter.emit(EventKind::Committed { entry, sealed: false, point: None });
        Ok(())
    }
}

/// Runs a restore and fills `report`.
///
/// # Errors
/// The failure that ended it. Running again goes on where it stopped.
pub async fn run(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &RestoreSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let cluster = connect::cluster(context, &spec.kafka, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    let identity = Identity::new(spec, part, &cluster)?;
    if report.run.is_empty() {
        report.run = format!("{}-{}", spec.name, identity.short());
    }
    if part.dry_run {
        let plan = make_plan(context, &cluster, &store, part, None).await?;
        report.outcome = "DryRun".into();
        report.point = Some(plan.point.clone());
        plan.fill(report);
        return Ok(());
    }
    let states = state_store(context, spec, part, &store).await?;
    let opened = RestoreJournal::open(&states, identity.cluster(), identity.hex(), context.nonce()).await?;
    let (journal, saved): (_, Option<RestoreState>) = opened;
    let resumed = saved.is_some();
    report.changed = resumed;
    let point = load_point(&store, part, saved.as_ref()).await?;
    report.set = Some(point.set().to_owned());
    report.point = Some(point.seal.point.clone());
    if let Some(done) = saved.as_ref().filter(|state| state.finished) {
        report.outcome = "AlreadyDone".into();
        report.topics = done.topics.len() as u64;
        report.partitions = done.partitions.len() as u64;
        return Ok(());
    }
    emitter.emit(EventKind::Started { run: report.run.clone(), name: point.seal.point.clone(), resumed });
    let plan = plan::make(context, &cluster, &point, part, saved.as_ref()).await?;
    plan.fill(report);
    emitter.emit(EventKind::Planned { topics: report.topics, partitions: report.partitions, records: plan.records() });
    if let Some(failure) = part.plan_fingerprint.as_deref().filter(|_| !resumed).and_then(|seen| changed(&plan, seen)) {
        return Err(failure);
    }
    if let Some(refusal) = plan.refusal() {
        return Err(refusal);
    }
    // Damage that shows without reading everything is found before anything is written.
    report.segments = point.check_segments(&plan.wanted()).await?;
    let state = saved.unwrap_or_else(|| RestoreState::new(&point));
    let limiter = Limiter::new(part.rate_limit);
    let mut restore = Restore { context, emitter, spec: part, cluster, point, identity, journal, state, limiter };
    for warning in &plan.warnings {
        emitter.warn(warning.clone());
    }
    report.changed = true;
    prepare::prepare(&mut restore, &plan).await?;
    let moved = attempt::produce(&mut restore, &plan, report).await;
    moved?;
    crash::at(CrashPoint::AllProduced);
    finish::finish(&mut restore, &plan, report).await
}

/// Why the plan is not the one that somebody looked at.
fn changed(plan: &RestorePlan, seen: &str) -> Option<Failure> {
    let now = plan.fingerprint();
    (now != seen).then(|| {
        let text = format!(
            "restore.planFingerprint is {seen}, and the plan is {now} now: what is archived, the target, or the \
             specification changed since. Nothing was written. It is now: {}",
            plan.text().lines().map(str::trim).collect::<Vec<_>>().join("; ")
        );
        Failure::new(Code::PlanChanged, text)
    })
}

/// Where the state of a restore is: beside the archive, unless the specification says otherwise.
pub(crate) async fn state_store(
    context: &Context,
    spec: &RunSpec,
    part: &RestoreSpec,
    archive: &Store,
) -> Result<Store, Failure> {
    match &part.state_storage {
        None => Ok(archive.clone()),
        Some(storage) => connect::open(context, storage, &spec.circuit_breaker).await,
    }
}

/// The plan of a restore without doing it.
///
/// # Errors
/// When cluster or archive cannot be read; what the plan refuses stands in it.
pub async fn plan_only(context: &Context, spec: &RunSpec, part: &RestoreSpec) -> Result<RestorePlan, Failure> {
    let cluster = connect::cluster(context, &spec.kafka, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    make_plan(context, &cluster, &store, part, None).await
}

/// A plan to look at, with a guess of its time.
async fn make_plan(
    context: &Context,
    cluster: &Cluster,
    store: &Store,
    part: &RestoreSpec,
    saved: Option<&RestoreState>,
) -> Result<RestorePlan, Failure> {
    let point = load_point(store, part, saved).await?;
    let mut plan = plan::make(context, cluster, &point, part, saved).await?;
    let work = (plan.bytes(), plan.records());
    plan.estimate = estimate::estimate(&point, plan.wanted(), work, part.rate_limit).await?;
    Ok(plan)
}

/// The recovery point is resolved once; later attempts use the saved one.
pub(crate) async fn load_point(
    store: &Store,
    part: &RestoreSpec,
    saved: Option<&RestoreState>,
) -> Result<Point, Failure> {
    let point = match saved {
        Some(state) => Point::load(store, &archive::Layout::new(&state.set), state.entry).await?,
        None => Point::open(store, &find(store, &part.from).await?).await?,
    };
    point.check_sums().await?;
    if saved.is_some_and(|state| state.digest != point.digest) {
        let text = format!("recovery point {} is not the one that this restore began with", point.seal.point);
        return Err(Failure::new(Code::StateMismatch, text));
    }
    Ok(point)
}
