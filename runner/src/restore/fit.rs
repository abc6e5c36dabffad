//! Whether the target can do what a plan asks of it: asked before anything is changed.
//!
//! A topic that would be created is rehearsed with the target's own rules. Where the target names a bound the value is
//! moved to it, what it does not know is left out, both with a warning; everything else it says is a refusal.

use std::collections::BTreeMap;

use contract::{Code, Failure};
use wire::{Cluster, NewTopic, TRANSACTION_TIMEOUT_MS, WireError, code};

use super::configs::{Bound, bound_of, number, unknown_config};

/// Topic of the coordinator of transactions.
const TRANSACTIONS: &str = "__transaction_state";

/// The configs that a topic will be created with, and what there is to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fitted {
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) refusals: Vec<Failure>,
}

/// Rehearses the creation of a topic.
///
/// # Errors
/// When the target does not answer.
pub(crate) async fn fit(cluster: &Cluster, topic: &NewTopic) -> Result<Fitted, Failure> {
    let mut fitted = Fitted { configs: topic.configs.clone(), ..Fitted::default() };
    fitted.warnings.extend(cap_in_sync(&mut fitted.configs, topic));
    loop {
        let asked = NewTopic { configs: fitted.configs.clone(), ..topic.clone() };
        let Err(error) = cluster.rehearse_topic(&asked).await else { return Ok(fitted) };
        match answer(topic, &mut fitted, &error)? {
            Next::Again => {}
            Next::Done => return Ok(fitted),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Again,
    Done,
}

/// What follows from a refused rehearsal.
fn answer(topic: &NewTopic, fitted: &mut Fitted, error: &WireError) -> Result<Next, Failure> {
    let name = &topic.name;
    let words = error.to_string();
    match error.broker_code() {
        // It is there by now: the plan or the creation says what that means.
        Some(code::TOPIC_ALREADY_EXISTS) => return Ok(Next::Done),
        Some(code::INVALID_CONFIG) => {
            if let Some(unknown) = unknown_config(&words)
                && fitted.configs.remove(unknown).is_some()
            {
                fitted.warnings.push(format!(
                    "target topic {name}: the target does not know the config {unknown} of the source; it is left out"
                ));
                return Ok(Next::Again);
            }
            if let Some(Bound { config, value }) = bound_of(&words)
                && let Some(now) = fitted.configs.get_mut(config).filter(|now| *now != value)
            {
                fitted.warnings.push(format!(
                    "target topic {name}: {config} is {now} in the source, the target takes {value} at the utmost; it \
                     is created with {value}"
                ));
                value.clone_into(now);
                return Ok(Next::Again);
            }
            let text = format!(
                "target topic {name}: {words}; create it with configs that the target takes, then restore into it"
            );
            fitted.refusals.push(Failure::new(Code::TargetMismatch, text));
        }
        Some(code::INVALID_REPLICATION_FACTOR) => {
            let text = format!(
                "target topic {name}: {words}; the source had {} replicas, set restore.defaultReplicationFactor to what \
                 the target has brokers for",
                topic.replication
            );
            fitted.refusals.push(Failure::new(Code::TargetMismatch, text));
        }
        // Partitions, names that collide, policies: as the target says it.
        Some(37 | code::INVALID_TOPIC | 39 | 42 | code::POLICY_VIOLATION) => {
            fitted.refusals.push(Failure::new(Code::TargetMismatch, format!("target topic {name}: {words}")));
        }
        Some(code::TOPIC_AUTHORIZATION_FAILED | code::CLUSTER_AUTHORIZATION_FAILED) => {
            let text = format!("target topic {name}: {words}; grant Create on the topic, or on the cluster");
            fitted.refusals.push(Failure::new(Code::NotAuthorized, text));
        }
        Some(_) | None => return Err(error.clone().into()),
    }
    Ok(Next::Done)
}

/// More replicas in sync than there are replicas: brokers up to 3.8 take no record into such a topic.
fn cap_in_sync(configs: &mut BTreeMap<String, String>, topic: &NewTopic) -> Option<String> {
    let wanted = number(configs, "min.insync.replicas")?;
    let most = i64::from(topic.replication);
    (most > 0 && wanted > most).then(|| {
        configs.insert("min.insync.replicas".to_owned(), most.to_string());
        format!(
            "target topic {}: min.insync.replicas is {wanted} in the source and the topic gets {most} replicas; it is \
             created with {most}",
            topic.name
        )
    })
}

/// Warns of an existing topic that can never have the replicas in sync that it asks for.
pub(crate) fn check_in_sync(topic: &wire::Topic, effective: &BTreeMap<String, String>) -> Option<String> {
    let wanted = number(effective, "min.insync.replicas")?;
    let short =
        topic.partitions.iter().find(|partition| i64::try_from(partition.replicas).is_ok_and(|r| r < wanted))?;
    Some(format!(
        "target topic {}: min.insync.replicas is {wanted}, and partition {} has {} replicas; brokers up to 3.8 take no \
         record into it until you lower it or add replicas",
        topic.name, short.index, short.replicas
    ))
}

/// Looks whether the target can run the transactions that fence an attempt. A user who may not read the configs of
/// brokers is not told anything here.
///
/// # Errors
/// When the target does not answer.
pub(crate) async fn check_transactions(cluster: &Cluster) -> Result<Vec<Failure>, Failure> {
    let configs = broker_configs(cluster).await?;
    let known = cluster.topics(Some(&[TRANSACTIONS.to_owned()])).await?;
    let exists = known.iter().any(|topic| topic.name == TRANSACTIONS && topic.error == 0);
    Ok(judge_transactions(&configs, exists, cluster.broker_ids().len()))
}

/// The configs of a broker; empty where the user may not read them.
///
/// # Errors
/// When the target does not answer.
pub(crate) async fn broker_configs(cluster: &Cluster) -> Result<BTreeMap<String, String>, Failure> {
    match cluster.broker_configs().await {
        Ok(configs) => Ok(configs),
        Err(error) if is_forbidden(&error) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

fn is_forbidden(error: &WireError) -> bool {
    matches!(error.broker_code(), Some(code::CLUSTER_AUTHORIZATION_FAILED | code::TOPIC_AUTHORIZATION_FAILED))
}

fn judge_transactions(configs: &BTreeMap<String, String>, exists: bool, brokers: usize) -> Vec<Failure> {
    let mut out = Vec::new();
    let refuse = |text: String| Failure::new(Code::BrokerUnsupported, text);
    if let Some(most) = number(configs, "transaction.max.timeout.ms")
        && most < i64::from(TRANSACTION_TIMEOUT_MS)
    {
        out.push(refuse(format!(
            "the target's transaction.max.timeout.ms is {most}; a restore needs {TRANSACTION_TIMEOUT_MS}: raise it on the brokers"
        )));
    }
    if let Some(wanted) = number(configs, "transaction.state.log.replication.factor")
        && !exists
        && i64::try_from(brokers).is_ok_and(|brokers| brokers < wanted)
    {
        out.push(refuse(format!(
            "the target cannot make its topic {TRANSACTIONS}: transaction.state.log.replication.factor is {wanted}, and \
             {brokers} brokers are there; start the others, or lower it (and transaction.state.log.min.isr)"
        )));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn topic(configs: &[(&str, &str)]) -> NewTopic {
        NewTopic { name: "t".into(), partitions: 1, replication: 1, configs: map(configs) }
    }

    fn refused(code: i16, words: &str) -> WireError {
        let (request, subject) = (wire::Request::CreateTopics, "create topic t".into());
        WireError::Broker { request, subject, code, message: Some(words.to_owned()) }
    }

    #[test]
    fn what_a_target_names_is_adjusted_and_the_rest_refused() {
        let new = topic(&[("segment.bytes", "100000"), ("odd.config", "1"), ("retention.ms", "5")]);
        let mut fitted = Fitted { configs: new.configs.clone(), ..Fitted::default() };
        let bound = "Invalid value 100000 for configuration segment.bytes: Value must be at least 1048576";
        assert_eq!(answer(&new, &mut fitted, &refused(40, bound)).unwrap(), Next::Again);
        assert_eq!(
            answer(&new, &mut fitted, &refused(40, "Unknown topic config name: odd.config")).unwrap(),
            Next::Again
        );
        assert_eq!(fitted.configs, map(&[("segment.bytes", "1048576"), ("retention.ms", "5")]));
        assert_eq!((fitted.warnings.len(), fitted.refusals.len()), (2, 0));
        // The same words again are no way out.
        assert_eq!(answer(&new, &mut fitted, &refused(40, bound)).unwrap(), Next::Done);
        assert_eq!(fitted.refusals[0].code, Code::TargetMismatch);
        for code in [17, 29, 31, 37, 38, 39, 42, 44] {
            let mut fitted = Fitted::default();
            assert_eq!(answer(&new, &mut fitted, &refused(code, "no")).unwrap(), Next::Done, "{code}");
            assert!(fitted.refusals[0].message.contains('t') && fitted.refusals[0].message.contains("no"), "{code}");
        }
        assert_eq!(answer(&new, &mut fitted, &refused(36, "there")).unwrap(), Next::Done);
        assert!(answer(&new, &mut fitted, &refused(7, "late")).is_err());
    }

    #[test]
    fn replicas_in_sync_are_capped_by_the_replicas_there_are() {
        let mut new = topic(&[("min.insync.replicas", "2")]);
        let mut configs = new.configs.clone();
        assert!(cap_in_sync(&mut configs, &new).unwrap().contains("min.insync.replicas is 2"));
        assert_eq!(configs["min.insync.replicas"], "1");
        for replication in [2, 3, -1] {
            new.replication = replication;
            assert!(cap_in_sync(&mut new.configs.clone(), &new).is_none());
        }
    }

    #[test]
    fn transactions_that_cannot_be_are_found_before() {
        let judge = |pairs: &[(&str, &str)], exists, brokers| judge_transactions(&map(pairs), exists, brokers).len();
        assert_eq!(judge(&[("transaction.max.timeout.ms", "9999")], true, 1), 1);
        assert_eq!(judge(&[("transaction.max.timeout.ms", "10000")], true, 1), 0);
        let three = [("transaction.state.log.replication.factor", "3")];
        assert_eq!((judge(&three, false, 1), judge(&three, false, 3), judge(&three, true, 1)), (1, 0, 0));
    }
}
