//! What later timelines replaced: where the source's log was cut, or lost segments are read again, the same offsets are archived
//! twice, and a reader of the newest timeline sees the later ones only. The index says how much that is; where a timeline
//! ends within a block, the block is read.

use std::collections::{BTreeMap, HashMap, HashSet};

use batch::{Decompressor, places};
use uuid::Uuid;

use crate::again::reread_written;
use crate::entry::SegmentRow;
use crate::index::Index;
use crate::limit::total;
use crate::point::load_footer;
use crate::read::{batches_of, is_committed, open_block};
use crate::segment::{Footer, ShareRow};
use crate::state::{Replaced, TopicIdPartition};
use crate::store::SHOWN_WITHIN;
use crate::timeline::Timelines;
use crate::{ArchiveError, Fork, Layout, SegmentRef, Store};

/// What is replaced of a partition once this fork begins, with what was replaced of hidden rows. Entries up to `newest` count.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub async fn replaced_by(store: &Store, layout: &Layout, newest: u64, fork: &Fork) -> Result<Replaced, ArchiveError> {
    reread_written(SHOWN_WITHIN, || async {
        let (index, ..) = Index::load(store, layout, newest).await?;
        let forks: Vec<_> = index.forks.iter().chain([fork]).cloned().collect();
        let key = (fork.topic, fork.partition);
        let only = HashSet::from([key]);
        let found = replaced(store, layout, &index, (&only, &|_, _| true), &Timelines::new(&forks)).await?;
        let mut all = index.hidden_of(key).map_or_else(Replaced::default, |hidden| hidden.replaced);
        if let Some(found) = found.get(&key) {
            all.add(found.records, found.bytes);
        }
        Ok(all)
    })
    .await
}

/// Which rows count.
pub(crate) type Counts<'a> = &'a (dyn Fn(Uuid, &SegmentRow) -> bool + Sync);

/// What these timelines replace of the rows of the partitions of `only` that `counts` picks.
pub(crate) async fn replaced(
    store: &Store,
    layout: &Layout,
    index: &Index,
    (only, counts): (&HashSet<TopicIdPartition>, Counts<'_>),
    timelines: &Timelines,
) -> Result<HashMap<TopicIdPartition, Replaced>, ArchiveError> {
    let mut out: HashMap<TopicIdPartition, Replaced> = HashMap::new();
    // A segment holds one timeline of a partition.
    let mut cut: BTreeMap<u32, Vec<(TopicIdPartition, u32)>> = BTreeMap::new();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if !counts(topic, row) {
            return;
        }
        let key = (topic, row.partition);
        let end = timelines.end_of(topic, row.partition, row.timeline);
        if row.first >= end {
            out.entry(key).or_default().add(row.committed, row.bytes);
        } else if row.next > end {
            cut.entry(row.segment).or_default().push((key, row.timeline));
        }
    };
    index.each_row(Some(only), &mut take).await?;
    for (place, wanted) in cut {
        let stray = || ArchiveError::damaged(store.show(&layout.log()), format!("a row names segment {place}"));
        let segment = index.segments.get(place as usize).ok_or_else(stray)?;
        let footer = load_footer(store, layout, segment).await?;
        let reader = Reader { store, layout, segment, footer: &footer };
        for (key, timeline) in wanted {
            let end = timelines.end_of(key.0, key.1, timeline);
            let found = reader.behind(key, timeline, end).await?;
            out.entry(key).or_default().add(found.records, found.bytes);
        }
    }
    Ok(out)
}

/// Reads a segment in which a timeline ends.
struct Reader<'a> {
    store: &'a Store,
    layout: &'a Layout,
    segment: &'a SegmentRef,
    footer: &'a Footer,
}

impl Reader<'_> {
    /// What the segment holds of a timeline from `end` on.
    async fn behind(
        &self,
        (topic, partition): TopicIdPartition,
        timeline: u32,
        end: i64,
    ) -> Result<Replaced, ArchiveError> {
        let is_it = |share: &&ShareRow| {
            (share.partition, share.timeline) == (partition, timeline)
                && share.next > end
                && self.footer.topics.get(share.topic as usize).is_some_and(|found| found.id == topic)
        };
        let mut out = Replaced::default();
        for share in self.footer.shares.iter().filter(is_it) {
            if share.first >= end {
                out.add(share.committed, share.length);
            } else {
                let (records, bytes) = self.left(share, end).await?;
                out.add(share.committed.saturating_sub(records), share.length.saturating_sub(bytes));
            }
        }
        Ok(out)
    }

    /// What a reader still sees of a share that counts up to `end`, and the bytes of the batches that it sees.
    async fn left(&self, share: &ShareRow, end: i64) -> Result<(u64, u64), ArchiveError> {
        let Self { store, layout, segment, footer } = self;
        let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
        let shown = store.show(&key);
        let stray = || ArchiveError::damaged(&shown, format!("a share names block {}", share.block));
        let block = footer.blocks.get(share.block as usize).ok_or_else(stray)?;
        let stored = store.get_range(&key, block.at..block.at + block.length).await?;
        let mut decompressor = Decompressor::default();
        let plain = open_block(&shown, block, &stored, block.at, &mut decompressor)?;
        let mut batches = batches_of(&shown, share, &plain)?;
        batches.retain(|batch| batch.header.base_offset < end);
        let mut records = 0u64;
        for batch in batches.iter().filter(|batch| is_committed(batch, share, footer)) {
            let counted = places(batch, &mut decompressor, |place| {
                records += u64::from(batch.header.takes(place.offset, &(share.first..end)));
            });
            counted.map_err(|source| ArchiveError::Batch { key: shown.clone(), source })?;
        }
        Ok((records, total(batches.iter().map(|batch| batch.bytes.len() as u64))))
    }
}
