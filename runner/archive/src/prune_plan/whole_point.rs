//! Whether what a newest point is made of is there: nothing goes in favour of a point that is not whole. Seals are read one at
//! a time: each may be large.

use object_store::path::Path;

use super::Left;
use crate::holdings::Tally;
use crate::index::Index;
use crate::point::side;
use crate::presence::{LOOKED_AT, absent};
use crate::{ArchiveError, Chain, Entry, Layout, Seal, SealedPoint, Store, TopicConfigs};

/// Segments of an index that are not there with their sizes; `listed` is what a listing of them adds up to.
pub(super) async fn lacking(
    store: &Store,
    layout: &Layout,
    newest: &Seal,
    index: &Index,
    listed: Tally,
) -> Result<Option<Left>, ArchiveError> {
    if newest.holdings.is_some_and(|said| said.named.plus(said.stray) == listed) {
        return Ok(None);
    }
    let absent = absent(store, layout, index, LOOKED_AT).await?;
    let Some(first) = absent.iter().min().and_then(|place| index.segments.get(*place as usize)) else {
        return Ok(None);
    };
    let key: Path = layout.segment(first.claim, &first.nonce, first.seq);
    let what = format!(
        "{} of {} segments are missing or have another size, the first of them {}",
        absent.len(),
        index.segments.len(),
        store.show(&key)
    );
    Ok(Some(Left::Incomplete { what }))
}

/// The seal that a log tells of.
pub(super) async fn entry_of(store: &Store, layout: &Layout, sealed: &SealedPoint) -> Result<Entry, ArchiveError> {
    let (entry, digest) = Chain::new(store.clone(), layout.clone()).entry(sealed.entry).await?;
    if digest == sealed.digest && entry.seal.is_some() {
        return Ok(entry);
    }
    let key = store.show(&layout.entry(sealed.entry));
    Err(ArchiveError::damaged(key, "it is not the seal that the log tells of: one of them was replaced"))
}

/// The topic configs of a seal.
pub(super) async fn newest_configs(
    store: &Store,
    layout: &Layout,
    entry: &Entry,
) -> Result<TopicConfigs, ArchiveError> {
    match &entry.seal {
        Some(seal) => side(store, layout, entry.n, "configs.json", &seal.configs).await,
        None => Err(ArchiveError::damaged(store.show(&layout.entry(entry.n)), "it is not a seal")),
    }
}
