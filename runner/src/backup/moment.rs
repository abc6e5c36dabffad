//! What the source looks like at one moment of a continuous run: the next recovery point is complete when everything
//! that the source had then is archived.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use archive::{GroupSnapshot, HeldBack, HeldReason, TopicConfigs, TopicIdPartition};
use contract::{BackupSpec, Code, Failure};
use futures::StreamExt;
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Cluster, Topic};

use super::groups;
use super::health::Health;
use super::lineages::Lineages;
use super::positions::Positions;
use super::reader::Trouble;
use super::source::{Marks, OpenTransaction, configs, oldest_open};
use super::stale::{Epochs, catch_up};
use crate::emit::Emitter;

/// A look at the source. Group positions are older than the data's ends, so that no group is ahead of the data.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) topics: Vec<Topic>,
    pub(crate) marks: Marks,
    pub(crate) configs: TopicConfigs,
    pub(crate) groups: Option<Vec<GroupSnapshot>>,
    /// The oldest open transactions of partitions that stood still for long.
    pub(crate) open: HashMap<TopicIdPartition, OpenTransaction>,
}

/// How long a leader that does not answer is waited for: the others are not kept from their recovery point.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Partitions whose open transactions are asked for at once.
const AT_ONCE: usize = 64;

/// Looks; `epochs` are the newest leader epochs that are known now, `stuck` the partitions that stand still for long.
///
/// # Errors
/// When the source cannot be asked, or everybody who answers is behind.
pub(crate) async fn look(
    cluster: &Cluster,
    (backup, lineages): (&BackupSpec, &Lineages),
    emitter: &Emitter,
    last_groups: &[GroupSnapshot],
    epochs: &Epochs,
    stuck: &BTreeSet<TopicIdPartition>,
    now_ms: i64,
) -> Result<Look, Failure> {
    let wanted = backup.consumer_group_snapshot;
    let groups =
        if wanted { Some(groups::snapshot(cluster, backup, emitter, last_groups, PATIENCE).await?) } else { None };
    let mut topics = lineages.rediscover(cluster, backup).await?.topics;
    // What a leader of the past says of ends is of before: the point would seem to be whole.
    catch_up(cluster, &mut topics, epochs).await?;
    let configs = configs(cluster, &topics, emitter).await?;
    let marks = Marks::ask(cluster, &topics, PATIENCE).await?;
    let mut look = Look { topics, marks, configs, groups, open: HashMap::new() };
    look.open = look.ask_open(cluster, stuck, now_ms).await;
    Ok(look)
}

impl Look {
    /// Partitions that the next recovery point is made without: nobody tells their ends, or they have been failing for a
    /// while. `None` while others are still on their way.
    pub(crate) fn without(&self, positions: &Positions, health: &Health) -> Option<Vec<HeldBack>> {
        let mut out = Vec::new();
        for (topic, partition) in self.partitions() {
            let key = (topic.id, partition);
            let ends = self.marks.of(&topic.name, partition);
            let row = positions.row(key);
            let next = row.map_or(0, |row| row.next);
            let reached = ends.as_ref().is_ok_and(|ends| row.is_some() && next >= ends.stable);
            if reached {
                continue;
            }
            let trouble = health.trouble(key, PATIENCE);
            if trouble.is_none() && ends.is_ok() {
                return None;
            }
            // Without an answer, what was known before.
            let end = ends.map_or_else(|_| row.map_or(next, |row| row.high_watermark), |ends| ends.stable);
            out.push(missing(&topic.name, partition, (next, end.max(next)), trouble));
        }
        Some(out)
    }

    /// The first partition that a point waits for, and how many there are, for people.
    pub(crate) fn behind(&self, positions: &Positions) -> Option<String> {
        let behind = self.partitions().filter_map(|(topic, partition)| {
            let next = positions.row((topic.id, partition)).map_or(0, |row| row.next);
            // What the source did not tell is in the marks' own list.
            let stable = self.marks.of(&topic.name, partition).ok()?.stable;
            (next < stable)
                .then(|| format!("{}/{partition}, which is read up to offset {next} of {stable}", topic.name))
        });
        let all: Vec<_> = behind.collect();
        let more = all.len().saturating_sub(1);
        all.into_iter().next().map(
            |first| {
                if more > 0 { format!("{first}, and {more} more partitions") } else { first }
            },
        )
    }

    /// Tells the positions what the source said, and that the point was to hold what was stable then.
    pub(crate) fn mark(&self, positions: &mut Positions) {
        for (topic, partition) in self.partitions() {
            if let Ok(ends) = self.marks.of(&topic.name, partition) {
                positions.mark((topic.id, partition), ends);
                positions.aim((topic.id, partition), ends.stable);
            }
        }
    }

    /// Topics that the source has.
    pub(crate) fn live(&self) -> BTreeSet<Uuid> {
        self.topics.iter().map(|topic| topic.id).collect()
    }

    fn partitions(&self) -> impl Iterator<Item = (&Topic, i32)> {
        self.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p.index)))
    }

    /// What keeps those of these partitions from going on that still stand: all are asked at once, since a broker may be silent.
    async fn ask_open(
        &self,
        cluster: &Cluster,
        stuck: &BTreeSet<TopicIdPartition>,
        now_ms: i64,
    ) -> HashMap<TopicIdPartition, OpenTransaction> {
        let asked = self.held().filter(|(topic, partition, ..)| stuck.contains(&(topic.id, *partition)));
        let asked: Vec<_> = asked.map(|(topic, partition, ..)| (topic.name.clone(), (topic.id, partition))).collect();
        let ask = |(name, key): (String, TopicIdPartition)| async move {
            (key, oldest_open(cluster, &name, key.1, now_ms).await)
        };
        futures::stream::iter(asked).map(ask).buffer_unordered(AT_ONCE).collect().await
    }

    fn held(&self) -> impl Iterator<Item = (&Topic, i32, i64, i64)> {
        self.partitions().filter_map(|(topic, partition)| {
            // The same.
            let ends = self.marks.of(&topic.name, partition).ok()?;
            (ends.stable < ends.end).then_some((topic, partition, ends.stable, ends.end))
        })
    }
}

/// Offsets that a point lacks because their partition is in trouble.
pub(crate) fn missing(topic: &str, partition: i32, (from, to): (i64, i64), trouble: Option<&Trouble>) -> HeldBack {
    let reason = match trouble.map(|trouble| trouble.failure.code) {
        Some(Code::CorruptBatch) => HeldReason::Damaged,
        Some(Code::NotAuthorized) => HeldReason::Forbidden,
        Some(_) | None => HeldReason::Unavailable,
    };
    HeldBack { topic: topic.to_owned(), partition, from, to, reason, producer_id: None, age_ms: None }
}

/// Whether topics or partitions came or went since `known`.
pub(crate) fn differs(found: &[Topic], known: &[Topic]) -> bool {
    let layout = |topics: &[Topic]| -> BTreeSet<(Uuid, usize)> {
        topics.iter().map(|topic| (topic.id, topic.partitions.len())).collect()
    };
    layout(found) != layout(known)
}

/// Watches partitions whose last stable offset stands still while records wait behind it.
#[derive(Debug, Default)]
pub(crate) struct StuckWatch {
    since: HashMap<(Uuid, i32), (i64, Instant, bool)>,
}

impl StuckWatch {
    /// Partitions that stand still for at least this long: what holds them back is worth a question.
    pub(crate) fn long(&self, wait: Duration) -> BTreeSet<TopicIdPartition> {
        let long = self.since.iter().filter(|(_, (_, since, _))| since.elapsed() >= wait);
        long.map(|(key, _)| *key).collect()
    }

    /// What open transactions hold back at this look; warns once about each of which the look asked.
    pub(crate) fn held_back(&mut self, look: &Look, emitter: &Emitter) -> Vec<HeldBack> {
        let mut out = Vec::new();
        let mut still = HashMap::new();
        for (topic, partition, from, to) in look.held() {
            let key = (topic.id, partition);
            let before = self.since.remove(&key).filter(|(stable, ..)| *stable == from);
            let (_, since, mut warned) = before.unwrap_or((from, Instant::now(), false));
            let mut held = HeldBack {
                topic: topic.name.clone(),
                partition,
                from,
                to,
                reason: HeldReason::OpenTransaction,
                producer_id: None,
                age_ms: None,
            };
            if let Some(open) = look.open.get(&key).filter(|_| before.is_some()) {
                (held.producer_id, held.age_ms) = *open;
                if !warned {
                    emitter.warn(format!(
                        "{}/{partition}: an open transaction{} holds back offsets {from} to {} for {} s",
                        topic.name,
                        held.producer_id.map(|id| format!(" of producer {id}")).unwrap_or_default(),
                        to - 1,
                        since.elapsed().as_secs()
                    ));
                    warned = true;
                }
            }
            out.push(held);
            still.insert(key, (from, since, warned));
        }
        self.since = still;
        out
    }
}
