//! Configs of topics in a recovery point and in the source.

use std::collections::{BTreeMap, HashMap};

use archive::{Point, TopicConfigs};
use contract::Failure;
use inspect::changed_configs;
use wire::{Cluster, Topic, own_configs};

/// A value in the point and in the source.
type Change = (Option<String>, Option<String>);

/// Configs of both sides.
pub(super) struct Configs {
    then: TopicConfigs,
    now: HashMap<String, wire::Configs>,
    /// Why the source does not tell those of a topic, by its name.
    pub(super) refused: BTreeMap<String, String>,
}

impl Configs {
    /// Reads both.
    ///
    /// # Errors
    /// When the archive is damaged, or no broker answers in time.
    pub(super) async fn ask(point: &Point, cluster: &Cluster, topics: &[Topic]) -> Result<Self, Failure> {
        let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        let told = cluster.configs_of_existing(&names).await?;
        let refused = told.refused.into_iter().map(|(name, error)| (name, error.to_string())).collect();
        Ok(Self { then: point.configs().await?, now: told.configs, refused })
    }

    /// Whether the source's cleaner may remove records of this topic, by its own config or by the brokers'. Where the source
    /// does not tell, what it told then counts.
    pub(super) fn compacts(&self, topic: &str) -> bool {
        let now = self.now.get(topic).and_then(|all| all.get("cleanup.policy")?.value.as_deref());
        let then = || self.then.get(topic).and_then(|all| all.get("cleanup.policy")).map(String::as_str);
        now.or_else(then).is_some_and(|policy| policy.contains("compact"))
    }

    /// Configs of its own that differ.
    pub(super) fn changed(&self, topic: &str) -> BTreeMap<String, Change> {
        let Some(now) = self.now.get(topic) else { return BTreeMap::new() };
        let none = BTreeMap::new();
        changed_configs(self.then.get(topic).unwrap_or(&none), &own_configs(now))
    }
}
