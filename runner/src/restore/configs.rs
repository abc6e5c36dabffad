//! Which configs a restore copies, which it holds off while it works, and what it leaves behind. Pure.

use std::collections::BTreeMap;

/// The configs that say what a topic is (Apache Kafka 2.8 to 4.3, "Topic configs"): a created topic gets those of the source.
/// Any other one is shown, not set: who can write to an archive must not choose what a broker is told.
const CARRIED: [&str; 27] = [
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "index.interval.bytes",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];
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
const HOLDS: [(&str, &str); 8] = [
    ("cleanup.policy", "delete"),
    // Brokers that pack anew measure what they made: batches stay as they come.
    ("compression.type", "producer"),
    ("message.timestamp.after.max.ms", "9223372036854775807"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    // The older name: the only one up to 3.5, and up to 3.9 in force while the two above stand at their default.
    ("message.timestamp.difference.max.ms", "9223372036854775807"),
    ("message.timestamp.type", "CreateTime"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
];

/// Largest value of the configs that are bytes.
const LARGEST: u64 = i32::MAX as u64;
/// How much larger a batch may become on its way into a created topic.
const ROOM: u64 = 2;

/// The configs of the source that a created topic gets.
pub(crate) fn for_creation(source: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let carried = |name: &str| CARRIED.contains(&name);
    source.iter().filter(|(name, _)| carried(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Configs of the source that nobody would expect to be left out, as `name=value`.
pub(crate) fn left_out(source: &BTreeMap<String, String>) -> Vec<String> {
    let expected = |name: &str| {
        CARRIED.contains(&name) || NEVER.contains(&name) || NEVER_PREFIX.iter().any(|prefix| name.starts_with(prefix))
    };
    source.iter().filter(|(name, _)| !expected(name)).map(|(name, value)| format!("{name}={value}")).collect()
}

/// The config that a broker says it does not know (the words of `InvalidConfigurationException` in Apache Kafka).
pub(crate) fn unknown_config(message: &str) -> Option<&str> {
    // Brokers send one code for all configs, and the name in words.
    message.split_once("Unknown topic config name: ").map(|(_, name)| name.trim())
}

/// A value that a broker would take for a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound<'a> {
    pub(crate) config: &'a str,
    pub(crate) value: &'a str,
}

/// The bound that a broker names when it refuses a value (the words of `ConfigDef.Range` in Apache Kafka).
pub(crate) fn bound_of(message: &str) -> Option<Bound<'_>> {
    // Brokers send one code for all configs, and the bound in words.
    let (_, rest) = message.split_once(" for configuration ")?;
    let (config, rule) = rest.split_once(": Value must be ")?;
    let value = rule.strip_prefix("at least ").or_else(|| rule.strip_prefix("no more than "))?;
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let value = value.get(..end).filter(|value| !value.is_empty())?;
    Some(Bound { config: config.trim(), value })
}

/// The configs to change before producing, given the values in force.
///
/// Every topic gets segments that hold the largest batch; `created` topics also take batches as large as they come, with
/// room for a record that the source's producer packed better than a restore does.
pub(crate) fn holds(effective: &BTreeMap<String, String>, created: bool, largest: u64) -> BTreeMap<String, String> {
    let differs = |name: &str, value: &str| effective.get(name).is_some_and(|current| current != value);
    let mut out: BTreeMap<String, String> = HOLDS
        .iter()
        .filter(|(name, value)| differs(name, value))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut at_least = |name: &str, least: u64| {
        let least = least.min(LARGEST);
        if number(effective, name).is_some_and(|now| u64::try_from(now).unwrap_or(0) < least) {
            out.insert(name.to_owned(), least.to_string());
        }
    };
    at_least("segment.bytes", largest);
    if created {
        at_least("max.message.bytes", largest.saturating_mul(ROOM));
        at_least("segment.bytes", largest.saturating_mul(ROOM));
    }
    out
}

/// The values that a restore holds configs of these names at; a name that it never holds is not among them.
pub(crate) fn held_at<'a>(
    names: impl Iterator<Item = &'a String>,
    created: bool,
    largest: u64,
) -> BTreeMap<String, String> {
    // No config is held at zero: whichever it is, it would be changed.
    holds(&names.map(|name| (name.clone(), "0".to_owned())).collect(), created, largest)
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
            ("vendor.placement", "eu"),
        ]);
        assert_eq!(for_creation(&source), map(&[("retention.ms", "1")]));
        assert_eq!(left_out(&source), ["vendor.placement=eu"]);
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
        let held = map(&[("retention.ms", "-1"), ("cleanup.policy", "delete"), ("compression.type", "producer")]);
        assert_eq!(holds(&effective, false, 5000), held);
        assert_eq!(holds(&effective, true, 5000)["max.message.bytes"], "10000");
    }

    #[test]
    fn times_are_taken_by_brokers_of_every_age() {
        let forever = i64::MAX.to_string();
        let names = [
            "message.timestamp.difference.max.ms",
            "message.timestamp.before.max.ms",
            "message.timestamp.after.max.ms",
        ];
        for known in [&names[..1], &names[..], &names[1..]] {
            let effective: BTreeMap<_, _> = known.iter().map(|name| ((*name).to_owned(), "4000".to_owned())).collect();
            let held = holds(&effective, false, 10);
            assert!(held.len() == known.len() && held.values().all(|value| *value == forever), "{held:?}");
        }
    }

    #[test]
    fn segments_hold_the_largest_batch() {
        let effective = map(&[("segment.bytes", "100000"), ("max.message.bytes", "1048588")]);
        assert!(holds(&effective, false, 90_000).is_empty());
        assert_eq!(holds(&effective, false, 700_000), map(&[("segment.bytes", "700000")]));
        let created = holds(&effective, true, 700_000);
        assert_eq!(created, map(&[("segment.bytes", "1400000"), ("max.message.bytes", "1400000")]));
        assert_eq!(holds(&effective, true, u64::MAX)["segment.bytes"], "2147483647");
        assert_eq!(largest_batch(&effective), Some(100_000));
    }

    #[test]
    fn bounds_are_read_from_the_brokers_words() {
        let low = "create topic t: INVALID_CONFIG (40): Invalid value 100000 for configuration segment.bytes: Value must be at least 1048576";
        assert_eq!(bound_of(low), Some(Bound { config: "segment.bytes", value: "1048576" }));
        let high = "Invalid value 9 for configuration min.cleanable.dirty.ratio: Value must be no more than 1";
        assert_eq!(bound_of(high), Some(Bound { config: "min.cleanable.dirty.ratio", value: "1" }));
        assert_eq!(bound_of("Invalid value x for configuration cleanup.policy: Value must be one of compact"), None);
        assert_eq!(bound_of("Unknown topic config name: a"), None);
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
