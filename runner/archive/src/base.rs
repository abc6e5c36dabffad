//! Whether everything that a run would build on is there: every segment that the log names, with its size.
//!
//! What is missing is told by object, topic and offsets; or, where the run may give it up, what follows for each partition
//! is worked out. Reads only.

mod give_up;
mod tell;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

pub(crate) use self::give_up::GivenUp;
use self::give_up::give_up;
use self::tell::tell;
use crate::entry::{SegmentRow, add_all};
use crate::holdings::{Holdings, Tally, of_key};
use crate::index::Index;
use crate::presence::{LOOKED_AT, absent, adds_up};
use crate::regain::{LogStart, LostRanges};
use crate::state::SetState;
use crate::{ArchiveError, Layout, Store};

/// After so long a segment is looked for once more before it is given up for good.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// What a run builds on.
#[derive(Debug, Default)]
pub(crate) struct Base {
    /// Its segments added up.
    pub(crate) holdings: Holdings,
    /// What must be given up for that.
    pub(crate) given_up: Option<GivenUp>,
}

/// Proves the base of a run that begins behind entry `newest`; `said` is what the newest seal says, with what entries
/// after it add. With `starts`, which say where the source's logs start, lost segments are given up.
///
/// # Errors
/// [`ArchiveError::BaseLost`] with what is gone, also where `starts` lacks a partition; the store's failures.
pub(crate) async fn prove(
    store: &Store,
    layout: &Layout,
    newest: u64,
    said: Option<Holdings>,
    state: &SetState,
    starts: Option<&BTreeMap<(Uuid, i32), LogStart>>,
) -> Result<Base, ArchiveError> {
    if let Some(said) = said
        && adds_up(store, layout, said).await?
    {
        return Ok(Base { holdings: said, given_up: None });
    }
    let (index, ..) = Index::load(store, layout, newest).await?;
    let mut lost = absent(store, layout, &index, starts.map_or(LOOKED_AT, |_| usize::MAX)).await?;
    if starts.is_some() && !lost.is_empty() {
        tokio::time::sleep(SECOND_LOOK).await;
        lost = absent(store, layout, &index, usize::MAX).await?;
    }
    let given_up = if lost.is_empty() {
        None
    } else {
        // Without starts nothing can be given up, and rows are read once, for the message.
        let Some(starts) = starts else { return Err(tell(store, layout, &index, &lost, state).await?) };
        let ranges = lost_ranges(&index, &lost).await?;
        if ranges.iter().any(|(key, _)| !starts.contains_key(&key)) {
            return Err(tell(store, layout, &index, &lost, state).await?);
        }
        Some(give_up(store, layout, &index, &lost, (&ranges, starts, state)).await?)
    };
    let holdings = add_up(store, layout, &index, &lost).await?;
    Ok(Base { holdings, given_up })
}

async fn lost_ranges(index: &Index, lost: &HashSet<u32>) -> Result<LostRanges, ArchiveError> {
    let mut ranges = LostRanges::default();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if lost.contains(&row.segment) {
            ranges.add(topic, row);
        }
    };
    index.each_row(None, &mut take).await?;
    Ok(ranges)
}

/// The segments that are left, and those beside them.
async fn add_up(store: &Store, layout: &Layout, index: &Index, lost: &HashSet<u32>) -> Result<Holdings, ArchiveError> {
    let left = index.segments.iter().zip(0u32..).filter(|(_, place)| !lost.contains(place));
    let left: Vec<_> = left.map(|(segment, _)| segment.clone()).collect();
    let mut named = Tally::default();
    add_all(&mut named, &left);
    let named_keys: HashSet<_> = left.iter().map(|segment| (segment.claim, segment.seq)).collect();
    let beside = |sum: &mut Tally, key: &str, size: u64| match of_key(key) {
        Some((claim, nonce, seq)) if !named_keys.contains(&(claim, seq)) => sum.add(claim, nonce, seq, size),
        Some(_) | None => {}
    };
    let stray = store.fold(&layout.data(), Tally::default, beside).await?;
    tracing::info!(stray = stray.segments, named = named.segments, "segments that no entry names are in the store");
    Ok(Holdings { named, stray })
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
        let found = prove(&store, &layout, 1, Some(said), &SetState::default(), None).await.unwrap().holdings;
        assert_eq!((found, found.named.segments), (said, 100_000));
        // One that is gone is noticed: the names would be needed, and there is no log to read them from.
        inner.delete(&layout.segment(12_345, nonce, 2)).await.unwrap();
        assert!(prove(&store, &layout, 1, Some(said), &SetState::default(), None).await.is_err());
    }
}
