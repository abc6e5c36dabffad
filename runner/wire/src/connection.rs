//! One connection to one broker: requests in flight, answers by correlation id, and one shared cause of death.
//!
//! A request may wait for its answer until its deadline; once the answer begins to arrive, only silence between its
//! bytes ends it, and the wait for memory ends nothing.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use contract::{SecurityProtocol, Waits};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use tokio::io::WriteHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::broke::Broke;
use crate::budget::Budget;
use crate::dial::Stream;
use crate::frame::Frame;
use crate::guard::Plain;
use crate::incoming::read_answers;
use crate::line::{Answer, Cut, Expected, Line, Patience};
use crate::listener::{self, Misfit};
use crate::throttle::Throttle;
use crate::versions::Versions;
use crate::{Request, WireError, code, guard, sizes};

/// Share of a login session's lifetime that is used; requests that are under way end in the rest.
const SESSION_USED: f64 = 0.75;
/// A connection with a question that is older looks as if its broker hangs.
pub(crate) const STUCK: Duration = Duration::from_secs(2);
/// Our name in the broker's request metrics.
const CLIENT_ID: &str = "kafka-backup";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What all connections of a cluster have in common.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// How long one request may take, and a broker be silent in the middle of an answer.
    pub(crate) timeout: Duration,
    pub(crate) throttle: Throttle,
    /// What listeners shall speak.
    pub(crate) protocol: SecurityProtocol,
    /// Where waits are told of.
    pub(crate) waits: Waits,
    /// Ends every wait at once.
    pub(crate) stop: CancellationToken,
}

/// A request that was sent and whose answer is waited for.
pub(crate) struct Posted<R> {
    receiver: oneshot::Receiver<Answer>,
    version: i16,
    expected: Expected,
    deadline: Instant,
    request: PhantomData<fn() -> R>,
}

/// One connection. Once broken it stays broken: every request then fails with the same cause.
pub struct Connection {
    broker: String,
    frames: mpsc::Sender<Frame>,
    line: Arc<Line>,
    versions: Versions,
    next_id: AtomicI32,
    manner: Manner,
    muted_until: Mutex<Option<Instant>>,
    /// From here on the broker may end the session of this login (KIP-368).
    retires: Option<Instant>,
    tasks: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Connection {
    /// Starts to speak Kafka over `stream` and asks for the broker's versions. Data is accounted in `budget`.
    pub(crate) async fn start(
        broker: String,
        stream: Box<dyn Stream>,
        manner: Manner,
        budget: Option<Budget>,
    ) -> Result<Self, WireError> {
        let (read, write) = tokio::io::split(stream);
        let line = Arc::new(Line::new());
        let (frames, queue) = mpsc::channel(8);
        let reader = tokio::spawn(read_answers(read, Arc::clone(&line), budget, manner.timeout));
        let writer = tokio::spawn(write_frames(write, queue, Arc::clone(&line)));
        let mut connection = Self {
            broker,
            frames,
            line,
            versions: Versions::default(),
            next_id: AtomicI32::new(1),
            manner,
            muted_until: Mutex::new(None),
            retires: None,
            tasks: [reader, writer],
        };
        connection.versions = connection.negotiate().await.map_err(|error| connection.misfit_or(error))?;
        if connection.versions.are_of_a_controller() {
            return Err(connection.misfit(Misfit::Controllers));
        }
        Ok(connection)
    }

    /// What the first bytes of the broker show, where they are not Kafka's.
    fn misfit_or(&self, error: WireError) -> WireError {
        listener::shown_by(&self.line.past().0).map_or(error, |misfit| self.misfit(misfit))
    }

    /// The error of a listener of this other kind.
    pub(crate) fn misfit(&self, misfit: Misfit) -> WireError {
        let (broker, protocol) = (self.broker.clone(), self.manner.protocol);
        WireError::Listener { broker, misfit, protocol, settled: false }
    }

    /// Whether the broker answered anything but the question for its versions, which it answers to everybody.
    pub(crate) fn is_proven(&self) -> bool {
        self.line.past().1 > 1
    }

    /// Address of the broker.
    #[must_use]
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// Until when the broker asked for silence on this connection, if that is still to come.
    #[must_use]
    pub fn muted_until(&self) -> Option<Instant> {
        let until = *self.muted_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    /// Whether new requests must take another connection: it broke, its broker answers nothing any more, or its session
    /// ends soon.
    pub(crate) fn is_spent(&self) -> bool {
        self.line.is_dead() || self.line.is_overdue() || self.retires.is_some_and(|at| Instant::now() >= at)
    }

    /// Whether its broker keeps somebody waiting for longer than usual.
    pub(crate) fn is_stuck(&self) -> bool {
        self.line.is_stuck(STUCK)
    }

    /// The broker keeps the session of this login for `lifetime`: the connection is left well before.
    pub(crate) fn session(&mut self, lifetime: Duration) {
        self.retires = Some(Instant::now() + lifetime.mul_f64(SESSION_USED));
    }

    /// The login is over: answers may be large from now on.
    pub(crate) fn admit(&self) {
        self.line.admit();
    }

    /// The version of `R` that a call would use.
    pub(crate) fn version<R: Api>(&self) -> Option<i16> {
        self.versions.pick::<R>(i16::MAX)
    }

    /// Refuses a broker that does not offer every one of `needs`; the error names all that are missing.
    pub(crate) fn require(&self, needs: &[Request]) -> Result<(), WireError> {
        match self.versions.missing(needs) {
            None => Ok(()),
            Some(missing) => Err(WireError::Unsupported { broker: self.broker.clone(), missing }),
        }
    }

    /// Asks with version 3; a broker that does not know it answers error 35 in the format of version 0 (KIP-511).
    async fn negotiate(&self) -> Result<Versions, WireError> {
        for version in [3, 0] {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str(CLIENT_ID))
                .with_client_software_version(StrBytes::from_static_str(VERSION));
            let mut frame = self.head::<ApiVersionsRequest>(version)?;
            frame.push(self.encode(&request, version)?);
            let posted = self.post::<ApiVersionsRequest>(frame, version, Duration::ZERO).await?;
            let mut bytes = self.receive(posted).await?;
            let unsupported = bytes.first_chunk::<2>() == Some(&code::UNSUPPORTED_VERSION.to_be_bytes());
            if unsupported && version > 0 {
                continue;
            }
            let answer = guard::decode::<ApiVersionsResponse>(&mut bytes, version)
                .map_err(|error| self.unreadable(Request::ApiVersions, &error))?;
            if answer.error_code != 0 {
                return Err(WireError::broker(Request::ApiVersions, self.broker.clone(), answer.error_code));
            }
            return Ok(Versions::from_answer(&answer));
        }
        Err(WireError::Version { broker: self.broker.clone(), request: Request::ApiVersions })
    }

    /// Sends a request with the newest common version and reads its answer.
    /// `extra` is time that the broker itself may wait before it answers.
    pub(crate) async fn call<R: Api>(&self, request: &R, extra: Duration) -> Result<R::Response, WireError> {
        self.call_up_to(i16::MAX, request, extra).await
    }

    /// The same with a version that is at most `cap`. A stop of the run ends it.
    pub(crate) async fn call_up_to<R: Api>(
        &self,
        cap: i16,
        request: &R,
        extra: Duration,
    ) -> Result<R::Response, WireError> {
        let (version, mut frame) = self.begin::<R>(cap)?;
        frame.push(self.encode(request, version)?);
        let posted = self.post::<R>(frame, version, extra).await?;
        tokio::select! {
            biased;
            answer = self.answer(posted) => answer,
            () = self.manner.stop.cancelled() => Err(WireError::Stopped),
        }
    }

    /// A request of the newest common version, at most `cap`, whose body is to follow.
    pub(crate) fn begin<R: Api>(&self, cap: i16) -> Result<(i16, Frame), WireError> {
        let lacks = || WireError::Version { broker: self.broker.clone(), request: R::REQUEST };
        let version = self.versions.pick::<R>(cap).ok_or_else(lacks)?;
        Ok((version, self.head::<R>(version)?))
    }

    /// Sends a request that was begun, after the silence that the broker asked for. Requests that are posted one after
    /// the other are worked on in this order.
    pub(crate) async fn post<R: Api>(
        &self,
        frame: Frame,
        version: i16,
        extra: Duration,
    ) -> Result<Posted<R>, WireError> {
        self.silence().await?;
        let (limit, deadline) = (self.manner.timeout + extra, Instant::now() + self.manner.timeout + extra);
        let largest = sizes::largest(R::REQUEST, is_flexible::<R>(version));
        let expected = Expected { data: R::REQUEST == Request::Fetch, largest, limit };
        let receiver = self.line.wait_for(frame.id, expected).map_err(|cause| self.broken(cause))?;
        self.send(frame, R::REQUEST, deadline, limit).await?;
        Ok(Posted { receiver, version, expected, deadline, request: PhantomData })
    }

    /// Sends a request that the broker does not answer (Produce with acks 0).
    pub(crate) async fn fire(&self, frame: Frame) -> Result<(), WireError> {
        self.silence().await?;
        let limit = self.manner.timeout;
        self.send(frame, Request::Produce, Instant::now() + limit, limit).await
    }

    async fn silence(&self) -> Result<(), WireError> {
        let Some(until) = self.muted_until() else { return Ok(()) };
        tokio::select! {
            biased;
            () = self.manner.stop.cancelled() => Err(WireError::Stopped),
            () = tokio::time::sleep_until(until) => Ok(()),
        }
    }

    async fn send(&self, frame: Frame, request: Request, deadline: Instant, limit: Duration) -> Result<(), WireError> {
        match tokio::time::timeout_at(deadline, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.broken(self.line.cause())),
            Err(_) => Err(self.late(request, limit)),
        }
    }

    /// Waits for the answer to a request. One that cannot be read ends the connection: nothing on it can be trusted.
    pub(crate) async fn answer<R: Api>(&self, posted: Posted<R>) -> Result<R::Response, WireError> {
        let version = posted.version;
        let mut bytes = self.receive(posted).await?;
        let plain = match R::REQUEST {
            _ if is_flexible::<R>(version) => Plain::Value,
            Request::Fetch => Plain::Count,
            _ => Plain::Either, // it is small
        };
        let answer = guard::decode_as::<R::Response>(&mut bytes, version, plain);
        let answer = answer.map_err(|error| self.unreadable(R::REQUEST, &error))?;
        if let Ok(millis @ 1..) = u64::try_from(R::throttle_ms(&answer)) {
            let until = self.manner.throttle.told(Duration::from_millis(millis));
            *self.muted_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
        Ok(answer)
    }

    async fn receive<R: Api>(&self, posted: Posted<R>) -> Result<Bytes, WireError> {
        let Posted { mut receiver, version, expected: Expected { largest, limit, .. }, mut deadline, .. } = posted;
        let _wait = self.manner.waits.begin(format!("{} to answer {}", self.broker, R::REQUEST));
        let mut bytes = loop {
            match tokio::time::timeout_at(deadline, &mut receiver).await {
                Ok(Ok(Ok(bytes))) => break bytes,
                Ok(Ok(Err(Cut { announced: Some(bytes), .. }))) => {
                    let broker = self.broker.clone();
                    return Err(WireError::AnswerTooLarge { broker, request: R::REQUEST, bytes, most: largest });
                }
                Ok(Ok(Err(Cut { cause, .. }))) => return Err(self.broken(cause)),
                Ok(Err(_)) => return Err(self.broken(self.line.cause())),
                Err(_) => match self.line.patience(deadline, limit) {
                    Patience::Until(later) => deadline = later,
                    Patience::Over => return Err(self.late(R::REQUEST, limit)),
                },
            }
        };
        // The answer to ApiVersions has the oldest header whatever its version (KIP-511).
        let oldest = R::REQUEST == Request::ApiVersions;
        let header_version = if oldest { 0 } else { R::Response::header_version(version) };
        guard::decode::<ResponseHeader>(&mut bytes, header_version)
            .map_err(|error| self.unreadable(R::REQUEST, &error))?;
        Ok(bytes)
    }

    fn head<R: Api>(&self, version: i16) -> Result<Frame, WireError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut header = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(R::REQUEST.key())
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)))
            .encode(&mut header, R::header_version(version))
            .map_err(|error| self.unsendable(R::REQUEST, &error))?;
        Ok(Frame::new(id, header.freeze()))
    }

    fn encode<R: Api>(&self, request: &R, version: i16) -> Result<Bytes, WireError> {
        let fail = |error| self.unsendable(R::REQUEST, &error);
        let mut body = BytesMut::with_capacity(request.compute_size(version).map_err(fail)?);
        request.encode(&mut body, version).map_err(fail)?;
        Ok(body.freeze())
    }

    fn unsendable(&self, request: Request, reason: &dyn std::fmt::Display) -> WireError {
        WireError::Unsendable { broker: self.broker.clone(), request, reason: reason.to_string() }
    }

    /// An answer that breaks the protocol ends the connection.
    pub(crate) fn unreadable(&self, request: Request, reason: &dyn std::fmt::Display) -> WireError {
        let error = WireError::Protocol { broker: self.broker.clone(), request, reason: reason.to_string() };
        self.line.kill(Broke::given_up(error.to_string()));
        error
    }

    /// Nothing on this connection can be trusted once an answer did not come in time.
    fn late(&self, request: Request, limit: Duration) -> WireError {
        let error = WireError::Timeout { broker: self.broker.clone(), request, millis: limit.as_millis() };
        self.line.kill(Broke::given_up(error.to_string()));
        error
    }

    fn broken(&self, cause: Broke) -> WireError {
        WireError::Io { broker: self.broker.clone(), cause, note: String::new() }
    }
}

/// Whether an answer has flexible fields (KIP-482): its counts are variable-length numbers.
fn is_flexible<R: Api>(version: i16) -> bool {
    R::Response::header_version(version) > 0
}

async fn write_frames(mut write: WriteHalf<Box<dyn Stream>>, mut queue: mpsc::Receiver<Frame>, line: Arc<Line>) {
    let work = async {
        while let Some(frame) = queue.recv().await {
            frame.send(&mut write).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        biased;
        () = line.closed.cancelled() => {}
        end = work => if let Err(error) = end {
            line.kill(Broke::of(&error));
        },
    }
}
