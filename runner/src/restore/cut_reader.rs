//! Finds the transactions that a restore's time window cuts, by reading what is archived around its ends.
//!
//! Only partitions whose index shows markers or aborted records are read, and of those a minute to each side: no
//! transaction takes longer unless its producer raises `transaction.timeout.ms` (60 s by default). A transaction that
//! takes longer, or records that are minutes out of order, may go unnamed. Nothing is decided by what is found.

use std::collections::{BTreeSet, HashMap, HashSet};

use archive::{Point, ReadBatch, SegmentRow, TopicIdPartition, Wanted};
use batch::{Decompressor, RawBatch, Window, places};
use contract::{Code, Failure};
use uuid::Uuid;

use super::cuts::{CutTransaction, Near, Pieces};
use super::plan::RestorePlan;

/// How far around an end of the window transactions are looked for, milliseconds.
const REACH: i64 = 60_000;

/// The transactions that the plan's window cuts, in order of time.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(crate) async fn find(point: &Point, plan: &RestorePlan) -> Result<Vec<CutTransaction>, Failure> {
    let windows = plan.windows();
    let start = |place: TopicIdPartition| Some(windows.of(place).start).filter(|start| *start != i64::MIN);
    let end = |place: TopicIdPartition| Some(windows.of(place).end).filter(|end| *end != i64::MAX);
    let ends: [&(dyn Fn(TopicIdPartition) -> Option<i64> + Sync); 2] = [&start, &end];
    let mut out: Vec<CutTransaction> = Vec::new();
    for end in ends {
        let wanted = wanted(point, plan, end).await?;
        let found = if wanted.from.is_empty() { Vec::new() } else { read(point, plan, wanted).await? };
        out.extend(found.into_iter().filter(|cut| !out.contains(cut)).collect::<Vec<_>>());
    }
    Ok(out)
}

/// The offsets around the end of partitions with transactions; `end` is where a partition ends, if it does.
async fn wanted(
    point: &Point,
    plan: &RestorePlan,
    end: &(dyn Fn(TopicIdPartition) -> Option<i64> + Sync),
) -> Result<Wanted, Failure> {
    let all = plan.wanted();
    let only: HashSet<TopicIdPartition> = all.from.keys().copied().filter(|place| end(*place).is_some()).collect();
    let mut out = Wanted { markers: true, ..Wanted::new(HashMap::new(), all.timelines.clone(), Window::ALL) };
    if only.is_empty() {
        return Ok(out);
    }
    let mut transactional: HashSet<TopicIdPartition> = HashSet::new();
    let mut near: HashMap<TopicIdPartition, (Near, BTreeSet<u32>)> = HashMap::new();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        let place = (topic, row.partition);
        if row.records > row.committed {
            transactional.insert(place);
        }
        let replaced = row.first >= all.timelines.end_of(topic, row.partition, row.timeline);
        let Some(end) = end(place) else { return };
        let (near, segments) = near.entry(place).or_insert_with(|| (Near::new(end, REACH), BTreeSet::new()));
        let before = near.range();
        if !replaced {
            near.take(row.first, row.next, (row.committed > 0).then_some(row.max_timestamp));
        }
        if near.range() != before {
            segments.insert(row.segment);
        }
    };
    point.each_row(Some(&only), &mut take).await?;
    near.retain(|place, _| transactional.contains(place));
    let segments: BTreeSet<u32> = near.values().flat_map(|(_, segments)| segments).copied().collect();
    let mut closer: HashMap<TopicIdPartition, Near> =
        near.keys().filter_map(|place| Some((*place, Near::new(end(*place)?, REACH)))).collect();
    for segment in segments.iter().filter_map(|place| point.segments().get(*place as usize)) {
        let footer = point.footer(segment).await?;
        for share in &footer.shares {
            let Some(topic) = footer.topics.get(share.topic as usize).map(|topic| topic.id) else { continue };
            let replaced = share.first >= all.timelines.end_of(topic, share.partition, share.timeline);
            if let Some(closer) = closer.get_mut(&(topic, share.partition)).filter(|_| !replaced) {
                closer.take(share.first, share.next, (share.committed > 0).then_some(share.max_timestamp));
            }
        }
    }
    for (place, (from, until)) in closer.into_iter().filter_map(|(place, near)| Some((place, near.range()?))) {
        out.from.insert(place, from);
        out.until.insert(place, until);
    }
    Ok(out)
}

async fn read(point: &Point, plan: &RestorePlan, wanted: Wanted) -> Result<Vec<CutTransaction>, Failure> {
    let (mut pieces, windows) = (Pieces::default(), plan.windows());
    let mut decompressor = Decompressor::default();
    let mut stream = point.stream(wanted).await?;
    let names: HashMap<_, _> = plan.topics.iter().map(|topic| (topic.source_id, topic.source.as_str())).collect();
    while let Some(share) = stream.next().await? {
        let window = windows.of((share.topic, share.partition));
        let place = format!("{}/{}", names.get(&share.topic).copied().unwrap_or_default(), share.partition);
        for batch in &share.batches {
            let attributes = batch.header.attributes;
            if attributes.control() {
                pieces.end(&place, &batch.header);
            } else if attributes.transactional() {
                let inside = inside(&share, batch, window, &mut decompressor)?;
                pieces.take(&place, &batch.header, inside);
            }
        }
    }
    Ok(pieces.cuts())
}

/// How many records of the batch lie in the window.
fn inside(share: &ReadBatch, batch: &RawBatch, window: Window, with: &mut Decompressor) -> Result<u64, Failure> {
    if window.misses(&batch.header) {
        return Ok(0);
    }
    if window.covers(&batch.header) {
        return Ok(batch.header.records());
    }
    let damaged = |error: batch::BatchError| {
        let offset = batch.header.base_offset;
        Failure::new(Code::ArchiveDamaged, format!("source partition {} at offset {offset}: {error}", share.partition))
    };
    let mut count = 0;
    places(batch, with, |place| count += u64::from(window.contains(place.timestamp))).map_err(damaged)?;
    Ok(count)
}
