//! What a reader does with the answer for one partition.

use std::sync::Arc;

use archive::{HeldBack, PendingBatch};
use batch::{BatchError, RawBatch};
use contract::{Code, Failure};
use tokio::time::Instant;
use wire::{FetchedPartition, Isolation, Request, WireError, code};

use super::active::{Active, PARTITION, REPLICA_LEASE, Stop, closed, subject};
use super::{Chunk, Reader};
use crate::backup::source::{Cursor, gap, oldest_open};
use crate::backup::transactions::{Fate, fates};

impl Reader {
    /// Takes what came for one partition; `true` when the next request will be another one.
    pub(super) async fn take(
        &mut self,
        active: &mut Active,
        part: FetchedPartition,
        pinned: usize,
    ) -> Result<bool, Stop> {
        match part.error {
            0 => {}
            // A follower may be behind its leader, or cut its log a little later.
            _ if active.leave_replica() => return Ok(true),
            code::OFFSET_OUT_OF_RANGE => return self.out_of_range(active).await.map(|()| true),
            other => return Err(Stop::Retry(WireError::broker(Request::Fetch, subject(&active.cursor), other))),
        }
        if let Some((epoch, end)) = part.diverging {
            let text = format!(
                "{}: read up to offset {} under leader epoch {}, but the log's epoch {epoch} ends at {end}",
                subject(&active.cursor),
                active.cursor.offset,
                active.cursor.last_epoch
            );
            return Err(Stop::Fail(Failure::new(Code::SourceDiverged, text)));
        }
        if let Some(replica) = part.preferred_replica {
            active.replica = Some((replica, Instant::now() + REPLICA_LEASE));
            return Ok(true);
        }
        let split = match batch::split(&part.records) {
            Ok(split) => split,
            Err(error) => return Err(Self::damaged(active, error)),
        };
        active.suspect = None;
        let marks = (part.log_start_offset, part.last_stable_offset, part.high_watermark);
        let cursor = &mut active.cursor;
        let mut batches = split.batches;
        batches.retain(|b| b.header.last_offset() >= cursor.offset && b.header.base_offset < cursor.target);
        if let Some(last) = batches.last().map(|last| last.header) {
            active.stalled_since = None;
            active.max_bytes = PARTITION;
            let pending = self.decide(cursor, batches, &part.aborted)?;
            let records = pending.iter().map(|batch| batch.raw.header.records()).sum();
            self.shared.limiter.moved(records, part.records.len() as u64);
            let (topic, partition) = (cursor.topic_id, cursor.partition);
            let converted = split.converted.then(|| Arc::clone(&cursor.topic));
            let chunk = Chunk::Batches { topic, partition, batches: pending, pinned, marks, converted };
            self.shared.chunks.send(chunk).await.map_err(|_| closed())?;
            (cursor.offset, cursor.last_epoch) = (last.next_offset(), last.leader_epoch);
            active.behind = cursor.offset < part.last_stable_offset;
            active.told = marks;
            return Ok(true);
        }
        if let Some(size) = split.tail_size.filter(|_| split.tail > 0) {
            active.max_bytes = i32::try_from(size).unwrap_or(i32::MAX).max(PARTITION);
            return Ok(true);
        }
        active.behind = active.cursor.offset < part.last_stable_offset;
        if active.follows() {
            if active.told != marks {
                active.told = marks;
                let chunk = Chunk::Marks { topic: active.cursor.topic_id, partition: active.cursor.partition, marks };
                self.shared.chunks.send(chunk).await.map_err(|_| closed())?;
            }
        } else if part.records.is_empty() && part.last_stable_offset < active.cursor.target {
            self.wait_or_cut(active, part.last_stable_offset).await?;
        }
        Ok(false)
    }

    fn decide(
        &mut self,
        cursor: &Cursor,
        batches: Vec<RawBatch>,
        aborted: &[(i64, i64)],
    ) -> Result<Vec<PendingBatch>, Stop> {
        let fates = fates(&batches, aborted, &mut self.decompressor).map_err(|error| {
            let text = format!("{} at offset {}: {error}", subject(cursor), cursor.offset);
            Stop::Fail(Failure::new(Code::CorruptBatch, text))
        })?;
        let mut pending = Vec::with_capacity(batches.len());
        for (raw, fate) in batches.into_iter().zip(fates) {
            let from = raw.header.base_offset.max(cursor.offset);
            let visible = self.visible(cursor, &raw)?;
            pending.push(PendingBatch {
                topic: cursor.topic_id,
                partition: cursor.partition,
                timeline: cursor.timeline,
                from,
                committed: if fate == Fate::Committed { visible } else { 0 },
                aborted: fate == Fate::Aborted,
                raw,
            });
        }
        Ok(pending)
    }

    /// Records that consumers see. Only a batch that the log start cuts through has to be decoded for that.
    fn visible(&mut self, cursor: &Cursor, raw: &RawBatch) -> Result<u64, Stop> {
        if raw.header.base_offset >= cursor.offset {
            return Ok(raw.header.records());
        }
        let first = i64::from(i32::MAX).min(cursor.offset - raw.header.base_offset);
        let count = batch::payload(raw, &mut self.decompressor, batch::PAYLOAD_LIMIT).and_then(|bytes| {
            let mut count = 0;
            for record in batch::RecordIter::new(&raw.header, &bytes) {
                count += u64::from(i64::from(record?.offset_delta) >= first);
            }
            Ok(count)
        });
        count.map_err(|error| {
            let text = format!("{} at offset {}: {error}", subject(cursor), cursor.offset);
            Stop::Fail(Failure::new(Code::CorruptBatch, text))
        })
    }

    /// Nothing comes although the target is not reached: transactions are open.
    async fn wait_or_cut(&mut self, active: &mut Active, stable: i64) -> Result<(), Stop> {
        let since = *active.stalled_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.shared.transaction_wait {
            return Ok(());
        }
        let cursor = &mut active.cursor;
        let (cluster, now_ms) = (&self.shared.cluster, self.shared.now_ms);
        let (producer_id, age_ms) = oldest_open(cluster, &cursor.topic, cursor.partition, now_ms).await;
        let held = HeldBack {
            topic: cursor.topic.to_string(),
            partition: cursor.partition,
            from: stable,
            to: cursor.target,
            producer_id,
            age_ms,
        };
        self.shared.chunks.send(Chunk::HeldBack(held)).await.map_err(|_| closed())?;
        cursor.target = cursor.offset;
        Ok(())
    }

    /// The log start overtook us (a gap), or the log was cut below our position.
    async fn out_of_range(&mut self, active: &mut Active) -> Result<(), Stop> {
        let cursor = &mut active.cursor;
        let name = [cursor.topic.to_string()];
        let topics = self.shared.cluster.topics(Some(&name)).await.map_err(Stop::Retry)?;
        Self::check_topic(cursor, topics.first()).map_err(Stop::Fail)?;
        let starts = self.shared.cluster.offsets(&topics, wire::OffsetAt::Start, Isolation::Uncommitted).await;
        let starts = starts.map_err(Stop::Retry)?;
        let start = starts.get(&(cursor.topic.to_string(), cursor.partition)).copied().unwrap_or(0);
        if start <= cursor.offset && cursor.last_epoch >= 0 {
            // The broker may only have forgotten the epoch that we name.
            cursor.last_epoch = -1;
            return Ok(());
        }
        if start <= cursor.offset {
            let text = format!("{}: the log was cut below offset {} while it was read", subject(cursor), cursor.offset);
            return Err(Stop::Fail(Failure::new(Code::SourceDiverged, text)));
        }
        let to = start.min(cursor.target);
        let gap = gap(cursor.topic_id, &cursor.topic, cursor.partition, cursor.offset, to);
        self.shared.chunks.send(Chunk::Gap(gap)).await.map_err(|_| closed())?;
        (cursor.offset, cursor.last_epoch) = (to, -1);
        Ok(())
    }

    /// A damaged answer is asked for once more: the wire may have been at fault.
    fn damaged(active: &mut Active, error: BatchError) -> Stop {
        let cursor = &active.cursor;
        if active.suspect == Some(cursor.offset) {
            let text = format!("{} from offset {}: {error}", subject(cursor), cursor.offset);
            return Stop::Fail(Failure::new(Code::CorruptBatch, text));
        }
        active.suspect = Some(cursor.offset);
        Stop::Retry(WireError::damaged(subject(cursor), error.to_string()))
    }
}
