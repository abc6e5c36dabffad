//! Producing: one epoch after the other until everything is in the target.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use archive::{BatchStream, ReadBatch, Wanted};
use contract::{Code, EventKind, Failure, Report};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::{ProducerIdentity, WireError};

use super::Restore;
use super::configs::largest_batch;
use super::dealer::Dealer;
use super::ends;
use super::epoch::begin_epoch;
use super::facts::existing;
use super::guard;
use super::lane::{Input, Lane, LaneEnd, Rooms, Shared, Target};
use super::lease::Lease;
use super::passes::{passes, ways, what_is_left};
use super::plan::RestorePlan;
use super::state::TargetPartition;
use super::tails::Tail;
use super::transform::{Notes, Rules, Space};
use super::watch::watch;
use crate::pace::{Counters, Meter};

/// Archived bytes between the stream and the acknowledgement, in KiB.
const IN_FLIGHT_KIB: usize = 32 << 10;
/// Inputs waiting at one lane.
const LANE_DEPTH: usize = 16;
/// Largest batch that is made for a target that does not tell what it takes.
const UNTOLD_LIMIT: usize = 1 << 20;
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Produces everything of the plan; sums what this run moved into `report`. Returns the offset after the last record of
/// each partition, in the order of the state.
///
/// # Errors
/// The failure that ended it. The state says how to go on.
pub(crate) async fn produce(
    restore: &mut Restore<'_>,
    plan: &RestorePlan,
    report: &mut Report,
) -> Result<Vec<i64>, Failure> {
    let mut backoff = restore.cluster.backoff();
    let notes = Arc::new(Notes::default());
    loop {
        let (tails, lease) = begin_epoch(restore, plan).await?;
        let before = report.records;
        let end = one_epoch(restore, plan, &tails, &lease, &notes, report).await;
        tell_notes(restore, &notes, report);
        let error = match end {
            Ok(expected) => return ends::check(restore, plan, &expected, notes.left_out()).await,
            Err(LaneEnd::Fail(failure)) => return Err(failure),
            Err(LaneEnd::Recover(error)) => error,
        };
        if report.records > before {
            backoff.reset();
        }
        if Instant::now() >= lease.renewal() {
            tracing::info!("the epoch has come to its end: the next one begins");
            continue;
        }
        tracing::warn!(%error, "a request's outcome is not known: fencing, then going on from what is in the target");
        // The class of the error does not matter here: the fence makes every error a clean start.
        backoff.wait(WireError::no_progress("the outcome of a request is not known", error.to_string())).await?;
    }
}

/// Streams the archive into the lanes until its end, or until a lane gives up.
async fn one_epoch(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    tails: &[Tail],
    lease: &Lease,
    notes: &Arc<Notes>,
    report: &mut Report,
) -> Result<BTreeMap<usize, i64>, LaneEnd> {
    let ways = ways(restore, plan);
    let (left, skip) = what_is_left(restore, plan, &ways, tails).await?;
    let shared = Arc::new(shared(restore, lease).await?);
    let rules = rules(restore, plan, notes).await?;
    let most = restore.spec.max_concurrent_partitions.unwrap_or(u32::MAX).max(1);
    let lanes = restore.cluster.options().connections_per_broker.clamp(1, most);
    let (senders, mut running) = start_lanes(&shared, lanes, most, tails);
    let memory = Arc::new(Semaphore::new(IN_FLIGHT_KIB));
    let dealer = Dealer::new(ways, rules, skip, senders, restore.limiter.clone());
    let mut feed = Feed { stream: None, passes: passes(plan, left).into(), dealer, began: false };
    feed.next_pass(restore).await?;
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    let mut speed = Speed { meter: Meter::default(), told_at: Instant::now(), reading: Duration::ZERO, topic: None };
    let (mut expected, mut end) = (BTreeMap::new(), None);
    let mut interruption = std::pin::pin!(interruption(restore, lease));
    'work: loop {
        let next = tokio::select! {
            biased;
            _ = progress.tick() => {
                tell_progress(restore, plan, &shared, report.records, &mut speed);
                tell_warnings(restore, notes);
                continue;
            }
            interrupted = &mut interruption => {
                end = Some(interrupted);
                break;
            }
            Some(lane) = running.next() => {
                match joined(lane) {
                    Ok(done) => expected.extend(done),
                    Err(lane_end) => {
                        end = Some(lane_end);
                        break;
                    }
                }
                continue;
            }
            // Shares that are dealt out hold memory that the next one may wait for.
            () = feed.dealer.dealt() => Next::Dealt,
            next = next_share(&mut feed.stream, &memory, &mut speed.reading) => Next::Share(next),
        };
        if let Next::Share(Ok(Some((share, _)))) = &next {
            speed.topic = Some(share.topic);
        }
        // A rate limit or full lanes may hold this up for long.
        let mut taking = std::pin::pin!(feed.take(restore, next));
        let taken = loop {
            tokio::select! {
                biased;
                _ = progress.tick() => {
                    tell_progress(restore, plan, &shared, report.records, &mut speed);
                    tell_warnings(restore, notes);
                }
                interrupted = &mut interruption => {
                    end = Some(interrupted);
                    break 'work;
                }
                taken = &mut taking => break taken,
            }
        };
        match taken {
            Ok(true) => {}
            Ok(false) => break,
            Err(failure) => {
                end = Some(LaneEnd::Fail(failure));
                break;
            }
        }
    }
    drop(feed);
    let abort = matches!(end, Some(LaneEnd::Recover(_)));
    while let Some(lane) = running.next().await {
        match joined(lane) {
            Ok(done) => expected.extend(done),
            // A lane that fails for good says more than one that only lost its connection.
            Err(lane_end) if end.is_none() || abort && matches!(lane_end, LaneEnd::Fail(_)) => end = Some(lane_end),
            Err(_) => {}
        }
    }
    report.records += shared.records.load(Ordering::Relaxed);
    report.bytes += shared.bytes.load(Ordering::Relaxed);
    tell_progress(restore, plan, &shared, report.records - shared.records.load(Ordering::Relaxed), &mut speed);
    end.map_or(Ok(expected), Err)
}

async fn shared(restore: &Restore<'_>, lease: &Lease) -> Result<Shared, Failure> {
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = restore.cluster.topics(Some(&names)).await?;
    let target = |p: &TargetPartition| {
        let name = restore.state.topics.get(p.topic).map(|topic| topic.name.clone()).unwrap_or_default();
        let topic = topics.iter().find(|topic| topic.name == name);
        let leader =
            topic.and_then(|topic| topic.partitions.iter().find(|q| q.index == p.partition)).map_or(-1, |q| q.leader);
        Target { topic: name, partition: p.partition, leader: AtomicI32::new(leader) }
    };
    let epoch = restore.state.epochs.last();
    Ok(Shared {
        cluster: Arc::clone(&restore.cluster),
        producer: ProducerIdentity { id: epoch.map_or(-1, |e| e.producer_id), epoch: epoch.map_or(-1, |e| e.number) },
        acks: restore.spec.produce_acks,
        timeout: Duration::from_millis(u64::try_from(restore.spec.produce_timeout_ms).unwrap_or(30_000)),
        lease: lease.clone(),
        targets: restore.state.partitions.iter().map(target).collect(),
        rooms: Rooms::new(restore.spec.max_in_flight_bytes),
        records: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    })
}

/// Says what was found at single batches since it was said last.
fn tell_warnings(restore: &Restore<'_>, notes: &Notes) {
    notes.warnings().into_iter().for_each(|warning| restore.emitter.warn(warning));
}

/// Says what was found at single batches, and which records were left out.
fn tell_notes(restore: &Restore<'_>, notes: &Notes, report: &mut Report) {
    tell_warnings(restore, notes);
    notes.rest().into_iter().for_each(|warning| restore.emitter.warn(warning));
    report.left_out_records = notes.left_out();
    let row = |((topic, partition, offset), records, reason)| {
        serde_json::json!({
            "topic": topic, "partition": partition, "offset": offset, "records": records, "reason": reason,
        })
    };
    report.unreadable = notes.unreadable().into_iter().map(row).collect();
}

/// How each target topic takes its batches.
async fn rules(restore: &Restore<'_>, plan: &RestorePlan, notes: &Arc<Notes>) -> Result<Vec<Arc<Rules>>, Failure> {
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let targets = existing(&restore.cluster, &names).await?;
    let space = Arc::new(Space::new(restore.context.workers));
    let rule = |topic: &super::state::TargetTopic| {
        let limit = targets.get(&topic.name).and_then(|target| largest_batch(&target.effective));
        let source = restore.point.seal.topics.iter().find(|source| source.id == topic.source);
        Arc::new(Rules {
            topic: source.map_or_else(|| topic.source.to_string(), |source| source.name.clone()),
            window: plan.window,
            headers: plan.offset_headers,
            source_cluster: restore.point.seal.source_cluster_id.clone(),
            limit: limit.unwrap_or(UNTOLD_LIMIT),
            max_records: usize::try_from(restore.spec.produce_batch_size).unwrap_or(usize::MAX),
            on_unreadable: plan.on_unreadable,
            notes: Arc::clone(notes),
            space: Arc::clone(&space),
        })
    };
    let by_topic: Vec<_> = restore.state.topics.iter().map(rule).collect();
    Ok(restore.state.partitions.iter().filter_map(|p| by_topic.get(p.topic).cloned()).collect())
}

/// What the loop of an epoch goes on with.
enum Next {
    Dealt,
    Share(Result<Option<(ReadBatch, OwnedSemaphorePermit)>, Failure>),
}

/// The way of the archive's records to the lanes.
struct Feed {
    stream: Option<BatchStream>,
    /// What is streamed after that.
    passes: VecDeque<Wanted>,
    dealer: Dealer,
    /// Whether a share was taken.
    began: bool,
}

impl Feed {
    /// Begins the next pass; `false` where there is none.
    async fn next_pass(&mut self, restore: &Restore<'_>) -> Result<bool, Failure> {
        let Some(wanted) = self.passes.pop_front() else { return Ok(false) };
        self.stream = Some(restore.point.stream(wanted).await?);
        Ok(true)
    }

    /// Goes one step on; `false` when everything was taken, or a lane ended early and will say why. Whoever drops the
    /// future ends the epoch.
    async fn take(&mut self, restore: &Restore<'_>, next: Next) -> Result<bool, Failure> {
        let share = match next {
            Next::Dealt => return self.dealer.send_dealt().await,
            Next::Share(share) => share?,
        };
        let Some((share, permit)) = share else {
            if self.next_pass(restore).await? {
                return Ok(true);
            }
            self.dealer.finish().await?;
            return Ok(false);
        };
        if !self.began {
            // Directly before the first record, however long the archive took.
            guard::check(&restore.cluster, &restore.state.topics).await?;
            self.began = true;
        }
        restore.limiter.ready().await;
        self.dealer.take(share, permit).await
    }
}

/// What ends an epoch before its work is done. What is in flight then is waited for: the next epoch begins with nothing
/// in doubt.
async fn interruption(restore: &Restore<'_>, lease: &Lease) -> LaneEnd {
    tokio::select! {
        biased;
        () = restore.context.cancel.cancelled() => {
            LaneEnd::Fail(Failure::new(Code::Interrupted, "stopped on request; what was produced counts"))
        }
        failure = watch(restore) => LaneEnd::Fail(failure),
        () = tokio::time::sleep_until(lease.renewal()) => {
            LaneEnd::Recover(WireError::no_progress("the epoch", "it has come to its end"))
        }
    }
}

type Running = FuturesUnordered<JoinHandle<Result<BTreeMap<usize, i64>, LaneEnd>>>;

fn start_lanes(shared: &Arc<Shared>, lanes: u32, most: u32, tails: &[Tail]) -> (Vec<mpsc::Sender<Input>>, Running) {
    let (mut senders, running) = (Vec::new(), Running::new());
    for lane in 0..lanes {
        let (sender, input) = mpsc::channel(LANE_DEPTH);
        let mine = |place: &usize| *place % lanes as usize == lane as usize;
        let starts =
            tails.iter().enumerate().filter(|(place, _)| mine(place)).map(|(place, tail)| (place, tail.next)).collect();
        senders.push(sender);
        // The places are shared out evenly.
        let places = (most / lanes + u32::from(lane < most % lanes)) as usize;
        // Lane 0 of the client is for requests of all kinds.
        running.push(tokio::spawn(Lane::new(Arc::clone(shared), lane + 1, input, starts, places).run()));
    }
    (senders, running)
}

fn joined(
    lane: Result<Result<BTreeMap<usize, i64>, LaneEnd>, tokio::task::JoinError>,
) -> Result<BTreeMap<usize, i64>, LaneEnd> {
    lane.unwrap_or_else(|error| Err(LaneEnd::Fail(Failure::new(Code::Internal, error.to_string()))))
}

/// The next share and the memory for it; `None` at the end. Dropping the future loses nothing: a share leaves
/// the stream only when nothing is waited for any more.
async fn next_share(
    stream: &mut Option<BatchStream>,
    memory: &Arc<Semaphore>,
    reading: &mut Duration,
) -> Result<Option<(ReadBatch, OwnedSemaphorePermit)>, Failure> {
    let Some(stream) = stream else { return Ok(None) };
    let started = Instant::now();
    let found = stream.peek_bytes().await?;
    *reading += started.elapsed();
    let Some(bytes) = found else { return Ok(None) };
    let units = u32::try_from(bytes.div_ceil(1024).clamp(1, IN_FLIGHT_KIB)).unwrap_or(1);
    let closed = |_| Failure::new(Code::Internal, "the memory budget was closed");
    let permit = Arc::clone(memory).acquire_many_owned(units).await.map_err(closed)?;
    Ok(stream.take_ready().map(|share| (share, permit)))
}

/// How fast an attempt goes.
struct Speed {
    meter: Meter,
    told_at: Instant,
    /// Time that was spent waiting for the archive.
    reading: Duration,
    /// The topic that was dealt out last.
    topic: Option<uuid::Uuid>,
}

fn tell_progress(restore: &Restore<'_>, plan: &RestorePlan, shared: &Shared, earlier: u64, speed: &mut Speed) {
    let bases: u64 = restore.state.epochs.last().map_or(0, |epoch| epoch.bases.iter().sum());
    let (now, bytes) = (shared.records.load(Ordering::Relaxed), shared.bytes.load(Ordering::Relaxed));
    let share = 100.0 * (bases + now) as f64 / plan.records().max(1) as f64;
    let counters = Counters {
        records: now,
        bytes,
        throttled_ms: restore.limiter.waited_ms(),
        quota_ms: u64::try_from(restore.cluster.throttled().total.as_millis()).unwrap_or(u64::MAX),
        memory_ms: 0,
        packing_ms: 0,
        storing_ms: u64::try_from(speed.reading.as_millis()).unwrap_or(0),
    };
    let since = speed.told_at.elapsed();
    speed.told_at = Instant::now();
    let pace = speed.meter.pace(counters, since, plan.records().saturating_sub(bases + now), true);
    restore.emitter.emit(EventKind::Progress {
        records: earlier + now,
        bytes,
        percent: (share.min(100.0) * 10.0).round() / 10.0,
        topic: speed.topic.and_then(|id| restore.point.seal.topics.iter().find(|t| t.id == id)).map(|t| t.name.clone()),
        whole_at: None,
        overdue: None,
        pace,
    });
}
