//! Consumer groups of every type and their committed positions.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::pauses::Pauses;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kafka_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::{
    DescribeShareGroupOffsetsRequest, GroupId, ListGroupsRequest, MetadataRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::brokers::{BrokerId, CONTROL};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::{Request, Retry, WireError};

/// Key type of groups in coordinator look-ups.
pub(crate) const GROUP: i8 = 0;
/// The newest version of Metadata that tells what we may do to the cluster (KIP-430).
const TELLS_RIGHTS: i16 = 10;
/// The right to describe, as a bit of such an answer.
const DESCRIBE: i32 = 1 << 8;
/// How long an answer may take that came after failures.
const GRACE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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

/// The groups of a cluster, and what could not be asked.
#[derive(Debug)]
pub struct Groups {
    /// Groups in order of their ids.
    pub groups: Vec<Group>,
    /// Brokers that did not answer in time: the groups that they coordinate are missing.
    pub unanswered: Vec<(BrokerId, WireError)>,
    /// Whether we may see every group. `Some(false)`: brokers leave out, without a word, the groups that we may not
    /// describe. `None` where brokers do not tell.
    pub sees_all: Option<bool>,
}

/// How long coordinators are waited for, of all groups together: one may coordinate hundreds of them.
#[derive(Debug)]
pub struct CoordinatorPatience {
    limit: Duration,
    /// Those that were waited for in vain; `None` for groups of which nobody says where their coordinator is.
    given_up: Mutex<BTreeSet<(Option<BrokerId>, Fault)>>,
}

/// Why a coordinator was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// It says that it cannot answer now: for another group it is asked once.
    Refuses,
    /// It says nothing: it is asked no more.
    Silent,
}

impl CoordinatorPatience {
    /// Waits for each of them for as long as `limit`.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, given_up: Mutex::default() }
    }

    fn is_over(&self, coordinator: Option<BrokerId>, fault: Fault) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&(coordinator, fault))
    }

    fn give_up(&self, coordinator: Option<BrokerId>, fault: Fault) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert((coordinator, fault));
    }
}

/// One broker's list.
type Listed = (BrokerId, Result<Vec<Group>, WireError>);

impl Cluster {
    /// Every group of every coordinator, asked from the brokers that live now. One that does not answer is asked again
    /// for as long as `patience`, while it is in the cluster's list of brokers.
    ///
    /// # Errors
    /// When the cluster cannot be asked at all, or a broker refuses for good.
    pub async fn groups(&self, patience: Duration) -> Result<Groups, WireError> {
        let end = Instant::now() + patience.min(self.deadline());
        let sees_all = self.sees_all_groups().await?;
        let mut found: BTreeMap<String, Group> = BTreeMap::new();
        let mut open: BTreeMap<BrokerId, Option<WireError>> =
            self.broker_ids().into_iter().map(|id| (id, None)).collect();
        let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
        // Who left the cluster before it answered: its groups have gone to others.
        let mut left: Option<BrokerId> = None;
        loop {
            let mut lists: FuturesUnordered<_> = open.keys().map(|id| self.groups_of(*id, end)).collect();
            while let Some((id, listed)) = lists.next().await {
                match listed {
                    Ok(groups) => {
                        open.remove(&id);
                        found.extend(groups.into_iter().map(|group| (group.id.clone(), group)));
                    }
                    Err(error) if error.retry() == Retry::Never => return Err(error),
                    Err(error) => drop(open.insert(id, Some(error))),
                }
            }
            if (open.is_empty() && left.is_none()) || Instant::now() + pauses.coming() >= end {
                break;
            }
            self.pause(pauses.step()).await?;
            // Brokers may have come or gone.
            let before = self.broker_ids();
            if self.look(Some(&[]), &mut HashSet::new()).await.is_ok() {
                let now = self.broker_ids();
                left = open.keys().find(|id| !now.contains(id)).copied().or(left);
                open.retain(|id, _| now.contains(id));
                open.extend(now.iter().filter(|id| !before.contains(id)).map(|id| (*id, None)));
                // A group has one coordinator, so whoever answered is asked again only for the groups of who left.
                if open.is_empty() && left.take().is_some() {
                    open.extend(now.into_iter().map(|id| (id, None)));
                }
            }
        }
        let silent = |id| WireError::UnknownBroker { id };
        open.extend(left.map(|id| (id, None)));
        let unanswered = open.into_iter().map(|(id, error)| (id, error.unwrap_or_else(|| silent(id)))).collect();
        Ok(Groups { groups: found.into_values().collect(), unanswered, sees_all })
    }

    async fn groups_of(&self, broker: BrokerId, end: Instant) -> Listed {
        let work = async {
            let answer = self.send(broker, &ListGroupsRequest::default()).await?;
            if answer.error_code != 0 {
                return Err(WireError::broker(
                    Request::ListGroups,
                    format!("groups of broker {broker}"),
                    answer.error_code,
                ));
            }
            let group = |group: kafka_protocol::messages::list_groups_response::ListedGroup| {
                let kind = if group.group_type.is_empty() { "classic".into() } else { group.group_type.to_lowercase() };
                Group { id: group.group_id.0.to_string(), kind, state: group.group_state.to_string() }
            };
            Ok(answer.groups.into_iter().map(group).collect())
        };
        let silent = || WireError::no_progress(format!("groups of broker {broker}"), "it did not answer in time");
        // It becomes an error.
        let listed = tokio::time::timeout_at(end, work).await.unwrap_or_else(|_| Err(silent()));
        (broker, listed)
    }

    /// Whether brokers list every group for us: they do for whoever may describe the cluster. Learns the brokers, too.
    async fn sees_all_groups(&self) -> Result<Option<bool>, WireError> {
        self.retrying(async || {
            let ask = |connection: Arc<Connection>| async move {
                let tells = connection.version::<MetadataRequest>().is_some_and(|version| version >= 8);
                let request = MetadataRequest::default()
                    .with_topics(Some(Vec::new()))
                    .with_allow_auto_topic_creation(false)
                    .with_include_cluster_authorized_operations(tells);
                Ok((tells, connection.call_up_to(TELLS_RIGHTS, &request, Duration::ZERO).await?))
            };
            let (_, (tells, answer)) = self.ask_anyone(&mut HashSet::new(), ask).await?;
            self.brokers().learn(&answer);
            let rights = Some(answer.cluster_authorized_operations).filter(|bits| tells && *bits != i32::MIN);
            Ok(rights.map(|bits| bits & DESCRIBE != 0))
        })
        .await
    }

    /// Committed positions of one group, in topic and partition order.
    ///
    /// # Errors
    /// When the coordinator refuses, or does not answer for as long as `patience` says.
    pub async fn group_offsets(
        &self,
        group: &Group,
        patience: &CoordinatorPatience,
    ) -> Result<Vec<GroupOffset>, WireError> {
        let late = || WireError::no_progress(subject(&group.id), "its coordinator did not answer in time");
        let at = Cell::new(None);
        let ended = |last| WireError::Deadline { seconds: patience.limit.as_secs(), last: Box::new(last) };
        let work = self.retrying_for(patience.limit, async || {
            at.set(None);
            let asked = async {
                let broker = self.coordinator(&group.id, GROUP).await?;
                at.set(Some(broker));
                if patience.is_over(Some(broker), Fault::Silent) {
                    return Err(ended(late()));
                }
                let connection = self.broker(broker, CONTROL, None).await?;
                match group.kind.as_str() {
                    "share" => share_offsets(&connection, &group.id).await,
                    _ => committed_offsets(&connection, &group.id).await, // every other kind commits as consumers do
                }
            };
            let may_pass = |error: &WireError| error.retry() != Retry::Never;
            match asked.await {
                Err(error) if may_pass(&error) && patience.is_over(at.get(), Fault::Refuses) => Err(ended(error)),
                asked => asked,
            }
        });
        // The deadline of the tries counts from the first failure on; a coordinator may be silent from the start.
        let asked = tokio::time::timeout(patience.limit + GRACE, work).await.unwrap_or_else(|_| Err(late()));
        if let Err(error) = &asked
            && !error.is_final()
        {
            let fault = if error.broker_code().is_some() { Fault::Refuses } else { Fault::Silent };
            patience.give_up(at.get(), fault);
        }
        let mut out = asked?;
        out.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(out)
    }
}

pub(crate) fn group_id(id: &str) -> GroupId {
    GroupId(StrBytes::from_string(id.to_owned()))
}

fn subject(id: &str) -> String {
    format!("offsets of group {id:?}")
}

/// The positions in the topics of an answer. Those of old and new answers have the same fields, but are two types.
macro_rules! positions {
    ($id:expr, $topics:expr) => {{
        let mut out = Vec::new();
        for topic in $topics {
            for p in topic.partitions {
                if p.error_code != 0 {
                    return Err(WireError::broker(Request::OffsetFetch, subject($id), p.error_code));
                }
                if p.committed_offset >= 0 {
                    out.push(GroupOffset {
                        topic: topic.name.0.to_string(),
                        partition: p.partition_index,
                        offset: p.committed_offset,
                        leader_epoch: p.committed_leader_epoch,
                        metadata: p.metadata.map(|text| text.to_string()),
                    });
                }
            }
        }
        out
    }};
}

async fn committed_offsets(connection: &Connection, id: &str) -> Result<Vec<GroupOffset>, WireError> {
    let many = connection.version::<OffsetFetchRequest>().is_some_and(|version| version >= 8);
    // Offsets of open transactions are not committed: they neither count nor hold the answer back.
    let request = OffsetFetchRequest::default().with_require_stable(false);
    let request = if many {
        let group =
            OffsetFetchRequestGroup::default().with_group_id(group_id(id)).with_member_epoch(-1).with_topics(None);
        request.with_groups(vec![group])
    } else {
        request.with_group_id(group_id(id)).with_topics(None)
    };
    let answer = connection.call(&request, Duration::ZERO).await?;
    if answer.error_code != 0 {
        return Err(WireError::broker(Request::OffsetFetch, subject(id), answer.error_code));
    }
    let mut out = positions!(id, answer.topics);
    if many && !answer.groups.iter().any(|group| *group.group_id.0 == *id) {
        return Err(WireError::Unanswered { request: Request::OffsetFetch, subject: subject(id) });
    }
    for group in answer.groups {
        out.extend(of_answer(id, group)?);
    }
    Ok(out)
}

/// The positions of one group in an answer about several.
pub(crate) fn of_answer(id: &str, group: OffsetFetchResponseGroup) -> Result<Vec<GroupOffset>, WireError> {
    if group.error_code != 0 {
        return Err(WireError::broker(Request::OffsetFetch, subject(id), group.error_code));
    }
    Ok(positions!(id, group.topics))
}

/// Share groups have a start offset per partition (KIP-932); what is in flight after it is not visible.
async fn share_offsets(connection: &Connection, id: &str) -> Result<Vec<GroupOffset>, WireError> {
    let group = DescribeShareGroupOffsetsRequestGroup::default().with_group_id(group_id(id)).with_topics(None);
    let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]);
    let answer = connection.call(&request, Duration::ZERO).await?;
    if !answer.groups.iter().any(|group| *group.group_id.0 == *id) {
        return Err(WireError::Unanswered { request: Request::DescribeShareGroupOffsets, subject: subject(id) });
    }
    let mut out = Vec::new();
    for group in answer.groups {
        if group.error_code != 0 {
            return Err(WireError::broker(Request::DescribeShareGroupOffsets, subject(id), group.error_code));
        }
        for topic in group.topics {
            for p in topic.partitions {
                if p.error_code != 0 {
                    let subject = format!("{}, {}/{}", subject(id), topic.topic_name.0, p.partition_index);
                    return Err(WireError::broker(Request::DescribeShareGroupOffsets, subject, p.error_code));
                }
                if p.start_offset < 0 {
                    continue; // nothing was read there yet
                }
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
