//! What the source has: where each partition starts, where it must end, and where its history has parted from what
//! was archived before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use archive::{
    Fork, Gap, GapReason, Layout, PartitionState, SetState, Store, TopicConfigs, TopicIdPartition, UNKNOWN_TARGET,
};
use contract::{Code, EventKind, Failure};
use uuid::Uuid;
use wire::{BrokerId, Cluster, Isolation, OffsetAt, Request, Topic, WireError, code};

use super::history::{Evidence, Parting, compare};
use super::positions::{LogEnds, Positions};
use super::stale::{Epochs, behind, catch_up, is_behind};
use crate::emit::Emitter;

/// One partition to read.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    /// The id that brokers know; nil where they know none.
    pub(crate) wire_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) timeline: u32,
    pub(crate) leader: BrokerId,
    pub(crate) leader_epoch: i32,
    /// Brokers whose replica is in sync.
    pub(crate) in_sync: Vec<BrokerId>,
    /// Next offset to fetch.
    pub(crate) offset: i64,
    /// Leader epoch of the last batch before it, -1 for none.
    pub(crate) last_epoch: i32,
    /// The partition is done when it is reached; the largest number when it is followed for ever.
    pub(crate) target: i64,
    /// The last stable offset when the run began: consumers saw everything below.
    pub(crate) stable: i64,
}

impl Cursor {
    /// A cursor of a partition whose position is not known.
    pub(crate) fn unplanned(topic: &Topic, partition: i32) -> Self {
        Self {
            topic: Arc::from(topic.name.as_str()),
            topic_id: topic.id,
            wire_id: topic.wire_id,
            partition,
            timeline: 0,
            leader: -1,
            leader_epoch: -1,
            in_sync: Vec::new(),
            offset: 0,
            last_epoch: -1,
            target: i64::MAX,
            stable: 0,
        }
    }
}

/// A partition that could not be planned, because nobody told where it starts and ends.
#[derive(Debug, Clone)]
pub(crate) struct Unplanned {
    /// The topic, with this partition alone.
    pub(crate) topic: Topic,
    pub(crate) partition: i32,
    /// Leader epoch of the last record that the set has of it; `None` when it has none.
    pub(crate) last_epoch: Option<i32>,
    /// Why.
    pub(crate) error: WireError,
}

impl Unplanned {
    pub(crate) fn key(&self) -> TopicIdPartition {
        (self.topic.id, self.partition)
    }
}

/// What a run reads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cursors: Vec<Cursor>,
    /// Partitions whose leader did not tell where they start and end.
    pub(crate) unplanned: Vec<Unplanned>,
    /// Some of them because whoever named their leaders was behind.
    pub(crate) is_behind: bool,
    pub(crate) positions: Positions,
}

/// What planning needs to know besides the source.
pub(crate) struct Before<'a> {
    pub(crate) store: &'a Store,
    pub(crate) layout: &'a Layout,
    /// Newest entry of the log.
    pub(crate) newest: u64,
    pub(crate) state: &'a SetState,
    /// Where partitions must end; kept when a run plans again.
    pub(crate) targets: &'a mut HashMap<(Uuid, i32), i64>,
    /// Follow for ever.
    pub(crate) follow: bool,
    /// Metadata with older leader epochs than the set's records have is not believed.
    pub(crate) doubts: bool,
}

/// The offsets that the brokers tell, and why they do not tell others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    known: HashMap<(String, i32), LogEnds>,
    unknown: HashMap<(String, i32), WireError>,
}

impl Marks {
    /// Asks the leaders; one that does not answer within `patience` is not waited for, nor asked anything else.
    pub(crate) async fn ask(cluster: &Cluster, topics: &[Topic], patience: Duration) -> Result<Self, Failure> {
        let ask = async |topics: &[Topic], at, isolation| cluster.offsets_within(topics, at, isolation, patience).await;
        // In this order: what is stable was written before the end was asked for.
        let starts = ask(topics, OffsetAt::Start, Isolation::Uncommitted).await?;
        let answering = others(topics, &starts.missing);
        let stables = ask(&answering, OffsetAt::End, Isolation::Committed).await?;
        let answering = others(&answering, &stables.missing);
        let ends = ask(&answering, OffsetAt::End, Isolation::Uncommitted).await?;
        let mut unknown: HashMap<_, _> =
            [starts.missing, stables.missing, ends.missing].into_iter().flatten().collect();
        let mut known: HashMap<_, _> = starts
            .found
            .into_iter()
            .filter_map(|(key, start)| {
                let (stable, end) = (*stables.found.get(&key)?, *ends.found.get(&key)?);
                Some((key, LogEnds { start, stable: stable.min(end), end }))
            })
            .collect();
        let untold = still_the_same(cluster, topics).await?;
        known.retain(|(topic, _), _| !untold.contains_key(topic));
        for (topic, p) in topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p))) {
            let error = untold.get(&topic.name).cloned();
            unknown.extend(error.map(|error| ((topic.name.clone(), p.index), error)));
        }
        Ok(Self { known, unknown })
    }

    /// What is known of a partition.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> Result<LogEnds, WireError> {
        let key = (topic.to_owned(), partition);
        self.known.get(&key).copied().ok_or_else(|| {
            let error = self.unknown.get(&key).cloned();
            error.unwrap_or_else(|| WireError::no_leader(format!("{topic}/{partition}")))
        })
    }
}

/// Looks whether topics are still those whose offsets were just asked for: brokers are asked by name, and would answer for another
/// topic of that name. Topics of which nobody tells it, and why.
///
/// # Errors
/// [`Code::TopicChanged`] when one was deleted, or deleted and created again: what was told of it is worth nothing.
pub(crate) async fn still_the_same(cluster: &Cluster, topics: &[Topic]) -> Result<HashMap<String, WireError>, Failure> {
    let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let now = cluster.topics(Some(&names)).await?;
    let now: HashMap<&str, &Topic> = now.iter().map(|topic| (topic.name.as_str(), topic)).collect();
    let mut untold = HashMap::new();
    for topic in topics {
        if let Some(error) = compared(topic, now.get(topic.name.as_str()).copied())? {
            untold.insert(topic.name.clone(), error);
        }
    }
    Ok(untold)
}

/// What keeps it from being known that a topic is the same as before.
fn compared(before: &Topic, now: Option<&Topic>) -> Result<Option<WireError>, Failure> {
    let changed = |what: &str| {
        Failure::new(Code::TopicChanged, format!("topic {} was {what} while it was looked at", before.name))
    };
    match now {
        None => Err(changed("deleted")),
        Some(now) if now.error == code::UNKNOWN_TOPIC_OR_PARTITION => Err(changed("deleted")),
        Some(now) if now.error == 0 && now.wire_id != before.wire_id => Err(changed("deleted and created again")),
        Some(now) if now.error == 0 => Ok(None),
        Some(now) => Ok(Some(WireError::broker(Request::Metadata, format!("topic {}", before.name), now.error))),
    }
}

/// The partitions whose leaders answered so far: whoever was waited for once is not waited for again.
fn others(topics: &[Topic], missing: &HashMap<(String, i32), WireError>) -> Vec<Topic> {
    let mut topics = topics.to_vec();
    if !missing.is_empty() {
        for topic in &mut topics {
            let Topic { name, partitions, .. } = topic;
            partitions.retain(|p| !missing.contains_key(&(name.clone(), p.index)));
        }
    }
    topics
}

/// Compares the source with what the set holds and plans the reads. Partitions whose leaders do not answer within
/// `patience` stay unplanned.
///
/// # Errors
/// When the source or the archive cannot be asked.
pub(crate) async fn plan(
    cluster: &Cluster,
    topics: &[Topic],
    before: &mut Before<'_>,
    emitter: &Emitter,
    patience: Duration,
) -> Result<Plan, Failure> {
    let archived: Epochs = before.state.partitions.iter().map(|(key, row)| (*key, row.epoch)).collect();
    let mut topics = topics.to_vec();
    // Partitions of which nobody knows better are told below.
    drop(catch_up(cluster, &mut topics, &archived).await);
    let topics = &topics[..];
    let mut asked = HashMap::new();
    for (topic, p) in topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p))) {
        if let Some(epoch) = archived.get(&(topic.id, p.index)).copied().filter(|epoch| *epoch >= 0) {
            asked.insert((topic.name.clone(), p.index), epoch);
        }
    }
    let wire::Answers { found: epochs, missing: unanswered } =
        cluster.epoch_ends_within(topics, &asked, patience).await?;
    let marks = Marks::ask(cluster, &others(topics, &unanswered), patience).await?;
    let mut out =
        Plan { cursors: Vec::new(), unplanned: Vec::new(), is_behind: false, positions: Positions::default() };
    for topic in topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        for p in &topic.partitions {
            let key = (topic.name.clone(), p.index);
            let newest = asked.get(&key).copied().unwrap_or(-1);
            let ends = match unanswered.get(&key) {
                Some(error) => Err(error.clone()),
                // What such a leader says of starts and ends is of before: a log would seem to be cut.
                None if before.doubts && is_behind(topic, p, newest) => {
                    out.is_behind = true;
                    Err(behind(topic, p, newest))
                }
                None => marks.of(&topic.name, p.index),
            };
            let ends = match ends {
                Ok(ends) => ends,
                // Permanent, and no matter of this topic alone: it is told at once.
                Err(error) if ends_all(&error) => return Err(error.into()),
                Err(error) => {
                    if let Some(row) = before.state.partitions.get(&(topic.id, p.index)) {
                        // The target of an earlier run is not where a later attempt of this one may end.
                        let stale = !before.follow
                            && row.target != UNKNOWN_TARGET
                            && !before.targets.contains_key(&(topic.id, p.index));
                        let target = if stale { UNKNOWN_TARGET } else { row.target };
                        out.positions.start(topic.id, PartitionState { target, ..row.clone() }, !stale);
                    }
                    let mut topic = topic.clone();
                    topic.partitions.retain(|other| other.index == p.index);
                    let last_epoch = asked.get(&key).copied();
                    out.unplanned.push(Unplanned { topic, partition: p.index, last_epoch, error });
                    continue;
                }
            };
            let known = epochs.get(&key).copied().flatten();
            let mut row = start_of(topic, p.index, ends, known, before, emitter, &mut out.positions).await?;
            let target =
                if before.follow { i64::MAX } else { *before.targets.entry((topic.id, p.index)).or_insert(ends.end) };
            if !before.follow {
                // Also where an older run had the same: only what this run saves is known to be its target.
                row.target = target;
                out.positions.aim((topic.id, p.index), target);
            }
            out.cursors.push(Cursor {
                topic: Arc::clone(&name),
                topic_id: topic.id,
                wire_id: topic.wire_id,
                partition: p.index,
                timeline: row.timeline,
                leader: p.leader,
                leader_epoch: p.leader_epoch,
                in_sync: p.in_sync.clone(),
                offset: row.next,
                last_epoch: row.epoch,
                target,
                stable: ends.stable,
            });
        }
    }
    Ok(out)
}

/// Whether asking again cannot help, and it is no matter of one topic's rights.
pub(crate) fn ends_all(error: &WireError) -> bool {
    error.is_final() && error.broker_code() != Some(code::TOPIC_AUTHORIZATION_FAILED)
}

/// Where a partition starts. New positions, gaps and timelines go to `positions`.
async fn start_of(
    topic: &Topic,
    partition: i32,
    ends: LogEnds,
    known_epoch: Option<(i32, i64)>,
    before: &mut Before<'_>,
    emitter: &Emitter,
    positions: &mut Positions,
) -> Result<PartitionState, Failure> {
    let LogEnds { start, stable, end } = ends;
    let known = before.state.partitions.get(&(topic.id, partition)).cloned();
    let is_known = known.is_some();
    // Where `startOffset: latest` holds, the first claim of the set says so; all that came later begins at its start.
    let mut row = known.unwrap_or_else(|| PartitionState::new(partition, start));
    (row.log_start, row.last_stable, row.high_watermark) = (start, stable, end);
    let mut epoch_known = known_epoch.is_some();
    if is_known && let Some((offset, epoch)) = parted(topic, &row, end, known_epoch, before).await? {
        row.timeline += 1;
        (row.next, row.epoch) = (offset, epoch);
        epoch_known = epoch >= 0;
        row.first = row.first.min(offset);
        before.targets.remove(&(topic.id, partition));
        let fork = Fork { topic: topic.id, name: topic.name.clone(), partition, timeline: row.timeline, from: offset };
        row.replace(archive::replaced_by(before.store, before.layout, before.newest, &fork).await?);
        tell_fork(emitter, &fork);
        positions.start(topic.id, row.clone(), is_known);
        positions.fork(fork);
    }
    positions.start(topic.id, row.clone(), is_known);
    if row.next < start {
        let gap = gap(topic.id, &topic.name, partition, row.next, start, GapReason::LogStartMoved);
        tell_gap(emitter, &gap);
        (row.next, row.epoch) = (gap.to, -1);
        positions.gap(gap)?;
    }
    if !epoch_known {
        // The source forgot that epoch: asking for it again would look like a position out of range.
        row.epoch = -1;
    }
    Ok(row)
}

/// Where the source's history leaves ours, and the last common epoch.
async fn parted(
    topic: &Topic,
    row: &PartitionState,
    end: i64,
    known: Option<(i32, i64)>,
    before: &Before<'_>,
) -> Result<Option<(i64, i32)>, Failure> {
    match compare(&Evidence { next: row.next, epoch: row.epoch, end, known }) {
        Parting::Same => Ok(None),
        Parting::PartedAt { offset, epoch } => Ok(Some((offset, epoch))),
        Parting::PartedAbove { offset, epoch } => {
            let key = (topic.id, row.partition);
            let ours = archive::first_above_epoch(before.store, before.layout, before.newest, key, epoch).await?;
            Ok(Some((ours.map_or(offset, |ours| ours.min(offset)), epoch)))
        }
    }
}

/// Offsets that are lost.
pub(crate) fn gap(topic: Uuid, name: &str, partition: i32, from: i64, to: i64, reason: GapReason) -> Gap {
    Gap { topic, name: name.to_owned(), partition, from, to, reason, timeline: None }
}

/// Says that offsets are lost.
pub(crate) fn tell_gap(emitter: &Emitter, gap: &Gap) {
    let Gap { name: topic, partition, from, to, reason, .. } = gap.clone();
    tracing::warn!(topic, partition, from, to, %reason, "the source no longer has these offsets");
    emitter.emit(EventKind::Gap { topic, partition, from, to, reason: reason.to_string() });
}

/// Says that the source's history was cut.
fn tell_fork(emitter: &Emitter, fork: &Fork) {
    let Fork { name: topic, partition, timeline, from, .. } = fork.clone();
    tracing::warn!(topic, partition, timeline, from, "the source's log was cut: a new timeline begins here");
    emitter.emit(EventKind::Timeline { topic, partition, timeline, from });
}

/// The configs that topics have of their own. A topic that was deleted since it was found has none; who reads it finds
/// out that it is gone. Records matter more than configs: of a topic whose configs are refused there are none, and that is
/// told once.
///
/// # Errors
/// When no broker answers in time.
pub(crate) async fn configs(cluster: &Cluster, topics: &[Topic], emitter: &Emitter) -> Result<TopicConfigs, Failure> {
    let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let wire::ToldConfigs { configs: all, refused } = cluster.configs_of_existing(&names).await?;
    tell_refused(&refused, emitter);
    Ok(all.into_iter().map(|(name, entries)| (name, wire::own_configs(&entries))).collect())
}

fn tell_refused(refused: &BTreeMap<String, WireError>, emitter: &Emitter) {
    let new: Vec<_> = refused.iter().filter(|(name, _)| emitter.is_first_refusal_of_configs(name)).collect();
    let Some((name, error)) = new.first() else { return };
    let more = if new.len() > 1 { format!(" and of {} more topics", new.len() - 1) } else { String::new() };
    emitter.warn(format!(
        "the configs of topic {name}{more} are not in the archive: {error}; grant DescribeConfigs on the topic, or a restore creates it with the target's defaults"
    ));
}

/// Configs as the source tells them, and of topics that it does not describe those that were kept.
pub(crate) fn with_kept(mut configs: TopicConfigs, kept: &TopicConfigs) -> TopicConfigs {
    for (name, own) in kept {
        configs.entry(name.clone()).or_insert_with(|| own.clone());
    }
    configs
}

/// How long a detail for people is waited for.
const DETAILS: Duration = Duration::from_secs(5);

/// Producer and age in milliseconds of a transaction, as far as a broker tells them.
pub(crate) type OpenTransaction = (Option<i64>, Option<i64>);

/// The oldest open transaction of a partition: a broker that does not know the request just tells less.
pub(crate) async fn oldest_open(cluster: &Cluster, topic: &str, partition: i32, now_ms: i64) -> OpenTransaction {
    let asked = tokio::time::timeout(DETAILS, cluster.open_transactions(topic, partition)).await;
    let Ok(Ok(open)) = asked else { return (None, None) };
    let oldest = open.iter().min_by_key(|transaction| transaction.first_offset);
    oldest.map(|oldest| (oldest.producer_id, now_ms.saturating_sub(oldest.last_timestamp).max(0))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_by_name_count_only_for_the_topic_that_was_meant() {
        let topic = |id: u128, error| {
            let id = Uuid::from_u128(id);
            Topic { name: "t".into(), id, wire_id: id, internal: false, partitions: Vec::new(), error }
        };
        let said = |now: Option<&Topic>| compared(&topic(1, 0), now).map_err(|failure| failure.code);
        assert!(said(Some(&topic(1, 0))).unwrap().is_none());
        assert_eq!(said(Some(&topic(2, 0))).unwrap_err(), Code::TopicChanged);
        assert_eq!(said(Some(&topic(0, code::UNKNOWN_TOPIC_OR_PARTITION))).unwrap_err(), Code::TopicChanged);
        assert_eq!(said(None).unwrap_err(), Code::TopicChanged);
        // Nobody says that it is another one, nor that it is the same.
        for error in [5, 29] {
            assert_eq!(said(Some(&topic(0, error))).unwrap().unwrap().broker_code(), Some(error));
        }
        // Without ids nothing can be compared.
        assert!(compared(&topic(0, 0), Some(&topic(0, 0))).unwrap().is_none());
    }
}
