//! A reader: fetches its share of the partitions over connections of its own until each reached its target.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use archive::{Gap, HeldBack, PendingBatch};
use batch::{BatchError, Decompressor, RawBatch};
use contract::{Code, Failure};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Backoff, Budget, Cluster, FetchSpot, FetchedPartition, Isolation, Retry, WireError, code};

use super::source::{Cursor, gap};
use super::transactions::{Fate, fates};

/// Partitions named in one request.
const SPOTS: usize = 256;
/// Most bytes of one answer.
const ANSWER: i32 = 8 << 20;
/// Most bytes of one partition in an answer.
const PARTITION: i32 = 4 << 20;
/// How long the broker waits for data that open transactions hold back.
const LONG_POLL: Duration = Duration::from_millis(500);

/// What a reader tells the collector.
#[derive(Debug)]
pub(crate) enum Chunk {
    /// Batches of one partition, in offset order.
    Batches {
        topic: Uuid,
        partition: i32,
        batches: Vec<PendingBatch>,
        /// Bytes of the frame that these batches keep in memory.
        pinned: usize,
    },
    /// The source lost offsets.
    Gap(Gap),
    /// Open transactions kept a partition from its target.
    HeldBack(HeldBack),
}

/// What all readers of a run share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) budget: Budget,
    pub(crate) chunks: mpsc::Sender<Chunk>,
    pub(crate) cancel: CancellationToken,
    /// How long open transactions are waited for.
    pub(crate) transaction_wait: Duration,
    /// Milliseconds since 1970 when the run started, for the age of transactions.
    pub(crate) now_ms: i64,
}

struct Active {
    cursor: Cursor,
    max_bytes: i32,
    /// Set while only open transactions are in the way.
    stalled_since: Option<Instant>,
    /// The damaged batch was fetched once already.
    suspect: Option<i64>,
}

/// A reader of some partitions.
pub(crate) struct Reader {
    shared: Shared,
    lane: u32,
    active: VecDeque<Active>,
    decompressor: Decompressor,
    backoff: Backoff,
}

impl Reader {
    pub(crate) fn new(shared: Shared, lane: u32, cursors: Vec<Cursor>) -> Self {
        let active = cursors.into_iter().filter(|c| c.offset < c.target);
        let active = active.map(|cursor| Active { cursor, max_bytes: PARTITION, stalled_since: None, suspect: None });
        let backoff = shared.cluster.backoff();
        Self { shared, lane, active: active.collect(), decompressor: Decompressor::default(), backoff }
    }

    /// Reads until every partition is done, or the run shall stop.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        while !self.active.is_empty() && !self.shared.cancel.is_cancelled() {
            let cancel = self.shared.cancel.clone();
            let round = tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                round = self.round() => round,
            };
            match round {
                Ok(true) => self.backoff.reset(),
                Ok(false) => {}
                Err(Stop::Retry(error)) => {
                    if self.backoff.wait(error).await? == Retry::Refresh {
                        self.find_leaders().await?;
                    }
                }
                Err(Stop::Fail(failure)) => return Err(failure),
            }
        }
        Ok(())
    }

    /// One fetch; `true` when it brought something.
    async fn round(&mut self) -> Result<bool, Stop> {
        let leader = self.active.front().map_or(-1, |active| active.cursor.leader);
        if leader < 0 {
            return Err(Stop::Retry(WireError::broker("partition without a leader", 5)));
        }
        let mut batch: Vec<Active> = Vec::new();
        let mut others = VecDeque::new();
        while let Some(active) = self.active.pop_front() {
            if active.cursor.leader == leader && batch.len() < SPOTS {
                batch.push(active);
            } else {
                others.push_back(active);
            }
        }
        self.active = others;
        // Requests name each topic once; the partition that waits longest stays first, so that a batch larger
        // than the answer gets through.
        let first_topic = batch.first().map(|active| active.cursor.topic_id);
        batch.sort_by_key(|active| (Some(active.cursor.topic_id) != first_topic, active.cursor.topic_id));
        let result = self.fetch(leader, &mut batch).await;
        // Rotate: what came first goes to the end of its topic's turn.
        let shift = usize::from(batch.len() > 1);
        batch.rotate_left(shift);
        self.active.extend(batch.into_iter().filter(|active| active.cursor.offset < active.cursor.target));
        result
    }

    async fn fetch(&mut self, leader: i32, batch: &mut [Active]) -> Result<bool, Stop> {
        let only_waiting = batch.iter().all(|active| active.stalled_since.is_some());
        let spots: Vec<_> = batch.iter().map(spot).collect();
        let connection =
            self.shared.cluster.broker(leader, self.lane, Some(&self.shared.budget)).await.map_err(Stop::Retry)?;
        let wait = if only_waiting { LONG_POLL } else { Duration::ZERO };
        let max_bytes = spots.iter().map(|spot| spot.max_bytes).max().unwrap_or(ANSWER).max(ANSWER);
        let answer = connection.fetch(&spots, Isolation::Committed, max_bytes, wait).await.map_err(Stop::Retry)?;
        let (mut progress, mut trouble) = (false, None);
        let held = answer.bytes / answer.partitions.iter().filter(|p| !p.records.is_empty()).count().max(1);
        for part in answer.partitions {
            let Some(active) = batch.get_mut(part.spot) else { continue };
            let before = active.cursor.offset;
            match self.take(active, part, held).await {
                Ok(()) => progress |= active.cursor.offset > before,
                Err(Stop::Retry(error)) => trouble = Some(error),
                Err(fail) => return Err(fail),
            }
        }
        match trouble {
            Some(error) => Err(Stop::Retry(error)),
            None if !progress && !only_waiting && batch.iter().all(|a| a.stalled_since.is_none()) => {
                Err(Stop::Retry(WireError::broker("a fetch brought nothing although there is data", 7)))
            }
            None => Ok(progress),
        }
    }

    async fn take(&mut self, active: &mut Active, part: FetchedPartition, pinned: usize) -> Result<(), Stop> {
        match part.error {
            0 => {}
            code::OFFSET_OUT_OF_RANGE => return self.out_of_range(active).await,
            other => return Err(Stop::Retry(WireError::broker(subject(&active.cursor), other))),
        }
        let split = match batch::split(&part.records) {
            Ok(split) => split,
            Err(error) => return Err(Self::damaged(active, error)),
        };
        active.suspect = None;
        let cursor = &mut active.cursor;
        let mut batches = split.batches;
        batches.retain(|b| b.header.last_offset() >= cursor.offset && b.header.base_offset < cursor.target);
        if let Some(last) = batches.last() {
            active.stalled_since = None;
            active.max_bytes = PARTITION;
            let next = last.header.next_offset();
            let pending = self.decide(cursor, batches, &part.aborted)?;
            let chunk =
                Chunk::Batches { topic: cursor.topic_id, partition: cursor.partition, batches: pending, pinned };
            self.shared.chunks.send(chunk).await.map_err(|_| closed())?;
            cursor.offset = next;
            return Ok(());
        }
        if let Some(size) = split.tail_size.filter(|_| split.tail > 0) {
            active.max_bytes = i32::try_from(size).unwrap_or(i32::MAX).max(PARTITION);
            return Ok(());
        }
        if part.records.is_empty() && part.last_stable_offset < cursor.target {
            return self.wait_or_cut(active, part.last_stable_offset).await;
        }
        Ok(())
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
                timeline: 0,
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
        let mut bytes = Vec::new();
        let first = i64::from(i32::MAX).min(cursor.offset - raw.header.base_offset);
        let count = batch::payload(raw, &mut self.decompressor, batch::PAYLOAD_LIMIT, &mut bytes).and_then(|()| {
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
        // A broker that does not know this request just tells less.
        let open = self.shared.cluster.open_transactions(&cursor.topic, cursor.partition).await.unwrap_or_default();
        let oldest = open.iter().min_by_key(|transaction| transaction.first_offset);
        let held = HeldBack {
            topic: cursor.topic.to_string(),
            partition: cursor.partition,
            from: stable,
            to: cursor.target,
            producer_id: oldest.map(|transaction| transaction.producer_id),
            age_ms: oldest.map(|transaction| self.shared.now_ms.saturating_sub(transaction.last_timestamp).max(0)),
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
        let starts = self
            .shared
            .cluster
            .offsets(&topics, wire::OffsetAt::Start, Isolation::Uncommitted)
            .await
            .map_err(Stop::Retry)?;
        let start = starts.get(&(cursor.topic.to_string(), cursor.partition)).copied().unwrap_or(0);
        if start <= cursor.offset {
            let text =
                format!("{}: the log was truncated below offset {} while it was read", subject(cursor), cursor.offset);
            return Err(Stop::Fail(Failure::new(Code::SourceDiverged, text)));
        }
        let to = start.min(cursor.target);
        let gap = gap(cursor.topic_id, &cursor.topic, cursor.partition, cursor.offset, to);
        self.shared.chunks.send(Chunk::Gap(gap)).await.map_err(|_| closed())?;
        cursor.offset = to;
        Ok(())
    }

    /// A damaged answer is asked for once more: the wire may have been at fault.
    fn damaged(active: &mut Active, error: BatchError) -> Stop {
        let cursor = &active.cursor;
        let code =
            if matches!(error, BatchError::OldMagic { .. }) { Code::OldMessageFormat } else { Code::CorruptBatch };
        if code == Code::OldMessageFormat || active.suspect == Some(cursor.offset) {
            return Stop::Fail(Failure::new(
                code,
                format!("{} from offset {}: {error}", subject(cursor), cursor.offset),
            ));
        }
        active.suspect = Some(cursor.offset);
        Stop::Retry(WireError::broker(subject(cursor), code::CORRUPT_MESSAGE))
    }

    /// Asks where the partitions are led now; a topic that changed its id ends the run.
    async fn find_leaders(&mut self) -> Result<(), Failure> {
        let mut names: Vec<_> = self.active.iter().map(|active| active.cursor.topic.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let topics = self.shared.cluster.topics(Some(&names)).await?;
        for active in &mut self.active {
            let cursor = &mut active.cursor;
            let topic = topics.iter().find(|topic| topic.name == *cursor.topic);
            let gone = topic.is_none_or(|topic| topic.error == code::UNKNOWN_TOPIC_OR_PARTITION);
            if gone || topic.is_some_and(|topic| topic.error == 0 && topic.id != cursor.topic_id) {
                let what = if gone { "deleted" } else { "deleted and created again" };
                let text = format!(
                    "topic {} was {what} while it was read; run again to back up what is there now",
                    cursor.topic
                );
                return Err(Failure::new(Code::TopicChanged, text));
            }
            if let Some(p) = topic.and_then(|topic| topic.partitions.iter().find(|p| p.index == cursor.partition)) {
                (cursor.leader, cursor.leader_epoch) = (p.leader, p.leader_epoch);
            }
        }
        Ok(())
    }
}

enum Stop {
    Retry(WireError),
    Fail(Failure),
}

fn closed() -> Stop {
    Stop::Fail(Failure::new(Code::Internal, "the collector ended before its readers"))
}

fn subject(cursor: &Cursor) -> String {
    format!("{}/{}", cursor.topic, cursor.partition)
}

fn spot(active: &Active) -> FetchSpot {
    FetchSpot {
        topic: Arc::clone(&active.cursor.topic),
        topic_id: active.cursor.topic_id,
        partition: active.cursor.partition,
        offset: active.cursor.offset,
        leader_epoch: active.cursor.leader_epoch,
        max_bytes: active.max_bytes,
    }
}
