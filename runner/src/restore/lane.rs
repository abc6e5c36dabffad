//! A lane: produces the batches of its partitions, several requests in flight, and checks every answer.

mod queue;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use batch::Outgoing;
use contract::{Code, CrashPoint, Failure, crash};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use wire::{
    Backoff, BrokerId, Cluster, Connection, ProduceAnswer, ProduceAnswers, ProduceSpot, ProducerIdentity, Request,
    WireError, code,
};

use self::queue::{Queue, Ready};

/// Bytes of one request.
const REQUEST: usize = 4 << 20;
/// Bytes that a lane holds ready or in flight.
const HELD: usize = 2 * REQUEST;
/// Requests in flight at once.
const FLIGHTS: usize = 5;

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

type Memory = Arc<OwnedSemaphorePermit>;

/// A request in flight.
struct Flight {
    leader: BrokerId,
    connection: Arc<Connection>,
    places: Vec<usize>,
    answers: ProduceAnswers,
}

/// A lane.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    number: u32,
    input: mpsc::Receiver<Input>,
    closed: bool,
    partitions: BTreeMap<usize, Queue<Memory>>,
    /// Partitions that may have something in flight at once.
    most: usize,
    /// Bytes that are ready or in flight.
    held: usize,
    flights: VecDeque<Flight>,
    /// Why nothing more is sent until all answers are there.
    trouble: Option<WireError>,
    backoff: Backoff,
}

impl Lane {
    /// A lane whose partitions start at these target offsets; `most` of them are written at once.
    pub(crate) fn new(
        shared: Arc<Shared>,
        number: u32,
        input: mpsc::Receiver<Input>,
        starts: BTreeMap<usize, i64>,
        most: usize,
    ) -> Self {
        let partitions = starts.into_iter().map(|(place, expected)| (place, Queue::new(expected))).collect();
        let backoff = shared.cluster.backoff();
        let (flights, trouble) = (VecDeque::new(), None);
        Self { shared, number, input, closed: false, partitions, most, held: 0, flights, trouble, backoff }
    }

    /// Produces until the input ends; returns the next expected target offset of each partition.
    pub(crate) async fn run(mut self) -> Result<BTreeMap<usize, i64>, LaneEnd> {
        loop {
            while self.trouble.is_none() && self.flights.len() < FLIGHTS && self.post().await? {}
            if self.flights.is_empty() {
                if let Some(error) = self.trouble.take() {
                    self.again(error).await?;
                    continue;
                }
                if self.closed && self.held == 0 {
                    return Ok(self.partitions.into_iter().map(|(place, queue)| (place, queue.expected())).collect());
                }
            }
            let room = !self.closed && self.trouble.is_none() && self.held < HELD;
            tokio::select! {
                biased;
                (places, answers) = oldest(&mut self.flights) => {
                    self.take(&places, &answers.map_err(LaneEnd::Recover)?)?;
                }
                input = self.input.recv(), if room => match input {
                    Some(input) => self.prepare(input).await?,
                    None => self.closed = true,
                },
            }
        }
    }

    async fn prepare(&mut self, input: Input) -> Result<(), LaneEnd> {
        let internal = |error: tokio::task::JoinError| Failure::new(Code::Internal, error.to_string());
        let batches = input.work.await.map_err(internal)??;
        let Some(queue) = self.partitions.get_mut(&input.place) else { return Ok(()) };
        let ProducerIdentity { id, epoch } = self.shared.producer;
        for batch in batches {
            self.held += batch.size();
            queue.push(batch, id, epoch, Arc::clone(&input.permit));
        }
        Ok(())
    }

    /// Sends one request to the leader of the first partition that may send; `false` when none may.
    async fn post(&mut self) -> Result<bool, LaneEnd> {
        let leader_of =
            |place: &usize| self.shared.targets.get(*place).map_or(-1, |target| target.leader.load(Ordering::Relaxed));
        let busy = self.partitions.values().filter(|queue| queue.is_busy()).count();
        let mut free = self.most.saturating_sub(busy);
        let may = |queue: &Queue<Memory>, free: usize| queue.next().is_some() && (queue.is_busy() || free > 0);
        let Some((first, _)) = self.partitions.iter().find(|(_, queue)| may(queue, free)) else {
            return Ok(false);
        };
        let leader = leader_of(first);
        let connection = match self.shared.cluster.broker(leader, self.number, None).await {
            Ok(connection) => connection,
            // Without a connection nothing was sent.
            Err(error) => {
                self.trouble = Some(error);
                return Ok(false);
            }
        };
        // Order holds on one connection only: a new one waits until nothing is in flight on the old one.
        let other = |flight: &Flight| flight.leader == leader && !Arc::ptr_eq(&flight.connection, &connection);
        if self.flights.iter().any(other) {
            return Ok(false);
        }
        let (mut places, mut spots, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (place, queue) in &mut self.partitions {
            let Some(target) = self.shared.targets.get(*place) else { continue };
            let Some(Ready { bytes: batch, size, .. }) = queue.next().filter(|_| may(queue, free)) else { continue };
            if target.leader.load(Ordering::Relaxed) != leader || bytes > 0 && bytes + size > REQUEST {
                continue;
            }
            free -= usize::from(!queue.is_busy());
            bytes += size;
            places.push(*place);
            spots.push(ProduceSpot { topic: target.topic.clone(), partition: target.partition, batch: batch.clone() });
            queue.sent();
        }
        crash::at(CrashPoint::Producing);
        let posted = connection.post_produce(&spots, self.shared.acks, self.shared.timeout).await;
        let answers = posted.map_err(LaneEnd::Recover)?;
        self.flights.push_back(Flight { leader, connection, places, answers });
        Ok(true)
    }

    fn take(&mut self, places: &[usize], answers: &[ProduceAnswer]) -> Result<(), LaneEnd> {
        for place in places {
            let (Some(target), Some(queue)) = (self.shared.targets.get(*place), self.partitions.get_mut(place)) else {
                continue;
            };
            let subject = format!("{}/{}", target.topic, target.partition);
            let same = |answer: &&ProduceAnswer| answer.topic == target.topic && answer.partition == target.partition;
            let Some(answer) = answers.iter().find(same) else {
                return Err(LaneEnd::Recover(WireError::Unanswered { request: Request::Produce, subject }));
            };
            match answer.error {
                0 => {
                    let offset = Some(answer.base_offset).filter(|_| self.shared.acks != 0);
                    let done = queue.acknowledged(offset).map_err(|misplaced| {
                        let (offset, expected) = (answer.base_offset, misplaced.expected);
                        foreign(&subject, offset, expected)
                    })?;
                    let Some(done) = done else { continue };
                    self.held -= done.size;
                    self.shared.records.fetch_add(u64::from(done.records.unsigned_abs()), Ordering::Relaxed);
                    self.shared.bytes.fetch_add(done.size as u64, Ordering::Relaxed);
                }
                // Refused before anything was appended: the same bytes may go again.
                3 | 5 | 6 | 19 | 74 | 75 => {
                    queue.refused();
                    self.trouble.get_or_insert_with(|| WireError::broker(Request::Produce, subject, answer.error));
                }
                // Refused because the batch before it was.
                code::OUT_OF_ORDER_SEQUENCE if queue.is_refused() => {}
                other => return Err(refused(subject, other, answer.message.clone())),
            }
        }
        if self.trouble.is_none() {
            crash::at(CrashPoint::Produced);
            self.backoff.reset();
        }
        Ok(())
    }

    /// Waits, looks for the leaders again, and lets the loop send once more.
    async fn again(&mut self, error: WireError) -> Result<(), LaneEnd> {
        self.partitions.values_mut().for_each(Queue::drained);
        self.backoff.wait(error).await.map_err(|error| LaneEnd::Fail(error.into()))?;
        // Only of its own partitions: another lane's may have requests in flight to the leader that it knows.
        let own: Vec<_> = self.partitions.keys().filter_map(|place| self.shared.targets.get(*place)).collect();
        let mut names: Vec<_> = own.iter().map(|target| target.topic.clone()).collect();
        names.dedup();
        let topics = self.shared.cluster.topics(Some(&names)).await.map_err(|error| LaneEnd::Fail(error.into()))?;
        for target in own {
            let found = topics.iter().find(|topic| topic.name == target.topic);
            if let Some(p) = found.and_then(|topic| topic.partitions.iter().find(|p| p.index == target.partition)) {
                target.leader.store(p.leader, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// The answers to the oldest request in flight; waits for ever when there is none. Dropping the future loses nothing.
async fn oldest(flights: &mut VecDeque<Flight>) -> (Vec<usize>, Result<Vec<ProduceAnswer>, WireError>) {
    let Some(flight) = flights.front_mut() else { return std::future::pending().await };
    let answers = (&mut flight.answers).await;
    (flights.pop_front().map(|flight| flight.places).unwrap_or_default(), answers)
}

fn foreign(subject: &str, offset: i64, expected: i64) -> Failure {
    let text = format!(
        "{subject}: records were written at offset {offset} where {expected} was expected: another producer writes there"
    );
    Failure::new(Code::ForeignWriter, text)
}

/// What a refusal means.
fn refused(subject: String, code: i16, message: Option<String>) -> LaneEnd {
    let error = WireError::Broker { request: Request::Produce, subject, code, message };
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
