//! Where a restore puts the consumer groups that it takes along, without doing anything: from its state where it has begun, else
//! from its plan, as if nobody wrote to the target until then.
//!
//! It never writes, neither to the target nor to the store.

use archive::{Digest, Point, RestoreJournal};
use contract::{Code, Failure, GroupLine, RestoreSpec, RunSpec};

use super::identity::Identity;
use super::plan::{Proposal, RestorePlan};
use super::state::{Epoch, RestoreState};
use super::{Sides, groups, load_point, prepare, start, state_store};
use crate::connect;
use crate::context::Context;
use crate::emit::Emitter;

/// No producer: nothing is written.
const NOBODY: (i64, i16) = (-1, -1);

/// Where groups go.
pub(crate) struct Positions {
    /// Name of the recovery point that is restored.
    pub(crate) point: String,
    /// Name of the recovery point whose committed offsets are taken.
    pub(crate) taken_from: Option<String>,
    /// The groups; none where the restore would not start.
    pub(crate) groups: Vec<GroupLine>,
    /// Why the restore, or its commit, would not start.
    pub(crate) refusals: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
}

/// Computes where the groups go.
///
/// # Errors
/// When the specification takes no groups along, or cluster or archive cannot be read.
pub(crate) async fn positions(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &RestoreSpec,
) -> Result<Positions, Failure> {
    let Some(of_groups) = &part.groups else {
        let text = "restore.groups is absent: this restore takes no consumer groups along; add it, {} for all groups";
        return Err(Failure::new(Code::SpecInvalid, text));
    };
    let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    let identity = Identity::new(spec, part, &cluster)?;
    let states = state_store(context, spec, part, &store).await?;
    let opened = RestoreJournal::open(&states, identity.cluster(), identity.hex(), context.nonce()).await?;
    let (journal, saved): (_, Option<RestoreState>) = opened;
    let sides = Sides { context, emitter, spec, part, cluster, store, states, identity };
    let saved = saved.filter(|state| state.ended.is_none() || state.started());
    let (point, proposal, state) = if let Some(state) = saved {
        let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?.with_groups_of(part);
        let point = load_point(&sides.store, part, Some(&state)).await?;
        sides.asked().fits_archive(&plan, &state, &point).await?;
        let mut proposal = Proposal::new(plan);
        groups::propose(&sides.cluster, &point, part, &mut proposal).await?;
        (point, proposal, Some(state))
    } else {
        let point = load_point(&sides.store, part, None).await?;
        let proposal = sides.propose(&point).await?;
        (point, proposal, None)
    };
    let Proposal { plan, refusals, warnings, positions_point: taken_from, .. } = proposal;
    let mut out = Positions { point: plan.point.clone(), taken_from, groups: Vec::new(), refusals, warnings };
    let state = match state {
        Some(state) if state.started() => Some(state),
        _ => sides.as_if_begun(&plan, &point),
    };
    // Where a topic is refused, no record of it has a place.
    if let Some(state) = state {
        let restore = sides.restore(point, journal, state).await?;
        out.groups = groups::preview::lines(&restore, &plan, of_groups).await?;
    }
    Ok(out)
}

impl Sides<'_> {
    /// The state of a restore that begins now; `None` when a topic of it is refused.
    fn as_if_begun(&self, plan: &RestorePlan, point: &Point) -> Option<RestoreState> {
        let (of, name) = (Digest::of(&plan.bytes_to_save()), (self.spec.namespace.as_str(), self.spec.name.as_str()));
        foreseen(RestoreState::new(name, self.context.nonce(), point, of), plan)
    }

    /// Adds to a plan where its groups go. Where a topic is refused, no record of it has a place.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub(super) async fn place_groups(&self, point: Point, proposal: &mut Proposal) -> Result<(), Failure> {
        let Some(of_groups) = &self.part.groups else { return Ok(()) };
        if let Some(state) = self.as_if_begun(&proposal.plan, &point) {
            let (cluster, name) = (self.identity.cluster(), self.identity.hex());
            let opened = RestoreJournal::open(&self.states, cluster, name, self.context.nonce()).await?;
            let (journal, _): (_, Option<RestoreState>) = opened;
            let restore = self.restore(point, journal, state).await?;
            proposal.positions = groups::preview::lines(&restore, &proposal.plan, of_groups).await?;
        }
        groups::add_places(proposal);
        Ok(())
    }
}

/// The state of a restore that begins now; `None` when a topic of it is refused.
fn foreseen(base: RestoreState, plan: &RestorePlan) -> Option<RestoreState> {
    let partitions = start::foreseen(plan)?;
    let (producer_id, number) = NOBODY;
    let starts: Vec<i64> = partitions.iter().map(|partition| partition.start).collect();
    let epoch = Epoch { producer_id, number, bases: vec![0; starts.len()], starts };
    Some(RestoreState { topics: prepare::intent(plan), partitions, epochs: vec![epoch], ..base })
}
