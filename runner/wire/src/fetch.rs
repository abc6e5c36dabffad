//! Fetching raw batches of many partitions in one request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::connection::Connection;
use crate::metadata::topic_name;
use crate::{BrokerId, Isolation, Request, WireError};

/// Fetch versions from here on name topics by id (KIP-516).
const BY_ID: i16 = 13;
/// Fetch versions from here on take the epoch of the last batch that was fetched (KIP-595).
const BY_EPOCH: i16 = 12;

/// One partition of a fetch request. Spots of one topic must stand side by side.
#[derive(Debug, Clone)]
pub struct FetchSpot {
    /// Topic name.
    pub topic: Arc<str>,
    /// Topic id; nil makes the request use names.
    pub topic_id: Uuid,
    /// Partition.
    pub partition: i32,
    /// First offset wanted.
    pub offset: i64,
    /// The leader epoch we know, -1 for none.
    pub leader_epoch: i32,
    /// Leader epoch of the last batch before `offset`, -1 for none: the broker says where histories part (KIP-595).
    pub last_epoch: i32,
    /// Most bytes of this partition.
    pub max_bytes: i32,
}

/// What came for one partition.
#[derive(Debug, Clone)]
pub struct FetchedPartition {
    /// Position in the request.
    pub spot: usize,
    /// Error code, 0 for none.
    pub error: i16,
    /// High watermark, -1 when unknown.
    pub high_watermark: i64,
    /// Last stable offset, -1 when unknown.
    pub last_stable_offset: i64,
    /// First offset that the broker still has, -1 when unknown.
    pub log_start_offset: i64,
    /// The broker's log is another one than ours: the largest epoch it has that is not above ours, and its end.
    pub diverging: Option<(i32, i64)>,
    /// A replica that is nearer to our rack (KIP-392).
    pub preferred_replica: Option<BrokerId>,
    /// Aborted transactions (producer id, first offset) that overlap what was fetched.
    pub aborted: Vec<(i64, i64)>,
    /// Batches; the last one may be cut off.
    pub records: Bytes,
}

/// How a fetch request is answered.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Which records are visible.
    pub isolation: Isolation,
    /// Most bytes of the answer.
    pub max_bytes: i32,
    /// How long the broker waits when there is nothing.
    pub max_wait: Duration,
    /// The rack that we are in, empty for none.
    pub rack: Arc<str>,
}

/// The answer to one fetch request.
#[derive(Debug)]
pub struct FetchAnswer {
    /// Partitions in the broker's order.
    pub partitions: Vec<FetchedPartition>,
    /// Size of the records in the answer.
    pub bytes: usize,
    /// For how long the broker asked for silence: this answer was made smaller or later by a quota.
    pub throttled: Duration,
}

impl Connection {
    /// Fetches with one request.
    ///
    /// # Errors
    /// When the exchange fails; errors of single partitions stand in the answer.
    pub async fn fetch(&self, spots: &[FetchSpot], options: &FetchOptions) -> Result<FetchAnswer, WireError> {
        let has_ids = spots.iter().all(|spot| !spot.topic_id.is_nil());
        let cap = if has_ids { i16::MAX } else { BY_ID - 1 };
        let version = self.version::<FetchRequest>().map(|version| version.min(cap));
        let by_id = version.is_some_and(|version| version >= BY_ID);
        let by_epoch = version.is_some_and(|version| version >= BY_EPOCH);
        let request = FetchRequest::default()
            .with_max_wait_ms(i32::try_from(options.max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(options.max_bytes)
            .with_isolation_level(options.isolation as i8)
            .with_session_epoch(-1)
            .with_rack_id(StrBytes::from_string(options.rack.to_string()))
            .with_topics(group_by_topic(spots, by_id, by_epoch));
        let answer = self.call_up_to(cap, &request, options.max_wait).await?;
        if answer.error_code != 0 {
            return Err(WireError::broker(Request::Fetch, self.broker(), answer.error_code));
        }
        let throttled = Duration::from_millis(u64::try_from(answer.throttle_time_ms).unwrap_or(0));
        let mut out = FetchAnswer { partitions: Vec::new(), bytes: 0, throttled };
        let mut asked: HashMap<(Uuid, &str, i32), usize> = HashMap::new();
        for (number, spot) in spots.iter().enumerate() {
            asked.entry(place(by_id, spot.topic_id, &spot.topic, spot.partition)).or_insert(number);
        }
        let mut answered = HashSet::new();
        for topic in answer.responses {
            for partition in topic.partitions {
                let named = place(by_id, topic.topic_id, topic.topic.0.as_str(), partition.partition_index);
                let Some(spot) = asked.get(&named).copied() else { continue };
                if !answered.insert(spot) {
                    return Err(self.unreadable(Request::Fetch, &"a partition is named twice"));
                }
                let records = partition.records.unwrap_or_default();
                out.bytes += records.len();
                let aborted = partition.aborted_transactions.unwrap_or_default();
                let diverging = partition.diverging_epoch;
                out.partitions.push(FetchedPartition {
                    spot,
                    error: partition.error_code,
                    high_watermark: partition.high_watermark,
                    last_stable_offset: partition.last_stable_offset,
                    log_start_offset: partition.log_start_offset,
                    diverging: (diverging.epoch >= 0).then_some((diverging.epoch, diverging.end_offset)),
                    preferred_replica: Some(partition.preferred_read_replica.0).filter(|id| *id >= 0),
                    aborted: aborted.iter().map(|t| (t.producer_id.0, t.first_offset)).collect(),
                    records,
                });
            }
        }
        Ok(out)
    }
}

/// What names a partition in an answer: its topic's id or name, and its number.
fn place(by_id: bool, id: Uuid, name: &str, partition: i32) -> (Uuid, &str, i32) {
    if by_id { (id, "", partition) } else { (Uuid::nil(), name, partition) }
}

fn group_by_topic(spots: &[FetchSpot], by_id: bool, by_epoch: bool) -> Vec<FetchTopic> {
    let mut out: Vec<FetchTopic> = Vec::new();
    for group in spots.chunk_by(|a, b| a.topic_id == b.topic_id && a.topic == b.topic) {
        let Some(first) = group.first() else { continue };
        let partition = |spot: &FetchSpot| {
            FetchPartition::default()
                .with_partition(spot.partition)
                .with_current_leader_epoch(spot.leader_epoch)
                .with_fetch_offset(spot.offset)
                .with_last_fetched_epoch(if by_epoch { spot.last_epoch } else { -1 })
                .with_partition_max_bytes(spot.max_bytes)
        };
        let topic = FetchTopic::default().with_partitions(group.iter().map(partition).collect());
        out.push(if by_id { topic.with_topic_id(first.topic_id) } else { topic.with_topic(topic_name(&first.topic)) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn every_version_that_can_be_used_can_be_written() {
        let id = Uuid::new_v4();
        let spot = FetchSpot {
            topic: Arc::from("t"),
            topic_id: id,
            partition: 3,
            offset: 7,
            leader_epoch: 4,
            last_epoch: 4,
            max_bytes: 1 << 20,
        };
        let (oldest, newest) = Request::Fetch.versions();
        for version in oldest..=newest {
            let topics = group_by_topic(std::slice::from_ref(&spot), version >= BY_ID, version >= BY_EPOCH);
            let request = FetchRequest::default().with_session_epoch(-1).with_rack_id("r".into()).with_topics(topics);
            request.encode(&mut BytesMut::new(), version).unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
