//! What one recovery point holds.

use std::collections::HashMap;

use archive::{PartitionState, Point, Store, TopicConfigs};
use contract::{Failure, SetOwner};
use uuid::Uuid;

use crate::groups::{places, positions};
use crate::owned::opened;
use crate::replies::Replies;
use crate::{Answer, PartitionDetail, PointDetail, TopicDetail};

/// Answers with all of a point but its records.
pub(crate) async fn detail(
    store: &Store,
    name: &str,
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    let point = opened(store, name, owner).await?;
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
            let places = places(&point);
            groups.into_iter().map(|group| positions(&places, group)).collect()
        }),
    };
    replies.send(Answer::Detail(Box::new(detail))).await
}

fn topics(point: &Point, configs: &TopicConfigs, oldest: &HashMap<(Uuid, i32), i64>) -> Vec<TopicDetail> {
    let seal = &point.seal;
    let mut of_topic: HashMap<u32, Vec<&PartitionState>> = HashMap::new();
    for row in &seal.partitions {
        of_topic.entry(row.topic).or_default().push(row);
    }
    let mut topics: Vec<TopicDetail> = seal
        .topics
        .iter()
        .zip(0u32..)
        .map(|(topic, place)| {
            let rows = of_topic.remove(&place).unwrap_or_default();
            let mut partitions: Vec<_> =
                rows.into_iter().map(|row| partition(row, oldest.get(&(topic.id, row.partition)).copied())).collect();
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
        records: row.held(),
        bytes: row.held_bytes(),
        oldest,
        newest: (row.held() > 0).then_some(row.max_timestamp),
        timeline: row.timeline,
    }
}
