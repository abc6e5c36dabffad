//! Answers to requests that change the cluster: producers, transactions, topics, configs, deletions.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, EndTxnRequest, EndTxnResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
    ProducerId,
};

use super::serve::Kafka;
use super::state::{EPOCH_MS, State, Topic};
use super::transactions::Transaction;
use crate::intake::Rules;

const PRODUCE: i16 = 0;
/// `NOT_ENOUGH_REPLICAS`: a leader says so before it appends. Every other code may come after that.
const BEFORE_APPEND: i16 = 19;

impl Kafka {
    pub(super) fn produce(&self, broker: i32, request: &ProduceRequest, version: i16) -> ProduceResponse {
        let now = EPOCH_MS + self.trace.now_ms() as i64;
        let name = request.transactional_id.as_ref().map(|name| name.0.to_string());
        self.change(|state| {
            state.before_request(self.trace.now_ms());
            let mut answer = ProduceResponse::default();
            for topic in &request.topic_data {
                let mut out = TopicProduceResponse::default().with_name(topic.name.clone());
                for data in &topic.partition_data {
                    let bytes = data.records.clone().unwrap_or_default();
                    let sent = Sent { place: (&topic.name.0, data.index), name: name.as_deref(), version, bytes, now };
                    let result = PartitionProduceResponse::default().with_index(data.index).with_log_append_time_ms(-1);
                    let taken = match state.faults.code(PRODUCE) {
                        Some(BEFORE_APPEND) => Err((BEFORE_APPEND, -1)),
                        _ => append(state, broker, &sent),
                    };
                    out.partition_responses.push(match taken {
                        Ok((base, start, stamp)) => {
                            let result = result.with_base_offset(base).with_log_start_offset(start);
                            result.with_log_append_time_ms(stamp.unwrap_or(-1))
                        }
                        Err((code, start)) => {
                            result.with_error_code(code).with_base_offset(-1).with_log_start_offset(start)
                        }
                    });
                }
                answer.responses.push(out);
            }
            answer
        })
    }

    pub(super) fn init_producer(&self, request: &InitProducerIdRequest) -> InitProducerIdResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            state.before_request(now);
            let (id, epoch) = match &request.transactional_id {
                None => (state.new_producer(), 0),
                Some(name) => {
                    let given = Some((request.producer_id.0, request.producer_epoch)).filter(|(id, _)| *id >= 0);
                    match state.next_epoch(&name.0, given, now) {
                        Ok(next) => next,
                        Err(code) => {
                            let none = InitProducerIdResponse::default().with_error_code(code);
                            return none.with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
                        }
                    }
                }
            };
            state.strangers.producer(id);
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        })
    }

    pub(super) fn add_partitions(&self, request: &AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            state.before_request(now);
            let name = request.v3_and_below_transactional_id.0.to_string();
            let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
            let mut code = state.refused(&name, producer);
            let all = request.v3_and_below_topics.iter();
            let mut all = all.flat_map(|topic| topic.partitions.iter().map(move |index| (&topic.name.0, *index)));
            if !all.all(|(topic, index)| state.has(topic, index)) {
                // One that nobody knows keeps out the others.
                code = 55;
            }
            let topic = |asked: &kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic| {
                let partition = |index: &i32| {
                    let there = state.has(&asked.name.0, *index);
                    if there && code == 0 {
                        state.join(producer.0, (asked.name.0.to_string(), *index), now);
                    }
                    let code = if there { code } else { 3 };
                    AddPartitionsToTxnPartitionResult::default()
                        .with_partition_index(*index)
                        .with_partition_error_code(code)
                };
                let results = asked.partitions.iter().map(partition).collect();
                AddPartitionsToTxnTopicResult::default()
                    .with_name(asked.name.clone())
                    .with_results_by_partition(results)
            };
            let results = request.v3_and_below_topics.iter().map(topic).collect();
            AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
        })
    }

    pub(super) fn end_txn(&self, request: &EndTxnRequest) -> EndTxnResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            state.before_request(now);
            let producer = (request.producer_id.0, request.producer_epoch);
            let code = state.end_for(&request.transactional_id.0, producer, request.committed, now);
            EndTxnResponse::default().with_error_code(code)
        })
    }

    pub(super) fn create_topics(&self, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            let mut answer = CreateTopicsResponse::default();
            for asked in &request.topics {
                let name = asked.name.0.to_string();
                let out = CreatableTopicResult::default().with_name(asked.name.clone());
                let replicas = if asked.replication_factor < 0 { 1 } else { asked.replication_factor as usize };
                let code = if state.topics.contains_key(&name) {
                    36
                } else if replicas > state.brokers.len() {
                    38
                } else if request.validate_only {
                    0
                } else {
                    state.create_topic(&name, asked.num_partitions.max(1), replicas, now);
                    let configs =
                        asked.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.clone()?.to_string())));
                    if let Some(topic) = state.topics.get_mut(&name) {
                        topic.configs = configs.collect();
                    }
                    state.apply_configs(&name);
                    0
                };
                answer.topics.push(out.with_error_code(code));
            }
            answer
        })
    }

    pub(super) fn alter_configs(&self, request: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
        self.change(|state| {
            let mut answer = IncrementalAlterConfigsResponse::default();
            for asked in &request.resources {
                let out = AlterConfigsResourceResponse::default()
                    .with_resource_type(asked.resource_type)
                    .with_resource_name(asked.resource_name.clone());
                let Some(topic) = state.topics.get_mut(&*asked.resource_name) else {
                    answer.responses.push(out.with_error_code(3));
                    continue;
                };
                for config in &asked.configs {
                    match (&config.value, config.config_operation) {
                        (Some(value), 0) => drop(topic.configs.insert(config.name.to_string(), value.to_string())),
                        _ => drop(topic.configs.remove(&*config.name)),
                    }
                }
                state.apply_configs(&asked.resource_name);
                answer.responses.push(out);
            }
            answer
        })
    }

    pub(super) fn delete_records(&self, broker: i32, request: &DeleteRecordsRequest) -> DeleteRecordsResponse {
        self.change(|state| {
            let mut answer = DeleteRecordsResponse::default();
            for asked in &request.topics {
                let mut out = DeleteRecordsTopicResult::default().with_name(asked.name.clone());
                // Of a topic that is only compacted nobody deletes records.
                let policy = state.topics.get(&*asked.name.0).and_then(|topic| topic.configs.get("cleanup.policy"));
                let keeps = policy.is_some_and(|policy| policy == "compact");
                for p in &asked.partitions {
                    let result = DeleteRecordsPartitionResult::default().with_partition_index(p.partition_index);
                    out.partitions.push(match state.partition(&asked.name.0, p.partition_index) {
                        None => result.with_error_code(3).with_low_watermark(-1),
                        Some(held) if held.leader != broker => result.with_error_code(6).with_low_watermark(-1),
                        Some(_) if keeps => result.with_error_code(44).with_low_watermark(-1),
                        Some(held) if p.offset > held.log.end => result.with_error_code(1).with_low_watermark(-1),
                        Some(held) => {
                            held.log.delete_before(if p.offset < 0 { held.log.end } else { p.offset });
                            result.with_low_watermark(held.log.start)
                        }
                    });
                }
                answer.topics.push(out);
            }
            answer
        })
    }
}

/// What came for one partition.
struct Sent<'a> {
    place: (&'a str, i32),
    /// The transactional id of the request.
    name: Option<&'a str>,
    version: i16,
    bytes: Bytes,
    /// Milliseconds since 1970.
    now: i64,
}

/// Fields of a batch's header that are read before it is looked into.
struct Front {
    size: usize,
    codec: u8,
    transactional: bool,
    producer: (i64, i16),
    sequence: i32,
}

fn front(bytes: &Bytes) -> Option<Front> {
    use bytes::Buf;
    let mut rest = bytes.get(8..61)?;
    let size = rest.get_i32() as usize + 12;
    rest.advance(9);
    let attributes = rest.get_i16();
    rest.advance(20);
    let producer = (rest.get_i64(), rest.get_i16());
    let sequence = rest.get_i32();
    Some(Front { size, codec: (attributes & 7) as u8, transactional: attributes & 0x10 != 0, producer, sequence })
}

/// Producers of older versions of Produce know no zstd (KIP-110).
const ZSTD: (u8, i16) = (4, 7);

fn rules(topic: &Topic, now: i64) -> Rules {
    let config = |name: &str| topic.configs.get(name).map(String::as_str);
    Rules {
        largest: config("max.message.bytes").and_then(|text| text.parse().ok()).unwrap_or(1_048_588),
        compacted: config("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
        stamp: (config("message.timestamp.type") == Some("LogAppendTime")).then_some(now),
    }
}

/// Appends one batch of a producer: its offset, the log's start, and the time that it got. Or a code and the log's start.
fn append(state: &mut State, broker: i32, sent: &Sent<'_>) -> Result<(i64, i64, Option<i64>), (i16, i64)> {
    let (topic, partition) = sent.place;
    let is_old = state.is_old;
    let held = state.partition(topic, partition).ok_or((3, -1))?;
    if held.leader != broker {
        return Err((6, -1));
    }
    let front = front(&sent.bytes).ok_or((2, -1))?;
    if front.codec == ZSTD.0 && sent.version < ZSTD.1 {
        return Err((76, -1));
    }
    if front.size < sent.bytes.len() {
        return Err((87, -1));
    }
    let producer = front.producer;
    let is_its_epoch = is_old || held.log.producers.is_epoch(producer.0, producer.1);
    let goes_on = held.log.open.contains_key(&producer.0) && is_its_epoch;
    let is_fenced = held.log.producers.is_newer(producer.0, producer.1);
    if front.transactional && is_fenced && !is_old {
        return Err((47, -1));
    }
    if front.transactional && !goes_on {
        let held = state.partition(topic, partition).ok_or((3, -1))?;
        held.log.producers.verify(producer.0, producer.1, front.sequence);
        let joins = |open: &Transaction| open.partitions.contains(&(topic.to_owned(), partition));
        let joined = state.transactions.get(&producer.0).is_some_and(joins);
        // A fenced producer is told so in words that old clients know, and one whose transaction is being ended, too.
        let code = match sent.name.map_or(53, |name| state.coordinated(name, producer)) {
            0 if joined => 0,
            0 => 48,
            90 => 47,
            51 => BEFORE_APPEND,
            code => code,
        };
        if code != 0 {
            return Err((code, -1));
        }
    }
    let name = topic;
    let topic = state.topics.get_mut(topic).ok_or((3, -1))?;
    let rules = rules(topic, sent.now);
    let held = topic.partitions.get_mut(partition as usize).ok_or((3, -1))?;
    let start = held.log.start;
    let taken = held.log.append_raw(held.epoch, &sent.bytes, rules).map_err(|code| {
        // What a broker cannot even look into says nothing of the log.
        (code, if matches!(code, 2 | 10) { -1 } else { start })
    })?;
    state.appended_beside_strangers(name, producer.0);
    Ok((taken.offset, start, taken.stamp))
}
