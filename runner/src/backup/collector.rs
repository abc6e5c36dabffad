//! The middle of a backup: takes what readers bring, fills arenas, and decides when to flush, commit and stop.

use std::sync::Arc;
use std::time::Duration;

use archive::{ArchiveError, Arena, Gap, HeldBack, PartitionState, SetWriter};
use contract::{BackupSpec, Code, EventKind, Failure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Budget, Cluster};

use super::FRAME_BUDGET;
use super::positions::{Positions, Totals};
use super::reader::{Chunk, Reader, Shared};
use super::source::{Plan, tell_gap};
use crate::context::Context;
use crate::emit::Emitter;

/// Frame bytes at which an arena goes to the writer.
const ARENA: usize = 24 << 20;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// What the writer task is asked to do, in order.
enum Job {
    Arena(Arena),
    CloseSegment,
    Commit(Vec<(Uuid, PartitionState)>, Vec<Gap>),
}

/// A backup whose data is durable but not sealed.
pub(crate) struct Collected {
    pub(crate) writer: SetWriter,
    pub(crate) positions: Positions,
    pub(crate) all_gaps: Vec<Gap>,
    pub(crate) held_back: Vec<HeldBack>,
    pub(crate) totals: Totals,
}

/// Reads everything of the plan into the set.
///
/// # Errors
/// The failure that ended it, and what was moved until then. What was committed stays.
pub(crate) async fn collect(
    context: &Context,
    emitter: &Emitter,
    cluster: Arc<Cluster>,
    backup: &BackupSpec,
    plan: Plan,
    writer: SetWriter,
) -> Result<Collected, (Failure, Totals)> {
    let cancel = context.cancel.child_token();
    let budget = Budget::new(FRAME_BUDGET);
    let (chunks, received) = mpsc::channel(8);
    let shared = Shared {
        cluster,
        budget: budget.clone(),
        chunks,
        cancel: cancel.clone(),
        transaction_wait: Duration::from_secs(backup.open_transaction_wait_secs),
        now_ms: context.clock.now().as_millisecond(),
    };
    let offsets = plan.cursors.iter().map(|c| u64::try_from(c.target - c.offset).unwrap_or(0)).sum();
    let readers = start_readers(shared, plan.cursors);
    let (jobs, queue) = mpsc::channel(1);
    let writer = tokio::spawn(write(writer, queue, emitter.clone()));
    let mut collector = Collector {
        emitter: emitter.clone(),
        jobs,
        arena: Arena::default(),
        pinned: 0,
        positions: plan.positions,
        held_back: Vec::new(),
        totals: Totals::default(),
        offsets,
        moved_offsets: 0,
    };
    let work = collector.run(backup, received, &budget, readers, &cancel).await;
    cancel.cancel();
    let Collector { jobs, mut positions, held_back, mut totals, .. } = collector;
    drop(jobs);
    let written = writer.await.map_err(|error| (Failure::new(Code::Internal, error.to_string()), totals))?;
    let mut all_gaps = Vec::new();
    all_gaps.clone_from(&positions.all_gaps);
    match (work, written) {
        // The writer's failure is the cause when both failed.
        (_, Err(error)) => Err((error.into(), totals)),
        (Err(failure), Ok(writer)) => {
            add_written(&mut totals, &writer);
            Err((failure, totals))
        }
        (Ok(()), Ok(mut writer)) => {
            if context.cancel.is_cancelled() {
                // Everything may have been read before the stop was asked for: it is saved all the same.
                let (moved, gaps) = positions.take_moved();
                let committed = writer.commit(&moved, gaps).await;
                add_written(&mut totals, &writer);
                return Err(match committed {
                    Ok(_) => (Failure::new(Code::Interrupted, "stopped on request; progress was saved"), totals),
                    Err(error) => (error.into(), totals),
                });
            }
            add_written(&mut totals, &writer);
            Ok(Collected { writer, positions, all_gaps, held_back, totals })
        }
    }
}

fn add_written(totals: &mut Totals, writer: &SetWriter) {
    totals.segments = writer.written().segments;
    totals.stored_bytes = writer.written().bytes;
}

type Readers = FuturesUnordered<JoinHandle<Result<(), Failure>>>;

/// Partitions are dealt to the lanes of their leaders' brokers.
fn start_readers(shared: Shared, cursors: Vec<super::source::Cursor>) -> Readers {
    let lanes = shared.cluster.options().connections_per_broker;
    let mut dealt_out: std::collections::BTreeMap<(i32, u32), Vec<_>> = std::collections::BTreeMap::new();
    let mut dealt: std::collections::HashMap<i32, u32> = std::collections::HashMap::new();
    for cursor in cursors.into_iter().filter(|c| c.offset < c.target) {
        let turn = dealt.entry(cursor.leader).or_insert(0);
        // Lane 0 is for requests of all kinds.
        dealt_out.entry((cursor.leader, *turn % lanes + 1)).or_default().push(cursor);
        *turn += 1;
    }
    let start = |((_, lane), cursors)| tokio::spawn(Reader::new(shared.clone(), lane, cursors).run());
    dealt_out.into_iter().map(start).collect()
}

async fn write(
    mut writer: SetWriter,
    mut queue: mpsc::Receiver<Job>,
    emitter: Emitter,
) -> Result<SetWriter, ArchiveError> {
    while let Some(job) = queue.recv().await {
        match job {
            Job::Arena(arena) => writer.push(arena).await?,
            Job::CloseSegment => writer.close_segment(),
            Job::Commit(positions, gaps) => {
                if let Some(entry) = writer.commit(&positions, gaps).await? {
                    emitter.emit(EventKind::Committed { entry, sealed: false });
                }
            }
        }
    }
    Ok(writer)
}

struct Collector {
    emitter: Emitter,
    jobs: mpsc::Sender<Job>,
    arena: Arena,
    pinned: usize,
    positions: Positions,
    held_back: Vec<HeldBack>,
    totals: Totals,
    offsets: u64,
    moved_offsets: u64,
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
        let mut failed = None;
        loop {
            tokio::select! {
                biased;
                _ = progress.tick() => self.tell_progress(),
                _ = segment.tick() => self.flush_and(Job::CloseSegment).await?,
                _ = checkpoint.tick() => self.checkpoint().await?,
                Some(ended) = readers.next() => {
                    let ended = ended.unwrap_or_else(|error| Err(Failure::new(Code::Internal, error.to_string())));
                    if let Err(failure) = ended {
                        failed = Some(failure);
                        break;
                    }
                }
                chunk = received.recv() => match chunk {
                    Some(chunk) => self.take(chunk).await?,
                    None if readers.is_empty() => break,
                    None => {}
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
            }
            Chunk::HeldBack(held) => {
                let text = format!(
                    "{}/{}: an open transaction holds back offsets {} to {}",
                    held.topic, held.partition, held.from, held.to
                );
                self.emitter.warn(text);
                self.held_back.push(held);
            }
            Chunk::Batches { topic, partition, batches, pinned } => {
                self.pinned += pinned;
                for batch in batches {
                    let header = &batch.raw.header;
                    self.totals.records += header.records();
                    self.totals.bytes += batch.raw.bytes.len() as u64;
                    self.moved_offsets += u64::try_from(i64::from(header.last_offset_delta) + 1).unwrap_or(0);
                    self.positions.advance(topic, partition, header, batch.committed);
                    self.arena.push(batch);
                }
                if self.pinned >= ARENA {
                    self.flush().await?;
                }
            }
        }
        Ok(())
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
        let (moved, gaps) = self.positions.take_moved();
        self.send(Job::Commit(moved, gaps)).await
    }

    async fn send(&self, job: Job) -> Result<(), Failure> {
        // The writer only ends early by a failure, which its task returns.
        let ended = |_| Failure::new(Code::Internal, "the writer ended");
        self.jobs.send(job).await.map_err(ended)
    }

    fn tell_progress(&self) {
        let percent = if self.offsets == 0 { 100.0 } else { 100.0 * self.moved_offsets as f64 / self.offsets as f64 };
        self.emitter.emit(EventKind::Progress {
            records: self.totals.records,
            bytes: self.totals.bytes,
            percent: (percent.min(100.0) * 10.0).round() / 10.0,
        });
    }
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = interval(every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker.reset_at(Instant::now() + every);
    ticker
}
