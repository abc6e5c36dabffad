//! One connection to one broker: requests in flight, answers by correlation id, and one shared cause of death.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::WireError;
use crate::api::Api;
use crate::budget::Budget;
use crate::dial::Stream;
use crate::frame::Frame;
use crate::versions::Versions;

/// Largest frame that is read at all: the broker's own default for requests, doubled for headers and several
/// partitions that each hold one batch over the limit.
const FRAME_CAP: usize = 1 << 30;
/// Share of a login session's lifetime that is used; requests that are under way end in the rest.
const SESSION_USED: f64 = 0.75;
/// Our name in the broker's request metrics.
const CLIENT_ID: &str = "kafka-backup";
const VERSION: &str = env!("CARGO_PKG_VERSION");

type Answer = Result<Bytes, Arc<str>>;

#[derive(Default)]
struct Pending {
    waiting: HashMap<i32, oneshot::Sender<Answer>>,
    dead: Option<Arc<str>>,
}

/// A request that was sent and whose answer is waited for.
pub(crate) struct Posted<R> {
    receiver: oneshot::Receiver<Answer>,
    version: i16,
    limit: Duration,
    deadline: Instant,
    request: PhantomData<fn() -> R>,
}

/// One connection. Once broken it stays broken: every request then fails with the same cause.
pub struct Connection {
    broker: String,
    frames: mpsc::Sender<Frame>,
    pending: Arc<Mutex<Pending>>,
    versions: Versions,
    next_id: AtomicI32,
    timeout: Duration,
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
    /// Starts to speak Kafka over `stream` and asks for the broker's versions.
    pub(crate) async fn start(
        broker: String,
        stream: Box<dyn Stream>,
        timeout: Duration,
        budget: Option<Budget>,
    ) -> Result<Self, WireError> {
        let (read, write) = tokio::io::split(stream);
        let pending = Arc::new(Mutex::new(Pending::default()));
        let (frames, queue) = mpsc::channel(8);
        let reader = tokio::spawn(read_answers(read, Arc::clone(&pending), budget));
        let writer = tokio::spawn(write_frames(write, queue, Arc::clone(&pending)));
        let mut connection = Self {
            broker,
            frames,
            pending,
            versions: Versions::default(),
            next_id: AtomicI32::new(1),
            timeout,
            muted_until: Mutex::new(None),
            retires: None,
            tasks: [reader, writer],
        };
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    /// Address of the broker.
    #[must_use]
    pub fn broker(&self) -> &str {
        &self.broker
    }

    /// Whether new requests must take another connection: it broke, or its session ends soon.
    pub(crate) fn is_spent(&self) -> bool {
        lock(&self.pending).dead.is_some() || self.retires.is_some_and(|at| Instant::now() >= at)
    }

    /// The broker keeps the session of this login for `lifetime`: the connection is left well before.
    pub(crate) fn session(&mut self, lifetime: Duration) {
        self.retires = Some(Instant::now() + lifetime.mul_f64(SESSION_USED));
    }

    /// The version of `R` that a call would use.
    pub(crate) fn version<R: Api>(&self, cap: i16) -> Option<i16> {
        self.versions.pick::<R>(cap)
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
            let unsupported = bytes.first_chunk::<2>() == Some(&[0, 35]);
            if unsupported && version > 0 {
                continue;
            }
            let answer = ApiVersionsResponse::decode(&mut bytes, version)
                .map_err(|error| self.malformed("ApiVersions", &error))?;
            if answer.error_code != 0 {
                return Err(WireError::broker(self.broker.clone(), answer.error_code));
            }
            return Ok(Versions::from_answer(&answer));
        }
        Err(WireError::Version { broker: self.broker.clone(), api: "ApiVersions" })
    }

    /// Sends a request with the newest common version, at most `cap`, and reads its answer.
    /// `extra` is time that the broker itself may wait before it answers.
    pub(crate) async fn call<R: Api>(&self, request: &R, cap: i16, extra: Duration) -> Result<R::Response, WireError> {
        let (version, mut frame) = self.begin::<R>(cap)?;
        frame.push(self.encode(request, version)?);
        self.ask::<R>(frame, version, extra).await
    }

    /// A request of the newest common version, at most `cap`, whose body is to follow.
    pub(crate) fn begin<R: Api>(&self, cap: i16) -> Result<(i16, Frame), WireError> {
        let version =
            self.version::<R>(cap).ok_or_else(|| WireError::Version { broker: self.broker.clone(), api: R::NAME })?;
        Ok((version, self.head::<R>(version)?))
    }

    /// Sends a request that was begun, and reads its answer.
    pub(crate) async fn ask<R: Api>(
        &self,
        frame: Frame,
        version: i16,
        extra: Duration,
    ) -> Result<R::Response, WireError> {
        let posted = self.post::<R>(frame, version, extra).await?;
        self.answer(posted).await
    }

    /// Sends a request that was begun. Requests that are posted one after the other are worked on in this order.
    pub(crate) async fn post<R: Api>(
        &self,
        frame: Frame,
        version: i16,
        extra: Duration,
    ) -> Result<Posted<R>, WireError> {
        let mute = *lock(&self.muted_until);
        if let Some(until) = mute {
            tokio::time::sleep_until(until).await;
        }
        let (limit, deadline) = (self.timeout + extra, Instant::now() + self.timeout + extra);
        let (sender, receiver) = oneshot::channel();
        {
            let mut pending = lock(&self.pending);
            if let Some(cause) = &pending.dead {
                return Err(self.broken(cause));
            }
            pending.waiting.insert(frame.id, sender);
        }
        match tokio::time::timeout_at(deadline, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(Posted { receiver, version, limit, deadline, request: PhantomData }),
            Ok(Err(_)) => Err(self.broken("the connection was closed")),
            Err(_) => Err(self.late(R::NAME, limit)),
        }
    }

    /// Waits for the answer to a request.
    pub(crate) async fn answer<R: Api>(&self, posted: Posted<R>) -> Result<R::Response, WireError> {
        let version = posted.version;
        let mut bytes = self.receive(posted).await?;
        let answer = R::Response::decode(&mut bytes, version).map_err(|error| self.malformed(R::NAME, &error))?;
        if let Ok(millis @ 1..) = u64::try_from(R::throttle_ms(&answer)) {
            *lock(&self.muted_until) = Some(Instant::now() + Duration::from_millis(millis));
        }
        Ok(answer)
    }

    /// Sends a request that the broker does not answer (Produce with acks 0).
    pub(crate) async fn fire(&self, frame: Frame) -> Result<(), WireError> {
        self.frames.send(frame).await.map_err(|_| self.broken("the connection was closed"))
    }

    async fn receive<R: Api>(&self, posted: Posted<R>) -> Result<Bytes, WireError> {
        let (api, version) = (R::NAME, posted.version);
        let mut bytes = match tokio::time::timeout_at(posted.deadline, posted.receiver).await {
            Ok(Ok(Ok(bytes))) => bytes,
            Ok(Ok(Err(cause))) => return Err(self.broken(&cause)),
            Ok(Err(_)) => return Err(self.broken("the connection was closed")),
            Err(_) => return Err(self.late(api, posted.limit)),
        };
        // The answer to ApiVersions has the oldest header whatever its version (KIP-511).
        let header_version = if R::KEY == ApiVersionsRequest::KEY { 0 } else { R::Response::header_version(version) };
        ResponseHeader::decode(&mut bytes, header_version).map_err(|error| self.malformed(api, &error))?;
        Ok(bytes)
    }

    fn head<R: Api>(&self, version: i16) -> Result<Frame, WireError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut header = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)))
            .encode(&mut header, R::header_version(version))
            .map_err(|error| self.malformed(R::NAME, &error))?;
        Ok(Frame::new(id, header.freeze()))
    }

    fn encode<R: Api>(&self, request: &R, version: i16) -> Result<Bytes, WireError> {
        let fail = |error| self.malformed(R::NAME, &error);
        let mut body = BytesMut::with_capacity(request.compute_size(version).map_err(fail)?);
        request.encode(&mut body, version).map_err(fail)?;
        Ok(body.freeze())
    }

    fn malformed(&self, api: &'static str, reason: &dyn std::fmt::Display) -> WireError {
        WireError::Protocol { broker: self.broker.clone(), api, reason: reason.to_string() }
    }

    /// Nothing on this connection can be trusted once an answer did not come in time.
    fn late(&self, api: &'static str, limit: Duration) -> WireError {
        let error = WireError::Timeout { broker: self.broker.clone(), api, millis: limit.as_millis() };
        kill(&self.pending, &error.to_string());
        error
    }

    fn broken(&self, cause: &str) -> WireError {
        WireError::Io { broker: self.broker.clone(), reason: cause.to_owned() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(pending: &Mutex<Pending>, cause: &str) {
    let mut pending = lock(pending);
    let cause = Arc::clone(pending.dead.get_or_insert_with(|| Arc::from(cause)));
    for (_, sender) in pending.waiting.drain() {
        drop(sender.send(Err(Arc::clone(&cause))));
    }
}

async fn write_frames(
    mut write: WriteHalf<Box<dyn Stream>>,
    mut queue: mpsc::Receiver<Frame>,
    pending: Arc<Mutex<Pending>>,
) {
    while let Some(frame) = queue.recv().await {
        if let Err(error) = frame.send(&mut write).await {
            return kill(&pending, &error.to_string());
        }
    }
}

async fn read_answers(mut read: ReadHalf<Box<dyn Stream>>, pending: Arc<Mutex<Pending>>, budget: Option<Budget>) {
    loop {
        match read_frame(&mut read, budget.as_ref()).await {
            Ok(frame) => {
                let mut peek = frame.clone();
                if peek.remaining() < 4 {
                    return kill(&pending, "the broker sent an answer without a correlation id");
                }
                let id = peek.get_i32();
                let Some(sender) = lock(&pending).waiting.remove(&id) else {
                    return kill(&pending, "the broker sent an answer that nobody asked for");
                };
                drop(sender.send(Ok(frame)));
            }
            Err(error) => {
                let closed = error.kind() == std::io::ErrorKind::UnexpectedEof;
                let cause = if closed { "the broker closed the connection".to_owned() } else { error.to_string() };
                return kill(&pending, &cause);
            }
        }
    }
}

async fn read_frame(read: &mut ReadHalf<Box<dyn Stream>>, budget: Option<&Budget>) -> std::io::Result<Bytes> {
    let invalid = |text: String| std::io::Error::new(std::io::ErrorKind::InvalidData, text);
    let announced = read.read_i32().await?;
    let length = usize::try_from(announced).ok().filter(|length| *length <= FRAME_CAP);
    let length = length.ok_or_else(|| {
        invalid(format!(
            "a frame of {announced} bytes: this is not a Kafka listener, or it speaks another security protocol"
        ))
    })?;
    let permit = match budget {
        Some(budget) => budget.take(length).await,
        None => None,
    };
    let mut data = Vec::with_capacity(length);
    let mut body = read.take(length as u64);
    while data.len() < length {
        if body.read_buf(&mut data).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(match permit {
        Some(permit) => Budget::frame(data, permit),
        None => data.into(),
    })
}
