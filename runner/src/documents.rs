//! Documents with committed offsets from any bytes: those that were saved before a run changed them, and where a restore put
//! records. For tests that try what somebody else may have written; nothing comes of it.

use crate::offsets::mapping::Heads;
use crate::offsets::snapshot;

pub use crate::restore::documents::{CLUSTER, may_go_on};

/// Whether these are saved offsets that a rollback would read.
#[must_use]
pub fn are_saved_offsets(bytes: &[u8]) -> bool {
    snapshot::read(bytes, "any", CLUSTER).is_ok()
}

/// Whether this is an offset mapping that a reset would read; offsets are looked for in it.
#[must_use]
pub fn is_offset_mapping(bytes: &[u8], topic: &str, offsets: &[i64]) -> bool {
    let place = (topic.to_owned(), 0);
    let asked = [(place.clone(), offsets.iter().copied().collect())].into();
    let read = Heads::read(bytes, "any", CLUSTER, &["g".to_owned()].into());
    let Ok(mapping) = read.and_then(|heads| heads.with_details(bytes, &asked)) else { return false };
    if let Some(part) = mapping.of_source(&place) {
        for offset in offsets {
            let _ = part.find(*offset);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAVED: &str = r#"{"snapshot_id": "s", "created_at": "2026-11-01T00:00:00Z", "topics": ["t"], "cluster_id": "c",
        "topic_ids": {"t": "00000000-0000-0000-0000-000000000007"}, "group_offsets": {"g": {"group_id": "g", "kind": "classic",
        "partition_count": 2, "changed": {"t": [0, 1]}, "offsets": {"t": {"0": {"offset": 5, "metadata": "m"}, "1": {"offset": 70}}}}}}"#;
    const MAPPING: &str = r#"{"format_version": 2, "target_cluster_id": "c", "created_at": 1, "detailed_mappings": {"t/0": [
        {"source_start": 10, "target_start": 0, "len": 10, "first_timestamp": 1, "last_timestamp": 9},
        {"source_start": 30, "target_start": 10, "len": 5, "first_timestamp": 10, "last_timestamp": 19}]}, "entries": {"t/0": {
        "topic": "t", "partition": 0, "source_first_offset": 10, "source_last_offset": 34, "target_first_offset": 0,
        "target_last_offset": 14, "first_timestamp": 1, "last_timestamp": 19}}, "consumer_groups": {"g": {"group_id": "g",
        "kind": "classic", "offsets": {"t": {"0": {"source_offset": 12, "target_offset": 2, "timestamp": 1}}}}}}"#;
    const OFFSETS: [i64; 7] = [i64::MIN, -1, 0, 12, 25, 40, i64::MAX];

    #[test]
    fn what_a_run_wrote_is_read() {
        assert!(are_saved_offsets(SAVED.as_bytes()));
        assert!(is_offset_mapping(MAPPING.as_bytes(), "t", &OFFSETS));
    }

    /// Found by the target `mapping` of tests/fuzz.
    #[test]
    fn runs_beyond_the_largest_offset_are_no_mapping() {
        for (place, number) in [("\"target_start\": 10,", i64::MAX), ("\"source_start\": 30,", i64::MAX - 4)] {
            let name = place.split(':').next().unwrap();
            let wrong = MAPPING.replace(place, &format!("{name}: {number},"));
            assert!(wrong != MAPPING && !is_offset_mapping(wrong.as_bytes(), "t", &OFFSETS), "{wrong}");
        }
    }

    fn changed(text: &str, changes: &[(prop::sample::Index, u8)], digits: bool) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            // A digit in the place of another one leaves a document that can be read.
            bytes[at] = if digits && bytes[at].is_ascii_digit() { b'0' + byte % 10 } else { *byte };
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_somebody_else_wrote_ends_nothing(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), digits: bool,
            noise: Vec<u8>,
        ) {
            let _ = are_saved_offsets(&changed(SAVED, &changes, digits));
            let _ = is_offset_mapping(&changed(MAPPING, &changes, digits), "t", &OFFSETS);
            prop_assert!(!are_saved_offsets(&noise) && !is_offset_mapping(&noise, "t", &OFFSETS));
        }
    }
}
