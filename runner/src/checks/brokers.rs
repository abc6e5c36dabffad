//! Whether every broker that a run will talk to can be reached: the one behind the bootstrap address says nothing about
//! the others.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{CheckLine, Code, Failure, Verdict};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use wire::{BrokerId, Cluster, Topic, WireError};

use super::KAFKA;

/// How long one broker is tried.
const PATIENCE: Duration = Duration::from_secs(8);

/// A broker that was asked, where it is, and what is wrong with it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Asked {
    id: BrokerId,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Leaders of the partitions of `topics`; with `coordinators` every broker, since each may be one.
pub(crate) fn needed(cluster: &Cluster, topics: &[Topic], coordinators: bool) -> BTreeSet<BrokerId> {
    let leaders = topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.leader);
    let all = if coordinators { cluster.broker_ids() } else { Vec::new() };
    leaders.filter(|id| *id >= 0).chain(all).collect()
}

impl Asked {
    /// Its number.
    pub(crate) fn id(&self) -> BrokerId {
        self.id
    }

    /// It in a line.
    pub(crate) fn line(&self) -> CheckLine {
        let at = format!("broker {} at {}", self.id, self.address);
        match &self.error {
            None => CheckLine::new(KAFKA, "broker", Verdict::Ok, format!("{at}: connected and logged in")),
            Some(error) => {
                CheckLine::failed(KAFKA, "broker", Failure::new(Code::BrokerUnreachable, format!("{at}: {error}")))
            }
        }
    }
}

/// Connects and logs in to each of them, and says each as it ends.
pub(crate) async fn ask(cluster: &Cluster, brokers: &BTreeSet<BrokerId>, mut say: impl FnMut(&Asked)) -> Vec<Asked> {
    let mut asking: FuturesUnordered<_> = brokers.iter().map(|id| ask_one(cluster, *id)).collect();
    let mut all = Vec::new();
    while let Some(asked) = asking.next().await {
        say(&asked);
        all.push(asked);
    }
    all.sort_by_key(|asked| asked.id);
    all
}

async fn ask_one(cluster: &Cluster, id: BrokerId) -> Asked {
    let end = cluster.retrying_for(PATIENCE, async || cluster.knock(id).await).await;
    let error = end.err().map(|error| match error {
        WireError::Deadline { last, .. } => last.to_string(),
        other => other.to_string(),
    });
    Asked { id, address: cluster.address(id).unwrap_or_else(|| "an unknown address".to_owned()), error }
}

/// Refuses when one of them cannot be used.
///
/// # Errors
/// The first of them, with how many there are.
pub(crate) fn judge(asked: &[Asked]) -> Result<(), Failure> {
    let bad: Vec<_> = asked.iter().filter_map(|asked| Some((asked.id, asked.error.as_ref()?))).collect();
    let Some((id, error)) = bad.first() else { return Ok(()) };
    let text = format!("{} of {} brokers that are needed cannot be used; broker {id}: {error}", bad.len(), asked.len());
    Err(Failure::new(Code::BrokerUnreachable, text))
}
