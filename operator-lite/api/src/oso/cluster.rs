//! How to reach a Kafka cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::{four, sixty, yes};

/// A Kafka cluster and the credentials for it. Secrets are read in the namespace of the resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaCluster {
    /// Addresses of brokers, each `host:port`; at least one.
    pub bootstrap_servers: Vec<String>,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, in any letter case.
    #[serde(default = "plaintext")]
    pub security_protocol: String,
    /// Certificates for TLS: an authority, a client certificate with its key, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<TlsSecret>,
    /// The authority that signed the brokers' certificates; wins over `tlsSecret.caKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<CaSecret>,
    /// User name and password for SASL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl_secret: Option<SaslSecret>,
    /// How connections are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

fn plaintext() -> String {
    "PLAINTEXT".to_owned()
}

/// Keys of a Secret with certificates in PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSecret {
    /// Name of the Secret.
    pub name: String,
    /// Key of the authority's certificate, in PEM or DER; or of a PKCS#12 keystore with its password beside it (`ca.password` beside
    /// `ca.p12`).
    #[serde(default = "ca_crt")]
    pub ca_key: String,
    /// Key of the client certificate; goes with `keyKey`. Or the key of a PKCS#12 keystore (`user.p12`), which has both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_key: Option<String>,
    /// Key of the client certificate's private key; goes with `certKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_key: Option<String>,
    /// Key of the password of an encrypted private key or of a keystore (`user.password` of Strimzi).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_password_key: Option<String>,
}

/// A Secret with an authority's certificate in PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaSecret {
    /// Name of the Secret.
    pub name: String,
    /// Key of the certificate, in PEM or DER; or of a PKCS#12 keystore with its password beside it (`ca.password` beside `ca.p12`).
    #[serde(default = "ca_crt")]
    pub ca_key: String,
}

fn ca_crt() -> String {
    "ca.crt".to_owned()
}

/// A Secret with a user's name and password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaslSecret {
    /// Name of the Secret.
    pub name: String,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, in any letter case.
    pub mechanism: String,
    /// Key of the user name.
    #[serde(default = "username")]
    pub username_key: String,
    /// Key of the password.
    #[serde(default = "password")]
    pub password_key: String,
}

fn username() -> String {
    "username".to_owned()
}

fn password() -> String {
    "password".to_owned()
}

/// How connections are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Whether TCP looks after idle connections.
    #[serde(default = "yes")]
    pub tcp_keepalive: bool,
    /// Seconds of silence before TCP looks.
    #[serde(default = "sixty")]
    pub keepalive_time_secs: u64,
    /// Seconds between two looks.
    #[serde(default = "twenty")]
    pub keepalive_interval_secs: u64,
    /// Whether small requests are sent at once.
    #[serde(default = "yes")]
    pub tcp_nodelay: bool,
    /// Connections to each broker; at least 1.
    #[serde(default = "four")]
    pub connections_per_broker: u32,
}

fn twenty() -> u64 {
    20
}
