//! What a model cluster is made of, and what happens to it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::faults::Faults;
use super::strangers::Strangers;
use super::transactions::Transaction;
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
#[derive(Debug, Clone)]
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

impl Partition {
    /// What a leader says to whoever knows another epoch of it; -1 stands for none.
    pub(super) fn fences(&self, current: i32) -> Option<i16> {
        match current {
            -1 => None,
            old if old < self.epoch => Some(74),
            new if new > self.epoch => Some(75),
            _ => None,
        }
    }
}

/// A topic.
#[derive(Debug, Clone)]
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
    /// What was noted with them.
    pub notes: BTreeMap<(String, i32), String>,
}

/// When brokers forget who is idle.
#[derive(Debug, Clone, Copy)]
pub struct Expiration {
    /// Milliseconds after the time of a producer's newest record or marker.
    pub producers_ms: u64,
    /// Milliseconds after a transactional id was used last.
    pub ids_ms: u64,
    /// Before each request of a producer, and not at sweeps only.
    pub at_once: bool,
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
    /// What brokers still believe that slept, or sleep: topics and logs as they were then.
    pub(super) behind: BTreeMap<i32, BTreeMap<String, Topic>>,
    /// Groups.
    pub groups: BTreeMap<String, Group>,
    /// Open transactions by producer.
    pub transactions: BTreeMap<i64, Transaction>,
    /// Producer and epoch of each transactional id.
    pub transactional: BTreeMap<String, (i64, i16)>,
    /// How the last transaction of a producer and epoch ended: committed or not.
    pub ended: BTreeMap<(i64, i16), bool>,
    /// When who is idle is forgotten; `None`: the defaults, which are longer than any script.
    pub expiration: Option<Expiration>,
    /// When a transactional id was used last.
    pub(super) used_ms: BTreeMap<String, u64>,
    /// The epoch that a transactional id's producer named when it asked for its present one.
    pub(super) named_epochs: BTreeMap<String, i16>,
    /// Answers as Kafka 3.9 where 4.3 has others: who names its epoch while its transaction is open is fenced, an old epoch
    /// is noticed later, the last stable offset is never below the log's start, and a group goes with its last position.
    pub is_old: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// Configs that strangers set.
    pub strangers: Strangers,
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
            let mut log = Log { is_old: self.is_old, ..Log::default() };
            log.note_epoch(0);
            topic.partitions.push(Partition { leader: held[0], epoch: 0, replicas: held, log });
            topic.made_ms.push(now_ms);
        }
        self.apply_configs(name);
    }

    /// Deletes a topic, and what groups committed of it. Transactions go on elsewhere.
    pub fn delete_topic(&mut self, name: &str, now_ms: u64) {
        let Some(mut topic) = self.topics.remove(name) else { return };
        topic.deleted_ms = Some(now_ms);
        self.deleted.push(topic);
        let goes = self.is_old;
        self.groups.retain(|_, group| {
            let had = group.offsets.len();
            group.offsets.retain(|(topic, _), _| topic != name);
            group.offsets.len() == had || !group.offsets.is_empty() || !goes
        });
    }

    /// Whether a broker is reachable and in the cluster.
    pub fn is_up(&self, broker: i32) -> bool {
        self.brokers.get(&broker).is_some_and(|b| b.power != Power::Down)
    }

    /// A producer writes a batch; nothing happens where the partition has no leader.
    pub fn produce(&mut self, topic: &str, partition: i32, sizes: &[usize], transaction: Option<i64>, now_ms: u64) {
        let ids: Vec<(u64, usize)> = (self.next_id + 1..).zip(sizes.iter().copied()).collect();
        let Some(found) = self.topics.get_mut(topic) else { return };
        let Some(p) = found.partitions.get_mut(partition as usize).filter(|p| p.leader >= 0) else { return };
        if sizes.is_empty() {
            return;
        }
        self.next_id += sizes.len() as u64;
        let time = EPOCH_MS + now_ms as i64;
        p.log.append(p.epoch, transaction.unwrap_or(-1), &ids, transaction.is_some(), time);
        if let Some(producer) = transaction {
            let open = self.transactions.entry(producer).or_default();
            open.partitions.insert((topic.to_owned(), partition));
            open.began_ms = now_ms;
        }
    }

    /// A producer id that nobody used.
    pub fn new_producer(&mut self) -> i64 {
        self.next_producer += 1;
        1000 + self.next_producer
    }

    /// Whether a partition exists.
    pub(super) fn has(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic).is_some_and(|topic| (partition as usize) < topic.partitions.len())
    }

    /// What brokers do before a request of a producer.
    pub(super) fn before_request(&mut self, now_ms: u64) {
        if self.expiration.is_some_and(|expiration| expiration.at_once) {
            self.forget_idle(now_ms);
        }
    }

    /// Brokers look for what they may delete or forget: records older than `retention.ms`, and whoever was idle for long.
    pub fn sweep(&mut self, now_ms: u64) {
        let now = EPOCH_MS + now_ms as i64;
        for topic in self.topics.values_mut() {
            let policy = topic.configs.get("cleanup.policy").map_or("delete", String::as_str);
            let retention = topic.configs.get("retention.ms").and_then(|text| text.parse::<i64>().ok());
            let retention = retention.filter(|millis| *millis >= 0 && policy.contains("delete"));
            for p in &mut topic.partitions {
                if let Some(millis) = retention {
                    p.log.trim_older(now - millis);
                }
            }
        }
        self.forget_idle(now_ms);
    }

    /// Producers whose records are old are forgotten, and transactional ids that nobody used.
    fn forget_idle(&mut self, now_ms: u64) {
        let Some(Expiration { producers_ms, ids_ms, .. }) = self.expiration else { return };
        let now = EPOCH_MS + now_ms as i64;
        for p in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            let open = &p.log.open;
            p.log.producers.forget_older(now - producers_ms as i64, |id| open.contains_key(&id));
        }
        let Self { transactional, transactions, used_ms, .. } = self;
        transactional.retain(|name, (id, _)| {
            let idle = now_ms - used_ms.get(name).copied().unwrap_or(0);
            idle < ids_ms || transactions.contains_key(id)
        });
    }

    /// Stops a broker: its partitions move to other replicas, or have no leader.
    pub fn stop(&mut self, broker: i32) {
        let Some(found) = self.brokers.get_mut(&broker) else { return };
        found.power = Power::Down;
        found.life += 1;
        self.behind.remove(&broker);
        self.elect();
    }

    /// Starts a broker.
    pub fn start(&mut self, broker: i32) {
        if let Some(found) = self.brokers.get_mut(&broker) {
            found.power = Power::Up;
        }
        self.behind.remove(&broker);
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
            if next >= 0 {
                p.log.note_epoch(p.epoch);
            }
        }
    }

    /// The only broker starts anew, and leads partitions with these epochs from now on. What it had only in memory is gone.
    pub fn restart(&mut self, epochs: &BTreeMap<(String, i32), i32>, now_ms: u64) {
        self.named_epochs.clear();
        for p in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            p.log.producers.restart();
        }
        for ((topic, partition), epoch) in epochs {
            if let Some(p) = self.partition(topic, *partition) {
                p.epoch = *epoch;
                p.log.note_epoch(*epoch);
            }
        }
        self.end_again(now_ms);
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
            p.log.note_epoch(p.epoch);
        }
    }

    /// Configs of a topic changed: its logs go by them.
    pub(super) fn apply_configs(&mut self, name: &str) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        let stamps = topic.configs.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime");
        topic.partitions.iter_mut().for_each(|p| p.log.stamps = stamps);
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
