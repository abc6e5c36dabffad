//! The ends of target partitions: which batch stands last, and whether the fence has arrived there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use batch::BatchHeader;
use contract::{Code, Failure};
use wire::{Cluster, FetchOptions, FetchSpot, Isolation, OffsetAt, ProducerIdentity, Request, Retry, Topic, WireError};

use super::state::{Epoch, RestoreState};

/// Partitions asked in one request.
const SPOTS: usize = 128;
const ANSWER: i32 = 16 << 20;

/// Where a partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Records restored so far.
    pub(crate) done: u64,
    /// Target offset of the next record.
    pub(crate) next: i64,
}

/// Reads the end of every partition of the state, waiting for the fence's markers where there is one.
///
/// # Errors
/// [`Code::ForeignWriter`] when records of somebody else stand there.
pub(crate) async fn read(
    cluster: &Cluster,
    state: &RestoreState,
    fence: Option<ProducerIdentity>,
) -> Result<Vec<Tail>, Failure> {
    let mut backoff = cluster.backoff();
    loop {
        match read_once(cluster, state, fence).await? {
            Ok(tails) => return Ok(tails),
            Err(waiting) => drop(backoff.wait(waiting).await?),
        }
    }
}

async fn read_once(
    cluster: &Cluster,
    state: &RestoreState,
    fence: Option<ProducerIdentity>,
) -> Result<Result<Vec<Tail>, WireError>, Failure> {
    let names: Vec<_> = state.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = cluster.topics(Some(&names)).await?;
    let ends = cluster.offsets(&topics, OffsetAt::End, Isolation::Uncommitted).await?;
    let mut walks: Vec<Walk> = Vec::new();
    for (place, partition) in state.partitions.iter().enumerate() {
        let name = state.topics.get(partition.topic).map(|topic| topic.name.clone()).unwrap_or_default();
        let end = ends.get(&(name.clone(), partition.partition)).copied().unwrap_or(partition.start);
        walks.push(Walk {
            place,
            name,
            partition: partition.partition,
            start: partition.start,
            end,
            at: end - 1,
            fenced: fence.is_none(),
            last: None,
        });
    }
    let mut open: Vec<usize> = (0..walks.len()).collect();
    while !open.is_empty() {
        let asks: Vec<_> =
            open.iter().filter_map(|place| walks.get(*place)).filter(|walk| walk.at >= walk.start).cloned().collect();
        let found = batches_at(cluster, &topics, &asks).await?;
        open.clear();
        for (place, header) in found {
            let Some(walk) = walks.get_mut(place) else { continue };
            if header.attributes.control() {
                walk.fenced |= fence.is_some_and(|f| (header.producer_id, header.producer_epoch) == (f.id, f.epoch));
                walk.at = header.base_offset - 1;
                open.push(place);
            } else {
                walk.last = Some(header);
            }
        }
    }
    let mut tails = Vec::new();
    for walk in &walks {
        let tail = walk.judge(state)?;
        if !walk.fenced {
            return Ok(Err(WireError::no_progress(
                format!("{}/{}", walk.name, walk.partition),
                "the fence has not arrived",
            )));
        }
        tails.push(tail);
    }
    Ok(Ok(tails))
}

/// The way back from the end of a partition to its last data batch.
#[derive(Debug, Clone)]
struct Walk {
    place: usize,
    name: String,
    partition: i32,
    start: i64,
    end: i64,
    at: i64,
    fenced: bool,
    last: Option<BatchHeader>,
}

impl Walk {
    fn judge(&self, state: &RestoreState) -> Result<Tail, Failure> {
        let Some(last) = &self.last else { return Ok(Tail { done: 0, next: self.end }) };
        let foreign = |what: &str| {
            let text = format!(
                "{}/{}: the records at offset {} are {what}; stop the other producer, then restore again under a new name",
                self.name, self.partition, last.base_offset
            );
            Failure::new(Code::ForeignWriter, text)
        };
        let ours = |epoch: &Epoch| (epoch.producer_id, epoch.number) == (last.producer_id, last.producer_epoch);
        let number = state.epochs.iter().position(ours).ok_or_else(|| foreign("not from this restore"))?;
        let Some(epoch) = state.epochs.get(number) else { return Err(foreign("not from this restore")) };
        // Records of an epoch end where the next one began.
        let next_start = state.epochs.get(number + 1).and_then(|next| next.starts.get(self.place));
        if next_start.is_some_and(|start| last.base_offset >= *start) {
            return Err(foreign("a late request of an earlier attempt"));
        }
        let base = epoch.bases.get(self.place).copied().unwrap_or(0);
        let in_epoch = u64::try_from(last.base_sequence).unwrap_or(0) + last.records();
        // Sequences wrap at 2^31; offsets since the epoch's start tell how often.
        let since = u64::try_from(last.next_offset() - epoch.starts.get(self.place).copied().unwrap_or(self.start))
            .unwrap_or(0);
        let wraps = since.saturating_sub(in_epoch) >> 31;
        Ok(Tail { done: base + in_epoch + (wraps << 31), next: self.end })
    }
}

/// The headers of the batches that hold these offsets.
async fn batches_at(cluster: &Cluster, topics: &[Topic], asks: &[Walk]) -> Result<Vec<(usize, BatchHeader)>, Failure> {
    let mut by_leader: BTreeMap<i32, VecDeque<(usize, FetchSpot)>> = BTreeMap::new();
    for walk in asks {
        let Some(topic) = topics.iter().find(|topic| topic.name == walk.name) else { continue };
        let leader = topic.partitions.iter().find(|p| p.index == walk.partition).map_or(-1, |p| p.leader);
        let spot = FetchSpot {
            topic: Arc::from(walk.name.as_str()),
            topic_id: topic.wire_id,
            partition: walk.partition,
            offset: walk.at,
            leader_epoch: -1,
            last_epoch: -1,
            max_bytes: 2 << 20,
        };
        by_leader.entry(leader).or_default().push_back((walk.place, spot));
    }
    let mut found = Vec::new();
    let mut backoff = cluster.backoff();
    for (leader, mut queue) in by_leader {
        while !queue.is_empty() {
            let batch: Vec<_> = queue.drain(..queue.len().min(SPOTS)).collect();
            match fetch_headers(cluster, leader, &batch).await {
                Ok(headers) => {
                    let missing: Vec<_> =
                        batch.into_iter().filter(|(place, _)| !headers.iter().any(|(p, _)| p == place)).collect();
                    if headers.is_empty() {
                        backoff
                            .wait(WireError::no_progress("the ends of target partitions", "a fetch brought nothing"))
                            .await?;
                    } else {
                        backoff.reset();
                    }
                    found.extend(headers);
                    for item in missing.into_iter().rev() {
                        queue.push_front(item);
                    }
                }
                Err(error) => {
                    queue.extend(batch);
                    if backoff.wait(error).await? == Retry::Refresh {
                        cluster.topics(Some(&[])).await?;
                    }
                }
            }
        }
    }
    Ok(found)
}

async fn fetch_headers(
    cluster: &Cluster,
    leader: i32,
    batch: &[(usize, FetchSpot)],
) -> Result<Vec<(usize, BatchHeader)>, WireError> {
    let spots: Vec<_> = batch.iter().map(|(_, spot)| spot.clone()).collect();
    let connection = cluster.broker(leader, 0, None).await?;
    let options = FetchOptions {
        isolation: Isolation::Uncommitted,
        max_bytes: ANSWER,
        max_wait: Duration::ZERO,
        rack: Arc::from(""),
    };
    let answer = connection.fetch(&spots, &options).await?;
    let mut out = Vec::new();
    for part in answer.partitions {
        let Some((place, spot)) = batch.get(part.spot) else { continue };
        if part.error != 0 {
            return Err(WireError::broker(Request::Fetch, format!("{}/{}", spot.topic, spot.partition), part.error));
        }
        if let Ok(header) = BatchHeader::parse(&part.records)
            && header.last_offset() >= spot.offset
        {
            out.push((*place, header));
        }
    }
    Ok(out)
}
