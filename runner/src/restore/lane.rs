//! A lane: produces the batches of its partitions, several requests in flight, and checks every answer.

mod queue;
mod room;
mod trouble;

mod answers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use batch::{Outgoing, RawBatch};
use contract::{Code, CrashPoint, Failure, crash};
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use wire::{
    Backoff, BrokerId, Cluster, Connection, ProduceAnswer, ProduceAnswers, ProduceSpot, ProducerIdentity, WireError,
};

use self::queue::{Queue, Ready};
use self::room::{Room, Turn};
use self::trouble::{Trouble, Troubles, lost};
use super::lease::Lease;
use crate::logs::leaders;

pub(crate) use self::room::Rooms;
pub(crate) use self::trouble::LaneEnd;

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

impl Target {
    fn subject(&self) -> String {
        format!("{}/{}", self.topic, self.partition)
    }
}

/// What all lanes of an attempt share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) producer: ProducerIdentity,
    pub(crate) acks: i16,
    pub(crate) timeout: Duration,
    /// Nothing is sent once it is over.
    pub(crate) lease: Lease,
    pub(crate) targets: Vec<Target>,
    pub(crate) rooms: Rooms,
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

type Memory = Arc<OwnedSemaphorePermit>;

/// A request in flight.
struct Flight {
    leader: BrokerId,
    connection: Arc<Connection>,
    places: Vec<usize>,
    answers: ProduceAnswers,
    _room: Room,
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
    /// Room that was waited for, and for which broker.
    room: Option<(BrokerId, Room)>,
    /// A request to this broker waits for room.
    waiting: Option<(BrokerId, BoxFuture<'static, Result<Room, Failure>>)>,
    /// Why nothing more is sent until all answers are there.
    trouble: Troubles,
    /// Since trouble began.
    backoff: Option<Backoff>,
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
        Self {
            shared,
            number,
            input,
            closed: false,
            partitions,
            most,
            held: 0,
            flights: VecDeque::new(),
            room: None,
            waiting: None,
            trouble: Troubles::default(),
            backoff: None,
        }
    }

    /// Produces until the input ends; returns the next expected target offset of each partition.
    pub(crate) async fn run(mut self) -> Result<BTreeMap<usize, i64>, LaneEnd> {
        loop {
            while self.trouble.is_none() && self.flights.len() < FLIGHTS && self.post().await? {}
            if self.flights.is_empty() {
                match self.trouble.worst() {
                    Some(Trouble::End(end)) => return Err(end),
                    Some(Trouble::Resend(error)) => {
                        self.again(Some(error)).await?;
                        continue;
                    }
                    Some(Trouble::Halve) => {
                        self.again(None).await?;
                        continue;
                    }
                    None if self.closed && self.held == 0 => {
                        let ends = self.partitions.into_iter().map(|(place, queue)| (place, queue.expected()));
                        return Ok(ends.collect());
                    }
                    None => {}
                }
            }
            let free = !self.closed && self.trouble.is_none() && self.held < HELD;
            tokio::select! {
                biased;
                (places, answers) = oldest(&mut self.flights) => match answers {
                    Ok(answers) => self.take(&places, &answers)?,
                    Err(error) => self.doubt(&places, error)?,
                },
                room = turn(&mut self.waiting) => self.room = Some(room?),
                input = self.input.recv(), if free => match input {
                    Some(input) => self.prepare(input).await?,
                    None => self.closed = true,
                },
            }
        }
    }

    async fn prepare(&mut self, input: Input) -> Result<(), LaneEnd> {
        let internal = |error: tokio::task::JoinError| Failure::new(Code::Internal, error.to_string());
        let batches = input.work.await.map_err(internal)??;
        let queue = self.partitions.get_mut(&input.place).ok_or_else(|| lost(input.place))?;
        let ProducerIdentity { id, epoch } = self.shared.producer;
        for batch in batches {
            self.held += batch.size();
            queue.push(batch, id, epoch, Arc::clone(&input.permit));
        }
        Ok(())
    }

    /// Sends one request to the leader of the first partition that may send; `false` when none may.
    async fn post(&mut self) -> Result<bool, LaneEnd> {
        let Some(leader) = self.next_leader()? else { return Ok(false) };
        if self.shared.lease.is_over() {
            let over = WireError::no_progress("the epoch", "it is over: nothing is sent under it any more");
            return Err(LaneEnd::Recover(over));
        }
        let connection = match self.shared.cluster.broker(leader, self.number, None).await {
            Ok(connection) => connection,
            // Without a connection nothing was sent.
            Err(error) => {
                self.trouble.add(Trouble::Resend(error));
                return Ok(false);
            }
        };
        // Order holds on one connection only: a new one waits until nothing is in flight on the old one.
        let other = |flight: &Flight| flight.leader == leader && !Arc::ptr_eq(&flight.connection, &connection);
        if self.flights.iter().any(other) {
            return Ok(false);
        }
        let (places, spots, bytes) = self.gather(leader)?;
        let Some(room) = self.room_for(leader, bytes) else { return Ok(false) };
        for place in &places {
            self.partitions.get_mut(place).ok_or_else(|| lost(*place))?.sent();
        }
        crash::at(CrashPoint::Producing);
        match connection.post_produce(&spots, self.shared.acks, self.shared.timeout).await {
            Ok(answers) => self.flights.push_back(Flight { leader, connection, places, answers, _room: room }),
            Err(error) => self.doubt(&places, error)?,
        }
        Ok(true)
    }

    /// Partitions that may have their first batch in flight, and whether one may send.
    fn free(&self) -> usize {
        self.most.saturating_sub(self.partitions.values().filter(|queue| queue.is_busy()).count())
    }

    /// The leader of the first partition that may send, of those whose broker has room.
    fn next_leader(&self) -> Result<Option<BrokerId>, Failure> {
        let free = self.free();
        let full = self.waiting.as_ref().map(|(broker, _)| *broker);
        for (place, _) in self.partitions.iter().filter(|(_, queue)| may(queue, free)) {
            let leader = self.shared.targets.get(*place).ok_or_else(|| lost(*place))?.leader.load(Ordering::Relaxed);
            if full != Some(leader) {
                return Ok(Some(leader));
            }
        }
        Ok(None)
    }

    /// The batches of one request to this leader, one of each partition.
    fn gather(&self, leader: BrokerId) -> Result<(Vec<usize>, Vec<ProduceSpot>, usize), Failure> {
        let mut free = self.free();
        let (mut places, mut spots, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (place, queue) in &self.partitions {
            let target = self.shared.targets.get(*place).ok_or_else(|| lost(*place))?;
            let Some(Ready { bytes: batch, size, .. }) = queue.next().filter(|_| may(queue, free)) else { continue };
            if target.leader.load(Ordering::Relaxed) != leader || bytes > 0 && bytes + size > REQUEST {
                continue;
            }
            free -= usize::from(!queue.is_busy());
            bytes += size;
            places.push(*place);
            spots.push(ProduceSpot { topic: target.topic.clone(), partition: target.partition, batch: batch.clone() });
        }
        Ok((places, spots, bytes))
    }

    /// Room for a request, or `None` when it has to wait for it.
    fn room_for(&mut self, leader: BrokerId, bytes: usize) -> Option<Room> {
        let rooms = &self.shared.rooms;
        let kept = self.room.take().filter(|(broker, room)| *broker == leader && rooms.is_enough(room, bytes));
        if let Some((_, room)) = kept {
            return Some(room);
        }
        match rooms.turn(leader, bytes) {
            Turn::Now(room) => Some(room),
            Turn::Later(turn) => {
                self.waiting = Some((leader, turn));
                None
            }
        }
    }

    /// The outcome of a request is not known.
    fn doubt(&mut self, places: &[usize], error: WireError) -> Result<(), Failure> {
        for place in places {
            self.partitions.get_mut(place).ok_or_else(|| lost(*place))?.doubted();
        }
        self.trouble.add(Trouble::End(LaneEnd::Recover(error)));
        Ok(())
    }

    /// Makes everything ready to be sent once more; where waiting can help, waits and looks for the leaders again.
    async fn again(&mut self, error: Option<WireError>) -> Result<(), LaneEnd> {
        self.halve().await?;
        self.partitions.values_mut().for_each(Queue::drained);
        let Some(error) = error else { return Ok(()) };
        let backoff = self.backoff.get_or_insert_with(|| self.shared.cluster.backoff());
        backoff.wait(error).await.map_err(|error| LaneEnd::Fail(error.into()))?;
        // Only of its own partitions: another lane's may have requests in flight to the leader that it knows.
        let own: Result<Vec<_>, _> =
            self.partitions.keys().map(|place| self.shared.targets.get(*place).ok_or_else(|| lost(*place))).collect();
        let own = own?;
        let mut names: Vec<_> = own.iter().map(|target| target.topic.clone()).collect();
        names.dedup();
        let topics = self.shared.cluster.topics(Some(&names)).await.map_err(|error| LaneEnd::Fail(error.into()))?;
        let leaders = leaders(&topics);
        for target in own {
            if let Some(leader) = leaders.get(&(target.topic.as_str(), target.partition)) {
                target.leader.store(*leader, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Puts halves in the place of each batch that a broker found too large.
    async fn halve(&mut self) -> Result<(), Failure> {
        let ProducerIdentity { id, epoch } = self.shared.producer;
        for (place, queue) in &mut self.partitions {
            let Some(Ready { bytes, size, records, .. }) = queue.too_large() else { continue };
            let (whole, size, records) = (bytes.clone(), *size, *records);
            let subject = self.shared.targets.get(*place).ok_or_else(|| lost(*place))?.subject();
            if records < 2 {
                let text = format!(
                    "{subject}: the broker takes no batch of {size} bytes, and this one has a single record; raise                      max.message.bytes (and segment.bytes, where it is smaller) of the target topic"
                );
                return Err(Failure::new(Code::BatchTooLarge, text));
            }
            let halves = move || batch::halve(&RawBatch::parse(whole.concat().into())?);
            let halves = tokio::task::spawn_blocking(halves).await;
            let halves = halves.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
            let halves = halves.map_err(|error| Failure::new(Code::Internal, format!("{subject}: {error}")))?;
            self.held = self.held - size + halves.iter().map(Outgoing::size).sum::<usize>();
            queue.replace_first(halves, id, epoch);
        }
        Ok(())
    }
}

/// Whether a partition may send: one that has something in flight may always, others while there is a free place.
fn may(queue: &Queue<Memory>, free: usize) -> bool {
    queue.next().is_some() && (queue.is_busy() || free > 0)
}

/// The room that is waited for; waits for ever when none is. Dropping the future loses nothing.
async fn turn(
    waiting: &mut Option<(BrokerId, BoxFuture<'static, Result<Room, Failure>>)>,
) -> Result<(BrokerId, Room), Failure> {
    let Some((broker, turn)) = waiting else { return std::future::pending().await };
    let (broker, room) = (*broker, turn.await);
    *waiting = None;
    Ok((broker, room?))
}

/// The answers to the oldest request in flight; waits for ever when there is none. Dropping the future loses nothing.
async fn oldest(flights: &mut VecDeque<Flight>) -> (Vec<usize>, Result<Vec<ProduceAnswer>, WireError>) {
    let Some(flight) = flights.front_mut() else { return std::future::pending().await };
    let answers = (&mut flight.answers).await;
    let places = std::mem::take(&mut flight.places);
    flights.pop_front();
    (places, answers)
}
