//! A restore: one plan, saved once and carried out to the letter; produced exactly once; configs put back.
//!
//! ```text
//! plan -> saved -> claims -> prepare -> last look -> epochs: archive stream -> transform -> lanes -> target
//!                                                      |
//!                                    account at the end -> configs back -> completed
//! ```
//! Every ambiguous answer and every restart take one path: fence the old epoch, read how far the target is, go on.
//! ARCHITECTURE.md, "A restore", tells it on one page.

mod identity;
mod state;

mod configs;
mod fit;
mod part;
mod route;
mod select;
mod windows;

mod cuts;
mod estimate;

mod facts;

mod plan;

mod cut_reader;

mod claims;
mod holds;

mod prepare;
mod trust;

mod point;

pub mod documents;

mod lease;
mod named;
mod tails;

mod start;

mod guard;

mod epoch;
mod transform;

mod lane;

mod dealer;
mod passes;

mod each_record;
mod left;
mod preflight;

mod feed;

mod ends;
mod watch;

mod attempt;
mod ending;
mod kept;

mod standing;

mod groups;

mod finish;

mod done;
pub(crate) mod finished;
mod lookup;
mod positions;
mod release;
mod undoing;

use std::time::Duration;

use archive::{Point, RestoreJournal, SavedOffsets, Store};
use contract::{Code, CrashPoint, EventKind, Failure, HeaderPreflight, Report, RestoreSpec, RunSpec, crash};
use wire::Cluster;

use self::claims::{Claims, Thing};
use self::done::Next;
use self::identity::Identity;
pub(crate) use self::lookup::{Landing, lookup};
pub use self::plan::{Proposal, RestorePlan, TargetAction};
pub(crate) use self::point::load_point;
pub(crate) use self::positions::{Positions, positions};
pub(crate) use self::release::release;
use self::state::{Ended, RestoreState};
use self::trust::Asked;
use crate::connect;
use crate::context::Context;
use crate::emit::Emitter;
use crate::limiter::Limiter;

/// What every step of a restore uses.
pub(crate) struct Restore<'a> {
    pub(crate) context: &'a Context,
    pub(crate) emitter: &'a Emitter,
    pub(crate) spec: &'a RestoreSpec,
    pub(crate) cluster: std::sync::Arc<Cluster>,
    pub(crate) point: Point,
    pub(crate) identity: Identity,
    pub(crate) states: Store,
    /// Where committed offsets are saved before they are changed.
    pub(crate) saved_in: Store,
    pub(crate) journal: RestoreJournal,
    pub(crate) state: RestoreState,
    pub(crate) limiter: Limiter,
    /// The longest that one epoch may last.
    pub(crate) longest_epoch: Duration,
    /// Topics have their final configs: only the committed offsets of groups are left to do.
    pub(crate) configs_are_final: bool,
}

impl Restore<'_> {
    /// Saves the state; a second attempt that saved first wins.
    pub(crate) async fn save(&mut self) -> Result<(), Failure> {
        let entry = self.journal.save(&self.state).await?;
        self.emitter.emit(EventKind::Committed { entry, sealed: false, point: None, made: None });
        Ok(())
    }

    /// Saves the state where nothing was moved.
    pub(crate) async fn note(&mut self) -> Result<(), Failure> {
        self.journal.save(&self.state).await?;
        Ok(())
    }

    /// The committed offsets of this cluster that were saved.
    fn saved_offsets(&self) -> SavedOffsets {
        SavedOffsets::new(&self.saved_in, self.identity.cluster())
    }

    /// Claims the name and every target topic.
    async fn claim(&self, plan: &RestorePlan) -> Result<(), Failure> {
        let nonce = self.context.nonce();
        let (cluster, restore) = (self.identity.cluster(), self.identity.hex());
        let claims = Claims { states: &self.states, cluster, restore, nonce: &nonce };
        claims.take(&things(&self.state.namespace, &self.state.name, plan), &self.state.life).await
    }
}

/// What a restore claims.
fn things(namespace: &str, name: &str, plan: &RestorePlan) -> Vec<Thing> {
    let topic = |topic: &plan::TopicPlan| Thing::Topic(topic.target.clone(), topic.target_id);
    let mut out = vec![Thing::Name(namespace.to_owned(), name.to_owned())];
    out.extend(plan.topics.iter().map(topic));
    out
}

/// Both sides of a run, and where its state is.
struct Sides<'a> {
    context: &'a Context,
    emitter: &'a Emitter,
    spec: &'a RunSpec,
    part: &'a RestoreSpec,
    cluster: std::sync::Arc<Cluster>,
    store: Store,
    states: Store,
    identity: Identity,
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
    let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    let identity = Identity::new(spec, part, &cluster)?;
    if report.run.is_empty() {
        report.run = format!("{}-{}", spec.name, identity.short());
    }
    let states = state_store(context, spec, part, &store).await?;
    let sides = Sides { context, emitter, spec, part, cluster, store, states, identity };
    if part.dry_run {
        let (point, mut proposal) = sides.proposal_to_look_at().await?;
        match sides.preflight(&point, &proposal).await {
            Ok(warning) => proposal.warnings.extend(warning),
            Err(failure) if failure.code == Code::ArchiveDamaged => proposal.refusals.push(failure),
            Err(failure) => return Err(failure),
        }
        Box::pin(sides.place_groups(point, &mut proposal)).await?;
        report.outcome = "DryRun".into();
        report.point = Some(proposal.plan.point.clone());
        proposal.fill(report)?;
        return Ok(());
    }
    let opened = RestoreJournal::open(&sides.states, sides.identity.cluster(), sides.identity.hex(), context.nonce());
    let (journal, saved): (_, Option<RestoreState>) = opened.await?;
    if let Some(why) = &part.undo_offsets
        && saved.as_ref().is_none_or(|state| !state.groups.is_complete)
    {
        return Err(Box::pin(sides.undo_offsets(journal, saved, why, report)).await);
    }
    let going_on = match saved {
        Some(state) if state.ended.is_none() => Some(state),
        Some(state) => match sides.over(&journal, &state, report).await {
            Ok(Next::Nothing) => return Ok(()),
            Ok(Next::Anew) => None,
            Ok(Next::Groups) => return Box::pin(sides.only_groups(journal, state, report)).await,
            Err(failure) => return Err(Box::pin(sides.undo_after(journal, state, failure, report)).await),
        },
        None => None,
    };
    let resumed = going_on.is_some();
    let begun = match going_on {
        Some(state) => sides.resume(journal, state, report).await?,
        None => Box::pin(sides.begin_until_kept(journal, report)).await?,
    };
    let (mut restore, plan) = begun;
    report.changed = true;
    let carried_out = Box::pin(carry_out(&mut restore, &plan, resumed, report)).await;
    groups::count_hours(&mut restore, report).await;
    match carried_out {
        Ok(()) => Ok(()),
        Err(failure) => Err(ending::after(&mut restore, failure).await),
    }
}

/// Carries the plan out, from wherever the state stands.
async fn carry_out(
    restore: &mut Restore<'_>,
    plan: &RestorePlan,
    resumed: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    if restore.state.produced.is_none() {
        if restore.state.started() {
            watch::hold_again(restore).await?;
        } else {
            restore.claim(plan).await?;
            crash::at(CrashPoint::TargetsClaimed);
            groups::keep_offsets(restore, plan).await?;
            prepare::prepare(restore, plan, resumed).await?;
        }
        let ends = attempt::produce(restore, plan, report).await?;
        restore.state.produced = Some(ends);
        restore.state.left_out = report.left_out_records;
        restore.state.bytes = report.earlier.bytes + report.bytes;
        restore.state.segments = report.segments;
        restore.save().await?;
    } else {
        report.earlier = restore.state.moved();
    }
    crash::at(CrashPoint::AllProduced);
    finish::finish(restore, plan, report).await
}

impl<'a> Sides<'a> {
    /// What becomes of a restore that ended for good in an earlier run.
    async fn over(&self, journal: &RestoreJournal, state: &RestoreState, report: &mut Report) -> Result<Next, Failure> {
        report.set = Some(state.set.clone());
        report.offsets_before.clone_from(&state.groups.before);
        report.offset_mapping.clone_from(&state.groups.mapping);
        report.positions_point.clone_from(&state.groups.point);
        let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?;
        report.point = Some(plan.point.clone());
        (report.earlier, report.segments) = (state.moved(), state.segments);
        report.left_out_records = state.left_out;
        match &state.ended {
            // A rollback that was begun ends, whatever became of the target.
            Some(Ended::Completed) if state.groups.undoing.is_some() => Ok(Next::Groups),
            Some(Ended::Completed) => {
                self.asked().fits(&plan, state)?;
                done::look(&self.cluster, &self.store, self.part, state, self.emitter, report).await
            }
            // Nothing was written: it may begin anew, with a plan of its own.
            Some(Ended::Failed(_)) if !state.started() => Ok(Next::Anew),
            Some(Ended::Failed(verdict)) => {
                let text = format!("{} (this restore ended so in an earlier run, and does not go on)", verdict.message);
                Err(Failure::new(verdict.code, text))
            }
            None => Ok(Next::Anew),
        }
    }

    /// Commits the offsets of groups after a restore that is completed.
    async fn only_groups(
        &self,
        journal: RestoreJournal,
        state: RestoreState,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?.with_groups_of(self.part);
        let point = load_point(&self.store, self.part, Some(&state)).await?;
        self.asked().fits_archive(&plan, &state, &point).await?;
        self.tell_start(&point, true, report);
        let shown = Proposal::new(plan);
        self.is_as_seen(&shown)?;
        let mut restore = self.restore(point, journal, state).await?;
        report.changed = true;
        groups::hold_offsets(&mut restore).await;
        let ended = groups::restore(&mut restore, &shown.plan, report).await;
        groups::count_hours(&mut restore, report).await;
        ended?;
        finish::completed(&restore, report);
        Ok(())
    }

    /// Makes the plan, saves it, and the state that names it.
    async fn begin(&self, journal: RestoreJournal, report: &mut Report) -> Result<(Restore<'a>, RestorePlan), Failure> {
        let point = load_point(&self.store, self.part, None).await?;
        self.tell_start(&point, false, report);
        let proposal = self.propose(&point).await?;
        proposal.fill(report)?;
        self.tell_plan(&proposal.plan, report);
        self.is_as_seen(&proposal)?;
        if let Some(refusal) = proposal.refusal() {
            return Err(refusal);
        }
        // Damage that shows without reading everything is found before anything is written.
        report.segments = point.check_segments(&proposal.plan.wanted()).await?;
        let marked = self.preflight(&point, &proposal).await?;
        for warning in proposal.warnings.iter().chain(&marked) {
            self.emitter.warn(warning.clone());
        }
        let plan = proposal.plan;
        let digest = journal.save_plan(plan.bytes_to_save()).await?;
        crash::at(CrashPoint::PlanSaved);
        let who = (self.spec.namespace.as_str(), self.spec.name.as_str());
        let mut state = RestoreState::new(who, self.context.nonce(), &point, digest);
        state.topics = prepare::intent(&plan);
        let mut restore = self.restore(point, journal, state).await?;
        restore.save().await?;
        crash::at(CrashPoint::IntentSaved);
        restore.look_again().await?;
        Ok((restore, plan))
    }

    /// Takes up the saved plan.
    async fn resume(
        &self,
        journal: RestoreJournal,
        state: RestoreState,
        report: &mut Report,
    ) -> Result<(Restore<'a>, RestorePlan), Failure> {
        report.changed = true;
        report.offsets_before.clone_from(&state.groups.before);
        let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?.with_groups_of(self.part);
        let point = load_point(&self.store, self.part, Some(&state)).await?;
        self.asked().fits_archive(&plan, &state, &point).await?;
        self.tell_start(&point, true, report);
        let shown = Proposal::new(plan);
        shown.fill(report)?;
        self.tell_plan(&shown.plan, report);
        self.is_as_seen(&shown)?;
        report.segments = point.check_segments(&shown.plan.wanted()).await?;
        self.tell_losses(&point);
        let mut restore = self.restore(point, journal, state).await?;
        restore.look_again().await?;
        groups::hold_offsets(&mut restore).await;
        Ok((restore, shown.plan))
    }

    /// Reads every record of a plan where the specification asks for that, and what is to know of them.
    async fn preflight(&self, point: &Point, proposal: &Proposal) -> Result<Option<String>, Failure> {
        match self.part.header_preflight {
            HeaderPreflight::Full => Box::pin(preflight::read_all(self.context, point, &proposal.plan)).await,
            HeaderPreflight::Auto | HeaderPreflight::Skip => Ok(None),
        }
    }

    /// What plans and states that are read back are held against.
    fn asked(&self) -> Asked<'_> {
        Asked { spec: self.spec, part: self.part, cluster: self.identity.cluster() }
    }

    /// Refuses a plan that is not the one that somebody looked at.
    fn is_as_seen(&self, proposal: &Proposal) -> Result<(), Failure> {
        let Some(seen) = &self.part.plan_fingerprint else { return Ok(()) };
        let now = proposal.plan.fingerprint();
        if now == *seen {
            return Ok(());
        }
        let text = format!(
            "restore.planFingerprint is {seen}, and the plan is {now} now: what is archived, the target, or the \
             specification changed since. This run wrote nothing. It is now: {}",
            proposal.text().lines().map(str::trim).collect::<Vec<_>>().join("; ")
        );
        Err(Failure::new(Code::PlanChanged, text))
    }

    async fn restore(
        &self,
        point: Point,
        journal: RestoreJournal,
        state: RestoreState,
    ) -> Result<Restore<'a>, Failure> {
        let longest_epoch = lease::longest_epoch(&fit::broker_configs(&self.cluster).await?);
        let saved_in = match self.part.groups.as_ref().and_then(|groups| groups.saving.storage.as_ref()) {
            Some(storage) => connect::open(self.context, storage, &self.spec.circuit_breaker).await?,
            None => self.states.clone(),
        };
        Ok(Restore {
            context: self.context,
            emitter: self.emitter,
            spec: self.part,
            cluster: std::sync::Arc::clone(&self.cluster),
            point,
            identity: self.identity.clone(),
            states: self.states.clone(),
            saved_in,
            journal,
            state,
            limiter: Limiter::new(self.part.rate_limit),
            longest_epoch,
            configs_are_final: false,
        })
    }

    fn tell_start(&self, point: &Point, resumed: bool, report: &mut Report) {
        report.set = Some(point.set().to_owned());
        report.point = Some(point.seal.point.clone());
        self.emitter.emit(EventKind::Started { run: report.run.clone(), name: point.seal.point.clone(), resumed });
    }

    /// What another tool lost is told by each attempt: any of them may be the one whose report is read.
    fn tell_losses(&self, point: &Point) {
        if point.is_of_guest() {
            point.notes().iter().for_each(|note| self.emitter.warn(note.to_string()));
        }
    }

    fn tell_plan(&self, plan: &RestorePlan, report: &Report) {
        let (topics, partitions) = (report.topics, report.partitions);
        self.emitter.emit(EventKind::Planned { topics, partitions, records: plan.records() });
    }

    /// The plan, with what others hold among its refusals.
    async fn propose(&self, point: &Point) -> Result<Proposal, Failure> {
        let mut proposal = plan::make(self.context, &self.cluster, point, self.part).await?;
        let nonce = self.context.nonce();
        let (cluster, restore) = (self.identity.cluster(), self.identity.hex());
        let claims = Claims { states: &self.states, cluster, restore, nonce: &nonce };
        let held = claims.look(&things(&self.spec.namespace, &self.spec.name, &proposal.plan)).await?;
        groups::propose(&self.cluster, point, self.part, &mut proposal).await?;
        // Who is in the way says more than what it did to the target.
        proposal.refusals.splice(0..0, held);
        Ok(proposal)
    }

    /// A plan to look at, with a guess of its time.
    async fn proposal_to_look_at(&self) -> Result<(Point, Proposal), Failure> {
        let point = load_point(&self.store, self.part, None).await?;
        let mut proposal = self.propose(&point).await?;
        let plan = &proposal.plan;
        let work = (plan.bytes(), plan.records());
        proposal.estimate = estimate::estimate(&point, plan.wanted(), work, self.part.rate_limit).await?;
        Ok((point, proposal))
    }
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
pub async fn plan_only(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &RestoreSpec,
) -> Result<Proposal, Failure> {
    let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    // A check looks at a part that differs; what the restore itself claimed is no obstacle to it.
    let identity = Identity::new(spec, spec.restore.as_ref().unwrap_or(part), &cluster)?;
    let states = state_store(context, spec, part, &store).await?;
    let sides = Sides { context, emitter, spec, part, cluster, store, states, identity };
    Ok(sides.proposal_to_look_at().await?.1)
}
