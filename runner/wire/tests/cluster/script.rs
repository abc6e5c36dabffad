//! A cluster that does what a test says: it answers typed requests over streams in memory, under tokio's paused clock.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use contract::{ConnectionSpec, SecurityProtocol};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, MetadataResponse, RequestHeader, RequestKind, ResponseHeader, ResponseKind, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::{Cluster, ClusterConfig, Dialer, Request, Stream, TlsFiles, WireError};

/// One request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The broker's port.
    pub(crate) port: u16,
    /// The connection's number, in the order of dials.
    pub(crate) connection: usize,
    /// Which one of this kind it is, from 0 on, over all brokers.
    pub(crate) nth: usize,
    pub(crate) version: i16,
    pub(crate) request: RequestKind,
}

/// What the script does with a request.
pub(crate) enum Reply {
    Answer(ResponseKind),
    Nothing,
    /// These bytes, then silence.
    Raw(Vec<u8>),
    /// The end of the connection.
    HangUp,
}

/// What happens to a dial.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    Silent,
    Closed,
    /// There is no such name.
    Nowhere,
}

type Script = dyn Fn(&Ask) -> Reply + Send + Sync;
type Doors = dyn Fn(u16) -> Door + Send + Sync;

struct Inner {
    script: Box<Script>,
    doors: Box<Doors>,
    seen: Mutex<Vec<Ask>>,
    dials: Mutex<Vec<(u16, Duration)>>,
    connections: AtomicUsize,
    start: Instant,
}

/// The scripted cluster.
#[derive(Clone)]
pub(crate) struct Kafka(Arc<Inner>);

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kafka")
    }
}

impl Kafka {
    pub(crate) fn new(script: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_doors(|_| Door::Open, script)
    }

    pub(crate) fn with_doors(
        doors: impl Fn(u16) -> Door + Send + Sync + 'static,
        script: impl Fn(&Ask) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            script: Box::new(script),
            doors: Box::new(doors),
            seen: Mutex::default(),
            dials: Mutex::default(),
            connections: AtomicUsize::new(0),
            start: Instant::now(),
        }))
    }

    /// Requests of one kind so far.
    pub(crate) fn seen(&self, key: ApiKey) -> Vec<Ask> {
        self.0.seen.lock().unwrap().iter().filter(|ask| key_of(&ask.request) == key as i16).cloned().collect()
    }

    /// Ports that were dialled, and when.
    pub(crate) fn dials(&self) -> Vec<(u16, Duration)> {
        self.0.dials.lock().unwrap().clone()
    }

    pub(crate) async fn connect(&self, options: ConnectionSpec) -> Arc<Cluster> {
        self.try_connect(options, CancellationToken::new()).await.unwrap()
    }

    pub(crate) async fn try_connect(
        &self,
        options: ConnectionSpec,
        stop: CancellationToken,
    ) -> Result<Arc<Cluster>, WireError> {
        let config = ClusterConfig { stop, ..plaintext(options) };
        Cluster::connect(config, Arc::new(self.clone())).await
    }
}

/// A client of the broker at port 1, without TLS and login.
pub(crate) fn plaintext(options: ConnectionSpec) -> ClusterConfig {
    ClusterConfig {
        bootstrap: vec!["kafka:1".into()],
        protocol: SecurityProtocol::Plaintext,
        tls: TlsFiles::default(),
        allowed: contract::AllowedEndpoints::default(),
        sasl: None,
        options,
        seed: 7,
        stop: CancellationToken::new(),
        waits: contract::Waits::default(),
    }
}

fn key_of(request: &RequestKind) -> i16 {
    match request {
        RequestKind::ApiVersions(_) => 18,
        RequestKind::Metadata(_) => 3,
        RequestKind::Fetch(_) => 1,
        RequestKind::ListOffsets(_) => 2,
        RequestKind::ListGroups(_) => 16,
        RequestKind::OffsetFetch(_) => 9,
        RequestKind::FindCoordinator(_) => 10,
        RequestKind::DescribeConfigs(_) => 32,
        RequestKind::DescribeGroups(_) => 15,
        RequestKind::SaslHandshake(_) => 17,
        RequestKind::SaslAuthenticate(_) => 36,
        other => panic!("the tests do not use {other:?}"),
    }
}

#[async_trait]
impl Dialer for Kafka {
    async fn dial(&self, _: &str, port: u16) -> std::io::Result<Box<dyn Stream>> {
        self.0.dials.lock().unwrap().push((port, self.0.start.elapsed()));
        match (self.0.doors)(port) {
            Door::Open => {}
            Door::Silent => std::future::pending().await,
            Door::Closed | Door::Nowhere => return Err(std::io::ErrorKind::ConnectionRefused.into()),
        }
        let (near, far) = tokio::io::duplex(1 << 16);
        let connection = self.0.connections.fetch_add(1, Ordering::Relaxed);
        let kafka = self.clone();
        tokio::spawn(async move { kafka.serve(far, port, connection).await });
        Ok(Box::new(near))
    }

    async fn is_unknown(&self, _: &str) -> bool {
        matches!((self.0.doors)(1), Door::Nowhere)
    }
}

impl Kafka {
    async fn serve(&self, mut stream: DuplexStream, port: u16, connection: usize) -> Option<()> {
        loop {
            let length = stream.read_i32().await.ok()?;
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut bytes).await.ok()?;
            let mut bytes = Bytes::from(bytes);
            let (key, version) = {
                let mut peek = bytes.clone();
                (peek.get_i16(), peek.get_i16())
            };
            let key = ApiKey::try_from(key).unwrap();
            let header = RequestHeader::decode(&mut bytes, key.request_header_version(version)).unwrap();
            let request = RequestKind::decode(key, &mut bytes, version).unwrap();
            let nth = self.seen(key).len();
            let ask = Ask { port, connection, nth, version, request };
            self.0.seen.lock().unwrap().push(ask.clone());
            match (self.0.script)(&ask) {
                Reply::Answer(answer) => {
                    let frame = frame(header.correlation_id, key, version, &answer);
                    stream.write_all(&frame).await.ok()?;
                }
                Reply::Raw(bytes) => stream.write_all(&with_id(bytes, header.correlation_id)).await.ok()?,
                Reply::Nothing => {}
                Reply::HangUp => return None,
            }
        }
    }
}

fn frame(id: i32, key: ApiKey, version: i16, answer: &ResponseKind) -> Vec<u8> {
    let mut out = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(id);
    let oldest = key == ApiKey::ApiVersions;
    header.encode(&mut out, if oldest { 0 } else { key.response_header_version(version) }).unwrap();
    answer.encode(&mut out, version).unwrap();
    let mut frame = i32::try_from(out.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&out);
    frame
}

/// Bytes 4 to 8 of a raw answer are the correlation id.
fn with_id(mut bytes: Vec<u8>, id: i32) -> Vec<u8> {
    if let Some(place) = bytes.get_mut(4..8) {
        place.copy_from_slice(&id.to_be_bytes());
    }
    bytes
}

/// An answer that announces `length` bytes and brings `there` of them.
pub(crate) fn half(length: i32, there: usize) -> Reply {
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(vec![0; there]);
    Reply::Raw(bytes)
}

/// All requests in all versions that this client can use.
pub(crate) fn versions() -> Reply {
    versions_of(Request::ALL.iter().map(|request| (request.key(), request.versions())))
}

pub(crate) fn versions_of(offered: impl IntoIterator<Item = (i16, (i16, i16))>) -> Reply {
    let range = |(key, (min, max))| ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max);
    let keys = offered.into_iter().map(range).collect();
    Reply::Answer(ResponseKind::ApiVersions(ApiVersionsResponse::default().with_api_keys(keys)))
}

/// A topic for [`metadata`]: name, error, leaders.
pub(crate) type Entry<'a> = (&'a str, i16, &'a [i32]);

/// Brokers by number and port, and topics.
pub(crate) fn metadata(brokers: &[(i32, u16)], topics: &[Entry<'_>]) -> Reply {
    Reply::Answer(ResponseKind::Metadata(metadata_of(brokers, topics)))
}

pub(crate) fn metadata_of(brokers: &[(i32, u16)], topics: &[Entry<'_>]) -> MetadataResponse {
    let broker = |(id, port): &(i32, u16)| {
        MetadataResponseBroker::default().with_node_id((*id).into()).with_host("kafka".into()).with_port((*port).into())
    };
    let topic = |(name, error, leaders): &Entry<'_>| {
        let partition = |(index, leader): (usize, &i32)| {
            let error = if *leader < 0 { 5 } else { 0 };
            MetadataResponsePartition::default()
                .with_partition_index(i32::try_from(index).unwrap())
                .with_leader_id((*leader).into())
                .with_error_code(error)
        };
        MetadataResponseTopic::default()
            .with_name(Some(TopicName((*name).to_owned().into())))
            .with_topic_id(uuid::Uuid::from_u128(7))
            .with_error_code(*error)
            .with_partitions(leaders.iter().enumerate().map(partition).collect())
    };
    MetadataResponse::default()
        .with_cluster_id(Some("cluster".into()))
        .with_controller_id(brokers.first().map_or(-1, |(id, _)| *id).into())
        .with_brokers(brokers.iter().map(broker).collect())
        .with_topics(topics.iter().map(topic).collect())
}

/// Names that a Metadata request asks for.
pub(crate) fn asked_for(ask: &Ask) -> Vec<String> {
    match &ask.request {
        RequestKind::Metadata(request) => {
            let topics = request.topics.iter().flatten();
            topics.filter_map(|topic| topic.name.as_ref().map(|name| name.0.to_string())).collect()
        }
        other => panic!("not a question for metadata: {other:?}"),
    }
}

/// Short limits; time is not real in these tests.
pub(crate) fn options() -> ConnectionSpec {
    ConnectionSpec {
        connect_timeout_ms: 10_000,
        request_timeout_ms: 30_000,
        retry_deadline_ms: 120_000,
        ..ConnectionSpec::default()
    }
}
