//! Grammar of names that become parts of object keys or go to a broker.

use std::collections::BTreeMap;

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

/// What is wrong with a target that `other` has already: what goes there from both would be mixed.
#[must_use]
pub fn shared_target(other: &str) -> String {
    format!("{other:?} is mapped to it as well; targets must differ")
}

/// Sources of a mapping whose target a source before them has already, with the target and what is wrong with it.
#[must_use]
pub fn shared_targets(mapping: &BTreeMap<String, String>) -> Vec<(&str, &str, String)> {
    let mut known = BTreeMap::new();
    let twice = mapping.iter().filter_map(|(source, target)| {
        let other: &String = known.insert(target, source)?;
        Some((source.as_str(), target.as_str(), shared_target(other)))
    });
    twice.collect()
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

/// Host and port of a broker's address, the host without brackets.
#[must_use]
pub fn host_and_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}

/// Checks the address of a broker: `host:port`, an IPv6 address in brackets.
///
/// # Errors
/// The fix for what was written.
pub fn check_server(server: &str) -> Result<(), String> {
    if let Some((scheme, rest)) = server.split_once("://") {
        let rest = rest.trim_end_matches('/');
        return Err(match check_server(rest) {
            Ok(()) => format!("write {rest}, without {scheme}://"),
            // What is behind it is none, either: its right form is the whole fix.
            Err(fix) => format!("{fix}, and without {scheme}://"),
        });
    }
    if let Some(inner) = server.strip_prefix('[').and_then(|server| server.strip_suffix(']'))
        && inner.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return Err(format!("write {server}:9092, with the port of the listener"));
    }
    let Some((host, port)) = server.rsplit_once(':') else {
        return Err(format!("write {server}:9092, with the port of the listener"));
    };
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!("write [{host}]:{port}"));
    }
    if server.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!("write [{server}]:9092, with the port of the listener"));
    }
    if is_no_ipv4(host) {
        return Err(format!("{host} is no IPv4 address; write four numbers of 0-255, as 10.0.0.1:{port}"));
    }
    if let Some(part) = host.split('.').find(|part| part.len() > LABEL) {
        let count = part.len();
        return Err(format!(
            "a part of the name has {count} characters, and no DNS has more than {LABEL}; write the name as DNS has it"
        ));
    }
    if !is_host(host) {
        return Err("write one address in each entry, as kafka:9092".to_owned());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("write a port of 1 to 65535 behind the ':'".to_owned()),
    }
}

/// Whether a text is a host of an address: a name, an IPv4 address, or an IPv6 address in brackets.
#[must_use]
pub fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let bare = host.strip_suffix('.').unwrap_or(host);
    !is_no_ipv4(bare)
        && (1..=MAX_NAME).contains(&bare.len())
        && bare.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && bare.split('.').all(|part| (1..=LABEL).contains(&part.len()))
}

/// Longest part of a name between two dots.
const LABEL: usize = 63;

/// Whether a text can only be an IPv4 address, since no top-level name is a number, and is none.
fn is_no_ipv4(host: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    host.rsplit('.').next().is_some_and(is_number) && host.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_has_two_sources() {
        let of =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        assert_eq!(shared_targets(&of(&[("a", "x"), ("b", "y")])), []);
        let rule = |other: &str| format!("{other:?} is mapped to it as well; targets must differ");
        let three = of(&[("a", "x"), ("b", "x"), ("c", "x")]);
        assert_eq!(shared_targets(&three), [("b", "x", rule("a")), ("c", "x", rule("b"))]);
    }

    #[test]
    fn addresses_of_brokers_say_their_right_form() {
        for good in ["kafka:9092", "10.0.0.1:1", "b-1.msk.eu:9096", "[::1]:9092", "kafka.svc.:9092", "a_b:1"] {
            assert_eq!(check_server(good), Ok(()), "{good}");
        }
        let long = format!("{}.svc:9092", "a".repeat(64));
        assert_eq!(check_server(&format!("{}.svc:9092", "a".repeat(63))), Ok(()));
        for (bad, fix) in [
            ("::1:9092", "write [::1]:9092"),
            ("fe80::1", "write [fe80::1]:9092"),
            ("http://a:1/", "write a:1"),
            ("SASL_SSL://a:1", "write a:1"),
            ("[::1]", "write [::1]:9092"),
            ("http://kafka", "write kafka:9092, with the port of the listener, and without http://"),
            ("https://[::1]/", "write [::1]:9092"),
            ("999.1.1.1:9092", "999.1.1.1 is no IPv4 address; write four numbers of 0-255"),
            ("10.0.0:9092", "is no IPv4 address"),
            (long.as_str(), "has 64 characters, and no DNS has more than 63"),
            ("kafka", "write kafka:9092"),
            ("kafka:", "1 to 65535"),
            (":9092", "one address"),
            ("kafka:0", "1 to 65535"),
            ("kafka:70000", "1 to 65535"),
            ("a:1,b:2", "one address in each entry"),
            ("[a]:1", "one address"),
            ("a..b:1", "one address"),
            ("${HOST}:9092", "one address"),
            ("käfka:9092", "one address"),
        ] {
            assert!(check_server(bad).unwrap_err().contains(fix), "{bad}: {:?}", check_server(bad));
        }
    }

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
