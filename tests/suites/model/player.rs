//! Plays a history on one cluster: names become ids, requests are sent, and answers become text. It waits for what a
//! real cluster does a moment later, in the same way on both.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, FindCoordinatorRequest, MetadataRequest, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::client::Client;
use crate::see::Names;
use crate::step::{Step, Topic, Who};

/// An id that no topic has.
const NOBODY: Uuid = Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0001);
/// How long a cluster may take until all know of a change.
const PATIENCE: u32 = 600;
const MOMENT: Duration = Duration::from_millis(20);

/// What one step gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The step.
    pub step: String,
    /// The meaning of its answer.
    pub answer: String,
}

/// A history on its way.
pub struct Player {
    pub(crate) client: Client,
    pub(crate) names: Names,
    pub(crate) prefix: String,
    /// Milliseconds since 1970 of the first records.
    pub(crate) time: i64,
    pub(crate) made: i64,
    /// Ids of topics now and before, by letter.
    ids: BTreeMap<char, (Uuid, Option<Uuid>)>,
    /// Answers of `Init` steps.
    pub(crate) slots: Vec<(i64, i16)>,
    lines: Vec<Line>,
    /// How often the same request was sent again.
    tries: u32,
}

/// Text of the protocol.
pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

impl Player {
    /// Plays over a connection; topics, groups and transactions have names that begin so.
    pub fn new(client: Client, prefix: &str, time: i64) -> Self {
        let (names, prefix) = (Names::default(), prefix.to_owned());
        Self {
            client,
            names,
            prefix,
            time,
            made: 0,
            ids: BTreeMap::new(),
            slots: Vec::new(),
            lines: Vec::new(),
            tries: 0,
        }
    }

    /// Goes on over another connection, as after a restart of the cluster.
    pub fn on(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// What happened.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Plays steps one after the other.
    pub async fn play(&mut self, steps: &[Step]) {
        for step in steps {
            let began = std::time::Instant::now();
            let answer = Box::pin(self.step(step)).await;
            if std::env::var_os("MODEL_TRACE").is_some() {
                let (took, first) = (began.elapsed().as_millis(), answer.lines().next().unwrap_or_default());
                println!("{} {took} ms {step:?} -> {first}", self.prefix);
            }
            self.lines.push(Line { step: format!("{step:?}"), answer });
        }
    }

    async fn step(&mut self, step: &Step) -> String {
        match step {
            Step::Create(letter, partitions, configs) => self.create(*letter, *partitions, configs).await,
            Step::Delete(letter) => self.delete(*letter).await,
            Step::Widen(letter, count) => self.widen(*letter, *count).await,
            Step::Alter(letter, name, value) => self.alter(*letter, name, *value).await,
            Step::Configs(topic) => self.configs(*topic).await,
            Step::Init(name, given) => self.init(*name, *given).await,
            Step::Add(name, who, partitions) => self.add(*name, *who, partitions).await,
            Step::End(name, who, commits) => self.end(*name, *who, *commits).await,
            Step::Produce(topic, partition, name, batches, version) => {
                self.produce(*topic, *partition, *name, batches, *version).await
            }
            Step::Trim(topic, partition, to) => self.trim(*topic, *partition, *to).await,
            Step::Commit(group, topic, partition, offset) => self.commit(*group, *topic, *partition, *offset).await,
            Step::Committed(group) => self.committed(*group).await,
            Step::Groups => self.groups().await,
            Step::Fetch(version, committed, bytes, spots) => self.fetch(*version, *committed, *bytes, spots).await,
            Step::Offsets(version, committed, topic, partition, time, epoch) => {
                let time = if *time < 0 { *time } else { self.time + time };
                self.offsets(*version, *committed, (*topic, *partition), time, *epoch).await
            }
            Step::EpochEnd(topic, partition, epoch, current) => {
                self.epoch_end(*topic, *partition, *epoch, *current).await
            }
            Step::Metadata(by, topics) => self.metadata(*by, topics).await,
            Step::Producers(topic, partition) => self.producers(*topic, *partition).await,
            Step::Look(letter, version, bytes) => self.look(*letter, *version, *bytes).await,
        }
    }

    /// The whole name of what a request names in short.
    pub(crate) fn whole(&self, short: impl std::fmt::Display) -> String {
        format!("{}-{short}", self.prefix)
    }

    /// The short name of something of this history; `None` for things of others.
    pub(crate) fn short<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.prefix)?.strip_prefix('-')
    }

    pub(crate) fn topic_name(&self, topic: Topic) -> TopicName {
        TopicName(text(&match topic {
            Topic::Now(letter) | Topic::Before(letter) => self.whole(letter),
            Topic::Nobody => self.whole("nobody"),
        }))
    }

    pub(crate) fn topic_id(&self, topic: Topic) -> Uuid {
        match topic {
            Topic::Now(letter) => self.ids.get(&letter).map_or(NOBODY, |(now, _)| *now),
            Topic::Before(letter) => self.ids.get(&letter).map_or(NOBODY, |(now, before)| before.unwrap_or(*now)),
            Topic::Nobody => NOBODY,
        }
    }

    /// A topic id as text.
    pub(crate) fn id_name(&self, id: Uuid) -> String {
        let found = self.ids.iter().find_map(|(letter, (now, before))| match id {
            id if id == *now => Some(format!("id of {letter}")),
            id if Some(id) == *before => Some(format!("old id of {letter}")),
            _ => None,
        });
        found.unwrap_or_else(|| if id.is_nil() { "no id".to_owned() } else { "an unknown id".to_owned() })
    }

    pub(crate) fn who(&self, who: Who) -> (i64, i16) {
        let (id, epoch) = self.slots[who.slot];
        (id, epoch.saturating_add(who.shift).max(0))
    }

    /// What brokers know of some topics.
    pub(crate) async fn known(&mut self, topics: &[Topic]) -> Vec<MetadataResponseTopic> {
        let wanted =
            topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(self.topic_name(*topic))));
        let request =
            MetadataRequest::default().with_topics(Some(wanted.collect())).with_allow_auto_topic_creation(false);
        self.client.ask(12, &request).await.topics
    }

    /// The leader epoch of a partition as brokers know it, moved; -1 for none.
    pub(crate) async fn epoch(&mut self, topic: Topic, partition: i32, shift: Option<i32>) -> i32 {
        let Some(shift) = shift else { return -1 };
        let known = self.known(&[topic]).await;
        let found = known.iter().flat_map(|topic| &topic.partitions).find(|one| one.partition_index == partition);
        found.map_or(shift, |one| one.leader_epoch + shift)
    }

    /// The leader epochs of every partition of this history.
    pub async fn epochs(&mut self) -> BTreeMap<(String, i32), i32> {
        let topics: Vec<Topic> = self.ids.keys().map(|letter| Topic::Now(*letter)).collect();
        let mut out = BTreeMap::new();
        for topic in self.known(&topics).await.iter().filter(|topic| topic.error_code == 0) {
            for one in &topic.partitions {
                let name = topic.name.as_ref().expect("it was asked for by name").0.to_string();
                out.insert((name, one.partition_index), one.leader_epoch);
            }
        }
        out
    }

    /// Waits until transactions and groups have a coordinator: brokers make its topic when they are asked for one.
    pub async fn coordinated(&mut self) {
        for (kind, name) in [(0, "g0"), (0, "g1"), (1, "t0"), (1, "t1")] {
            let key = text(&self.whole(name));
            let request = FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![key]);
            loop {
                let code = self.client.ask(4, &request).await.coordinators[0].error_code;
                if !self.passes(code).await {
                    assert_eq!(code, 0, "the coordinator of {name}");
                    break;
                }
            }
        }
    }

    /// Waits until the start anew is over: every partition of this history has a later leader epoch, and answers.
    pub async fn wait(&mut self) {
        for _ in 0..PATIENCE {
            if self.epochs().await.values().all(|epoch| *epoch > 0) {
                break;
            }
            self.moment().await;
        }
        let letters: Vec<char> = self.ids.keys().copied().collect();
        for letter in letters {
            let found = self.known(&[Topic::Now(letter)]).await;
            if found.iter().all(|topic| topic.error_code == 0) {
                let count = found.first().map_or(0, |topic| topic.partitions.len() as i32);
                self.made(letter, count).await;
                self.led(letter, count).await;
            }
        }
    }

    /// Waits until leaders are what the cluster says that they are.
    async fn led(&mut self, letter: char, partitions: i32) {
        for partition in 0..partitions {
            for _ in 0..PATIENCE {
                let said = self.offsets(5, false, (Topic::Now(letter), partition), -2, Some(0)).await;
                if said.starts_with("code 0 ") {
                    break;
                }
                self.moment().await;
            }
        }
    }

    /// Waits until a topic has so many partitions that answer.
    pub(crate) async fn made(&mut self, letter: char, partitions: i32) {
        let topic = Topic::Now(letter);
        for _ in 0..PATIENCE {
            let known = self.known(&[topic]).await;
            let id = known.first().map_or(Uuid::nil(), |topic| topic.topic_id);
            let count = known.first().map_or(0, |topic| topic.partitions.len());
            let mut ready = count >= partitions as usize;
            for partition in 0..partitions * i32::from(ready) {
                ready &= self.answers(letter, id, partition).await;
            }
            if ready {
                let (now, before) = self.ids.get(&letter).copied().unwrap_or((id, None));
                self.ids.insert(letter, (id, if now == id { before } else { Some(now) }));
                return;
            }
            tokio::time::sleep(MOMENT).await;
        }
        panic!("topic {letter} does not get {partitions} partitions");
    }

    /// Waits until a topic is gone.
    pub(crate) async fn gone(&mut self, letter: char) {
        let id = self.topic_id(Topic::Now(letter));
        for _ in 0..PATIENCE {
            let known = self.known(&[Topic::Now(letter)]).await;
            let mut gone = known.iter().all(|topic| topic.error_code == 3) && !self.answers(letter, id, 0).await;
            for group in 0..2 {
                // Groups forget what they committed of it.
                gone &= !self.committed(group).await.contains(&format!(" {letter}/"));
            }
            if gone {
                return;
            }
            tokio::time::sleep(MOMENT).await;
        }
        panic!("topic {letter} does not go");
    }

    /// Waits until no transaction of a name is being ended, which goes on for a moment after the answer; `false` when that takes too
    /// long.
    pub(crate) async fn settled(&mut self, name: u8) -> bool {
        let id = TransactionalId(text(&self.whole(format!("t{name}"))));
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
        for _ in 0..2 * PATIENCE {
            let answer = self.client.ask(0, &request).await;
            let busy = answer.transaction_states.iter().any(|state| state.transaction_state.starts_with("Prepare"));
            if !busy {
                return true;
            }
            tokio::time::sleep(MOMENT).await;
        }
        false
    }

    /// A moment, after which a request is sent once more.
    pub(crate) async fn moment(&self) {
        tokio::time::sleep(MOMENT).await;
    }

    /// Whether a code says that the same request is to be sent again; then a moment has passed.
    pub(crate) async fn passes(&mut self, code: i16) -> bool {
        // A leader or a coordinator on its way, and a transaction whose markers are being written.
        let passing = matches!(code, 6 | 14 | 15 | 16 | 19 | 51) && self.tries < PATIENCE;
        self.tries = if passing { self.tries + 1 } else { 0 };
        if passing {
            self.moment().await;
        }
        passing
    }
}
