//! What retention took away of a set, for whoever reads it: the newest `prune` entry counts, whichever point is read.
//!
//! A point that stays is read without what is hidden: rows of entries before the oldest point that stays, up to a low of
//! their partition. No row of a hidden point is needed for it, and its counts are those of its seal less what is hidden.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::limit::total;
use crate::prune_entry::{DeadRow, EVERY_ROW};
use crate::rollup::SealedPoint;
use crate::segment::{Footer, ShareRow};
use crate::state::{Replaced, SetState, TopicIdPartition};
use crate::{ArchiveError, Chain, Digest, Entry, Seal};

/// What is hidden of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Rows that end at or below are hidden; without it, all rows are.
    pub(crate) low: Option<i64>,
    /// Claim and number of the last segment of which rows are hidden.
    pub(crate) last: (u64, u64),
    /// Number of the entry that said so first.
    pub(crate) since: u64,
    /// Committed records of hidden rows.
    pub(crate) committed: u64,
    /// Their decompressed bytes.
    pub(crate) bytes: u64,
    /// Of both, what later timelines had replaced.
    pub(crate) replaced: Replaced,
}

/// As of when a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// What retention has taken away by now is left out.
    Now,
    /// What it had taken away with this entry, or nothing: for a restore that began then.
    Entry(Option<u64>),
}

/// What retention took away of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// Number of the entry that says so.
    pub(crate) entry: u64,
    /// Number of the oldest seal that stays, or of the entry itself where none does.
    oldest: u64,
    /// Digest of that seal.
    digest: Option<Digest>,
    /// In order.
    dead: Vec<DeadRow>,
    hidden: HashMap<TopicIdPartition, Hidden>,
}

impl Pruned {
    /// What an entry says; `None` when it is no `prune` entry.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let prune = entry.prune.as_ref()?;
        let mut dead = prune.dead.clone();
        dead.sort_unstable_by_key(|row| (row.claim, row.from));
        let hidden = prune.hidden.iter().filter_map(|row| {
            let hidden = Hidden {
                low: (row.low != EVERY_ROW).then_some(row.low),
                last: (row.claim, row.seq),
                since: row.since,
                committed: row.committed,
                bytes: row.bytes,
                replaced: Replaced { records: row.replaced, bytes: row.replaced_bytes },
            };
            // An entry with a row of a topic that it does not name is no entry.
            Some(((entry.topics.get(row.topic as usize)?.id, row.partition), hidden))
        });
        Some(Self {
            entry: entry.n,
            oldest: prune.oldest.as_ref().map_or(entry.n, |oldest| oldest.entry),
            digest: prune.oldest.as_ref().map(|oldest| oldest.digest.clone()),
            dead,
            hidden: hidden.collect(),
        })
    }

    /// What counts behind an entry: it says so itself, or names the entry that does.
    pub(crate) async fn as_of(chain: &Chain, entry: &Entry) -> Result<Option<Arc<Self>>, ArchiveError> {
        if let Some(pruned) = Self::of(entry) {
            return Ok(Some(Arc::new(pruned)));
        }
        let Some(number) = entry.last_prune else { return Ok(None) };
        let (found, _) = chain.entry(number).await?;
        let not_one = || {
            let what = format!("entry {} names it as the newest that retention wrote, and it is none", entry.n);
            ArchiveError::damaged(format!("entry {number}"), what)
        };
        Ok(Some(Arc::new(Self::of(&found).ok_or_else(not_one)?)))
    }

    /// What counts for whoever reads as of this moment.
    pub(crate) async fn as_read(
        chain: &Chain,
        last: &Entry,
        moment: Moment,
    ) -> Result<Option<Arc<Self>>, ArchiveError> {
        let number = match moment {
            Moment::Now => return Self::now(chain, last).await,
            Moment::Entry(None) => return Ok(None),
            Moment::Entry(Some(number)) => number,
        };
        let (entry, _) = chain.entry(number).await?;
        let no_prune = || ArchiveError::damaged(format!("entry {number}"), "it says nothing of retention");
        Ok(Some(Arc::new(Self::of(&entry).ok_or_else(no_prune)?)))
    }

    /// What counts now, for a reader of the log up to `last`: the end of the log says it. Where entries behind `last` cannot be
    /// read, the newest that can be read counts; that they cannot is told by whoever looks for the newest point.
    pub(crate) async fn now(chain: &Chain, last: &Entry) -> Result<Option<Arc<Self>>, ArchiveError> {
        if chain.ends_with(last.n).await? {
            return Self::as_of(chain, last).await;
        }
        match chain.head().await {
            Ok(Some(head)) if head.entry.n > last.n => return Self::as_of(chain, &head.entry).await,
            Ok(_) => return Self::as_of(chain, last).await,
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
        let end = chain.newest().await?.unwrap_or(last.n);
        for number in chain.candidates(end).await?.into_iter().rev().take_while(|number| *number > last.n) {
            match chain.entry(number).await {
                Ok((entry, _)) => return Self::as_of(chain, &entry).await,
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Self::as_of(chain, last).await
    }

    /// Whether the point that this entry seals is no more.
    pub(crate) fn hides_point(&self, seal: u64) -> bool {
        seal < self.oldest
    }

    /// Whether a segment is needed no more.
    pub(crate) fn is_dead(&self, claim: u64, seq: u64) -> bool {
        let behind = self.dead.partition_point(|row| (row.claim, row.from) <= (claim, seq));
        let row = behind.checked_sub(1).and_then(|place| self.dead.get(place));
        row.is_some_and(|row| row.claim == claim && seq < row.to)
    }

    /// Whether a row, or a share, of the segment with this claim and number is hidden; `next` is where it ends.
    pub(crate) fn hides(&self, segment: (u64, u64), topic: Uuid, partition: i32, next: i64) -> bool {
        let hidden = self.hidden.get(&(topic, partition));
        hidden.is_some_and(|hidden| segment <= hidden.last && hidden.low.is_none_or(|low| next <= low))
    }

    /// Whether a lineage is hidden whole.
    pub(crate) fn hides_all_of(&self, topic: Uuid) -> bool {
        self.hidden.iter().any(|((id, _), hidden)| *id == topic && hidden.low.is_none())
    }

    /// The dead segments.
    pub(crate) fn dead(&self) -> &[DeadRow] {
        &self.dead
    }

    /// What is hidden, by partition.
    pub(crate) fn hidden(&self) -> &HashMap<TopicIdPartition, Hidden> {
        &self.hidden
    }

    /// What is hidden of a partition; nothing where no row is.
    pub(crate) fn hidden_of(&self, key: TopicIdPartition) -> Option<&Hidden> {
        self.hidden.get(&key)
    }

    /// Whether a share of a footer is hidden.
    fn hides_share(&self, footer: &Footer, share: &ShareRow) -> bool {
        let topic = footer.topics.get(share.topic as usize);
        topic.is_some_and(|topic| self.hides((footer.claim, footer.seq), topic.id, share.partition, share.next))
    }

    /// Takes the shares out of a footer that are hidden.
    pub(crate) fn strip(&self, footer: &mut Footer) {
        let shares = std::mem::take(&mut footer.shares);
        footer.shares = shares.into_iter().filter(|share| !self.hides_share(footer, share)).collect();
    }

    /// Committed records of the hidden shares of a footer.
    pub(crate) fn hidden_records(&self, footer: &Footer) -> u64 {
        total(footer.shares.iter().filter(|share| self.hides_share(footer, share)).map(|share| share.committed))
    }

    /// Takes out of the counts of a point that stays what is hidden; `number` is that of its seal.
    pub(crate) fn take_out(&self, number: u64, seal: &mut Seal) {
        if self.hides_point(number) {
            return;
        }
        let Seal { topics, partitions, .. } = seal;
        for row in partitions {
            let Some(topic) = topics.get(row.topic as usize) else { continue };
            let Some(hidden) = self.hidden.get(&(topic.id, row.partition)) else { continue };
            row.committed = row.committed.saturating_sub(hidden.committed);
            row.bytes = row.bytes.saturating_sub(hidden.bytes);
            row.replaced = row.replaced.saturating_sub(hidden.replaced.records);
            row.replaced_bytes = row.replaced_bytes.saturating_sub(hidden.replaced.bytes);
            // Later seals say it themselves: a timeline that began since may begin below.
            if let Some(low) = hidden.low.filter(|_| number < hidden.since) {
                row.first = row.first.max(low);
            }
        }
    }

    /// The same of a point in a list.
    pub(crate) fn take_out_of_line(&self, point: &mut SealedPoint) {
        if self.hides_point(point.entry) {
            return;
        }
        for hidden in self.hidden.values() {
            point.records = point.records.saturating_sub(hidden.committed);
            point.bytes = point.bytes.saturating_sub(hidden.bytes);
            point.replaced = point.replaced.saturating_sub(hidden.replaced.records);
            point.replaced_bytes = point.replaced_bytes.saturating_sub(hidden.replaced.bytes);
        }
    }

    /// Whether a list of all seals has the oldest point that stays, as the entry names it; a list without it says nothing.
    pub(crate) fn agrees_with(&self, seals: &[SealedPoint]) -> bool {
        let found = seals.iter().find(|seal| seal.entry == self.oldest);
        found.is_none_or(|seal| self.digest.as_ref() == Some(&seal.digest))
    }

    /// What a writer goes on from behind the entry: its partitions begin where rows are left.
    pub(crate) fn move_starts(&self, state: &mut SetState) {
        for (key, hidden) in self.hidden.iter().filter(|(_, hidden)| hidden.since == self.entry) {
            if let (Some(row), Some(low)) = (state.partitions.get_mut(key), hidden.low) {
                row.first = row.first.max(low);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pruned(dead: &[(u64, u64, u64)]) -> Pruned {
        let row = |(claim, from, to): &(u64, u64, u64)| DeadRow { claim: *claim, from: *from, to: *to };
        let hidden = Hidden { low: Some(20), last: (4, 2), committed: 5, ..Hidden::default() };
        Pruned {
            entry: 9,
            oldest: 6,
            digest: None,
            dead: dead.iter().map(row).collect(),
            hidden: [((Uuid::nil(), 0), hidden), ((Uuid::nil(), 1), Hidden { last: (4, 2), ..Hidden::default() })]
                .into(),
        }
    }

    #[test]
    fn only_what_is_named_is_dead() {
        let pruned = pruned(&[(2, 0, 3), (2, 5, 6), (4, 1, 2)]);
        let dead: Vec<_> = [(1, 0), (2, 0), (2, 2), (2, 3), (2, 5), (2, 6), (3, 0), (4, 0), (4, 1), (4, 2)]
            .into_iter()
            .filter(|(claim, seq)| pruned.is_dead(*claim, *seq))
            .collect();
        assert_eq!(dead, [(2, 0), (2, 2), (2, 5), (4, 1)]);
    }

    #[test]
    fn rows_are_hidden_up_to_the_low_of_their_partition() {
        let pruned = pruned(&[]);
        let hides = |segment, partition, next| pruned.hides(segment, Uuid::nil(), partition, next);
        assert!(hides((4, 2), 0, 20) && hides((0, 99), 0, 20) && !hides((4, 2), 0, 21));
        assert!(!hides((4, 3), 0, 20) && !hides((5, 0), 0, 20), "a later segment");
        assert!(hides((4, 2), 1, i64::MAX) && !hides((5, 0), 1, 1), "all of it");
        assert!(!hides((4, 2), 2, 1) && !pruned.hides((4, 2), Uuid::from_u128(1), 0, 1));
        assert!(pruned.hides_point(5) && !pruned.hides_point(6));
    }
}
