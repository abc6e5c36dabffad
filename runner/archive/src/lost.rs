//! Segments that the log names and the store lost: how a claim says that they count no more. Pure.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::holdings::Tally;

/// The feature that a reader of an entry or roll-up with lost segments must know.
pub(crate) const FEATURE: &str = "lost-segments";

/// What `requires` says of a document with these lost segments.
pub(crate) fn required_for(lost: &[LostSegment]) -> Vec<String> {
    if lost.is_empty() { Vec::new() } else { vec![FEATURE.to_owned()] }
}

/// A segment that counts no more, as the log had named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostSegment {
    /// Claim that wrote it.
    pub claim: u64,
    /// Nonce of that claim.
    pub nonce: String,
    /// Number within the claim.
    pub seq: u64,
    /// Bytes that it had.
    pub size: u64,
}

/// Takes lost segments out of a sum of segments.
pub(crate) fn remove_all(tally: &mut Tally, lost: &[LostSegment]) {
    for one in lost {
        tally.remove(one.claim, &one.nonce, one.seq, one.size);
    }
}

/// Claim and number of lost segments: what the rest of a log is compared with.
pub(crate) fn keys(lost: &[LostSegment]) -> HashSet<(u64, u64)> {
    lost.iter().map(|segment| (segment.claim, segment.seq)).collect()
}
