//! What is known of a cluster's brokers: where they are, as the newest answer to Metadata says, and the connections to
//! them. It keeps books only; nothing here talks to a broker.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::MetadataResponse;
use keys::About;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::{Budget, WireError};

/// A broker's number.
pub type BrokerId = i32;

/// The number under which connections to bootstrap addresses stand.
pub(crate) const BOOTSTRAP: BrokerId = -1;
/// The lane of everything but data.
pub(crate) const CONTROL: u32 = 0;
/// How long a broker that did not answer a dial is not dialled again.
const SILENT: Duration = Duration::from_secs(1);

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A connection and the address that it was made to.
#[derive(Debug)]
struct Kept {
    address: Address,
    connection: Arc<Connection>,
}

/// A place for one connection, taken by whoever dials it.
pub(crate) type DialLock = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug, Default)]
pub(crate) struct Brokers {
    /// Addresses by number: a list, for clusters that name one number twice.
    listed: BTreeMap<BrokerId, Vec<Address>>,
    /// Coordinators that Metadata did not name yet, until the next answer.
    guests: BTreeMap<BrokerId, Address>,
    controller: Option<BrokerId>,
    cluster_id: Option<String>,
    connections: BTreeMap<(BrokerId, u32), Kept>,
    places: HashMap<(BrokerId, u32), DialLock>,
    silent: HashMap<Address, (Instant, WireError)>,
    /// Addresses that let us in once.
    open: HashSet<Address>,
    /// What the certificates say that were shown there, the newest of each address.
    certificates: HashMap<Address, About>,
    /// Who answered the last question that every broker answers.
    told_by: Option<BrokerId>,
    /// Brokers whose answers led to the wrong place: the others are asked before them.
    doubted: HashSet<BrokerId>,
}

impl Brokers {
    /// Takes an answer's list in place of the former one: brokers that left are forgotten with their connections, and
    /// connections to an address that is not their broker's any more are dropped. An answer without any broker comes
    /// from one that is starting and tells nothing.
    pub(crate) fn learn(&mut self, answer: &MetadataResponse) {
        if answer.brokers.is_empty() {
            return;
        }
        let mut listed: BTreeMap<BrokerId, Vec<Address>> = BTreeMap::new();
        for broker in &answer.brokers {
            let addresses = listed.entry(broker.node_id.0).or_default();
            if let Ok(port @ 1..) = u16::try_from(broker.port) {
                addresses.push(Address { host: broker.host.to_string(), port });
            } else {
                // A broker that is asked for is then told to have no usable address.
                tracing::debug!(broker = broker.node_id.0, port = broker.port, "no usable port");
            }
        }
        self.listed = listed;
        self.guests.clear();
        self.controller = Some(answer.controller_id.0).filter(|id| *id >= 0);
        self.cluster_id = answer.cluster_id.as_ref().map(ToString::to_string);
        let listed = &self.listed;
        let is_there = |id: BrokerId| id == BOOTSTRAP || listed.contains_key(&id);
        self.connections.retain(|(id, _), kept| {
            *id == BOOTSTRAP || listed.get(id).is_some_and(|addresses| addresses.contains(&kept.address))
        });
        self.places.retain(|(id, _), _| is_there(*id));
        self.silent.retain(|_, (since, _)| since.elapsed() < SILENT);
        self.doubted.retain(|id| is_there(*id));
    }

    /// A coordinator's address, for as long as Metadata does not name it.
    pub(crate) fn welcome(&mut self, id: BrokerId, address: Address) {
        if !self.listed.contains_key(&id) {
            self.guests.insert(id, address);
        }
    }

    pub(crate) fn cluster_id(&self) -> Option<String> {
        self.cluster_id.clone()
    }

    pub(crate) fn controller(&self) -> Option<BrokerId> {
        self.controller.filter(|id| self.listed.contains_key(id))
    }

    pub(crate) fn ids(&self) -> Vec<BrokerId> {
        self.listed.keys().copied().collect()
    }

    /// Where a broker listens; nothing when the cluster does not name it.
    pub(crate) fn addresses(&self, id: BrokerId) -> Option<Vec<Address>> {
        self.listed.get(&id).cloned().or_else(|| self.guests.get(&id).map(|address| vec![address.clone()]))
    }

    /// Every address of every broker.
    pub(crate) fn all(&self) -> Vec<(BrokerId, Address)> {
        self.listed.iter().flat_map(|(id, list)| list.iter().map(|address| (*id, address.clone()))).collect()
    }

    /// The living connection of one broker's lane. Dead ones are forgotten at once, with all that they hold.
    pub(crate) fn connection(&mut self, id: BrokerId, lane: u32) -> Option<Arc<Connection>> {
        self.bury();
        self.connections.get(&(id, lane)).map(|kept| Arc::clone(&kept.connection))
    }

    /// The best living control connection to a broker that is not in `avoid`.
    pub(crate) fn control(&mut self, avoid: &HashSet<BrokerId>) -> Option<(BrokerId, Arc<Connection>)> {
        self.bury();
        let control = self.connections.iter().filter(|((id, lane), _)| *lane == CONTROL && !avoid.contains(id));
        let best = control.min_by_key(|(_, kept)| (kept.connection.is_stuck(), kept.connection.muted_until()));
        best.map(|((id, _), kept)| (*id, Arc::clone(&kept.connection)))
    }

    /// This broker answered a question that every broker answers.
    pub(crate) fn answered(&mut self, id: BrokerId) {
        self.told_by = Some(id);
    }

    /// Where the last such answer led, the work could not be done: its broker may be behind. Once every broker is doubted, the turn
    /// begins again.
    pub(crate) fn doubt(&mut self) {
        let Some(id) = self.told_by.take() else { return };
        self.doubted.insert(id);
        if self.listed.keys().all(|id| self.doubted.contains(id)) {
            self.doubted = HashSet::from([id]);
        }
    }

    /// Brokers to ask only when no other one answers.
    pub(crate) fn last_choice(&self, asked: &HashSet<BrokerId>) -> HashSet<BrokerId> {
        asked.union(&self.doubted).copied().collect()
    }

    /// Whether this address let us in once.
    pub(crate) fn is_open(&self, address: &Address) -> bool {
        self.open.contains(address)
    }

    pub(crate) fn keep(&mut self, id: BrokerId, lane: u32, address: Address, connection: &Arc<Connection>) {
        self.silent.remove(&address);
        self.connections.insert((id, lane), Kept { address, connection: Arc::clone(connection) });
    }

    fn bury(&mut self) {
        self.connections.retain(|_, kept| !kept.connection.is_spent());
    }

    /// This address let us in.
    pub(crate) fn opened(&mut self, address: &Address) {
        if !self.open.contains(address) {
            self.open.insert(address.clone());
        }
    }

    /// This address showed a certificate.
    pub(crate) fn shown(&mut self, address: &Address, certificate: Option<About>) {
        if let Some(certificate) = certificate {
            self.certificates.insert(address.clone(), certificate);
        }
    }

    /// The certificate that an address showed last.
    pub(crate) fn certificate(&self, address: &Address) -> Option<About> {
        self.certificates.get(address).cloned()
    }

    /// The place of one broker's lane.
    pub(crate) fn place(&mut self, id: BrokerId, lane: u32) -> DialLock {
        Arc::clone(self.places.entry((id, lane)).or_default())
    }

    /// Remembers for a moment that nobody answered there, or nobody of whom we may expect more.
    pub(crate) fn note_silence(&mut self, address: Address, error: &WireError) {
        if matches!(error, WireError::ConnectTimeout { .. } | WireError::Listener { .. }) {
            self.silent.insert(address, (Instant::now(), error.clone()));
        }
    }

    /// The error of a dial that nobody answered a moment ago.
    pub(crate) fn silence(&self, address: &Address) -> Option<WireError> {
        self.silent.get(address).filter(|(since, _)| since.elapsed() < SILENT).map(|(_, error)| error.clone())
    }
}

/// A budget for a lane: only data lanes have one.
pub(crate) fn budget_of(lane: u32, budget: Option<&Budget>) -> Option<Budget> {
    budget.filter(|_| lane != CONTROL).cloned()
}
