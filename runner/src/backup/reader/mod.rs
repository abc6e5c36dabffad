//! A reader: fetches its share of the partitions over connections of its own until each reached its target, or, when
//! they are followed, until it is told to stop.

mod active;
mod answer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use archive::{Gap, HeldBack, PendingBatch};
use batch::Decompressor;
use contract::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Backoff, BrokerId, Budget, Cluster, FetchOptions, Isolation, Retry, WireError, code};

use active::{Active, Stop, leave_replicas, spot};

use super::source::Cursor;
use crate::limiter::Limiter;

/// Partitions named in one request.
const SPOTS: usize = 256;
/// Most bytes of one answer.
const ANSWER: i32 = 8 << 20;
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
                biased;
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
