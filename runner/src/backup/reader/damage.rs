//! A batch that comes damaged: it is asked for twice, then from every other replica in sync (KIP-392), and when none has it
//! whole, its offsets become a gap, once the batch behind it is found. Brokers do not check what they serve, so
//! such a batch stays as long as retention keeps it, and must not hold up anything else.
//!
//! Where no whole batch follows, nothing is given up for good: the partition stays where it is, and a later run looks again.

use std::time::Duration;

use archive::GapReason;
use batch::Damage;
use contract::{Code, Failure};
use wire::{FetchOptions, FetchedPartition, Isolation, Request, Retry, WireError, code};

use super::active::{Active, Damaged, PARTITION};
use super::meaning::{Asked, Meaning, meaning};
use super::{Chunk, Reader};

/// A whole batch behind a damaged one.
#[derive(Debug, Clone, Copy)]
struct Whole {
    /// The first offset that brings it.
    at: i64,
    /// Its own first offset.
    base: i64,
}

/// What a broker has for an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A whole batch that begins here.
    Whole(i64),
    /// A damaged batch.
    Damaged,
    /// No batch covers it, nor follows it.
    Nothing,
}

/// A batch was there a moment ago.
const VANISHED: &str = "the broker had a batch behind the damaged one, and a moment later it had none";

/// What an answer says of the offset that was asked for. Only what is damaged lets the search look above it: whoever does not
/// answer for this log says nothing of it.
///
/// # Errors
/// Whatever else is in the way: it is tried again.
fn seen(meaning: Meaning, subject: &str) -> Result<Seen, WireError> {
    match meaning {
        Meaning::Records(found) => {
            Ok(found.taken.first().map_or(Seen::Nothing, |first| Seen::Whole(first.header.base_offset)))
        }
        Meaning::Damaged(_) | Meaning::Refused(code::CORRUPT_MESSAGE) => Ok(Seen::Damaged),
        Meaning::Waiting | Meaning::UpToDate | Meaning::NothingBefore(_) => Ok(Seen::Nothing),
        Meaning::Refused(code) => Err(WireError::broker(Request::Fetch, subject, code)),
        Meaning::OutOfRange => Err(WireError::broker(Request::Fetch, subject, code::OFFSET_OUT_OF_RANGE)),
        Meaning::Diverged { .. } | Meaning::Elsewhere(_) | Meaning::Held | Meaning::Short(_) | Meaning::TooLarge(_) => {
            Err(WireError::no_progress(subject, "the search for a whole batch met another log"))
        }
    }
}

impl Reader {
    /// The next batch is damaged; `true` when the next request will be another one.
    pub(super) async fn damaged(&mut self, active: &mut Active, damage: Damage) -> Result<bool, Failure> {
        let offset = active.cursor.offset;
        let known = active.damaged.take().filter(|known| known.offset == offset);
        let mut damaged =
            known.unwrap_or_else(|| Damaged { offset, damage: damage.clone(), once: false, asked: Vec::new() });
        damaged.damage.next_base = damaged.damage.next_base.or(damage.next_base);
        if !damaged.once {
            damaged.once = true;
            active.damaged = Some(damaged);
            return Ok(true);
        }
        damaged.once = false;
        damaged.asked.push(self.broker);
        active.replica = active.other_replica(&damaged.asked);
        if active.replica.is_some() {
            active.damaged = Some(damaged);
            return Ok(true);
        }
        self.give_up(active, damaged).await
    }

    /// No replica has the batch whole.
    async fn give_up(&mut self, active: &mut Active, damaged: Damaged) -> Result<bool, Failure> {
        let offset = active.cursor.offset;
        let named = damaged.damage.next_base.filter(|next| *next > offset);
        let next = match named {
            Some(next) => Some(next),
            None => match self.next_whole(active).await {
                // A batch that contradicts another one is left by offsets; any other that covers the position is whole now.
                Ok(Some(Whole { base, .. })) if base <= offset && damaged.damage.error != batch::ORDER => {
                    let again = WireError::damaged(active.subject(), "a batch came damaged, and whole a moment later");
                    active.pacing.stalls(again.into(), self.lull);
                    self.note_trouble(active);
                    return Ok(false);
                }
                Ok(next) => next.map(|whole| if whole.base > offset { whole.base } else { whole.at }),
                Err(error) if error.retry() == Retry::Never => return Err(error.into()),
                Err(error) => {
                    active.loses_broker();
                    self.fails(active, &error);
                    return Ok(true);
                }
            },
        };
        let text = format!(
            "{}: the batch at offset {offset} is damaged on every replica: {}",
            active.subject(),
            damaged.damage.error
        );
        let Some(next) = next else {
            active.pacing.gives_up(Code::CorruptBatch, format!("{text}; no whole batch follows it"));
            active.damaged = Some(Damaged { asked: Vec::new(), ..damaged });
            self.note_trouble(active);
            return Ok(false);
        };
        let to = next.min(active.cursor.target);
        self.shared.tell(Chunk::Warning(format!("{text}; offsets {offset} to {} are left out", to - 1))).await?;
        self.lose(active, to, GapReason::Damaged).await?;
        Ok(true)
    }

    /// The first whole batch behind the position: brokers find a batch by an offset in it, so those behind a damaged one are
    /// found by asking for greater offsets, at first with growing steps, then between the last two.
    async fn next_whole(&self, active: &Active) -> Result<Option<Whole>, WireError> {
        let Some(mut end) = self.last_stable(active).await? else { return Ok(None) };
        // Nothing whole is found at `damaged`; asking for `readable` brings the batch at `base`; nothing is there from `end` on.
        let mut damaged = active.cursor.offset;
        let mut step = 1;
        let (mut readable, mut base) = loop {
            let at = damaged.saturating_add(step).min(end - 1);
            if at <= damaged {
                return Ok(None);
            }
            match self.seen_at(active, at).await? {
                Seen::Whole(base) => break (at, base),
                Seen::Damaged => (damaged, step) = (at, step.saturating_mul(2)),
                Seen::Nothing => (end, step) = (at, ((at - damaged) / 2).max(1)),
            }
        };
        while readable - damaged > 1 {
            let middle = damaged + (readable - damaged) / 2;
            match self.seen_at(active, middle).await? {
                Seen::Whole(found) => (readable, base) = (middle, found),
                Seen::Damaged => damaged = middle,
                Seen::Nothing => return Err(WireError::no_progress(active.subject(), VANISHED)),
            }
        }
        Ok(Some(Whole { at: readable, base }))
    }

    async fn last_stable(&self, active: &Active) -> Result<Option<i64>, WireError> {
        let part = self.fetch_one(active, active.cursor.offset, PARTITION).await?;
        // An answer with an error tells no end, but earlier ones did.
        let told = active.told.stable.max(active.cursor.stable);
        let stable = if part.error == 0 { part.last_stable_offset } else { told };
        Ok(Some(stable).filter(|end| *end > active.cursor.offset))
    }

    /// What the broker has for this offset.
    async fn seen_at(&self, active: &Active, offset: i64) -> Result<Seen, WireError> {
        let mut most = PARTITION;
        loop {
            let part = self.fetch_one(active, offset, most).await?;
            let alone = usize::try_from(most).ok();
            let asked = Asked { offset, target: i64::MAX, stable: 0, joined: false, alone };
            match meaning(asked, &part) {
                // The same size is never asked for again: what does not fit then is damaged.
                Meaning::TooLarge(size) => most = i32::try_from(size).unwrap_or(i32::MAX),
                meaning => return seen(meaning, &active.subject()),
            }
        }
    }

    async fn fetch_one(&self, active: &Active, offset: i64, most: i32) -> Result<FetchedPartition, WireError> {
        let connection = self.shared.cluster.broker(self.broker, self.lane, Some(&self.shared.budget)).await?;
        let options = FetchOptions {
            isolation: Isolation::Committed,
            max_bytes: most,
            max_wait: Duration::ZERO,
            rack: "".into(),
        };
        let spot = wire::FetchSpot { offset, last_epoch: -1, max_bytes: most, ..active.spot() };
        let answer = connection.fetch(&[spot], &options).await?;
        let part = answer.partitions.into_iter().next();
        part.ok_or_else(|| WireError::no_progress(active.subject(), "the answer names no partition"))
    }
}

#[cfg(test)]
mod tests {
    use batch::Damage;

    use super::*;

    #[test]
    fn only_damage_lets_the_search_look_above_it() {
        let at = |meaning| seen(meaning, "t/0");
        let damage = Damage { error: batch::ORDER, next_base: None };
        assert_eq!(at(Meaning::Damaged(damage)).unwrap(), Seen::Damaged);
        assert_eq!(at(Meaning::Refused(code::CORRUPT_MESSAGE)).unwrap(), Seen::Damaged);
        // Whole batches may lie below an empty answer, never above it.
        assert_eq!(at(Meaning::Waiting).unwrap(), Seen::Nothing);
        assert_eq!(at(Meaning::UpToDate).unwrap(), Seen::Nothing);
        for refused in [6, -1, 56, 74, 75, 100] {
            let error = at(Meaning::Refused(refused)).unwrap_err();
            assert_eq!(error.broker_code(), Some(refused));
        }
        assert!(at(Meaning::OutOfRange).is_err() && at(Meaning::Elsewhere(3)).is_err());
        assert!(at(Meaning::Diverged { epoch: 1, end: 2 }).is_err() && at(Meaning::Short(9)).is_err());
    }
}
