//! Where leader epochs begin in what is archived of a partition: needed when the source's history has parted from ours.

use std::collections::HashSet;

use batch::Decompressor;
use uuid::Uuid;

use crate::again::reread_written;
use crate::index::Index;
use crate::point::load_footer;
use crate::read::{batches_of, open_block};
use crate::store::SHOWN_WITHIN;
use crate::timeline::Timelines;
use crate::{ArchiveError, Layout, Store};

/// The first archived offset of a partition's newest timeline that was written under a leader epoch above `epoch`.
/// Entries up to `newest` count.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub async fn first_above_epoch(
    store: &Store,
    layout: &Layout,
    newest: u64,
    key: (Uuid, i32),
    epoch: i32,
) -> Result<Option<i64>, ArchiveError> {
    reread_written(SHOWN_WITHIN, || above(store, layout, newest, key, epoch)).await
}

async fn above(
    store: &Store,
    layout: &Layout,
    newest: u64,
    (topic, partition): (Uuid, i32),
    epoch: i32,
) -> Result<Option<i64>, ArchiveError> {
    let (index, ..) = Index::load(store, layout, newest).await?;
    let mut places = Vec::new();
    index.each_row(Some(&HashSet::from([(topic, partition)])), &mut |_, row| places.push(row.segment)).await?;
    let holders: Vec<_> = places.iter().filter_map(|place| index.segments.get(*place as usize)).collect();
    let timelines = Timelines::new(&index.forks);
    let mut first = None;
    // Epochs only grow within a history: the newest segments come first, until one is wholly below.
    for segment in holders.iter().rev() {
        let footer = load_footer(store, layout, segment).await?;
        let mut below = false;
        let is_it = |share: &&crate::segment::ShareRow| {
            share.partition == partition
                && footer.topics.get(share.topic as usize).is_some_and(|found| found.id == topic)
                && share.first < timelines.end_of(topic, partition, share.timeline)
        };
        for share in footer.shares.iter().filter(is_it) {
            if share.epoch <= epoch {
                below = true;
                continue;
            }
            let Some(block) = footer.blocks.get(share.block as usize) else { continue };
            let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
            let shown = store.show(&key);
            let stored = store.get_range(&key, block.at..block.at + block.length).await?;
            let plain = open_block(&shown, block, &stored, block.at, &mut Decompressor::default())?;
            let above = batches_of(&shown, share, &plain)?;
            let above = above.iter().find(|batch| batch.header.leader_epoch > epoch);
            let found = above.map(|batch| batch.header.base_offset);
            first = [first, found].into_iter().flatten().min();
        }
        if below {
            break;
        }
    }
    Ok(first)
}
