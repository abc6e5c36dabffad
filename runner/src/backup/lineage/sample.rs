//! The last records that a converted archive has of each partition, and what the source has at their offsets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use archive::{ArchiveError, Layout, Point, Store, Timelines, TopicIdPartition, Wanted};
use batch::{RawBatch, RecordStream, Window, split_sound};
use contract::Failure;
use uuid::Uuid;
use wire::{Cluster, FetchOptions, FetchSpot, Isolation, OffsetAt, Request, Retry, Topic, WireError, code};

use super::judge::{Seen, Verdict, compare};
use crate::backup::source::still_the_same;
use crate::logs::Span;

/// Records of a partition that are compared at most.
const RECORDS: usize = 256;
/// Bytes of one answer.
const ANSWER: i32 = 8 << 20;
/// Largest record that is compared; others pass for records that are not there.
const LARGEST: usize = 64 << 20;
/// How long leaders are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The last records of each partition, by offset.
pub(super) type Samples = BTreeMap<TopicIdPartition, Vec<Seen>>;

/// Reads the last records of these partitions of the point that entry `seal` makes.
///
/// # Errors
/// What of the archive is missing or damaged.
pub(super) async fn archived(
    store: &Store,
    layout: &Layout,
    seal: u64,
    keys: &HashSet<TopicIdPartition>,
) -> Result<Samples, ArchiveError> {
    let mut out = Samples::new();
    if keys.is_empty() {
        return Ok(out);
    }
    let point = Point::load(store, layout, seal).await?;
    let mut ends: HashMap<TopicIdPartition, i64> = HashMap::new();
    let mut take = |topic: Uuid, row: &archive::SegmentRow| {
        if row.committed > 0 {
            let end = ends.entry((topic, row.partition)).or_insert(row.next);
            *end = row.next.max(*end);
        }
    };
    point.each_row(Some(keys), &mut take).await?;
    // The batch that holds the last record.
    let from = ends.into_iter().map(|(key, end)| (key, end - 1)).collect();
    let wanted = Wanted::new(from, Timelines::new(point.forks()), Window::ALL);
    let mut stream = point.stream(wanted).await?;
    while let Some(read) = stream.next().await? {
        let key = (read.topic, read.partition);
        let Some(last) = read.batches.last() else { continue };
        let seen = records(last, i64::MIN, i64::MAX);
        let seen =
            seen.map_err(|source| ArchiveError::Batch { key: format!("batch of {}", point.seal.point), source })?;
        out.insert(key, seen);
    }
    Ok(out)
}

/// The last of a batch's records between two offsets, both included.
fn records(batch: &RawBatch, from: i64, to: i64) -> Result<Vec<Seen>, batch::BatchError> {
    let mut out = std::collections::VecDeque::new();
    let (mut stream, mut room) = (RecordStream::new(batch)?, Vec::new());
    let by_broker = batch.header.attributes.log_append_time();
    while let Some(place) = stream.advance()? {
        if !(from..=to).contains(&place.offset) {
            continue;
        }
        let record = match stream.record(LARGEST, &mut room) {
            Ok(record) => record,
            Err(batch::BatchError::TooLarge { .. }) => continue,
            Err(error) => return Err(error),
        };
        let mut hasher = blake3::Hasher::new();
        for part in [record.key, record.value] {
            // Null and empty are not the same.
            hasher.update(&part.map_or(-1, |part| part.len() as i128).to_le_bytes());
            hasher.update(part.unwrap_or_default());
        }
        let timestamp = (!by_broker).then_some(place.timestamp);
        out.push_back(Seen { offset: place.offset, timestamp, digest: *hasher.finalize().as_bytes() });
        if out.len() > RECORDS {
            out.pop_front();
        }
    }
    Ok(out.into())
}

/// Compares each partition of a topic of the source with what was archived under the id `ours`.
///
/// # Errors
/// When the cluster cannot be used at all.
pub(super) async fn beside(
    cluster: &Cluster,
    topic: &Topic,
    ours: Uuid,
    samples: &Samples,
) -> Result<Vec<(i32, Verdict)>, Failure> {
    let topics = [topic.clone()];
    let starts = cluster.offsets_within(&topics, OffsetAt::Start, Isolation::Uncommitted, PATIENCE).await?;
    let ends = cluster.offsets_within(&topics, OffsetAt::End, Isolation::Uncommitted, PATIENCE).await?;
    let mut out = Vec::new();
    for ((_, partition), archived) in samples.range((ours, i32::MIN)..=(ours, i32::MAX)) {
        let key = (topic.name.clone(), *partition);
        let verdict = if topic.partitions.iter().any(|known| known.index == *partition) {
            if let Some((start, end)) = starts.found.get(&key).zip(ends.found.get(&key)) {
                one(cluster, topic, *partition, Span { start: *start, end: *end }, archived).await?
            } else {
                let error = starts.missing.get(&key).or_else(|| ends.missing.get(&key));
                Verdict::Silent(error.map_or_else(|| "no leader answers".to_owned(), ToString::to_string))
            }
        } else {
            Verdict::Differs("the source does not have it".to_owned())
        };
        out.push((*partition, verdict));
    }
    // The offsets were asked for by name: it must have been this topic until now.
    still_the_same(cluster, &topics).await?;
    Ok(out)
}

async fn one(
    cluster: &Cluster,
    topic: &Topic,
    partition: i32,
    log: Span,
    archived: &[Seen],
) -> Result<Verdict, Failure> {
    let Some((first, last)) = archived.first().zip(archived.last()) else {
        return Ok(Verdict::Nothing("the archive has no record of it".to_owned()));
    };
    if log.end <= last.offset {
        return Ok(Verdict::Differs(format!(
            "the log of the source ends at {}, and the archive has offset {}",
            log.end, last.offset
        )));
    }
    if log.start > last.offset {
        return Ok(Verdict::Nothing(format!(
            "the log of the source begins at {}, behind the last archived offset {}",
            log.start, last.offset
        )));
    }
    let mut reader = Reader {
        cluster,
        topic: topic.clone(),
        partition,
        at: first.offset.max(log.start),
        to: last.offset,
        seen: Vec::new(),
    };
    match reader.read().await {
        Ok(()) => Ok(compare(archived, &reader.seen)),
        Err(error) if error.is_final() => Err(error.into()),
        Err(error) => Ok(Verdict::Silent(error.to_string())),
    }
}

/// Reads records of the source between two offsets.
struct Reader<'c> {
    cluster: &'c Cluster,
    topic: Topic,
    partition: i32,
    at: i64,
    to: i64,
    seen: Vec<Seen>,
}

impl Reader<'_> {
    fn subject(&self) -> String {
        format!("{}/{}", self.topic.name, self.partition)
    }

    async fn read(&mut self) -> Result<(), WireError> {
        let mut backoff = self.cluster.backoff();
        while self.at <= self.to {
            let before = self.at;
            let error = match self.fetch().await {
                Ok(()) if self.at > before => {
                    backoff.reset();
                    continue;
                }
                Ok(()) => WireError::no_progress(self.subject(), "a fetch brought nothing"),
                Err(error) => error,
            };
            if backoff.wait(error).await? == Retry::Refresh {
                let names = [self.topic.name.clone()];
                let newer = self.cluster.topics(Some(&names)).await?;
                let same = |topic: &Topic| topic.error == 0 && topic.wire_id == self.topic.wire_id;
                if let Some(newer) = newer.into_iter().find(same) {
                    self.topic = newer;
                }
            }
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), WireError> {
        let leader = self.topic.partitions.iter().find(|p| p.index == self.partition).map(|p| p.leader);
        let leader = leader.filter(|id| *id >= 0).ok_or_else(|| WireError::no_leader(self.subject()))?;
        let connection = self.cluster.broker(leader, 0, None).await?;
        let options = FetchOptions {
            isolation: Isolation::Uncommitted,
            max_bytes: ANSWER,
            max_wait: Duration::ZERO,
            rack: Arc::from(""),
        };
        let spot = FetchSpot {
            topic: Arc::from(self.topic.name.as_str()),
            topic_id: self.topic.wire_id,
            partition: self.partition,
            offset: self.at,
            leader_epoch: -1,
            last_epoch: -1,
            max_bytes: ANSWER,
        };
        let answer = connection.fetch(&[spot], &options).await?;
        let part = answer.partitions.into_iter().next();
        let part = part.ok_or_else(|| WireError::Unanswered { request: Request::Fetch, subject: self.subject() })?;
        if part.error == code::OFFSET_OUT_OF_RANGE && part.log_start_offset > self.at {
            // Retention went on meanwhile: what is left is compared.
            self.at = part.log_start_offset;
            return Ok(());
        }
        if part.error != 0 {
            return Err(WireError::broker(Request::Fetch, self.subject(), part.error));
        }
        let (split, damage) = split_sound(&part.records);
        for batch in &split.batches {
            let header = &batch.header;
            if header.last_offset() < self.at {
                continue;
            }
            if !header.attributes.control() {
                let read = records(batch, self.at, self.to);
                self.seen.extend(read.map_err(|error| WireError::damaged(self.subject(), error.to_string()))?);
            }
            self.at = header.next_offset();
        }
        match damage {
            Some(damage) if split.batches.is_empty() => {
                Err(WireError::damaged(self.subject(), damage.error.to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }
}
