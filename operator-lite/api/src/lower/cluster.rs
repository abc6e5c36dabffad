//! The `kafkaCluster` block as the runner reads it.

use contract::{ConnectionSpec, KafkaSpec, SaslMechanism, SaslSpec, SecurityProtocol, TlsSpec};

use crate::oso::{Connection, KafkaCluster, SaslSecret};

pub(super) fn cluster(cluster: &KafkaCluster) -> KafkaSpec {
    let protocol = match cluster.security_protocol.to_ascii_uppercase().as_str() {
        "SSL" => SecurityProtocol::Ssl,
        "SASL_PLAINTEXT" => SecurityProtocol::SaslPlaintext,
        "SASL_SSL" => SecurityProtocol::SaslSsl,
        _ => SecurityProtocol::Plaintext,
    };
    KafkaSpec {
        bootstrap_servers: cluster.bootstrap_servers.clone(),
        security_protocol: protocol,
        tls: protocol.uses_tls().then(|| tls(cluster)).flatten(),
        sasl: cluster.sasl_secret.as_ref().filter(|_| protocol.uses_sasl()).map(sasl),
        connection: cluster.connection.as_ref().map_or_else(ConnectionSpec::default, connection),
    }
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
        ca_file: own.or_else(|| tls.map(|secret| file(&secret.name, &secret.ca_key))),
        certificate_file: pick(tls.and_then(|secret| secret.cert_key.as_ref())),
        key_file: pick(tls.and_then(|secret| secret.key_key.as_ref())),
    })
}

fn sasl(secret: &SaslSecret) -> SaslSpec {
    SaslSpec {
        mechanism: match secret.mechanism.to_ascii_uppercase().as_str() {
            "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
            "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
            _ => SaslMechanism::Plain,
        },
        username_file: format!("{}/{}", secret.name, secret.username_key),
        password_file: format!("{}/{}", secret.name, secret.password_key),
    }
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
