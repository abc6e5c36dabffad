//! A cluster: keeps connections to its brokers and sends each request to the right one.
//!
//! Control requests go over lane 0 and never wait behind data. Each connection is dialled by one task at a time, and
//! no dial waits for the dial to another broker.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{AllowedEndpoints, ConnectionSpec, SecurityProtocol, Waits};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use kafka_protocol::messages::MetadataRequest;
use keys::About;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::broke::Broke;
use crate::brokers::{Address, BrokerId, Brokers, CONTROL, budget_of};
use crate::connection::{Connection, Manner};
use crate::dial::Dialer;
use crate::retry::Backoff;
use crate::sasl::SaslConfig;
use crate::throttle::{Throttle, Throttled};
use crate::tls::TlsFiles;
use crate::{Budget, Request, Retry, WireError};

/// When several addresses could answer, the next one is tried after this time.
const STAGGER: Duration = Duration::from_millis(300);
/// Names that nobody knows for so long are misspelt, or what they name is not there.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

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
    /// Where connections may go, also where brokers send us.
    pub allowed: AllowedEndpoints,
    /// Tuning.
    pub options: ConnectionSpec,
    /// Seed of the retry jitter.
    pub seed: u64,
    /// Ends every wait at once: dials, answers to control requests, pauses and the silence that brokers ask for.
    pub stop: CancellationToken,
    /// Where waits are told of.
    pub waits: Waits,
}

/// A cluster that was reached once.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) config: ClusterConfig,
    pub(crate) dialer: Arc<dyn Dialer>,
    brokers: Mutex<Brokers>,
    pub(crate) manner: Manner,
    /// A broker let us in once.
    pub(crate) welcome: AtomicBool,
}

impl Cluster {
    /// Reaches the cluster over any of its bootstrap addresses.
    ///
    /// # Errors
    /// The first refusal of login or certificate; [`WireError::NamesUnknown`] after a minute; else
    /// [`WireError::Unreachable`] at the deadline.
    pub async fn connect(config: ClusterConfig, dialer: Arc<dyn Dialer>) -> Result<Arc<Self>, WireError> {
        let manner = Manner {
            timeout: Duration::from_millis(config.options.request_timeout_ms),
            throttle: Throttle::default(),
            protocol: config.protocol,
            waits: config.waits.clone(),
            stop: config.stop.clone(),
        };
        let welcome = AtomicBool::new(false);
        let cluster = Arc::new(Self { config, dialer, brokers: Mutex::default(), manner, welcome });
        let (mut backoff, mut unknown_since) = (cluster.backoff(), None);
        loop {
            match cluster.look(Some(&[]), &mut HashSet::new()).await {
                Ok(_) => return Ok(cluster),
                Err(error) => match backoff.wait(error).await {
                    Ok(_) => cluster.give_up_unknown_names(&mut unknown_since).await?,
                    Err(WireError::Deadline { seconds, last }) => {
                        let servers = cluster.config.bootstrap.join(", ");
                        return Err(WireError::Unreachable { servers, seconds, last: last.to_string() });
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Ends waiting for names that nobody knows for a while.
    async fn give_up_unknown_names(&self, since: &mut Option<Instant>) -> Result<(), WireError> {
        for server in self.config.bootstrap.iter().filter_map(|server| parse(server)) {
            let asked = async { Ok(self.dialer.is_unknown(&server.host).await) };
            if !self.unless_stopped(asked).await? {
                *since = None;
                return Ok(());
            }
        }
        let unknown = since.get_or_insert_with(Instant::now).elapsed();
        if unknown < UNKNOWN_FOR {
            return Ok(());
        }
        let servers = self.config.bootstrap.join(", ");
        Err(WireError::NamesUnknown { servers, seconds: unknown.as_secs() })
    }

    /// Checks that a broker offers every request of `needs` in a version that this client can use.
    ///
    /// # Errors
    /// [`WireError::Unsupported`], which names all that are missing.
    pub async fn require(&self, needs: &[Request]) -> Result<(), WireError> {
        self.retrying(async || self.control().await?.require(needs)).await
    }

    /// The cluster's own id.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.brokers().cluster_id()
    }

    /// Tuning of this cluster's connections.
    #[must_use]
    pub fn options(&self) -> &ConnectionSpec {
        &self.config.options
    }

    /// For how long brokers asked us to be silent so far.
    #[must_use]
    pub fn throttled(&self) -> Throttled {
        self.manner.throttle.so_far()
    }

    /// What ends every wait.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.config.stop
    }

    /// How long work may keep failing.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.config.options.retry_deadline_ms)
    }

    /// A back-off with this cluster's deadline.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff_of(self.deadline())
    }

    /// A back-off that gives up earlier, where `limit` is shorter than this cluster's deadline.
    #[must_use]
    pub fn backoff_of(&self, limit: Duration) -> Backoff {
        let backoff = Backoff::new(limit.min(self.deadline()), self.config.seed);
        backoff.with_stop(self.config.stop.clone()).with_waits(self.config.waits.clone())
    }

    pub(crate) fn brokers(&self) -> std::sync::MutexGuard<'_, Brokers> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers of the brokers that the newest answer to Metadata named.
    #[must_use]
    pub fn broker_ids(&self) -> Vec<BrokerId> {
        self.brokers().ids()
    }

    /// Pauses, unless the run shall stop.
    pub(crate) async fn pause(&self, time: Duration) -> Result<(), WireError> {
        self.unless_stopped(async {
            tokio::time::sleep(time).await;
            Ok(())
        })
        .await
    }

    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, WireError>>,
    ) -> Result<T, WireError> {
        tokio::select! {
            biased;
            () = self.config.stop.cancelled() => Err(WireError::Stopped),
            done = work => done,
        }
    }

    /// The connection number `lane` to a broker. Lane 0 is for control requests; the data that others fetch is
    /// accounted in `budget`.
    ///
    /// # Errors
    /// When the broker is unknown or cannot be reached.
    pub async fn broker(&self, id: BrokerId, lane: u32, budget: Option<&Budget>) -> Result<Arc<Connection>, WireError> {
        if let Some(connection) = self.brokers().connection(id, lane) {
            return Ok(connection);
        }
        let place = self.brokers().place(id, lane);
        let work = async {
            let _one_at_a_time = place.lock().await;
            if let Some(connection) = self.brokers().connection(id, lane) {
                return Ok(connection);
            }
            let addresses = self.brokers().addresses(id).ok_or(WireError::UnknownBroker { id })?;
            let candidates = addresses.into_iter().map(|address| (id, address)).collect();
            let (_, connection) = self.race(candidates, lane, budget).await?;
            Ok(connection)
        };
        self.unless_stopped(work).await
    }

    /// Connects and logs in to a broker, and hears an answer from it.
    ///
    /// # Errors
    /// When the broker is unknown, or cannot be reached.
    pub async fn knock(&self, id: BrokerId) -> Result<(), WireError> {
        let connection = self.broker(id, CONTROL, None).await?;
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        match connection.call(&request, Duration::ZERO).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain_hang_up(&connection, error).await),
        }
    }

    /// Where a broker listens, as the cluster says.
    #[must_use]
    pub fn address(&self, id: BrokerId) -> Option<String> {
        self.brokers().addresses(id)?.first().map(ToString::to_string)
    }

    /// What our own certificate says of itself, where we have one.
    #[must_use]
    pub fn own_certificate(&self) -> Option<About> {
        crate::tls::own(&self.config.tls)
    }

    /// What the certificate says of itself that a broker showed last; `None` where it showed none.
    #[must_use]
    pub fn certificate(&self, id: BrokerId) -> Option<About> {
        let brokers = self.brokers();
        brokers.addresses(id)?.iter().find_map(|address| brokers.certificate(address))
    }

    /// Dials several addresses, the next one as soon as one failed or lets us wait; the first that answers is kept.
    pub(crate) async fn race(
        &self,
        candidates: Vec<(BrokerId, Address)>,
        lane: u32,
        budget: Option<&Budget>,
    ) -> Result<(BrokerId, Arc<Connection>), WireError> {
        let (mut silent, mut waiting): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|(_, address)| self.brokers().silence(address).is_some());
        let mut last = WireError::Io {
            broker: "cluster".into(),
            cause: Broke::given_up("no usable address is known"),
            note: String::new(),
        };
        if waiting.is_empty() {
            // Whoever dialled a moment ago waited for us, too.
            let known = silent.pop().and_then(|(_, address)| self.brokers().silence(&address));
            return Err(known.unwrap_or(last));
        }
        waiting.reverse();
        let mut running = FuturesUnordered::new();
        loop {
            if let Some((id, address)) = waiting.pop() {
                running.push(self.attempt(id, address, budget_of(lane, budget)));
            }
            let next = Instant::now() + STAGGER;
            tokio::select! {
                biased;
                Some((id, address, dialled)) = running.next() => match dialled {
                    Ok(connection) => {
                        let connection = Arc::new(connection);
                        self.brokers().keep(id, lane, address, &connection);
                        return Ok((id, connection));
                    }
                    Err(error) if error.retry() == Retry::Never => return Err(error),
                    Err(error) => {
                        self.brokers().note_silence(address, &error);
                        // What shows a listener's kind says more than what another address says.
                        if !matches!(last, WireError::Listener { .. }) {
                            last = error;
                        }
                    }
                },
                () = tokio::time::sleep_until(next), if !waiting.is_empty() => {}
                else => return Err(last),
            }
        }
    }

    fn attempt(&self, id: BrokerId, address: Address, budget: Option<Budget>) -> BoxFuture<'_, Dialled> {
        Box::pin(async move {
            let dialled = self.dial(id, &address, budget).await;
            (id, address, dialled)
        })
    }

    /// Sends a request to one broker, without retry.
    pub(crate) async fn send<R: Api>(&self, id: BrokerId, request: &R) -> Result<R::Response, WireError> {
        self.broker(id, CONTROL, None).await?.call(request, Duration::ZERO).await
    }

    /// Sends a request to the controller, or to any broker where brokers forward it.
    pub(crate) async fn controller<R: Api>(&self, request: &R, extra: Duration) -> Result<R::Response, WireError> {
        let id = self.brokers().controller();
        let connection = match id {
            None => self.control().await?,
            Some(id) => self.broker(id, CONTROL, None).await?,
        };
        connection.call(request, extra).await
    }

    /// Runs `work` until it succeeds, fails for good, or the deadline passes; in between, another broker is asked who is there, and
    /// where the next attempt must go.
    ///
    /// # Errors
    /// The error that ended it.
    pub async fn retrying<T>(&self, work: impl AsyncFnMut() -> Result<T, WireError>) -> Result<T, WireError> {
        self.retrying_for(self.deadline(), work).await
    }

    /// The same for at most `limit`.
    ///
    /// # Errors
    /// The error that ended it.
    pub async fn retrying_for<T>(
        &self,
        limit: Duration,
        mut work: impl AsyncFnMut() -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        let mut backoff = self.backoff_of(limit);
        loop {
            let error = match work().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if backoff.wait(error).await? == Retry::Refresh {
                self.brokers().doubt();
                // A failed refresh shows again at the next attempt.
                drop(self.look(Some(&[]), &mut HashSet::new()).await);
            }
        }
    }
}

/// How one dial ended.
type Dialled = (BrokerId, Address, Result<Connection, WireError>);

/// An address of the specification, which was checked there.
pub(crate) fn parse(server: &str) -> Option<Address> {
    let (host, port) = contract::names::host_and_port(server)?;
    Some(Address { host: host.to_owned(), port })
}
