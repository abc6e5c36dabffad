//! What can go wrong between us and a broker, and whether trying again can help.

use contract::{Code, Failure};
use kafka_protocol::error::ResponseError;

/// Broker error codes that this client acts on (protocol guide, "Error Codes").
pub mod code {
    #![allow(missing_docs)]
    pub const OFFSET_OUT_OF_RANGE: i16 = 1;
    pub const CORRUPT_MESSAGE: i16 = 2;
    pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    pub const MESSAGE_TOO_LARGE: i16 = 10;
    pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    pub const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    pub const NOT_COORDINATOR: i16 = 16;
    pub const INVALID_TOPIC: i16 = 17;
    pub const RECORD_LIST_TOO_LARGE: i16 = 18;
    pub const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
    pub const GROUP_AUTHORIZATION_FAILED: i16 = 30;
    pub const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
    pub const INVALID_TIMESTAMP: i16 = 32;
    pub const UNSUPPORTED_VERSION: i16 = 35;
    pub const TOPIC_ALREADY_EXISTS: i16 = 36;
    pub const INVALID_REPLICATION_FACTOR: i16 = 38;
    pub const INVALID_CONFIG: i16 = 40;
    pub const NOT_CONTROLLER: i16 = 41;
    pub const POLICY_VIOLATION: i16 = 44;
    pub const OUT_OF_ORDER_SEQUENCE: i16 = 45;
    pub const DUPLICATE_SEQUENCE: i16 = 46;
    pub const INVALID_PRODUCER_EPOCH: i16 = 47;
    pub const CONCURRENT_TRANSACTIONS: i16 = 51;
    pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
    pub const GROUP_ID_NOT_FOUND: i16 = 69;
    pub const FENCED_LEADER_EPOCH: i16 = 74;
    pub const UNKNOWN_LEADER_EPOCH: i16 = 75;
    pub const OFFSET_NOT_AVAILABLE: i16 = 78;
    pub const PRODUCER_FENCED: i16 = 90;
    pub const UNKNOWN_TOPIC_ID: i16 = 100;
    pub const INCONSISTENT_TOPIC_ID: i16 = 103;
}

/// What a retry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again cannot help.
    Never,
    /// Try again after a pause.
    Again,
    /// Look for the leader or coordinator again, then try again.
    Refresh,
}

/// A failed exchange with a broker.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A connection could not be made or broke.
    #[error("{broker}: {reason}")]
    Io {
        /// Address.
        broker: String,
        /// What the system said.
        reason: String,
    },
    /// TLS failed for a reason that does not pass by itself.
    #[error("TLS with {broker} failed: {reason}")]
    Tls {
        /// Address.
        broker: String,
        /// What the TLS library said.
        reason: String,
        /// It worked before in this run: certificates may be about to be replaced.
        rotating: bool,
    },
    /// The login failed.
    #[error("{broker} refused the login: {reason}")]
    Authentication {
        /// Address.
        broker: String,
        /// What the broker said.
        reason: String,
        /// It worked before in this run: credentials may be about to be replaced.
        rotating: bool,
    },
    /// A file of the configuration cannot be used.
    #[error("{file}: {reason}")]
    Config {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// No answer in time.
    #[error("{broker} did not answer {api} within {millis} ms")]
    Timeout {
        /// Address.
        broker: String,
        /// Request name.
        api: &'static str,
        /// How long we waited.
        millis: u128,
    },
    /// No common version of a request.
    #[error("{broker} does not offer a usable version of {api}")]
    Version {
        /// Address.
        broker: String,
        /// Request name.
        api: &'static str,
    },
    /// An answer does not follow the protocol.
    #[error("{broker} sent an answer to {api} that cannot be read: {reason}")]
    Protocol {
        /// Address.
        broker: String,
        /// Request name.
        api: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The broker answered with an error code.
    #[error("{subject}: {} ({code}){}", error_name(*code), message.as_deref().map(|m| format!(": {m}")).unwrap_or_default())]
    Broker {
        /// Topic, partition or group that the error is about.
        subject: String,
        /// The protocol's error code.
        code: i16,
        /// The broker's words, when it gave any.
        message: Option<String>,
    },
    /// No broker could be reached at all.
    #[error("none of {servers} could be reached within {seconds} s; last error: {last}")]
    Unreachable {
        /// The addresses tried.
        servers: String,
        /// How long we tried.
        seconds: u64,
        /// The last error.
        last: String,
    },
    /// Nobody leads a partition.
    #[error("{subject} has no leader at the moment")]
    NoLeader {
        /// Topic and partition.
        subject: String,
    },
    /// An answer brought nothing although there is something.
    #[error("{subject}: {detail}")]
    NoProgress {
        /// Topic and partition.
        subject: String,
        /// What was expected.
        detail: String,
    },
    /// A retried request reached its deadline.
    #[error("gave up after {seconds} s: {last}")]
    Deadline {
        /// How long we tried.
        seconds: u64,
        /// The last error.
        last: Box<WireError>,
    },
}

impl WireError {
    /// An error code of a broker about `subject`.
    #[must_use]
    pub fn broker(subject: impl Into<String>, code: i16) -> Self {
        Self::Broker { subject: subject.into(), code, message: None }
    }

    /// The broker's error code, when it answered with one.
    #[must_use]
    pub fn broker_code(&self) -> Option<i16> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Deadline { last, .. } => last.broker_code(),
            _ => None,
        }
    }

    /// Nobody leads `subject`.
    #[must_use]
    pub fn no_leader(subject: String) -> Self {
        Self::NoLeader { subject }
    }

    /// An answer about `subject` brought nothing although there is something.
    #[must_use]
    pub fn no_progress(subject: String, detail: String) -> Self {
        Self::NoProgress { subject, detail }
    }

    /// Whether trying again was given up because the time was over.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::Unreachable { .. })
    }

    /// A refusal that may pass, because the same credentials or their predecessors worked before.
    pub(crate) fn after_success(mut self) -> Self {
        if let Self::Tls { rotating, .. } | Self::Authentication { rotating, .. } = &mut self {
            *rotating = true;
        }
        self
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { .. }
            | Self::Timeout { .. }
            | Self::Tls { rotating: true, .. }
            | Self::Authentication { rotating: true, .. }
            | Self::NoLeader { .. } => Retry::Refresh,
            Self::NoProgress { .. } => Retry::Again,
            Self::Broker { code, .. } => retry_class(*code),
            _ => Retry::Never,
        }
    }

    /// The project's error code for this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Tls { .. } | Self::Config { .. } => Code::TlsFailed,
            Self::Authentication { .. } => Code::AuthenticationFailed,
            Self::Version { .. } => Code::BrokerUnsupported,
            Self::Unreachable { .. } => Code::BrokerUnreachable,
            Self::Broker { code, .. } => broker_class(*code),
            Self::Deadline { last, .. } => match last.code() {
                Code::BrokerUnreachable => Code::BrokerFailed,
                other => other,
            },
            Self::Io { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::NoLeader { .. }
            | Self::NoProgress { .. } => Code::BrokerFailed,
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

fn broker_class(code: i16) -> Code {
    match code {
        29..=31 | 53 => Code::NotAuthorized,
        35 | 43 | 76 => Code::BrokerUnsupported,
        10 | 18 => Code::BatchTooLarge,
        32 => Code::TimestampRefused,
        45 | 46 | 47 | 90 => Code::ForeignWriter,
        100 | 103 => Code::TopicChanged,
        _ => Code::BrokerFailed,
    }
}

/// The classes of the protocol's retriable errors.
fn retry_class(code: i16) -> Retry {
    match code {
        3 | 5 | 6 | 9 | 15 | 16 | 41 | 56 | 72 | 74 | 75 | 78 | 100 | 103 | 106 | 108 => Retry::Refresh,
        -1 | 2 | 7 | 13 | 14 | 19 | 20 | 51 | 70 | 71 | 88 | 89 => Retry::Again,
        _ => Retry::Never,
    }
}

fn error_name(code: i16) -> String {
    let name = ResponseError::try_from_code(code).map_or_else(|| "no error".to_owned(), |error| format!("{error:?}"));
    // CamelCase of the library to the protocol guide's upper case.
    let mut out = String::new();
    for (position, c) in name.chars().enumerate() {
        if position > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
