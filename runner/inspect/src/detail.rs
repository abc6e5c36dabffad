//! What one recovery point holds.

use std::collections::HashMap;

use archive::{GroupSnapshot, PartitionState, Point, Store, TopicConfigs};
use contract::{Failure, GroupPresence, SetOwner};
use uuid::Uuid;

use crate::owned::owned;
use crate::replies::Replies;
use crate::{Answer, Group, Offset, PartitionDetail, PointDetail, TopicDetail};

/// Answers with all of a point but its records.
pub(crate) async fn detail(
    store: &Store,
    name: &str,
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    let (layout, seal) = owned(store, name, owner).await?;
    let point = Point::load(store, &layout, seal).await?;
    let mut oldest: HashMap<(Uuid, i32), i64> = HashMap::new();
    let mut take = |topic, row: &archive::SegmentRow| {
        if row.committed > 0 {
            let known = oldest.entry((topic, row.partition)).or_insert(row.min_timestamp);
            *known = row.min_timestamp.min(*known);
        }
    };
    point.each_row(None, &mut take).await?;
    let (configs, groups) = (point.configs().await?, point.groups().await?);
    let seal = &point.seal;
    let detail = PointDetail {
        name: seal.point.clone(),
        set: point.set().to_owned(),
        at: seal.at.clone(),
        entry: point.entry,
        namespace: seal.owner.namespace.clone(),
        resource: seal.owner.name.clone(),
        cluster_id: seal.owner.cluster_id.clone(),
        source_cluster_id: seal.source_cluster_id.clone(),
        offset_headers: seal.include_offset_headers,
        writer: seal.writer.clone(),
        segments: point.segments().len() as u64,
        stored_bytes: point.segments().iter().map(|segment| segment.size).sum(),
        topics: topics(&point, &configs, &oldest),
        gaps: point.gaps().to_vec(),
        forks: point.forks().to_vec(),
        held_back: seal.held_back.clone(),
        groups: groups.map(|groups| {
            let ends = ends(&point);
            groups.into_iter().map(|group| positions(&ends, group)).collect()
        }),
    };
    replies.send(Answer::Detail(Box::new(detail))).await
}

fn topics(point: &Point, configs: &TopicConfigs, oldest: &HashMap<(Uuid, i32), i64>) -> Vec<TopicDetail> {
    let seal = &point.seal;
    let mut topics: Vec<TopicDetail> = seal
        .topics
        .iter()
        .zip(0u32..)
        .map(|(topic, place)| {
            let rows = seal.partitions.iter().filter(|row| row.topic == place);
            let mut partitions: Vec<_> =
                rows.map(|row| partition(row, oldest.get(&(topic.id, row.partition)).copied())).collect();
            partitions.sort_by_key(|row| row.partition);
            TopicDetail {
                name: topic.name.clone(),
                id: topic.id.to_string(),
                live: topic.live,
                replication: topic.replication,
                configs: configs.get(&topic.name).filter(|_| topic.live).cloned().unwrap_or_default(),
                partitions,
            }
        })
        .collect();
    topics.sort_by(|a, b| (&a.name, !a.live, &a.id).cmp(&(&b.name, !b.live, &b.id)));
    topics
}

fn partition(row: &PartitionState, oldest: Option<i64>) -> PartitionDetail {
    PartitionDetail {
        partition: row.partition,
        first: row.first,
        next: row.next,
        records: row.committed,
        bytes: row.bytes,
        oldest,
        newest: (row.committed > 0).then_some(row.max_timestamp),
        timeline: row.timeline,
    }
}

/// Where the partitions of live topics end.
fn ends(point: &Point) -> HashMap<(&str, i32), i64> {
    let seal = &point.seal;
    let live = |row: &PartitionState| seal.topics.get(row.topic as usize).filter(|topic| topic.live);
    seal.partitions.iter().filter_map(|row| Some(((live(row)?.name.as_str(), row.partition), row.next))).collect()
}

fn positions(ends: &HashMap<(&str, i32), i64>, group: GroupSnapshot) -> Group {
    let offsets = group.offsets.iter().map(|position| Offset {
        topic: position.topic.clone(),
        partition: position.partition,
        offset: position.offset,
        end: ends.get(&(position.topic.as_str(), position.partition)).copied(),
    });
    let state = match group.missing {
        Some(GroupPresence::Forbidden) => "positions missing: the user of the backup may not describe it".to_owned(),
        Some(GroupPresence::Unavailable) => "positions missing: its coordinator did not answer".to_owned(),
        Some(GroupPresence::Gone) | None => group.state,
    };
    Group { offsets: offsets.collect(), group: group.group, kind: group.kind, state }
}
