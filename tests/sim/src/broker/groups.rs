//! Answers about consumer groups and transactions that are open.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    BrokerId, DescribeProducersRequest, DescribeProducersResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    GroupId, ListGroupsResponse, OffsetFetchRequest, OffsetFetchResponse, ProducerId, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::serve::Kafka;
use super::state::{EPOCH_MS, Group, State};

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// The broker that coordinates a key: the same one as long as it lives.
pub(super) fn coordinator(state: &State, key: &str) -> Option<i32> {
    let up: Vec<i32> = state.brokers.keys().copied().filter(|id| state.is_up(*id)).collect();
    let sum: usize = key.bytes().map(usize::from).sum();
    up.get(sum % up.len().max(1)).copied()
}

/// A committed offset: partition, offset, and what was noted with it.
type Position = (i32, i64, StrBytes);

/// Offsets of one group by topic.
fn by_topic(group: &Group) -> BTreeMap<&str, Vec<Position>> {
    let mut out: BTreeMap<&str, Vec<Position>> = BTreeMap::new();
    for (place, offset) in &group.offsets {
        let note = group.notes.get(place).map_or("", String::as_str);
        out.entry(&place.0).or_default().push((place.1, *offset, text(note)));
    }
    out
}

impl Kafka {
    pub(super) fn find_coordinator(&self, request: &FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
        let state = self.look();
        let find = |key: &StrBytes| match coordinator(&state, key) {
            None => Coordinator::default().with_key(key.clone()).with_error_code(15).with_node_id(BrokerId(-1)),
            Some(id) => Coordinator::default()
                .with_key(key.clone())
                .with_node_id(BrokerId(id))
                .with_host(text(&state.brokers[&id].host))
                .with_port(9092),
        };
        if version >= 4 {
            let found = request.coordinator_keys.iter().map(find).collect();
            return FindCoordinatorResponse::default().with_coordinators(found);
        }
        let found = find(&request.key);
        FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port)
    }

    pub(super) fn list_groups(&self, broker: i32) -> ListGroupsResponse {
        let state = self.look();
        let ours = state.groups.keys().filter(|name| coordinator(&state, name) == Some(broker));
        let listed = |name: &String| {
            ListedGroup::default()
                .with_group_id(GroupId(text(name)))
                .with_protocol_type(StrBytes::from_static_str(""))
                .with_group_state(StrBytes::from_static_str("Empty"))
                .with_group_type(StrBytes::from_static_str("classic"))
        };
        ListGroupsResponse::default().with_groups(ours.map(listed).collect())
    }

    pub(super) fn offset_fetch(&self, broker: i32, request: &OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
        let state = self.look();
        if version < 8 {
            let id = request.group_id.0.to_string();
            if coordinator(&state, &id) != Some(broker) {
                return OffsetFetchResponse::default().with_error_code(16);
            }
            let group = state.groups.get(&id).cloned().unwrap_or_default();
            let topic = |(name, positions): (&str, Vec<Position>)| {
                let position = |(partition, offset, note): Position| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(partition)
                        .with_committed_offset(offset)
                        .with_metadata(Some(note))
                };
                OffsetFetchResponseTopic::default()
                    .with_name(TopicName(text(name)))
                    .with_partitions(positions.into_iter().map(position).collect())
            };
            return OffsetFetchResponse::default().with_topics(by_topic(&group).into_iter().map(topic).collect());
        }
        let group = |asked: &kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup| {
            let id = asked.group_id.0.to_string();
            let out = OffsetFetchResponseGroup::default().with_group_id(asked.group_id.clone());
            if coordinator(&state, &id) != Some(broker) {
                return out.with_error_code(16);
            }
            let found = state.groups.get(&id).cloned().unwrap_or_default();
            let topic = |(name, positions): (&str, Vec<Position>)| {
                let position = |(partition, offset, note): Position| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(partition)
                        .with_committed_offset(offset)
                        .with_metadata(Some(note))
                };
                OffsetFetchResponseTopics::default()
                    .with_name(TopicName(text(name)))
                    .with_partitions(positions.into_iter().map(position).collect())
            };
            out.with_topics(by_topic(&found).into_iter().map(topic).collect())
        };
        OffsetFetchResponse::default().with_groups(request.groups.iter().map(group).collect())
    }

    pub(super) fn describe_producers(&self, request: &DescribeProducersRequest) -> DescribeProducersResponse {
        let state = self.look();
        let topic = |asked: &kafka_protocol::messages::describe_producers_request::TopicRequest| {
            let partition = |index: &i32| {
                let out = PartitionResponse::default().with_partition_index(*index);
                let found = state.topics.get(&*asked.name.0).and_then(|topic| topic.partitions.get(*index as usize));
                let Some(held) = found else { return out.with_error_code(3) };
                let producer = |told: crate::producers::Told| {
                    ProducerState::default()
                        .with_producer_id(ProducerId(told.id))
                        .with_producer_epoch(told.epoch.into())
                        .with_last_sequence(told.sequence)
                        .with_last_timestamp(EPOCH_MS)
                        .with_current_txn_start_offset(held.log.open.get(&told.id).copied().unwrap_or(-1))
                };
                out.with_active_producers(held.log.producers.all().map(producer).collect())
            };
            let partitions = asked.partition_indexes.iter().map(partition).collect();
            TopicResponse::default().with_name(asked.name.clone()).with_partitions(partitions)
        };
        DescribeProducersResponse::default().with_topics(request.topics.iter().map(topic).collect())
    }
}
