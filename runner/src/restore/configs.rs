//! Which configs a restore copies, which it holds off while it works, and what it leaves behind. Pure.

use std::collections::BTreeMap;

/// Configs that belong to the source cluster's operation, not to the topic's data.
const NEVER: [&str; 4] = [
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    // How brokers of old releases stored messages; unknown since Kafka 4.0 (KIP-724).
    "message.downconversion.enable",
    "message.format.version",
];
/// Prefixes of tiering configs: the target may have no tiering.
const NEVER_PREFIX: [&str; 2] = ["remote.", "local.retention."];

/// Values in force while records are produced: nothing expires, nothing is compacted, source times are accepted.
const HOLDS: [(&str, &str); 6] = [
    ("cleanup.policy", "delete"),
    ("message.timestamp.after.max.ms", "9223372036854775807"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
];

/// The configs of the source that a created topic gets.
pub(crate) fn for_creation(source: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let copied = |name: &str| !NEVER.contains(&name) && !NEVER_PREFIX.iter().any(|prefix| name.starts_with(prefix));
    source.iter().filter(|(name, _)| copied(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The config that a broker says it does not know (the words of `InvalidConfigurationException` in Apache Kafka).
pub(crate) fn unknown_config(message: &str) -> Option<&str> {
    message.split_once("Unknown topic config name: ").map(|(_, name)| name.trim())
}

/// The configs to change before producing, given the values in force.
///
/// `created` topics also take batches as they are and as large as they come.
pub(crate) fn holds(effective: &BTreeMap<String, String>, created: bool, largest: u64) -> BTreeMap<String, String> {
    let differs = |name: &str, value: &str| effective.get(name).is_some_and(|current| current != value);
    let mut out: BTreeMap<String, String> = HOLDS
        .iter()
        .filter(|(name, value)| differs(name, value))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    if created && differs("compression.type", "producer") {
        out.insert("compression.type".into(), "producer".into());
    }
    if created
        && number(effective, "max.message.bytes").is_some_and(|limit| u64::try_from(limit).unwrap_or(0) < largest)
    {
        out.insert("max.message.bytes".into(), largest.to_string());
    }
    out
}

/// What the final retention would do to restored records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// The config.
    pub(crate) config: &'static str,
    /// Its final value.
    pub(crate) value: i64,
}

/// The retention configs that would delete some of what was restored: by age of the oldest record, or by size.
pub(crate) fn expiring(
    effective: &BTreeMap<String, String>,
    now_ms: i64,
    oldest_ms: Option<i64>,
    largest_partition: u64,
) -> Vec<Expiry> {
    let deletes = effective.get("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
    let mut out = Vec::new();
    if !deletes {
        return out;
    }
    if let (Some(value @ 0..), Some(oldest)) = (number(effective, "retention.ms"), oldest_ms)
        && oldest < now_ms.saturating_sub(value)
    {
        out.push(Expiry { config: "retention.ms", value });
    }
    if let Some(value @ 0..) = number(effective, "retention.bytes")
        && largest_partition > u64::try_from(value).unwrap_or(0)
    {
        out.push(Expiry { config: "retention.bytes", value });
    }
    out
}

/// The largest batch that a topic takes: a batch must fit into a segment, too. `None` when the broker does not tell.
pub(crate) fn largest_batch(effective: &BTreeMap<String, String>) -> Option<usize> {
    let limits = ["max.message.bytes", "segment.bytes"].map(|name| number(effective, name));
    limits.into_iter().flatten().filter_map(|limit| usize::try_from(limit).ok()).min()
}

/// A numeric config in force.
pub(crate) fn number(effective: &BTreeMap<String, String>, name: &str) -> Option<i64> {
    effective.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn operational_configs_are_not_copied() {
        let source = map(&[
            ("retention.ms", "1"),
            ("remote.storage.enable", "true"),
            ("local.retention.ms", "1"),
            ("leader.replication.throttled.replicas", "*"),
        ]);
        assert_eq!(for_creation(&source), map(&[("retention.ms", "1")]));
    }

    #[test]
    fn only_what_differs_is_held() {
        let effective = map(&[
            ("retention.ms", "604800000"),
            ("retention.bytes", "-1"),
            ("cleanup.policy", "compact"),
            ("compression.type", "gzip"),
            ("max.message.bytes", "1000"),
        ]);
        assert_eq!(holds(&effective, false, 5000), map(&[("retention.ms", "-1"), ("cleanup.policy", "delete")]));
        let created = holds(&effective, true, 5000);
        assert_eq!((created["compression.type"].as_str(), created["max.message.bytes"].as_str()), ("producer", "5000"));
    }

    #[test]
    fn the_retention_guard_knows_age_and_size() {
        let effective = map(&[("retention.ms", "1000"), ("retention.bytes", "50"), ("cleanup.policy", "delete")]);
        let found = expiring(&effective, 10_000, Some(8_999), 51);
        assert_eq!(found.iter().map(|e| e.config).collect::<Vec<_>>(), ["retention.ms", "retention.bytes"]);
        assert!(expiring(&effective, 10_000, Some(9_000), 50).is_empty());
        assert!(expiring(&map(&[("retention.ms", "1"), ("cleanup.policy", "compact")]), 10_000, Some(0), 0).is_empty());
    }
}
