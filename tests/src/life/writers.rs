//! Producers that write all the time, one of them in transactions of which some roll back.
//!
//! A record's value begins with the number of the topic's incarnation, so that one of an older topic is told apart; a
//! transaction's records carry its number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::load;

/// A topic that exists.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) partitions: i32,
    /// Another number for each topic that was ever created.
    pub(super) incarnation: u64,
    pub(super) compacted: bool,
    /// Whether a topic of this name was compacted once. Brokers may go on cleaning the logs of the name with the configs of the topic
    /// that is gone (seen with 4.3.1: partitions of a topic without such a config in `cleaner-offset-checkpoint`).
    pub(super) cleaned: bool,
}

/// What writers, acts and the judge know together.
#[derive(Debug, Default)]
pub(super) struct Shared {
    topics: Mutex<BTreeMap<String, Topic>>,
    /// Numbers of transactions that were rolled back for certain.
    rolled_back: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Topic>> {
        self.topics.lock().unwrap()
    }

    pub(super) fn rolled_back(&self) -> BTreeSet<u64> {
        self.rolled_back.lock().unwrap().clone()
    }

    /// A number that nobody had before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The threads that write.
pub(super) struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    pub(super) fn start(bootstrap: &str, shared: &Arc<Shared>) -> Self {
        let start = |write: fn(&str, &Shared)| {
            let (bootstrap, shared) = (bootstrap.to_owned(), Arc::clone(shared));
            std::thread::spawn(move || write(&bootstrap, &shared))
        };
        Self { shared: Arc::clone(shared), threads: vec![start(plainly), start(in_transactions)] }
    }

    pub(super) fn end(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// One record for each partition, a little later the next.
fn plainly(bootstrap: &str, shared: &Shared) {
    let settings =
        [("enable.idempotence", "true"), ("compression.type", "lz4"), ("topic.metadata.refresh.interval.ms", "2000")];
    let producer = load::producer(bootstrap, &settings);
    while !shared.stops() {
        write_round(&producer, shared, None);
        producer.poll(Duration::from_millis(20));
    }
    // What waits for topics that are gone never goes.
    drop(producer.flush(Duration::from_secs(60)));
}

fn in_transactions(bootstrap: &str, shared: &Shared) {
    let limit = Duration::from_secs(30);
    while !shared.stops() {
        let settings = [("transactional.id", "life"), ("transaction.timeout.ms", "20000")];
        let producer = load::producer(bootstrap, &settings);
        if producer.init_transactions(limit).is_err() {
            continue;
        }
        while !shared.stops() && transaction(&producer, shared, limit).is_ok() {}
    }
}

/// One transaction; of four, one is rolled back. After an error the producer is of no more use.
fn transaction(producer: &BaseProducer, shared: &Shared, limit: Duration) -> rdkafka::error::KafkaResult<()> {
    let number = shared.number();
    producer.begin_transaction()?;
    for _ in 0..3 {
        write_round(producer, shared, Some(number));
        producer.poll(Duration::from_millis(50));
    }
    producer.flush(limit)?;
    if number.is_multiple_of(4) {
        producer.abort_transaction(limit)?;
        shared.rolled_back.lock().unwrap().insert(number);
        return Ok(());
    }
    producer.commit_transaction(limit)
}

fn write_round(producer: &BaseProducer, shared: &Shared, transaction: Option<u64>) {
    let topics = shared.topics().clone();
    for (name, topic) in &topics {
        for partition in 0..topic.partitions {
            let number = shared.number();
            let transaction = transaction.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let value = format!("{} {transaction} {number} {}", topic.incarnation, "lorem ipsum ".repeat(8));
            let key = format!("key-{}", number % 500);
            // A topic that was deleted a moment ago is not known, and a full queue waits for brokers.
            drop(producer.send(BaseRecord::to(name).partition(partition).key(&key).payload(&value)));
        }
    }
}
