//! Where consumer groups stand in the source of a backup now: what `inspect` answers whoever may compare.
//!
//! It reads what coordinators list and what groups have committed. It never joins a group, and commits nothing.

use std::collections::HashMap;

use contract::{Failure, RunSpec};
use futures::{StreamExt, stream};
use inspect::{Answer, GroupNow, OffsetNow, Replies, SourceNow};
use wire::{Cluster, CoordinatorPatience, Group, Request};

use crate::connect;
use crate::context::Context;
use crate::offsets::commit::{AT_ONCE, PATIENCE, offsets_of};

/// Answers with the source, then with each of its groups that is wanted.
///
/// # Errors
/// When the brokers cannot be asked, or nobody listens any more.
pub(crate) async fn groups(
    context: &Context,
    run: &RunSpec,
    include: &[String],
    replies: &mut Replies,
) -> Result<(), Failure> {
    let selection = inspect::selection(include)?;
    let needs = [wire::GROUP_NEEDS, &[Request::Metadata]].concat();
    let cluster = connect::cluster(context, run, &needs).await?;
    let found = cluster.groups(PATIENCE).await?;
    let unanswered = found.unanswered.iter().map(|(broker, error)| format!("broker {broker}: {error}"));
    let cluster_id = connect::cluster_id(&cluster)?;
    let source = SourceNow { cluster_id, sees_all: found.sees_all, unanswered: unanswered.collect() };
    replies.send(Answer::Source(source)).await?;
    let topics = cluster.topics(None).await?;
    let ids: HashMap<String, String> =
        topics.into_iter().filter(|topic| topic.error == 0).map(|topic| (topic.name, topic.id.to_string())).collect();
    let patience = CoordinatorPatience::new(PATIENCE);
    let wanted = found.groups.into_iter().filter(|group| selection.matches(&group.id));
    let mut told = stream::iter(wanted).map(|group| one(&cluster, &patience, &ids, group)).buffered(AT_ONCE);
    while let Some(group) = told.next().await {
        replies.send(Answer::GroupNow(group)).await?;
    }
    Ok(())
}

/// One group. What keeps its coordinator from answering is told with it: the others are of use without it.
async fn one(
    cluster: &Cluster,
    patience: &CoordinatorPatience,
    ids: &HashMap<String, String>,
    group: Group,
) -> GroupNow {
    let (offsets, unknown) = match offsets_of(cluster, &group, patience).await {
        Ok(found) => (found, None),
        Err(failure) => (Vec::new(), Some(failure.message)),
    };
    let offset = |at: wire::GroupOffset| OffsetNow {
        topic_id: ids.get(&at.topic).cloned(),
        topic: at.topic,
        partition: at.partition,
        offset: at.offset,
    };
    let offsets = offsets.into_iter().map(offset).collect();
    GroupNow { group: group.id, kind: group.kind, state: group.state, offsets, unknown }
}
