//! Answers to requests of administrators and of consumers' groups, which runs never send: histories that are compared with
//! real brokers do.

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteTopicsRequest, DeleteTopicsResponse, OffsetCommitRequest,
    OffsetCommitResponse,
};

use super::groups::coordinator;
use super::serve::Kafka;

impl Kafka {
    pub(super) fn delete_topics(&self, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            let mut answer = DeleteTopicsResponse::default();
            for name in &request.topic_names {
                let out = DeletableTopicResult::default().with_name(Some(name.clone()));
                let there = state.topics.contains_key(&*name.0);
                state.delete_topic(&name.0, now);
                answer.responses.push(out.with_error_code(if there { 0 } else { 3 }));
            }
            answer
        })
    }

    pub(super) fn create_partitions(&self, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
        let now = self.trace.now_ms();
        self.change(|state| {
            let mut answer = CreatePartitionsResponse::default();
            for asked in &request.topics {
                let out = CreatePartitionsTopicResult::default().with_name(asked.name.clone());
                let found = state.topics.get(&*asked.name.0);
                let had = found.map(|topic| (topic.partitions.len() as i32, topic.partitions[0].replicas.len()));
                let code = match had {
                    None => 3,
                    Some((had, _)) if asked.count <= had => 37,
                    Some((had, replicas)) => {
                        state.add_partitions(&asked.name.0, asked.count - had, replicas, now);
                        0
                    }
                };
                answer.results.push(out.with_error_code(code));
            }
            answer
        })
    }

    pub(super) fn offset_commit(&self, broker: i32, request: &OffsetCommitRequest) -> OffsetCommitResponse {
        self.change(|state| {
            let ours = coordinator(state, &request.group_id.0) == Some(broker);
            let mut answer = OffsetCommitResponse::default();
            for topic in &request.topics {
                let mut out = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
                for p in &topic.partitions {
                    let there = state.has(&topic.name.0, p.partition_index);
                    if ours && there {
                        let group = state.groups.entry(request.group_id.0.to_string()).or_default();
                        let place = (topic.name.0.to_string(), p.partition_index);
                        let note = p.committed_metadata.as_ref().map(ToString::to_string).unwrap_or_default();
                        group.notes.insert(place.clone(), note);
                        group.offsets.insert(place, p.committed_offset);
                    }
                    let code = match (ours, there) {
                        (false, _) => 16,
                        (true, false) => 3,
                        (true, true) => 0,
                    };
                    let one = OffsetCommitResponsePartition::default();
                    out.partitions.push(one.with_partition_index(p.partition_index).with_error_code(code));
                }
                answer.topics.push(out);
            }
            answer
        })
    }
}
