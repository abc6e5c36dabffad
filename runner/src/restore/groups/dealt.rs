//! Where offsets of the source stand among the records that go to each target partition, where keys or offsets decide
//! that. The index does not know it: the records are read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{Point, Wanted};
use batch::{Decompressor, Selected};
use contract::{Code, Failure, OnUnreadable};

use crate::restore::each_record::each_record;
use crate::restore::plan::{RestorePlan, TopicPlan};
use crate::restore::standing::{Standing, Standings};

/// Standings by target and source partition.
pub(crate) type Dealt = BTreeMap<(i32, i32), Standings>;

/// Looks up the offsets of all source partitions of one topic.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(crate) async fn dealt(
    point: &Point,
    plan: &RestorePlan,
    topic: &TopicPlan,
    asked: &BTreeMap<i32, BTreeSet<i64>>,
) -> Result<Dealt, Failure> {
    let from: HashMap<_, _> =
        topic.partitions.iter().map(|partition| ((topic.source_id, *partition), i64::MIN)).collect();
    let mut stream = point.stream(Wanted::new(from, plan.timelines(), plan.window)).await?;
    let mut counts = Counts::new(topic, asked);
    let (windows, mut decompressor) = (plan.windows(), Decompressor::default());
    while let Some(share) = stream.next().await? {
        let (window, range) = (windows.of((share.topic, share.partition)), share.from..share.until);
        for batch in &share.batches {
            let mut found = Vec::new();
            let takes = |offset| batch.header.takes(offset, &range);
            let mut take = |record: &Selected<'_>| {
                if takes(record.offset) {
                    let target = topic.route.of_record(share.partition, record.offset, record.record.key);
                    found.push((record.offset, target));
                }
            };
            match each_record(batch, window, &mut decompressor, &mut take) {
                Ok(()) => found.into_iter().for_each(|(offset, target)| counts.pass(share.partition, offset, target)),
                // None of its records was restored.
                Err(_) if plan.on_unreadable == OnUnreadable::Skip => {}
                Err(error) => return Err(Failure::new(Code::ArchiveDamaged, error.to_string())),
            }
        }
    }
    Ok(counts.ended())
}

/// Counts by target and source partition, as records come.
struct Counts<'a> {
    targets: &'a [i32],
    asked: &'a BTreeMap<i32, BTreeSet<i64>>,
    /// Offsets of each source partition that no record reached so far.
    left: BTreeMap<i32, Vec<i64>>,
    found: Dealt,
}

impl<'a> Counts<'a> {
    fn new(topic: &'a TopicPlan, asked: &'a BTreeMap<i32, BTreeSet<i64>>) -> Self {
        let places =
            topic.targets.iter().flat_map(|target| topic.partitions.iter().map(move |source| (*target, *source)));
        let found = places.map(|place| (place, Standings::default())).collect();
        // The next one stands last.
        let left = asked.iter().map(|(source, offsets)| (*source, offsets.iter().rev().copied().collect())).collect();
        Self { targets: &topic.targets, asked, left, found }
    }

    fn pass(&mut self, source: i32, offset: i64, target: i32) {
        while let Some(next) =
            self.left.get(&source).and_then(|left| left.last().copied()).filter(|next| *next <= offset)
        {
            self.stand(source, next);
        }
        if let Some(standings) = self.found.get_mut(&(target, source)) {
            standings.total += 1;
        }
    }

    /// The offset stands before what comes from now on.
    fn stand(&mut self, source: i32, offset: i64) {
        for target in self.targets {
            if let Some(standings) = self.found.get_mut(&(*target, source)) {
                let standing = Standing { before: standings.total, is_there: false, has_more: true };
                standings.at.insert(offset, standing);
            }
        }
        if let Some(left) = self.left.get_mut(&source) {
            left.pop();
        }
    }

    fn ended(mut self) -> Dealt {
        for source in self.asked.keys() {
            while let Some(next) = self.left.get(source).and_then(|left| left.last().copied()) {
                self.stand(*source, next);
            }
        }
        for standings in self.found.values_mut() {
            let total = standings.total;
            standings.at.values_mut().for_each(|standing| standing.has_more = standing.before < total);
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::TargetAction;
    use crate::restore::plan::tests::topic;

    #[test]
    fn each_target_counts_what_goes_there() {
        let topic = topic("t", TargetAction::Create, &[0, 1]);
        let asked = BTreeMap::from([(0, BTreeSet::from([2, 9])), (1, BTreeSet::from([0]))]);
        let mut counts = Counts::new(&topic, &asked);
        for (offset, target) in [(0, 0), (1, 1), (2, 0), (3, 1), (4, 0)] {
            counts.pass(0, offset, target);
        }
        let found = counts.ended();
        let before = |target, source, offset| {
            let standing = found[&(target, source)].at[&offset];
            (standing.before, standing.has_more)
        };
        assert_eq!((before(0, 0, 2), before(1, 0, 2)), ((1, true), (1, true)));
        assert_eq!((before(0, 0, 9), before(1, 0, 9)), ((3, false), (2, false)));
        assert_eq!((before(0, 1, 0), found[&(0, 0)].total, found[&(1, 1)].total), ((0, false), 3, 0));
    }
}
