//! Readers: one for each connection to a broker, and a room for partitions that nobody can be asked about.
//!
//! A reader fetches the partitions that its broker leads until each is done, or, when they are followed, until it is told
//! to stop. A partition whose broker fails or does not lead it any more goes to the [`room`], which looks for its leader
//! and sends it on: so a broker or partition that is away never holds up the others. Nothing here decides when a
//! partition is given up; the collector does ([`super::health`]).

mod active;
mod answer;
mod damage;
mod meaning;
mod pacing;
pub(crate) mod room;
mod turns;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use archive::{Gap, HeldBack, PendingBatch, TopicIdPartition};
use batch::Decompressor;
use contract::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{BrokerId, Budget, Cluster, FetchAnswer, FetchOptions, Isolation, Request, Retry, WireError};

pub(crate) use active::Active;
use active::PARTITION;
use answer::Round;
pub(crate) use pacing::Trouble;
use turns::{first_fed, in_turn, is_left_out, side_by_side};

use super::positions::LogEnds;
use crate::limiter::Limiter;

/// Partitions named in one request.
const SPOTS: usize = 256;
/// Most bytes of one answer.
const ANSWER: i32 = 8 << 20;
/// Under a quota that emptied an answer, so many times less is asked for; with the least, brokers send one batch.
const QUOTA_SHARE: i32 = 4;
const LEAST_ANSWER: i32 = 16 << 10;
/// How long the broker waits for data when the last answer brought none.
const LONG_POLL: Duration = Duration::from_millis(500);
/// The pause after an answer that brought nothing, at first and at most.
const FIRST_LULL: Duration = Duration::from_millis(20);
const LONGEST_LULL: Duration = Duration::from_secs(1);

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
        ends: LogEnds,
        /// Messages of an old format were turned into these batches.
        converted: Option<Arc<str>>,
    },
    /// The source has no batch before this offset.
    Skipped { key: TopicIdPartition, to: i64, epoch: i32 },
    /// The log's ends, of a partition that brought nothing.
    Ends { key: TopicIdPartition, ends: LogEnds },
    /// The source lost offsets.
    Gap(Gap),
    /// Open transactions keep a partition from its target.
    HeldBack(HeldBack),
    /// A partition is read as far as it shall be.
    Done(TopicIdPartition),
    /// Partitions cannot go on for now.
    Troubled(Vec<(TopicIdPartition, Trouble)>),
    /// Partitions go on again.
    Recovered(Vec<TopicIdPartition>),
    /// No broker tells where partitions are led, or (`None`) one does again.
    ClusterAway(Option<Failure>),
    /// In words, for people.
    Warning(String),
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
    /// Partitions that another reader goes on with.
    pub(crate) moved: mpsc::UnboundedSender<Active>,
    pub(crate) cancel: CancellationToken,
    /// How long open transactions are waited for.
    pub(crate) transaction_wait: Duration,
    /// How long a broker waits for new records at the end of followed partitions.
    pub(crate) poll: Duration,
    /// Milliseconds since 1970 when the run started, for the age of transactions.
    pub(crate) now_ms: i64,
}

impl Shared {
    async fn tell(&self, chunk: Chunk) -> Result<(), Failure> {
        let ended = |_| Failure::new(Code::Internal, "the collector ended before its readers");
        self.chunks.send(chunk).await.map_err(ended)
    }

    fn hand_over(&self, active: Active) {
        // Nobody listens once the collector ends, and then the partition is not read on anyway.
        drop(self.moved.send(active));
    }
}

/// A reader of partitions that one broker leads, or of which it has the nearest replica.
pub(crate) struct Reader {
    shared: Shared,
    broker: BrokerId,
    lane: u32,
    inbox: mpsc::UnboundedReceiver<Active>,
    active: VecDeque<Active>,
    decompressor: Decompressor,
    lull: Duration,
    /// Fetches so far.
    rounds: u64,
    /// Bytes of an answer at most: less under a quota, which empties an answer that is larger than what it lets through.
    portion: i32,
    /// What the next messages to the collector say of partitions in trouble.
    troubled: Vec<(TopicIdPartition, Trouble)>,
    recovered: Vec<TopicIdPartition>,
}

impl Reader {
    pub(crate) fn new(shared: Shared, broker: BrokerId, lane: u32, inbox: mpsc::UnboundedReceiver<Active>) -> Self {
        Self {
            shared,
            broker,
            lane,
            inbox,
            active: VecDeque::new(),
            decompressor: Decompressor::default(),
            lull: FIRST_LULL,
            rounds: 0,
            portion: ANSWER,
            troubled: Vec::new(),
            recovered: Vec::new(),
        }
    }

    /// Reads what comes to its inbox until the run shall stop.
    ///
    /// # Errors
    /// What ends the run.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let cancel = self.shared.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(()),
            ended = self.work() => ended,
        }
    }

    async fn work(&mut self) -> Result<(), Failure> {
        loop {
            if self.active.is_empty() {
                match self.inbox.recv().await {
                    Some(active) => self.welcome(active),
                    None => return Ok(()),
                }
            }
            while let Ok(active) = self.inbox.try_recv() {
                self.welcome(active);
            }
            let now = Instant::now();
            match self.active.iter().map(|active| active.pacing.retry_at).min() {
                Some(at) if at > now => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(at) => {}
                    Some(active) = self.inbox.recv() => self.welcome(active),
                },
                _ => self.round().await?,
            }
        }
    }

    /// Takes a partition that nobody of this reader waits for yet.
    fn welcome(&mut self, active: Active) {
        self.active.push_back(Active { turn: 0, ..active });
    }

    /// One fetch.
    async fn round(&mut self) -> Result<(), Failure> {
        self.shared.limiter.ready().await;
        self.rounds += 1;
        let (mut batch, _slots) = self.gather().await;
        for active in &mut batch {
            active.pacing.begins();
        }
        let started = Instant::now();
        let floor = self.floor(&batch);
        let moved = match self.fetch(&batch, floor).await {
            Ok(answer) => self.take_answer(&mut batch, answer).await?,
            Err(error) if error.retry() == Retry::Never => return Err(error.into()),
            Err(error) => {
                for active in &mut batch {
                    active.turn = self.rounds;
                    active.loses_broker();
                    self.fails(active, &error);
                }
                true
            }
        };
        // In this order: whoever recovers in the answer that ends the others is not given up with them.
        self.tell_health().await?;
        self.sort_out(batch).await?;
        self.lull = if moved { FIRST_LULL } else { (self.lull * 2).min(LONGEST_LULL) };
        if !moved {
            // Brokers may answer at once whatever they were told to wait for.
            tokio::time::sleep_until(started + floor).await;
        }
        Ok(())
    }

    /// Partitions for one request, in the order that requests need, and the permits to read them.
    async fn gather(&mut self) -> (Vec<Active>, Option<OwnedSemaphorePermit>) {
        let mut slots = None;
        if let Some(all) = &self.shared.slots
            && self.active.iter().any(|active| active.behind)
        {
            // Nobody closes it.
            slots = Arc::clone(all).acquire_owned().await.ok();
        }
        let mut batch: Vec<Active> = Vec::new();
        let mut others = VecDeque::new();
        let mut busy = 0;
        let now = Instant::now();
        in_turn(&mut self.active);
        while let Some(active) = self.active.pop_front() {
            // A batch that did not fit is asked for alone: the answer has it whole then.
            let alone = batch.first().is_some_and(|first| first.max_bytes > PARTITION);
            let due = active.pacing.retry_at <= now;
            let fits = due && (batch.is_empty() || !alone && active.max_bytes <= PARTITION && batch.len() < SPOTS);
            if fits && (!active.behind || self.may_read(&mut slots, &mut busy)) {
                batch.push(active);
            } else {
                others.push_back(active);
            }
        }
        self.active = others;
        // The partition that waits longest stays first, so that a batch larger than the answer gets through.
        side_by_side(&mut batch);
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

    /// How long a request that brings nothing takes at least.
    fn floor(&self, batch: &[Active]) -> Duration {
        let idle = batch.iter().all(|active| active.follows() && !active.behind);
        if idle { self.shared.poll } else { self.lull }
    }

    async fn fetch(&self, batch: &[Active], floor: Duration) -> Result<FetchAnswer, WireError> {
        let spots: Vec<_> = batch.iter().map(Active::spot).collect();
        let connection = self.shared.cluster.broker(self.broker, self.lane, Some(&self.shared.budget)).await?;
        let largest = spots.iter().map(|spot| spot.max_bytes).max().unwrap_or(PARTITION);
        let most = if largest > PARTITION { largest } else { self.shared.limiter.portion(self.portion) };
        let nothing_came = self.lull > FIRST_LULL;
        let options = FetchOptions {
            isolation: Isolation::Committed,
            max_bytes: most,
            max_wait: if floor == self.shared.poll {
                floor
            } else if nothing_came {
                LONG_POLL
            } else {
                Duration::ZERO
            },
            rack: self.rack(batch),
        };
        connection.fetch(&spots, &options).await
    }

    /// Our rack, unless a partition of the request must be read from the broker that is asked.
    fn rack(&self, batch: &[Active]) -> Arc<str> {
        let here = |active: &Active| {
            active.replica.is_some() || active.leader_until.is_some_and(|until| Instant::now() < until)
        };
        let rack = self.shared.cluster.options().client_rack.as_deref().filter(|_| !batch.iter().any(here));
        rack.unwrap_or_default().into()
    }

    /// Takes an answer; `true` when the next request will be another one.
    async fn take_answer(&mut self, batch: &mut [Active], answer: FetchAnswer) -> Result<bool, Failure> {
        let mut moved = false;
        let mut probed = false;
        let full = answer.partitions.iter().filter(|part| !part.records.is_empty()).count().max(1);
        let held = answer.bytes / full;
        // Only then is the request as large as the batch that did not fit.
        let alone = batch.first().map(|active| active.max_bytes).filter(|most| *most > PARTITION);
        let alone = alone.and_then(|most| usize::try_from(most).ok());
        let is_emptied = !answer.throttled.is_zero() && answer.bytes == 0;
        self.portion = if is_emptied {
            (self.portion / QUOTA_SHARE).max(LEAST_ANSWER)
        } else if answer.throttled.is_zero() && answer.bytes > 0 {
            // Slowly: each answer that is too large costs a silence.
            self.portion.saturating_add(self.portion / 8).min(ANSWER)
        } else {
            self.portion
        };
        let mut unanswered: BTreeSet<_> = (0..batch.len()).collect();
        let first_fed = first_fed(&answer.partitions);
        for part in answer.partitions {
            let Some(active) = batch.get_mut(part.spot) else {
                return Err(Failure::new(Code::Internal, format!("an answer for spot {} of a fetch", part.spot)));
            };
            unanswered.remove(&part.spot);
            let left_out = is_left_out(&part, first_fed);
            if !left_out {
                active.turn = self.rounds;
            }
            let round = Round { pinned: held, alone, throttled: !answer.throttled.is_zero(), left_out };
            moved |= self.take(active, part, round, &mut probed).await?;
        }
        for spot in unanswered {
            let Some(active) = batch.get_mut(spot) else { continue };
            active.turn = self.rounds;
            if !answer.throttled.is_zero() {
                // A quota empties the whole answer: that is no failure of the broker.
                self.recovers(active);
                continue;
            }
            let error = WireError::Unanswered { request: Request::Fetch, subject: active.subject() };
            active.loses_broker();
            self.fails(active, &error);
            moved = true;
        }
        Ok(moved)
    }

    /// Keeps what goes on here, sends on what goes on elsewhere, and tells of what is done.
    async fn sort_out(&mut self, batch: Vec<Active>) -> Result<(), Failure> {
        for active in batch {
            if active.is_done() {
                self.shared.tell(Chunk::Done(active.key())).await?;
            } else if active.broker() == self.broker {
                self.active.push_back(active);
            } else {
                self.shared.hand_over(active);
            }
        }
        Ok(())
    }

    fn fails(&mut self, active: &mut Active, error: &WireError) {
        active.pacing.fails_by(error);
        self.note_trouble(active);
    }

    fn note_trouble(&mut self, active: &Active) {
        if let Some(trouble) = active.pacing.trouble() {
            self.troubled.push((active.key(), trouble.clone()));
        }
    }

    fn recovers(&mut self, active: &mut Active) {
        if active.pacing.recovers() {
            self.recovered.push(active.key());
        }
    }

    async fn tell_health(&mut self) -> Result<(), Failure> {
        let (troubled, recovered) = (std::mem::take(&mut self.troubled), std::mem::take(&mut self.recovered));
        if !troubled.is_empty() {
            self.shared.tell(Chunk::Troubled(troubled)).await?;
        }
        if !recovered.is_empty() {
            self.shared.tell(Chunk::Recovered(recovered)).await?;
        }
        Ok(())
    }
}
