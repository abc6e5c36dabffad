//! Grammar of names that become parts of object keys or go to a broker.

/// Longest name of a backup set or restore, that of a Kubernetes object.
pub const MAX_NAME: usize = 253;

/// Kafka's own topics; brokers mark only some of them as internal. Whatever else begins with `__` belongs to users:
/// connectors and operators name their topics so.
pub const INTERNAL_TOPICS: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"];

/// Whether a topic is one of Kafka's own, which takes no records from outside.
#[must_use]
pub fn is_internal_topic(name: &str) -> bool {
    INTERNAL_TOPICS.contains(&name)
}

/// What C libraries say of a host name that does not exist (`EAI_NONAME`, `EAI_NODATA`): glibc, musl, macOS. The standard
/// library passes these words on, and no code.
const UNKNOWN_HOST: [&str; 5] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "Name has no usable address",
    "nodename nor servname provided, or not known",
];

/// Whether this failure to connect says that DNS knows no such host. A DNS that does not answer says something else.
#[must_use]
pub fn says_unknown_host(failure: &str) -> bool {
    UNKNOWN_HOST.iter().any(|words| failure.contains(words))
}

/// Checks a set or restore name: letters, digits, `.`, `_` and `-`, starting with a letter or digit.
///
/// # Errors
/// The rule that is broken, in words.
pub fn check_name(name: &str) -> Result<(), String> {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if name.is_empty() || name.len() > MAX_NAME || !first || !legal {
        return Err(format!(
            "must be 1 to {MAX_NAME} letters, digits, '.', '_' or '-', and start with a letter or digit"
        ));
    }
    Ok(())
}

/// Checks a Kafka topic name (`[a-zA-Z0-9._-]{1,249}`, not `.` or `..`).
///
/// # Errors
/// The rule that is broken, in words.
pub fn check_topic(name: &str) -> Result<(), String> {
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if name.is_empty() || name.len() > 249 || !legal || name == "." || name == ".." {
        return Err("must be 1 to 249 letters, digits, '.', '_' or '-', and neither '.' nor '..'".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "_restores", "-x", "a b", "ä"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        for good in ["a", "orders-eu", "A.b_c-9"] {
            check_name(good).unwrap();
        }
        assert!(check_topic("..").is_err() && check_topic("a/b").is_err() && check_topic(&"x".repeat(250)).is_err());
        check_topic("__consumer_offsets").unwrap();
    }

    #[test]
    fn a_dns_without_an_answer_is_no_unknown_host() {
        assert!(says_unknown_host("failed to lookup address information: Name or service not known"));
        assert!(!says_unknown_host("failed to lookup address information: Temporary failure in name resolution"));
    }

    #[test]
    fn topics_of_users_may_begin_with_underscores() {
        for name in
            ["__debezium-heartbeat.inventory", "__strimzi_canary", "__amazon_msk_canary", "__CruiseControlMetrics"]
        {
            assert!(!is_internal_topic(name), "{name}");
        }
        assert!(INTERNAL_TOPICS.iter().all(|name| is_internal_topic(name)));
    }
}
