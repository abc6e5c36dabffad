//! The plan and the state of a restore from any bytes, and what every attempt does with them before it believes them. For tests
//! that try what somebody else may have written; nothing comes of it.

use archive::from_json;
use contract::RunSpec;

use super::claims::Thing;
use super::plan::RestorePlan;
use super::state::RestoreState;
use super::trust::{Asked, may_be_released};

/// The cluster that such documents are held against.
pub const CLUSTER: &str = "c";

/// Reads both and holds them against the specification of a restore. Whether an attempt would go on with them.
#[must_use]
pub fn may_go_on(spec: &RunSpec, plan: &[u8], state: &[u8]) -> bool {
    let Some(part) = &spec.restore else { return false };
    let (Ok(plan), Ok(state)) = (RestorePlan::read(plan), from_json::<RestoreState>(state)) else { return false };
    let asked = Asked { spec, part, cluster: CLUSTER };
    let name = Thing::Name(spec.namespace.clone(), spec.name.clone());
    let may_end = may_be_released(&plan, &state, &name, CLUSTER, None).is_ok();
    if asked.fits(&plan, &state).is_err() {
        return false;
    }
    // What is calculated with believed numbers.
    let numbers = (plan.records(), plan.bytes(), plan.wanted().from.len(), plan.fingerprint().len());
    let places = (0..state.partitions.len()).filter_map(|place| state.target_offset(place, 0)).count();
    may_end && numbers.3 > 0 && places <= state.partitions.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::restore::plan::check::tests::plan;
    use crate::restore::trust::tests::{new_state, spec};

    fn honest() -> (Vec<u8>, Vec<u8>) {
        (serde_json::to_vec(&plan()).unwrap(), serde_json::to_vec(&new_state()).unwrap())
    }

    #[test]
    fn what_a_restore_wrote_goes_on() {
        let (plan, state) = honest();
        assert!(may_go_on(&spec(), &plan, &state));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Bytes of both documents are others, or are cut: no attempt panics over them.
        #[test]
        fn what_somebody_else_wrote_ends_nothing(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
            digits in any::<bool>(), cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let (mut plan, mut state) = honest();
            for (at, byte, of_plan) in changes {
                let document = if of_plan { &mut plan } else { &mut state };
                let at = at.index(document.len());
                // A digit in the place of another one leaves a document that can be read.
                let is_digit = document[at].is_ascii_digit();
                document[at] = if digits && is_digit { b'0' + byte % 10 } else { byte };
            }
            if let Some(cut) = cut {
                state.truncate(cut.index(state.len()));
            }
            let _ = may_go_on(&spec(), &plan, &state);
        }

        #[test]
        fn any_bytes_end_nothing(plan: Vec<u8>, state: Vec<u8>) {
            prop_assert!(!may_go_on(&spec(), &plan, &state));
        }
    }
}
