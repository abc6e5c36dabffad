//! What a model cluster is made of, and what happens to it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::faults::Faults;
use crate::log::{Log, Marks};

/// Milliseconds since 1970 at which every simulation begins.
pub const EPOCH_MS: i64 = 1_800_000_000_000;

/// How a broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It works.
    Up,
    /// It is gone: connections are refused and broken, and the others do not name it.
    Down,
    /// It takes requests and answers none.
    Silent,
}

/// A broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Host name; the port is 9092.
    pub host: String,
    /// How it is.
    pub power: Power,
    /// Grows with each stop, so that old connections break.
    pub life: u64,
}

/// A partition.
#[derive(Debug)]
pub struct Partition {
    /// Its leader, -1 for none.
    pub leader: i32,
    /// Epoch of the leader.
    pub epoch: i32,
    /// Brokers that hold it.
    pub replicas: Vec<i32>,
    /// Its log.
    pub log: Log,
}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Id.
    pub id: Uuid,
    /// Partitions.
    pub partitions: Vec<Partition>,
    /// Configs of its own.
    pub configs: BTreeMap<String, String>,
    /// Virtual milliseconds at which it was made, and each partition with it or later.
    pub made_ms: Vec<u64>,
    /// When it was deleted.
    pub deleted_ms: Option<u64>,
    /// The user may not describe it.
    pub forbidden: bool,
}

/// A consumer group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Committed offsets by topic and partition.
    pub offsets: BTreeMap<(String, i32), i64>,
}

/// An open transaction.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Partitions in it, by topic id.
    pub partitions: BTreeSet<(Uuid, i32)>,
    /// When it began.
    pub began_ms: u64,
}

/// A cluster.
#[derive(Debug, Default)]
pub struct State {
    /// Brokers by number.
    pub brokers: BTreeMap<i32, Broker>,
    /// Topics that exist, by name.
    pub topics: BTreeMap<String, Topic>,
    /// Topics that were deleted.
    pub deleted: Vec<Topic>,
    /// Groups.
    pub groups: BTreeMap<String, Group>,
    /// Open transactions by producer.
    pub transactions: BTreeMap<i64, Transaction>,
    /// Producer and epoch of each transactional id.
    pub transactional: BTreeMap<String, (i64, i16)>,
    /// Producers and epochs that began a transaction.
    pub had_transaction: BTreeSet<(i64, i16)>,
    /// What goes wrong.
    pub faults: Faults,
    next_id: u64,
    next_producer: i64,
    next_topic: u128,
}

impl State {
    /// A cluster of so many brokers.
    pub fn new(brokers: i32) -> Self {
        let broker = |n: i32| (n, Broker { host: format!("broker-{n}"), power: Power::Up, life: 0 });
        Self { brokers: (1..=brokers).map(broker).collect(), ..Self::default() }
    }

    /// Numbers the records that are written here from now on after this one.
    pub fn number_after(&mut self, id: u64) {
        self.next_id = id;
    }

    /// Makes a topic whose partitions are spread over the brokers, with so many replicas.
    pub fn create_topic(&mut self, name: &str, partitions: i32, replicas: usize, now_ms: u64) {
        let up = self.brokers.keys().any(|id| self.is_up(*id));
        if self.topics.contains_key(name) || !up {
            return;
        }
        self.next_topic += 1;
        let id = uuid::Builder::from_custom_bytes((self.next_topic << 64 | 0x51).to_be_bytes()).into_uuid();
        let topic = Topic {
            name: name.to_owned(),
            id,
            partitions: Vec::new(),
            configs: BTreeMap::from([("retention.ms".to_owned(), "604800000".to_owned())]),
            made_ms: Vec::new(),
            deleted_ms: None,
            forbidden: false,
        };
        self.topics.insert(name.to_owned(), topic);
        self.add_partitions(name, partitions, replicas, now_ms);
    }

    /// Adds partitions to a topic.
    pub fn add_partitions(&mut self, name: &str, count: i32, replicas: usize, now_ms: u64) {
        let brokers: Vec<i32> = self.brokers.keys().copied().collect();
        let up: Vec<i32> = brokers.iter().copied().filter(|id| self.is_up(*id)).collect();
        let (Some(topic), false) = (self.topics.get_mut(name), up.is_empty()) else { return };
        for _ in 0..count {
            let at = topic.partitions.len();
            let held: Vec<i32> = up.iter().cycle().skip(at % up.len()).take(replicas.min(up.len())).copied().collect();
            topic.partitions.push(Partition { leader: held[0], epoch: 0, replicas: held, log: Log::default() });
            topic.made_ms.push(now_ms);
        }
    }

    /// Deletes a topic; transactions that touch it are rolled back elsewhere.
    pub fn delete_topic(&mut self, name: &str, now_ms: u64) {
        let Some(mut topic) = self.topics.remove(name) else { return };
        topic.deleted_ms = Some(now_ms);
        let id = topic.id;
        self.deleted.push(topic);
        let touched = self.transactions.iter().filter(|(_, t)| t.partitions.iter().any(|(topic, _)| *topic == id));
        let touched: Vec<i64> = touched.map(|(producer, _)| *producer).collect();
        for producer in touched {
            self.end_transaction(producer, false, now_ms);
        }
    }

    /// A topic by its id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Topic> {
        self.topics.values().find(|topic| topic.id == id)
    }

    fn partition_mut(&mut self, id: Uuid, partition: i32) -> Option<&mut Partition> {
        let topic = self.topics.values_mut().find(|topic| topic.id == id)?;
        topic.partitions.get_mut(partition as usize)
    }

    /// Whether a broker is reachable and in the cluster.
    pub fn is_up(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|b| b.power != Power::Down)
    }

    /// A producer writes a batch; nothing happens where the partition has no leader.
    pub fn produce(&mut self, topic: &str, partition: i32, sizes: &[usize], transaction: Option<i64>, now_ms: u64) {
        let ids: Vec<(u64, usize)> = (self.next_id + 1..).zip(sizes.iter().copied()).collect();
        let Some(found) = self.topics.get_mut(topic) else { return };
        let id = found.id;
        let Some(p) = found.partitions.get_mut(partition as usize).filter(|p| p.leader >= 0) else { return };
        if sizes.is_empty() {
            return;
        }
        self.next_id += sizes.len() as u64;
        let time = EPOCH_MS + now_ms as i64;
        p.log.append(p.epoch, transaction.unwrap_or(-1), &ids, transaction.is_some(), time);
        if let Some(producer) = transaction {
            let open = self.transactions.entry(producer).or_default();
            open.partitions.insert((id, partition));
            open.began_ms = now_ms;
        }
    }

    /// A producer id that nobody used.
    pub fn new_producer(&mut self) -> i64 {
        self.next_producer += 1;
        1000 + self.next_producer
    }

    /// The next epoch of a transactional id; what it had open is rolled back first.
    pub(super) fn next_epoch(&mut self, name: &str, now_ms: u64) -> (i64, i16) {
        let fresh = self.new_producer();
        let (id, epoch) = self.transactional.get(name).map_or((fresh, 0), |(id, epoch)| (*id, epoch + 1));
        self.transactional.insert(name.to_owned(), (id, epoch));
        self.end_transaction(id, false, now_ms);
        (id, epoch)
    }

    /// Id and number of a partition that exists.
    pub(super) fn partition_id(&self, topic: &str, partition: i32) -> Option<(Uuid, i32)> {
        let topic = self.topics.get(topic)?;
        topic.partitions.get(partition as usize).map(|_| (topic.id, partition))
    }

    /// A partition joins the transaction of a producer.
    pub(super) fn join(&mut self, producer: i64, place: (Uuid, i32), now_ms: u64) {
        let open = self.transactions.entry(producer).or_default();
        open.began_ms = now_ms;
        open.partitions.insert(place);
    }

    /// Ends a transaction in all its partitions.
    pub fn end_transaction(&mut self, producer: i64, committed: bool, now_ms: u64) {
        let Some(open) = self.transactions.remove(&producer) else { return };
        let epoch = self.transactional.values().find(|(id, _)| *id == producer).map_or(0, |(_, epoch)| *epoch);
        for (topic, partition) in open.partitions {
            if let Some(p) = self.partition_mut(topic, partition) {
                p.log.marker(p.epoch, producer, epoch, committed, EPOCH_MS + now_ms as i64);
            }
        }
    }

    /// Stops a broker: its partitions move to other replicas, or have no leader.
    pub fn stop(&mut self, broker: i32) {
        let Some(found) = self.brokers.get_mut(&broker) else { return };
        found.power = Power::Down;
        found.life += 1;
        self.elect();
    }

    /// Starts a broker.
    pub fn start(&mut self, broker: i32) {
        if let Some(found) = self.brokers.get_mut(&broker) {
            found.power = Power::Up;
        }
        self.elect();
    }

    /// Takes a broker out of the cluster for good; another one takes over its replicas.
    pub fn replace(&mut self, broker: i32, by: i32) {
        self.brokers.remove(&broker);
        self.brokers.insert(by, Broker { host: format!("broker-{by}"), power: Power::Up, life: 0 });
        for p in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            for replica in p.replicas.iter_mut().filter(|replica| **replica == broker) {
                *replica = by;
            }
        }
        self.elect();
    }

    /// Gives partitions whose leader is gone another one.
    pub fn elect(&mut self) {
        let up: BTreeSet<i32> =
            self.brokers.iter().filter(|(_, b)| b.power != Power::Down).map(|(id, _)| *id).collect();
        for p in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            if up.contains(&p.leader) {
                continue;
            }
            let next = p.replicas.iter().copied().find(|replica| up.contains(replica)).unwrap_or(-1);
            p.epoch += i32::from(next >= 0 || p.leader >= 0);
            p.leader = next;
        }
    }

    /// Whether every partition has a leader.
    pub fn all_led(&self) -> bool {
        self.topics.values().flat_map(|topic| &topic.partitions).all(|p| p.leader >= 0)
    }

    /// Moves a partition to the next of its replicas.
    pub fn move_leader(&mut self, topic: &str, partition: i32) {
        let up: BTreeSet<i32> =
            self.brokers.iter().filter(|(_, b)| b.power != Power::Down).map(|(id, _)| *id).collect();
        let Some(p) = self.topics.get_mut(topic).and_then(|t| t.partitions.get_mut(partition as usize)) else { return };
        let at = p.replicas.iter().position(|replica| *replica == p.leader).unwrap_or(0);
        let next = p.replicas.iter().cycle().skip(at + 1).take(p.replicas.len()).find(|replica| up.contains(replica));
        if let Some(next) = next {
            p.leader = *next;
            p.epoch += 1;
        }
    }

    /// A partition of an existing topic.
    pub fn partition(&mut self, topic: &str, partition: i32) -> Option<&mut Partition> {
        self.topics.get_mut(topic)?.partitions.get_mut(partition as usize)
    }

    /// Offsets of every partition that exists now.
    pub fn marks(&self) -> BTreeMap<(Uuid, i32), Marks> {
        let of = |topic: &Topic| -> Vec<_> {
            (0..).zip(&topic.partitions).map(|(number, p)| ((topic.id, number), p.log.marks())).collect()
        };
        self.topics.values().flat_map(of).collect()
    }

    /// A topic, also a deleted one.
    pub fn any_topic(&self, id: Uuid) -> Option<&Topic> {
        self.topics.values().chain(&self.deleted).find(|topic| topic.id == id)
    }
}
