//! In which order the archive is read, and what of it is left to do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use archive::Wanted;
use batch::Window;
use contract::{Failure, OnUnreadable};
use uuid::Uuid;

use super::Restore;
use super::dealer::Way;
use super::plan::{RestorePlan, TopicPlan};
use super::tails::Tail;

/// Readings of the archive, one after the other: first everything whose partitions stay apart, then, source partition
/// by source partition, the topics whose partitions meet.
pub(crate) fn passes(plan: &RestorePlan, left: Wanted) -> Vec<Wanted> {
    let only = |from: HashMap<(Uuid, i32), i64>| Wanted { from, ..left.clone() };
    let (ordered, apart): (Vec<&TopicPlan>, Vec<_>) =
        plan.topics.iter().partition(|topic| topic.route.is_ordered(&topic.partitions));
    let apart: HashSet<_> = apart.iter().map(|topic| topic.source_id).collect();
    let first = left.from.iter().filter(|((topic, _), _)| apart.contains(topic));
    let mut out = vec![only(first.map(|(key, from)| (*key, *from)).collect())];
    for topic in ordered {
        let one = |partition: &i32| only(HashMap::from([((topic.source_id, *partition), i64::MIN)]));
        out.extend(topic.partitions.iter().map(one));
    }
    out
}

/// Where each source partition goes.
pub(crate) fn ways(restore: &Restore<'_>, plan: &RestorePlan) -> HashMap<(Uuid, i32), Way> {
    let mut out = HashMap::new();
    for topic in &plan.topics {
        let is_mine = |p: &super::state::TargetPartition| {
            restore.state.topics.get(p.topic).is_some_and(|state| state.source == topic.source_id)
        };
        let places = restore.state.partitions.iter().enumerate().filter(|(_, p)| is_mine(p));
        let places: Arc<HashMap<i32, usize>> = Arc::new(places.map(|(place, p)| (p.partition, place)).collect());
        for partition in &topic.partitions {
            let way = match topic.route.single(*partition) {
                Some(target) => places.get(&target).map(|place| Way::One(*place)),
                None => Some(Way::Many(topic.route.clone(), Arc::clone(&places))),
            };
            if let Some(way) = way {
                out.insert((topic.source_id, *partition), way);
            }
        }
    }
    out
}

/// The partitions from where they stand. Whole rows that are done are not read again; the rest is skipped by
/// count, because a time window hides how many records a row gives, and partitions that meet hide whose they were.
pub(crate) async fn what_is_left(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    ways: &HashMap<(Uuid, i32), Way>,
    tails: &[Tail],
) -> Result<(Wanted, HashMap<usize, u64>), Failure> {
    let mut wanted = plan.wanted();
    let mut skip: HashMap<usize, u64> = tails.iter().enumerate().map(|(place, tail)| (place, tail.done)).collect();
    // Rows say how many records they hold, not how many of them could be read: batches that were left out count again
    // when everything is read again.
    if plan.window != Window::ALL || plan.on_unreadable == OnUnreadable::Skip {
        return Ok((wanted, skip));
    }
    let apart = plan.topics.iter().filter(|topic| !topic.route.is_ordered(&topic.partitions));
    let apart: HashSet<_> = apart.map(|topic| topic.source_id).collect();
    let mut closed: HashSet<usize> = HashSet::new();
    let only: HashSet<_> = wanted.from.keys().filter(|(topic, _)| apart.contains(topic)).copied().collect();
    let mut take = |topic: Uuid, row: &archive::SegmentRow| {
        let Some(Way::One(place)) = ways.get(&(topic, row.partition)) else { return };
        let Some(left) = skip.get_mut(place).filter(|_| !closed.contains(place)) else { return };
        let replaced = row.next > wanted.timelines.end_of(topic, row.partition, row.timeline);
        if *left >= row.committed && !replaced {
            *left -= row.committed;
            wanted.from.insert((topic, row.partition), row.next);
        } else {
            closed.insert(*place);
        }
    };
    restore.point.each_row(Some(&only), &mut take).await?;
    Ok((wanted, skip))
}
