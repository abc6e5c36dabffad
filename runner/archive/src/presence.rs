//! Whether the segments that a log names are in the store with their sizes: by listing, without reading one.
//!
//! One listing of `data/` (a page per 1,000 segments) that adds up to what the newest seal says is the proof. Where it
//! does not, or where an older release wrote the seal, the names come from roll-ups and entries.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};

use crate::entry::SegmentRef;
use crate::holdings::{Holdings, Tally, of_key};
use crate::index::Index;
use crate::{ArchiveError, Layout, Store};

/// Missing segments that are looked at one by one; so many are no late listing.
pub(crate) const LOOKED_AT: usize = 1_000;
/// Segments that are looked at at once.
const AT_ONCE: usize = 16;

/// Whether a listing adds up to what a seal says.
pub(crate) async fn adds_up(store: &Store, layout: &Layout, said: Holdings) -> Result<bool, ArchiveError> {
    let tally = |sum: &mut Tally, key: &str, size: u64| {
        if let Some((claim, nonce, seq)) = of_key(key) {
            sum.add(claim, nonce, seq, size);
        }
    };
    Ok(store.fold(&layout.data(), Tally::default, tally).await? == said.named.plus(said.stray))
}

/// The segments of an index that are missing or have another size, by their places in it. A listing may be late: of the
/// first `looked_at` that it lacks the object itself decides.
pub(crate) async fn absent(
    store: &Store,
    layout: &Layout,
    index: &Index,
    looked_at: usize,
) -> Result<HashSet<u32>, ArchiveError> {
    let keep = |found: &mut HashMap<(u64, u64), u64>, key: &str, size: u64| {
        if let Some((claim, _, seq)) = of_key(key) {
            found.insert((claim, seq), size);
        }
    };
    let found = store.fold(&layout.data(), HashMap::new, keep).await?;
    let unlisted = |segment: &SegmentRef| found.get(&(segment.claim, segment.seq)) != Some(&segment.size);
    let all = (0u32..).zip(&index.segments).filter(|(_, segment)| unlisted(segment));
    let mut all: Vec<(u32, SegmentRef)> = all.map(|(place, segment)| (place, segment.clone())).collect();
    let believed = all.split_off(looked_at.min(all.len()));
    let look = |(place, segment): (u32, SegmentRef)| {
        let (store, key) = (store.clone(), layout.segment(segment.claim, &segment.nonce, segment.seq));
        async move { Ok::<_, ArchiveError>((store.size(&key).await? != Some(segment.size)).then_some(place)) }
    };
    let looked: Vec<_> = futures::stream::iter(all).map(look).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(looked.into_iter().flatten().chain(believed.into_iter().map(|(place, _)| place)).collect())
}
