//! Committed positions of many groups with few questions: where protocol and brokers allow it, coordinators and positions of many
//! groups are asked for at once (KIP-699, KIP-709). Whatever that does not answer is asked for group by group, with patience.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{FindCoordinatorRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;
use tokio::time::{Instant, timeout_at};

use crate::brokers::{BrokerId, CONTROL};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::groups::{CoordinatorPatience, GROUP, Group, GroupOffset, group_id, of_answer};
use crate::metadata::MANY_KEYS;
use crate::{Request, WireError};

/// Groups whose coordinators one question is about.
const KEYS: usize = 500;
/// Groups whose positions one question is about: an answer is no larger than one group's may be.
const TOGETHER: usize = 25;
/// Questions at once to one broker.
const QUESTIONS: usize = 4;
/// The oldest version of `OffsetFetch` with several groups.
const MANY_GROUPS: i16 = 8;
/// How long the short way may take, for all groups together.
const SHORT: Duration = Duration::from_secs(10);

/// Coordinators of many groups, as brokers told them at once. One that turns out to be another is forgotten, and asked for alone.
#[derive(Debug, Default)]
pub struct Coordinators(Mutex<HashMap<String, BrokerId>>);

impl Coordinators {
    /// That of a group, where it is known.
    pub(crate) fn known(&self, id: &str) -> Option<BrokerId> {
        self.all().get(id).copied()
    }

    pub(crate) fn learn(&self, id: &str, broker: BrokerId) {
        self.all().insert(id.to_owned(), broker);
    }

    pub(crate) fn forget(&self, id: &str) {
        self.all().remove(id);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, BrokerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Positions by group.
type Found = HashMap<String, Vec<GroupOffset>>;

impl Cluster {
    /// Committed positions of these groups, each in topic and partition order, as [`Cluster::group_offsets`] gives them. Groups that
    /// are asked for one by one are so `at_once` at a time.
    pub async fn offsets_of_groups(
        &self,
        groups: &[Group],
        patience: &CoordinatorPatience,
        at_once: usize,
    ) -> HashMap<String, Result<Vec<GroupOffset>, WireError>> {
        let many: Vec<&str> =
            groups.iter().filter(|group| group.kind != "share").map(|group| group.id.as_str()).collect();
        let found = match many.len() {
            0 | 1 => Found::new(),
            _ => self.together(&many, Instant::now() + SHORT).await,
        };
        let open = groups.iter().filter(|group| !found.contains_key(&group.id));
        let asked = futures::stream::iter(open)
            .map(|group| async move { (group.id.clone(), self.group_offsets(group, patience).await) });
        let asked: Vec<_> = asked.buffer_unordered(at_once.max(1)).collect().await;
        found.into_iter().map(|(id, offsets)| (id, Ok(offsets))).chain(asked).collect()
    }

    /// The coordinators of these groups, asked for together. Of a group that has none now, or where brokers are asked for one at a
    /// time, it is not known: it is asked for when it is needed, with patience.
    pub async fn coordinators_of(&self, ids: &[&str]) -> Coordinators {
        let (out, end) = (Coordinators::default(), Instant::now() + SHORT);
        for chunk in ids.chunks(KEYS) {
            // What fails here fails again, and counts, where a group is worked on.
            let Ok(Ok(found)) = timeout_at(end, self.coordinators(chunk)).await else { break };
            out.all().extend(found);
        }
        out
    }

    /// The positions of those groups that are answered at the first try, and in time.
    async fn together(&self, ids: &[&str], end: Instant) -> Found {
        let mut by_broker: BTreeMap<BrokerId, Vec<&str>> = BTreeMap::new();
        for chunk in ids.chunks(KEYS) {
            // Who has no coordinator now is asked for alone, and waited for.
            let Ok(Ok(coordinators)) = timeout_at(end, self.coordinators(chunk)).await else { return Found::new() };
            for id in chunk {
                if let Some(broker) = coordinators.get(*id) {
                    by_broker.entry(*broker).or_default().push(id);
                }
            }
        }
        // Each broker has its own: one that is silent holds up no other.
        let of_broker = async |(broker, ids): (BrokerId, Vec<&str>)| {
            let asked = futures::stream::iter(ids.chunks(TOGETHER)).map(|part| {
                let asked = async move { offsets_of(&*self.broker(broker, CONTROL, None).await?, part).await };
                timeout_at(end, asked)
            });
            asked.buffer_unordered(QUESTIONS).collect::<Vec<_>>().await
        };
        let answers = futures::future::join_all(by_broker.into_iter().map(of_broker)).await;
        // Who was not answered is asked for alone, and that error counts.
        answers.into_iter().flatten().filter_map(|answer| answer.ok()?.ok()).flatten().collect()
    }

    /// Coordinators of groups, of those that have one now; of none where brokers are asked for one at a time.
    async fn coordinators(&self, ids: &[&str]) -> Result<HashMap<String, BrokerId>, WireError> {
        let keys: Vec<_> = ids.iter().map(|id| StrBytes::from_string((*id).to_owned())).collect();
        let keys = &keys;
        let ask = |connection: Arc<Connection>| async move {
            if connection.version::<FindCoordinatorRequest>().is_none_or(|version| version < MANY_KEYS) {
                return Ok(None);
            }
            let request = FindCoordinatorRequest::default().with_key_type(GROUP).with_coordinator_keys(keys.clone());
            connection.call(&request, Duration::ZERO).await.map(Some)
        };
        let (_, answer) = self.ask_anyone(&mut HashSet::new(), ask).await?;
        let mut out = HashMap::new();
        for found in answer.into_iter().flat_map(|answer| answer.coordinators).filter(|found| found.error_code == 0) {
            self.welcome(found.node_id.0, found.host.to_string(), found.port);
            out.insert(found.key.to_string(), found.node_id.0);
        }
        Ok(out)
    }
}

/// The positions of groups that one broker coordinates. Those that it refuses are left out.
async fn offsets_of(connection: &Connection, ids: &[&str]) -> Result<Found, WireError> {
    if connection.version::<OffsetFetchRequest>().is_none_or(|version| version < MANY_GROUPS) {
        return Err(WireError::Unanswered { request: Request::OffsetFetch, subject: "several groups".to_owned() });
    }
    let group = |id: &&str| {
        OffsetFetchRequestGroup::default().with_group_id(group_id(id)).with_member_epoch(-1).with_topics(None)
    };
    let request = OffsetFetchRequest::default().with_require_stable(false).with_groups(ids.iter().map(group).collect());
    let answer = connection.call(&request, Duration::ZERO).await?;
    let wanted: HashSet<&str> = ids.iter().copied().collect();
    let mut out = Found::new();
    for group in answer.groups {
        let id = group.group_id.to_string();
        if let (true, Ok(mut offsets)) = (wanted.contains(id.as_str()), of_answer(&id, group)) {
            offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
            out.insert(id, offsets);
        }
    }
    Ok(out)
}
