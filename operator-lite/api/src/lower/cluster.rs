//! The `kafkaCluster` block as the runner reads it.

use contract::{ConnectionSpec, KafkaSpec, SaslMechanism, SaslSpec, SecurityProtocol, TlsSpec};

use super::unknown;
use crate::finding::Finding;
use crate::oso::{Connection, KafkaCluster, SaslSecret};

pub(super) fn cluster(cluster: &KafkaCluster) -> Result<KafkaSpec, Finding> {
    let protocol = match cluster.security_protocol.to_ascii_uppercase().as_str() {
        "PLAINTEXT" => SecurityProtocol::Plaintext,
        "SSL" => SecurityProtocol::Ssl,
        "SASL_PLAINTEXT" => SecurityProtocol::SaslPlaintext,
        "SASL_SSL" => SecurityProtocol::SaslSsl,
        _ => {
            let names = "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL";
            return Err(unknown("spec.kafkaCluster.securityProtocol", &cluster.security_protocol, names));
        }
    };
    let login = cluster.sasl_secret.as_ref().filter(|_| protocol.uses_sasl());
    Ok(KafkaSpec {
        bootstrap_servers: cluster.bootstrap_servers.clone(),
        security_protocol: protocol,
        tls: protocol.uses_tls().then(|| tls(cluster)).flatten(),
        sasl: login.map(sasl).transpose()?,
        connection: cluster.connection.as_ref().map_or_else(ConnectionSpec::default, connection),
    })
}

/// `caSecret` wins over the authority in `tlsSecret`.
fn tls(cluster: &KafkaCluster) -> Option<TlsSpec> {
    let file = |secret: &str, key: &str| format!("{secret}/{key}");
    let tls = cluster.tls_secret.as_ref();
    let own = cluster.ca_secret.as_ref().map(|secret| file(&secret.name, &secret.ca_key));
    if own.is_none() && tls.is_none() {
        return None;
    }
    let pick = |key: Option<&String>| tls.zip(key).map(|(secret, key)| file(&secret.name, key));
    Some(TlsSpec {
        ca_certificates: Vec::new(),
        ca_file: own.or_else(|| tls.map(|secret| file(&secret.name, &secret.ca_key))),
        certificate_file: pick(tls.and_then(|secret| secret.cert_key.as_ref())),
        key_file: pick(tls.and_then(|secret| secret.key_key.as_ref())),
        key_password_file: pick(tls.and_then(|secret| secret.key_password_key.as_ref())),
    })
}

fn sasl(secret: &SaslSecret) -> Result<SaslSpec, Finding> {
    Ok(SaslSpec {
        mechanism: match secret.mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => SaslMechanism::Plain,
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
            "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
            _ => {
                let names = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512";
                return Err(unknown("spec.kafkaCluster.saslSecret.mechanism", &secret.mechanism, names));
            }
        },
        username_file: Some(format!("{}/{}", secret.name, secret.username_key)),
        username: None,
        password_file: format!("{}/{}", secret.name, secret.password_key),
    })
}

fn connection(block: &Connection) -> ConnectionSpec {
    ConnectionSpec {
        tcp_keepalive: block.tcp_keepalive,
        keepalive_time_secs: block.keepalive_time_secs,
        keepalive_interval_secs: block.keepalive_interval_secs,
        tcp_nodelay: block.tcp_nodelay,
        connections_per_broker: block.connections_per_broker,
        ..ConnectionSpec::default()
    }
}
