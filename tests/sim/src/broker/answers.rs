//! Answers about the cluster, its topics, their offsets and configs.

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, DescribeConfigsRequest, DescribeConfigsResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::serve::Kafka;
use super::state::{Expiration, Power, State, Topic};

/// APIs and versions of the model: those of Apache Kafka 4.3 that a runner can use.
const VERSIONS: [(i16, i16, i16); 17] = [
    (0, 3, 11),
    (1, 4, 17),
    (2, 1, 10),
    (3, 0, 13),
    (9, 1, 9),
    (10, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (23, 2, 4),
    (32, 1, 4),
    (61, 0, 0),
    (19, 2, 7),
    (21, 0, 2),
    (22, 0, 5),
    (24, 0, 5),
    (26, 0, 5),
    (44, 0, 1),
];

/// From here on offsets come with their leader epoch.
const EPOCHS: i16 = 4;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

impl Kafka {
    pub(super) fn api_versions(&self) -> ApiVersionsResponse {
        let state = self.look();
        let offered = |(key, min, max): &(i16, i16, i16)| {
            let max = state.faults.versions.get(key).copied().unwrap_or(*max).min(*max);
            let version = ApiVersion::default().with_api_key(*key).with_min_version(*min).with_max_version(max);
            (max >= *min).then_some(version)
        };
        ApiVersionsResponse::default().with_api_keys(VERSIONS.iter().filter_map(offered).collect())
    }

    pub(super) fn metadata(&self, broker: i32, request: &MetadataRequest) -> MetadataResponse {
        let state = self.look();
        let known = state.topics_of(broker);
        let up = state.brokers.iter().filter(|(_, broker)| broker.power != Power::Down);
        let broker = |(id, broker): (&i32, &super::state::Broker)| {
            let answer = MetadataResponseBroker::default().with_node_id(BrokerId(*id)).with_port(9092);
            answer.with_host(text(&broker.host))
        };
        let brokers: Vec<_> = up.map(broker).collect();
        let controller = brokers.first().map_or(BrokerId(-1), |broker| broker.node_id);
        let topics = match &request.topics {
            None => known.values().filter(|topic| seen(&state, topic)).map(|topic| told(&state, topic)).collect(),
            Some(wanted) => {
                let one = |name: &str| match known.get(name) {
                    Some(topic) if topic.forbidden => missing(name, 29),
                    Some(topic) if seen(&state, topic) => told(&state, topic),
                    _ => missing(name, 3),
                };
                let found = |id| known.values().find(|topic| topic.id == id).filter(|topic| seen(&state, topic));
                let by_id = |id| match found(id) {
                    Some(topic) => told(&state, topic),
                    None => missing("", 100).with_name(None).with_topic_id(id),
                };
                wanted
                    .iter()
                    .map(|topic| topic.name.as_ref().map_or_else(|| by_id(topic.topic_id), |name| one(&name.0)))
                    .collect()
            }
        };
        MetadataResponse::default()
            .with_brokers(brokers)
            .with_controller_id(controller)
            .with_cluster_id(Some(StrBytes::from_static_str("model-cluster")))
            .with_topics(topics)
    }

    pub(super) fn list_offsets(&self, broker: i32, request: &ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
        let state = self.look();
        let epoch_of = |epoch: i32| if version >= EPOCHS { epoch } else { -1 };
        let topic = |asked: &kafka_protocol::messages::list_offsets_request::ListOffsetsTopic| {
            let partition = |p: &kafka_protocol::messages::list_offsets_request::ListOffsetsPartition| {
                let out = ListOffsetsPartitionResponse::default().with_partition_index(p.partition_index);
                let out = out.with_offset(-1).with_timestamp(-1).with_leader_epoch(-1);
                let found = state
                    .topics_of(broker)
                    .get(&*asked.name.0)
                    .and_then(|t| t.partitions.get(p.partition_index as usize));
                let Some(held) = found else { return out.with_error_code(3) };
                if held.leader != broker {
                    return out.with_error_code(6);
                }
                if let Some(code) = held.fences(p.current_leader_epoch) {
                    return out.with_error_code(code);
                }
                let end = if request.isolation_level == 1 { held.log.stable() } else { held.log.end };
                let found = match p.timestamp {
                    // The first offset, and the first one that is not in remote storage, which the model has not.
                    -2 | -4 => {
                        let epoch = held.log.first_epoch().unwrap_or(-1);
                        return out.with_offset(held.log.start).with_leader_epoch(epoch_of(epoch));
                    }
                    -1 => return out.with_offset(end).with_leader_epoch(epoch_of(held.epoch)),
                    -3 => held.log.newest(),
                    time if time >= 0 => held.log.at_time(time),
                    other => panic!("the model does not know the time {other}"),
                };
                match found.filter(|found| found.offset < end) {
                    Some(found) => out
                        .with_offset(found.offset)
                        .with_leader_epoch(epoch_of(found.epoch))
                        .with_timestamp(found.time),
                    None => out,
                }
            };
            let partitions = asked.partitions.iter().map(partition).collect();
            ListOffsetsTopicResponse::default().with_name(asked.name.clone()).with_partitions(partitions)
        };
        ListOffsetsResponse::default().with_topics(request.topics.iter().map(topic).collect())
    }

    pub(super) fn leader_epochs(
        &self,
        broker: i32,
        request: &OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let state = self.look();
        let topic = |asked: &kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic| {
            let partition =
                |p: &kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition| {
                    let out =
                        EpochEndOffset::default().with_partition(p.partition).with_leader_epoch(-1).with_end_offset(-1);
                    let found = state
                        .topics_of(broker)
                        .get(&*asked.topic.0)
                        .and_then(|t| t.partitions.get(p.partition as usize));
                    let Some(held) = found else { return out.with_error_code(3) };
                    if held.leader != broker {
                        return out.with_error_code(6);
                    }
                    if let Some(code) = held.fences(p.current_leader_epoch) {
                        return out.with_error_code(code);
                    }
                    match held.log.epoch_end(p.leader_epoch) {
                        Some((epoch, end)) => out.with_leader_epoch(epoch).with_end_offset(end),
                        None => out,
                    }
                };
            let partitions = asked.partitions.iter().map(partition).collect();
            OffsetForLeaderTopicResult::default().with_topic(asked.topic.clone()).with_partitions(partitions)
        };
        OffsetForLeaderEpochResponse::default().with_topics(request.topics.iter().map(topic).collect())
    }

    pub(super) fn describe_configs(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        let state = self.look();
        let resource = |asked: &kafka_protocol::messages::describe_configs_request::DescribeConfigsResource| {
            let out = DescribeConfigsResult::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name.clone());
            let entry = |name: &str, value: &str, source: i8| {
                DescribeConfigsResourceResult::default()
                    .with_name(text(name))
                    .with_value(Some(text(value)))
                    .with_config_source(source)
            };
            if asked.resource_type == BROKER {
                let set = |name: &str| {
                    let Expiration { producers_ms, ids_ms, .. } = state.expiration?;
                    match name {
                        "producer.id.expiration.ms" => Some(producers_ms.to_string()),
                        "transactional.id.expiration.ms" => Some(ids_ms.to_string()),
                        _ => None,
                    }
                };
                let config = |(name, value): &(&str, &str)| match set(name) {
                    Some(set) => entry(name, &set, 4),
                    None => entry(name, value, 5),
                };
                return out.with_configs(BROKER_CONFIGS.iter().map(config).collect());
            }
            // Nothing was set on any group.
            if asked.resource_type == GROUP {
                return out;
            }
            let Some(topic) = state.topics.get(&*asked.resource_name) else { return out.with_error_code(3) };
            let own = topic.configs.iter().map(|(name, value)| entry(name, value, 1));
            out.with_configs(own.chain([entry("min.insync.replicas", "1", 5)]).collect())
        };
        DescribeConfigsResponse::default().with_results(request.resources.iter().map(resource).collect())
    }
}

/// The type of a resource that is a broker (`DescribeConfigs`).
const BROKER: i8 = 4;
/// The same of a consumer group (KIP-848).
const GROUP: i8 = 32;
/// What brokers are set to by default (Kafka 4.3).
const BROKER_CONFIGS: [(&str, &str); 7] = [
    ("message.max.bytes", "1048588"),
    ("min.insync.replicas", "1"),
    ("producer.id.expiration.ms", "86400000"),
    ("socket.request.max.bytes", "104857600"),
    ("transaction.max.timeout.ms", "900000"),
    ("transactional.id.expiration.ms", "604800000"),
    ("log.segment.bytes", "1073741824"),
];

fn seen(state: &State, topic: &Topic) -> bool {
    !topic.forbidden && !state.faults.unseen.contains(&topic.name)
}

fn missing(name: &str, code: i16) -> MetadataResponseTopic {
    MetadataResponseTopic::default().with_error_code(code).with_name(Some(TopicName(text(name))))
}

fn told(state: &State, topic: &Topic) -> MetadataResponseTopic {
    match state.faults.undescribed.get(&topic.name) {
        Some(code) => missing(&topic.name, *code).with_topic_id(topic.id),
        None => describe(topic),
    }
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let partition = |(index, p): (i32, &super::state::Partition)| {
        let replicas: Vec<_> = p.replicas.iter().map(|id| BrokerId(*id)).collect();
        MetadataResponsePartition::default()
            .with_error_code(if p.leader < 0 { 5 } else { 0 })
            .with_partition_index(index)
            .with_leader_id(BrokerId(p.leader))
            .with_leader_epoch(p.epoch)
            .with_replica_nodes(replicas.clone())
            .with_isr_nodes(replicas)
    };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(&topic.name))))
        .with_topic_id(topic.id)
        .with_partitions((0..).zip(&topic.partitions).map(partition).collect())
}
