//! Rules of the `kafkaCluster` block.

use contract::names::check_server;
use contract::{OPEN_PASSWORD, OPEN_PASSWORD_FIX, TlsSpec};

use super::names::{id_key, object_name};
use crate::finding::Findings;
use crate::oso::{KafkaCluster, SaslSecret};

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

pub(crate) fn cluster(out: &mut Findings, at: &str, cluster: &KafkaCluster) {
    let servers = format!("{at}.bootstrapServers");
    if cluster.bootstrap_servers.is_empty() {
        out.missing(&servers, "needs at least one address", "write host:port of a broker");
    }
    for (number, server) in cluster.bootstrap_servers.iter().enumerate() {
        if let Err(fix) = check_server(server) {
            let rule = "must be host:port, an IPv6 address in brackets";
            out.wrong(&format!("{servers}[{number}]"), format!("{server:?}"), rule, &fix);
        }
    }
    security(out, at, cluster);
    if let Some(connection) = &cluster.connection {
        out.above_zero(&format!("{at}.connection.connectionsPerBroker"), connection.connections_per_broker);
    }
}

fn security(out: &mut Findings, at: &str, cluster: &KafkaCluster) {
    let protocol = cluster.security_protocol.to_ascii_uppercase();
    let field = format!("{at}.securityProtocol");
    if out.one_of(&field, &protocol, &PROTOCOLS) {
        let (sasl, tls) = (protocol.starts_with("SASL"), protocol.ends_with("SSL"));
        let shown = Some(protocol.clone());
        if sasl && cluster.sasl_secret.is_none() {
            let rule = format!("is required with {protocol}, which asks for a login");
            out.missing(&format!("{at}.saslSecret"), &rule, "name a Secret with user name and password, or set SSL");
        }
        let is_plain = |secret: &SaslSecret| secret.mechanism.eq_ignore_ascii_case("PLAIN");
        if sasl && !tls && cluster.sasl_secret.as_ref().is_some_and(is_plain) {
            let (field, shown) = (format!("{at}.saslSecret.mechanism"), Some("\"PLAIN\"".to_owned()));
            out.warn(&field, shown, OPEN_PASSWORD, OPEN_PASSWORD_FIX);
        }
        if tls && cluster.tls_secret.is_none() && cluster.ca_secret.is_none() {
            let rule = "without tlsSecret or caSecret, the system's trust roots are used";
            out.warn(&field, shown.clone(), rule, "set caSecret if the brokers' authority is your own");
        }
        if !sasl && cluster.sasl_secret.is_some() {
            let fix = "set SASL_SSL or SASL_PLAINTEXT, or remove saslSecret";
            out.warn(&format!("{at}.saslSecret"), None, &format!("has no effect with {protocol}"), fix);
        }
        if !tls && (cluster.tls_secret.is_some() || cluster.ca_secret.is_some()) {
            let field = if cluster.tls_secret.is_some() { "tlsSecret" } else { "caSecret" };
            let fix = "set SSL or SASL_SSL, or remove it";
            out.warn(&format!("{at}.{field}"), None, &format!("has no effect with {protocol}"), fix);
        }
    }
    if let Some(secret) = &cluster.sasl_secret {
        object_name(out, &format!("{at}.saslSecret.name"), &secret.name);
        id_key(out, &format!("{at}.saslSecret.usernameKey"), &secret.username_key, "the brokers");
        out.one_of(&format!("{at}.saslSecret.mechanism"), &secret.mechanism.to_ascii_uppercase(), &MECHANISMS);
    }
    if let Some(secret) = &cluster.ca_secret {
        object_name(out, &format!("{at}.caSecret.name"), &secret.name);
    }
    if let Some(secret) = &cluster.tls_secret {
        object_name(out, &format!("{at}.tlsSecret.name"), &secret.name);
        let rule = "certKey and keyKey go together: a client certificate needs its private key";
        match (&secret.cert_key, &secret.key_key) {
            (Some(cert), None) if TlsSpec::may_hold_a_key(cert) => {}
            (Some(_), None) => out.missing(&format!("{at}.tlsSecret.keyKey"), rule, "name the key of the private key"),
            (None, Some(_)) => out.missing(&format!("{at}.tlsSecret.certKey"), rule, "name the key of the certificate"),
            _ => {}
        }
        if secret.key_password_key.is_some() && secret.cert_key.is_none() {
            let rule = "has no effect without certKey: it is the password of a private key or a keystore";
            out.wrong(
                &format!("{at}.tlsSecret.keyPasswordKey"),
                "set",
                rule,
                "name the certificate, too, or remove it",
            );
        }
    }
}
