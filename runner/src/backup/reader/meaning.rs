//! What the answer for one partition of a fetch means. Pure: all that a reader does about an answer follows from here,
//! and where a partition ends does, too.
//!
//! A partition is read up to its target. When only open transactions keep records from it, everything below the last
//! stable offset is read first, and then it is [`Meaning::Held`]. An answer without records is never an end by itself.

use batch::{Damage, RawBatch};
use wire::{BrokerId, FetchedPartition, code};

/// A batch that is announced to be larger than this is taken for a damaged length: no frame can be so large.
const LARGEST: usize = 1 << 30;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Next offset to read.
    pub(super) offset: i64,
    /// Where the partition ends; the largest number when it is followed.
    pub(super) target: i64,
    /// What consumers saw when the run began, up to the target: nothing below it is left out as undecided.
    pub(super) stable: i64,
    /// The batch before the position was stored: another one that reaches back below it contradicts that.
    pub(super) joined: bool,
    /// Most bytes that were asked for, when nothing else was asked with it: the answer has all that fits.
    pub(super) alone: Option<usize>,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Batches to store.
    Records(Batches),
    /// The source has no batch between the position and this offset.
    NothingBefore(Next),
    /// The next batch needs an answer of this size.
    TooLarge(usize),
    /// Everything below the last stable offset is read, and open transactions stand between it and the target.
    Held,
    /// Everything is read, and the log ends below the target: a new leader may know less for a moment, or has lost
    /// records. The log's end.
    Short(i64),
    /// Records wait below the last stable offset, and none came.
    Waiting,
    /// Nothing is there to read; the partition is followed.
    UpToDate,
    /// This replica is nearer.
    Elsewhere(BrokerId),
    /// The broker has no such offset.
    OutOfRange,
    /// The broker's log is another one: the largest epoch that is not above ours, and its end.
    Diverged { epoch: i32, end: i64 },
    /// The next batch is damaged.
    Damaged(Damage),
    /// The broker answered with this error.
    Refused(i16),
}

impl Meaning {
    /// Whether a follower may say so while its leader has more: one whose fetcher died stays where it is.
    pub(super) fn may_be_of_a_follower(&self) -> bool {
        match self {
            Self::Held | Self::Short(_) | Self::OutOfRange | Self::Diverged { .. } | Self::Refused(_) => true,
            // Waiting is counted before the leader is asked; damage asks every replica by itself.
            Self::Waiting
            | Self::Damaged(_)
            | Self::Records(_)
            | Self::NothingBefore(_)
            | Self::TooLarge(_)
            | Self::UpToDate
            | Self::Elsewhere(_) => false,
        }
    }
}

/// A position that a batch of the source proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) offset: i64,
    /// Leader epoch of the batch before it, or, where the source has nothing between, of the one behind it: the source
    /// is asked about it when the position is taken up again.
    pub(super) epoch: i32,
}

/// Batches of an answer.
#[derive(Debug)]
pub(super) struct Batches {
    /// Batches from the position on, below the target; the first and the last may reach beyond.
    pub(super) taken: Vec<RawBatch>,
    /// The position after them.
    pub(super) next: Next,
    /// Some were messages of an old format.
    pub(super) converted: bool,
}

/// Says what an answer means.
pub(super) fn meaning(asked: Asked, part: &FetchedPartition) -> Meaning {
    match part.error {
        0 => {}
        code::OFFSET_OUT_OF_RANGE => return Meaning::OutOfRange,
        other => return Meaning::Refused(other),
    }
    if let Some((epoch, end)) = part.diverging {
        return Meaning::Diverged { epoch, end };
    }
    if let Some(replica) = part.preferred_replica {
        return Meaning::Elsewhere(replica);
    }
    let (split, damage) = batch::split_sound(&part.records);
    let mut batches = split.batches;
    batches.retain(|batch| batch.header.last_offset() >= asked.offset);
    if let Some(first) = batches.first().filter(|first| asked.joined && first.header.base_offset < asked.offset) {
        let next_base = Some(first.header.next_offset());
        return Meaning::Damaged(Damage { error: batch::ORDER, next_base });
    }
    let beyond = batches.iter().position(|batch| batch.header.base_offset >= asked.target);
    // A batch behind the target proves that nothing lies between the last one before it and the target.
    let proof = beyond.and_then(|place| batches.get(place)).map(|batch| batch.header.leader_epoch);
    let at_target = proof.map(|epoch| Next { offset: asked.target, epoch });
    if let Some(place) = beyond {
        batches.truncate(place);
    }
    if let Some(last) = batches.last().map(|batch| batch.header) {
        let after = Next { offset: last.next_offset(), epoch: last.leader_epoch };
        let next = at_target.filter(|next| next.offset > after.offset).unwrap_or(after);
        return Meaning::Records(Batches { taken: batches, next, converted: split.converted });
    }
    if let Some(next) = at_target {
        return Meaning::NothingBefore(next);
    }
    if let Some(damage) = damage {
        return Meaning::Damaged(damage);
    }
    if split.tail > 0 {
        return cut_off(asked, split.tail_size);
    }
    nothing(asked, part)
}

/// The first batch did not fit into the answer.
fn cut_off(asked: Asked, size: Option<usize>) -> Meaning {
    let lies = |size: usize| size > LARGEST || asked.alone.is_some_and(|most| size <= most);
    match size {
        Some(size) if lies(size) => Meaning::Damaged(Damage {
            error: batch::BatchError::Invalid { what: "batch length", position: 8 },
            next_base: None,
        }),
        Some(size) => Meaning::TooLarge(size),
        None => Meaning::Waiting,
    }
}

/// No batch came.
fn nothing(asked: Asked, part: &FetchedPartition) -> Meaning {
    // Brokers before Fetch 4 tell no last stable offset, and any broker may not know it for a moment.
    if part.last_stable_offset < 0 || asked.offset < part.last_stable_offset {
        Meaning::Waiting
    } else if asked.target == i64::MAX {
        Meaning::UpToDate
    } else if part.high_watermark <= part.last_stable_offset || asked.offset < asked.stable {
        Meaning::Short(part.high_watermark)
    } else {
        Meaning::Held
    }
}

/// The first offset at or after the position that the source has a batch for, by an answer that shows records of open
/// transactions, too. `None` when it proves nothing.
pub(super) fn first_batch(offset: i64, part: &FetchedPartition) -> Option<Next> {
    if part.error != 0 || part.diverging.is_some() || part.preferred_replica.is_some() {
        return None;
    }
    let (split, _) = batch::split_sound(&part.records);
    let first = split.batches.iter().find(|batch| batch.header.last_offset() >= offset)?.header;
    (first.base_offset > offset).then_some(Next { offset: first.base_offset, epoch: first.leader_epoch })
}

#[cfg(test)]
mod tests;
