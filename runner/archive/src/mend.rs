//! Writing copies again that are missing: the hint of the newest recovery point, and roll-ups. Readers do without them,
//! only slower; a run that writes anyway makes them anew.

use std::collections::HashSet;

use crate::documents::Hint;
use crate::entry::{FORMAT, encode_document};
use crate::index::{Index, restore_rollup};
use crate::rollup::FANOUT;
use crate::{ArchiveError, Chain, Layout, Store};

/// Looks for missing copies, with two requests at most where none is missing, and writes them. `end` is the newest
/// entry, `point` the number and stamp of the newest seal, unless its hint is known to be there. Returns what was written.
///
/// # Errors
/// When something cannot be read or written. Nothing depends on it.
pub(crate) async fn mend(
    store: &Store,
    layout: &Layout,
    end: u64,
    point: Option<(u64, &str)>,
) -> Result<Vec<String>, ArchiveError> {
    let (hint, rollups) = futures::join!(mend_hint(store, layout, point), mend_rollups(store, layout, end));
    let mut out = rollups?;
    out.extend(hint?);
    Ok(out)
}

async fn mend_hint(store: &Store, layout: &Layout, point: Option<(u64, &str)>) -> Result<Option<String>, ArchiveError> {
    let Some((number, stamp)) = point else { return Ok(None) };
    let key = layout.point(stamp);
    if store.size(&key).await?.is_some() {
        return Ok(None);
    }
    let (entry, digest) = Chain::new(store.clone(), layout.clone()).entry(number).await?;
    if entry.point != stamp || entry.seal.is_none() {
        return Ok(None);
    }
    store.put(&key, encode_document(&Hint { format: FORMAT, entry: number, digest })?.into()).await?;
    Ok(Some(store.show(&key)))
}

/// Names tell which roll-ups are missing; only then the log is asked what they were.
async fn mend_rollups(store: &Store, layout: &Layout, end: u64) -> Result<Vec<String>, ArchiveError> {
    let span = FANOUT * FANOUT;
    let large = (end + 1) / span * span;
    let small = (end + 1) / FANOUT * FANOUT;
    let expected = |level: u32, from: u64, to: u64, step: u64| {
        (from..to).step_by(usize::try_from(step).unwrap_or(usize::MAX)).map(move |from| (level, from, from + step - 1))
    };
    let mut wanted: HashSet<String> = HashSet::new();
    let ranges = expected(2, 0, large, span).chain(expected(1, large, small, FANOUT));
    wanted.extend(ranges.map(|(level, from, to)| layout.rollup(level, from, to).to_string()));
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // One list: what is left of level 1, and after it level 2.
    let there: HashSet<_> =
        store.keys_after(&layout.rollups(), &layout.rollup(1, large, 0)).await?.into_iter().collect();
    wanted.retain(|key| !there.contains(key));
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (entry, digest) = Chain::new(store.clone(), layout.clone()).entry(end).await?;
    let mut out = Vec::new();
    // Oldest first: the directory of a later one may name it.
    for rollup in Index::up_to(store, layout, (&entry, &digest), false).await?.lost.iter().rev() {
        if restore_rollup(store, layout, rollup).await? {
            out.push(store.show(&layout.rollup(rollup.level, rollup.from, rollup.to)));
        }
    }
    Ok(out)
}
