//! What the claim of a run says that gives up lost segments: what is left of their partitions, gaps, new timelines.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use crate::entry::SegmentRow;
use crate::index::Index;
use crate::lost::LostSegment;
use crate::point::load_footer;
use crate::reason::GapReason;
use crate::regain::{LogStart, LostRanges, Outcome, outcome};
use crate::replaced::replaced;
use crate::segment::{Footer, ShareRow};
use crate::state::{SetState, TopicIdPartition};
use crate::timeline::Timelines;
use crate::writer_options::Moves;
use crate::{ArchiveError, Fork, Gap, Layout, PartitionState, Store};

/// Footers that are read at once.
const AT_ONCE: usize = 16;
/// The leader epoch of a position that has no batch before it.
const NO_EPOCH: i32 = -1;

/// What a claim gives up.
#[derive(Debug)]
pub(crate) struct GivenUp {
    /// Segments that count no more.
    pub(crate) lost: Vec<LostSegment>,
    /// What follows for the partitions that they held rows of.
    pub(crate) moves: Moves,
}

/// What is left of a partition.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    committed: u64,
    bytes: u64,
    max_timestamp: i64,
    /// The last row that a reader finds below the fork.
    before: Option<Before>,
}

/// A row below a fork.
#[derive(Debug, Clone, Copy)]
struct Before {
    first: i64,
    /// Where its timeline ends for the reader.
    end: i64,
    timeline: u32,
    /// Position of its segment in the index.
    segment: u32,
}

/// Works out what follows from the loss of these segments of an index.
pub(super) async fn give_up(
    store: &Store,
    layout: &Layout,
    index: &Index,
    lost: &HashSet<u32>,
    (ranges, starts, state): (&LostRanges, &BTreeMap<TopicIdPartition, LogStart>, &SetState),
) -> Result<GivenUp, ArchiveError> {
    let timelines = Timelines::new(&index.forks);
    let mut outcomes: BTreeMap<TopicIdPartition, Outcome> = BTreeMap::new();
    for (key, ranges) in ranges.iter() {
        let start = starts.get(&key).copied().unwrap_or(LogStart::Gone);
        outcomes.insert(key, outcome(ranges, |timeline| timelines.end_of(key.0, key.1, timeline), start));
    }
    let left = what_is_left(index, lost, &ranges.partitions(), &timelines, &outcomes).await?;
    let epochs = epochs(store, layout, index, &left).await?;
    let forks = outcomes.iter().filter_map(|(key, outcome)| {
        let (timeline, name) = (timelines.newest(key.0, key.1) + 1, String::new());
        Some(Fork { topic: key.0, name, partition: key.1, timeline, from: outcome.fork? })
    });
    let after = Timelines::new(&index.forks.iter().cloned().chain(forks).collect::<Vec<_>>());
    let is_left = |_: Uuid, row: &SegmentRow| !lost.contains(&row.segment);
    let replaced = replaced(store, layout, index, (&ranges.partitions(), &is_left), &after).await?;
    let mut moves = Moves::default();
    for (key, outcome) in outcomes {
        let (Some(row), Some(topic)) = (state.partitions.get(&key), state.topics.get(&key.0)) else {
            let reason = format!("partition {} of topic {} has rows and no position", key.1, key.0);
            return Err(ArchiveError::damaged(store.show(&layout.log()), reason));
        };
        let left = left.get(&key).copied().unwrap_or_default();
        let mut replaced = replaced.get(&key).copied().unwrap_or_default();
        // Counts of seals go over hidden rows as well.
        let hidden = index.hidden_of(key);
        if let Some(hidden) = hidden {
            replaced.add(hidden.replaced.records, hidden.replaced.bytes);
        }
        let mut row = PartitionState {
            committed: left.committed.saturating_add(hidden.map_or(0, |hidden| hidden.committed)),
            bytes: left.bytes.saturating_add(hidden.map_or(0, |hidden| hidden.bytes)),
            max_timestamp: left.max_timestamp,
            ..row.clone()
        };
        row.replace(replaced);
        say(&mut moves, (key, &topic.name), row, &outcome, epochs.get(&key).copied());
    }
    let lost = index.segments.iter().zip(0u32..).filter(|(_, place)| lost.contains(place));
    let lost = lost.map(|(segment, _)| LostSegment {
        claim: segment.claim,
        nonce: segment.nonce.clone(),
        seq: segment.seq,
        size: segment.size,
    });
    Ok(GivenUp { lost: lost.collect(), moves })
}

/// Adds what a claim says of one partition; `epoch` is the leader epoch of the last batch below its fork.
fn say(
    moves: &mut Moves,
    (key, name): (TopicIdPartition, &str),
    mut row: PartitionState,
    outcome: &Outcome,
    epoch: Option<i32>,
) {
    let gap = |from, to, timeline| Gap {
        topic: key.0,
        name: name.to_owned(),
        partition: key.1,
        from,
        to,
        reason: GapReason::SegmentLost,
        timeline,
    };
    moves.gaps.extend(outcome.gaps.iter().map(|(from, to)| gap(*from, *to, None)));
    moves.gaps.extend(outcome.older.iter().map(|lost| gap(lost.from, lost.to, Some(lost.timeline))));
    if let Some(from) = outcome.fork {
        row.timeline += 1;
        row.first = row.first.min(from);
        row.next = from;
        // The epoch before a gap says nothing about what follows it.
        let follows_gap = outcome.gaps.last().is_some_and(|(_, to)| *to == from);
        row.epoch = epoch.filter(|_| !follows_gap).unwrap_or(NO_EPOCH);
        moves.forks.push(Fork { topic: key.0, name: name.to_owned(), partition: key.1, timeline: row.timeline, from });
    }
    moves.positions.push((key.0, row));
}

/// Adds up the rows of these partitions that are not lost.
async fn what_is_left(
    index: &Index,
    lost: &HashSet<u32>,
    only: &HashSet<TopicIdPartition>,
    timelines: &Timelines,
    outcomes: &BTreeMap<TopicIdPartition, Outcome>,
) -> Result<BTreeMap<TopicIdPartition, Left>, ArchiveError> {
    let mut out: BTreeMap<TopicIdPartition, Left> = BTreeMap::new();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if lost.contains(&row.segment) {
            return;
        }
        let key = (topic, row.partition);
        let left = out.entry(key).or_default();
        left.committed = left.committed.saturating_add(row.committed);
        left.bytes = left.bytes.saturating_add(row.bytes);
        left.max_timestamp = left.max_timestamp.max(row.max_timestamp);
        let Some(fork) = outcomes.get(&key).and_then(|outcome| outcome.fork) else { return };
        let end = timelines.end_of(topic, row.partition, row.timeline).min(fork);
        if row.first < end && left.before.is_none_or(|before| before.first < row.first) {
            left.before = Some(Before { first: row.first, end, timeline: row.timeline, segment: row.segment });
        }
    };
    index.each_row(Some(only), &mut take).await?;
    Ok(out)
}

/// The leader epoch of the last batch below each fork: the source is compared with it before anything is read again.
async fn epochs(
    store: &Store,
    layout: &Layout,
    index: &Index,
    left: &BTreeMap<TopicIdPartition, Left>,
) -> Result<HashMap<TopicIdPartition, i32>, ArchiveError> {
    let mut wanted: BTreeMap<u32, Vec<(TopicIdPartition, Before)>> = BTreeMap::new();
    for (key, before) in left.iter().filter_map(|(key, left)| Some((*key, left.before?))) {
        wanted.entry(before.segment).or_default().push((key, before));
    }
    let load = |(place, wanted): (u32, Vec<(TopicIdPartition, Before)>)| {
        let (store, layout, segment) = (store.clone(), layout.clone(), index.segments.get(place as usize).cloned());
        async move {
            let stray = || ArchiveError::damaged(store.show(&layout.log()), format!("a row names segment {place}"));
            let footer = load_footer(&store, &layout, &segment.ok_or_else(stray)?).await?;
            let epoch = |(key, before): (TopicIdPartition, Before)| Some((key, last_epoch(&footer, key, before)?));
            Ok::<_, ArchiveError>(wanted.into_iter().filter_map(epoch).collect::<Vec<_>>())
        }
    };
    let found: Vec<_> = futures::stream::iter(wanted).map(load).buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

fn last_epoch(footer: &Footer, key: TopicIdPartition, before: Before) -> Option<i32> {
    let is_it = |share: &&ShareRow| {
        (share.partition, share.timeline) == (key.1, before.timeline)
            && share.first < before.end
            && footer.topics.get(share.topic as usize).is_some_and(|topic| topic.id == key.0)
    };
    Some(footer.shares.iter().rfind(is_it)?.epoch)
}
