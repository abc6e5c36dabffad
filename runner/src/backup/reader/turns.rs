//! Whose turn it is to bring records, and who had none. Pure.
//!
//! Brokers fill an answer in the order of the request (KIP-74): when the first partitions have much, nothing is left for those
//! behind them. So whoever waits longest stands first, and that nothing came says something only of those that stand before all
//! that brought records.

use std::collections::{HashMap, VecDeque};

use wire::FetchedPartition;

use super::active::Active;

/// Whoever had its turn longest ago comes first.
pub(super) fn in_turn(all: &mut VecDeque<Active>) {
    all.make_contiguous().sort_by_key(|active| active.turn);
}

/// Requests name each topic once: its partitions stand side by side, at the place of the first of them.
pub(super) fn side_by_side(batch: &mut [Active]) {
    let mut places = HashMap::new();
    for active in &*batch {
        let next = places.len();
        places.entry(active.cursor.topic_id).or_insert(next);
    }
    batch.sort_by_key(|active| places.get(&active.cursor.topic_id).copied());
}

/// The first spot of a request that brought records; the largest number where none did.
pub(super) fn first_fed(parts: &[FetchedPartition]) -> usize {
    parts.iter().filter(|part| !part.records.is_empty()).map(|part| part.spot).min().unwrap_or(usize::MAX)
}

/// Whether nothing was left of the answer for this one: it has not had its turn.
pub(super) fn is_left_out(part: &FetchedPartition, first_fed: usize) -> bool {
    part.records.is_empty() && part.error == 0 && part.spot > first_fed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;
    use uuid::Uuid;
    use wire::Topic;

    use super::*;
    use crate::backup::source::Cursor;

    fn active(topic: u128, partition: i32) -> Active {
        let id = Uuid::from_u128(topic);
        let topic = Topic { name: "t".into(), id, wire_id: id, internal: false, partitions: Vec::new(), error: 0 };
        Active::new(Cursor::unplanned(&topic, partition))
    }

    fn part(spot: usize, bytes: usize) -> FetchedPartition {
        FetchedPartition {
            spot,
            error: 0,
            high_watermark: 9,
            last_stable_offset: 9,
            log_start_offset: 0,
            diverging: None,
            preferred_replica: None,
            aborted: Vec::new(),
            records: Bytes::from(vec![0; bytes]),
        }
    }

    #[test]
    fn only_who_stands_behind_records_was_left_out() {
        let parts = [part(0, 0), part(1, 7), part(2, 0), part(3, 7)];
        let first = first_fed(&parts);
        assert_eq!(parts.each_ref().map(|part| is_left_out(part, first)), [false, false, true, false]);
        let refused = FetchedPartition { error: 6, ..part(2, 0) };
        assert!(!is_left_out(&refused, first));
        let nothing = [part(0, 0), part(1, 0)];
        assert!(!nothing.iter().any(|part| is_left_out(part, first_fed(&nothing))));
    }

    proptest! {
        /// Whatever topics have how many partitions, and however few of them fit into an answer: each has its turn within as many
        /// rounds as there are partitions.
        #[test]
        fn nobody_waits_for_ever(topics in prop::collection::vec(1i32..5, 1..6), fit in 1usize..4) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _inside = runtime.enter();
            let mut all: VecDeque<_> = (0u128..)
                .zip(topics)
                .flat_map(|(topic, count)| (0..count).map(move |partition| active(topic, partition)))
                .collect();
            let count = all.len() as u64;
            let mut fed: BTreeMap<_, u64> = all.iter().map(|active| (active.key(), 0)).collect();
            for round in 1..60 {
                in_turn(&mut all);
                let mut batch: Vec<_> = all.drain(..).collect();
                side_by_side(&mut batch);
                let ids: Vec<_> = batch.iter().map(|active| active.cursor.topic_id).collect();
                let mut once = ids.clone();
                once.dedup();
                let kinds = once.len();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(kinds, once.len(), "a topic is named twice: {:?}", ids);
                for active in batch.iter_mut().take(fit) {
                    active.turn = round;
                    fed.insert(active.key(), round);
                }
                all.extend(batch);
                prop_assert!(fed.values().all(|last| last + count >= round), "round {}: {:?}", round, fed);
            }
        }
    }
}
