//! Topics, partitions and coordinators as the cluster describes them.
//!
//! A topic whose entry has an error that passes is not known yet: it is asked for again, of other brokers too. That a
//! topic does not exist is believed only when several looks agree.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use contract::pauses::Pauses;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;
use uuid::Uuid;

use crate::brokers::{Address, BrokerId};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::{Request, Retry, WireError, code};

/// Looks that must find a topic unknown before that is believed: a broker that just started does not know all of them.
pub(crate) const UNKNOWN_LOOKS: u32 = 5;
/// How long a topic's other errors are waited for; whoever asked decides what then.
const UNSETTLED: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
    /// Error code of the broker for this topic, 0 for none. One that passes was waited for.
    pub error: i16,
}

impl Topic {
    /// Takes over the leaders of newer epochs that `other` names, where both describe the same topic. Epochs only grow, so who
    /// names an older one is behind. Where topics have no ids, one that was made again begins with epoch 0, and nothing can be
    /// told.
    pub fn take_newer(&mut self, other: &Self) {
        let is_same = self.error == 0 && other.error == 0 && !self.wire_id.is_nil() && self.wire_id == other.wire_id;
        if !is_same {
            return;
        }
        let theirs: HashMap<i32, &Partition> = other.partitions.iter().map(|p| (p.index, p)).collect();
        for p in self.partitions.iter_mut().filter(|p| p.leader_epoch >= 0) {
            if let Some(newer) = theirs.get(&p.index).filter(|newer| newer.leader_epoch > p.leader_epoch) {
                p.clone_from(newer);
            }
        }
    }
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
    /// Brokers whose replica is in sync.
    pub in_sync: Vec<BrokerId>,
}

impl Cluster {
    /// Describes topics by name, or all that we may see; learns the brokers on the way. A partition without a leader
    /// has leader -1 and is no error of its topic. An error that passes is waited for a moment; what stays stands in
    /// [`Topic::error`].
    ///
    /// # Errors
    /// When no broker answers until the deadline.
    pub async fn topics(&self, names: Option<&[String]>) -> Result<Vec<Topic>, WireError> {
        self.topics_within(names, self.deadline()).await
    }

    /// The same, when a broker answers within `limit`.
    ///
    /// # Errors
    /// When none does: with what kept the last one from it.
    pub async fn topics_within(&self, names: Option<&[String]>, limit: Duration) -> Result<Vec<Topic>, WireError> {
        let (mut backoff, mut asked) = (self.backoff_of(limit), HashSet::new());
        let (until, mut last) = (Instant::now() + limit, None);
        let mut topics = loop {
            match tokio::time::timeout_at(until, self.look(names, &mut asked)).await {
                Ok(Ok(topics)) => break topics,
                Ok(Err(error)) => {
                    last = Some(error.clone());
                    backoff.wait(error).await?;
                }
                Err(_) => {
                    let last = last.unwrap_or_else(|| WireError::no_progress("metadata", "no broker answers"));
                    return Err(WireError::Deadline { seconds: limit.as_secs(), last: Box::new(last) });
                }
            }
        };
        backoff.reset();
        let (since, mut looks, mut pauses) = (Instant::now(), 1, Pauses::new(FIRST_PAUSE, LONGEST_PAUSE));
        let limit = UNSETTLED.min(limit);
        loop {
            let unsettled = |topic: &&Topic| match topic.error {
                code::UNKNOWN_TOPIC_OR_PARTITION => looks < UNKNOWN_LOOKS,
                other => may_pass(&topic.name, other) && since.elapsed() + pauses.coming() < limit,
            };
            let open: Vec<_> = topics.iter().filter(unsettled).map(|topic| topic.name.clone()).collect();
            if open.is_empty() {
                return Ok(topics);
            }
            self.pause(pauses.step()).await?;
            match self.look(Some(&open), &mut asked).await {
                Ok(found) => {
                    looks += 1;
                    let open: HashSet<_> = open.into_iter().collect();
                    topics.retain(|topic| !open.contains(&topic.name));
                    topics.extend(found);
                }
                Err(error) => drop(backoff.wait(error).await?),
            }
        }
    }

    /// Topics as one more broker describes them: one that is not among `asked` where there is one; whoever was asked is added to
    /// them. Nothing is waited for: what that broker does not know has an error.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn topics_of_another(
        &self,
        names: &[String],
        asked: &mut HashSet<BrokerId>,
    ) -> Result<Vec<Topic>, WireError> {
        self.look(Some(names), asked).await
    }

    /// One look, at a broker that is not among `asked` where there is one; whoever was asked is added to them.
    pub(crate) async fn look(
        &self,
        names: Option<&[String]>,
        asked: &mut HashSet<BrokerId>,
    ) -> Result<Vec<Topic>, WireError> {
        let wanted = names.map(|names| {
            let topic = |name: &String| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            names.iter().map(topic).collect::<Vec<_>>()
        });
        let request = MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(false);
        let request = &request;
        let ask = |connection: Arc<Connection>| async move {
            match connection.call(request, Duration::ZERO).await {
                Ok(answer) => Ok(answer),
                Err(error) => Err(self.explain_hang_up(&connection, error).await),
            }
        };
        let (connection, answer) = self.ask_anyone(asked, ask).await?;
        self.brokers().learn(&answer);
        let cluster = self.cluster_id();
        let mut topics = Vec::with_capacity(answer.topics.len());
        for topic in &answer.topics {
            let name = topic.name.as_ref();
            let nameless = || connection.unreadable(Request::Metadata, &"a topic has no name");
            topics.push(describe(topic, name.ok_or_else(nameless)?, cluster.as_deref()));
        }
        let there: HashSet<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
        match names.unwrap_or_default().iter().find(|name| !there.contains(name.as_str())) {
            None => Ok(topics),
            Some(name) => Err(WireError::Unanswered { request: Request::Metadata, subject: format!("topic {name}") }),
        }
    }

    /// The leader of one partition, as the cluster says now.
    ///
    /// # Errors
    /// When the topic is refused, or the partition or its leader does not exist.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<BrokerId, WireError> {
        let topics = self.look(Some(&[topic.to_owned()]), &mut HashSet::new()).await?;
        let subject = || format!("{topic}/{partition}");
        let Some(topic) = topics.first() else {
            return Err(WireError::Unanswered { request: Request::Metadata, subject: subject() });
        };
        if topic.error != 0 {
            return Err(WireError::broker(Request::Metadata, topic.name.clone(), topic.error));
        }
        let found = topic.partitions.iter().find(|p| p.index == partition).filter(|p| p.leader >= 0);
        found.map(|p| p.leader).ok_or_else(|| WireError::no_leader(subject()))
    }

    /// The coordinator of a group (`kind` 0) or a transactional id (`kind` 1).
    pub(crate) async fn coordinator(&self, key: &str, kind: i8) -> Result<BrokerId, WireError> {
        let ask = |connection: Arc<Connection>| async move {
            let key = StrBytes::from_string(key.to_owned());
            let request = FindCoordinatorRequest::default().with_key_type(kind);
            let request = if connection.version::<FindCoordinatorRequest>().is_some_and(|version| version >= MANY_KEYS)
            {
                request.with_coordinator_keys(vec![key])
            } else {
                request.with_key(key)
            };
            connection.call(&request, Duration::ZERO).await
        };
        let (_, answer) = self.ask_anyone(&mut HashSet::new(), ask).await?;
        let (node, host, port, error) = match answer.coordinators.first() {
            Some(c) => (c.node_id.0, c.host.to_string(), c.port, c.error_code),
            None => (answer.node_id.0, answer.host.to_string(), answer.port, answer.error_code),
        };
        if error != 0 {
            return Err(WireError::broker(Request::FindCoordinator, format!("coordinator of {key:?}"), error));
        }
        self.welcome(node, host, port);
        Ok(node)
    }

    /// Takes note of a coordinator, where its address is one.
    pub(crate) fn welcome(&self, id: BrokerId, host: String, port: i32) {
        if let Ok(port @ 1..) = u16::try_from(port) {
            self.brokers().welcome(id, Address { host, port });
        }
    }
}

/// The oldest version of `FindCoordinator` with several keys (KIP-699).
pub(crate) const MANY_KEYS: i16 = 4;

/// Whether this error of a topic's entry passes.
fn may_pass(topic: &str, error: i16) -> bool {
    error != 0 && WireError::broker(Request::Metadata, topic, error).retry() != Retry::Never
}

/// What [`Topic::id`] is where the cluster gives its topics no ids.
#[must_use]
pub fn made_up_id(cluster: &str, name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("kafka:{cluster}/{name}").as_bytes())
}

fn describe(topic: &MetadataResponseTopic, name: &TopicName, cluster: Option<&str>) -> Topic {
    let mut partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| Partition {
            index: p.partition_index,
            leader: p.leader_id.0,
            leader_epoch: p.leader_epoch,
            replicas: p.replica_nodes.len(),
            in_sync: p.isr_nodes.iter().map(|id| id.0).collect(),
        })
        .collect();
    partitions.sort_by_key(|p| p.index);
    let name = name.0.to_string();
    let cluster = cluster.unwrap_or_default(); // a run refuses a cluster without an id
    Topic {
        id: if topic.topic_id.is_nil() { made_up_id(cluster, &name) } else { topic.topic_id },
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
