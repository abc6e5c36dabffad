//! Writing committed offsets of consumer groups, from outside of the group: only groups without members take them.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::{AlterShareGroupOffsetsRequest, OffsetCommitRequest};
use kafka_protocol::protocol::StrBytes;

use crate::brokers::CONTROL;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::groups::{GROUP, group_id};
use crate::metadata::topic_name;
use crate::{Request, Retry, WireError};

/// Most partitions of one request: brokers bound the bytes of what they append to the offsets topic at once.
const AT_ONCE: usize = 2_000;
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

/// Offsets of a commit that the coordinator refused, by their place in the list, each with what it said.
pub type Refused = Vec<(usize, WireError)>;

impl Cluster {
    /// Commits offsets of one group that has no members; a group that does not exist comes into being. A share group's
    /// (`kind` is `share`) start offsets are set (KIP-932), every other kind takes an `OffsetCommit` of nobody. Asking
    /// again does no harm: what passes is tried until the deadline.
    ///
    /// # Errors
    /// What the coordinator says of the group as a whole.
    pub async fn commit_offsets(&self, id: &str, kind: &str, offsets: &[OffsetCommit]) -> Result<Refused, WireError> {
        let mut refused = Refused::new();
        for (number, part) in offsets.chunks(AT_ONCE).enumerate() {
            let found = self
                .retrying(async || {
                    let broker = self.coordinator(id, GROUP).await?;
                    let connection = self.broker(broker, CONTROL, None).await?;
                    match kind {
                        "share" => alter_share_group(&connection, id, part).await,
                        _ => commit(&connection, id, part).await,
                    }
                })
                .await?;
            refused.extend(found.into_iter().map(|(place, error)| (number * AT_ONCE + place, error)));
        }
        Ok(refused)
    }
}

fn subject(id: &str) -> String {
    format!("commit of group {id:?}")
}

/// Places of a list by topic.
fn by_topic(offsets: &[OffsetCommit]) -> BTreeMap<&str, Vec<&OffsetCommit>> {
    let mut out: BTreeMap<&str, Vec<&OffsetCommit>> = BTreeMap::new();
    for offset in offsets {
        out.entry(&offset.topic).or_default().push(offset);
    }
    out
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
    let topics = by_topic(offsets).into_iter().map(|(topic, list)| {
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
    sort_out(Request::OffsetCommit, id, offsets, &codes.collect())
}

async fn alter_share_group(connection: &Connection, id: &str, offsets: &[OffsetCommit]) -> Result<Refused, WireError> {
    let partition = |offset: &&OffsetCommit| {
        let partition = AlterShareGroupOffsetsRequestPartition::default().with_partition_index(offset.partition);
        partition.with_start_offset(offset.offset)
    };
    let topics = by_topic(offsets).into_iter().map(|(topic, list)| {
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
    sort_out(Request::AlterShareGroupOffsets, id, offsets, &codes.collect())
}

/// What the answer says of each offset. One that it does not name, or whose error passes, makes the whole be asked again.
fn sort_out(
    request: Request,
    id: &str,
    offsets: &[OffsetCommit],
    codes: &BTreeMap<(String, i32), i16>,
) -> Result<Refused, WireError> {
    let mut refused = Refused::new();
    for (place, offset) in offsets.iter().enumerate() {
        let subject = format!("{}, {}/{}", subject(id), offset.topic, offset.partition);
        match codes.get(&(offset.topic.clone(), offset.partition)) {
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
            sort_out(Request::OffsetCommit, "g", &offsets, &codes)
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
