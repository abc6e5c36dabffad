//! What a cluster would say to what a restore is going to ask of it: topics that are created, and transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{CreateTopicsRequest, DescribeConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use crate::cluster::Cluster;
use crate::metadata::topic_name;
use crate::topics::check;
use crate::{NewTopic, Request, WireError};

/// Resource type of brokers in config requests.
const BROKER: i8 = 4;
/// How long the controller may take.
const ADMIN_WAIT: Duration = Duration::from_secs(30);

impl Cluster {
    /// Asks whether a topic could be created, and creates nothing.
    ///
    /// # Errors
    /// What the controller would say.
    pub async fn rehearse_topic(&self, topic: &NewTopic) -> Result<(), WireError> {
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
        let request = request.with_validate_only(true);
        self.retrying(async || {
            let answer = self.controller(&request, ADMIN_WAIT).await?;
            let result = answer.topics.into_iter().next();
            let (code, message) = result.map_or((-1, None), |t| (t.error_code, t.error_message));
            check(Request::CreateTopics, &format!("create topic {}", topic.name), code, message)
        })
        .await
    }

    /// The configs in force of one broker; all brokers of a cluster have the same ones where transactions are concerned.
    ///
    /// # Errors
    /// When they may not be read, or the deadline passes.
    pub async fn broker_configs(&self) -> Result<BTreeMap<String, String>, WireError> {
        let mut tries = 0;
        self.retrying(async || {
            // Only the broker itself tells its configs: another try asks another one.
            let ids = self.broker_ids();
            let id = ids.into_iter().cycle().nth(tries).ok_or_else(|| WireError::no_leader("the list of brokers"))?;
            tries += 1;
            let resource = DescribeConfigsResource::default().with_resource_type(BROKER);
            let resource = resource.with_resource_name(StrBytes::from_string(id.to_string()));
            let request =
                DescribeConfigsRequest::default().with_resources(vec![resource.with_configuration_keys(None)]);
            let answer = self.send(id, &request).await?;
            let mut out = BTreeMap::new();
            for result in answer.results {
                check(
                    Request::DescribeConfigs,
                    &format!("configs of broker {id}"),
                    result.error_code,
                    result.error_message,
                )?;
                let known =
                    |config: kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
                        Some((config.name.to_string(), config.value?.to_string()))
                    };
                out.extend(result.configs.into_iter().filter_map(known));
            }
            Ok(out)
        })
        .await
    }
}
