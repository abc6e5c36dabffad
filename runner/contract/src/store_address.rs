//! Where requests to a store of one's own address go, and which names stores have. Pure.
//!
//! A request never leaves without its bucket: what would stand in the bucket's place is the first folder of a key, and a
//! bucket of that name may be there.

use crate::names;

/// An address, and how a bucket of S3 stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    /// Address of requests; Amazon's own when absent.
    pub endpoint: Option<String>,
    /// Whether the bucket is the first part of the path. Else it is in the host name, and in `endpoint` already.
    pub path_style: bool,
}

/// Where providers answer with the bucket in front: how the first name behind the bucket begins, and how the host ends.
const BUCKETS_IN_FRONT: [(&str, &str); 8] = [
    ("s3", ".amazonaws.com"),
    ("s3", ".amazonaws.com.cn"),
    ("storage", ".googleapis.com"),
    ("s3", ".wasabisys.com"),
    ("s3", ".backblazeb2.com"),
    ("oss-", ".aliyuncs.com"),
    ("", ".digitaloceanspaces.com"),
    ("", ".r2.cloudflarestorage.com"),
];

/// Whether a host is the bucket in front of a provider's own name. A host of somebody else may begin with a bucket's name
/// by chance.
fn is_in_front_of_a_provider(bucket: &str, host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase();
    let Some(behind) = name.strip_prefix(&format!("{bucket}.")) else { return false };
    let is_of = |(start, end): &(&str, &str)| behind.starts_with(start) && behind.ends_with(end);
    BUCKETS_IN_FRONT.iter().any(is_of)
}

/// The address of a bucket. With `endpoint` alone the bucket stands in the path, which compatible stores take; unless it
/// stands in front of the name of a provider that is known. `path_style` decides where it is said.
#[must_use]
pub fn bucket_address(bucket: &str, endpoint: Option<&str>, path_style: Option<bool>) -> BucketAddress {
    let Some(endpoint) = endpoint.map(|endpoint| endpoint.trim_end_matches('/')) else {
        return BucketAddress { endpoint: None, path_style: path_style == Some(true) };
    };
    let (scheme, host) = parts(endpoint);
    let is_inside = match path_style {
        Some(true) => false,
        Some(false) => host.starts_with(&format!("{bucket}.")),
        None => is_in_front_of_a_provider(bucket, host),
    };
    let (endpoint, path_style) = match path_style {
        None | Some(false) if is_inside => (endpoint.to_owned(), false),
        Some(false) => (format!("{}://{bucket}.{host}", scheme.unwrap_or("https")), false),
        Some(true) | None => (endpoint.to_owned(), true),
    };
    BucketAddress { endpoint: Some(endpoint), path_style }
}

/// Whether an endpoint's host begins with the bucket, and nothing shows that its server takes it from there.
#[must_use]
pub fn begins_with_bucket(bucket: &str, endpoint: &str) -> bool {
    let (_, host) = parts(endpoint);
    let begins = host.starts_with(&format!("{bucket}."));
    begins && takes_bucket_in_host(endpoint) && !is_in_front_of_a_provider(bucket, host.trim_end_matches('/'))
}

/// The scheme of an endpoint, if it has one, and the rest.
fn parts(endpoint: &str) -> (Option<&str>, &str) {
    endpoint.split_once("://").map_or((None, endpoint), |(scheme, rest)| (Some(scheme), rest))
}

/// Host and port that an endpoint leads to; `None` where it has no host, or no port that fits.
#[must_use]
pub fn authority(endpoint: &str) -> Option<(String, u16)> {
    let (scheme, rest) = parts(endpoint);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let default = if scheme == Some("http") { 80 } else { 443 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    names::is_host(host).then(|| (host.to_owned(), port))
}

/// What is wrong with an endpoint: a rule, and what to do. Some services have a path (`path_allowed`).
#[must_use]
pub fn broken_rule(endpoint: &str, path_allowed: bool) -> Option<(&'static str, &'static str)> {
    let (_, rest) = parts(endpoint);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') {
        Some(("has a user in it", "write https://host:port, and put credentials into a Secret"))
    } else if rest.contains(['?', '#']) {
        Some(("has a query in it", "write https://host:port"))
    } else if host.is_empty() {
        Some(("has no host", "write https://host:port"))
    } else if !path.trim_matches('/').is_empty() && !path_allowed {
        Some(("has a path in it", "write https://host:port, and put folders into prefix"))
    } else if !is_authority(host) || !path.chars().all(is_plain) {
        Some(("is no address", "write https://host:port, an IPv6 address in brackets, a port of 1 to 65535"))
    } else {
        None
    }
}

/// A host, and a port or none.
fn is_authority(text: &str) -> bool {
    if names::is_host(text) {
        return true;
    }
    let fits = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    text.rsplit_once(':').is_some_and(|(host, port)| names::is_host(host) && fits(port))
}

/// Longest name of a bucket or container, and longest prefix: what an archive puts behind it has room in a key.
const NAME: usize = 255;
const PREFIX: usize = 512;

/// A character that a path of a URL takes as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~/:".contains(c)
}

/// Checks the name of a bucket or container, as any store may have it.
///
/// # Errors
/// The rule that is broken.
pub fn check_bucket(name: &str) -> Result<(), String> {
    let legal = name.chars().all(|c| is_plain(c) && c != '/');
    if name.is_empty() || name.len() > NAME || !legal || name == "." || name == ".." {
        return Err(format!("must be 1 to {NAME} letters, digits, '-', '.' or '_', and no '/' or URL"));
    }
    Ok(())
}

/// Checks a region.
///
/// # Errors
/// The rule that is broken.
pub fn check_region(region: &str) -> Result<(), String> {
    if region.is_empty() {
        return Err("must not be empty; compatible stores take us-east-1".to_owned());
    }
    if region.len() > NAME || !region.chars().all(|c| is_plain(c) && !"/:".contains(c)) {
        return Err("must be letters, digits and '-', as eu-central-1; compatible stores take us-east-1".to_owned());
    }
    Ok(())
}

/// Checks a prefix of keys.
///
/// # Errors
/// The rule that is broken.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.len() > PREFIX {
        return Err(format!("has {} bytes; at most {PREFIX} are taken", prefix.len()));
    }
    if prefix.split('/').any(|part| part == ".." || part == ".") {
        return Err("must not have '.' and '..' as folders".to_owned());
    }
    let inner = prefix.trim_matches('/');
    if inner.split('/').any(str::is_empty) && !inner.is_empty() {
        return Err("must have a name for each folder between two '/'".to_owned());
    }
    match prefix.chars().find(|c| c.is_control() || *c == '\\') {
        Some(odd) => Err(format!("has the character {odd:?}, which not every store takes in a key")),
        None => Ok(()),
    }
}

/// An endpoint as messages may show it: without a user and a query, which may hold secrets.
#[must_use]
pub fn shown(endpoint: &str) -> String {
    let (scheme, rest) = parts(endpoint);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    scheme.map_or_else(|| rest.to_owned(), |scheme| format!("{scheme}://{rest}"))
}

/// Where Azure's own storage answers, in all of its clouds.
const AZURE: [&str; 5] = [
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
    ".blob.storage.azure.net",
];
/// Where Google's own storage answers.
const GOOGLE: [&str; 1] = [".googleapis.com"];

/// A provider whose identities are bearer tokens: whoever is sent one can use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// Azure.
    Azure,
    /// Google Cloud.
    Google,
}

/// Why the identity of a pod must not be sent to this endpoint, and what to do; `None` where the endpoint is the provider's
/// own, or of this machine. Amazon's identities only sign requests, for the host that they go to: they go anywhere.
#[must_use]
pub fn foreign_to_identity(endpoint: &str, provider: Bearer) -> Option<(&'static str, &'static str)> {
    let (_, rest) = parts(endpoint);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(inside) => inside.split(']').next().unwrap_or(inside),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let (own, fix): (&[&str], _) = match provider {
        Bearer::Azure => {
            (&AZURE, "name credentials (a key, a SAS token, a service principal), or leave the endpoint out")
        }
        Bearer::Google => (&GOOGLE, "name the key of a service account in credentials, or leave the endpoint out"),
    };
    let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_own = own.iter().any(|suffix| host.strip_suffix(suffix).is_some_and(|name| !name.is_empty()));
    let is_encrypted = endpoint.starts_with("https://");
    let rule = "is not the provider's own over https, and the identity of the pod would be sent there, with which whoever is there reads the archive";
    let may_go = is_loopback || is_own && is_encrypted;
    (!may_go).then_some((rule, fix))
}

/// Whether a bucket can be a part of this endpoint's host name: an IP address and `localhost` have none.
#[must_use]
pub fn takes_bucket_in_host(endpoint: &str) -> bool {
    let (_, rest) = parts(endpoint);
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    !host.starts_with('[') && host != "localhost" && host.parse::<std::net::Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_go_to_their_provider_only() {
        let goes = |endpoint: &str, provider| foreign_to_identity(endpoint, provider).is_none();
        for own in [
            "https://acct.blob.core.windows.net",
            "https://acct.privatelink.blob.core.windows.net:443/",
            "https://ACCT.blob.core.chinacloudapi.cn.",
            "https://acct.z01.blob.storage.azure.net",
            "http://127.0.0.1:10000/devstoreaccount1",
            "http://[::1]:10000",
            "http://localhost:10000",
        ] {
            assert!(goes(own, Bearer::Azure), "{own}");
        }
        for foreign in [
            "https://evil.example.com",
            "https://blob.core.windows.net.evil.example.com",
            "https://evilblob.core.windows.net",
            "https://.blob.core.windows.net",
            "https://evil.example.com/acct.blob.core.windows.net",
            "https://evil.example.com?.blob.core.windows.net",
            "https://evil.example.com#.blob.core.windows.net",
            "http://acct.blob.core.windows.net",
            "https://10.0.0.1",
            "https://localhost.evil.example.com",
        ] {
            assert!(!goes(foreign, Bearer::Azure), "{foreign}");
        }
        assert!(goes("https://storage.googleapis.com", Bearer::Google));
        assert!(goes("https://storage-psc.p.googleapis.com/", Bearer::Google));
        assert!(!goes("https://acct.blob.core.windows.net", Bearer::Google));
        assert!(!goes("https://storage.googleapis.com.evil.example.com", Bearer::Google));
    }

    #[test]
    fn no_request_leaves_without_its_bucket() {
        let address = |endpoint: Option<&str>, path_style: Option<bool>| {
            let address = bucket_address("orders", endpoint, path_style);
            (address.endpoint, address.path_style)
        };
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(address(None, None), (None, false));
        assert_eq!(address(None, Some(true)), (None, true));
        assert_eq!(address(Some("http://minio:9000/"), None), (own("http://minio:9000"), true));
        assert_eq!(address(Some("https://s3.example.com"), Some(true)), (own("https://s3.example.com"), true));
        assert_eq!(address(Some("https://s3.example.com"), Some(false)), (own("https://orders.s3.example.com"), false));
        let inside = address(Some("https://orders.s3.example.com:444"), Some(false));
        assert_eq!(inside, (own("https://orders.s3.example.com:444"), false));
        // Another bucket's name begins in the same way.
        assert_eq!(address(Some("https://orders-eu.example.com"), None), (own("https://orders-eu.example.com"), true));
    }

    #[test]
    fn a_host_that_begins_with_the_name_of_a_bucket_has_it_in_front_at_known_providers_only() {
        for (bucket, endpoint) in [
            ("minio", "http://minio.storage.svc:9000"),
            ("s3", "https://s3.example.com"),
            ("192", "http://192.168.1.10:9000"),
            ("orders", "https://orders.s3.example.com"),
            ("s3", "https://s3.eu-central-1.amazonaws.com"),
            ("s3", "https://s3.dualstack.eu-central-1.amazonaws.com"),
            ("bucket", "https://bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com"),
            ("storage", "https://storage.googleapis.com"),
            ("nyc3", "https://nyc3.digitaloceanspaces.com"),
            ("account", "https://account.r2.cloudflarestorage.com"),
            ("orders", "https://orders.s3.amazonaws.com.example.com"),
        ] {
            let address = bucket_address(bucket, Some(endpoint), None);
            assert_eq!(address, BucketAddress { endpoint: Some(endpoint.to_owned()), path_style: true });
        }
        assert!(begins_with_bucket("minio", "http://minio.storage.svc:9000"));
        assert!(
            !begins_with_bucket("192", "http://192.168.1.10:9000") && !begins_with_bucket("a", "https://minio:9000")
        );
        assert!(!begins_with_bucket("orders", "https://orders.s3.eu-central-1.amazonaws.com/"));
        for endpoint in [
            "https://orders.s3.eu-central-1.amazonaws.com",
            "https://orders.s3-eu-west-1.amazonaws.com:443",
            "https://orders.s3.cn-north-1.amazonaws.com.cn",
            "https://orders.storage.googleapis.com",
            "https://orders.nyc3.digitaloceanspaces.com",
            "https://orders.account.r2.cloudflarestorage.com",
            "https://orders.s3.us-west-004.backblazeb2.com",
        ] {
            let address = bucket_address("orders", Some(endpoint), None);
            assert_eq!(address, BucketAddress { endpoint: Some(endpoint.to_owned()), path_style: false });
        }
    }

    #[test]
    fn endpoints_are_a_scheme_and_a_host() {
        for good in ["https://minio:9000", "http://[::1]:9000/", "https://s3.example.com"] {
            assert_eq!(broken_rule(good, false), None, "{good}");
        }
        for (bad, rule) in [
            ("https://key:secret@minio", "has a user in it"),
            ("https://minio/?x=1", "has a query in it"),
            ("https://minio/backups", "has a path in it"),
            ("https://", "has no host"),
            ("https://minio:99999", "is no address"),
            ("https://${HOST}", "is no address"),
            ("https://mi nio", "is no address"),
            ("https://::1", "is no address"),
        ] {
            assert_eq!(broken_rule(bad, false).map(|(rule, _)| rule), Some(rule), "{bad}");
        }
        assert_eq!(shown("https://key:secret@minio/a?sig=x"), "https://minio/a");
        assert_eq!(broken_rule("http://127.0.0.1:10000/devstoreaccount1", true), None);
        assert!(takes_bucket_in_host("https://minio:9000") && takes_bucket_in_host("https://s3.example.com/"));
        for none in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost", "http://localhost:9000"] {
            assert!(!takes_bucket_in_host(none), "{none}");
        }
    }
}
