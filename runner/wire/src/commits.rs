//! Writing and deleting committed offsets of consumer groups, from outside of the group: only groups without members take
//! that.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, OffsetCommitRequest, OffsetDeleteRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::groups::{GROUP, group_id};
use crate::leaders::TopicPartition;
use crate::many_groups::Coordinators;
use crate::metadata::topic_name;
use crate::{Request, Retry, WireError, code};

/// Most partitions of one request: brokers bound the bytes of what they append to the offsets topic at once.
const AT_ONCE: usize = 2_000;
/// Connections to one coordinator, and the number of the first: none is one of control or of data.
const LANES: u32 = 4;
const FIRST_LANE: u32 = 1 << 16;
/// No leader epoch. That of a source means nothing in another log: a consumer whose committed epoch is above the log's
/// looks for a newer leader for ever and reads nothing (measured with Kafka 4.3.1; KIP-320, KIP-1279).
const NO_EPOCH: i32 = -1;

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset that the group shall read; the start offset of a share group.
    pub offset: i64,
    /// The commit's metadata; share groups have none.
    pub metadata: Option<String>,
}

/// Offsets that the coordinator refused to commit or to delete, by their place in the list, each with what it said.
pub type Refused = Vec<(usize, WireError)>;

impl Cluster {
    /// Commits offsets of one group that has no members; a group that does not exist comes into being. A share group's
    /// (`kind` is `share`) start offsets are set (KIP-932), every other kind takes an `OffsetCommit` of nobody. Asking
    /// again does no harm: what passes is tried until the deadline.
    ///
    /// # Errors
    /// What the coordinator says of the group as a whole.
    pub async fn commit_offsets(
        &self,
        coordinators: &Coordinators,
        (id, kind): (&str, &str),
        offsets: &[OffsetCommit],
    ) -> Result<Refused, WireError> {
        self.of_group(coordinators, id, offsets, async |connection, part| match kind {
            "share" => alter_share_group(connection, id, part).await,
            _ => commit(connection, id, part).await,
        })
        .await
    }

    /// Deletes the committed offsets of one group without members at these places (KIP-496); one that is not there is
    /// deleted already. A share group (`kind` is `share`) forgets whole topics: those of the places (KIP-932).
    ///
    /// # Errors
    /// What the coordinator says of the group as a whole.
    pub async fn delete_offsets(
        &self,
        coordinators: &Coordinators,
        (id, kind): (&str, &str),
        places: &[TopicPartition],
    ) -> Result<Refused, WireError> {
        self.of_group(coordinators, id, places, async |connection, part| match kind {
            "share" => delete_of_share_group(connection, id, part).await,
            _ => delete(connection, id, part).await,
        })
        .await
    }

    /// Asks the coordinator of a group for one part of a list after the other.
    async fn of_group<T>(
        &self,
        coordinators: &Coordinators,
        id: &str,
        list: &[T],
        ask: impl AsyncFn(&Connection, &[T]) -> Result<Refused, WireError>,
    ) -> Result<Refused, WireError> {
        let mut refused = Refused::new();
        for (number, part) in list.chunks(AT_ONCE).enumerate() {
            let asked = self.retrying(async || {
                let broker = match coordinators.known(id) {
                    Some(known) => known,
                    None => self.coordinator(id, GROUP).await?,
                };
                coordinators.learn(id, broker);
                let asked = async { ask(&*self.broker(broker, lane_of(id), None).await?, part).await }.await;
                // It may be another one by now.
                if asked.is_err() {
                    coordinators.forget(id);
                }
                asked
            });
            refused.extend(asked.await?.into_iter().map(|(place, error)| (number * AT_ONCE + place, error)));
        }
        Ok(refused)
    }
}

/// The connection on which a group is changed. A broker answers what comes on one connection one after the other, and a commit
/// waits for its replicas: groups that share a coordinator do not wait for each other, nor does anybody else.
fn lane_of(id: &str) -> u32 {
    let sum = id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    FIRST_LANE + sum % LANES
}

fn subject(id: &str) -> String {
    format!("committed offsets of group {id:?}")
}

/// What a list has of each topic.
fn by_topic<T>(list: &[T], topic: impl Fn(&T) -> &str) -> BTreeMap<&str, Vec<&T>> {
    let mut out: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for item in list {
        out.entry(topic(item)).or_default().push(item);
    }
    out
}

fn places(offsets: &[OffsetCommit]) -> impl Iterator<Item = (&str, i32)> {
    offsets.iter().map(|offset| (offset.topic.as_str(), offset.partition))
}

fn named(places: &[TopicPartition]) -> impl Iterator<Item = (&str, i32)> {
    places.iter().map(|(topic, partition)| (topic.as_str(), *partition))
}

async fn commit(connection: &Connection, id: &str, offsets: &[OffsetCommit]) -> Result<Refused, WireError> {
    let partition = |offset: &&OffsetCommit| {
        let metadata = offset.metadata.clone().map(StrBytes::from_string);
        OffsetCommitRequestPartition::default()
            .with_partition_index(offset.partition)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(NO_EPOCH)
            // Brokers take no absent metadata in old versions; consumers write an empty one, too.
            .with_committed_metadata(Some(metadata.unwrap_or_default()))
    };
    let topics = by_topic(offsets, |offset| &offset.topic).into_iter().map(|(topic, list)| {
        let partitions = list.iter().map(partition).collect();
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id(id))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect());
    let answer = connection.call(&request, Duration::ZERO).await?;
    let codes = answer.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| ((topic.name.0.to_string(), p.partition_index), p.error_code))
    });
    sort_out(Request::OffsetCommit, id, places(offsets), &codes.collect())
}

async fn alter_share_group(connection: &Connection, id: &str, offsets: &[OffsetCommit]) -> Result<Refused, WireError> {
    let partition = |offset: &&OffsetCommit| {
        let partition = AlterShareGroupOffsetsRequestPartition::default().with_partition_index(offset.partition);
        partition.with_start_offset(offset.offset)
    };
    let topics = by_topic(offsets, |offset| &offset.topic).into_iter().map(|(topic, list)| {
        let partitions = list.iter().map(partition).collect();
        AlterShareGroupOffsetsRequestTopic::default().with_topic_name(topic_name(topic)).with_partitions(partitions)
    });
    let request = AlterShareGroupOffsetsRequest::default().with_group_id(group_id(id)).with_topics(topics.collect());
    let answer = connection.call(&request, Duration::ZERO).await?;
    if answer.error_code != 0 {
        return Err(WireError::broker(Request::AlterShareGroupOffsets, subject(id), answer.error_code));
    }
    let codes = answer.responses.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| ((topic.topic_name.0.to_string(), p.partition_index), p.error_code))
    });
    sort_out(Request::AlterShareGroupOffsets, id, places(offsets), &codes.collect())
}

async fn delete(connection: &Connection, id: &str, places: &[TopicPartition]) -> Result<Refused, WireError> {
    let partition =
        |(_, partition): &&TopicPartition| OffsetDeleteRequestPartition::default().with_partition_index(*partition);
    let topics = by_topic(places, |(topic, _)| topic).into_iter().map(|(topic, list)| {
        let partitions = list.iter().map(partition).collect();
        OffsetDeleteRequestTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
    });
    let request = OffsetDeleteRequest::default().with_group_id(group_id(id)).with_topics(topics.collect());
    let answer = connection.call(&request, Duration::ZERO).await?;
    if is_gone(Request::OffsetDelete, id, answer.error_code)? {
        return Ok(Refused::new());
    }
    let codes = answer.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| ((topic.name.0.to_string(), p.partition_index), p.error_code))
    });
    sort_out(Request::OffsetDelete, id, named(places), &codes.collect())
}

async fn delete_of_share_group(
    connection: &Connection,
    id: &str,
    places: &[TopicPartition],
) -> Result<Refused, WireError> {
    let topics = by_topic(places, |(topic, _)| topic).into_keys();
    let topic = |name| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic_name(name));
    let request =
        DeleteShareGroupOffsetsRequest::default().with_group_id(group_id(id)).with_topics(topics.map(topic).collect());
    let answer = connection.call(&request, Duration::ZERO).await?;
    if is_gone(Request::DeleteShareGroupOffsets, id, answer.error_code)? {
        return Ok(Refused::new());
    }
    // An answer is about a topic: each of its partitions has it.
    let of: HashMap<&str, i16> =
        answer.responses.iter().map(|topic| (topic.topic_name.0.as_str(), topic.error_code)).collect();
    let codes = places.iter().filter_map(|place| Some((place.clone(), *of.get(place.0.as_str())?)));
    sort_out(Request::DeleteShareGroupOffsets, id, named(places), &codes.collect())
}

/// Whether nothing is left to delete, because the group is not there.
fn is_gone(request: Request, id: &str, error: i16) -> Result<bool, WireError> {
    match error {
        0 => Ok(false),
        code::GROUP_ID_NOT_FOUND => Ok(true),
        error => Err(WireError::broker(request, subject(id), error)),
    }
}

/// What the answer says of each place. One that it does not name, or whose error passes, makes the whole be asked again.
fn sort_out<'a>(
    request: Request,
    id: &str,
    places: impl Iterator<Item = (&'a str, i32)>,
    codes: &BTreeMap<TopicPartition, i16>,
) -> Result<Refused, WireError> {
    let mut refused = Refused::new();
    for (place, (topic, partition)) in places.enumerate() {
        let subject = format!("{}, {topic}/{partition}", subject(id));
        match codes.get(&(topic.to_owned(), partition)) {
            Some(0) => {}
            Some(code) => {
                let error = WireError::broker(request, subject, *code);
                if error.retry() != Retry::Never {
                    return Err(error);
                }
                refused.push((place, error));
            }
            None => return Err(WireError::Unanswered { request, subject }),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offset_needs_an_answer_of_its_own() {
        let offset = |partition| OffsetCommit { topic: "t".into(), partition, offset: 5, metadata: None };
        let offsets = [offset(0), offset(1)];
        let judge = |codes: &[(i32, i16)]| {
            let codes = codes.iter().map(|(partition, code)| (("t".to_owned(), *partition), *code)).collect();
            sort_out(Request::OffsetCommit, "g", places(&offsets), &codes)
        };
        assert!(judge(&[(0, 0), (1, 0)]).unwrap().is_empty());
        let refused = judge(&[(0, 0), (1, 25)]).unwrap();
        assert_eq!(
            refused.iter().map(|(place, error)| (*place, error.broker_code())).collect::<Vec<_>>(),
            [(1, Some(25))]
        );
        assert_eq!(judge(&[(0, 0), (1, 14)]).unwrap_err().broker_code(), Some(14), "the coordinator is loading");
        assert!(matches!(judge(&[(0, 0)]), Err(WireError::Unanswered { .. })));
    }
}
