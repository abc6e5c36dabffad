//! Where a source offset stands in the target of a restore: computed for the offsets asked, from the counts in the
//! index and the blocks around them.

use std::collections::{HashMap, HashSet};

use archive::{RestoreJournal, Wanted};
use batch::{Decompressor, RecordPlace, Window, places};
use contract::{Code, Failure, RestoreSpec, RunSpec};

use super::identity::Identity;
use super::plan::RestorePlan;
use super::state::RestoreState;
use crate::connect;
use crate::context::Context;

/// A source offset and its place in the target.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Found {
    pub(crate) source: i64,
    pub(crate) target: i64,
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
) -> Result<Vec<Found>, Failure> {
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
    let mut before = 0;
    for earlier in planned.partitions.iter().filter(meets) {
        before += restored_before(&point, &plan, (planned.source_id, *earlier), i64::MAX).await?;
    }
    let mut out = Vec::new();
    for source in offsets {
        let count = before + restored_before(&point, &plan, (planned.source_id, partition), *source).await?;
        let target = state.target_offset(place, count);
        let target =
            target.ok_or_else(|| Failure::new(Code::StateMismatch, "the state of the restore has no epoch"))?;
        out.push(Found { source: *source, target });
    }
    Ok(out)
}

/// How many records before `offset` a restore puts into the target.
async fn restored_before(
    point: &archive::Point,
    plan: &RestorePlan,
    (topic, partition): (uuid::Uuid, i32),
    offset: i64,
) -> Result<u64, Failure> {
    let (window, timelines) = (plan.window, plan.timelines());
    let (mut count, mut from) = (0, i64::MIN);
    let mut closed = false;
    let mut take = |_: uuid::Uuid, row: &archive::SegmentRow| {
        // Counts of whole rows are exact only when no window cuts into them.
        let replaced = row.next > timelines.end_of(topic, partition, row.timeline);
        closed |= row.next > offset || replaced || window != Window::ALL;
        if !closed {
            count += row.committed;
            from = row.next;
        }
    };
    point.each_row(Some(&HashSet::from([(topic, partition)])), &mut take).await?;
    let wanted = Wanted::new(HashMap::from([((topic, partition), from)]), timelines, window);
    let mut stream = point.stream(wanted).await?;
    let mut decompressor = Decompressor::default();
    while let Some(share) = stream.next().await? {
        for batch in share.batches.iter().filter(|batch| batch.header.last_offset() >= from) {
            if batch.header.base_offset >= offset {
                return Ok(count);
            }
            let damaged = |error: batch::BatchError| Failure::new(Code::ArchiveDamaged, error.to_string());
            let range = share.from..offset.min(share.until);
            let counts = |place: RecordPlace| window.contains(place.timestamp) && range.contains(&place.offset);
            places(batch, &mut decompressor, |place| count += u64::from(counts(place))).map_err(damaged)?;
        }
    }
    Ok(count)
}
