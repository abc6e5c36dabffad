//! Consumer groups of every type and their committed positions.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{DescribeShareGroupOffsetsRequest, GroupId, ListGroupsRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;

use crate::WireError;
use crate::cluster::Cluster;
use crate::connection::Connection;

/// Key type of groups in coordinator look-ups.
const GROUP: i8 = 0;

/// A group as its coordinator lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Group id.
    pub id: String,
    /// `classic`, `consumer`, `share`, `streams`; `classic` where the broker does not tell.
    pub kind: String,
    /// State as the broker names it.
    pub state: String,
}

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Next offset that the group would read.
    pub offset: i64,
    /// Leader epoch of the commit, -1 for none.
    pub leader_epoch: i32,
    /// The commit's metadata.
    pub metadata: Option<String>,
}

impl Cluster {
    /// Every group of every coordinator.
    ///
    /// # Errors
    /// When a broker does not answer until the deadline.
    pub async fn groups(&self) -> Result<Vec<Group>, WireError> {
        // Brokers may have come or gone since the last look.
        self.topics(Some(&[])).await?;
        let mut out: BTreeMap<String, Group> = BTreeMap::new();
        for broker in self.broker_ids() {
            let answer = self
                .retrying(async || {
                    let answer = self.send(broker, &ListGroupsRequest::default(), 5).await?;
                    match answer.error_code {
                        0 => Ok(answer),
                        code => Err(WireError::broker(format!("groups of broker {broker}"), code)),
                    }
                })
                .await?;
            for group in answer.groups {
                let kind = if group.group_type.is_empty() { "classic".into() } else { group.group_type.to_lowercase() };
                let id = group.group_id.0.to_string();
                out.insert(id.clone(), Group { id, kind, state: group.group_state.to_string() });
            }
        }
        Ok(out.into_values().collect())
    }

    /// Committed positions of one group, in topic and partition order.
    ///
    /// # Errors
    /// When the coordinator refuses or does not answer until the deadline.
    pub async fn group_offsets(&self, group: &Group) -> Result<Vec<GroupOffset>, WireError> {
        let mut out = self
            .retrying(async || {
                let broker = self.coordinator(&group.id, GROUP).await?;
                let connection = self.broker(broker, 0, None).await?;
                match group.kind.as_str() {
                    "share" => share_offsets(&connection, &group.id).await,
                    _ => committed_offsets(&connection, &group.id).await,
                }
            })
            .await?;
        out.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(out)
    }
}

fn group_id(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

fn subject(id: &str) -> String {
    format!("offsets of group {id:?}")
}

async fn committed_offsets(connection: &Connection, id: &str) -> Result<Vec<GroupOffset>, WireError> {
    let many = connection.version::<OffsetFetchRequest>(9).is_some_and(|version| version >= 8);
    // Offsets of open transactions are not committed: they neither count nor hold the answer back.
    let request = OffsetFetchRequest::default().with_require_stable(false);
    let request = if many {
        let group =
            OffsetFetchRequestGroup::default().with_group_id(group_id(id)).with_member_epoch(-1).with_topics(None);
        request.with_groups(vec![group])
    } else {
        request.with_group_id(group_id(id)).with_topics(None)
    };
    let answer = connection.call(&request, 9, std::time::Duration::ZERO).await?;
    let mut out = Vec::new();
    let mut add = |topic: &str, partition, offset, leader_epoch, metadata: Option<StrBytes>, code: i16| {
        if code != 0 {
            return Err(WireError::broker(subject(id), code));
        }
        if offset >= 0 {
            let metadata = metadata.map(|m| m.to_string());
            out.push(GroupOffset { topic: topic.to_owned(), partition, offset, leader_epoch, metadata });
        }
        Ok(())
    };
    if answer.error_code != 0 {
        return Err(WireError::broker(subject(id), answer.error_code));
    }
    // The topics of old and new answers have the same fields, but are two types.
    macro_rules! add_all {
        ($topics:expr) => {
            for topic in $topics {
                for p in topic.partitions {
                    let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
                    add(&topic.name.0, p.partition_index, offset, epoch, p.metadata, p.error_code)?;
                }
            }
        };
    }
    add_all!(answer.topics);
    for group in answer.groups {
        if group.error_code != 0 {
            return Err(WireError::broker(subject(id), group.error_code));
        }
        add_all!(group.topics);
    }
    Ok(out)
}

/// Share groups have a start offset per partition (KIP-932); what is in flight after it is not visible.
async fn share_offsets(connection: &Connection, id: &str) -> Result<Vec<GroupOffset>, WireError> {
    let group = DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group_id(id)).with_topics(None);
    let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]);
    let answer = connection.call(&request, 0, std::time::Duration::ZERO).await?;
    let mut out = Vec::new();
    for group in answer.groups {
        if group.error_code != 0 {
            return Err(WireError::broker(subject(id), group.error_code));
        }
        for topic in group.topics {
            for p in topic.partitions.iter().filter(|p| p.error_code == 0 && p.start_offset >= 0) {
                out.push(GroupOffset {
                    topic: topic.topic_name.0.to_string(),
                    partition: p.partition_index,
                    offset: p.start_offset,
                    leader_epoch: p.leader_epoch,
                    metadata: None,
                });
            }
        }
    }
    Ok(out)
}
