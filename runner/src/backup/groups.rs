//! The committed positions of every consumer group, read before the data's cut.

use std::time::Duration;

use archive::{GroupPosition, GroupSnapshot};
use contract::Failure;
use futures::{StreamExt, TryStreamExt};
use wire::{Cluster, Group, code};

use crate::emit::Emitter;

/// Groups asked at once.
const PARALLEL: usize = 8;
/// How long a coordinator that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads all groups.
///
/// # Errors
/// When a coordinator refuses; a group that ends meanwhile is left out with a warning.
pub(crate) async fn snapshot(cluster: &Cluster, emitter: &Emitter) -> Result<Vec<GroupSnapshot>, Failure> {
    let groups = cluster.groups(PATIENCE).await?;
    for (broker, error) in &groups.unanswered {
        emitter.warn(format!("the groups that broker {broker} coordinates are not in this recovery point: {error}"));
    }
    let all: Vec<_> = futures::stream::iter(groups.groups)
        .map(|group| async move {
            let offsets = cluster.group_offsets(&group, PATIENCE).await;
            (group, offsets)
        })
        .buffered(PARALLEL)
        .map(|(group, offsets)| match offsets {
            Ok(offsets) => Ok(Some(describe(&group, offsets))),
            // The group was deleted between the list and the question.
            Err(error) if error.broker_code() == Some(code::GROUP_ID_NOT_FOUND) => {
                emitter.warn(format!("group {} ended while its offsets were read", group.id));
                Ok(None)
            }
            Err(error) => Err(Failure::from(error)),
        })
        .try_collect()
        .await?;
    Ok(all.into_iter().flatten().collect())
}

fn describe(group: &Group, offsets: Vec<wire::GroupOffset>) -> GroupSnapshot {
    let position = |o: wire::GroupOffset| GroupPosition {
        topic: o.topic,
        partition: o.partition,
        offset: o.offset,
        leader_epoch: o.leader_epoch,
        metadata: o.metadata,
    };
    GroupSnapshot {
        group: group.id.clone(),
        kind: group.kind.clone(),
        state: group.state.clone(),
        offsets: offsets.into_iter().map(position).collect(),
    }
}
