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
use super::state::State;

impl Kafka {
    pub(super) fn produce(&self, broker: i32, request: &ProduceRequest) -> ProduceResponse {
        self.change(|state| {
            let mut answer = ProduceResponse::default();
            for topic in &request.topic_data {
                let mut out = TopicProduceResponse::default().with_name(topic.name.clone());
                for data in &topic.partition_data {
                    let bytes = data.records.clone().unwrap_or_default();
                    let done = append(state, broker, &topic.name.0, data.index, bytes);
                    let result = PartitionProduceResponse::default().with_index(data.index);
                    out.partition_responses.push(match done {
                        Ok(base) => result.with_base_offset(base).with_log_append_time_ms(-1),
                        Err(code) => result.with_error_code(code).with_base_offset(-1),
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
            let (id, epoch) = match &request.transactional_id {
                None => (state.new_producer(), 0),
                Some(name) => {
                    let current = (request.producer_id.0, request.producer_epoch);
                    match (state.transactional.get(&*name.0).copied(), current) {
                        (_, (-1, _)) => state.next_epoch(&name.0, now),
                        (None, _) => return InitProducerIdResponse::default().with_error_code(49),
                        (Some(held), current) if held == current => state.next_epoch(&name.0, now),
                        // The same request once more (KIP-360).
                        (Some((id, epoch)), current) if (id, epoch - 1) == current => (id, epoch),
                        (Some(_), _) => return InitProducerIdResponse::default().with_error_code(90),
                    }
                }
            };
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        })
    }

    pub(super) fn add_partitions(&self, request: &AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            let name = request.v3_and_below_transactional_id.0.to_string();
            let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
            let code = if state.transactional.get(&name) == Some(&producer) { 0 } else { 90 };
            let topic = |asked: &kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic| {
                let partition = |index: &i32| {
                    let there = state.partition_id(&asked.name.0, *index);
                    if let (Some(place), 0) = (there, code) {
                        state.had_transaction.insert(producer);
                        state.join(producer.0, place, now);
                    }
                    let code = if there.is_none() { 3 } else { code };
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
            let producer = (request.producer_id.0, request.producer_epoch);
            if state.transactional.get(&*request.transactional_id.0) != Some(&producer) {
                return EndTxnResponse::default().with_error_code(90);
            }
            if !state.had_transaction.contains(&producer) {
                return EndTxnResponse::default().with_error_code(48);
            }
            state.end_transaction(producer.0, request.committed, now);
            EndTxnResponse::default()
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
                for p in &asked.partitions {
                    let result = DeleteRecordsPartitionResult::default().with_partition_index(p.partition_index);
                    out.partitions.push(match state.partition(&asked.name.0, p.partition_index) {
                        None => result.with_error_code(3),
                        Some(held) if held.leader != broker => result.with_error_code(6),
                        Some(held) => {
                            held.log.trim(if p.offset < 0 { held.log.end } else { p.offset });
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

/// Appends one batch of a producer, or says why not.
fn append(state: &mut State, broker: i32, topic: &str, partition: i32, bytes: Bytes) -> Result<i64, i16> {
    let held = state.partition(topic, partition).ok_or(3_i16)?;
    if held.leader != broker {
        return Err(6);
    }
    held.log.append_raw(held.epoch, &bytes)
}
