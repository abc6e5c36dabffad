//! Source partitions that meet in one partition of the target. They are restored one after the other, so the target has the
//! records of the first one, then those of the next one. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use archive::TopicIdPartition;

use super::stand::Stand;
use crate::restore::dealer::Way;
use crate::restore::plan::RestorePlan;
use crate::restore::tails::Tail;

/// Those of one place, in the order in which they are restored.
#[derive(Debug)]
pub(super) struct Chain {
    /// Those of which it is not known how much the target has; the first one stands next.
    keys: VecDeque<TopicIdPartition>,
    /// Records of the target that belong to these.
    left: u64,
}

impl Chain {
    /// The partition to look at, which stands at this place.
    pub(super) fn next(&self, place: usize) -> Option<(TopicIdPartition, Stand)> {
        let key = self.keys.front().filter(|_| self.left > 0)?;
        Some((*key, Stand::new(place, self.left)))
    }

    /// The first one was looked at: where it is to be read from. The next one is begun only when all of it is there.
    pub(super) fn stands(&mut self, stand: &Stand) -> i64 {
        if stand.is_through() {
            self.keys.pop_front();
            self.left = stand.left;
            return i64::MAX;
        }
        self.keys.clear();
        stand.from
    }
}

/// The chains of all places that have records, by place.
pub(super) fn chains(
    plan: &RestorePlan,
    ways: &HashMap<TopicIdPartition, Way>,
    tails: &[Tail],
) -> BTreeMap<usize, Chain> {
    let mut out: BTreeMap<usize, Chain> = BTreeMap::new();
    for topic in plan.topics.iter().filter(|topic| topic.route.is_ordered(&topic.partitions)) {
        for partition in &topic.partitions {
            let key = (topic.source_id, *partition);
            let Some(Way::One(place)) = ways.get(&key) else { continue };
            let Some(tail) = tails.get(*place).filter(|tail| tail.done > 0) else { continue };
            let chain = out.entry(*place).or_insert_with(|| Chain { keys: VecDeque::new(), left: tail.done });
            chain.keys.push_back(key);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_next_partition_is_begun_when_the_one_before_is_there() {
        let key = |partition| (Uuid::nil(), partition);
        let mut chain = Chain { keys: [key(0), key(1), key(2)].into(), left: 7 };
        let at = |chain: &Chain| chain.next(3).map(|(key, stand)| (key.1, stand.place, stand.left));
        assert_eq!(at(&chain), Some((0, 3, 7)));
        // Nothing of it is in the archive.
        let mut stand = chain.next(3).unwrap().1;
        stand.end_walk();
        assert_eq!((chain.stands(&stand), at(&chain)), (i64::MAX, Some((1, 3, 7))));
        // Where a partition is not there whole, the others behind it are not looked at.
        let stand = chain.next(3).unwrap().1;
        assert_eq!((chain.stands(&stand), at(&chain)), (i64::MIN, None));
        let mut chain = Chain { keys: [key(0), key(1)].into(), left: 0 };
        assert_eq!(at(&chain), None);
        let mut stand = Stand::new(3, 0);
        stand.end_walk();
        assert_eq!((chain.stands(&stand), at(&chain)), (i64::MAX, None));
    }
}
