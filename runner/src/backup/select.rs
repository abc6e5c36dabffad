//! Which topics a backup is about.

use contract::{BackupSpec, Code, Failure, Selection};
use wire::{Cluster, Request, Topic, WireError, code};

/// Finds the topics of a backup, sorted by name.
///
/// # Errors
/// A literal topic that does not exist or may not be read; a topic that the cluster does not describe for now, as nobody
/// knows yet what of it would be left out; no topic at all.
pub(crate) async fn discover(cluster: &Cluster, backup: &BackupSpec) -> Result<Vec<Topic>, Failure> {
    find(cluster, backup, true).await
}

/// Finds the topics again during a run, or when a continuous run goes on in another pod: those that the cluster does not
/// describe are left out. What became of them is asked where the set's members are compared.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn rediscover(cluster: &Cluster, backup: &BackupSpec) -> Result<Vec<Topic>, Failure> {
    find(cluster, backup, false).await
}

async fn find(cluster: &Cluster, backup: &BackupSpec, first: bool) -> Result<Vec<Topic>, Failure> {
    let selection = selection(backup)?;
    let mut found = cluster.topics(None).await?;
    // A topic that we may not see is left out of the full list, but named when asked for.
    let unseen: Vec<_> =
        selection.literals().iter().filter(|name| !found.iter().any(|t| t.name == **name)).cloned().collect();
    if !unseen.is_empty() {
        found.extend(cluster.topics(Some(&unseen)).await?);
    }
    if first {
        for name in selection.literals() {
            check_literal(name, found.iter().find(|topic| topic.name == *name))?;
        }
    }
    found.retain(|topic| first || topic.error == 0);
    let wanted =
        |topic: &Topic| selection.matches(&topic.name) && (backup.include_internal_topics || !is_internal(topic));
    let mut topics: Vec<_> = found.into_iter().filter(wanted).collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|a, b| a.name == b.name);
    if topics.is_empty() && first {
        let text = format!("backup.topics {:?} matches no topic of the cluster", backup.topics);
        return Err(Failure::new(Code::NoTopicMatched, text));
    }
    if let Some(topic) = topics.iter().find(|topic| topic.error != 0) {
        return Err(WireError::broker(Request::Metadata, format!("topic {}", topic.name), topic.error).into());
    }
    Ok(topics)
}

/// Whether the patterns of a backup want a topic of this name, wherever it is.
///
/// # Errors
/// A pattern that does not compile.
pub(crate) fn by_name(backup: &BackupSpec) -> Result<impl Fn(&str) -> bool, Failure> {
    let (selection, internal) = (selection(backup)?, backup.include_internal_topics);
    Ok(move |name: &str| selection.matches(name) && (internal || !contract::names::is_internal_topic(name)))
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
        Some(code::TOPIC_AUTHORIZATION_FAILED) => {
            let text = format!("topic {name}: this user may not Describe it; grant Describe, DescribeConfigs and Read");
            Err(Failure::new(Code::NotAuthorized, text))
        }
        Some(code::UNKNOWN_TOPIC_OR_PARTITION | code::INVALID_TOPIC) | None => {
            let text = format!(
                "topic {name} of backup.topics does not exist in the cluster; correct the name, or use a pattern"
            );
            Err(Failure::new(Code::UnknownTopic, text))
        }
        Some(other) => Err(WireError::broker(Request::Metadata, format!("topic {name}"), other).into()),
    }
}
