//! Configs that were set on consumer groups themselves (KIP-848, KIP-932): config resources of the type GROUP.
//!
//! A broker knows them of every id, also of one that is no group. Brokers before Kafka 3.9 do not know the type.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::protocol::StrBytes;

use crate::cluster::Cluster;
use crate::topics::{check, unanswered};
use crate::{Request, Retry, WireError, code};

/// Resource type of groups in config requests.
const GROUP: i8 = 32;
/// Config source of values that were set on the group itself.
const GROUP_SOURCE: i8 = 8;
/// Groups per request.
const CHUNK: usize = 200;

/// The configs that were set on groups.
#[derive(Debug, Clone, Default)]
pub struct GroupConfigs {
    /// By group id; empty where nothing was set.
    pub configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Groups whose configs are refused for good, and why.
    pub refused: BTreeMap<String, WireError>,
}

impl Cluster {
    /// The configs that were set on these groups, asked for as long as `patience`; `None` where brokers know no configs of
    /// groups.
    ///
    /// # Errors
    /// When no broker answers in time.
    pub async fn group_configs(&self, ids: &[String], patience: Duration) -> Result<Option<GroupConfigs>, WireError> {
        let mut out = GroupConfigs::default();
        for chunk in ids.chunks(CHUNK) {
            let told =
                self.retrying_for(patience.min(self.deadline()), async || self.describe_groups_configs(chunk).await);
            let Some(told) = told.await? else { return Ok(None) };
            out.configs.extend(told.configs);
            out.refused.extend(told.refused);
        }
        Ok(Some(out))
    }

    /// One question.
    async fn describe_groups_configs(&self, ids: &[String]) -> Result<Option<GroupConfigs>, WireError> {
        let ask = |id: &String| {
            let resource = DescribeConfigsResource::default().with_resource_type(GROUP);
            resource.with_resource_name(StrBytes::from_string(id.clone())).with_configuration_keys(None)
        };
        let request = DescribeConfigsRequest::default().with_resources(ids.iter().map(ask).collect());
        let answer = self.any(&request).await?;
        let mut told = Vec::with_capacity(ids.len());
        for result in answer.results {
            let id = result.resource_name.to_string();
            let said = check(Request::DescribeConfigs, &subject(&id), result.error_code, result.error_message);
            let own = result.configs.into_iter().filter(|config| config.config_source == GROUP_SOURCE);
            let own = own.filter_map(|config| Some((config.name.to_string(), config.value?.to_string())));
            told.push((id, said.map(|()| own.collect())));
        }
        sort_out(ids, told)
    }

    /// Sets configs of a group (`None` removes its own value), all of them or none.
    ///
    /// # Errors
    /// What the controller says.
    pub async fn alter_group(&self, id: &str, changes: &BTreeMap<String, Option<String>>) -> Result<(), WireError> {
        self.alter_configs((GROUP, id), &subject(id), changes).await
    }
}

fn subject(id: &str) -> String {
    format!("configs of group {id:?}")
}

/// What a broker says of one group.
type Told = (String, Result<BTreeMap<String, String>, WireError>);

/// What the answers mean: `None` where the broker knows no such resource. One that passes makes the whole be asked again.
fn sort_out(ids: &[String], told: Vec<Told>) -> Result<Option<GroupConfigs>, WireError> {
    let mut out = GroupConfigs::default();
    let mut unknown = 0;
    for (id, answer) in told {
        match answer {
            Ok(configs) => drop(out.configs.insert(id, configs)),
            Err(error) if error.retry() == Retry::Never => {
                let codes = [code::INVALID_REQUEST, code::UNSUPPORTED_VERSION];
                unknown += usize::from(error.broker_code().is_some_and(|code| codes.contains(&code)));
                out.refused.insert(id, error);
            }
            Err(error) => return Err(error),
        }
    }
    if !ids.is_empty() && unknown == ids.len() {
        return Ok(None);
    }
    match ids.iter().find(|id| !out.configs.contains_key(*id) && !out.refused.contains_key(*id)) {
        None => Ok(Some(out)),
        Some(id) => Err(unanswered(Request::DescribeConfigs, &subject(id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(codes: &[i16]) -> Result<Option<GroupConfigs>, WireError> {
        let ids: Vec<_> = (0..2).map(|number| format!("g{number}")).collect();
        let answer = |(number, code): (usize, &i16)| {
            let id = format!("g{number}");
            let set = BTreeMap::from([("consumer.session.timeout.ms".to_owned(), "50000".to_owned())]);
            (id.clone(), check(Request::DescribeConfigs, &subject(&id), *code, None).map(|()| set))
        };
        sort_out(&ids, codes.iter().enumerate().map(answer).collect())
    }

    #[test]
    fn brokers_that_do_not_know_the_type_are_told_from_those_that_refuse_a_group() {
        let both = told(&[0, 0]).unwrap().unwrap();
        assert_eq!((both.configs.len(), both.refused.len()), (2, 0));
        assert!(told(&[42, 42]).unwrap().is_none() && told(&[35, 35]).unwrap().is_none());
        for refused in [[0, 30], [0, 42]] {
            let one = told(&refused).unwrap().unwrap();
            assert_eq!((one.configs.len(), one.refused.len()), (1, 1), "{refused:?}");
        }
        assert_eq!(told(&[0, 7]).unwrap_err().broker_code(), Some(7), "it passes: asked again");
        assert!(matches!(told(&[0]), Err(WireError::Unanswered { .. })));
    }
}
