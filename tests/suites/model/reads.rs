//! Questions of a history.

use std::fmt::Write as _;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{
    BrokerId, DescribeConfigsRequest, DescribeProducersRequest, FetchRequest, GroupId, ListGroupsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
};
use uuid::Uuid;

use crate::player::{Player, text};
use crate::see::fetched;
use crate::step::{By, Spot, Topic};

/// The source of a config that a topic has of its own.
const OF_THE_TOPIC: i8 = 1;
/// What stands for the newest time of a log.
const NEWEST: i64 = -3;
/// From here on a fetch names topics by id.
const BY_ID: i16 = 13;

impl Player {
    pub(crate) async fn fetch(&mut self, version: i16, committed: bool, bytes: i32, spots: &[Spot]) -> String {
        let mut topics = Vec::new();
        for spot in spots {
            let current = self.epoch(spot.topic, spot.partition, spot.epoch).await;
            let last = self.epoch(spot.topic, spot.partition, spot.fetched).await;
            let one = FetchPartition::default()
                .with_partition(spot.partition)
                .with_current_leader_epoch(if version >= 9 { current } else { -1 })
                .with_fetch_offset(spot.offset)
                .with_last_fetched_epoch(if version >= 12 { last } else { -1 })
                .with_partition_max_bytes(spot.bytes);
            let topic = FetchTopic::default().with_partitions(vec![one]);
            topics.push(if version >= BY_ID {
                topic.with_topic_id(self.topic_id(spot.topic))
            } else {
                topic.with_topic(self.topic_name(spot.topic))
            });
        }
        let mut answers = self.fetch_all(version, committed, bytes, topics.clone()).await;
        while answers.iter().any(|(.., text)| text.starts_with("code 6 ")) && self.passes(6).await {
            answers = self.fetch_all(version, committed, bytes, topics.clone()).await;
        }
        let mut lines: Vec<String> =
            answers.into_iter().map(|(topic, partition, text)| format!("{topic}/{partition} {text}")).collect();
        lines.sort();
        lines.join("\n    ")
    }

    async fn fetch_all(
        &mut self,
        version: i16,
        committed: bool,
        bytes: i32,
        topics: Vec<FetchTopic>,
    ) -> Vec<(String, i32, String)> {
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(0)
            .with_min_bytes(0)
            .with_max_bytes(bytes)
            .with_isolation_level(i8::from(committed))
            .with_session_epoch(-1)
            .with_topics(topics);
        let answer = self.client.ask(version, &request).await;
        if answer.error_code != 0 {
            return vec![("all".to_owned(), -1, format!("code {}", answer.error_code))];
        }
        let mut out = Vec::new();
        for topic in &answer.responses {
            let name = if version >= BY_ID {
                self.id_name(topic.topic_id)
            } else {
                self.short(&topic.topic.0).unwrap_or("?").to_owned()
            };
            for data in &topic.partitions {
                out.push((name.clone(), data.partition_index, fetched(data, &mut self.names)));
            }
        }
        out
    }

    /// Whether the leader of a partition answers as one.
    pub(crate) async fn answers(&mut self, letter: char, id: Uuid, partition: i32) -> bool {
        let one = FetchPartition::default().with_partition(partition).with_partition_max_bytes(1).with_fetch_offset(-5);
        let topic = FetchTopic::default()
            .with_topic_id(id)
            .with_topic(self.topic_name(Topic::Now(letter)))
            .with_partitions(vec![one]);
        let request = FetchRequest::default().with_session_epoch(-1).with_max_bytes(1).with_topics(vec![topic]);
        let answer = self.client.ask(BY_ID, &request).await;
        // An offset that cannot be is out of range, and that is what only a leader says.
        answer.responses.iter().flat_map(|topic| &topic.partitions).any(|data: &PartitionData| data.error_code == 1)
    }

    pub(crate) async fn look(&mut self, letter: char, version: i16, bytes: i32) -> String {
        let topic = Topic::Now(letter);
        let known = self.known(&[topic]).await;
        let count = known.first().map_or(0, |topic| topic.partitions.len() as i32);
        let mut out = format!("{count} partitions");
        for partition in 0..count {
            let place = (topic, partition);
            let (start, _) = self.offset(1, false, place, -2).await;
            let (end, _) = self.offset(1, false, place, -1).await;
            for offset in (start - 1).max(0)..=end + 1 {
                for committed in [false, true] {
                    let spot = Spot { topic, partition, offset, epoch: None, fetched: None, bytes };
                    let said = self.fetch(version, committed, i32::MAX, &[spot]).await;
                    write!(out, "\n    from {offset}, committed {committed}: {said}").expect("text");
                }
            }
        }
        out
    }

    async fn offset(&mut self, version: i16, committed: bool, place: (Topic, i32), time: i64) -> (i64, String) {
        self.ask_offset(version, committed, place, time, -1).await
    }

    async fn ask_offset(
        &mut self,
        version: i16,
        committed: bool,
        (topic, partition): (Topic, i32),
        time: i64,
        epoch: i32,
    ) -> (i64, String) {
        let one = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(time)
            .with_current_leader_epoch(if version >= 4 { epoch } else { -1 });
        let asked = ListOffsetsTopic::default().with_name(self.topic_name(topic)).with_partitions(vec![one]);
        let isolation = if version >= 2 { i8::from(committed) } else { 0 };
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation)
            .with_topics(vec![asked]);
        let mut answer = self.client.ask(version, &request).await;
        while self.passes(answer.topics[0].partitions[0].error_code).await {
            answer = self.client.ask(version, &request).await;
        }
        let one = &answer.topics[0].partitions[0];
        // Times of the broker's own clock are hidden.
        let time = match one.timestamp {
            time if time > self.time + 3_000_000 => "now".to_owned(),
            time => time.to_string(),
        };
        (one.offset, format!("code {} offset {} epoch {} time {time}", one.error_code, one.offset, one.leader_epoch))
    }

    pub(crate) async fn offsets(
        &mut self,
        version: i16,
        committed: bool,
        place: (Topic, i32),
        time: i64,
        epoch: Option<i32>,
    ) -> String {
        let epoch = self.epoch(place.0, place.1, epoch).await;
        let said = self.ask_offset(version, committed, place, time, epoch).await.1;
        // The newest time counts what was deleted, too, as long as its segment stands.
        let has_lost = time == NEWEST && self.offset(1, false, place, -2).await.0 > 0;
        if has_lost { "the newest of a log that lost some".to_owned() } else { said }
    }

    pub(crate) async fn epoch_end(&mut self, topic: Topic, partition: i32, epoch: i32, current: Option<i32>) -> String {
        let wanted = self.epoch(topic, partition, Some(epoch)).await;
        let current = self.epoch(topic, partition, current).await;
        let one = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_leader_epoch(wanted)
            .with_current_leader_epoch(current);
        let asked = OffsetForLeaderTopic::default().with_topic(self.topic_name(topic)).with_partitions(vec![one]);
        let request = OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-2)).with_topics(vec![asked]);
        let mut answer = self.client.ask(3, &request).await;
        while self.passes(answer.topics[0].partitions[0].error_code).await {
            answer = self.client.ask(3, &request).await;
        }
        let one = &answer.topics[0].partitions[0];
        format!("code {} epoch {} end {}", one.error_code, one.leader_epoch, one.end_offset)
    }

    pub(crate) async fn metadata(&mut self, by: By, topics: &[Topic]) -> String {
        use kafka_protocol::messages::TopicName;
        let wanted = topics.iter().map(|topic| {
            let (id, name): (Uuid, Option<TopicName>) = match by {
                By::Id => (self.topic_id(*topic), None),
                By::Name | By::All => (Uuid::nil(), Some(self.topic_name(*topic))),
            };
            MetadataRequestTopic::default().with_topic_id(id).with_name(name)
        });
        let wanted = (by != By::All).then(|| wanted.collect());
        let request = MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(false);
        let answer = self.client.ask(12, &request).await;
        let mut lines = Vec::new();
        for topic in &answer.topics {
            let name = topic.name.as_ref().map_or(Some("no name"), |name| self.short(&name.0));
            let Some(name) = name else { continue };
            let mut line = format!("{name} code {} {}", topic.error_code, self.id_name(topic.topic_id));
            let mut partitions: Vec<_> = topic.partitions.iter().collect();
            partitions.sort_by_key(|one| one.partition_index);
            for one in partitions {
                write!(
                    line,
                    " [{} code {} leader {} epoch {} replicas {:?} in sync {:?}]",
                    one.partition_index,
                    one.error_code,
                    one.leader_id.0,
                    one.leader_epoch,
                    one.replica_nodes,
                    one.isr_nodes
                )
                .expect("text");
            }
            lines.push(line);
        }
        lines.sort();
        // Brokers answer once where a topic was asked for twice.
        lines.dedup();
        lines.join("\n    ")
    }

    pub(crate) async fn configs(&mut self, topic: Topic) -> String {
        let asked =
            DescribeConfigsResource::default().with_resource_type(2).with_resource_name(self.topic_name(topic).0);
        let request = DescribeConfigsRequest::default().with_resources(vec![asked]);
        let answer = self.client.ask(4, &request).await;
        let result = &answer.results[0];
        let own = result.configs.iter().filter(|one| one.config_source == OF_THE_TOPIC);
        let mut own: Vec<_> =
            own.map(|one| format!("{}={}", &*one.name, one.value.as_deref().unwrap_or("null"))).collect();
        own.sort();
        format!("code {} {}", result.error_code, own.join(" "))
    }

    pub(crate) async fn producers(&mut self, topic: Topic, partition: i32) -> String {
        let asked = TopicRequest::default().with_name(self.topic_name(topic)).with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![asked]);
        let answer = self.client.ask(0, &request).await;
        let one = &answer.topics[0].partitions[0];
        let mut lines = Vec::new();
        for producer in &one.active_producers {
            lines.push(format!(
                "{}/{} last {} open from {}",
                self.names.of(producer.producer_id.0),
                producer.producer_epoch,
                producer.last_sequence,
                producer.current_txn_start_offset
            ));
        }
        lines.sort();
        format!("code {} {}", one.error_code, lines.join(", "))
    }

    pub(crate) async fn committed(&mut self, group: u8) -> String {
        let id = GroupId(text(&self.whole(format!("g{group}"))));
        let request = OffsetFetchRequest::default()
            .with_groups(vec![OffsetFetchRequestGroup::default().with_group_id(id).with_topics(None)]);
        loop {
            let answer = self.client.ask(8, &request).await;
            let group = &answer.groups[0];
            if self.passes(group.error_code).await {
                continue;
            }
            let mut lines = Vec::new();
            for topic in &group.topics {
                for one in &topic.partitions {
                    lines.push(format!(
                        "{}/{} code {} offset {} epoch {} {:?}",
                        self.short(&topic.name.0).unwrap_or("?"),
                        one.partition_index,
                        one.error_code,
                        one.committed_offset,
                        one.committed_leader_epoch,
                        one.metadata.as_deref()
                    ));
                }
            }
            lines.sort();
            return format!("code {} {}", group.error_code, lines.join(", "));
        }
    }

    pub(crate) async fn groups(&mut self) -> String {
        let answer = self.client.ask(5, &ListGroupsRequest::default()).await;
        let ours = answer.groups.iter().filter_map(|group| {
            let name = self.short(&group.group_id.0)?;
            let (protocol, state, kind) = (&*group.protocol_type, &*group.group_state, &*group.group_type);
            Some(format!("{name} protocol {protocol:?} state {state} type {kind}"))
        });
        let mut lines: Vec<_> = ours.collect();
        lines.sort();
        format!("code {} {}", answer.error_code, lines.join(", "))
    }
}
