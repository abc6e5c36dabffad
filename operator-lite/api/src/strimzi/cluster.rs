//! The Strimzi cluster, and who a run is there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A key of a Secret in the resource's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    pub name: String,
    /// Key in it.
    pub key: String,
}

/// A `Kafka` resource of Strimzi.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// Name of the `Kafka` resource.
    pub name: String,
    /// Its namespace; that of this resource when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The authority of the brokers' certificates; key `ca.crt` of `<cluster>-cluster-ca-cert` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKey>,
    /// Name of the listener; when absent, the first that fits `authentication`, internal and encrypted ones first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
}

/// Who a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// How it shows who it is.
    #[serde(rename = "type")]
    pub kind: AuthenticationType,
    /// A `KafkaUser` of Strimzi, in this resource's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_user_ref: Option<KafkaUserRef>,
    /// A client certificate, with `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_and_key: Option<CertificateAndKey>,
    /// A user name, with `scram-sha-512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretKey>,
}

/// Kinds of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationType {
    /// A client certificate.
    Tls,
    /// A user name and a password.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A `KafkaUser` of Strimzi.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaUserRef {
    /// Name of the `KafkaUser`.
    pub name: String,
}

/// A Secret with a client certificate and its private key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAndKey {
    /// Name of the Secret.
    pub secret_name: String,
    /// Key of the certificate.
    pub certificate: String,
    /// Key of the private key.
    pub key: String,
}

/// How connections are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Whether TCP looks after idle connections; yes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_keepalive: Option<bool>,
    /// Seconds of silence before TCP looks; 60 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time_secs: Option<u64>,
    /// Seconds between two looks; 20 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_interval_secs: Option<u64>,
    /// Whether small requests are sent at once; yes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_nodelay: Option<bool>,
    /// Connections to each broker, at least 1; 4 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_per_broker: Option<u32>,
}
