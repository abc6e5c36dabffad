//! What happens to the cluster, one act after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::watch::Watch;
use super::writers::{Shared, Topic};
use crate::kafka::Kafka;
use crate::process::signal;
use crate::{load, oracle};

/// Class of the tool that sets quotas.
const CONFIGS: &str = "kafka.admin.ConfigCommand";
/// Class of the tool that moves replicas.
const REASSIGN: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
/// Names of topics: few, so that they are used again.
const NAMES: u64 = 8;
/// So long after a broker came back, above all the only controller, brokers may tell of replicas as they were before.
const SETTLES: Duration = Duration::from_secs(10);

/// What is drawn, and what is away now.
pub(super) struct Acts {
    rng: fastrand::Rng,
    shared: Arc<Shared>,
    /// A broker that is down or frozen, and when it comes back.
    away: Option<Away>,
    /// When the last one came back.
    back_at: Instant,
    /// Nodes that left for good.
    replaced: Vec<usize>,
    nodes: usize,
    quota: bool,
    /// Names of which a topic was compacted.
    cleaned: BTreeSet<String>,
    done: BTreeMap<&'static str, u32>,
}

struct Away {
    node: usize,
    frozen: bool,
    until: Instant,
}

impl Acts {
    pub(super) fn new(seed: u64, shared: Arc<Shared>) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            rng,
            shared,
            away: None,
            back_at: Instant::now(),
            replaced: Vec::new(),
            nodes: 4,
            quota: false,
            cleaned: BTreeSet::new(),
            done: BTreeMap::new(),
        }
    }

    /// The first topics.
    pub(super) fn begin(&mut self, source: &Kafka) {
        for number in 0..3 {
            self.create(source, number);
        }
    }

    /// Waits a little and does the next act.
    pub(super) fn next(&mut self, source: &mut Kafka, watch: &mut Watch<'_>) {
        let pause = Instant::now() + Duration::from_millis(self.rng.u64(1_000..6_000));
        while Instant::now() < pause {
            std::thread::sleep(Duration::from_millis(200));
            watch.look();
            self.come_back(source, false);
            watch.quorum(self.has_quorum());
        }
        let what = match self.rng.u32(0..100) {
            0..20 => self.take_away(source, "KILL"),
            20..28 => self.take_away(source, "TERM"),
            28..36 => self.take_away(source, "STOP"),
            36..40 => self.replace(source),
            40..50 => self.make(source),
            50..57 => self.drop_one(source, false),
            57..64 => self.drop_one(source, true),
            64..70 => self.widen(source),
            70..78 => self.trim(source),
            78..82 => self.throttle(source),
            82..90 => self.commit(source),
            90..97 => {
                watch.restart("KILL");
                Some("kill the runner")
            }
            _ => {
                watch.restart("TERM");
                Some("stop the runner")
            }
        };
        watch.quorum(self.has_quorum());
        if let Some(what) = what {
            println!("act: {what}");
            *self.done.entry(what).or_insert(0) += 1;
        }
    }

    /// Undoes what is away, and waits until every replica is in sync.
    pub(super) fn heal(&mut self, source: &mut Kafka) {
        self.come_back(source, true);
        std::thread::sleep(SETTLES.saturating_sub(self.back_at.elapsed()));
        if self.quota {
            self.throttle(source);
        }
        load::wait_in_sync(&source.bootstrap());
    }

    pub(super) fn done(self) -> BTreeMap<&'static str, u32> {
        self.done
    }

    /// Whoever is away comes back when it is time.
    fn come_back(&mut self, source: &mut Kafka, at_once: bool) {
        let Some(Away { node, frozen, .. }) = self.away.take_if(|away| at_once || Instant::now() >= away.until) else {
            return;
        };
        if frozen {
            signal(source.pid(node), "CONT");
        } else {
            source.restart(node);
        }
        self.back_at = Instant::now();
    }

    /// The first node is the only controller: without it no partition gets another leader.
    fn has_quorum(&self) -> bool {
        self.away.as_ref().is_none_or(|away| away.node != 0)
    }

    /// Whether topics can be changed now. A client may ask a frozen broker, and then nobody knows what became of it.
    fn can_change(&self) -> bool {
        self.has_quorum() && self.away.as_ref().is_none_or(|away| !away.frozen)
    }

    /// Whether a broker may go: another one that fails before the replicas of the last have caught up would take
    /// acknowledged records with it.
    fn is_whole(&self, source: &Kafka) -> bool {
        self.away.is_none() && self.back_at.elapsed() > SETTLES && load::in_sync(&source.bootstrap()).is_ok()
    }

    /// One broker at a time.
    fn take_away(&mut self, source: &mut Kafka, how: &str) -> Option<&'static str> {
        if !self.is_whole(source) {
            return None;
        }
        let node = self.any_node();
        let seconds = self.rng.u64(2..20);
        match how {
            "STOP" => signal(source.pid(node), "STOP"),
            how => source.stop(node, how == "KILL"),
        }
        self.away = Some(Away { node, frozen: how == "STOP", until: Instant::now() + Duration::from_secs(seconds) });
        Some(match how {
            "STOP" => "freeze a broker",
            "KILL" => "kill a broker",
            _ => "stop a broker",
        })
    }

    fn any_node(&mut self) -> usize {
        let there: Vec<_> = (0..self.nodes).filter(|node| !self.replaced.contains(node)).collect();
        there[self.rng.usize(0..there.len())]
    }

    /// A broker leaves for good; one with another id takes its replicas.
    fn replace(&mut self, source: &mut Kafka) -> Option<&'static str> {
        // The first one is the only controller.
        let node = self.any_node();
        if node == 0 || self.replaced.len() >= 3 || !self.is_whole(source) {
            return None;
        }
        source.stop(node, true);
        self.replaced.push(node);
        let new = source.add_node();
        self.nodes += 1;
        let (old, new) = (i32::try_from(node).unwrap() + 1, i32::try_from(new).unwrap() + 1);
        let consumer: BaseConsumer = oracle::config(&source.bootstrap()).create().unwrap();
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(60)).unwrap();
        let mut partitions = Vec::new();
        for topic in metadata.topics() {
            for p in topic.partitions().iter().filter(|p| p.replicas().contains(&old)) {
                let replicas: Vec<_> = p.replicas().iter().map(|id| if *id == old { new } else { *id }).collect();
                partitions.push(json!({"topic": topic.name(), "partition": p.id(), "replicas": replicas}));
            }
        }
        let plan = source.certs().with_file_name("reassign.json");
        std::fs::write(&plan, json!({"version": 1, "partitions": partitions}).to_string()).unwrap();
        let bootstrap = source.bootstrap();
        let plan = plan.to_str().unwrap();
        source.tool(REASSIGN, &["--bootstrap-server", &bootstrap, "--reassignment-json-file", plan, "--execute"]);
        load::wait_in_sync(&bootstrap);
        Some("replace a broker")
    }

    fn create(&mut self, source: &Kafka, number: u64) {
        let name = format!("l-{number}");
        let (partitions, compacted) = (self.rng.i32(1..4), self.rng.u8(0..3) == 0);
        let compact = [("cleanup.policy", "compact"), ("segment.ms", "5000"), ("min.cleanable.dirty.ratio", "0.1")];
        load::create(&source.bootstrap(), &name, partitions, 3, if compacted { &compact } else { &[] });
        let incarnation = self.shared.number();
        if compacted {
            self.cleaned.insert(name.clone());
        }
        let cleaned = self.cleaned.contains(&name);
        self.shared.topics().insert(name, Topic { partitions, incarnation, compacted, cleaned });
    }

    fn make(&mut self, source: &Kafka) -> Option<&'static str> {
        let number = self.rng.u64(0..NAMES);
        if !self.can_change() || self.shared.topics().contains_key(&format!("l-{number}")) {
            return None;
        }
        self.create(source, number);
        Some("create a topic")
    }

    fn any_topic(&mut self) -> (String, Topic) {
        let topics = self.shared.topics();
        let at = self.rng.usize(0..topics.len());
        topics.iter().nth(at).map(|(name, topic)| (name.clone(), topic.clone())).unwrap()
    }

    fn drop_one(&mut self, source: &Kafka, again: bool) -> Option<&'static str> {
        if !self.can_change() || self.shared.topics().len() < 3 {
            return None;
        }
        let (name, _) = self.any_topic();
        self.shared.topics().remove(&name);
        load::delete(&source.bootstrap(), &name);
        if again {
            self.create(source, name["l-".len()..].parse().unwrap());
            return Some("create a topic again");
        }
        Some("delete a topic")
    }

    fn widen(&mut self, source: &Kafka) -> Option<&'static str> {
        let (name, topic) = self.any_topic();
        if !self.can_change() || topic.partitions >= 5 {
            return None;
        }
        load::grow(&source.bootstrap(), &name, usize::try_from(topic.partitions).unwrap() + 1);
        if let Some(topic) = self.shared.topics().get_mut(&name) {
            topic.partitions += 1;
        }
        Some("add a partition")
    }

    fn trim(&mut self, source: &Kafka) -> Option<&'static str> {
        let (name, topic) = self.any_topic();
        // Kafka deletes no records of a topic that is compacted only.
        if topic.compacted || self.away.is_some() {
            return None;
        }
        let partition = self.rng.i32(0..topic.partitions);
        let end = oracle::end(&source.bootstrap(), &name, partition);
        load::delete_records(&source.bootstrap(), &name, partition, self.rng.i64(0..=end));
        Some("delete records")
    }

    /// A quota that slows the backup down, or its end.
    fn throttle(&mut self, source: &Kafka) -> Option<&'static str> {
        if self.away.is_some() {
            return None;
        }
        let bootstrap = source.bootstrap();
        let change = if self.quota {
            ["--delete-config", "consumer_byte_rate"]
        } else {
            ["--add-config", "consumer_byte_rate=300000"]
        };
        let entity = ["--alter", "--entity-type", "clients", "--entity-default"];
        source.tool(CONFIGS, &[&["--bootstrap-server", bootstrap.as_str()], &entity[..], &change[..]].concat());
        self.quota = !self.quota;
        Some(if self.quota { "set a quota" } else { "remove the quota" })
    }

    fn commit(&mut self, source: &Kafka) -> Option<&'static str> {
        let (name, topic) = self.any_topic();
        let partition = self.rng.i32(0..topic.partitions);
        let group = format!("group-{}", self.rng.u8(0..3));
        let consumer: BaseConsumer = oracle::config(&source.bootstrap()).set("group.id", &group).create().unwrap();
        // While a broker is away nobody may answer for the partition: then no offset is committed.
        let (_, end) = consumer.fetch_watermarks(&name, partition, Duration::from_secs(10)).ok()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, partition, Offset::Offset(self.rng.i64(0..=end))).unwrap();
        consumer.commit(&list, CommitMode::Sync).ok().map(|()| "commit an offset")
    }
}
