//! A cluster: how to find its brokers, keep connections to them, and send each request to the right one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{ConnectionSpec, SecurityProtocol};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::api::Api;
use crate::connection::Connection;
use crate::dial::Dialer;
use crate::retry::Backoff;
use crate::sasl::{self, SaslConfig};
use crate::tls::{self, TlsFiles};
use crate::{Budget, Retry, WireError, code};

/// A broker's number.
pub type BrokerId = i32;

/// How to reach a cluster; paths are resolved.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Addresses to start from, `host:port`.
    pub bootstrap: Vec<String>,
    /// What the listener speaks.
    pub protocol: SecurityProtocol,
    /// Certificates.
    pub tls: TlsFiles,
    /// Login.
    pub sasl: Option<SaslConfig>,
    /// Tuning.
    pub options: ConnectionSpec,
    /// Seed of the retry jitter.
    pub seed: u64,
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Topic id (KIP-516); made from the cluster's id and the name where brokers know none.
    pub id: Uuid,
    /// The id that brokers know; nil where they know none (Kafka 2.8 with an older inter-broker protocol).
    pub wire_id: Uuid,
    /// One of Kafka's own topics.
    pub internal: bool,
    /// Partitions in order of their numbers.
    pub partitions: Vec<Partition>,
    /// Error code of the broker for this topic, 0 for none.
    pub error: i16,
}

/// A partition as the cluster describes it.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Number.
    pub index: i32,
    /// Leader, -1 while there is none.
    pub leader: BrokerId,
    /// Epoch of the leader, -1 when unknown.
    pub leader_epoch: i32,
    /// Brokers that hold a replica.
    pub replicas: usize,
}

#[derive(Debug, Default)]
struct Known {
    brokers: BTreeMap<BrokerId, (String, u16)>,
    controller: BrokerId,
    cluster_id: Option<String>,
    connections: BTreeMap<(BrokerId, u32), Arc<Connection>>,
}

/// A cluster that was reached once.
#[derive(Debug)]
pub struct Cluster {
    config: ClusterConfig,
    dialer: Arc<dyn Dialer>,
    known: Mutex<Known>,
    /// A broker let us in once.
    welcome: AtomicBool,
    /// One dial per broker and lane at a time.
    dialing: tokio::sync::Mutex<()>,
}

impl Cluster {
    /// Reaches the cluster over any of its bootstrap addresses.
    ///
    /// # Errors
    /// The first refusal of login or certificate; else [`WireError::Unreachable`] at the deadline.
    pub async fn connect(config: ClusterConfig, dialer: Arc<dyn Dialer>) -> Result<Arc<Self>, WireError> {
        let cluster = Arc::new(Self {
            config,
            dialer,
            known: Mutex::default(),
            welcome: AtomicBool::new(false),
            dialing: tokio::sync::Mutex::new(()),
        });
        let mut backoff = cluster.backoff();
        loop {
            match cluster.refresh(Some(&[])).await {
                Ok(_) => return Ok(cluster),
                Err(error) => match backoff.wait(error).await {
                    Ok(_) => {}
                    Err(WireError::Deadline { seconds, last }) => {
                        let servers = cluster.config.bootstrap.join(", ");
                        return Err(WireError::Unreachable { servers, seconds, last: last.to_string() });
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// The cluster's own id.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.known().cluster_id.clone()
    }

    /// Tuning of this cluster's connections.
    #[must_use]
    pub fn options(&self) -> &ConnectionSpec {
        &self.config.options
    }

    /// A back-off with this cluster's deadline.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(self.config.options.retry_deadline_ms), self.config.seed)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Describes topics by name, or all that we may see; learns the brokers on the way.
    ///
    /// # Errors
    /// When no broker answers until the deadline.
    pub async fn topics(&self, names: Option<&[String]>) -> Result<Vec<Topic>, WireError> {
        let mut backoff = self.backoff();
        loop {
            match self.refresh(names).await {
                Ok(answer) => {
                    let cluster = self.cluster_id().unwrap_or_default();
                    return Ok(answer.topics.iter().map(|topic| describe(topic, &cluster)).collect());
                }
                Err(error) => backoff.wait(error).await?,
            };
        }
    }

    async fn refresh(&self, names: Option<&[String]>) -> Result<MetadataResponse, WireError> {
        let wanted = names.map(|names| {
            let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            names.iter().map(topic).collect::<Vec<_>>()
        });
        let request = MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(false);
        let connection = self.any_connection().await?;
        let answer = connection.call(&request, 12, Duration::ZERO).await?;
        let mut known = self.known();
        known.controller = answer.controller_id.0;
        known.cluster_id = answer.cluster_id.as_ref().map(ToString::to_string);
        for broker in &answer.brokers {
            let port = u16::try_from(broker.port).unwrap_or(0);
            known.brokers.insert(broker.node_id.0, (broker.host.to_string(), port));
        }
        Ok(answer)
    }

    /// A connection that lives, else a new one: known brokers first, then the bootstrap addresses.
    async fn any_connection(&self) -> Result<Arc<Connection>, WireError> {
        let (living, mut addresses) = {
            let known = self.known();
            let living = known.connections.values().find(|c| !c.is_spent()).cloned();
            (living, known.brokers.iter().map(|(id, address)| (*id, address.clone())).collect::<Vec<_>>())
        };
        if let Some(connection) = living {
            return Ok(connection);
        }
        for server in &self.config.bootstrap {
            if let Some((host, port)) = server.rsplit_once(':') {
                let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                addresses.push((-1, (host, port.parse().unwrap_or(0))));
            }
        }
        let mut last = WireError::Io { broker: "cluster".into(), reason: "no address is known".into() };
        for (id, (host, port)) in addresses {
            match self.dial(&host, port, None).await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    self.known().connections.insert((id, 0), Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) if error.retry() == Retry::Never => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn dial(&self, host: &str, port: u16, budget: Option<Budget>) -> Result<Connection, WireError> {
        let broker = format!("{host}:{port}");
        let limit = Duration::from_millis(self.config.options.connect_timeout_ms);
        let request_limit = Duration::from_millis(self.config.options.request_timeout_ms);
        let work = async {
            let io = |error: std::io::Error| WireError::Io { broker: broker.clone(), reason: error.to_string() };
            let mut stream = self.dialer.dial(host, port).await.map_err(io)?;
            if self.config.protocol.uses_tls() {
                stream = tls::handshake(&self.config.tls, host, &broker, stream).await?;
            }
            let connection = Connection::start(broker.clone(), stream, request_limit, budget).await;
            let mut connection = connection.map_err(|error| self.explain_refused_certificate(error))?;
            if let Some(config) = &self.config.sasl
                && let Some(lifetime) = sasl::login(&connection, config).await?
            {
                connection.session(lifetime);
            }
            Ok::<_, WireError>(connection)
        };
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(connection)) => {
                self.welcome.store(true, Ordering::Relaxed);
                Ok(connection)
            }
            // Files are read at each connection: when they rotate, the next attempts find the new ones.
            Ok(Err(error)) if self.welcome.load(Ordering::Relaxed) => Err(error.after_success()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(WireError::Timeout { broker, api: "connect", millis: limit.as_millis() }),
        }
    }

    /// With TLS 1.3 a broker refuses a client certificate after the handshake: it shows at the first exchange.
    fn explain_refused_certificate(&self, error: WireError) -> WireError {
        match error {
            WireError::Io { broker, reason } if self.config.protocol.uses_tls() && reason.contains("alert") => {
                WireError::Tls {
                    broker,
                    reason: format!("the broker refused our client certificate: {reason}"),
                    rotating: false,
                }
            }
            other => other,
        }
    }

    /// The connection number `lane` to a broker; lanes above 0 account their frames in `budget`.
    ///
    /// # Errors
    /// When the broker is unknown or cannot be reached.
    pub async fn broker(&self, id: BrokerId, lane: u32, budget: Option<&Budget>) -> Result<Arc<Connection>, WireError> {
        let find = || self.known().connections.get(&(id, lane)).filter(|c| !c.is_spent()).cloned();
        if let Some(connection) = find() {
            return Ok(connection);
        }
        let _one_at_a_time = self.dialing.lock().await;
        if let Some(connection) = find() {
            return Ok(connection);
        }
        let address = self.known().brokers.get(&id).cloned();
        let (host, port) =
            address.ok_or_else(|| WireError::broker(format!("broker {id}"), code::NOT_LEADER_OR_FOLLOWER))?;
        let connection = Arc::new(self.dial(&host, port, budget.cloned()).await?);
        self.known().connections.insert((id, lane), Arc::clone(&connection));
        Ok(connection)
    }

    /// Sends a request to one broker, without retry.
    pub(crate) async fn send<R: Api>(&self, id: BrokerId, request: &R, cap: i16) -> Result<R::Response, WireError> {
        self.broker(id, 0, None).await?.call(request, cap, Duration::ZERO).await
    }

    /// Sends a request to the controller, or to any broker where brokers forward it.
    pub(crate) async fn controller<R: Api>(
        &self,
        request: &R,
        cap: i16,
        extra: Duration,
    ) -> Result<R::Response, WireError> {
        let id = self.known().controller;
        let connection = if id < 0 { self.any_connection().await? } else { self.broker(id, 0, None).await? };
        connection.call(request, cap, extra).await
    }

    /// Numbers of all brokers known.
    #[must_use]
    pub fn broker_ids(&self) -> Vec<BrokerId> {
        let mut ids: Vec<_> = self.known().brokers.keys().copied().filter(|id| *id >= 0).collect();
        ids.sort_unstable();
        ids
    }

    /// Runs `work` until it succeeds, fails for good, or the deadline passes; refreshes brokers in between.
    ///
    /// # Errors
    /// The error that ended it.
    pub async fn retrying<T>(&self, mut work: impl AsyncFnMut() -> Result<T, WireError>) -> Result<T, WireError> {
        let mut backoff = self.backoff();
        loop {
            let error = match work().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if backoff.wait(error).await? == Retry::Refresh {
                // A failed refresh shows again at the next attempt.
                drop(self.refresh(Some(&[])).await);
            }
        }
    }

    /// The coordinator of a group (`kind` 0) or a transactional id (`kind` 1).
    pub(crate) async fn coordinator(&self, key: &str, kind: i8) -> Result<BrokerId, WireError> {
        let connection = self.any_connection().await?;
        let key_bytes = StrBytes::from_string(key.to_owned());
        let request = FindCoordinatorRequest::default().with_key_type(kind);
        let request = if connection.version::<FindCoordinatorRequest>(4).is_some_and(|version| version >= 4) {
            request.with_coordinator_keys(vec![key_bytes])
        } else {
            request.with_key(key_bytes)
        };
        let answer = connection.call(&request, 4, Duration::ZERO).await?;
        let (node, host, port, error) = match answer.coordinators.first() {
            Some(c) => (c.node_id.0, c.host.to_string(), c.port, c.error_code),
            None => (answer.node_id.0, answer.host.to_string(), answer.port, answer.error_code),
        };
        if error != 0 {
            return Err(WireError::broker(format!("coordinator of {key:?}"), error));
        }
        self.known().brokers.insert(node, (host, u16::try_from(port).unwrap_or(0)));
        Ok(node)
    }
}

fn describe(topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic, cluster: &str) -> Topic {
    let mut partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| Partition {
            index: p.partition_index,
            leader: p.leader_id.0,
            leader_epoch: p.leader_epoch,
            replicas: p.replica_nodes.len(),
        })
        .collect();
    partitions.sort_by_key(|p| p.index);
    let name = topic.name.as_ref().map(|name| name.0.to_string()).unwrap_or_default();
    let made_up = || Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("kafka:{cluster}/{name}").as_bytes());
    Topic {
        id: if topic.topic_id.is_nil() { made_up() } else { topic.topic_id },
        wire_id: topic.topic_id,
        name,
        internal: topic.is_internal,
        partitions,
        error: topic.error_code,
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
