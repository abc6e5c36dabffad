//! Metadata beside committed offsets that is longer than the brokers take: found before anything is written. It is never cut:
//! what a consumer wrote there is its own.

use std::collections::BTreeMap;

use contract::Failure;
use wire::{Cluster, WireError, code};

/// The config of brokers that bounds it.
pub(crate) const CONFIG: &str = "offset.metadata.max.bytes";
/// Places that a message names.
const NAMED: usize = 3;

/// The longest metadata that the brokers take; `None` where they do not tell us.
///
/// # Errors
/// When no broker answers.
pub(crate) async fn longest(cluster: &Cluster) -> Result<Option<usize>, Failure> {
    let forbidden = |error: &WireError| error.broker_code() == Some(code::CLUSTER_AUTHORIZATION_FAILED);
    match cluster.broker_configs().await {
        Ok(configs) => Ok(told(&configs)),
        Err(error) if forbidden(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bound among the configs of a broker.
pub(crate) fn told(configs: &BTreeMap<String, String>) -> Option<usize> {
    configs.get(CONFIG)?.parse().ok()
}

/// Whether brokers refuse it: they count UTF-16 units, whatever the name of the config says.
pub(crate) fn is_longer(metadata: Option<&str>, longest: usize) -> bool {
    metadata.is_some_and(|text| size(text) > longest)
}

fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

/// A place of a group, with the metadata of its commit.
pub(crate) type Beside<'a> = (&'a str, i32, Option<&'a str>);

/// What brokers would refuse of one group, in words; `None` when they take all of it.
pub(crate) fn too_long<'a>(
    group: &str,
    offsets: impl Iterator<Item = Beside<'a>>,
    longest: Option<usize>,
) -> Option<String> {
    let longest = longest?;
    let wrong: Vec<_> = offsets.filter(|(.., metadata)| is_longer(*metadata, longest)).collect();
    let words = |(topic, partition, metadata): &Beside<'_>| {
        format!("{topic}/{partition} ({} characters)", size(metadata.unwrap_or_default()))
    };
    let named = wrong.iter().take(NAMED).map(words).collect::<Vec<_>>().join(", ");
    let more = match wrong.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more partitions"),
    };
    (!wrong.is_empty()).then(|| {
        format!(
            "consumer group {group:?}: the metadata beside its offsets of {named}{more} is longer than the {longest} characters \
             that the cluster takes ({CONFIG} of its brokers)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brokers_refuse_is_named_with_size_and_limit() {
        let configs = BTreeMap::from([(CONFIG.to_owned(), "4096".to_owned())]);
        let longest = told(&configs);
        assert_eq!((longest, told(&BTreeMap::new())), (Some(4_096), None));
        let fits = "ü".repeat(4_096);
        assert!(fits.len() > 4_096 && !is_longer(Some(&fits), 4_096), "brokers count no bytes");
        assert!(is_longer(Some(&format!("{fits}x")), 4_096) && !is_longer(None, 0));
        let long = "x".repeat(5_000);
        let text = too_long("g", [("t", 0, None), ("t", 1, Some(long.as_str()))].into_iter(), longest).unwrap();
        assert!(text.contains("\"g\"") && text.contains("t/1 (5000 characters)") && text.contains("4096"), "{text}");
        assert!(!text.contains("t/0"), "{text}");
        assert_eq!(too_long("g", [("t", 1, Some(long.as_str()))].into_iter(), None), None, "nobody tells the limit");
        let many = (0..9).map(|partition| ("t", partition, Some(long.as_str())));
        assert!(too_long("g", many, longest).unwrap().contains("and 6 more partitions"));
    }
}
