//! What brokers say that we may do to topics and groups (KIP-430): asked beforehand, where a refusal would come in the middle of a run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DescribeGroupsRequest, MetadataRequest};

use crate::brokers::CONTROL;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::groups::{GROUP, group_id};
use crate::metadata::topic_name;
use crate::{Request, WireError, code};

/// The oldest version of Metadata that tells rights.
const TELLS: i16 = 8;
/// The oldest version of `DescribeGroups` that does.
const TELLS_OF_GROUPS: i16 = 3;
/// What brokers answer where they were not asked, or do not tell.
const UNTOLD: i32 = i32::MIN;

/// Something that one may be allowed to do to a topic or a group. The numbers are those of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of Kafka's ACLs
pub enum Right {
    Read = 3,
    Write = 4,
    Delete = 6,
    Describe = 8,
    DescribeConfigs = 10,
    AlterConfigs = 11,
}

/// All that we may do to a topic or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(i32);

impl Rights {
    /// Whether this is among it.
    #[must_use]
    pub fn may(self, right: Right) -> bool {
        self.0 & (1 << right as i32) != 0
    }

    /// Those of `wanted` that are missing, by their names.
    #[must_use]
    pub fn missing(self, wanted: &[Right]) -> Vec<String> {
        wanted.iter().filter(|right| !self.may(**right)).map(|right| format!("{right:?}")).collect()
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | 1 << right as i32))
    }
}

impl Cluster {
    /// What we may do to each of these topics. A topic that is not there, or of which brokers do not tell, is not named.
    ///
    /// # Errors
    /// When the cluster does not answer until the deadline.
    pub async fn rights(&self, topics: &[String]) -> Result<BTreeMap<String, Rights>, WireError> {
        if topics.is_empty() {
            // An empty list would ask for no topic in some versions, and for all in others.
            return Ok(BTreeMap::new());
        }
        let wanted = topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let request = MetadataRequest::default().with_topics(Some(wanted.collect()));
        let request = request.with_allow_auto_topic_creation(false);
        self.retrying(async || {
            let request = &request;
            let ask = |connection: Arc<Connection>| async move {
                if connection.version::<MetadataRequest>().is_none_or(|version| version < TELLS) {
                    return Ok(None);
                }
                let request = request.clone().with_include_topic_authorized_operations(true);
                connection.call(&request, Duration::ZERO).await.map(Some)
            };
            let (_, Some(answer)) = self.ask_anyone(&mut HashSet::new(), ask).await? else {
                return Ok(BTreeMap::new());
            };
            let mut out = BTreeMap::new();
            for topic in answer.topics {
                let Some(name) = topic.name else { continue }; // asked for by name, answered by name
                let bits = match topic.error_code {
                    0 => topic.topic_authorized_operations,
                    code::TOPIC_AUTHORIZATION_FAILED => 0,
                    _ => UNTOLD, // it is not there, or not described for now
                };
                if bits != UNTOLD {
                    out.insert(name.0.to_string(), Rights(bits));
                }
            }
            Ok(out)
        })
        .await
    }

    /// What we may do to a group, whether or not it is there; `None` where brokers do not tell.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn group_rights(&self, id: &str) -> Result<Option<Rights>, WireError> {
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(id)]);
        let asked = self.retrying(async || {
            let broker = self.coordinator(id, GROUP).await?;
            let connection = self.broker(broker, CONTROL, None).await?;
            if connection.version::<DescribeGroupsRequest>().is_none_or(|version| version < TELLS_OF_GROUPS) {
                return Ok(None);
            }
            let request = request.clone().with_include_authorized_operations(true);
            let answer = connection.call(&request, Duration::ZERO).await?;
            let subject = || format!("rights on group {id:?}");
            let Some(told) = answer.groups.into_iter().find(|told| *told.group_id.0 == *id) else {
                return Err(WireError::Unanswered { request: Request::DescribeGroups, subject: subject() });
            };
            match told.error_code {
                0 | code::GROUP_ID_NOT_FOUND => Ok(Some(told.authorized_operations)),
                code => Err(WireError::broker(Request::DescribeGroups, subject(), code)),
            }
        });
        match asked.await {
            Ok(bits) => Ok(bits.filter(|bits| *bits != UNTOLD).map(Rights)),
            Err(error) if error.broker_code() == Some(code::GROUP_AUTHORIZATION_FAILED) => Ok(Some(Rights(0))),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_protocol() {
        let rights = Rights(1 << 3 | 1 << 8);
        assert!(rights.may(Right::Read) && rights.may(Right::Describe) && !rights.may(Right::Write));
        assert_eq!(
            rights.missing(&[Right::Read, Right::DescribeConfigs, Right::Delete]),
            ["DescribeConfigs", "Delete"]
        );
        assert!(Rights(0).missing(&[Right::Read]) == ["Read"]);
    }
}
