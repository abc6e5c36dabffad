//! The middle of a backup: takes what readers bring, fills arenas, and decides when to flush, commit, seal and stop.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use archive::{ArchiveError, Arena, Fork, Gap, HeldBack, SetWriter};
use contract::{BackupSpec, Code, EventKind, Failure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Budget, Cluster};

use super::FRAME_BUDGET;
use super::follow::Follow;
use super::odd::Odd;
use super::positions::{Positions, Totals};
use super::reader::{Chunk, Reader, Shared};
use super::seal::{Moment, Sealer};
use super::source::{Cursor, Plan, tell_gap};
use super::writer_task::{Job, write};
use crate::context::Context;
use crate::emit::Emitter;
use crate::limiter::Limiter;
use crate::pace::{Counters, Meter};

/// Frame bytes at which an arena goes to the writer.
const ARENA: usize = 24 << 20;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// How a collection ended. Everything that was read is durable; after [`End::Complete`] the last positions wait for
/// their seal, otherwise they are committed.
#[derive(Debug)]
pub(crate) enum End {
    /// Every partition reached its target.
    Complete,
    /// The run was asked to stop.
    Interrupted,
    /// Something ended it.
    Failed(Failure),
}

/// A collection that ended.
pub(crate) struct Collected {
    pub(crate) writer: SetWriter,
    pub(crate) positions: Positions,
    pub(crate) held_back: Vec<HeldBack>,
    pub(crate) totals: Totals,
    pub(crate) end: End,
}

/// What a failed collection moved, when even its progress could not be saved.
pub(crate) struct Lost {
    pub(crate) failure: Failure,
    pub(crate) totals: Totals,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) forks: Vec<Fork>,
}

/// What a collection works with.
pub(crate) struct Tools<'a> {
    pub(crate) context: &'a Context,
    pub(crate) emitter: &'a Emitter,
    pub(crate) cluster: &'a Arc<Cluster>,
    pub(crate) backup: &'a Arc<BackupSpec>,
    pub(crate) sealer: &'a Sealer,
    pub(crate) limiter: &'a Limiter,
    /// Present in a continuous run.
    pub(crate) follow: Option<Follow>,
    /// What the run moved before.
    pub(crate) totals: Totals,
}

/// Reads everything of the plan into the set.
///
/// # Errors
/// When the set could not be written any more. What was committed stays.
pub(crate) async fn collect(tools: Tools<'_>, plan: Plan, writer: SetWriter) -> Result<Collected, Box<Lost>> {
    let Tools { context, emitter, cluster, backup, sealer, limiter, follow, totals } = tools;
    let cancel = context.cancel.child_token();
    let budget = Budget::new(FRAME_BUDGET);
    let (chunks, received) = mpsc::channel(8);
    let shared = Shared {
        cluster: Arc::clone(cluster),
        budget: budget.clone(),
        limiter: limiter.clone(),
        slots: backup.max_concurrent_partitions.map(|most| Arc::new(Semaphore::new(most as usize))),
        chunks,
        cancel: cancel.clone(),
        transaction_wait: Duration::from_secs(backup.open_transaction_wait_secs),
        poll: Duration::from_millis(backup.poll_interval_ms),
        now_ms: context.clock.now().as_millisecond(),
    };
    let offsets = plan.cursors.iter().filter(|c| c.target < i64::MAX);
    let offsets = offsets.map(|c| u64::try_from(c.target - c.offset).unwrap_or(0)).sum();
    let names = plan.cursors.iter().map(|cursor| (cursor.topic_id, cursor.topic.to_string())).collect();
    let readers = start_readers(shared, plan.cursors);
    let (jobs, queue) = mpsc::channel(1);
    let time = writer.time_spent();
    let writer = tokio::spawn(write(writer, queue, sealer.clone()));
    let mut collector = Collector {
        emitter: emitter.clone(),
        jobs,
        arena: Arena::default(),
        pinned: 0,
        positions: plan.positions,
        held_back: Vec::new(),
        totals,
        follow,
        converted: BTreeSet::new(),
        odd: Odd::default(),
        names,
        offsets,
        moved_offsets: 0,
        meter: Meter::starting_at(totals.records, totals.bytes),
        limiter: limiter.clone(),
        time,
        told_at: Instant::now(),
    };
    let work = collector.run(backup, received, &budget, readers, &cancel).await;
    cancel.cancel();
    let Collector { jobs, positions, held_back, mut totals, .. } = collector;
    drop(jobs);
    let written = writer.await.unwrap_or_else(|error| Err(ArchiveError::task(error)));
    match written {
        // The writer's failure is the cause when both failed.
        Err(error) => {
            Err(Box::new(Lost { failure: error.into(), totals, gaps: positions.all_gaps, forks: positions.all_forks }))
        }
        Ok(writer) => {
            totals.segments = writer.written().segments;
            totals.stored_bytes = writer.written().bytes;
            let end = match work {
                Err(failure) => End::Failed(failure),
                Ok(()) if context.cancel.is_cancelled() => End::Interrupted,
                Ok(()) => End::Complete,
            };
            Ok(Collected { writer, positions, held_back, totals, end })
        }
    }
}

type Readers = FuturesUnordered<JoinHandle<Result<(), Failure>>>;

/// Partitions are dealt to the lanes of their leaders' brokers.
fn start_readers(shared: Shared, cursors: Vec<Cursor>) -> Readers {
    let lanes = shared.cluster.options().connections_per_broker;
    let mut dealt_out: BTreeMap<(i32, u32), Vec<_>> = BTreeMap::new();
    let mut dealt: HashMap<i32, u32> = HashMap::new();
    for cursor in cursors.into_iter().filter(|c| c.offset < c.target) {
        let turn = dealt.entry(cursor.leader).or_insert(0);
        // Lane 0 is for requests of all kinds.
        dealt_out.entry((cursor.leader, *turn % lanes + 1)).or_default().push(cursor);
        *turn += 1;
    }
    let start = |((_, lane), cursors)| tokio::spawn(Reader::new(shared.clone(), lane, cursors).run());
    dealt_out.into_iter().map(start).collect()
}

struct Collector {
    emitter: Emitter,
    jobs: mpsc::Sender<Job>,
    arena: Arena,
    pinned: usize,
    positions: Positions,
    held_back: Vec<HeldBack>,
    totals: Totals,
    follow: Option<Follow>,
    /// Topics with messages of old formats that were told of.
    converted: BTreeSet<Arc<str>>,
    odd: Odd,
    /// Names of topics, for metrics.
    names: HashMap<Uuid, String>,
    offsets: u64,
    moved_offsets: u64,
    meter: Meter,
    limiter: Limiter,
    time: archive::TimeSpent,
    told_at: Instant,
}

impl Collector {
    async fn run(
        &mut self,
        backup: &BackupSpec,
        mut received: mpsc::Receiver<Chunk>,
        budget: &Budget,
        mut readers: Readers,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut progress = ticker(PROGRESS_EVERY);
        let mut segment = ticker(Duration::from_millis(backup.segment_max_interval_ms));
        let mut checkpoint =
            ticker(Duration::from_secs(backup.checkpoint_interval_secs.unwrap_or(u64::from(u32::MAX))));
        let update = self.emitter.metrics().map_or(u64::from(u32::MAX), |metrics| metrics.update_interval_ms());
        let mut gauges = ticker(Duration::from_millis(update));
        let mut failed = None;
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                _ = progress.tick() => self.tell_progress(),
                _ = gauges.tick() => self.tell_lags(),
                _ = segment.tick() => self.flush_and(Job::CloseSegment).await?,
                _ = checkpoint.tick() => {
                    self.checkpoint().await?;
                    if let Some(follow) = &mut self.follow {
                        follow.checkpoint();
                    }
                }
                Some(ended) = readers.next() => {
                    let ended = ended.unwrap_or_else(|error| Err(Failure::new(Code::Internal, error.to_string())));
                    if let Err(failure) = ended {
                        failed = Some(failure);
                        break;
                    }
                }
                news = next_news(&mut self.follow) => {
                    if let Err(failure) = news {
                        failed = Some(failure);
                        break;
                    }
                    self.seal_if_due().await?;
                }
                chunk = received.recv() => match chunk {
                    Some(chunk) => {
                        self.take(chunk).await?;
                        self.seal_if_due().await?;
                    }
                    None if readers.is_empty() && self.follow.is_none() => break,
                    // A continuous run without any partition waits for the first.
                    None => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                () = budget.pressure(), if !self.arena.is_empty() => self.flush().await?,
            }
        }
        readers.iter().for_each(JoinHandle::abort);
        // What readers brought before the end still counts.
        while let Ok(chunk) = received.try_recv() {
            self.take(chunk).await?;
        }
        // A run that ends well leaves the last positions to its seal.
        if failed.is_some() || cancel.is_cancelled() {
            self.checkpoint().await?;
        } else {
            self.flush().await?;
        }
        self.tell_progress();
        failed.map_or(Ok(()), Err)
    }

    async fn take(&mut self, chunk: Chunk) -> Result<(), Failure> {
        match chunk {
            Chunk::Gap(gap) => {
                tell_gap(&self.emitter, &gap);
                self.positions.gap(gap);
                if let Some(follow) = &mut self.follow {
                    follow.note_move();
                }
            }
            Chunk::Marks { topic, partition, marks } => self.positions.mark(topic, partition, marks),
            Chunk::HeldBack(held) => {
                let text = format!(
                    "{}/{}: an open transaction holds back offsets {} to {}",
                    held.topic, held.partition, held.from, held.to
                );
                self.emitter.warn(text);
                self.held_back.push(held);
            }
            Chunk::Batches { topic, partition, batches, pinned, marks, converted } => {
                self.pinned += pinned;
                if let Some(name) = converted.filter(|name| !self.converted.contains(name)) {
                    self.emitter.warn(format!(
                        "topic {name} holds messages of format 0 or 1: they are archived as record batches of format 2"
                    ));
                    self.converted.insert(name);
                }
                for batch in batches {
                    let header = &batch.raw.header;
                    self.totals.records += header.records();
                    self.totals.bytes += batch.raw.bytes.len() as u64;
                    self.moved_offsets += u64::try_from(i64::from(header.last_offset_delta) + 1).unwrap_or(0);
                    self.positions.advance(topic, partition, header, batch.committed);
                    let name = || self.names.get(&topic).map_or_else(|| topic.to_string(), String::clone);
                    if let Some(warning) = self.odd.look(|| format!("{}/{partition}", name()), &batch.raw) {
                        self.emitter.warn(warning);
                    }
                    self.arena.push(batch);
                }
                self.positions.mark(topic, partition, marks);
                if let Some(follow) = &mut self.follow {
                    follow.note_move();
                }
                if self.pinned >= ARENA {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    async fn seal_if_due(&mut self) -> Result<(), Failure> {
        let Some(follow) = &mut self.follow else { return Ok(()) };
        match follow.due(&mut self.positions).await {
            None => Ok(()),
            Some(moment) => self.seal(moment).await,
        }
    }

    async fn seal(&mut self, moment: Moment) -> Result<(), Failure> {
        self.flush_and(Job::Seal(Box::new(moment))).await
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.pinned = 0;
        if self.arena.is_empty() {
            return Ok(());
        }
        let arena = std::mem::take(&mut self.arena);
        self.send(Job::Arena(arena)).await
    }

    async fn flush_and(&mut self, job: Job) -> Result<(), Failure> {
        self.flush().await?;
        self.send(job).await
    }

    async fn checkpoint(&mut self) -> Result<(), Failure> {
        self.flush().await?;
        let moves = self.positions.take_moved();
        self.send(Job::Commit(moves)).await
    }

    async fn send(&self, job: Job) -> Result<(), Failure> {
        // The writer only ends early by a failure, which its task returns.
        let ended = |_| Failure::new(Code::Internal, "the writer ended");
        self.jobs.send(job).await.map_err(ended)
    }

    fn tell_lags(&self) {
        if let Some(metrics) = self.emitter.metrics() {
            metrics.take_lags(self.positions.lags(|topic| self.names.get(&topic).cloned().unwrap_or_default()));
        }
    }

    fn tell_progress(&mut self) {
        self.tell_lags();
        let (percent, lag) = if self.follow.is_some() {
            let lag = self.positions.lag();
            let done = self.moved_offsets as f64 / (self.moved_offsets + lag).max(1) as f64;
            (if lag == 0 { 100.0 } else { 100.0 * done }, lag)
        } else {
            let share = if self.offsets == 0 { 1.0 } else { self.moved_offsets as f64 / self.offsets as f64 };
            (100.0 * share.min(1.0), self.offsets.saturating_sub(self.moved_offsets))
        };
        let since = self.told_at.elapsed();
        self.told_at = Instant::now();
        let now = Counters {
            records: self.totals.records,
            bytes: self.totals.bytes,
            throttled_ms: self.limiter.waited_ms(),
            packing_ms: self.time.packing_ms(),
            storing_ms: self.time.storing_ms(),
        };
        let pace = self.meter.pace(now, since, lag, self.follow.is_none());
        self.emitter.emit(EventKind::Progress {
            records: self.totals.records,
            bytes: self.totals.bytes,
            percent: (percent * 10.0).round() / 10.0,
            topic: None,
            pace,
        });
    }
}

async fn next_news(follow: &mut Option<Follow>) -> Result<(), Failure> {
    match follow {
        Some(follow) => follow.news().await,
        None => std::future::pending().await,
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = interval(every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker.reset_at(Instant::now() + every);
    ticker
}
