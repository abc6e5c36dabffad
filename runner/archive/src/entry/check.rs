//! What an entry may say before anybody follows its links or calculates with its numbers. A hostile store writes what it
//! likes; what cannot be is damage. Pure.

use super::{Entry, EntryKind, Fork, Gap, SegmentRef, SegmentRow};
use crate::prune_entry::{EVERY_ROW, Prune};
use crate::rollup_ref::RollupRef;
use crate::segment::TRAILER_LEN;
use crate::state::{PartitionState, TopicState};

/// Most partitions of a topic.
const PARTITIONS: i32 = 1_000_000;
/// Most bytes or records of one row: 1 PiB. Sums of rows stay numbers.
const COUNT: u64 = 1 << 50;

/// Why an entry cannot be; `None` when it can.
pub(crate) fn impossible(entry: &Entry) -> Option<&'static str> {
    let segments = u32::try_from(entry.segments.len()).unwrap_or(u32::MAX);
    let topics = u32::try_from(entry.topics.len()).unwrap_or(u32::MAX);
    let seal = entry.seal.as_deref();
    let sealed = seal.map_or(0, |seal| u32::try_from(seal.topics.len()).unwrap_or(u32::MAX));
    let earlier = |link: Option<u64>| link.is_none_or(|link| link < entry.n);
    let states = seal.iter().flat_map(|seal| &seal.topics).chain(&entry.members);
    let rules = [
        (
            entry.rows.iter().any(|row| row.segment >= segments || row.topic >= topics)
                || entry.positions.iter().any(|row| row.topic >= topics)
                || seal.is_some_and(|seal| seal.partitions.iter().any(|row| row.topic >= sealed)),
            "a row names a segment or topic that is not there",
        ),
        (
            (entry.n == 0) != entry.previous.is_none(),
            "it does not follow the entry before it: one of them was replaced",
        ),
        (
            entry.claim > entry.n || !earlier(entry.last_seal) || !earlier(entry.last_state),
            "it names an entry before it that comes later",
        ),
        (
            !earlier(entry.last_prune)
                || (entry.kind == EntryKind::Prune) != entry.prune.is_some()
                || entry.prune.as_ref().is_some_and(|prune| !is_prune(prune, entry.n, topics)),
            "what it says of retention cannot be",
        ),
        (
            entry.last_rollup.as_ref().is_some_and(|rollup| rollup.to >= entry.n || !can_be(rollup)),
            "it names a roll-up that cannot be",
        ),
        (!entry.segments.iter().all(is_segment), "it names a segment that cannot be"),
        (
            !(entry.rows.iter().all(is_row)
                && entry.positions.iter().all(is_position)
                && seal.is_none_or(|seal| seal.partitions.iter().all(is_position))
                && entry.gaps.iter().all(is_gap)
                && entry.forks.iter().all(is_fork)
                && states.into_iter().all(is_topic)),
            "a row has numbers that cannot be",
        ),
    ];
    rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
}

/// Whether entry `n` with so many topics can say this of retention.
fn is_prune(prune: &Prune, n: u64, topics: u32) -> bool {
    let hidden = prune.hidden.iter().all(|row| {
        row.topic < topics
            && (0..PARTITIONS).contains(&row.partition)
            && row.low >= EVERY_ROW
            && row.claim < n
            && row.since <= n
            && [row.committed, row.bytes, row.replaced, row.replaced_bytes].iter().all(|count| *count <= COUNT)
    });
    hidden
        && prune.oldest.as_ref().is_none_or(|oldest| oldest.entry < n)
        && prune.dead.iter().all(|row| row.claim < n && row.from < row.to)
}

/// Whether a roll-up covers entries, and its directory lies in it.
pub(crate) fn can_be(rollup: &RollupRef) -> bool {
    rollup.from <= rollup.to && rollup.to < u64::MAX && rollup.directory_at <= rollup.size && rollup.size <= COUNT
}

/// Whether a footer and a trailer fit into a segment.
pub(crate) fn is_segment(segment: &SegmentRef) -> bool {
    let parts = [segment.footer_at, segment.footer_length, segment.size];
    parts.iter().all(|part| *part <= COUNT) && segment.footer_at + segment.footer_length + TRAILER_LEN <= segment.size
}

/// Whether offsets and counts of a row can be.
pub(crate) fn is_row(row: &SegmentRow) -> bool {
    (0..PARTITIONS).contains(&row.partition)
        && (0..=row.next).contains(&row.first)
        && [row.bytes, row.records, row.committed].iter().all(|count| *count <= COUNT)
}

fn is_position(row: &PartitionState) -> bool {
    (0..PARTITIONS).contains(&row.partition)
        && [row.first, row.next].iter().all(|offset| *offset >= 0)
        && [row.committed, row.bytes].iter().all(|count| *count <= COUNT)
}

pub(crate) fn is_gap(gap: &Gap) -> bool {
    (0..PARTITIONS).contains(&gap.partition) && (0..=gap.to).contains(&gap.from)
}

pub(crate) fn is_fork(fork: &Fork) -> bool {
    (0..PARTITIONS).contains(&fork.partition) && fork.from >= 0
}

fn is_topic(topic: &TopicState) -> bool {
    (0..=PARTITIONS).contains(&topic.partitions) && topic.first_partitions.is_none_or(|count| count >= 0)
}
