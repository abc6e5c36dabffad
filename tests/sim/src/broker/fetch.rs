//! Fetch, as a leader answers it (KIP-74, KIP-320, KIP-516, KIP-595).

use std::time::Duration;

use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId};
use tokio::time::Instant;

use super::serve::Kafka;
use super::state::{Partition, State};

/// From here on requests name topics by id.
const BY_ID: i16 = 13;
/// From here on `lastFetchedEpoch` is there.
const EPOCHS: i16 = 12;

/// What one answer may still hold.
struct Room {
    left: usize,
    first: bool,
    empty: bool,
}

impl Kafka {
    pub(super) async fn fetch(&self, broker: i32, request: &FetchRequest, version: i16) -> FetchResponse {
        let until = Instant::now() + Duration::from_millis(request.max_wait_ms.max(0) as u64);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let answer = self.fetch_once(broker, request, version);
            let speaks = |p: &PartitionData| {
                p.error_code != 0
                    || p.diverging_epoch.end_offset >= 0
                    || p.records.as_ref().is_some_and(|records| !records.is_empty())
            };
            let full = answer.responses.iter().flat_map(|t| &t.partitions).any(speaks) || answer.throttle_time_ms > 0;
            if full || Instant::now() >= until {
                return answer;
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return self.fetch_once(broker, request, version);
            }
        }
    }

    fn fetch_once(&self, broker: i32, request: &FetchRequest, version: i16) -> FetchResponse {
        let now = self.trace.now_ms();
        let mut state = self.look();
        if let Some(wait) = state.faults.throttled(now) {
            // A throttled answer names no partition at all.
            return FetchResponse::default().with_throttle_time_ms(wait);
        }
        let empty = now < state.faults.empty_until;
        let mut room = Room { left: request.max_bytes.max(0) as usize, first: true, empty };
        let mut answer = FetchResponse::default();
        let mut bytes = 0;
        for topic in &request.topics {
            let mut out =
                FetchableTopicResponse::default().with_topic_id(topic.topic_id).with_topic(topic.topic.clone());
            for p in &topic.partitions {
                let unknown = if version >= BY_ID { 100 } else { 3 };
                let known = state.topics_of(broker);
                let found = if version >= BY_ID {
                    known.values().find(|known| known.id == topic.topic_id)
                } else {
                    known.get(&*topic.topic.0)
                };
                let is_denied = |name: &str| state.faults.denied.contains(&(name.to_owned(), p.partition));
                let data = match found.map(|topic| topic.partitions.get(p.partition as usize)) {
                    None => failed(p.partition, unknown),
                    Some(Some(_)) if found.is_some_and(|topic| is_denied(&topic.name)) => failed(p.partition, 1),
                    Some(None) => failed(p.partition, 3),
                    Some(Some(held)) => read(held, broker, p, request.isolation_level == 1, version, &mut room),
                };
                bytes += data.records.as_ref().map_or(0, bytes::Bytes::len);
                out.partitions.push(data);
            }
            answer.responses.push(out);
        }
        note_quota(&mut state, now, bytes);
        answer
    }
}

fn note_quota(state: &mut State, now: u64, bytes: usize) {
    state.faults.spend(now, bytes as u64);
}

fn failed(partition: i32, code: i16) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_error_code(code)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_records(Some(bytes::Bytes::new()))
}

fn read(
    held: &Partition,
    broker: i32,
    p: &FetchPartition,
    committed_only: bool,
    version: i16,
    room: &mut Room,
) -> PartitionData {
    let log = &held.log;
    if held.leader != broker {
        return failed(p.partition, 6);
    }
    if let Some(code) = held.fences(p.current_leader_epoch) {
        return failed(p.partition, code);
    }
    let data = PartitionData::default()
        .with_partition_index(p.partition)
        .with_high_watermark(log.end)
        .with_last_stable_offset(log.stable())
        .with_log_start_offset(log.start)
        .with_records(Some(bytes::Bytes::new()));
    if version >= EPOCHS && p.last_fetched_epoch >= 0 {
        match log.epoch_end(p.last_fetched_epoch) {
            None => return failed(p.partition, 1),
            Some(_) if p.fetch_offset < log.start => return failed(p.partition, 1),
            Some((epoch, end)) if epoch < p.last_fetched_epoch || end < p.fetch_offset => {
                return data.with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end));
            }
            Some(_) => {}
        }
    }
    if p.fetch_offset < log.start || p.fetch_offset > log.end {
        return failed(p.partition, 1);
    }
    if room.empty {
        return data;
    }
    let limit = room.left.min(p.partition_max_bytes.max(0) as usize);
    let (bytes, aborted) = log.read(p.fetch_offset, committed_only, limit, room.first);
    room.first &= bytes.is_empty();
    room.left = room.left.saturating_sub(bytes.len());
    let entry = |t: crate::log::Aborted| {
        AbortedTransaction::default().with_producer_id(ProducerId(t.producer)).with_first_offset(t.first)
    };
    let aborted = committed_only.then(|| aborted.into_iter().map(entry).collect());
    data.with_records(Some(bytes)).with_aborted_transactions(aborted)
}
