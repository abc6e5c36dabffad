//! What can go wrong between us and a broker, and whether trying again can help. What a broker answered and what the
//! client found by itself are separate: nobody is shown an error code that no broker sent.

use contract::{Code, Failure, SecurityProtocol};
use kafka_protocol::error::ResponseError;

use crate::broke::Broke;
use crate::codes::{self, Retry};
use crate::listener::Misfit;
use crate::{BrokerId, Request};

/// A failed exchange with a broker.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A connection could not be made or broke.
    #[error("{broker}: {cause}{note}")]
    Io {
        /// Address.
        broker: String,
        /// How it ended.
        cause: Broke,
        /// Where the address comes from, when that is to be looked at.
        note: String,
    },
    /// The installation does not allow connections to this address.
    #[error("broker {broker}: {}", contract::allowed::outside(address))]
    NotAllowed {
        /// Id of the broker that advertises it.
        broker: i32,
        /// The address.
        address: String,
    },
    /// TLS failed for a reason that does not pass by itself.
    #[error("TLS with {broker} failed: {reason}{note}")]
    Tls {
        /// Address.
        broker: String,
        /// The reason, in our words, with the fix.
        reason: String,
        /// Where the address comes from, when that is to be looked at.
        note: String,
        /// It worked before at this address: certificates may be about to be replaced.
        rotating: bool,
    },
    /// The listener is of another kind than the specification says.
    #[error("{broker} {}", misfit.told(*protocol))]
    Listener {
        /// Address.
        broker: String,
        /// What it is.
        misfit: Misfit,
        /// What the specification says.
        protocol: SecurityProtocol,
        /// It was found so often enough.
        settled: bool,
    },
    /// The login failed.
    #[error("{broker} refused the login: {reason}")]
    Authentication {
        /// Address.
        broker: String,
        /// What the broker said.
        reason: String,
        /// It worked before at this address: credentials may be about to be replaced.
        rotating: bool,
    },
    /// A file with a certificate or a key cannot be used.
    #[error("{file}: {reason}")]
    Certificate {
        /// The file.
        file: String,
        /// Why.
        reason: String,
        /// It worked before in this run: the file may be about to be replaced.
        rotating: bool,
    },
    /// A file with a user name or a password cannot be used.
    #[error("{file}: {reason}")]
    Credentials {
        /// The file.
        file: String,
        /// Why.
        reason: String,
        /// It worked before in this run: the file may be about to be replaced.
        rotating: bool,
    },
    /// A connection was not ready in time.
    #[error("{broker} was not connected and logged in within {millis} ms{note}")]
    ConnectTimeout {
        /// Address.
        broker: String,
        /// How long we waited.
        millis: u128,
        /// Where the address comes from, when that is to be looked at.
        note: String,
    },
    /// No answer in time.
    #[error("{broker} did not answer {request} within {millis} ms")]
    Timeout {
        /// Address.
        broker: String,
        /// The request.
        request: Request,
        /// How long we waited.
        millis: u128,
    },
    /// No common version of a request.
    #[error("{broker} does not offer a usable version of {request}")]
    Version {
        /// Address.
        broker: String,
        /// The request.
        request: Request,
    },
    /// Requests that the run needs are not offered.
    #[error(
        "{broker} does not offer what this run needs: {missing}; Apache Kafka 2.8 or newer does. Nothing was written"
    )]
    Unsupported {
        /// Address.
        broker: String,
        /// Each request with the versions that are offered and needed.
        missing: String,
    },
    /// An answer does not follow the protocol.
    #[error("{broker} sent an answer to {request} that cannot be read: {reason}")]
    Protocol {
        /// Address.
        broker: String,
        /// The request.
        request: Request,
        /// What is wrong.
        reason: String,
    },
    /// An answer is larger than one of its kind can be.
    #[error("{broker} sent an answer to {request} of {bytes} bytes; at most {most} are read of this kind")]
    AnswerTooLarge {
        /// Address.
        broker: String,
        /// The request.
        request: Request,
        /// What the broker announced.
        bytes: usize,
        /// Most bytes of such an answer.
        most: usize,
    },
    /// A request of ours cannot be written in the version that the broker offers.
    #[error("{request} cannot be sent to {broker}: {reason}")]
    Unsendable {
        /// Address.
        broker: String,
        /// The request.
        request: Request,
        /// What is wrong.
        reason: String,
    },
    /// The broker answered with an error code.
    #[error("{subject}: {request} was answered with {} ({code}){}", codes::name(*code), words(message.as_deref()))]
    Broker {
        /// What was asked.
        request: Request,
        /// Topic, partition or group that the error is about.
        subject: String,
        /// The protocol's error code.
        code: i16,
        /// The broker's words, when it gave any.
        message: Option<String>,
    },
    /// An answer leaves out what was asked for.
    #[error("the answer to {request} says nothing about {subject}")]
    Unanswered {
        /// What was asked.
        request: Request,
        /// Topic, partition or group that is missing.
        subject: String,
    },
    /// The cluster names no leader at the moment.
    #[error("{subject} has no leader at the moment")]
    NoLeader {
        /// Topic or partition.
        subject: String,
    },
    /// The cluster does not list this broker.
    #[error("broker {id} is not in the cluster's list of brokers")]
    UnknownBroker {
        /// Its number.
        id: BrokerId,
    },
    /// A topic that was there is unknown to the cluster.
    #[error("topic {topic} does not exist any more")]
    TopicGone {
        /// Its name.
        topic: String,
    },
    /// Answers come, but the work does not move on.
    #[error("{subject}: {detail}")]
    NoProgress {
        /// What stands still.
        subject: String,
        /// What was seen.
        detail: String,
    },
    /// What a broker sent is damaged.
    #[error("{subject} is damaged: {detail}")]
    Damaged {
        /// Topic, partition and offset.
        subject: String,
        /// What is wrong.
        detail: String,
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
    /// DNS answered that none of the names exists.
    #[error("no name of {servers} is known, for {seconds} s; correct the names, or create what they name")]
    NamesUnknown {
        /// The addresses.
        servers: String,
        /// For how long.
        seconds: u64,
    },
    /// A retried request reached its deadline.
    #[error("gave up after {seconds} s: {last}")]
    Deadline {
        /// How long it kept failing.
        seconds: u64,
        /// The last error.
        last: Box<WireError>,
    },
    /// The run was asked to stop.
    #[error("stopped on request")]
    Stopped,
}

fn words(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

impl WireError {
    /// The error code of a broker's answer to `request` about `subject`.
    #[must_use]
    pub fn broker(request: Request, subject: impl Into<String>, code: i16) -> Self {
        Self::Broker { request, subject: subject.into(), code, message: None }
    }

    /// `subject` has no leader.
    #[must_use]
    pub fn no_leader(subject: impl Into<String>) -> Self {
        Self::NoLeader { subject: subject.into() }
    }

    /// `subject` does not move on.
    #[must_use]
    pub fn no_progress(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::NoProgress { subject: subject.into(), detail: detail.into() }
    }

    /// What a broker sent for `subject` is damaged.
    #[must_use]
    pub fn damaged(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Damaged { subject: subject.into(), detail: detail.into() }
    }

    /// The broker's error code, when it answered with one.
    #[must_use]
    pub fn broker_code(&self) -> Option<i16> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            Self::Deadline { last, .. } => last.broker_code(),
            _ => None, // no broker answered
        }
    }

    /// Whether trying again was given up because the time was over.
    #[must_use]
    pub fn is_deadline(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::Unreachable { .. })
    }

    /// Whether trying again cannot help, however long.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.retry() == Retry::Never && !self.is_deadline()
    }

    /// A refusal that may pass: of a peer where the same credentials or their predecessors let us in at this address, of
    /// files of ours where they were good for any address.
    pub(crate) fn after_success(mut self, let_in_here: bool, let_in_once: bool) -> Self {
        match &mut self {
            Self::Tls { rotating, .. } | Self::Authentication { rotating, .. } => *rotating = let_in_here,
            Self::Certificate { rotating, .. } | Self::Credentials { rotating, .. } => *rotating = let_in_once,
            _ => {} // these are of no credentials
        }
        self
    }

    /// The same error where trying again was enough.
    pub(crate) fn settled(mut self) -> Self {
        if let Self::Listener { settled, .. } = &mut self {
            *settled = true;
        }
        self
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { .. }
            | Self::ConnectTimeout { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Unanswered { .. }
            | Self::NoLeader { .. }
            | Self::UnknownBroker { .. }
            | Self::Listener { settled: false, .. }
            | Self::Damaged { .. } => Retry::Refresh,
            Self::NoProgress { .. } => Retry::Again,
            Self::Tls { rotating, .. }
            | Self::Authentication { rotating, .. }
            | Self::Certificate { rotating, .. }
            | Self::Credentials { rotating, .. } => {
                if *rotating {
                    Retry::Refresh
                } else {
                    Retry::Never
                }
            }
            Self::Broker { code, .. } => ResponseError::try_from_code(*code).map_or(Retry::Again, codes::retry),
            Self::Listener { .. }
            | Self::Version { .. }
            | Self::Unsupported { .. }
            | Self::Unsendable { .. }
            | Self::TopicGone { .. }
            | Self::Unreachable { .. }
            | Self::NamesUnknown { .. }
            | Self::Deadline { .. }
            | Self::NotAllowed { .. }
            | Self::Stopped => Retry::Never,
        }
    }

    /// The project's error code for this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Tls { .. } | Self::Certificate { .. } => Code::TlsFailed,
            Self::Authentication { .. } | Self::Listener { misfit: Misfit::EndsAtPassword(_), .. } => {
                Code::AuthenticationFailed
            }
            Self::Listener { .. } => Code::WrongListener,
            Self::NotAllowed { .. } => Code::EndpointNotAllowed,
            Self::Credentials { .. } => Code::SecretUnusable,
            Self::Version { .. } | Self::Unsupported { .. } => Code::BrokerUnsupported,
            Self::Unreachable { .. } => Code::BrokerUnreachable,
            Self::NamesUnknown { .. } => Code::BrokerNameUnknown,
            Self::Broker { request, code, .. } => {
                ResponseError::try_from_code(*code).map_or(Code::BrokerFailed, |error| codes::ending(*request, error))
            }
            Self::TopicGone { .. } => Code::TopicChanged,
            Self::Damaged { .. } => Code::CorruptBatch,
            Self::Unsendable { .. } => Code::Internal,
            Self::Stopped => Code::Interrupted,
            Self::Deadline { last, .. } => match last.code() {
                Code::BrokerUnreachable => Code::BrokerFailed,
                other => other,
            },
            Self::Io { .. }
            | Self::ConnectTimeout { .. }
            | Self::Timeout { .. }
            | Self::Protocol { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Unanswered { .. }
            | Self::NoLeader { .. }
            | Self::UnknownBroker { .. }
            | Self::NoProgress { .. } => Code::BrokerFailed,
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
