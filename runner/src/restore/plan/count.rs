//! Counts what a plan reads. Rows of the index count as they are; of rows that a window or a younger timeline cuts, the
//! records are counted one by one, as long as that is not too much to read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use archive::{Point, SegmentRow, Timelines, TopicIdPartition, Wanted};
use batch::{BatchError, Decompressor, RawBatch, RecordPlace, Window, places};
use contract::{Code, Failure, OnUnreadable};
use uuid::Uuid;

use super::{PartitionEnd, RestorePlan};
use crate::restore::part::Part;
use crate::restore::windows::Windows;

/// Bytes of cut rows that are read to count them; above it their records count as "at most".
const READ_AT_MOST: u64 = 512 << 20;

/// What is read of one source partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    /// First offset and offset after the last.
    pub(super) first: i64,
    pub(super) next: i64,
    pub(super) records: u64,
    pub(super) exact: bool,
    pub(super) bytes: u64,
    /// Lower bound of the timestamps.
    pub(super) oldest: Option<i64>,
}

/// A row that is read in part: its offsets, and how many records it has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    first: i64,
    next: i64,
    committed: u64,
}

/// Sums by source partition, and how many committed records there are without the window.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) of: HashMap<TopicIdPartition, Sum>,
    pub(super) without_window: u64,
}

/// What the rows of the index say.
#[derive(Debug, Default)]
struct Rows {
    sums: Sums,
    /// Rows that are read in part; the sums lack their records.
    cuts: HashMap<TopicIdPartition, Vec<Cut>>,
    /// Their bytes.
    to_read: u64,
}

/// What decides on what retention deletes of a topic that was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Retained {
    /// Lower bound of the timestamps, when there are records.
    pub(crate) oldest: Option<i64>,
    /// Bytes of the largest source partition.
    pub(crate) largest: u64,
}

/// What the rows of the archive say of each source topic of a plan. No record is read.
///
/// # Errors
/// When something of the index is missing or damaged.
pub(crate) async fn retained(point: &Point, plan: &RestorePlan) -> Result<HashMap<Uuid, Retained>, Failure> {
    let wanted = plan.wanted();
    let places = wanted.from.into_keys().collect();
    let sums = rows(point, &places, &plan.timelines(), &plan.windows()).await?.sums;
    let mut out: HashMap<Uuid, Retained> = HashMap::new();
    for ((topic, _), sum) in sums.of {
        let all = out.entry(topic).or_default();
        all.oldest = all.oldest.into_iter().chain(sum.oldest).min();
        all.largest = all.largest.max(sum.bytes);
    }
    Ok(out)
}

/// Where each partition ends that ends so many seconds before its own newest record, in order. No record is read: the index knows
/// the newest time of each of its rows.
///
/// # Errors
/// When something of the index is missing or damaged.
pub(crate) async fn ends(point: &Point, plan: &RestorePlan, secs: u64) -> Result<Vec<PartitionEnd>, Failure> {
    let timelines = plan.timelines();
    let mut newest: BTreeMap<TopicIdPartition, i64> = BTreeMap::new();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if row.committed == 0 || row.first >= timelines.end_of(topic, row.partition, row.timeline) {
            return;
        }
        let known = newest.entry((topic, row.partition)).or_insert(row.max_timestamp);
        *known = row.max_timestamp.max(*known);
    };
    point.each_row(None, &mut take).await?;
    let before = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1_000);
    let end = |((topic, partition), newest): (TopicIdPartition, i64)| PartitionEnd {
        topic,
        partition,
        end: newest.saturating_sub(before),
    };
    Ok(newest.into_iter().map(end).collect())
}

/// Counts what these partitions have in their windows.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(super) async fn count(
    point: &Point,
    places: HashSet<TopicIdPartition>,
    timelines: &Timelines,
    windows: &Windows,
    on_unreadable: OnUnreadable,
) -> Result<Sums, Failure> {
    let Rows { mut sums, cuts, to_read } = rows(point, &places, timelines, windows).await?;
    let counted =
        if to_read <= READ_AT_MOST { Some(read(point, &cuts, timelines, windows, on_unreadable).await?) } else { None };
    for (place, cuts) in &cuts {
        let Some(sum) = sums.of.get_mut(place) else { continue };
        if let Some(counted) = &counted {
            sum.records += counted.get(place).copied().unwrap_or(0);
        } else {
            sum.records += cuts.iter().map(|cut| cut.committed).sum::<u64>();
            sum.exact = false;
        }
    }
    Ok(sums)
}

/// Walks over the rows of these partitions.
async fn rows(
    point: &Point,
    places: &HashSet<TopicIdPartition>,
    timelines: &Timelines,
    windows: &Windows,
) -> Result<Rows, Failure> {
    let mut found = Rows::default();
    let Rows { sums, cuts, to_read } = &mut found;
    let mut take = |topic: Uuid, row: &SegmentRow| {
        let end = timelines.end_of(topic, row.partition, row.timeline);
        if row.committed == 0 || row.first >= end {
            return;
        }
        sums.without_window += row.committed;
        let (part, place) = (Part::of(row), (topic, row.partition));
        let window = windows.of(place);
        if part.misses(window) {
            return;
        }
        let sum = sums.of.entry(place).or_insert(Sum {
            first: row.first,
            next: row.first,
            records: 0,
            exact: true,
            bytes: 0,
            oldest: None,
        });
        sum.first = sum.first.min(row.first);
        sum.next = sum.next.max(row.next.min(end));
        sum.bytes += row.bytes;
        let oldest = row.min_timestamp.max(window.start);
        sum.oldest = Some(sum.oldest.map_or(oldest, |before| before.min(oldest)));
        if part.covers(window) && row.next <= end {
            sum.records += row.committed;
        } else {
            *to_read += row.bytes;
            // What lies behind the end is the next timeline's: its rows count by themselves.
            let next = row.next.min(end);
            cuts.entry(place).or_default().push(Cut { first: row.first, next, committed: row.committed });
        }
    };
    point.each_row(Some(places), &mut take).await?;
    Ok(found)
}

/// Counts the records of cut rows, by partition. Batches that cannot be read count nothing where the restore leaves them
/// out.
async fn read(
    point: &Point,
    cuts: &HashMap<TopicIdPartition, Vec<Cut>>,
    timelines: &Timelines,
    windows: &Windows,
    on_unreadable: OnUnreadable,
) -> Result<HashMap<TopicIdPartition, u64>, Failure> {
    let mut out = HashMap::new();
    if cuts.is_empty() {
        return Ok(out);
    }
    let mut wanted = Wanted::new(HashMap::new(), timelines.clone(), windows.all());
    for (place, cuts) in cuts {
        let (first, next) = (cuts.iter().map(|cut| cut.first).min(), cuts.iter().map(|cut| cut.next).max());
        if let (Some(first), Some(next)) = (first, next) {
            wanted.from.insert(*place, first);
            wanted.until.insert(*place, next);
        }
    }
    let mut stream = point.stream(wanted).await?;
    let mut decompressor = Decompressor::default();
    while let Some(share) = stream.next().await? {
        let Some(cuts) = cuts.get(&(share.topic, share.partition)) else { continue };
        let count = out.entry((share.topic, share.partition)).or_insert(0);
        let window = windows.of((share.topic, share.partition));
        for batch in &share.batches {
            let header = &batch.header;
            let of_cut_row = |offset: i64| cuts.iter().any(|cut| (cut.first..cut.next).contains(&offset));
            // The first batch of a row begins before it where the log began within the batch.
            let first = header.base_offset.max(share.from);
            if header.attributes.control() || window.misses(header) || !of_cut_row(first) {
                continue;
            }
            let offsets = share.from..share.until;
            match wanted_of(batch, &offsets, window, &mut decompressor) {
                Ok(records) => *count += records,
                Err(_) if on_unreadable == OnUnreadable::Skip => {}
                Err(error) => {
                    let text = format!(
                        "partition {} of topic {}: the batch at source offset {} cannot be read: {error}; to restore \
                         everything else, set restore.onUnreadable: skip",
                        share.partition, share.topic, header.base_offset
                    );
                    return Err(Failure::new(Code::ArchiveDamaged, text));
                }
            }
        }
    }
    Ok(out)
}

/// How many records of a batch are wanted.
fn wanted_of(
    batch: &RawBatch,
    offsets: &Range<i64>,
    window: Window,
    decompressor: &mut Decompressor,
) -> Result<u64, BatchError> {
    let counts = |place: RecordPlace| window.contains(place.timestamp) && batch.header.takes(place.offset, offsets);
    let mut count = 0;
    places(batch, decompressor, |place| count += u64::from(counts(place)))?;
    Ok(count)
}
