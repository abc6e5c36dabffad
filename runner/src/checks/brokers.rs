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
    error: Option<Wrong>,
}

/// What is wrong, of which programs are told the message.
#[derive(Debug)]
struct Wrong(Failure);

impl serde::Serialize for Wrong {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.message.serialize(to)
    }
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
            Some(Wrong(Failure { code, message, .. })) => {
                CheckLine::failed(KAFKA, "broker", Failure::new(*code, format!("{at}: {message}")))
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
    let error = end.err().map(|error| {
        let error = match error {
            WireError::Deadline { last, .. } => *last,
            other => other,
        };
        // A certificate, a login or a listener of another kind is to be mended, and no broker that is away.
        let code = match error.code() {
            Code::BrokerFailed => Code::BrokerUnreachable,
            other => other,
        };
        Wrong(Failure::new(code, error.to_string()))
    });
    Asked { id, address: cluster.address(id).unwrap_or_else(|| "an unknown address".to_owned()), error }
}

/// Refuses when one of them cannot be used.
///
/// # Errors
/// The first of them that somebody must mend, else the first, with how many there are.
pub(crate) fn judge(asked: &[Asked]) -> Result<(), Failure> {
    let bad: Vec<_> = asked.iter().filter_map(|asked| Some((asked.id, &asked.error.as_ref()?.0))).collect();
    let is_away = |failure: &Failure| failure.code == Code::BrokerUnreachable;
    let Some((id, failure)) = bad.iter().min_by_key(|(_, failure)| is_away(failure)) else { return Ok(()) };
    let Failure { code, message, .. } = failure;
    let count = bad.len();
    let text = format!("{count} of {} brokers that are needed cannot be used; broker {id}: {message}", asked.len());
    Err(Failure::new(*code, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::ExitCode;

    fn asked(id: BrokerId, error: Option<(Code, &str)>) -> Asked {
        let error = error.map(|(code, words)| Wrong(Failure::new(code, words)));
        Asked { id, address: format!("b{id}:9092"), error }
    }

    #[test]
    fn what_somebody_must_mend_is_no_broker_that_is_away() {
        let away = asked(1, Some((Code::BrokerUnreachable, "nobody listens there")));
        let tls = asked(2, Some((Code::TlsFailed, "its certificate is for a, and not for b2")));
        assert!(judge(&[asked(3, None)]).is_ok());
        assert_eq!(judge(&[away, asked(3, None)]).unwrap_err().code.exit(), ExitCode::Resumable);
        let away = asked(1, Some((Code::BrokerUnreachable, "nobody listens there")));
        let line = tls.line();
        assert!(format!("{line:?}").contains("TlsFailed"), "{line:?}");
        let failure = judge(&[away, tls]).unwrap_err();
        assert_eq!((failure.code, failure.code.exit()), (Code::TlsFailed, ExitCode::Final));
        assert!(
            failure.message.starts_with("2 of 2 brokers that are needed cannot be used; broker 2: its"),
            "{failure:?}"
        );
    }
}
