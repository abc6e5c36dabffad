//! What a listener is when it is not what the specification says, in words with the field to change. Pure.

use contract::SecurityProtocol;

/// Where a TLS record with an alert begins.
const ALERT: &[u8] = &[21, 3];
/// What this client can log in with.
const OURS: &str = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512";

/// What a listener is found to be. Each is shown by what it sent, not guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// It speaks TLS, and we did not.
    SpeaksTls,
    /// It does not speak TLS, and we did; the mechanisms of its login, `None` when it has no login.
    SpeaksPlain(Option<Vec<String>>),
    /// It wants a login with one of these mechanisms, and we gave none.
    WantsLogin(Vec<String>),
    /// It has no login, and we wanted to log in.
    HasNoLogin,
    /// It is for the cluster's controllers.
    Controllers,
    /// It is a web server.
    Http,
    /// It speaks something else.
    Foreign,
    /// It hangs up on the first question of any client, and speaks no TLS.
    EndsAtHello,
    /// It hangs up when a mechanism is named.
    EndsAtMechanism,
    /// It hangs up on a user of this mechanism.
    EndsAtPassword(&'static str),
}

/// What the first bytes of an answer show; `None` when they may be Kafka's.
pub(crate) fn shown_by(first: &[u8]) -> Option<Misfit> {
    if first.starts_with(ALERT) {
        return Some(Misfit::SpeaksTls);
    }
    if first.starts_with(b"HTTP") {
        return Some(Misfit::Http);
    }
    // A length of more than 512 MiB, or a negative one: letters in most cases.
    (first.len() >= 4 && first.first().is_some_and(|byte| *byte >= 32)).then_some(Misfit::Foreign)
}

/// Mechanisms as a list, an empty one in words.
pub(crate) fn offered(mechanisms: &[String]) -> String {
    if mechanisms.is_empty() { "no mechanism at all".to_owned() } else { mechanisms.join(", ") }
}

impl Misfit {
    /// What it is, behind its address.
    pub(crate) fn told(&self, protocol: SecurityProtocol) -> String {
        let words = self.words(protocol);
        match self {
            Self::SpeaksTls
            | Self::SpeaksPlain(_)
            | Self::WantsLogin(_)
            | Self::HasNoLogin
            | Self::Controllers
            | Self::Http
            | Self::Foreign => format!("is another kind of listener: {words}"),
            Self::EndsAtHello | Self::EndsAtMechanism | Self::EndsAtPassword(_) => words,
        }
    }

    /// What is wrong with `protocol`, and what to set.
    pub(crate) fn words(&self, protocol: SecurityProtocol) -> String {
        let now = protocol.name();
        let login = |mechanisms: &[String]| format!("with sasl and one of its mechanisms ({})", offered(mechanisms));
        match self {
            Self::SpeaksTls if protocol.uses_sasl() => {
                format!(
                    "it speaks TLS, and securityProtocol is {now}; set securityProtocol to SASL_SSL, or to SSL where it has no login"
                )
            }
            Self::SpeaksTls => format!(
                "it speaks TLS, and securityProtocol is {now}; set securityProtocol to SSL, or to SASL_SSL where it wants a login"
            ),
            Self::SpeaksPlain(None) => {
                format!("it does not speak TLS, and securityProtocol is {now}; set securityProtocol to PLAINTEXT")
            }
            Self::SpeaksPlain(Some(mechanisms)) => format!(
                "it does not speak TLS, and securityProtocol is {now}; set securityProtocol to SASL_PLAINTEXT, {}",
                login(mechanisms)
            ),
            Self::WantsLogin(mechanisms) => {
                let right = if protocol.uses_tls() { "SASL_SSL" } else { "SASL_PLAINTEXT" };
                format!(
                    "it wants a login, and securityProtocol is {now}; set securityProtocol to {right}, {}",
                    login(mechanisms)
                )
            }
            Self::HasNoLogin => {
                let right = if protocol.uses_tls() { "SSL" } else { "PLAINTEXT" };
                format!("it has no login, and securityProtocol is {now}; set securityProtocol to {right}")
            }
            Self::Controllers => {
                "it is a listener for the cluster's controllers; put the address of a listener for clients into bootstrapServers"
                    .to_owned()
            }
            Self::Http => {
                "it is a web server (it answers with HTTP); put the address of a Kafka listener into bootstrapServers".to_owned()
            }
            Self::Foreign => {
                "it is not a Kafka listener; put the address of a Kafka listener into bootstrapServers".to_owned()
            }
            Self::EndsAtHello => format!(
                "closes the connection at the first question (ApiVersions), and securityProtocol is {now}; put the address of a Kafka listener into bootstrapServers, and look at what stands in between (a proxy, a load balancer without a server)"
            ),
            Self::EndsAtMechanism => {
                let right = if protocol.uses_tls() { "SSL" } else { "PLAINTEXT" };
                format!(
                    "closes the connection where the login begins (SaslHandshake), and securityProtocol is {now}; set securityProtocol to {right} where the listener has no login, else look at the broker's log"
                )
            }
            Self::EndsAtPassword(mechanism) => format!(
                "closed the connection in the middle of the login with {mechanism}, as brokers do that refuse a user without a word; correct the files that sasl names, or sasl.mechanism"
            ),
        }
    }
}

/// Why a login with `wanted` cannot be, given what the listener offers.
pub(crate) fn no_such_mechanism(wanted: &str, mechanisms: &[String]) -> String {
    let can = mechanisms.iter().any(|mechanism| OURS.split(", ").any(|ours| ours == mechanism));
    let fix = if can {
        "set sasl.mechanism to one of them".to_owned()
    } else {
        format!("enable one of {OURS} at the listener (sasl.enabled.mechanisms), or use a listener that has one")
    };
    format!("it offers {}, and sasl.mechanism is {wanted}; {fix}", offered(mechanisms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_show_what_speaks() {
        assert_eq!(shown_by(&[21, 3, 3, 0, 2, 2, 80]), Some(Misfit::SpeaksTls));
        assert_eq!(shown_by(b"HTTP/1.1 400"), Some(Misfit::Http));
        assert_eq!(shown_by(b"SSH-2.0-OpenSSH"), Some(Misfit::Foreign));
        for kafka in [&[0, 0, 2, 208, 0, 0, 0, 1][..], &[0, 0], &[], &[18, 0, 0, 0]] {
            assert_eq!(shown_by(kafka), None);
        }
    }

    #[test]
    fn an_empty_list_is_said_in_words() {
        let said = no_such_mechanism("PLAIN", &[]);
        assert!(
            said.starts_with("it offers no mechanism at all, and sasl.mechanism is PLAIN; enable one of"),
            "{said}"
        );
        let said = Misfit::EndsAtMechanism.told(SecurityProtocol::SaslSsl);
        assert!(said.starts_with("closes the connection") && said.contains("set securityProtocol to SSL"), "{said}");
        let said = no_such_mechanism("PLAIN", &["SCRAM-SHA-512".into(), "GSSAPI".into()]);
        assert!(said.ends_with("set sasl.mechanism to one of them"), "{said}");
        let said = Misfit::WantsLogin(vec!["PLAIN".into()]).words(SecurityProtocol::Ssl);
        assert_eq!(
            said,
            "it wants a login, and securityProtocol is SSL; set securityProtocol to SASL_SSL, with sasl and one of its mechanisms (PLAIN)"
        );
    }
}
