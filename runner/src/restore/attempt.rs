//! Producing: one epoch after the other until everything is in the target.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use contract::{Code, EventKind, Failure, Moved, Report};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::{ProducerIdentity, WireError};

use super::Restore;
use super::configs::largest_batch;
use super::ends;
use super::epoch::begin_epoch;
use super::facts::existing;
use super::feed::{Feed, IN_FLIGHT_KIB, Next, next_share};
use super::lane::{Input, Lane, LaneEnd, Rooms, Shared, Target};
use super::lease::Lease;
use super::plan::RestorePlan;
use super::state::TargetPartition;
use super::tails::Tail;
use super::transform::{Notes, Rules, Space};
use super::watch::watch;
use crate::logs::leaders;
use crate::pace::{Backlog, Counters, Meter, millis};

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
    let mut left: Option<Left> = None;
    let mut is_first = true;
    loop {
        let (tails, lease) = begin_epoch(restore, plan).await?;
        if std::mem::take(&mut is_first) {
            let records = tails.iter().map(|tail| tail.done).sum();
            report.earlier = Moved { records, bytes: plan.bytes_of(records), ..Moved::default() };
        }
        let before = report.records;
        let feed = left.take().filter(|left| left.fits(&tails)).map(|left| left.feed);
        let end = one_epoch(restore, plan, (&tails, &lease, feed), &notes, report).await;
        tell_notes(restore, &notes, report);
        let error = match end {
            Ok(Ended::All(expected)) => return ends::check(restore, plan, &expected, notes.left_out()).await,
            Ok(Ended::Renewal(feed, expected)) => {
                tracing::info!(reads_on = feed.is_some(), "the epoch has come to its end: the next one begins");
                left = feed.and_then(|feed| Left::new(restore, *feed, &expected));
                backoff.reset();
                continue;
            }
            Err(LaneEnd::Fail(failure)) => return Err(failure),
            Err(LaneEnd::Recover(error)) => error,
        };
        if report.records > before {
            backoff.reset();
        }
        tracing::warn!(%error, "a request's outcome is not known: fencing, then going on from what is in the target");
        // The class of the error does not matter here: the fence makes every error a clean start.
        backoff.wait(WireError::no_progress("the outcome of a request is not known", error.to_string())).await?;
    }
}

/// How an epoch ended that nothing went wrong in.
enum Ended {
    /// Everything is in the target: the offset after the last record, by place.
    All(BTreeMap<usize, i64>),
    /// Its time is over, and all that was sent is acknowledged. With what reads the archive, if no share of it was lost.
    Renewal(Option<Box<Feed>>, BTreeMap<usize, i64>),
}

/// What an epoch leaves to the next one: the archive is read on from where it was. An epoch may be shorter than it takes to
/// read all again that is restored.
struct Left {
    feed: Feed,
    /// Records that were restored then, by place.
    done: Vec<u64>,
}

impl Left {
    fn new(restore: &Restore<'_>, feed: Feed, expected: &BTreeMap<usize, i64>) -> Option<Self> {
        let done = |place: usize| ends::restored(restore, place, *expected.get(&place)?);
        let done = (0..restore.state.partitions.len()).map(done).collect::<Option<_>>()?;
        Some(Self { feed, done })
    }

    /// Whether the target has just that.
    fn fits(&self, tails: &[Tail]) -> bool {
        self.done.iter().copied().eq(tails.iter().map(|tail| tail.done))
    }
}

/// Streams the archive into the lanes until its end, until the epoch's time is over, or until a lane gives up. `kept` is what
/// reads the archive since an epoch before.
async fn one_epoch(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    (tails, lease, kept): (&[Tail], &Lease, Option<Feed>),
    notes: &Arc<Notes>,
    report: &mut Report,
) -> Result<Ended, LaneEnd> {
    let shared = Arc::new(shared(restore, lease).await?);
    let rules = rules(restore, plan, notes).await?;
    let most = restore.spec.max_concurrent_partitions.unwrap_or(u32::MAX).max(1);
    let lanes = restore.cluster.options().connections_per_broker.clamp(1, most);
    let (senders, mut running) = start_lanes(&shared, lanes, most, tails);
    let memory = Arc::new(Semaphore::new(IN_FLIGHT_KIB));
    let mut feed = match kept {
        Some(feed) => feed.go_on(rules, senders),
        None => Feed::begin(restore, plan, tails, rules, senders).await?,
    };
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    let mut speed = Speed { meter: Meter::default(), told_at: Instant::now(), reading: Duration::ZERO, topic: None };
    let (mut expected, mut end, mut is_all) = (BTreeMap::new(), None, false);
    let earlier = report.earlier.bytes + report.bytes;
    let mut interruption = std::pin::pin!(interruption(restore, lease));
    'work: loop {
        let is_held = feed.held.is_some();
        let next = tokio::select! {
            biased;
            _ = progress.tick() => {
                tell_progress(restore, plan, &shared, earlier, &mut speed);
                tell_warnings(restore, notes);
                continue;
            }
            interrupted = &mut interruption => {
                end = interrupted;
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
            next = next_share((&mut feed.stream, &mut feed.held), &memory, &mut speed.reading), if !is_held => next,
            () = std::future::ready(()), if is_held => Next::Held,
        };
        speed.topic = feed.held.as_ref().map(|(share, _)| share.topic).or(speed.topic);
        let in_hand = Arc::clone(&feed.in_hand);
        // A rate limit or full lanes may hold this up for long.
        let mut taking = std::pin::pin!(feed.take(restore, next));
        let taken = loop {
            tokio::select! {
                biased;
                _ = progress.tick() => {
                    tell_progress(restore, plan, &shared, earlier, &mut speed);
                    tell_warnings(restore, notes);
                }
                interrupted = &mut interruption => {
                    end = interrupted;
                    if end.is_some() || !in_hand.load(Ordering::Relaxed) {
                        break 'work;
                    }
                    // A share that is on its way to the lanes is waited for: it would have to be read again.
                    match tokio::time::timeout_at(lease.last_call(), &mut taking).await {
                        Ok(taken) => break taken,
                        Err(_) => break 'work,
                    }
                }
                taken = &mut taking => break taken,
            }
        };
        match taken {
            Ok(true) if Instant::now() < lease.renewal() => {}
            Ok(true) => break,
            Ok(false) => {
                is_all = true;
                break;
            }
            Err(ended) => {
                end = Some(ended);
                break;
            }
        }
    }
    let is_whole = end.is_none() && feed.flush(lease).await;
    feed.dealer.senders.clear();
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
    tell_progress(restore, plan, &shared, earlier, &mut speed);
    match end {
        Some(end) => Err(end),
        None if is_all => Ok(Ended::All(expected)),
        None => Ok(Ended::Renewal(is_whole.then(|| Box::new(feed)), expected)),
    }
}

async fn shared(restore: &Restore<'_>, lease: &Lease) -> Result<Shared, Failure> {
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = restore.cluster.topics(Some(&names)).await?;
    let leaders = leaders(&topics);
    let target = |p: &TargetPartition| {
        let name = restore.state.topics.get(p.topic).map(|topic| topic.name.clone()).unwrap_or_default();
        let leader = leaders.get(&(name.as_str(), p.partition)).copied().unwrap_or(-1);
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
    let windows = plan.windows();
    let sources: HashMap<_, _> = restore.point.seal.topics.iter().map(|source| (source.id, source)).collect();
    let rule = |topic: &super::state::TargetTopic| {
        let limit = targets.get(&topic.name).and_then(|target| largest_batch(&target.effective));
        let source = sources.get(&topic.source);
        Arc::new(Rules {
            topic: source.map_or_else(|| topic.source.to_string(), |source| source.name.clone()),
            windows: windows.clone(),
            headers: plan.offset_headers,
            strip: plan.strip_offset_headers,
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

/// What ends an epoch before its work is done; `None` when its time is over. What is in flight then is waited for: the next
/// epoch begins with nothing in doubt.
async fn interruption(restore: &Restore<'_>, lease: &Lease) -> Option<LaneEnd> {
    tokio::select! {
        biased;
        () = restore.context.cancel.cancelled() => {
            Some(LaneEnd::Fail(Failure::new(Code::Interrupted, "stopped on request; what was produced counts")))
        }
        ended = watch(restore) => Some(ended),
        () = tokio::time::sleep_until(lease.renewal()) => None,
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

/// How fast an attempt goes.
struct Speed {
    meter: Meter,
    told_at: Instant,
    /// Time that was spent waiting for the archive.
    reading: Duration,
    /// The topic that was dealt out last.
    topic: Option<uuid::Uuid>,
}

/// `earlier`: bytes that were produced before this epoch.
fn tell_progress(restore: &Restore<'_>, plan: &RestorePlan, shared: &Shared, earlier: u64, speed: &mut Speed) {
    let bases: u64 = restore.state.epochs.last().map_or(0, |epoch| epoch.bases.iter().sum());
    let (now, bytes) = (shared.records.load(Ordering::Relaxed), shared.bytes.load(Ordering::Relaxed));
    let backlog = Backlog::known(plan.records().saturating_sub(bases + now));
    let counters = Counters {
        records: now,
        bytes,
        throttled_ms: restore.limiter.waited_ms(),
        quota_ms: millis(restore.cluster.throttled().total),
        memory_ms: 0,
        packing_ms: 0,
        storing_ms: millis(speed.reading),
    };
    let since = speed.told_at.elapsed();
    speed.told_at = Instant::now();
    let pace = speed.meter.pace(counters, since, backlog, true);
    restore.emitter.emit(EventKind::Progress {
        records: bases + now,
        bytes: earlier + bytes,
        percent: backlog.percent_of(plan.records()),
        topic: speed.topic.and_then(|id| restore.point.seal.topics.iter().find(|t| t.id == id)).map(|t| t.name.clone()),
        whole_at: None,
        overdue: None,
        pace,
    });
}
