//! Whether everything that a run would build on is there: every segment that the log names, with its size.
//!
//! What is missing is told by object, topic and offsets. Reads only.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::entry::{SegmentRow, add_all};
use crate::holdings::{Holdings, Tally, of_key};
use crate::index::Index;
use crate::presence::{absent, adds_up};
use crate::state::SetState;
use crate::{ArchiveError, Layout, Store};

/// Partitions, and objects, that a message names.
const NAMED: usize = 10;

/// Proves the base of a run that begins behind entry `newest`; `said` is what the newest seal says, with what entries
/// after it add.
///
/// # Errors
/// [`ArchiveError::BaseLost`] with what is gone; the store's failures.
pub(crate) async fn prove(
    store: &Store,
    layout: &Layout,
    newest: u64,
    said: Option<Holdings>,
    state: &SetState,
) -> Result<Holdings, ArchiveError> {
    if let Some(said) = said
        && adds_up(store, layout, said).await?
    {
        return Ok(said);
    }
    let (index, ..) = Index::load(store, layout, newest).await?;
    let lost = absent(store, layout, &index).await?;
    if !lost.is_empty() {
        return Err(tell(store, layout, &index, &lost, state).await?);
    }
    let mut named = Tally::default();
    add_all(&mut named, &index.segments);
    let named_keys: HashSet<_> = index.segments.iter().map(|segment| (segment.claim, segment.seq)).collect();
    let beside = |sum: &mut Tally, key: &str, size: u64| match of_key(key) {
        Some((claim, nonce, seq)) if !named_keys.contains(&(claim, seq)) => sum.add(claim, nonce, seq, size),
        Some(_) | None => {}
    };
    let stray = store.fold(&layout.data(), Tally::default, beside).await?;
    tracing::info!(stray = stray.segments, named = named.segments, "segments that no entry names are in the store");
    Ok(Holdings { named, stray })
}

/// What is lost, in words.
async fn tell(
    store: &Store,
    layout: &Layout,
    index: &Index,
    lost: &HashSet<u32>,
    state: &SetState,
) -> Result<ArchiveError, ArchiveError> {
    let mut ranges: BTreeMap<(String, i32), (i64, i64, u64)> = BTreeMap::new();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if lost.contains(&row.segment) {
            let name = state.topics.get(&topic).map_or_else(|| topic.to_string(), |topic| topic.name.clone());
            let range = ranges.entry((name, row.partition)).or_insert((row.first, row.next, 0));
            *range = (range.0.min(row.first), range.1.max(row.next), range.2 + row.committed);
        }
    };
    index.each_row(None, &mut take).await?;
    let tell = |((topic, partition), (from, to, records)): (&(String, i32), &(i64, i64, u64))| {
        format!("{topic}/{partition} offsets {from} to {} ({records} records)", to - 1)
    };
    let mut shown: Vec<_> = ranges.iter().take(NAMED).map(tell).collect();
    if ranges.len() > NAMED {
        shown.push(format!("and of {} more partitions", ranges.len() - NAMED));
    }
    let mut places: Vec<_> = lost.iter().copied().collect();
    places.sort_unstable();
    let key_of = |place: &u32| {
        let segment = index.segments.get(*place as usize)?;
        Some(layout.segment(segment.claim, &segment.nonce, segment.seq).to_string())
    };
    let mut objects: Vec<_> = places.iter().take(NAMED).filter_map(key_of).collect();
    if places.len() > NAMED {
        objects.push(format!("and {} more", places.len() - NAMED));
    }
    let set = layout.set();
    Ok(ArchiveError::BaseLost(format!(
        "{} of {} segments that set {set} builds on are not in the store, or have another size: {} below {}. Lost are {}. Something deleted them: look for a lifecycle rule of the bucket. `kafka-backup-runner verify SPEC {set}` names all. Bring them back from a copy or from older versions of the objects and run again, or begin a new set under another name",
        lost.len(),
        index.segments.len(),
        objects.join(", "),
        store.place(),
        shown.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    /// 100,000 segments are proved by the listing alone: nothing else is there that could be read.
    #[tokio::test]
    async fn a_large_set_is_proved_without_its_names() {
        let inner = Arc::new(InMemory::new());
        let store = Store::new(Arc::clone(&inner) as Arc<dyn object_store::ObjectStore>, "", "memory");
        let (layout, nonce) = (Layout::new("large"), "0123456789abcdef");
        let mut said = Holdings::default();
        for number in 0..100_000u64 {
            let (claim, seq) = (number / 4, number % 4);
            let size = usize::try_from(number % 7).unwrap();
            inner.put(&layout.segment(claim, nonce, seq), vec![0; size].into()).await.unwrap();
            said.named.add(claim, nonce, seq, size as u64);
        }
        let found = prove(&store, &layout, 1, Some(said), &SetState::default()).await.unwrap();
        assert_eq!((found, found.named.segments), (said, 100_000));
        // One that is gone is noticed: the names would be needed, and there is no log to read them from.
        inner.delete(&layout.segment(12_345, nonce, 2)).await.unwrap();
        assert!(prove(&store, &layout, 1, Some(said), &SetState::default()).await.is_err());
    }
}
