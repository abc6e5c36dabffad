//! Offsets of partitions: log start, ends, leader epochs, and open transactions.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::FutureExt;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{DescribeProducersRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest};

use crate::cluster::Cluster;
use crate::leaders::{Answers, ByTopic, Question, Told, TopicPartition, ask_leaders};
use crate::metadata::topic_name;
use crate::{BrokerId, Request, Topic, WireError};

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

/// The end of a leader epoch: `(epoch, end)` of the largest one that is not newer; `None` when there is no such epoch.
pub type EpochEnd = Option<(i32, i64)>;

/// One offset of each partition.
type Offsets = HashMap<TopicPartition, i64>;

/// The replica id of clients (protocol guide, `ListOffsets`).
const CONSUMER: i32 = -1;

impl Cluster {
    /// One offset of each partition of `topics`, asked from the leaders.
    ///
    /// # Errors
    /// When a partition has no answer until the deadline, or can never have one.
    pub async fn offsets(&self, topics: &[Topic], at: OffsetAt, isolation: Isolation) -> Result<Offsets, WireError> {
        self.ask_offsets(topics, at, isolation, strict(Request::ListOffsets, self.deadline())).await?.complete()
    }

    /// The same, waiting for `patience` at most: partitions whose leader did not answer until then are named.
    ///
    /// # Errors
    /// [`WireError::Stopped`], or when no broker lets us look where partitions are led.
    pub async fn offsets_within(
        &self,
        topics: &[Topic],
        at: OffsetAt,
        isolation: Isolation,
        patience: Duration,
    ) -> Result<Answers<i64>, WireError> {
        let question = patient(Request::ListOffsets, patience.min(self.deadline()));
        self.ask_offsets(topics, at, isolation, question).await
    }

    async fn ask_offsets(
        &self,
        topics: &[Topic],
        at: OffsetAt,
        isolation: Isolation,
        question: Question,
    ) -> Result<Answers<i64>, WireError> {
        let timestamp = if at == OffsetAt::Start { -2 } else { -1 };
        let ask = |leader, partitions| {
            let told = self.offsets_of(leader, partitions, timestamp, isolation);
            let is_there = |(key, offset): (TopicPartition, Result<Option<i64>, WireError>)| {
                let subject = format!("{}/{}", key.0, key.1);
                let missing = || WireError::Unanswered { request: Request::ListOffsets, subject };
                (key, offset.and_then(|offset| offset.ok_or_else(missing)))
            };
            async move { Ok(told.await?.into_iter().map(is_there).collect()) }.boxed()
        };
        ask_leaders(self, topics, keys(topics), question, ask).await
    }

    /// The first offset of each partition whose record is of this time (milliseconds since 1970) or later; `None` where
    /// there is no such record.
    ///
    /// # Errors
    /// As [`Self::offsets`].
    pub async fn offsets_since(
        &self,
        topics: &[Topic],
        millis: i64,
    ) -> Result<HashMap<TopicPartition, Option<i64>>, WireError> {
        let question = strict(Request::ListOffsets, self.deadline());
        // A negative number asks for something else: the start, the end, the record with the latest time.
        let ask =
            |leader, partitions| self.offsets_of(leader, partitions, millis.max(0), Isolation::Uncommitted).boxed();
        ask_leaders(self, topics, keys(topics), question, ask).await?.complete()
    }

    async fn offsets_of(
        &self,
        leader: BrokerId,
        by_topic: ByTopic,
        timestamp: i64,
        isolation: Isolation,
    ) -> Told<Option<i64>> {
        let ask = |(name, partitions): (String, Vec<i32>)| {
            let partition = |p| ListOffsetsPartition::default().with_partition_index(p).with_timestamp(timestamp);
            let partitions = partitions.into_iter().map(partition).collect();
            ListOffsetsTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
        };
        // Without this number the broker takes us for broker 0, and tells the end of its log whatever is asked.
        let request = ListOffsetsRequest::default()
            .with_replica_id(kafka_protocol::messages::BrokerId(CONSUMER))
            .with_isolation_level(isolation as i8)
            .with_topics(by_topic.into_iter().map(ask).collect());
        let answer = self.send(leader, &request).await?;
        let mut told = Vec::new();
        for topic in answer.topics {
            for p in topic.partitions {
                let key = (topic.name.0.to_string(), p.partition_index);
                let subject = || format!("{}/{}", key.0, key.1);
                let offset = match p.error_code {
                    0 => Ok(Some(p.offset).filter(|offset| *offset >= 0)),
                    code => Err(WireError::broker(Request::ListOffsets, subject(), code)),
                };
                told.push((key, offset));
            }
        }
        Ok(told)
    }

    /// Where the given leader epoch of each partition ended.
    ///
    /// # Errors
    /// When a leader does not answer until the deadline, or never will.
    pub async fn epoch_ends(
        &self,
        topics: &[Topic],
        epochs: &HashMap<TopicPartition, i32>,
    ) -> Result<HashMap<TopicPartition, EpochEnd>, WireError> {
        self.ask_epochs(topics, epochs, strict(Request::OffsetForLeaderEpoch, self.deadline())).await?.complete()
    }

    /// The same, waiting for `patience` at most: partitions whose leader did not answer until then are named.
    ///
    /// # Errors
    /// [`WireError::Stopped`], or when no broker lets us look where partitions are led.
    pub async fn epoch_ends_within(
        &self,
        topics: &[Topic],
        epochs: &HashMap<TopicPartition, i32>,
        patience: Duration,
    ) -> Result<Answers<EpochEnd>, WireError> {
        let question = patient(Request::OffsetForLeaderEpoch, patience.min(self.deadline()));
        self.ask_epochs(topics, epochs, question).await
    }

    async fn ask_epochs(
        &self,
        topics: &[Topic],
        epochs: &HashMap<TopicPartition, i32>,
        question: Question,
    ) -> Result<Answers<EpochEnd>, WireError> {
        let epochs_of = |by_topic: &ByTopic| {
            let partition = |name: &String, p: i32| {
                let epoch = epochs.get(&(name.clone(), p)).copied();
                epoch.map(|epoch| OffsetForLeaderPartition::default().with_partition(p).with_leader_epoch(epoch))
            };
            let topic = |(name, partitions): (&String, &Vec<i32>)| {
                let partitions = partitions.iter().filter_map(|p| partition(name, *p)).collect();
                OffsetForLeaderTopic::default().with_topic(topic_name(name)).with_partitions(partitions)
            };
            by_topic.iter().map(topic).collect::<Vec<_>>()
        };
        let ask = |leader, by_topic: ByTopic| self.epochs_of(leader, epochs_of(&by_topic)).boxed();
        ask_leaders(self, topics, epochs.keys().cloned().collect(), question, ask).await
    }

    async fn epochs_of(&self, leader: BrokerId, topics: Vec<OffsetForLeaderTopic>) -> Told<EpochEnd> {
        let request = OffsetForLeaderEpochRequest::default().with_topics(topics);
        let answer = self.send(leader, &request).await?;
        let mut told = Vec::new();
        for topic in answer.topics {
            for end in topic.partitions {
                let key = (topic.topic.0.to_string(), end.partition);
                let found = match end.error_code {
                    0 => Ok((end.end_offset >= 0).then_some((end.leader_epoch, end.end_offset))),
                    code => {
                        let subject = format!("{}/{}", key.0, key.1);
                        Err(WireError::broker(Request::OffsetForLeaderEpoch, subject, code))
                    }
                };
                told.push((key, found));
            }
        }
        Ok(told)
    }

    /// Open transactions of one partition (KIP-664).
    ///
    /// # Errors
    /// When the leader cannot be asked, or refuses.
    pub async fn open_transactions(&self, topic: &str, partition: i32) -> Result<Vec<OpenTransaction>, WireError> {
        let leader = self.leader(topic, partition).await?;
        let ask = TopicRequest::default().with_name(topic_name(topic)).with_partition_indexes(vec![partition]);
        let answer = self.send(leader, &DescribeProducersRequest::default().with_topics(vec![ask])).await?;
        let mut out = Vec::new();
        for p in answer.topics.into_iter().flat_map(|t| t.partitions) {
            if p.error_code != 0 {
                let subject = format!("{topic}/{partition}");
                return Err(WireError::broker(Request::DescribeProducers, subject, p.error_code));
            }
            let open = p.active_producers.into_iter().filter(|p| p.current_txn_start_offset >= 0);
            out.extend(open.map(|p| OpenTransaction {
                producer_id: p.producer_id.0,
                first_offset: p.current_txn_start_offset,
                last_timestamp: p.last_timestamp,
            }));
        }
        Ok(out)
    }
}

/// All partitions, or none.
fn strict(request: Request, limit: Duration) -> Question {
    Question { request, limit, all_or_none: true }
}

/// As many partitions as answer in time.
fn patient(request: Request, limit: Duration) -> Question {
    Question { request, limit, all_or_none: false }
}

fn keys(topics: &[Topic]) -> HashSet<TopicPartition> {
    topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.clone(), p.index))).collect()
}
