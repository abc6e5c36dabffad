//! Which topics a backup is about.

use std::collections::{HashMap, HashSet};

use contract::{BackupSpec, Code, Failure, OnMissingTopic, Selection};
use wire::{Cluster, Request, Retry, Topic, WireError, code};

/// The topics of a backup, sorted by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    /// Topics that can be read.
    pub(crate) topics: Vec<Topic>,
    /// Topics that exist, but that no broker describes for now: the others do not wait for them.
    pub(crate) undescribed: Vec<Topic>,
    /// Topics that are named and do not exist, where the backup goes on without them.
    pub(crate) absent: Vec<String>,
}

/// Finds the topics of a backup.
///
/// # Errors
/// A literal topic that may not be read, or that does not exist where `onMissingTopic` does not say `warn`; topics of which the cluster describes none for now; no topic
/// at all.
pub(crate) async fn discover(cluster: &Cluster, backup: &BackupSpec) -> Result<Chosen, Failure> {
    find(cluster, backup, true).await
}

/// Finds the topics again during a run, or when a continuous run goes on in another pod: there may be none. What became of
/// those that are missing is asked where the set's members are compared.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn rediscover(cluster: &Cluster, backup: &BackupSpec) -> Result<Chosen, Failure> {
    find(cluster, backup, false).await
}

async fn find(cluster: &Cluster, backup: &BackupSpec, first: bool) -> Result<Chosen, Failure> {
    let selection = selection(backup)?;
    let mut found = cluster.topics(None).await?;
    // A topic that we may not see is left out of the full list, but named when asked for.
    let seen: HashSet<&str> = found.iter().map(|topic| topic.name.as_str()).collect();
    let unseen: Vec<_> = selection.literals().iter().filter(|name| !seen.contains(name.as_str())).cloned().collect();
    if !unseen.is_empty() {
        found.extend(cluster.topics(Some(&unseen)).await?);
    }
    let mut absent = Vec::new();
    if first {
        let known: HashMap<&str, &Topic> = found.iter().rev().map(|topic| (topic.name.as_str(), topic)).collect();
        for name in selection.literals() {
            match check_literal(name, known.get(name.as_str()).copied()) {
                Err(failure)
                    if failure.code == Code::UnknownTopic && backup.on_missing_topic == OnMissingTopic::Warn =>
                {
                    absent.push(name.clone());
                }
                judged => judged?,
            }
        }
    }
    let wanted =
        |topic: &Topic| selection.matches(&topic.name) && (!is_internal(topic) || backup.takes_internal(&topic.name));
    let mut topics: Vec<_> = found.into_iter().filter(wanted).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|a, b| a.name == b.name);
    // What exists under such a name may be described as gone: it is told once.
    topics.retain(|topic| !absent.contains(&topic.name));
    if topics.is_empty() && first {
        let text = format!("backup.topics {:?} matches no topic of the cluster", backup.topics);
        return Err(Failure::new(Code::NoTopicMatched, text));
    }
    let (topics, mut undescribed): (Vec<_>, Vec<_>) = topics.into_iter().partition(|topic| topic.error == 0);
    match undescribed.first() {
        Some(topic) if topics.is_empty() && first => Err(refusal(topic).into()),
        Some(_) | None => {
            // One that is gone, or forbidden, was described: the set's members tell what that means.
            undescribed.retain(|topic| passes(topic.error));
            Ok(Chosen { topics, undescribed, absent })
        }
    }
}

/// Whether an error of Metadata says that the topic is there, and cannot be described for now.
fn passes(error: i16) -> bool {
    error != code::UNKNOWN_TOPIC_OR_PARTITION
        && WireError::broker(Request::Metadata, String::new(), error).retry() != Retry::Never
}

/// Why a topic is not described.
pub(crate) fn refusal(topic: &Topic) -> WireError {
    WireError::broker(Request::Metadata, format!("topic {}", topic.name), topic.error)
}

/// Whether the patterns of a backup want a topic of this name, wherever it is.
///
/// # Errors
/// A pattern that does not compile.
pub(crate) fn by_name(backup: &BackupSpec) -> Result<impl Fn(&str) -> bool, Failure> {
    let (selection, backup) = (selection(backup)?, backup.clone());
    Ok(move |name: &str| {
        selection.matches(name) && (!contract::names::is_internal_topic(name) || backup.takes_internal(name))
    })
}

fn selection(backup: &BackupSpec) -> Result<Selection, Failure> {
    Selection::new(&backup.topics, &backup.exclude, backup.pattern_syntax)
        .map_err(|rule| Failure::new(Code::SpecInvalid, format!("backup.topics: {rule}")))
}

fn is_internal(topic: &Topic) -> bool {
    topic.internal || contract::names::is_internal_topic(&topic.name)
}

fn check_literal(name: &str, topic: Option<&Topic>) -> Result<(), Failure> {
    match topic.map(|topic| topic.error) {
        Some(0) => Ok(()),
        // What passes later keeps nobody from what is there now.
        Some(other) if passes(other) => Ok(()),
        Some(code::TOPIC_AUTHORIZATION_FAILED) => {
            let text = format!("topic {name}: this user may not Describe it; grant Describe, DescribeConfigs and Read");
            Err(Failure::new(Code::NotAuthorized, text))
        }
        Some(code::UNKNOWN_TOPIC_OR_PARTITION | code::INVALID_TOPIC) | None => {
            let text = format!(
                "topic {name} of backup.topics does not exist in the cluster; correct the name, use a pattern, or set backup.onMissingTopic: warn"
            );
            Err(Failure::new(Code::UnknownTopic, text))
        }
        Some(other) => Err(WireError::broker(Request::Metadata, format!("topic {name}"), other).into()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_name_that_was_never_there_is_told_from_a_topic_that_is_away() {
        let told = |error: i16| {
            let topic = Topic {
                name: "a".into(),
                id: Uuid::nil(),
                wire_id: Uuid::nil(),
                internal: false,
                partitions: vec![],
                error,
            };
            check_literal("a", Some(&topic)).map_err(|failure| failure.code)
        };
        assert_eq!(told(code::UNKNOWN_TOPIC_OR_PARTITION), Err(Code::UnknownTopic));
        assert_eq!(told(code::INVALID_TOPIC), Err(Code::UnknownTopic));
        assert_eq!(check_literal("a", None).map_err(|failure| failure.code), Err(Code::UnknownTopic));
        assert_eq!(told(code::TOPIC_AUTHORIZATION_FAILED), Err(Code::NotAuthorized));
        assert_eq!((told(0), told(5)), (Ok(()), Ok(())));
        assert!(passes(5) && !passes(code::UNKNOWN_TOPIC_OR_PARTITION) && !passes(code::TOPIC_AUTHORIZATION_FAILED));
    }
}
