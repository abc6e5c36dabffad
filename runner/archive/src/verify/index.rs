//! What a point needs, by its index: the rows of roll-ups and of the entries behind them, and every segment that they
//! name. What it costs grows with the point's segments, not with the entries of its set.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::log::Log;
use super::segments::{AT_ONCE, Check, Said, look};
use super::{Look, Verification, noted};
use crate::index::Index;
use crate::sums::Sums;
use crate::{ArchiveError, Layout, SegmentRow, Store};

/// Checks the segments of an index, and that their footers say what the rows say.
pub(super) async fn check_index(
    store: &Store,
    layout: &Layout,
    index: &Index,
    how: &Look,
    out: &mut Verification,
) -> Result<Log, ArchiveError> {
    let mut said = vec![Said::default(); index.segments.len()];
    let (mut sums, mut stray) = (Sums::default(), 0u64);
    let mut take = |topic, row: &SegmentRow, hidden: bool| {
        if !hidden {
            sums.add(topic, row);
        }
        // A footer has hidden rows as well.
        match said.get_mut(row.segment as usize) {
            Some(said) => said.add(topic, row),
            None => stray += 1,
        }
    };
    let mut complete = noted(index.each_stored_row(None, &mut take).await, out)?.is_some();
    out.problems.extend(index.problems());
    if stray > 0 {
        let what = format!("{stray} rows of its index name segments that it does not have");
        out.problem(&store.show(&layout.root()), what);
        complete = false;
    }
    let requests = Arc::new(Semaphore::new(AT_ONCE));
    let look = |segment| look(store.clone(), layout.clone(), segment, Arc::clone(&requests));
    let mut looked = futures::stream::iter(index.segments.clone()).map(look).buffered(AT_ONCE);
    let (mut check, mut said) = (Check::new(how, out.drawn.clone()), said.into_iter());
    while let Some(looked) = looked.try_next().await? {
        let said = said.next().filter(|_| complete);
        check.segment(store, looked, (said, index.pruned.as_deref()), out).await?;
    }
    Ok(Log { sums, gaps: index.gaps.clone(), complete })
}
