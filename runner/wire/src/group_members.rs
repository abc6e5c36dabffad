//! Who is in a consumer group now: the question whether its committed offsets may be changed from outside.

use std::time::Duration;

use kafka_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest, ShareGroupDescribeRequest};

use crate::brokers::CONTROL;
use crate::cluster::Cluster;
use crate::groups::{GROUP, Group, group_id};
use crate::streams_groups::StreamsGroupDescribeRequest;
use crate::{Request, WireError, code};

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// What the client calls itself.
    pub client_id: String,
    /// Where it connects from, as the broker sees it.
    pub host: String,
}

impl std::fmt::Display for GroupMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.client_id, self.host.trim_start_matches('/'))
    }
}

impl Group {
    /// Whether its coordinator lists it as one without members: its committed offsets can be changed from outside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.state.as_str(), "Empty" | "Dead")
    }
}

impl Cluster {
    /// The members of a group; none when it does not exist. Of a streams group (KIP-1071) nobody is named where the broker does
    /// not describe such groups yet, or we may not describe a topic that the group reads or writes.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn group_members(&self, group: &Group) -> Result<Vec<GroupMember>, WireError> {
        let id = group.id.as_str();
        let wanted = || vec![group_id(id)];
        let checked = |request, code: i16| match code {
            0 | code::GROUP_ID_NOT_FOUND => Ok(()),
            code::TOPIC_AUTHORIZATION_FAILED if request == Request::StreamsGroupDescribe => Ok(()),
            code => Err(WireError::broker(request, format!("members of group {id:?}"), code)),
        };
        // The members of the four answers have the same fields, but are four types.
        macro_rules! members {
            ($request:expr, $groups:expr) => {{
                let described = $groups;
                if !described.iter().any(|described| *described.group_id.0 == *id) {
                    let subject = format!("members of group {id:?}");
                    return Err(WireError::Unanswered { request: $request, subject });
                }
                let mut out = Vec::new();
                for described in described {
                    checked($request, described.error_code)?;
                    out.extend(described.members.into_iter().map(|member| GroupMember {
                        client_id: member.client_id.to_string(),
                        host: member.client_host.to_string(),
                    }));
                }
                Ok(out)
            }};
        }
        self.retrying(async || {
            let broker = self.coordinator(id, GROUP).await?;
            let connection = self.broker(broker, CONTROL, None).await?;
            match group.kind.as_str() {
                "consumer" => {
                    let ask = ConsumerGroupDescribeRequest::default().with_group_ids(wanted());
                    members!(Request::ConsumerGroupDescribe, connection.call(&ask, Duration::ZERO).await?.groups)
                }
                "share" => {
                    let ask = ShareGroupDescribeRequest::default().with_group_ids(wanted());
                    members!(Request::ShareGroupDescribe, connection.call(&ask, Duration::ZERO).await?.groups)
                }
                "streams" if connection.version::<StreamsGroupDescribeRequest>().is_none() => Ok(Vec::new()),
                "streams" => {
                    let ask = StreamsGroupDescribeRequest { group_id: group_id(id) };
                    members!(Request::StreamsGroupDescribe, connection.call(&ask, Duration::ZERO).await?.groups)
                }
                _ => {
                    let ask = DescribeGroupsRequest::default().with_groups(wanted());
                    members!(Request::DescribeGroups, connection.call(&ask, Duration::ZERO).await?.groups)
                }
            }
        })
        .await
    }
}
