//! What the source has: where each partition starts, where it must end, and whether it still is what was
//! archived before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use archive::{Gap, PartitionState, SetState, TopicConfigs};
use contract::{Code, EventKind, Failure};
use uuid::Uuid;
use wire::{Cluster, Isolation, OffsetAt, Topic};

use super::positions::Positions;
use crate::emit::Emitter;

/// One partition to read.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    /// Next offset to fetch.
    pub(crate) offset: i64,
    /// The high watermark at the start: the partition is done when it is reached.
    pub(crate) target: i64,
}

/// What a run reads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) positions: Positions,
}

/// The offsets that the brokers tell at the start.
struct Marks {
    start: HashMap<(String, i32), i64>,
    stable: HashMap<(String, i32), i64>,
    end: HashMap<(String, i32), i64>,
    epochs: HashMap<(String, i32), Option<(i32, i64)>>,
}

impl Marks {
    fn of(map: &HashMap<(String, i32), i64>, key: &(String, i32)) -> i64 {
        map.get(key).copied().unwrap_or(0)
    }
}

/// Compares the source with what the set holds and plans the reads.
///
/// # Errors
/// When the source no longer has what was archived.
pub(crate) async fn plan(
    cluster: &Cluster,
    topics: &[Topic],
    state: &SetState,
    emitter: &Emitter,
) -> Result<Plan, Failure> {
    let known = |topic: &Topic, partition: i32| state.partitions.get(&(topic.id, partition));
    let mut asked = HashMap::new();
    for topic in topics {
        for p in &topic.partitions {
            if let Some(row) = known(topic, p.index).filter(|row| row.epoch >= 0) {
                asked.insert((topic.name.clone(), p.index), row.epoch);
            }
        }
    }
    let marks = Marks {
        epochs: cluster.epoch_ends(topics, &asked).await?,
        start: cluster.offsets(topics, OffsetAt::Start, Isolation::Uncommitted).await?,
        end: cluster.offsets(topics, OffsetAt::End, Isolation::Uncommitted).await?,
        stable: cluster.offsets(topics, OffsetAt::End, Isolation::Committed).await?,
    };
    let mut out = Plan { cursors: Vec::new(), positions: Positions::default() };
    for topic in topics {
        let name: Arc<str> = Arc::from(topic.name.as_str());
        for p in &topic.partitions {
            let row = known(topic, p.index);
            let key = (topic.name.clone(), p.index);
            let (row, gap) = start_of(topic, p.index, row, &marks, &key)?;
            out.positions.start(topic.id, row.0.clone(), row.1);
            if let Some(gap) = gap {
                tell_gap(emitter, &gap);
                out.positions.gap(gap);
            }
            let offset = row.0.next.max(Marks::of(&marks.start, &key));
            out.cursors.push(Cursor {
                topic: Arc::clone(&name),
                topic_id: topic.id,
                partition: p.index,
                leader: p.leader,
                leader_epoch: p.leader_epoch,
                offset,
                target: Marks::of(&marks.end, &key),
            });
        }
    }
    Ok(out)
}

/// The position that a partition starts from, whether the log has it already, and the gap before it.
type Start = ((PartitionState, bool), Option<Gap>);

fn start_of(
    topic: &Topic,
    partition: i32,
    known: Option<&PartitionState>,
    marks: &Marks,
    key: &(String, i32),
) -> Result<Start, Failure> {
    let (start, end) = (Marks::of(&marks.start, key), Marks::of(&marks.end, key));
    let mut row = known.cloned().unwrap_or_else(|| PartitionState::new(partition, start));
    row.log_start = start;
    row.last_stable = Marks::of(&marks.stable, key);
    row.high_watermark = end;
    if known.is_some() {
        check_same_log(topic, &row, end, marks.epochs.get(key))?;
    }
    let gap = (row.next < start).then(|| gap(topic.id, &topic.name, partition, row.next, start));
    Ok(((row, known.is_some()), gap))
}

/// The archived end must still be part of the source's history (KIP-101, KIP-320).
fn check_same_log(
    topic: &Topic,
    row: &PartitionState,
    end: i64,
    epoch: Option<&Option<(i32, i64)>>,
) -> Result<(), Failure> {
    let diverged = |what: String| {
        let text =
            format!("{}/{}: the archive holds offsets up to {}, but {what}", topic.name, row.partition, row.next);
        Err(Failure::new(Code::SourceDiverged, text))
    };
    if end < row.next {
        return diverged(format!("the source ends at {end}"));
    }
    match epoch {
        Some(Some((found, epoch_end))) if *found == row.epoch && *epoch_end < row.next => {
            diverged(format!("leader epoch {found} ended at {epoch_end} in the source"))
        }
        Some(Some((found, epoch_end))) if *found < row.epoch && *epoch_end < row.next => {
            diverged(format!("the source knows no leader epoch {}; its epoch {found} ended at {epoch_end}", row.epoch))
        }
        _ => Ok(()),
    }
}

/// A gap that the moved log start left.
pub(crate) fn gap(topic: Uuid, name: &str, partition: i32, from: i64, to: i64) -> Gap {
    Gap { topic, name: name.to_owned(), partition, from, to, reason: "log-start-moved".into() }
}

/// Says that offsets are lost.
pub(crate) fn tell_gap(emitter: &Emitter, gap: &Gap) {
    tracing::warn!(
        topic = gap.name,
        partition = gap.partition,
        from = gap.from,
        to = gap.to,
        "the source no longer has these offsets"
    );
    emitter.emit(EventKind::Gap {
        topic: gap.name.clone(),
        partition: gap.partition,
        from: gap.from,
        to: gap.to,
        reason: gap.reason.clone(),
    });
}

/// The configs that topics have of their own.
///
/// # Errors
/// When they may not be read.
pub(crate) async fn configs(cluster: &Cluster, topics: &[Topic]) -> Result<TopicConfigs, Failure> {
    let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let all = cluster.topic_configs(&names).await?;
    let own = |entries: BTreeMap<String, wire::ConfigEntry>| {
        entries
            .into_iter()
            .filter(|(_, entry)| entry.own)
            .filter_map(|(key, entry)| Some((key, entry.value?)))
            .collect()
    };
    Ok(all.into_iter().map(|(name, entries)| (name, own(entries))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(next: i64, epoch: i32, end: i64, answer: Option<(i32, i64)>) -> bool {
        let topic = Topic { name: "t".into(), id: Uuid::nil(), internal: false, partitions: vec![], error: 0 };
        let row = PartitionState { next, epoch, ..PartitionState::new(0, 0) };
        check_same_log(&topic, &row, end, Some(&answer)).is_ok()
    }

    #[test]
    fn a_truncated_source_is_noticed() {
        assert!(check(10, 3, 10, Some((3, 10))));
        assert!(check(10, 3, 50, Some((3, 12))));
        assert!(!check(10, 3, 9, Some((3, 9))));
        assert!(!check(10, 3, 50, Some((3, 8))));
        assert!(!check(10, 3, 50, Some((2, 5))));
        // Retention removed the epoch's records: nothing can be compared.
        assert!(check(10, 3, 50, None));
    }
}
