//! What a failed TLS handshake says, in words for people. Pure.
//!
//! The TLS library's error comes in through two doors, the Kafka client and the HTTP library, of which the second passes
//! its words on alone: so both are read from the words. Tests of both sides pin them to the library.

use jiff::Timestamp;

/// Whom the words are about: a broker and a store have their fields in different places.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The name that was dialled.
    pub host: &'a str,
    /// What to do about an issuer that is not trusted.
    pub trust: &'a str,
    /// What to do about a refused client certificate; `None` where we have none.
    pub identity: Option<&'a str>,
    /// What to do where the peer wants a client certificate and we have none.
    pub wanted: &'a str,
    /// Whether it asked for a client certificate in this handshake; `None` where nobody noted that.
    pub asked: Option<bool>,
}

/// What this client takes, for people whose peer has nothing of it.
const TAKEN: &str = "this client takes TLS 1.2 and 1.3 with AES-GCM or ChaCha20, the groups X25519, P-256 and P-384, and keys of RSA from 2048 bits, P-256, P-384, P-521 (with TLS 1.3) and Ed25519";
/// The command that makes a key that everybody takes.
const GOOD_KEY: &str = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out new.key";

/// The reason for which TLS with a peer failed for good, in words, with the fix; `None` when the words are no
/// judgement of TLS.
#[must_use]
pub fn reason(words: &str, peer: Peer<'_>) -> Option<String> {
    if let Some((_, certificate)) = words.split_once("invalid peer certificate: ") {
        return Some(certificate_reason(certificate, peer));
    }
    if let Some((_, alert)) = words.split_once("received fatal alert: ") {
        return Some(alert_reason(alert, peer));
    }
    if says_no_tls(words) {
        return Some("it does not speak TLS on this port".to_owned());
    }
    if words.contains("peer is incompatible") {
        return Some(
            "it offers neither TLS 1.2 nor 1.3 with a modern cipher; enable TLS 1.2 or newer there".to_owned(),
        );
    }
    words.contains("peer misbehaved").then(|| "its TLS breaks the protocol; look at what stands in between".to_owned())
}

/// Whether these words say that the peer speaks something else than TLS.
#[must_use]
pub fn says_no_tls(words: &str) -> bool {
    words.contains("received corrupt message") || words.contains("received unexpected message")
}

fn certificate_reason(words: &str, peer: Peer<'_>) -> String {
    let host = peer.host;
    let is = |start: &str| words.starts_with(start);
    if is("certificate not valid for name") {
        let names = names(words);
        let names = if names.is_empty() { "no name at all (it has no subjectAltName)".to_owned() } else { names };
        return format!(
            "its certificate is for {names}, and not for {host}; use an address that it names, or have {host} added to its subjectAltName"
        );
    }
    let seconds = |mark: &str| {
        let (_, rest) = words.split_once(mark)?;
        Timestamp::from_second(rest.split_whitespace().next()?.parse().ok()?).ok()
    };
    if is("certificate expired") || words == "Expired" {
        let since = seconds("not valid after ").map_or_else(String::new, |at| format!(" since {at}"));
        return format!("its certificate has expired{since}; renew it there");
    }
    if is("certificate not valid yet") || words == "NotValidYet" {
        let from = seconds("not valid before ").map_or_else(String::new, |at| format!(" before {at}"));
        return format!("its certificate is not valid{from}; correct the clock of this machine, or the certificate");
    }
    if is("UnknownIssuer") {
        return format!("its certificate is signed by an issuer that is not trusted here; {}", peer.trust);
    }
    if is("BadSignature") {
        return format!(
            "its certificate is signed by another CA of the same name, or a key of RSA under 2048 bits is behind it, which is not trusted any more; {}, or have one issued for a good key: {GOOD_KEY}",
            peer.trust
        );
    }
    if words.contains("CaUsedAsEndEntity") {
        return "its certificate is marked as a CA (basicConstraints CA:TRUE), which no server's may be; have one issued without it".to_owned();
    }
    if words.contains("UnsupportedCertVersion") {
        return "its certificate is of X.509 version 1, which has no names; have one of version 3 issued".to_owned();
    }
    if is("Revoked") {
        return "its certificate was revoked; have a new one issued".to_owned();
    }
    if words.contains("extended key usage") || is("InvalidPurpose") {
        return "its certificate is not for servers (extendedKeyUsage lacks serverAuth); have one issued for them"
            .to_owned();
    }
    if words.contains("UnsupportedSignature") {
        return format!(
            "its certificate is signed in a way that is not taken here (SHA-1, or a CA's key on another curve than P-256, P-384 and P-521, or of Ed448); have a new one issued by a CA with another key: {GOOD_KEY}"
        );
    }
    "its certificate cannot be read; have a new one issued (X.509 version 3, with subjectAltName)".to_owned()
}

/// The names that a certificate has, without the library's wrapping.
fn names(words: &str) -> String {
    let Some((_, list)) = words.split_once("is only valid for ") else { return String::new() };
    let bare = |name: &str| {
        let inside = name.split_once('(').map_or(name, |(_, inside)| inside);
        inside.trim_end_matches(')').trim_matches('"').to_owned()
    };
    list.replace(" or ", ", ").split(", ").map(bare).collect::<Vec<_>>().join(", ")
}

fn alert_reason(alert: &str, peer: Peer<'_>) -> String {
    let alert: String = alert.chars().take_while(char::is_ascii_alphanumeric).collect();
    match (alert.as_str(), peer.identity) {
        ("CertificateRequired", _) | ("BadCertificate" | "CertificateUnknown", None) => {
            format!("it wants a client certificate, and none was given; {}", peer.wanted)
        }
        ("HandshakeFailure", identity) => match (peer.asked, identity) {
            (Some(true), None) => format!("it wants a client certificate, and none was given; {}", peer.wanted),
            (Some(true), Some(fix)) => format!("it refused our client certificate; {fix}"),
            (Some(false), _) => no_common(),
            (None, None) => {
                format!("it wants a client certificate, and none was given; {}; or {}", peer.wanted, no_common())
            }
            (None, Some(fix)) => format!("it refused our client certificate; {fix}; or {}", no_common()),
        },
        ("InsufficientSecurity", _) => no_common(),
        ("UnknownCA", Some(fix)) => format!("it does not trust the issuer of our client certificate; {fix}"),
        ("CertificateExpired", Some(fix)) => format!("our client certificate has expired; {fix}"),
        ("CertificateRevoked", Some(fix)) => format!("our client certificate was revoked; {fix}"),
        ("ProtocolVersion", _) => "it offers neither TLS 1.2 nor 1.3; enable TLS 1.2 or newer there".to_owned(),
        ("UnrecognisedName", _) => format!("it knows no server {}; correct the address", peer.host),
        (_, Some(fix)) => format!("it refused our client certificate; {fix}"),
        (_, None) => "it ended the TLS handshake; look at its log for the reason".to_owned(),
    }
}

/// Nothing of what one side offers is taken by the other one.
fn no_common() -> String {
    format!(
        "it has no cipher, group or kind of key in common with this client, or no certificate; {TAKEN}: enable one of these there, or have a certificate issued for a good key: {GOOD_KEY}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(words: &str, identity: Option<&str>) -> Option<String> {
        asked(words, identity, None)
    }

    fn asked(words: &str, identity: Option<&str>, asked: Option<bool>) -> Option<String> {
        reason(words, Peer { host: "kafka", trust: "set caFile", identity, wanted: "set certificateFile", asked })
    }

    #[test]
    fn each_judgement_has_its_reason_and_fix() {
        let cases = [
            (
                "invalid peer certificate: certificate not valid for name \"kafka\"; certificate is only valid for DnsName(\"a.b\"), DnsName(\"c\") or IpAddress(10.0.0.1)",
                "its certificate is for a.b, c, 10.0.0.1, and not for kafka; use an address that it names, or have kafka added to its subjectAltName",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"kafka\"; certificate is not valid for any names (according to its subjectAltName extension)",
                "its certificate is for no name at all (it has no subjectAltName), and not for kafka; use an address that it names, or have kafka added to its subjectAltName",
            ),
            (
                "invalid peer certificate: certificate expired: verification time 1767225700 (UNIX), but certificate is not valid after 1767225600 (100 seconds ago)",
                "its certificate has expired since 2026-01-01T00:00:00Z; renew it there",
            ),
            (
                "x: invalid peer certificate: UnknownIssuer",
                "its certificate is signed by an issuer that is not trusted here; set caFile",
            ),
            (
                "received fatal alert: CertificateRequired",
                "it wants a client certificate, and none was given; set certificateFile",
            ),
            ("received corrupt message of type InvalidContentType", "it does not speak TLS on this port"),
        ];
        for (words, said) in cases {
            assert_eq!(say(words, None).as_deref(), Some(said));
        }
        assert_eq!(
            say("received fatal alert: UnknownCA (x)", Some("correct it")).as_deref(),
            Some("it does not trust the issuer of our client certificate; correct it")
        );
        let failure = "received fatal alert: HandshakeFailure";
        assert!(asked(failure, None, Some(true)).unwrap().starts_with("it wants a client certificate"));
        assert!(asked(failure, Some("correct it"), Some(true)).unwrap().starts_with("it refused our client"));
        for identity in [None, Some("correct it")] {
            let said = asked(failure, identity, Some(false)).unwrap();
            assert!(said.starts_with("it has no cipher, group or kind of key in common"), "{said}");
        }
        assert_eq!(say("Connection reset by peer (os error 104)", None), None);
    }
}
