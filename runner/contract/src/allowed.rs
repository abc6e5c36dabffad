//! Where an installation lets runs connect to: hosts, whole domains and networks. Pure.
//!
//! Names are compared as they are written: nothing is asked of DNS, since its answers are those of whoever owns the name. So a
//! network is for addresses that are written as numbers, and a host with a name is allowed by its name only.

use std::net::IpAddr;

/// The endpoints that runs may connect to; all of them when the list is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedEndpoints(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    hosts: Hosts,
    /// Any when absent.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Name(String),
    /// Every name that ends so, with the dot.
    Below(String),
    Network(IpAddr, u8),
}

/// How an entry is written.
const FORM: &str = "write a host (kafka.example.com), a domain (*.example.com), an address or a network (10.0.0.0/8, fd00::/8), each with a port or without (kafka.example.com:9092, [fd00::/8]:9092)";

impl AllowedEndpoints {
    /// Reads a list.
    ///
    /// # Errors
    /// The place of the first entry that is none, and the rule.
    pub fn parse(list: &[String]) -> Result<Self, (usize, String)> {
        let read = |(place, text): (usize, &String)| {
            rule(text).ok_or_else(|| (place, format!("is {text:?}, which is no endpoint; {FORM}")))
        };
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a run may connect there. `host` is a name or an address, in brackets or not.
    #[must_use]
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let bare = bare(host);
        let address = bare.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let fits = |rule: &Rule| {
            let right = match &rule.hosts {
                Hosts::Name(name) => *name == bare,
                Hosts::Below(domain) => bare.strip_suffix(domain.as_str()).is_some_and(|name| !name.is_empty()),
                Hosts::Network(network, bits) => address.is_some_and(|address| is_inside(address, *network, *bits)),
            };
            right && rule.port.is_none_or(|allowed| allowed == port)
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

/// A host as it is compared: without brackets, the dot at the end, and capitals.
fn bare(host: &str) -> String {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    inside.strip_suffix('.').unwrap_or(inside).to_ascii_lowercase()
}

fn rule(text: &str) -> Option<Rule> {
    // An IPv6 address without brackets has colons, and no port.
    let (host, port) = match network(text) {
        Some(_) => (text, None),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0)?)),
            None => (text, None),
        },
    };
    let bare = bare(host);
    let is_name = |name: &str| crate::names::is_host(name) && !name.starts_with('[');
    let hosts = if let Some((network, bits)) = network(&bare) {
        Hosts::Network(network, bits)
    } else if host.starts_with('[') {
        return None;
    } else if let Some(domain) = bare.strip_prefix('*') {
        domain.strip_prefix('.').filter(|domain| is_name(domain))?;
        Hosts::Below(domain.to_owned())
    } else {
        Hosts::Name(Some(bare).filter(|name| is_name(name))?)
    };
    Some(Rule { hosts, port })
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
    Some((address, bits))
}

fn is_inside(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let differs = |one: u128, other: u128, width: u32| {
        let rest = width - u32::from(bits);
        one.checked_shr(rest).unwrap_or(0) != other.checked_shr(rest).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => !differs(one.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => !differs(one.to_bits(), other.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// What is wrong with an endpoint that is not in the list.
pub const RULE: &str = "is not among the endpoints that this installation allows";
/// What to do about it.
pub const FIX: &str = "use one of them, or have it added to allowedEndpoints (ALLOWED_ENDPOINTS of the operator)";

/// Both of an endpoint, in words.
#[must_use]
pub fn outside(endpoint: &str) -> String {
    format!("{endpoint} {RULE}; {FIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowedEndpoints {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        AllowedEndpoints::parse(&entries).unwrap()
    }

    #[test]
    fn an_empty_list_allows_everything() {
        assert!(list(&[]).allows("anywhere.example.com", 1) && list(&[]).allows("::1", 9092));
    }

    #[test]
    fn hosts_domains_and_networks_are_told_apart() {
        let allowed = list(&[
            "kafka.shop.svc",
            "*.Example.com:9093",
            "10.0.0.0/8",
            "192.168.7.9:9000",
            "[fd00::/8]:9092",
            "2001:db8::1",
        ]);
        for (host, port) in [
            ("kafka.shop.svc", 1),
            ("KAFKA.shop.svc.", 9092),
            ("b-1.example.com", 9093),
            ("a.b.example.com", 9093),
            ("10.255.1.2", 5),
            ("::ffff:10.1.1.1", 5),
            ("192.168.7.9", 9000),
            ("[fd12::1]", 9092),
            ("2001:db8::1", 7),
        ] {
            assert!(allowed.allows(host, port), "{host}:{port}");
        }
        for (host, port) in [
            ("kafka.shop.svc.evil.com", 1),
            ("evilkafka.shop.svc", 1),
            ("b-1.example.com", 9092),
            ("example.com", 9093),
            ("notexample.com", 9093),
            ("11.0.0.1", 5),
            ("10.0.0.1.evil.com", 5),
            ("192.168.7.9", 9001),
            ("fd12::1", 9093),
            ("fe80::1", 9092),
            ("2001:db8::2", 7),
            ("", 1),
        ] {
            assert!(!allowed.allows(host, port), "{host}:{port}");
        }
        assert!(list(&["0.0.0.0/0"]).allows("1.2.3.4", 1) && !list(&["0.0.0.0/0"]).allows("a.b", 1));
    }

    #[test]
    fn what_is_no_endpoint_is_named_with_its_place() {
        for wrong in
            ["", "*", "*.", "a b", "https://a", "10.0.0.0/33", "a:0", "a:70000", "a/b", "*x.com", "a.*.com", "[a]:1"]
        {
            let (place, text) = AllowedEndpoints::parse(&["a".into(), wrong.into()]).unwrap_err();
            assert!(place == 1 && text.contains(&format!("{wrong:?}")), "{wrong:?}: {text}");
        }
    }
}
