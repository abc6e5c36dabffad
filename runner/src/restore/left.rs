//! What of the archive is left to read once the target has said how many records are there.
//!
//! Where the last of them names the record of the source that it was made of, the partition is read on from the block with that
//! record. Elsewhere whole rows of the index that are in the target are passed over, and of the row in which it stands its
//! blocks that are there. How many records those hold the index says; where a time window cuts a block, they are counted.
//! What is not counted is never passed over.
//!
//! Source partitions that meet in one partition of the target stand there one after the other: the next one is looked at once
//! all of those before it is there.

mod chain;
mod proof;
mod stand;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use archive::{Point, ReadBatch, SegmentRow, ShareRow, Timelines, TopicIdPartition, Wanted};
use batch::{Decompressor, Window};
use contract::{Code, Failure, OnUnreadable};
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use self::chain::chains;
use self::stand::Stand;
use super::dealer::Way;
use super::each_record::each_place;
use super::part::Part;
use super::plan::RestorePlan;
use super::tails::Tail;
use super::windows::Windows;

/// Plain bytes of blocks that are counted at most: a `startTime` cuts every block whose earliest record is not known, and counting
/// all of them would be no better than reading them again.
const COUNTED: u64 = 16 << 20;
/// How often the rows are walked over at most. Where records are in order of time, a window takes three.
const WALKS: u32 = 8;
/// Source partitions that are looked at of those that meet: behind them everything is read again.
const MEETING: u32 = 64;
/// Footers that are read at once.
const FOOTERS: usize = 16;

/// Where each source partition is to be read from, and how many of its records from there on are in the target, by place. A
/// partition that is to be read from `i64::MAX` on is there whole. Partitions that are dealt out to several of the target are read
/// from their beginning: they hide whose records are there.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(crate) async fn what_is_left(
    point: &Point,
    plan: &RestorePlan,
    ways: &HashMap<TopicIdPartition, Way>,
    tails: &[Tail],
) -> Result<(Wanted, HashMap<usize, u64>), Failure> {
    let mut wanted = plan.wanted();
    let mut skip: HashMap<usize, u64> = tails.iter().enumerate().map(|(place, tail)| (place, tail.done)).collect();
    let mut begun = begun(plan, ways, tails);
    // What was left out is counted when it is met: whoever reads on behind it would take it for restored. The index does not say
    // either how many records could be read.
    if plan.on_unreadable == OnUnreadable::Skip {
        return Ok((wanted, skip));
    }
    for (key, (from, before)) in proof::proven(point, plan, &begun).await? {
        if let Some((place, _)) = begun.remove(&key) {
            wanted.from.insert(key, from);
            skip.insert(place, before);
        }
    }
    let mut chains = chains(plan, ways, tails);
    let stands = begun.into_iter().map(|(key, (place, tail))| (key, Stand::new(place, tail.done))).collect();
    let mut look = Look { point, timelines: plan.timelines(), windows: plan.windows(), stands, may_count: COUNTED };
    for _ in 0..MEETING {
        look.stands.extend(chains.iter().filter_map(|(place, chain)| chain.next(*place)));
        if look.stands.is_empty() {
            break;
        }
        look.walk().await?;
        for (key, stand) in std::mem::take(&mut look.stands) {
            let from = chains.get_mut(&stand.place).map_or(stand.from, |chain| chain.stands(&stand));
            wanted.from.insert(key, from);
            skip.insert(stand.place, stand.left);
        }
    }
    Ok((wanted, skip))
}

/// Source partitions with a target partition of their own that has records, with its place and where it stands.
fn begun<'t>(
    plan: &RestorePlan,
    ways: &HashMap<TopicIdPartition, Way>,
    tails: &'t [Tail],
) -> BTreeMap<TopicIdPartition, (usize, &'t Tail)> {
    let apart = plan.topics.iter().filter(|topic| !topic.route.is_ordered(&topic.partitions));
    let keys = apart.flat_map(|topic| topic.partitions.iter().map(|partition| (topic.source_id, *partition)));
    let begun = |key: TopicIdPartition| {
        let Way::One(place) = ways.get(&key)? else { return None };
        let tail = tails.get(*place).filter(|tail| tail.done > 0)?;
        Some((key, (*place, tail)))
    };
    keys.filter_map(begun).collect()
}

/// Looks how far the archive is in the target.
struct Look<'a> {
    point: &'a Point,
    timelines: Timelines,
    windows: Windows,
    stands: BTreeMap<TopicIdPartition, Stand>,
    /// Plain bytes that may still be counted.
    may_count: u64,
}

impl Look<'_> {
    /// Passes over what is there, as far as that is sure.
    async fn walk(&mut self) -> Result<(), Failure> {
        for _ in 0..WALKS {
            self.pass_rows().await?;
            if !self.pass_blocks().await? {
                break;
            }
        }
        Ok(())
    }

    /// Passes over whole rows, up to the first of each partition that is not passed.
    async fn pass_rows(&mut self) -> Result<(), Failure> {
        let Self { point, timelines, windows, stands, .. } = self;
        let only: HashSet<TopicIdPartition> =
            stands.iter().filter(|(_, stand)| stand.is_open()).map(|(key, _)| *key).collect();
        if only.is_empty() {
            return Ok(());
        }
        stands.values_mut().for_each(Stand::begin_walk);
        let mut take = |topic: Uuid, row: &SegmentRow| {
            if let Some(stand) = stands.get_mut(&(topic, row.partition)) {
                stand.take(
                    row,
                    windows.of((topic, row.partition)),
                    timelines.end_of(topic, row.partition, row.timeline),
                );
            }
        };
        point.each_row(Some(&only), &mut take).await?;
        stands.values_mut().for_each(Stand::end_walk);
        Ok(())
    }

    /// Looks into the rows that were not passed; `false` when no row behind them can be passed.
    async fn pass_blocks(&mut self) -> Result<bool, Failure> {
        self.read_footers().await?;
        let windows = self.windows.clone();
        self.stands.iter_mut().for_each(|(key, stand)| stand.pass_known(windows.of(*key)));
        loop {
            let runs = self.cut_runs();
            if runs.is_empty() {
                break;
            }
            let counts = self.count(&runs).await?;
            for (key, run) in runs {
                let Some(stand) = self.stands.get_mut(&key) else { continue };
                stand.pass_counted(&run, |part| counts.get(&(key, part.first)).copied());
                stand.pass_known(windows.of(key));
            }
        }
        let again = self.stands.values_mut().map(Stand::end_row).collect::<Vec<_>>();
        Ok(again.contains(&true))
    }

    /// Reads the blocks of the rows that are in the way.
    async fn read_footers(&mut self) -> Result<(), Failure> {
        let in_the_way = self.stands.iter().filter_map(|(key, stand)| Some((*key, stand.row()?)));
        let rows: BTreeMap<TopicIdPartition, stand::Row> = in_the_way.collect();
        let segments: BTreeSet<u32> = rows.values().map(|row| row.segment).collect();
        let (point, rows) = (self.point, &rows);
        let look = |number: u32| async move {
            let unknown = || Failure::new(Code::Internal, format!("a row of segment {number}, which is not there"));
            let segment = point.segments().get(number as usize).ok_or_else(unknown)?;
            let footer = point.footer(segment).await?;
            let part = |share: &ShareRow| {
                let key = (footer.topics.get(share.topic as usize)?.id, share.partition);
                rows.get(&key).filter(|row| row.segment == number && row.holds(share))?;
                Some((key, Part::of_share(share)))
            };
            Ok::<Vec<(TopicIdPartition, Part)>, Failure>(footer.shares.iter().filter_map(part).collect())
        };
        let found: Vec<_> = futures::stream::iter(segments).map(look).buffered(FOOTERS).try_collect().await?;
        for (key, part) in found.into_iter().flatten() {
            if let Some(stand) = self.stands.get_mut(&key) {
                stand.parts.push_back(part);
            }
        }
        self.stands.values_mut().for_each(Stand::hold_against_row);
        Ok(())
    }

    /// Blocks that the window cuts and that are next of their partitions, as far as they may be counted.
    fn cut_runs(&mut self) -> BTreeMap<TopicIdPartition, Vec<Part>> {
        let Self { stands, windows, may_count, .. } = self;
        let run =
            |(key, stand): (&TopicIdPartition, &mut Stand)| Some((*key, stand.cut_run(windows.of(*key), may_count)?));
        stands.iter_mut().filter_map(run).collect()
    }

    /// Counts what is restored of these blocks, by their first offset.
    async fn count(
        &self,
        runs: &BTreeMap<TopicIdPartition, Vec<Part>>,
    ) -> Result<HashMap<(TopicIdPartition, i64), u64>, Failure> {
        let ends = runs.iter().filter_map(|(key, run)| Some((*key, run.first()?.first, run.last()?.next)));
        let mut wanted = Wanted::new(HashMap::new(), self.timelines.clone(), self.windows.all());
        for (key, first, next) in ends {
            wanted.from.insert(key, first);
            wanted.until.insert(key, next);
        }
        let mut out = HashMap::new();
        let mut stream = self.point.stream(wanted).await?;
        let mut decompressor = Decompressor::default();
        while let Some(share) = stream.next().await? {
            let key = (share.topic, share.partition);
            if runs.get(&key).is_some_and(|run| run.iter().any(|part| part.first == share.from)) {
                *out.entry((key, share.from)).or_insert(0) += inside(&share, self.windows.of(key), &mut decompressor)?;
            }
        }
        Ok(out)
    }
}

/// How many records of a share are restored.
fn inside(share: &ReadBatch, window: Window, decompressor: &mut Decompressor) -> Result<u64, Failure> {
    let range = share.from..share.until;
    let mut count = 0;
    for batch in share.batches.iter().filter(|batch| !window.misses(&batch.header)) {
        let read = each_place(batch, (window, &range), OnUnreadable::Fail, decompressor, |_, _| count += 1);
        read.map_err(|error| {
            let text = format!(
                "partition {} of topic {}: the batch at source offset {} cannot be read: {error}",
                share.partition, share.topic, batch.header.base_offset
            );
            Failure::new(Code::ArchiveDamaged, text)
        })?;
    }
    Ok(count)
}
