//! How the source of a recovery point differs from it now: `diff POINT --live`.
//!
//! What it does: reads the archive and the source side by side and compares the headers of their batches: first offset and
//! checksum. That finds a tail that is gone, batches that were changed, and batches that the archive does not have.
//! What it never does: decode a record, tell what one holds, or write anything.
//! Data comes from the archive's stream and from the source's leaders, and leaves as counts.

mod ahead;
mod configs;
mod judge;
mod side;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use archive::{PartitionState, Point, Timelines, TopicIdPartition, TopicState, Wanted};
use batch::Window;
use contract::{Action, Code, Failure, PatternSyntax, RunSpec, Selection};
use inspect::{Answer, LiveHead, LivePartition, LiveState, LiveTopic, Replies};
use uuid::Uuid;
use wire::{BACKUP_NEEDS, Cluster, Isolation, OffsetAt, Topic, TopicPartition};

use self::ahead::Ahead;
use self::configs::Configs;
use self::judge::Facts;
use self::side::Side;
use crate::backup::rediscover;
use crate::connect;
use crate::context::Context;
use crate::logs::present;

/// What is asked.
pub(crate) struct Asked<'a> {
    /// The recovery point.
    pub(crate) point: &'a Point,
    /// The backup that made it: it says where the source is, and which topics count.
    pub(crate) run: &'a RunSpec,
    /// Topics by name or pattern; all when empty.
    pub(crate) include: &'a [String],
}

/// Answers with the source, then with each topic of the point that is wanted.
///
/// # Errors
/// When archive or source cannot be read, or nobody listens any more.
pub(crate) async fn live(context: &Context, asked: &Asked<'_>, replies: &mut Replies) -> Result<(), Failure> {
    let action = asked.run.action().map_err(|finding| Failure::new(Code::SpecInvalid, finding.to_string()))?;
    let Action::Backup(backup) = action else {
        return Err(Failure::new(Code::Internal, "the source of a comparison is that of a backup"));
    };
    let chosen = selection(asked.include)?;
    let cluster = connect::cluster(context, asked.run, BACKUP_NEEDS).await?;
    let seal = &asked.point.seal;
    same_cluster(&seal.owner.cluster_id, &connect::cluster_id(&cluster)?)?;
    let wanted: BTreeSet<&str> = seal
        .topics
        .iter()
        .filter(|topic| topic.live && chosen.matches(&topic.name))
        .map(|topic| topic.name.as_str())
        .collect();
    if let Some(unknown) = chosen.literals().iter().find(|name| !wanted.contains(name.as_str())) {
        let text = format!("recovery point {} has no topic {unknown:?}; correct the name of the topic", seal.point);
        return Err(Failure::new(Code::UnknownTopic, text));
    }
    let known: BTreeSet<&str> =
        seal.topics.iter().filter(|topic| topic.live).map(|topic| topic.name.as_str()).collect();
    let covered = rediscover(&cluster, backup).await?.topics;
    let new = covered.iter().filter(|topic| chosen.matches(&topic.name) && !known.contains(topic.name.as_str()));
    let head = LiveHead {
        name: seal.point.clone(),
        at: seal.at.clone(),
        cluster_id: seal.owner.cluster_id.clone(),
        new_topics: new.map(|topic| topic.name.clone()).collect(),
    };
    replies.send(Answer::Live(head)).await?;
    let names: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let now = present(&cluster, &names).await?;
    for topic in topics(asked, &cluster, &names, now).await? {
        replies.send(Answer::LiveTopic(topic)).await?;
    }
    Ok(())
}

/// Offsets of two clusters have nothing to do with one another.
fn same_cluster(point: &str, source: &str) -> Result<(), Failure> {
    if point == source {
        return Ok(());
    }
    let text = format!(
        "the recovery point is of cluster {point}, and the KafkaBackup leads to cluster {source}: they cannot be compared. Compare two \
         recovery points instead"
    );
    Err(Failure::new(Code::ForeignOwner, text))
}

fn selection(include: &[String]) -> Result<Selection, Failure> {
    Selection::new(include, &[], PatternSyntax::Glob)
        .map_err(|rule| Failure::new(Code::SpecInvalid, format!("the topic pattern {rule}")))
}

async fn topics(
    asked: &Asked<'_>,
    cluster: &Cluster,
    names: &[String],
    found: Vec<Topic>,
) -> Result<Vec<LiveTopic>, Failure> {
    let configs = Configs::ask(asked.point, cluster, &found).await?;
    let starts = cluster.offsets(&found, OffsetAt::Start, Isolation::Committed).await?;
    let ends = cluster.offsets(&found, OffsetAt::End, Isolation::Committed).await?;
    let mut found: HashMap<String, Topic> = found.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    let (mut sides, mut out) = (BTreeMap::new(), Vec::new());
    for topic in asked.point.seal.topics.iter().filter(|topic| topic.live && names.contains(&topic.name)) {
        let (state, now) = match found.remove(&topic.name) {
            None => (LiveState::Gone, None),
            Some(now) if now.id != topic.source_topic() => (LiveState::Recreated, None),
            Some(now) => (LiveState::Same, Some(now)),
        };
        for part in rows(asked.point, topic.id) {
            let key: TopicPartition = (topic.name.clone(), part.partition);
            let side = now.as_ref().zip(starts.get(&key).zip(ends.get(&key))).map(|(now, (start, end))| {
                let gaps = gaps(asked.point, topic.id, part.partition);
                let facts = Facts { start: *start, is_compacted: configs.compacts(&topic.name), gaps };
                (Ahead::new(now.clone(), part.partition, (part.first.max(*start), *end)), facts)
            });
            sides.insert((topic.id, part.partition), Side::new(part, side));
        }
        out.push((topic.id, beside(topic, state, now.as_ref(), &configs)));
    }
    out.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    read(asked.point, cluster, &mut sides).await?;
    let mut of_topic: BTreeMap<Uuid, Vec<LivePartition>> = BTreeMap::new();
    for ((topic, _), side) in sides {
        of_topic.entry(topic).or_default().push(side.out);
    }
    let full = |(id, topic): (Uuid, LiveTopic)| match of_topic.remove(&id) {
        Some(partitions) => LiveTopic { partitions, ..topic },
        None => topic,
    };
    Ok(out.into_iter().map(full).collect())
}

/// A topic without its partitions.
fn beside(topic: &TopicState, state: LiveState, now: Option<&Topic>, configs: &Configs) -> LiveTopic {
    let replicas = now.and_then(|now| i16::try_from(now.partitions.first()?.replicas).ok());
    let partitions = now.map_or(0, |now| now.partitions.len() as u64);
    LiveTopic {
        name: topic.name.clone(),
        state,
        replication: replicas.filter(|now| *now != topic.replication).map(|now| (topic.replication, now)),
        configs: if now.is_some() { configs.changed(&topic.name) } else { BTreeMap::new() },
        configs_unknown: now.and_then(|now| configs.refused.get(&now.name).cloned()),
        partitions: Vec::new(),
        new_partitions: partitions.saturating_sub(u64::from(topic.partitions.unsigned_abs())),
    }
}

/// What the point holds of each partition of a topic.
fn rows(point: &Point, topic: Uuid) -> Vec<LivePartition> {
    let seal = &point.seal;
    let is_of = |place: u32| seal.topics.get(place as usize).is_some_and(|found| found.id == topic);
    let rows = seal.partitions.iter().filter(|row| is_of(row.topic));
    let part = |row: &PartitionState| LivePartition {
        partition: row.partition,
        first: row.first,
        next: row.next,
        ..LivePartition::default()
    };
    rows.map(part).collect()
}

/// Offsets that the point is known to lack.
fn gaps(point: &Point, topic: Uuid, partition: i32) -> Vec<(i64, i64)> {
    let gaps = point.gaps().iter().filter(|gap| gap.topic == topic && gap.partition == partition);
    gaps.map(|gap| (gap.from, gap.to)).collect()
}

/// Reads the archive once, from its first segment to its last, and the source beside it.
async fn read(point: &Point, cluster: &Cluster, sides: &mut BTreeMap<TopicIdPartition, Side>) -> Result<(), Failure> {
    let compared = sides.iter().filter(|(_, side)| side.source.is_some());
    let from: HashMap<TopicIdPartition, i64> = compared.map(|(key, side)| (*key, side.out.first)).collect();
    let mut stream = point.stream(Wanted::new(from, Timelines::new(point.forks()), Window::ALL)).await?;
    while let Some(read) = stream.next().await? {
        let Some(side) = sides.get_mut(&(read.topic, read.partition)) else { continue };
        for batch in read.batches.iter().filter(|batch| batch.header.base_offset < read.until) {
            side.take(cluster, &batch.header).await?;
        }
    }
    for side in sides.values_mut() {
        side.end(cluster).await?;
    }
    Ok(())
}
