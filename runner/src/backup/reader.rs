//! A reader: fetches its share of the partitions over connections of its own until each reached its target, or, when
//! they are followed, until it is told to stop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use archive::{Gap, HeldBack, PendingBatch};
use batch::{BatchError, Decompressor, RawBatch};
use contract::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    Backoff, BrokerId, Budget, Cluster, FetchOptions, FetchSpot, FetchedPartition, Isolation, Retry, WireError, code,
};

use super::source::{Cursor, gap};
use super::transactions::{Fate, fates};
use crate::limiter::Limiter;

/// Partitions named in one request.
const SPOTS: usize = 256;
/// Most bytes of one answer.
const ANSWER: i32 = 8 << 20;
/// Most bytes of one partition in an answer.
const PARTITION: i32 = 4 << 20;
/// How long the broker waits for data that open transactions hold back.
const LONG_POLL: Duration = Duration::from_millis(500);
/// How long a nearer replica is read from before the leader is asked again (the Java consumer's metadata age).
const REPLICA_LEASE: Duration = Duration::from_secs(300);

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
        marks: (i64, i64, i64),
        /// Messages of an old format were turned into these batches.
        converted: Option<Arc<str>>,
    },
    /// Log start, last stable offset and high watermark of a partition that brought nothing.
    Marks { topic: Uuid, partition: i32, marks: (i64, i64, i64) },
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
    pub(crate) limiter: Limiter,
    /// A permit for each partition with waiting records that may be read at once.
    pub(crate) slots: Option<Arc<Semaphore>>,
    pub(crate) chunks: mpsc::Sender<Chunk>,
    pub(crate) cancel: CancellationToken,
    /// How long open transactions are waited for.
    pub(crate) transaction_wait: Duration,
    /// How long a broker waits for new records at the end of followed partitions.
    pub(crate) poll: Duration,
    /// Milliseconds since 1970 when the run started, for the age of transactions.
    pub(crate) now_ms: i64,
}

struct Active {
    cursor: Cursor,
    max_bytes: i32,
    /// Records wait in the source, as far as we know.
    behind: bool,
    /// The last marks that were told.
    told: (i64, i64, i64),
    /// A replica in our rack, and until when it is asked.
    replica: Option<(BrokerId, Instant)>,
    /// The replica failed: until then only the leader is asked.
    leader_until: Option<Instant>,
    /// Set while only open transactions are in the way.
    stalled_since: Option<Instant>,
    /// The damaged batch was fetched once already.
    suspect: Option<i64>,
}

impl Active {
    fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            max_bytes: PARTITION,
            behind: true,
            told: (0, 0, 0),
            replica: None,
            leader_until: None,
            stalled_since: None,
            suspect: None,
        }
    }

    fn follows(&self) -> bool {
        self.cursor.target == i64::MAX
    }

    /// Goes back to the leader for a while; `true` when a replica was asked.
    fn leave_replica(&mut self) -> bool {
        let left = self.replica.take().is_some();
        if left {
            self.leader_until = Some(Instant::now() + REPLICA_LEASE);
        }
        left
    }

    /// The broker to ask.
    fn broker(&self) -> BrokerId {
        self.replica.filter(|(_, until)| Instant::now() < *until).map_or(self.cursor.leader, |(id, _)| id)
    }
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
        let active = cursors.into_iter().filter(|c| c.offset < c.target).map(Active::new).collect();
        let backoff = shared.cluster.backoff();
        Self { shared, lane, active, decompressor: Decompressor::default(), backoff }
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
        self.shared.limiter.ready().await;
        let broker = self.active.front().map_or(-1, Active::broker);
        if broker < 0 {
            return Err(Stop::Retry(WireError::broker("partition without a leader", 5)));
        }
        let (mut batch, _slots) = self.gather(broker).await;
        let result = self.fetch(broker, &mut batch).await;
        // Rotate: what came first goes to the end of its topic's turn.
        let shift = usize::from(batch.len() > 1);
        batch.rotate_left(shift);
        self.active.extend(batch.into_iter().filter(|active| active.cursor.offset < active.cursor.target));
        result
    }

    /// Partitions for one request to `broker`, in the order that requests need, and the permits to read them.
    async fn gather(&mut self, broker: BrokerId) -> (Vec<Active>, Option<OwnedSemaphorePermit>) {
        let mut slots = None;
        if let Some(all) = &self.shared.slots
            && self.active.iter().any(|active| active.behind)
        {
            slots = Arc::clone(all).acquire_owned().await.ok();
        }
        let mut batch: Vec<Active> = Vec::new();
        let mut others = VecDeque::new();
        let mut busy = 0;
        while let Some(active) = self.active.pop_front() {
            let fits = active.broker() == broker && batch.len() < SPOTS;
            if fits && (!active.behind || self.may_read(&mut slots, &mut busy)) {
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
        (batch, slots)
    }

    /// Whether one more partition with waiting records may be read now.
    fn may_read(&self, slots: &mut Option<OwnedSemaphorePermit>, busy: &mut usize) -> bool {
        let (Some(all), Some(held)) = (&self.shared.slots, slots) else { return true };
        // The first permit was waited for.
        let more = *busy == 0 || Arc::clone(all).try_acquire_owned().map(|permit| held.merge(permit)).is_ok();
        *busy += usize::from(more);
        more
    }

    async fn fetch(&mut self, broker: BrokerId, batch: &mut [Active]) -> Result<bool, Stop> {
        let only_waiting = batch.iter().all(|active| active.stalled_since.is_some());
        let idle = batch.iter().all(|active| active.follows() && !active.behind);
        let spots: Vec<_> = batch.iter().map(spot).collect();
        let connection =
            self.shared.cluster.broker(broker, self.lane, Some(&self.shared.budget)).await.map_err(|error| {
                leave_replicas(batch);
                Stop::Retry(error)
            })?;
        let most = spots.iter().map(|spot| spot.max_bytes).max().unwrap_or(ANSWER).max(ANSWER);
        let options = FetchOptions {
            isolation: Isolation::Committed,
            max_bytes: self.shared.limiter.portion(most),
            max_wait: match (idle, only_waiting) {
                (true, _) => self.shared.poll,
                (_, true) => LONG_POLL,
                _ => Duration::ZERO,
            },
            rack: self.rack(batch),
        };
        let answer = match connection.fetch(&spots, &options).await {
            Ok(answer) => answer,
            Err(error) => {
                leave_replicas(batch);
                return Err(Stop::Retry(error));
            }
        };
        let (mut progress, mut trouble) = (false, None);
        let held = answer.bytes / answer.partitions.iter().filter(|p| !p.records.is_empty()).count().max(1);
        for part in answer.partitions {
            let Some(active) = batch.get_mut(part.spot) else { continue };
            let before = active.cursor.offset;
            match self.take(active, part, held).await {
                Ok(moved) => progress |= moved || active.cursor.offset > before,
                Err(Stop::Retry(error)) => trouble = Some(error),
                Err(fail) => return Err(fail),
            }
        }
        let waits = |active: &Active| active.stalled_since.is_some() || active.follows();
        match trouble {
            Some(error) => Err(Stop::Retry(error)),
            None if !progress && !batch.iter().any(waits) => {
                Err(Stop::Retry(WireError::broker("a fetch brought nothing although there is data", 7)))
            }
            None => Ok(progress),
        }
    }

    /// Our rack, unless a partition of the request must be read from its leader.
    fn rack(&self, batch: &[Active]) -> Arc<str> {
        let leader_only = batch.iter().any(|active| active.leader_until.is_some_and(|until| Instant::now() < until));
        let rack = self.shared.cluster.options().client_rack.as_deref().filter(|_| !leader_only);
        rack.unwrap_or_default().into()
    }

    /// Takes what came for one partition; `true` when the next request will be another one.
    async fn take(&mut self, active: &mut Active, part: FetchedPartition, pinned: usize) -> Result<bool, Stop> {
        match part.error {
            0 => {}
            // A follower may be behind its leader, or cut its log a little later.
            _ if active.leave_replica() => return Ok(true),
            code::OFFSET_OUT_OF_RANGE => return self.out_of_range(active).await.map(|()| true),
            other => return Err(Stop::Retry(WireError::broker(subject(&active.cursor), other))),
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
        Stop::Retry(WireError::broker(subject(cursor), code::CORRUPT_MESSAGE))
    }

    /// Asks where the partitions are led now.
    async fn find_leaders(&mut self) -> Result<(), Failure> {
        let mut names: Vec<_> = self.active.iter().map(|active| active.cursor.topic.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let topics = self.shared.cluster.topics(Some(&names)).await?;
        for place in 0..self.active.len() {
            let Some(active) = self.active.get(place) else { continue };
            let topic = topics.iter().find(|topic| topic.name == *active.cursor.topic);
            Self::check_topic(&active.cursor, topic)?;
            let found = topic.and_then(|topic| topic.partitions.iter().find(|p| p.index == active.cursor.partition));
            if let (Some(p), Some(active)) = (found, self.active.get_mut(place)) {
                (active.cursor.leader, active.cursor.leader_epoch) = (p.leader, p.leader_epoch);
                active.replica = None;
            }
        }
        Ok(())
    }

    /// A topic that was deleted, or deleted and created again, must be planned anew.
    fn check_topic(cursor: &Cursor, topic: Option<&wire::Topic>) -> Result<(), Failure> {
        let gone = topic.is_none_or(|topic| topic.error == code::UNKNOWN_TOPIC_OR_PARTITION);
        if gone || topic.is_some_and(|topic| topic.error == 0 && topic.wire_id != cursor.wire_id) {
            let what = if gone { "deleted" } else { "deleted and created again" };
            let text = format!("topic {} was {what} while it was read", cursor.topic);
            return Err(Failure::new(Code::TopicChanged, text));
        }
        Ok(())
    }
}

fn leave_replicas(batch: &mut [Active]) {
    for active in batch {
        active.leave_replica();
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
        topic_id: active.cursor.wire_id,
        partition: active.cursor.partition,
        offset: active.cursor.offset,
        leader_epoch: active.cursor.leader_epoch,
        last_epoch: active.cursor.last_epoch,
        max_bytes: active.max_bytes,
    }
}
