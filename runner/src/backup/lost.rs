//! A set whose segments are gone, for a run that may give them up: where the source's logs start decides what is read
//! again, so the leaders are asked before the claim. What nobody tells now ends the run, and nothing was written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use archive::{
    ArchiveError, Claim, Fork, Gap, GapReason, Head, LogStart, LostPartition, Opened, SetWriter, Store,
    TopicIdPartition, WriterOptions,
};
use contract::{BackupSpec, Code, EventKind, Failure, OnMissingSegments};
use wire::{Cluster, Isolation, OffsetAt, Topic, WireError, code};

use super::lineages::Lineages;
use super::select;
use super::source::{still_the_same, tell_gap};
use crate::emit::Emitter;

/// How often the source is asked while more segments go.
const ROUNDS: u32 = 5;
/// After so long a topic that is not there is asked for once more: brokers that just started know little.
const SECOND_LOOK: Duration = Duration::from_secs(5);
/// Partitions that a warning names.
const NAMED: usize = 10;

/// Opens the set; `None` when another run went on with it meanwhile. Lost segments are given up where the specification
/// says so.
///
/// # Errors
/// As [`SetWriter::open_behind`]; and when it is not known now where the source's logs start.
pub(crate) async fn open(
    store: &Store,
    options: &WriterOptions,
    head: Option<Head>,
    cluster: &Cluster,
    (backup, lineages): (&BackupSpec, &Lineages),
) -> Result<Option<Opened>, Failure> {
    let mut options = options.clone();
    for _ in 0..ROUNDS {
        let opened = SetWriter::open_behind(store.clone(), options.clone(), head.clone()).await;
        match opened {
            Err(ArchiveError::BaseLost { text, partitions })
                if backup.on_missing_segments == OnMissingSegments::Reread =>
            {
                tracing::warn!("{text}");
                options.source.starts = Some(starts(cluster, (backup, lineages), &partitions).await?);
            }
            opened => return Ok(opened?),
        }
    }
    let text = format!(
        "segments of set {} go while it is opened; find what deletes them, and run again",
        options.layout.set()
    );
    Err(Failure::new(Code::SegmentsMissing, text))
}

/// Where the source's log of each partition starts.
async fn starts(
    cluster: &Cluster,
    (backup, lineages): (&BackupSpec, &Lineages),
    lost: &[LostPartition],
) -> Result<BTreeMap<TopicIdPartition, LogStart>, Failure> {
    let selected = select::by_name(backup)?;
    let names: BTreeSet<_> = lost.iter().map(|lost| &lost.name).filter(|name| selected(name)).cloned().collect();
    let mut topics = describe(cluster, names.into_iter().collect()).await?;
    lineages.name(&mut topics);
    let mut asked: Vec<Topic> = Vec::new();
    let mut out = BTreeMap::new();
    let known: HashMap<&str, &Topic> = topics
        .iter()
        .filter(|topic| topic.error != code::UNKNOWN_TOPIC_OR_PARTITION)
        .map(|topic| (topic.name.as_str(), topic))
        .collect();
    for lost in lost {
        let Some(topic) = known.get(lost.name.as_str()).copied() else {
            out.insert((lost.topic, lost.partition), LogStart::Gone);
            continue;
        };
        if topic.error != 0 {
            return Err(unknown(lost, &select::refusal(topic)));
        }
        if topic.id == lost.topic {
            add(&mut asked, topic, lost)?;
        } else {
            out.insert((lost.topic, lost.partition), LogStart::Gone);
        }
    }
    let patience = Duration::from_millis(cluster.options().retry_deadline_ms);
    let told = cluster.offsets_within(&asked, OffsetAt::Start, Isolation::Uncommitted, patience).await?;
    let untold = still_the_same(cluster, &asked).await?;
    for lost in lost.iter().filter(|lost| !out.contains_key(&(lost.topic, lost.partition))).collect::<Vec<_>>() {
        let place = (lost.name.clone(), lost.partition);
        if let Some(error) = untold.get(&lost.name) {
            return Err(unknown(lost, error));
        }
        let Some(start) = told.found.get(&place) else {
            let silent = || WireError::no_leader(format!("{}/{}", lost.name, lost.partition));
            return Err(unknown(lost, &told.missing.get(&place).cloned().unwrap_or_else(silent)));
        };
        out.insert((lost.topic, lost.partition), LogStart::At(*start));
    }
    Ok(out)
}

/// The topics of these names. One that is not there is asked for again: what is given up is given up for good.
async fn describe(cluster: &Cluster, names: Vec<String>) -> Result<Vec<Topic>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let topics = cluster.topics(Some(&names)).await?;
    let is_there = |topic: &&Topic| topic.error != code::UNKNOWN_TOPIC_OR_PARTITION;
    let there: HashSet<&str> = topics.iter().filter(is_there).map(|topic| topic.name.as_str()).collect();
    if names.iter().all(|name| there.contains(name.as_str())) {
        return Ok(topics);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    Ok(cluster.topics(Some(&names)).await?)
}

/// Adds a partition to those that are asked for.
fn add(asked: &mut Vec<Topic>, topic: &Topic, lost: &LostPartition) -> Result<(), Failure> {
    let Some(partition) = topic.partitions.iter().find(|partition| partition.index == lost.partition).cloned() else {
        let error = WireError::broker(
            wire::Request::Metadata,
            format!("topic {}", topic.name),
            code::UNKNOWN_TOPIC_OR_PARTITION,
        );
        return Err(unknown(lost, &error));
    };
    match asked.iter_mut().find(|known| known.name == topic.name) {
        Some(known) => known.partitions.push(partition),
        None => asked.push(Topic { partitions: vec![partition], ..topic.clone() }),
    }
    Ok(())
}

fn unknown(lost: &LostPartition, error: &WireError) -> Failure {
    let code = Failure::from(error.clone()).code;
    let text = format!(
        "segments with records of {}/{} are gone, and nobody tells now where its log starts, so it is not known what can be read again (backup.onMissingSegments: reread). Nothing was written. Run again when the partition can be read: {error}",
        lost.name, lost.partition
    );
    Failure::new(code, text)
}

/// Tells what a claim gave up: what is read again, and what is lost for good.
pub(crate) fn tell(emitter: &Emitter, claim: &Claim) {
    if claim.given_up > 0 {
        emitter.warn(format!(
            "{} segments that the set builds on are gone from the store and count no more (backup.onMissingSegments: reread); recovery points that were made of them stay damaged. Find what deleted them: look for a lifecycle rule of the bucket",
            claim.given_up
        ));
    }
    for gap in &claim.lost.gaps {
        tell_gap(emitter, gap);
    }
    for fork in &claim.lost.forks {
        let Fork { name: topic, partition, timeline, from, .. } = fork.clone();
        tracing::warn!(topic, partition, timeline, from, "segments are gone: the partition is read again from here");
        emitter.emit(EventKind::Timeline { topic, partition, timeline, from });
    }
    let again = |fork: &Fork| format!("{}/{} from offset {}", fork.name, fork.partition, fork.from);
    if let Some(text) = listed(claim.lost.forks.iter().map(again)) {
        emitter.warn(format!("read again because segments are gone: {text}"));
    }
    // Earlier attempts of this run are forgotten by whoever reads the report of this one.
    let gaps = claim.before.gaps.iter().chain(&claim.lost.gaps).filter(|gap| gap.reason == GapReason::SegmentLost);
    let gone = |gap: &Gap| format!("{}/{} offsets {} to {}", gap.name, gap.partition, gap.from, gap.to - 1);
    if let Some(text) = listed(gaps.map(gone)) {
        emitter
            .warn(format!("lost for good, because their segments are gone and the source no longer has them: {text}"));
    }
}

/// The first of these in words, and how many more there are; `None` where there are none.
fn listed(all: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<_> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| format!("{shown}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_ten_and_counts_the_rest() {
        assert_eq!(listed(std::iter::empty()), None);
        assert_eq!(listed(["a".to_owned(), "b".to_owned()].into_iter()).as_deref(), Some("a, b"));
        let many = (0..12).map(|n| n.to_string());
        assert_eq!(listed(many).as_deref(), Some("0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"));
    }
}
