//! Where Kafka is, and how to log in. Secrets appear as paths only, relative to the runner's secrets folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach a Kafka cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSpec {
    /// Addresses to start from, `host:port`, IPv6 in brackets.
    pub bootstrap_servers: Vec<String>,
    /// What the listener speaks.
    #[serde(default)]
    pub security_protocol: SecurityProtocol,
    /// Certificates, for SSL and `SASL_SSL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Credentials, for `SASL_PLAINTEXT` and `SASL_SSL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslSpec>,
    /// Connection tuning.
    #[serde(default)]
    pub connection: ConnectionSpec,
}

/// What PLAIN does on a listener without encryption.
pub const OPEN_PASSWORD: &str =
    "sends the password as it is over a connection without encryption: whoever is on the way reads it";
/// What to do about it.
pub const OPEN_PASSWORD_FIX: &str = "use SASL_SSL, or a SCRAM mechanism";

impl KafkaSpec {
    /// Whether the specification names no cluster at all.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        *self == Self::default()
    }

    /// What is weak about the login, in words; `None` when nothing is.
    #[must_use]
    pub fn weak_login(&self) -> Option<String> {
        let is_plain = self.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain);
        (is_plain && self.security_protocol == SecurityProtocol::SaslPlaintext)
            .then(|| format!("kafka.sasl.mechanism PLAIN {OPEN_PASSWORD}; {OPEN_PASSWORD_FIX}"))
    }
}

/// Kafka's `security.protocol`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SecurityProtocol {
    /// No encryption, no login.
    #[default]
    Plaintext,
    /// TLS, login by client certificate where the broker asks for one.
    Ssl,
    /// SASL login without encryption.
    SaslPlaintext,
    /// SASL login over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The name that Kafka's configurations use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether a SASL exchange follows.
    #[must_use]
    pub fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// Certificates, as files in PEM, DER or PKCS#12.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSpec {
    /// Certificates that sign the brokers', in PEM or DER, or a PKCS#12 keystore with its password beside it (`ca.password` beside
    /// `ca.p12`); the system's roots when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The same as they are: each is base64 of a certificate (DER), as between the lines of a PEM file, on one line. Not with
    /// `caFile`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_certificates: Vec<String>,
    /// Our own certificate chain, for mutual TLS; or a PKCS#12 keystore with chain and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// Its private key (PKCS#8, PKCS#1 or SEC1); not needed where `certificateFile` is a keystore, or has the key as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// The password of an encrypted key, or of the keystore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_password_file: Option<String>,
}

impl TlsSpec {
    /// Whether a file may hold certificate and key together. What it is shows only when it is read: keystores have any name;
    /// those of PEM files are kept for certificates alone, so that a forgotten key is found early.
    #[must_use]
    pub fn may_hold_a_key(file: &str) -> bool {
        let lower = file.to_ascii_lowercase();
        ![".crt", ".pem", ".cer", ".cert"].iter().any(|end| lower.ends_with(end))
    }
}

/// Where the password of a keystore stands that has no field for it, as Strimzi writes them: `ca.password` beside `ca.p12`.
/// `None` where the file is no keystore by its name.
#[must_use]
pub fn password_beside(file: &str) -> Option<String> {
    let (stem, ending) = file.rsplit_once('.')?;
    let is_keystore = ["p12", "pfx", "pkcs12", "jks"].contains(&ending.to_ascii_lowercase().as_str());
    (is_keystore && !stem.is_empty() && !stem.ends_with('/')).then(|| format!("{stem}.password"))
}

/// SASL login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaslSpec {
    /// The mechanism.
    pub mechanism: SaslMechanism,
    /// File that holds the user name. This, or `username`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_file: Option<String>,
    /// The user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File that holds the password.
    pub password_file: String,
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// RFC 4616.
    #[serde(rename = "PLAIN")]
    Plain,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    /// The name that goes over the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Connection tuning; the defaults are those of the custom resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionSpec {
    /// Send TCP keep-alive probes.
    pub tcp_keepalive: bool,
    /// Seconds of silence before the first probe.
    pub keepalive_time_secs: u64,
    /// Seconds between probes.
    pub keepalive_interval_secs: u64,
    /// Set `TCP_NODELAY`.
    pub tcp_nodelay: bool,
    /// Connections to each broker for data.
    pub connections_per_broker: u32,
    /// The rack (availability zone) that the runner is in: reads go to a replica there where brokers have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_rack: Option<String>,
    /// Milliseconds to connect and log in.
    pub connect_timeout_ms: u64,
    /// Milliseconds that one request may take.
    pub request_timeout_ms: u64,
    /// Milliseconds after which repeated failures end the run.
    pub retry_deadline_ms: u64,
}

impl Default for ConnectionSpec {
    fn default() -> Self {
        Self {
            tcp_keepalive: true,
            keepalive_time_secs: 60,
            keepalive_interval_secs: 20,
            tcp_nodelay: true,
            connections_per_broker: 4,
            client_rack: None,
            connect_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            retry_deadline_ms: 120_000,
        }
    }
}
