//! Where a source offset stands in the target of a restore.

use std::collections::{BTreeMap, BTreeSet};

use archive::RestoreJournal;
use contract::{Code, Failure, OffsetFound, RestoreSpec, RunSpec};

use super::identity::Identity;
use super::plan::RestorePlan;
use super::standing::standings;
use super::state::RestoreState;
use crate::connect;
use crate::context::Context;

/// A source offset and its place in the target.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Landing {
    pub(crate) source: i64,
    pub(crate) target: i64,
    pub(crate) found: OffsetFound,
}

/// Looks up source offsets of one partition. An offset without a record leads to the next restored record; one
/// behind the last leads to the end.
///
/// # Errors
/// When the restore has not produced anything, or does not restore that partition.
pub(crate) async fn lookup(
    context: &Context,
    spec: &RunSpec,
    part: &RestoreSpec,
    topic: &str,
    partition: i32,
    offsets: &[i64],
) -> Result<Vec<Landing>, Failure> {
    let cluster = connect::cluster(context, spec, &connect::restore_needs(part)).await?;
    let store = connect::store(context, spec).await?;
    let identity = Identity::new(spec, part, &cluster)?;
    let states = super::state_store(context, spec, part, &store).await?;
    let opened = RestoreJournal::open(&states, identity.cluster(), identity.hex(), context.nonce()).await?;
    let (journal, state): (_, Option<RestoreState>) = opened;
    let state = state.filter(RestoreState::started);
    let state = state.ok_or_else(|| {
        Failure::new(Code::NoSuchPoint, format!("restore {} has not begun in this cluster", spec.name))
    })?;
    let plan = RestorePlan::read(&journal.plan(&state.plan).await?)?;
    let point = super::load_point(&store, part, Some(&state)).await?;
    let missing =
        || Failure::new(Code::UnknownTopic, format!("restore {} does not restore {topic}/{partition}", spec.name));
    let planned = plan.topics.iter().find(|planned| planned.source == topic).ok_or_else(missing)?;
    let target = planned.route.single(partition).ok_or_else(|| {
        let text = format!("{topic} is repartitioned: its source offsets have no single place in the target");
        Failure::new(Code::TargetMismatch, text)
    })?;
    if !planned.partitions.contains(&partition) {
        return Err(missing());
    }
    let mine = |p: &super::state::TargetPartition| {
        p.partition == target && state.topics.get(p.topic).is_some_and(|t| t.source == planned.source_id)
    };
    let place = state.partitions.iter().position(mine).ok_or_else(missing)?;
    // Source partitions that go to the same target come one after the other.
    let meets = |earlier: &&i32| **earlier < partition && planned.route.single(**earlier) == Some(target);
    let earlier: Vec<_> = planned.partitions.iter().filter(meets).map(|p| (planned.source_id, *p)).collect();
    let mut asked: BTreeMap<_, BTreeSet<i64>> = earlier.iter().map(|key| (*key, BTreeSet::new())).collect();
    let mine = (planned.source_id, partition);
    asked.insert(mine, offsets.iter().copied().collect());
    let found = standings(&point, &plan, &asked, state.left_out > 0).await?;
    let before: u64 = earlier.iter().filter_map(|key| found.get(key)).map(|standings| standings.total).sum();
    let first =
        planned.sources.iter().find(|source| source.partition == partition).map_or(i64::MIN, |range| range.first);
    let ends_in_time = plan.ends_at().is_some();
    let mut out = Vec::new();
    for source in offsets {
        let standing = found.get(&mine).and_then(|standings| standings.at.get(source));
        let found = standing.and_then(|standing| {
            let target = state.target_offset(place, before + standing.before)?;
            Some(Landing { source: *source, target, found: standing.found(*source, first, ends_in_time) })
        });
        out.push(found.ok_or_else(|| Failure::new(Code::StateMismatch, "the state of the restore has no epoch"))?);
    }
    Ok(out)
}
