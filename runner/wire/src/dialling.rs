//! From an address to a connection that is ready for requests: TCP, TLS, versions, login; and what is said of one that does
//! not come about.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::broke::Broke;
use crate::brokers::{Address, BOOTSTRAP, BrokerId};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::listener::Misfit;
use crate::{Budget, WireError, sasl, tls};

/// How long a question that shows a listener's kind may take: the failure is told afterwards.
const QUESTION: Duration = Duration::from_secs(3);

/// How far a dial came.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Tcp,
    /// The peer may speak something else.
    NoTls,
    Tls,
    Kafka,
    /// It speaks Kafka; what it is, where the end of the login shows that.
    Login(Option<Misfit>),
}

impl Cluster {
    /// Connects and logs in. What fails at an address that never let us in is looked into, and told at once where somebody
    /// must change something.
    pub(crate) async fn dial(
        &self,
        id: BrokerId,
        address: &Address,
        budget: Option<Budget>,
    ) -> Result<Connection, WireError> {
        if !self.config.allowed.allows(&address.host, address.port) {
            // Nothing is sent there, not even a question of what it is.
            return Err(WireError::NotAllowed { broker: id, address: address.to_string() });
        }
        let limit = Duration::from_millis(self.config.options.connect_timeout_ms);
        let is_new = !self.brokers().is_open(address);
        let dialled = async {
            tokio::select! {
                biased;
                opened = self.open(id, address, budget) => opened,
                misfit = self.silent_misfit(address), if is_new => Err((Stage::Tls, misfit)),
            }
        };
        let error = match tokio::time::timeout(limit, dialled).await {
            Ok(Ok(connection)) => {
                self.welcome.store(true, Ordering::Relaxed);
                self.brokers().opened(address);
                return Ok(connection);
            }
            Ok(Err((stage, error))) => {
                let misfit = if is_new { self.misfit_at(&stage, &error, address, limit).await } else { None };
                misfit.unwrap_or_else(|| self.with_origin(id, address, &stage, error))
            }
            Err(_) => {
                let note = self.origin(id, address).unwrap_or_default();
                WireError::ConnectTimeout { broker: address.to_string(), millis: limit.as_millis(), note }
            }
        };
        self.tell_at_once(id, address, &error);
        // Files are read at each connection: when they rotate, the next attempts find the new ones.
        Err(error.after_success(!is_new, self.welcome.load(Ordering::Relaxed)))
    }

    async fn open(
        &self,
        id: BrokerId,
        address: &Address,
        budget: Option<Budget>,
    ) -> Result<Connection, (Stage, WireError)> {
        let (host, broker) = (address.host.as_str(), address.to_string());
        let io = |error: std::io::Error| WireError::Io {
            broker: broker.clone(),
            cause: Broke::of(&error),
            note: String::new(),
        };
        let wait = self.manner.waits.begin(format!("a connection to {address}{}", self.advertiser(id, address)));
        let mut stream = self.dialer.dial(host, address.port).await.map_err(|error| (Stage::Tcp, io(error)))?;
        if self.config.protocol.uses_tls() {
            let (spoken, shown) = tls::handshake(&self.config.tls, host, &broker, stream)
                .await
                .map_err(|failed| (if failed.may_be_plain { Stage::NoTls } else { Stage::Tls }, failed.error))?;
            stream = spoken;
            self.brokers().shown(address, shown);
        }
        drop(wait);
        let connection = Connection::start(broker, stream, self.manner.clone(), budget).await;
        let refused = |error| (Stage::Kafka, self.explain_refused_certificate(host, error));
        let mut connection = connection.map_err(refused)?;
        if let Some(config) = &self.config.sasl
            && let Some(lifetime) =
                sasl::login(&connection, config).await.map_err(|failed| (Stage::Login(failed.misfit), failed.error))?
        {
            connection.session(lifetime);
        }
        connection.admit();
        Ok(connection)
    }

    /// With TLS 1.3 a broker refuses a client certificate after the handshake: it shows at the first exchange.
    fn explain_refused_certificate(&self, host: &str, error: WireError) -> WireError {
        match error {
            WireError::Io { broker, cause: Broke::Tls(words), .. } => {
                tls::refused(&self.config.tls, host, &broker, &words, None)
            }
            other => other,
        }
    }

    /// The listener's kind, where the dial ended in a way that another kind would end it, and a question shows it.
    async fn misfit_at(
        &self,
        stage: &Stage,
        error: &WireError,
        address: &Address,
        limit: Duration,
    ) -> Option<WireError> {
        let is_hang_up = matches!(error, WireError::Io { cause, .. } if cause.is_hang_up());
        let misfit = async {
            match stage {
                Stage::NoTls => self.plain_misfit(address).await,
                Stage::Kafka if self.config.protocol.uses_tls() => None,
                Stage::Kafka => self.tls_misfit(address).await,
                Stage::Login(misfit) => misfit.clone(),
                Stage::Tcp | Stage::Tls => None,
            }
        };
        // No answer shows no kind; the first error stays.
        let misfit = tokio::time::timeout(limit.min(QUESTION), misfit).await.ok().flatten();
        let misfit = misfit.or_else(|| (*stage == Stage::Kafka && is_hang_up).then_some(Misfit::EndsAtHello))?;
        let (broker, protocol) = (address.to_string(), self.config.protocol);
        Some(WireError::Listener { broker, misfit, protocol, settled: false })
    }

    fn with_origin(&self, id: BrokerId, address: &Address, stage: &Stage, mut error: WireError) -> WireError {
        match &mut error {
            WireError::Io { note, .. } if *stage == Stage::Tcp => *note = self.origin(id, address).unwrap_or_default(),
            WireError::Tls { note, .. } => *note = self.origin(id, address).unwrap_or_default(),
            _ => {} // the address is not to blame
        }
        error
    }

    /// Who advertises an address that never let us in.
    fn advertiser(&self, id: BrokerId, address: &Address) -> String {
        let from_brokers = id != BOOTSTRAP && !self.brokers().is_open(address);
        if from_brokers { format!(", which broker {id} advertises") } else { String::new() }
    }

    /// Where an address that never let us in comes from, if not from the specification.
    fn origin(&self, id: BrokerId, address: &Address) -> Option<String> {
        let from_brokers = id != BOOTSTRAP && !self.brokers().is_open(address);
        from_brokers.then(|| {
            format!(
                "; this is the address that broker {id} advertises: set advertised.listeners of the broker to one that is reached from here, or put a listener that advertises such addresses into bootstrapServers"
            )
        })
    }

    /// The first failure at an address that somebody must correct is no secret until the deadline.
    fn tell_at_once(&self, id: BrokerId, address: &Address, error: &WireError) {
        let is_news = match error {
            WireError::Listener { .. } => true,
            WireError::Io { .. } | WireError::ConnectTimeout { .. } => self.origin(id, address).is_some(),
            _ => false, // ends the work, which says so
        };
        if is_news {
            self.config.waits.tell(error.to_string());
        }
    }
}
