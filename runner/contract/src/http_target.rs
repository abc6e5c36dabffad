//! Where an HTTP request of a run goes that is no request to a store. Pure.
//!
//! A path or a query of such an address may be a password: none of it is ever shown.

use crate::store_address::authority;

/// What is wrong with a URL, and what to do; nothing of the URL is in the text. `None` when it can be used.
#[must_use]
pub fn broken_rule(url: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some("is no URL; write http://host:port/path or https://host/path");
    };
    if scheme != "http" && scheme != "https" {
        return Some("must begin with http:// or https://");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if host.contains('@') {
        return Some("has a user in it; write https://host/path without one");
    }
    if url.contains('#') {
        return Some("has a fragment, which is not sent; remove what begins with '#'");
    }
    if !url.chars().all(|c| c.is_ascii_graphic()) {
        return Some("has characters that no URL has; write them in percent form");
    }
    let fits = authority(url).is_some_and(|(_, port)| port > 0);
    (!fits).then_some("has no host, or a port that is none; write https://host:port/path")
}

/// Host and port as they are shown, for example `hooks.example.com:443`.
#[must_use]
pub fn shown(url: &str) -> String {
    authority(url).map_or_else(|| "an address that is none".to_owned(), |(host, port)| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_without_a_user_are_taken() {
        for good in ["http://127.0.0.1:8080/x", "https://hooks.example.com/a/b?c=d", "http://[::1]:9/", "https://h"] {
            assert_eq!(broken_rule(good), None, "{good}");
        }
        for bad in ["", "h", "ftp://h", "https://", "https://u:p@h/", "http://h:0/", "http://h:99999", "http://h/ä"] {
            assert!(broken_rule(bad).is_some(), "{bad}");
        }
        assert!(broken_rule("https://h/a#b").is_some() && broken_rule("https://h/a b").is_some());
    }

    #[test]
    fn nothing_behind_host_and_port_is_shown() {
        assert_eq!(shown("https://hooks.example.com/services/T0/secret?token=x"), "hooks.example.com:443");
        assert_eq!(shown("http://h:81/x"), "h:81");
    }
}
