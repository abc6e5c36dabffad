//! Requests of a history that change something.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    EndTxnRequest, GroupId, IncrementalAlterConfigsRequest, InitProducerIdRequest, OffsetCommitRequest, ProduceRequest,
    ProducerId, TransactionalId,
};

use crate::make;
use crate::player::{Player, text};
use crate::step::{Batch, Topic, Who};

/// A producer that nobody gave out.
const STRANGER: (i64, i16) = (4_000_000_000, 0);
/// Longer than a history takes.
const TRANSACTION_MS: i32 = 900_000;
const TIMEOUT_MS: i32 = 30_000;
/// Milliseconds between two batches of a history.
const APART: i64 = 3000;

impl Player {
    pub(crate) async fn create(&mut self, letter: char, partitions: i32, configs: &[(&str, &str)]) -> String {
        let config = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(self.topic_name(Topic::Now(letter)))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let code = self.client.ask(5, &request).await.topics[0].error_code;
        if code == 0 {
            self.made(letter, partitions).await;
        }
        format!("code {code}")
    }

    pub(crate) async fn delete(&mut self, letter: char) -> String {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![self.topic_name(Topic::Now(letter))])
            .with_timeout_ms(TIMEOUT_MS);
        let code = self.client.ask(5, &request).await.responses[0].error_code;
        if code == 0 {
            self.gone(letter).await;
        }
        format!("code {code}")
    }

    pub(crate) async fn widen(&mut self, letter: char, count: i32) -> String {
        let topic = CreatePartitionsTopic::default()
            .with_name(self.topic_name(Topic::Now(letter)))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let code = self.client.ask(2, &request).await.results[0].error_code;
        if code == 0 {
            self.made(letter, count).await;
        }
        format!("code {code}")
    }

    pub(crate) async fn alter(&mut self, letter: char, name: &str, value: Option<&str>) -> String {
        let config = AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(self.topic_name(Topic::Now(letter)).0)
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let code = self.client.ask(1, &request).await.responses[0].error_code;
        let wanted = value.map(|value| format!("{name}={value}"));
        for _ in 0..200 * i32::from(code == 0) {
            let now = self.configs(Topic::Now(letter)).await;
            let there = now.split(' ').find(|config| config.starts_with(&format!("{name}=")));
            if there.map(str::to_owned) == wanted {
                break;
            }
            self.moment().await;
        }
        self.moment().await;
        format!("code {code}")
    }

    pub(crate) async fn init(&mut self, name: Option<u8>, given: Option<Who>) -> String {
        let (id, epoch) = given.map_or((-1, -1), |who| self.who(who));
        let name = name.map(|name| TransactionalId(text(&self.whole(format!("t{name}")))));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(name)
            .with_transaction_timeout_ms(TRANSACTION_MS)
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch);
        loop {
            let answer = self.client.ask(4, &request).await;
            let code = answer.error_code;
            if self.passes(code).await {
                continue;
            }
            let (id, epoch) = (answer.producer_id.0, answer.producer_epoch);
            self.slots.push(if code == 0 { (id, epoch) } else { STRANGER });
            return format!("code {code} {}/{epoch}", self.names.of(id));
        }
    }

    pub(crate) async fn add(&mut self, name: u8, who: Who, partitions: &[(Topic, i32)]) -> String {
        let (id, epoch) = self.who(who);
        let topic = |(topic, partition): &(Topic, i32)| {
            AddPartitionsToTxnTopic::default().with_name(self.topic_name(*topic)).with_partitions(vec![*partition])
        };
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&self.whole(format!("t{name}")))))
            .with_v3_and_below_producer_id(ProducerId(id))
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(partitions.iter().map(topic).collect());
        loop {
            let answer = self.client.ask(3, &request).await;
            let (mut lines, mut worst) = (Vec::new(), 0);
            for topic in &answer.results_by_topic_v3_and_below {
                for one in &topic.results_by_partition {
                    worst = worst.max(one.partition_error_code);
                    let topic = self.short(&topic.name.0).unwrap_or("?");
                    lines.push(format!("{topic}/{} code {}", one.partition_index, one.partition_error_code));
                }
            }
            if !self.passes(worst).await {
                lines.sort();
                // 4.3 answers once where a partition was named twice.
                lines.dedup();
                return lines.join(", ");
            }
        }
    }

    pub(crate) async fn end(&mut self, name: u8, who: Who, commits: bool) -> String {
        let (id, epoch) = self.who(who);
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.whole(format!("t{name}")))))
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_committed(commits);
        loop {
            let code = self.client.ask(3, &request).await.error_code;
            if !self.passes(code).await {
                let ends = if self.settled(name).await { "" } else { " and does not end" };
                return format!("code {code}{ends}");
            }
        }
    }

    pub(crate) async fn produce(
        &mut self,
        topic: Topic,
        partition: i32,
        name: Option<u8>,
        batches: &[Batch],
        version: i16,
    ) -> String {
        let mut bytes = Vec::new();
        for plan in batches {
            let producer = plan.producer.map_or((-1, -1), |(who, _)| self.who(who));
            bytes.extend(make::batch(plan, producer, self.time + self.made * APART));
            self.made += 1;
        }
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(bytes.into()));
        let topic = TopicProduceData::default().with_name(self.topic_name(topic)).with_partition_data(vec![data]);
        let name = name.map(|name| TransactionalId(text(&self.whole(format!("t{name}")))));
        let request = ProduceRequest::default()
            .with_transactional_id(name)
            .with_acks(-1)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        loop {
            let answer = self.client.ask(version, &request).await;
            let one = &answer.responses[0].partition_responses[0];
            if self.passes(one.error_code).await {
                continue;
            }
            let stamped = if one.log_append_time_ms < 0 { "no time" } else { "stamped" };
            if one.error_code != 0 {
                // Whether the log's start is told with an error is the releases' own affair.
                return format!("code {}", one.error_code);
            }
            return format!("offset {} start {} {stamped}", one.base_offset, one.log_start_offset);
        }
    }

    pub(crate) async fn trim(&mut self, topic: Topic, partition: i32, to: i64) -> String {
        let one = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(to);
        let topic = DeleteRecordsTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![one]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let mut answer = self.client.ask(1, &request).await;
        while self.passes(answer.topics[0].partitions[0].error_code).await {
            answer = self.client.ask(1, &request).await;
        }
        let one = &answer.topics[0].partitions[0];
        format!("code {} start {}", one.error_code, one.low_watermark)
    }

    pub(crate) async fn commit(&mut self, group: u8, topic: Topic, partition: i32, offset: i64) -> String {
        let one = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text("note")));
        let topic = OffsetCommitRequestTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![one]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.whole(format!("g{group}")))))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        loop {
            let code = self.client.ask(7, &request).await.topics[0].partitions[0].error_code;
            if !self.passes(code).await {
                return format!("code {code}");
            }
        }
    }
}
