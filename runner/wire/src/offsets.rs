//! Offsets of partitions: log start, ends, leader epochs, and open transactions.

use std::collections::{BTreeMap, HashMap, HashSet};

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{DescribeProducersRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest};

use crate::cluster::{Cluster, topic_name};
use crate::{BrokerId, Topic, WireError, code};

/// Which end of a partition counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The high watermark.
    Uncommitted = 0,
    /// The last stable offset: below it every transaction is decided.
    Committed = 1,
}

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first offset that the broker has.
    Start,
    /// The end of the log.
    End,
}

/// A transaction that was neither committed nor aborted when we asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// First offset of the transaction in this partition.
    pub first_offset: i64,
    /// Time of the producer's last record, milliseconds since 1970.
    pub last_timestamp: i64,
}

/// A partition by topic name and number.
type Key = (String, i32);

impl Cluster {
    /// One offset of each partition of `topics`, asked from the leaders, a request per broker.
    ///
    /// # Errors
    /// When a partition has no answer until the deadline.
    pub async fn offsets(
        &self,
        topics: &[Topic],
        at: OffsetAt,
        isolation: Isolation,
    ) -> Result<HashMap<Key, i64>, WireError> {
        let mut missing = keys(topics);
        let mut topics = topics.to_vec();
        let mut out = HashMap::new();
        let mut backoff = self.backoff();
        let mut unknown = 0;
        while !missing.is_empty() {
            let (found, error) = self.ask_offsets(&topics, &missing, at, isolation).await;
            for (key, offset) in found {
                missing.remove(&key);
                out.insert(key, offset);
            }
            if let Some(error) = error {
                backoff.wait(error).await?;
                let names: Vec<_> = topics.iter().map(|t| t.name.clone()).collect();
                topics = self.topics(Some(&names)).await?;
                check_there(&topics, &missing, &mut unknown)?;
            }
        }
        Ok(out)
    }

    async fn ask_offsets(
        &self,
        topics: &[Topic],
        missing: &HashSet<Key>,
        at: OffsetAt,
        isolation: Isolation,
    ) -> (Vec<(Key, i64)>, Option<WireError>) {
        let timestamp = if at == OffsetAt::Start { -2 } else { -1 };
        let (mut found, mut last) = (Vec::new(), None);
        for (leader, by_topic) in by_leader(topics, missing) {
            let ask = |(name, partitions): (String, Vec<i32>)| {
                let partition = |p| ListOffsetsPartition::default().with_partition_index(p).with_timestamp(timestamp);
                let partitions = partitions.into_iter().map(partition).collect();
                ListOffsetsTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
            };
            let request = ListOffsetsRequest::default()
                .with_isolation_level(isolation as i8)
                .with_topics(by_topic.into_iter().map(ask).collect());
            match self.send(leader, &request, 7).await {
                Err(error) => last = Some(error),
                Ok(answer) => {
                    for topic in answer.topics {
                        for p in topic.partitions {
                            let key = (topic.name.0.to_string(), p.partition_index);
                            match p.error_code {
                                0 => found.push((key, p.offset)),
                                code => last = Some(WireError::broker(format!("{}/{}", key.0, key.1), code)),
                            }
                        }
                    }
                }
            }
        }
        let none_led = found.is_empty() && last.is_none();
        let leaderless = none_led.then(|| WireError::broker("partitions without a leader", 5));
        (found, last.or(leaderless))
    }

    /// One offset of each partition of `topics` whose leader tells it within `patience`; of the others, why not.
    ///
    /// # Errors
    /// What trying again cannot help.
    pub async fn offsets_within(
        &self,
        topics: &[Topic],
        at: OffsetAt,
        isolation: Isolation,
        patience: std::time::Duration,
    ) -> Result<(HashMap<Key, i64>, HashMap<Key, WireError>), WireError> {
        let mut out = HashMap::new();
        let mut missing = HashMap::new();
        for topic in topics {
            for p in &topic.partitions {
                let mut one = topic.clone();
                one.partitions.retain(|other| other.index == p.index);
                let key = (topic.name.clone(), p.index);
                match tokio::time::timeout(patience, self.offsets(&[one], at, isolation)).await {
                    Ok(Ok(found)) => out.extend(found),
                    Ok(Err(error)) if error.retry() == crate::Retry::Never && !error.is_deadline() => {
                        return Err(error);
                    }
                    Ok(Err(error)) => drop(missing.insert(key, error)),
                    Err(_) => drop(missing.insert(key, WireError::no_leader(format!("{}/{}", topic.name, p.index)))),
                }
            }
        }
        Ok((out, missing))
    }

    /// The answers of [`Self::epoch_ends`] that come within `patience`; of the others, why not.
    ///
    /// # Errors
    /// What trying again cannot help.
    pub async fn epoch_ends_within(
        &self,
        topics: &[Topic],
        epochs: &HashMap<Key, i32>,
        patience: std::time::Duration,
    ) -> Result<(HashMap<Key, Option<(i32, i64)>>, HashMap<Key, WireError>), WireError> {
        match tokio::time::timeout(patience, self.epoch_ends(topics, epochs)).await {
            Ok(Ok(found)) => Ok((found, HashMap::new())),
            Ok(Err(error)) if !error.is_deadline() => Err(error),
            _ => Ok((
                HashMap::new(),
                epochs.keys().map(|key| (key.clone(), WireError::no_leader(key.0.clone()))).collect(),
            )),
        }
    }

    /// Where the given leader epoch of each partition ended: `(epoch, end)` of the largest epoch that is not newer.
    /// `None` when the leader knows no such epoch.
    ///
    /// # Errors
    /// When a leader does not answer until the deadline.
    pub async fn epoch_ends(
        &self,
        topics: &[Topic],
        epochs: &HashMap<Key, i32>,
    ) -> Result<HashMap<Key, Option<(i32, i64)>>, WireError> {
        let mut missing: HashSet<Key> = epochs.keys().cloned().collect();
        let mut topics = topics.to_vec();
        let mut out = HashMap::new();
        let mut backoff = self.backoff();
        let mut unknown = 0;
        while !missing.is_empty() {
            let mut last = None;
            for (leader, by_topic) in by_leader(&topics, &missing) {
                match self.ask_epochs(leader, by_topic, epochs).await {
                    Ok(found) => out.extend(found),
                    Err(error) => last = Some(error),
                }
            }
            missing.retain(|key| !out.contains_key(key));
            if !missing.is_empty() {
                let leaderless = || WireError::broker("partitions without a leader", 5);
                backoff.wait(last.unwrap_or_else(leaderless)).await?;
                let names: Vec<_> = topics.iter().map(|t| t.name.clone()).collect();
                topics = self.topics(Some(&names)).await?;
                check_there(&topics, &missing, &mut unknown)?;
            }
        }
        Ok(out)
    }

    async fn ask_epochs(
        &self,
        leader: BrokerId,
        by_topic: BTreeMap<String, Vec<i32>>,
        epochs: &HashMap<Key, i32>,
    ) -> Result<Vec<(Key, Option<(i32, i64)>)>, WireError> {
        let ask = |(name, partitions): (String, Vec<i32>)| {
            let partition = |p: i32| {
                let epoch = epochs.get(&(name.clone(), p)).copied().unwrap_or(-1);
                OffsetForLeaderPartition::default().with_partition(p).with_leader_epoch(epoch)
            };
            let partitions = partitions.into_iter().map(partition).collect();
            OffsetForLeaderTopic::default().with_topic(topic_name(&name)).with_partitions(partitions)
        };
        let request = OffsetForLeaderEpochRequest::default().with_topics(by_topic.into_iter().map(ask).collect());
        let answer = self.send(leader, &request, 4).await?;
        let mut found = Vec::new();
        for topic in answer.topics {
            for end in topic.partitions {
                let key = (topic.topic.0.to_string(), end.partition);
                if end.error_code != 0 {
                    return Err(WireError::broker(format!("{}/{}", key.0, key.1), end.error_code));
                }
                found.push((key, (end.end_offset >= 0).then_some((end.leader_epoch, end.end_offset))));
            }
        }
        Ok(found)
    }

    /// The leader of one partition, as the cluster says now.
    ///
    /// # Errors
    /// When the partition or its leader does not exist.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<BrokerId, WireError> {
        let topics = self.topics(Some(&[topic.to_owned()])).await?;
        let subject = || format!("{topic}/{partition}");
        let topic = topics.first().ok_or_else(|| WireError::broker(subject(), 3))?;
        if topic.error != 0 {
            return Err(WireError::broker(topic.name.clone(), topic.error));
        }
        let found = topic.partitions.iter().find(|p| p.index == partition);
        let leader = found.ok_or_else(|| WireError::broker(subject(), 3))?.leader;
        if leader < 0 { Err(WireError::broker(subject(), 5)) } else { Ok(leader) }
    }

    /// Open transactions of one partition (KIP-664); empty where the broker does not tell.
    ///
    /// # Errors
    /// When the leader cannot be asked.
    pub async fn open_transactions(&self, topic: &str, partition: i32) -> Result<Vec<OpenTransaction>, WireError> {
        let leader = self.leader(topic, partition).await?;
        let ask = TopicRequest::default().with_name(topic_name(topic)).with_partition_indexes(vec![partition]);
        let answer = self.send(leader, &DescribeProducersRequest::default().with_topics(vec![ask]), 0).await?;
        let partitions = answer.topics.into_iter().flat_map(|t| t.partitions);
        let open = partitions.flat_map(|p| p.active_producers).filter(|p| p.current_txn_start_offset >= 0);
        Ok(open
            .map(|p| OpenTransaction {
                producer_id: p.producer_id.0,
                first_offset: p.current_txn_start_offset,
                last_timestamp: p.last_timestamp,
            })
            .collect())
    }
}

/// Looks in a row that may find a topic unknown: a broker that just started does not know all of them yet.
const UNKNOWN_LOOKS: u32 = 6;

/// Ends the questions about a topic that was deleted meanwhile.
fn check_there(topics: &[Topic], missing: &HashSet<Key>, unknown: &mut u32) -> Result<(), WireError> {
    let gone = |topic: &&Topic| {
        topic.error == code::UNKNOWN_TOPIC_OR_PARTITION && missing.iter().any(|(name, _)| *name == topic.name)
    };
    match topics.iter().find(gone) {
        None => *unknown = 0,
        Some(topic) if *unknown >= UNKNOWN_LOOKS => {
            return Err(WireError::broker(topic.name.clone(), code::UNKNOWN_TOPIC_ID));
        }
        Some(_) => *unknown += 1,
    }
    Ok(())
}

fn keys(topics: &[Topic]) -> HashSet<Key> {
    topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.clone(), p.index))).collect()
}

fn by_leader(topics: &[Topic], wanted: &HashSet<Key>) -> BTreeMap<BrokerId, BTreeMap<String, Vec<i32>>> {
    let mut out: BTreeMap<BrokerId, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
    for topic in topics {
        for p in &topic.partitions {
            if p.leader >= 0 && wanted.contains(&(topic.name.clone(), p.index)) {
                out.entry(p.leader).or_default().entry(topic.name.clone()).or_default().push(p.index);
            }
        }
    }
    out
}
