//! In which order the archive is read, and where its partitions go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use archive::Wanted;
use uuid::Uuid;

use super::Restore;
use super::dealer::Way;
use super::plan::{RestorePlan, TopicPlan};

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
        let one = |partition: &i32| {
            let key = (topic.source_id, *partition);
            // A partition that is there whole has nothing to read.
            let from = left.from.get(&key).copied().filter(|from| *from < i64::MAX)?;
            Some(only(HashMap::from([(key, from)])))
        };
        out.extend(topic.partitions.iter().filter_map(one));
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
