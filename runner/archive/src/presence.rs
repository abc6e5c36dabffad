//! Whether the segments that a log names are in the store with their sizes: by listing, without reading one.
//!
//! One listing of `data/` (a page per 1,000 segments) that adds up to what the newest seal says is the proof. Where it
//! does not, or where an older release wrote the seal, the names come from roll-ups and entries.

use std::collections::{HashMap, HashSet};

use crate::holdings::{Holdings, Tally, of_key};
use crate::index::Index;
use crate::{ArchiveError, Layout, Store};

/// Missing segments that are looked at one by one; so many are no late listing.
const LOOKED_AT: usize = 1_000;

/// Whether a listing adds up to what a seal says.
pub(crate) async fn adds_up(store: &Store, layout: &Layout, said: Holdings) -> Result<bool, ArchiveError> {
    let tally = |sum: &mut Tally, key: &str, size: u64| {
        if let Some((claim, nonce, seq)) = of_key(key) {
            sum.add(claim, nonce, seq, size);
        }
    };
    Ok(store.fold(&layout.data(), Tally::default, tally).await? == said.named.plus(said.stray))
}

/// The segments of an index that are missing or have another size, by their places in it.
pub(crate) async fn absent(store: &Store, layout: &Layout, index: &Index) -> Result<HashSet<u32>, ArchiveError> {
    let keep = |found: &mut HashMap<(u64, u64), u64>, key: &str, size: u64| {
        if let Some((claim, _, seq)) = of_key(key) {
            found.insert((claim, seq), size);
        }
    };
    let found = store.fold(&layout.data(), HashMap::new, keep).await?;
    let mut lost = HashSet::new();
    for (segment, place) in index.segments.iter().zip(0u32..) {
        // A listing may be late: the object itself decides.
        let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
        if found.get(&(segment.claim, segment.seq)) != Some(&segment.size)
            && (lost.len() >= LOOKED_AT || store.size(&key).await? != Some(segment.size))
        {
            lost.insert(place);
        }
    }
    Ok(lost)
}
