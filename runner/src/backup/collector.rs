//! The middle of a backup: takes what readers bring, fills arenas, and decides when to flush, commit, seal and stop.

mod troubles;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use archive::{ArchiveError, Arena, Fork, Gap, GapReason, HeldBack, SetWriter, TopicIdPartition};
use contract::{BackupSpec, Code, EventKind, Failure, Moved, OnGap};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Budget, Cluster, Throttled};

use super::FRAME_BUDGET;
use super::follow::{Follow, Memory};
use super::health::{Health, Verdict};
use super::moment::PATIENCE;
use super::odd::Odd;
use super::positions::{Positions, Totals};
use super::quota::QuotaWatch;
use super::reader::{Active, Chunk, Shared};
use super::readers::Readers;
use super::seal::{Sealer, Sealing};
use super::source::{Plan, Unplanned, tell_gap};
use super::writer_task::{Job, write};
use crate::context::Context;
use crate::emit::Emitter;
use crate::limiter::Limiter;
use crate::pace::{Backlog, Counters, Meter, millis};

/// Frame bytes at which an arena goes to the writer.
const ARENA: usize = 24 << 20;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// A writer that takes longer for a job keeps the news of the readers waiting.
const STALL: Duration = Duration::from_secs(1);

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
    /// What a continuous run goes on with.
    pub(crate) memory: Option<Memory>,
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
    /// Partitions of topics that the source may still have, though nothing can be read of them now.
    pub(crate) missing: u64,
    /// What the run moved before.
    pub(crate) totals: Totals,
}

/// Reads everything of the plan into the set.
///
/// # Errors
/// When the set could not be written any more. What was committed stays.
pub(crate) async fn collect(tools: Tools<'_>, plan: Plan, writer: SetWriter) -> Result<Collected, Box<Lost>> {
    let Tools { context, emitter, cluster, backup, sealer, limiter, follow, missing, totals } = tools;
    let cancel = context.cancel.child_token();
    let budget = Budget::new(FRAME_BUDGET);
    let (chunks, received) = mpsc::channel(8);
    let (moved, arrivals) = mpsc::unbounded_channel();
    let shared = Shared {
        cluster: Arc::clone(cluster),
        budget: budget.clone(),
        limiter: limiter.clone(),
        slots: backup.max_concurrent_partitions.map(|most| Arc::new(Semaphore::new(most as usize))),
        chunks,
        moved,
        cancel: cancel.clone(),
        transaction_wait: Duration::from_secs(backup.open_transaction_wait_secs),
        poll: Duration::from_millis(backup.poll_interval_ms),
        now_ms: context.clock.now().as_millisecond(),
    };
    let offsets = plan.positions.to_targets();
    let mut names: HashMap<_, _> =
        plan.cursors.iter().map(|cursor| (cursor.topic_id, cursor.topic.to_string())).collect();
    names.extend(plan.unplanned.iter().map(|partition| (partition.topic.id, partition.topic.name.clone())));
    let (open, done): (Vec<_>, Vec<_>) = plan.cursors.into_iter().partition(|cursor| cursor.offset < cursor.target);
    let keys = open.iter().map(|cursor| (cursor.topic_id, cursor.partition));
    let keys = keys.chain(plan.unplanned.iter().map(Unplanned::key));
    let limit = Duration::from_millis(cluster.options().retry_deadline_ms);
    let health = Health::new(keys, done.len(), limit);
    let mut readers = Readers::new(shared, arrivals, plan.unplanned);
    for cursor in open {
        readers.place(Active::new(cursor));
    }
    let (jobs, queue) = mpsc::channel(1);
    let (time, earlier) = (writer.time_spent(), writer.claim().moved);
    let writer = tokio::spawn(write(writer, queue, sealer.clone()));
    let mut collector = Collector {
        emitter: emitter.clone(),
        throttled: Box::new({
            let cluster = Arc::clone(cluster);
            move || cluster.throttled()
        }),
        budget: budget.clone(),
        quota: QuotaWatch::default(),
        jobs,
        arena: Arena::default(),
        pinned: 0,
        positions: plan.positions,
        health,
        told_troubles: BTreeSet::new(),
        gap_is_failure: backup.on_gap == OnGap::Fail,
        failed: None,
        held_back: Vec::new(),
        earlier,
        totals,
        follow,
        converted: BTreeSet::new(),
        odd: Odd::default(),
        names,
        offsets,
        moved_offsets: 0,
        missing,
        meter: Meter::starting_at(totals.records, totals.bytes),
        limiter: limiter.clone(),
        time,
        told_at: Instant::now(),
        stale_until: Instant::now(),
    };
    let work = collector.run(backup, received, &budget, readers, &cancel).await;
    cancel.cancel();
    let Collector { jobs, positions, held_back, mut totals, follow, .. } = collector;
    let memory = follow.map(Follow::into_memory);
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
            Ok(Collected { writer, positions, held_back, totals, memory, end })
        }
    }
}

struct Collector {
    emitter: Emitter,
    /// How long brokers held answers back so far.
    throttled: Box<dyn Fn() -> Throttled>,
    budget: Budget,
    quota: QuotaWatch,
    jobs: mpsc::Sender<Job>,
    arena: Arena,
    pinned: usize,
    positions: Positions,
    health: Health,
    /// Partitions in trouble that people were told of.
    told_troubles: BTreeSet<TopicIdPartition>,
    /// Where a partition is given up, the run fails.
    gap_is_failure: bool,
    failed: Option<Failure>,
    held_back: Vec<HeldBack>,
    /// What attempts of the run before this one moved.
    earlier: Moved,
    totals: Totals,
    follow: Option<Follow>,
    /// Topics with messages of old formats that were told of.
    converted: BTreeSet<Arc<str>>,
    odd: Odd,
    /// Names of topics, for metrics.
    names: HashMap<Uuid, String>,
    /// Offsets that were to be read when the collection began.
    offsets: u64,
    moved_offsets: u64,
    /// Partitions of topics that cannot be read.
    missing: u64,
    meter: Meter,
    limiter: Limiter,
    time: archive::TimeSpent,
    told_at: Instant,
    /// Until then, what readers told of troubles may be from before the writer kept them waiting.
    stale_until: Instant,
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
        if let Some(follow) = &self.follow {
            checkpoint.reset_at(follow.next_look());
        }
        let update = self.emitter.metrics().map_or(u64::from(u32::MAX), |metrics| metrics.update_interval_ms());
        let mut gauges = ticker(Duration::from_millis(update));
        let verdict = loop {
            if let Some(verdict) = self.ending(&mut received).await? {
                break verdict;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => break Verdict::GoesOn,
                _ = progress.tick() => {
                    self.tell_progress();
                    self.watch_quota();
                }
                _ = gauges.tick() => self.tell_lags(),
                _ = segment.tick() => self.flush_and(Job::CloseSegment).await?,
                _ = checkpoint.tick() => {
                    self.checkpoint().await?;
                    if let Some(follow) = &mut self.follow {
                        follow.checkpoint(&self.positions);
                    }
                }
                failure = readers.failure() => break Verdict::Fails(failure),
                news = next_news(&mut self.follow) => {
                    if let Err(failure) = news {
                        break Verdict::Fails(failure);
                    }
                    self.seal_if_due().await?;
                }
                Some(chunk) = received.recv() => {
                    self.take(chunk).await?;
                    self.seal_if_due().await?;
                }
                () = budget.pressure(), if !self.arena.is_empty() => self.flush().await?,
            }
        };
        readers.stop();
        let failed = self.conclude(verdict, &mut received).await?;
        // A run that ends well leaves the last positions to its seal.
        if failed.is_some() || cancel.is_cancelled() {
            self.checkpoint().await?;
        } else {
            self.flush().await?;
        }
        self.tell_progress();
        failed.map_or(Ok(()), Err)
    }

    /// What ends the collection now, if anything does. What is queued was brought before: it may be just what is missed.
    async fn ending(&mut self, received: &mut mpsc::Receiver<Chunk>) -> Result<Option<Verdict>, Failure> {
        let goes_on = |verdict: &Verdict| matches!(verdict, Verdict::GoesOn);
        if goes_on(&self.verdict()) {
            return Ok(None);
        }
        self.take_queued(received).await?;
        Ok(Some(self.verdict()).filter(|verdict| !goes_on(verdict)))
    }

    /// Takes what readers brought and nobody took yet.
    async fn take_queued(&mut self, received: &mut mpsc::Receiver<Chunk>) -> Result<(), Failure> {
        while let Ok(chunk) = received.try_recv() {
            self.take(chunk).await?;
        }
        Ok(())
    }

    /// Ends the collection after its readers: what they brought before the end still counts, and only then it is known what is
    /// given up. Nothing is taken any more after this.
    async fn conclude(
        &mut self,
        verdict: Verdict,
        received: &mut mpsc::Receiver<Chunk>,
    ) -> Result<Option<Failure>, Failure> {
        self.take_queued(received).await?;
        received.close();
        Ok(match verdict {
            Verdict::Fails(failure) => Some(failure),
            Verdict::Without(lost) => self.failed.take().or_else(|| self.give_up(lost)),
            Verdict::Complete => self.failed.take(),
            // The run was asked to stop.
            Verdict::GoesOn => None,
        })
    }

    async fn take(&mut self, chunk: Chunk) -> Result<(), Failure> {
        match chunk {
            Chunk::Gap(gap) => {
                tell_gap(&self.emitter, &gap);
                if self.gap_is_failure && gap.reason == GapReason::Damaged {
                    let Gap { name, partition, from, to, .. } = &gap;
                    let text = format!(
                        "{name}/{partition}: offsets {from} to {} are damaged on every replica, and backup.onGap is fail",
                        to - 1
                    );
                    self.failed = Some(Failure::new(Code::CorruptBatch, text));
                }
                self.positions.gap(gap)?;
                if let Some(follow) = &mut self.follow {
                    follow.note_move();
                }
            }
            Chunk::Skipped { key, to, epoch } => self.positions.skip(key, to, epoch),
            Chunk::Ends { key, ends } => self.positions.mark(key, ends),
            Chunk::Done(key) => self.health.finishes(key),
            Chunk::Troubled(troubled) => self.troubled(troubled),
            Chunk::Recovered(keys) => self.recovered(&keys),
            Chunk::ClusterAway(away) => self.health.cluster_is_away(away),
            Chunk::Warning(text) => self.emitter.warn(text),
            Chunk::HeldBack(held) => {
                let text = format!(
                    "{}/{}: an open transaction holds back offsets {} to {}",
                    held.topic,
                    held.partition,
                    held.from,
                    held.to - 1
                );
                self.emitter.warn(text);
                self.held_back.push(held);
            }
            Chunk::Batches { topic, partition, batches, pinned, ends, converted } => {
                self.pinned += pinned;
                if let Some(name) = converted.filter(|name| !self.converted.contains(name)) {
                    self.emitter.warn(format!(
                        "topic {name} holds messages of format 0 or 1: they are archived as record batches of format 2"
                    ));
                    self.converted.insert(name);
                }
                for batch in batches {
                    let header = &batch.raw.header;
                    self.totals.records += batch.committed;
                    self.totals.bytes += batch.raw.bytes.len() as u64;
                    self.moved_offsets += u64::try_from(i64::from(header.last_offset_delta) + 1).unwrap_or(0);
                    self.positions.advance(topic, partition, header, batch.committed)?;
                    let name = || self.names.get(&topic).map_or_else(|| topic.to_string(), String::clone);
                    if let Some(warning) = self.odd.look(|| format!("{}/{partition}", name()), &batch.raw) {
                        self.emitter.warn(warning);
                    }
                    self.arena.push(batch);
                }
                self.positions.mark((topic, partition), ends);
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
        match follow.due(&mut self.positions, &self.health) {
            None => Ok(()),
            Some(moment) => self.seal(moment).await,
        }
    }

    async fn seal(&mut self, moment: Sealing) -> Result<(), Failure> {
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

    async fn send(&mut self, job: Job) -> Result<(), Failure> {
        // The writer only ends early by a failure, which its task returns.
        let ended = |_| Failure::new(Code::Internal, "the writer ended");
        let began = Instant::now();
        let sent = self.jobs.send(job).await.map_err(ended);
        if began.elapsed() > STALL {
            self.stale_until = Instant::now() + PATIENCE;
        }
        sent
    }

    fn tell_lags(&self) {
        if let Some(metrics) = self.emitter.metrics() {
            let is_known = |key| !self.health.is_in_trouble(key);
            metrics.take_lags(self.positions.lags(|topic| self.name_of(topic), is_known));
        }
    }

    fn tell_progress(&mut self) {
        self.tell_lags();
        let unknown = self.missing + self.health.in_trouble() as u64;
        let (left, all) = if self.follow.is_some() {
            let lag = self.positions.lag();
            (Backlog { lag, unknown }, self.moved_offsets + lag)
        } else {
            (Backlog { lag: self.positions.to_targets(), unknown }, self.offsets)
        };
        let since = self.told_at.elapsed();
        self.told_at = Instant::now();
        let now = Counters {
            records: self.totals.records,
            bytes: self.totals.bytes,
            throttled_ms: self.limiter.waited_ms(),
            quota_ms: millis((self.throttled)().total),
            memory_ms: millis(self.budget.waited()),
            packing_ms: self.time.packing_ms(),
            storing_ms: self.time.storing_ms(),
        };
        let pace = self.meter.pace(now, since, left, self.follow.is_none());
        self.emitter.emit(EventKind::Progress {
            records: self.earlier.records + self.totals.records,
            bytes: self.earlier.bytes + self.totals.bytes,
            percent: left.percent_of(all),
            topic: None,
            whole_at: self.follow.as_ref().and_then(Follow::whole_at),
            overdue: self.follow.as_ref().and_then(Follow::overdue),
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

#[cfg(test)]
mod tests;
