//! Where source partitions stand whose last restored record names the record of the source that it was made of. Partitions are
//! restored in the order of their offsets: what lies behind that record is left, and nothing else.

use std::collections::{BTreeMap, HashMap};

use archive::{Point, ReadBatch, TopicIdPartition, Wanted};
use batch::{Decompressor, Window};
use contract::{Code, Failure, OnUnreadable};

use crate::restore::each_record::each_record;
use crate::restore::named::Named;
use crate::restore::plan::RestorePlan;
use crate::restore::tails::Tail;

/// For each partition of `begun` whose place is proved: an offset to read from, and how many records that are read then the
/// target has.
///
/// # Errors
/// When something of the archive is missing or damaged.
pub(super) async fn proven(
    point: &Point,
    plan: &RestorePlan,
    begun: &BTreeMap<TopicIdPartition, (usize, &Tail)>,
) -> Result<BTreeMap<TopicIdPartition, (i64, u64)>, Failure> {
    let named = begun.iter().filter(|_| plan.offset_headers);
    let walk = |(key, (_, tail)): (&TopicIdPartition, &(usize, &Tail))| {
        Some((*key, Walk::new(tail.named.clone()?, tail.done)))
    };
    let mut walks: BTreeMap<TopicIdPartition, Walk> = named.filter_map(walk).collect();
    if walks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut wanted = Wanted::new(HashMap::new(), plan.timelines(), plan.window);
    for (key, walk) in &walks {
        wanted.from.insert(*key, walk.named.offset);
        wanted.until.insert(*key, walk.named.offset.saturating_add(1));
    }
    let mut stream = point.stream(wanted).await?;
    let (windows, mut decompressor) = (plan.windows(), Decompressor::default());
    while let Some(share) = stream.next().await? {
        if let Some(walk) = walks.get_mut(&(share.topic, share.partition)) {
            walk.take(&share, (plan.on_unreadable, windows.of((share.topic, share.partition))), &mut decompressor)?;
        }
    }
    let proved = |(key, walk): (TopicIdPartition, Walk)| walk.before().map(|before| (key, (walk.named.offset, before)));
    Ok(walks.into_iter().filter_map(proved).collect())
}

/// Counts the records of the blocks around a named one.
#[derive(Debug)]
struct Walk {
    named: Named,
    /// Records in the target.
    done: u64,
    /// Records up to the named one.
    before: u64,
    last: i64,
    is_there: bool,
    /// Offsets go back: they do not say what was restored first.
    is_odd: bool,
}

impl Walk {
    fn new(named: Named, done: u64) -> Self {
        Self { named, done, before: 0, last: i64::MIN, is_there: false, is_odd: false }
    }

    fn take(
        &mut self,
        share: &ReadBatch,
        (on_unreadable, window): (OnUnreadable, Window),
        decompressor: &mut Decompressor,
    ) -> Result<(), Failure> {
        let range = share.from..share.until;
        for batch in share.batches.iter().filter(|batch| !window.misses(&batch.header)) {
            let mut records = Vec::new();
            let read = each_record(batch, window, decompressor, &mut |record| {
                if batch.header.takes(record.offset, &range) {
                    records.push((record.offset, self.named.is(record)));
                }
            });
            match read {
                Ok(()) => records.into_iter().for_each(|(offset, is_it)| self.pass(offset, is_it)),
                // None of its records was restored.
                Err(_) if on_unreadable == OnUnreadable::Skip => {}
                Err(error) => {
                    let text = format!(
                        "partition {} of topic {}: the batch at source offset {} cannot be read: {error}",
                        share.partition, share.topic, batch.header.base_offset
                    );
                    return Err(Failure::new(Code::ArchiveDamaged, text));
                }
            }
        }
        Ok(())
    }

    /// The next restored record.
    fn pass(&mut self, offset: i64, is_it: bool) {
        self.is_odd |= offset <= self.last;
        self.last = offset;
        self.is_there |= is_it;
        self.before += u64::from(offset <= self.named.offset);
    }

    /// Records up to the named one, when it is there and they can be in the target.
    fn before(&self) -> Option<u64> {
        (self.is_there && !self.is_odd && self.before <= self.done).then_some(self.before)
    }
}
