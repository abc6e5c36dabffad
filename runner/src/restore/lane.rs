//! A lane: produces the batches of its partitions, at most one per partition in flight, and checks every answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use batch::{Outgoing, Producer};
use bytes::Bytes;
use contract::{Code, CrashPoint, Failure, crash};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use wire::{Backoff, Cluster, ProduceAnswer, ProduceSpot, ProducerIdentity, WireError, code};

/// Bytes of one request.
const REQUEST: usize = 4 << 20;

/// A target partition as lanes see it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) leader: AtomicI32,
}

/// What all lanes of an attempt share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) producer: ProducerIdentity,
    pub(crate) acks: i16,
    pub(crate) timeout: Duration,
    pub(crate) targets: Vec<Target>,
    /// Records acknowledged in this attempt.
    pub(crate) records: AtomicU64,
    /// Bytes acknowledged in this attempt.
    pub(crate) bytes: AtomicU64,
}

/// Transformed batches of one partition, maybe still being made.
pub(crate) struct Input {
    pub(crate) place: usize,
    pub(crate) work: JoinHandle<Result<Vec<Outgoing>, Failure>>,
    /// Memory is given back when the last holder lets go.
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
}

/// Why a lane ended early.
pub(crate) enum LaneEnd {
    /// The outcome of a request is not known, or the broker lost track: fence and read where the target is.
    Recover(WireError),
    /// Nothing helps.
    Fail(Failure),
}

impl From<Failure> for LaneEnd {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

struct Ready {
    bytes: [Bytes; 2],
    size: usize,
    records: i32,
    /// Memory is given back when the last batch of the input is acknowledged.
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Where a partition stands in this epoch.
struct Progress {
    /// Sequence of the next batch to be prepared.
    sequence: i32,
    /// Target offset that the next acknowledgement must name.
    expected: i64,
    queue: VecDeque<Ready>,
}

/// A lane.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    number: u32,
    input: mpsc::Receiver<Input>,
    partitions: BTreeMap<usize, Progress>,
    waiting: usize,
    backoff: Backoff,
}

impl Lane {
    /// A lane whose partitions start at these target offsets.
    pub(crate) fn new(
        shared: Arc<Shared>,
        number: u32,
        input: mpsc::Receiver<Input>,
        starts: BTreeMap<usize, i64>,
    ) -> Self {
        let progress = |(place, expected)| (place, Progress { sequence: 0, expected, queue: VecDeque::new() });
        let backoff = shared.cluster.backoff();
        Self { shared, number, input, partitions: starts.into_iter().map(progress).collect(), waiting: 0, backoff }
    }

    /// Produces until the input ends; returns the next expected target offset of each partition.
    pub(crate) async fn run(mut self) -> Result<BTreeMap<usize, i64>, LaneEnd> {
        loop {
            while self.waiting < 2 * REQUEST {
                let input = if self.waiting == 0 { self.input.recv().await } else { self.input.try_recv().ok() };
                match input {
                    Some(input) => self.prepare(input).await?,
                    None if self.waiting == 0 => {
                        return Ok(self.partitions.into_iter().map(|(place, p)| (place, p.expected)).collect());
                    }
                    None => break,
                }
            }
            self.send().await?;
        }
    }

    async fn prepare(&mut self, input: Input) -> Result<(), LaneEnd> {
        let internal = |error: tokio::task::JoinError| Failure::new(Code::Internal, error.to_string());
        let batches = input.work.await.map_err(internal)??;
        let permit = input.permit;
        let Some(progress) = self.partitions.get_mut(&input.place) else { return Ok(()) };
        for batch in batches {
            let identity = self.shared.producer;
            let producer = Producer { id: identity.id, epoch: identity.epoch, sequence: progress.sequence };
            // Sequences wrap from 2^31-1 to 0.
            let (records, size) = (batch.records(), batch.size());
            progress.sequence = progress.sequence.wrapping_add(records) & i32::MAX;
            self.waiting += size;
            let bytes = batch.sign(producer);
            progress.queue.push_back(Ready { bytes, size, records, _permit: Arc::clone(&permit) });
        }
        Ok(())
    }

    /// One request to the leader of the first waiting partition.
    async fn send(&mut self) -> Result<(), LaneEnd> {
        let leader_of =
            |place: &usize| self.shared.targets.get(*place).map_or(-1, |target| target.leader.load(Ordering::Relaxed));
        let mut waiting = self.partitions.iter().filter(|(_, progress)| !progress.queue.is_empty());
        let Some((first, _)) = waiting.next() else { return Ok(()) };
        let leader = leader_of(first);
        let (mut places, mut spots, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (place, progress) in self.partitions.iter().filter(|(place, _)| leader_of(place) == leader) {
            let (Some(ready), Some(target)) = (progress.queue.front(), self.shared.targets.get(*place)) else {
                continue;
            };
            if bytes > 0 && bytes + ready.size > REQUEST {
                continue;
            }
            bytes += ready.size;
            places.push(*place);
            spots.push(ProduceSpot {
                topic: target.topic.clone(),
                partition: target.partition,
                batch: ready.bytes.clone(),
            });
        }
        crash::at(CrashPoint::Producing);
        let sent = async {
            let connection =
                self.shared.cluster.broker(leader, self.number, None).await.map_err(|error| (false, error))?;
            connection.produce(&spots, self.shared.acks, self.shared.timeout).await.map_err(|error| (true, error))
        };
        match sent.await {
            Ok(answers) => self.take(&places, &answers).await,
            // Without a connection nothing was sent.
            Err((false, error)) => self.again(error).await,
            Err((true, error)) => Err(LaneEnd::Recover(error)),
        }
    }

    async fn take(&mut self, places: &[usize], answers: &[ProduceAnswer]) -> Result<(), LaneEnd> {
        let mut retry = None;
        for place in places {
            let Some(target) = self.shared.targets.get(*place) else { continue };
            let subject = format!("{}/{}", target.topic, target.partition);
            let same = |answer: &&ProduceAnswer| answer.topic == target.topic && answer.partition == target.partition;
            let Some(answer) = answers.iter().find(same) else {
                return Err(LaneEnd::Recover(WireError::broker(subject, 7)));
            };
            match answer.error {
                0 => self.acknowledged(*place, &subject, answer.base_offset)?,
                // Refused before anything was appended: the same bytes may go again.
                3 | 5 | 6 | 19 | 74 | 75 => retry = Some(WireError::broker(subject, answer.error)),
                other => return Err(refused(subject, other, answer.message.clone())),
            }
        }
        if let Some(error) = retry {
            return self.again(error).await;
        }
        crash::at(CrashPoint::Produced);
        self.backoff.reset();
        Ok(())
    }

    fn acknowledged(&mut self, place: usize, subject: &str, base_offset: i64) -> Result<(), LaneEnd> {
        let Some(progress) = self.partitions.get_mut(&place) else { return Ok(()) };
        let Some(ready) = progress.queue.pop_front() else { return Ok(()) };
        if self.shared.acks != 0 && base_offset != progress.expected {
            let text = format!(
                "{subject}: records were written at offset {base_offset} where {} was expected: another producer writes there",
                progress.expected
            );
            return Err(Failure::new(Code::ForeignWriter, text).into());
        }
        progress.expected += i64::from(ready.records);
        self.waiting -= ready.size;
        self.shared.records.fetch_add(u64::from(ready.records.unsigned_abs()), Ordering::Relaxed);
        self.shared.bytes.fetch_add(ready.size as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Waits, looks for the leaders again, and lets the loop send once more.
    async fn again(&mut self, error: WireError) -> Result<(), LaneEnd> {
        self.backoff.wait(error).await.map_err(|error| LaneEnd::Fail(error.into()))?;
        let mut names: Vec<_> = self.shared.targets.iter().map(|target| target.topic.clone()).collect();
        names.dedup();
        let topics = self.shared.cluster.topics(Some(&names)).await.map_err(|error| LaneEnd::Fail(error.into()))?;
        for target in &self.shared.targets {
            let found = topics.iter().find(|topic| topic.name == target.topic);
            if let Some(p) = found.and_then(|topic| topic.partitions.iter().find(|p| p.index == target.partition)) {
                target.leader.store(p.leader, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// What a refusal means.
fn refused(subject: String, code: i16, message: Option<String>) -> LaneEnd {
    let error = WireError::Broker { subject, code, message };
    match code {
        code::INVALID_PRODUCER_EPOCH | code::PRODUCER_FENCED => {
            let text = format!("another attempt of this restore took over: {error}");
            LaneEnd::Fail(Failure::new(Code::Fenced, text))
        }
        code::OUT_OF_ORDER_SEQUENCE | code::DUPLICATE_SEQUENCE => LaneEnd::Recover(error),
        _ if error.retry() == wire::Retry::Never => LaneEnd::Fail(error.into()),
        _ => LaneEnd::Recover(error),
    }
}
