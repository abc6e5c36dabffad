//! Topics: their configs, creation, alteration, and deletion of records.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::cluster::Cluster;
use crate::metadata::{UNKNOWN_LOOKS, topic_name};
use crate::{Request, Retry, WireError, code};

/// Resource type of topics in config requests.
const TOPIC: i8 = 2;
/// Config source of values that were set on the topic itself.
const TOPIC_SOURCE: i8 = 1;
/// Topics per config request.
const CHUNK: usize = 200;
/// How long the controller may take.
const ADMIN_WAIT: Duration = Duration::from_secs(30);

/// A config value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The value; `None` for null and for sensitive values.
    pub value: Option<String>,
    /// Set on the topic itself, not inherited from the broker.
    pub own: bool,
}

/// The configs of a topic by name.
pub type Configs = BTreeMap<String, ConfigEntry>;

/// The configs that a topic has of its own, with their values.
#[must_use]
pub fn own_configs(entries: &Configs) -> BTreeMap<String, String> {
    let own = entries.iter().filter(|(_, entry)| entry.own);
    own.filter_map(|(key, entry)| Some((key.clone(), entry.value.clone()?))).collect()
}

/// What brokers tell of the configs of several topics.
#[derive(Debug, Clone, Default)]
pub struct ToldConfigs {
    /// The configs of each topic.
    pub configs: HashMap<String, Configs>,
    /// Topics whose configs are refused for good, and why.
    pub refused: BTreeMap<String, WireError>,
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Replication factor, -1 for the broker's default.
    pub replication: i16,
    /// Configs to set on it.
    pub configs: BTreeMap<String, String>,
}

/// What came of the request to create a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It was created.
    Done,
    /// It exists; whether an unanswered request of ours created it is not known.
    Perhaps,
}

impl Cluster {
    /// All configs of each topic.
    ///
    /// # Errors
    /// When a topic's configs may not be read, or the deadline passes.
    pub async fn topic_configs(&self, names: &[String]) -> Result<HashMap<String, Configs>, WireError> {
        let told = self.all_configs(names, false).await?;
        let first = told.refused.into_values().next();
        first.map_or(Ok(told.configs), Err)
    }

    /// The same for topics that may be deleted meanwhile: those that several looks in a row find unknown are left out. A
    /// refusal keeps back the configs of its topic alone.
    ///
    /// # Errors
    /// When the deadline passes.
    pub async fn configs_of_existing(&self, names: &[String]) -> Result<ToldConfigs, WireError> {
        self.all_configs(names, true).await
    }

    async fn all_configs(&self, names: &[String], may_go: bool) -> Result<ToldConfigs, WireError> {
        let mut out = ToldConfigs::default();
        for chunk in names.chunks(CHUNK) {
            let mut looks = 0;
            let found = self
                .retrying(async || {
                    let answers = self.describe_configs(chunk).await?;
                    looks += 1;
                    let mut found = ToldConfigs::default();
                    for (name, answer) in answers {
                        match answer {
                            Ok(configs) => drop(found.configs.insert(name, configs)),
                            Err(error) if may_go && looks >= UNKNOWN_LOOKS && is_unknown(&error) => {}
                            Err(error) if error.retry() == Retry::Never => drop(found.refused.insert(name, error)),
                            Err(error) => return Err(error),
                        }
                    }
                    Ok(found)
                })
                .await?;
            out.configs.extend(found.configs);
            out.refused.extend(found.refused);
        }
        Ok(out)
    }

    /// One question, and what the broker says of each topic.
    async fn describe_configs(&self, names: &[String]) -> Result<Vec<(String, Result<Configs, WireError>)>, WireError> {
        let ask = |name: &String| {
            let resource = DescribeConfigsResource::default().with_resource_type(TOPIC);
            resource.with_resource_name(StrBytes::from_string(name.clone())).with_configuration_keys(None)
        };
        let request = DescribeConfigsRequest::default().with_resources(names.iter().map(ask).collect());
        let answer = self.any(&request).await?;
        let entry = |c: DescribeConfigsResourceResult| {
            let own = c.config_source == TOPIC_SOURCE;
            (c.name.to_string(), ConfigEntry { value: c.value.map(|v| v.to_string()), own })
        };
        let mut out = Vec::with_capacity(names.len());
        for result in answer.results {
            let name = result.resource_name.to_string();
            let subject = format!("configs of topic {name}");
            let said = check(Request::DescribeConfigs, &subject, result.error_code, result.error_message);
            out.push((name, said.map(|()| result.configs.into_iter().map(entry).collect())));
        }
        let told: HashSet<&str> = out.iter().map(|(name, _)| name.as_str()).collect();
        match names.iter().find(|name| !told.contains(name.as_str())) {
            None => Ok(out),
            Some(name) => Err(unanswered(Request::DescribeConfigs, &format!("topic {name}"))),
        }
    }

    /// Creates a topic. One that exists already is an error, unless an earlier request of this call had no answer: then
    /// that request may have created it.
    ///
    /// # Errors
    /// What the controller says.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<Creation, WireError> {
        let configs = topic.configs.iter().map(|(name, value)| {
            let config = CreatableTopicConfig::default().with_name(StrBytes::from_string(name.clone()));
            config.with_value(Some(StrBytes::from_string(value.clone())))
        });
        let ask = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions)
            .with_replication_factor(topic.replication)
            .with_configs(configs.collect());
        let timeout = i32::try_from(ADMIN_WAIT.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest::default().with_topics(vec![ask]).with_timeout_ms(timeout);
        let mut in_doubt = false;
        self.retrying(async || {
            let answer = match self.controller(&request, ADMIN_WAIT).await {
                Ok(answer) => answer,
                Err(error) => {
                    in_doubt = true;
                    return Err(error);
                }
            };
            let subject = format!("create topic {}", topic.name);
            let result = answer.topics.into_iter().next();
            let Some(result) = result else {
                in_doubt = true;
                return Err(unanswered(Request::CreateTopics, &subject));
            };
            // The controller's own time-out does not say whether the topic comes, either.
            in_doubt |= result.error_code == code::REQUEST_TIMED_OUT;
            if result.error_code == code::TOPIC_ALREADY_EXISTS && in_doubt {
                return Ok(Creation::Perhaps);
            }
            check(Request::CreateTopics, &subject, result.error_code, result.error_message).map(|()| Creation::Done)
        })
        .await
    }

    /// Sets configs of a topic (`None` removes the topic's own value).
    ///
    /// # Errors
    /// What the controller says.
    pub async fn alter_topic(&self, name: &str, changes: &BTreeMap<String, Option<String>>) -> Result<(), WireError> {
        self.alter_configs((TOPIC, name), &format!("configs of topic {name}"), changes).await
    }

    /// Sets configs of a resource, by its type and name (`None` removes its own value), all of them or none.
    pub(crate) async fn alter_configs(
        &self,
        (kind, name): (i8, &str),
        subject: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), WireError> {
        let change = |(key, value): (&String, &Option<String>)| {
            AlterableConfig::default()
                .with_name(StrBytes::from_string(key.clone()))
                .with_config_operation(i8::from(value.is_none()))
                .with_value(value.clone().map(StrBytes::from_string))
        };
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_configs(changes.iter().map(change).collect());
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        self.retrying(async || {
            let answer = self.controller(&request, ADMIN_WAIT).await?;
            let result = answer.responses.into_iter().next();
            let result = result.ok_or_else(|| unanswered(Request::IncrementalAlterConfigs, subject))?;
            check(Request::IncrementalAlterConfigs, subject, result.error_code, result.error_message)
        })
        .await
    }

    /// Deletes the records of one partition below `before`; what is gone already is no error.
    ///
    /// # Errors
    /// When the leader refuses, for example because the topic is compacted.
    pub async fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<(), WireError> {
        let subject = format!("delete records of {topic}/{partition} below offset {before}");
        self.retrying(async || {
            let leader = self.leader(topic, partition).await?;
            let below = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(before);
            let ask = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![below]);
            let timeout = i32::try_from(ADMIN_WAIT.as_millis()).unwrap_or(i32::MAX);
            let request = DeleteRecordsRequest::default().with_topics(vec![ask]).with_timeout_ms(timeout);
            let answer = self.send(leader, &request).await?;
            let result = answer.topics.into_iter().flat_map(|t| t.partitions).next();
            let result = result.ok_or_else(|| unanswered(Request::DeleteRecords, &subject))?;
            check(Request::DeleteRecords, &subject, result.error_code, None)
        })
        .await
    }
}

fn is_unknown(error: &WireError) -> bool {
    error.broker_code() == Some(code::UNKNOWN_TOPIC_OR_PARTITION)
}

pub(crate) fn unanswered(request: Request, subject: &str) -> WireError {
    WireError::Unanswered { request, subject: subject.to_owned() }
}

/// The error of an answer, if it has one.
pub(crate) fn check(request: Request, subject: &str, code: i16, message: Option<StrBytes>) -> Result<(), WireError> {
    if code == 0 {
        return Ok(());
    }
    let message = message.map(|m| m.to_string());
    Err(WireError::Broker { request, subject: subject.to_owned(), code, message })
}
