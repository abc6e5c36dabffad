//! What every error code of Kafka means to this client: whether asking again can help, and how the run ends when it
//! does not. One table by the protocol's own names; the compiler refuses a name that is left out.

use contract::Code;
use kafka_protocol::error::ResponseError as E;

use crate::Request;

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

/// Numbers of the errors that callers act on (protocol guide, "Error Codes").
pub mod code {
    #![allow(missing_docs)] // the names are the protocol's own
    use super::E;

    pub const UNKNOWN_SERVER_ERROR: i16 = E::UnknownServerError.code();
    pub const OFFSET_OUT_OF_RANGE: i16 = E::OffsetOutOfRange.code();
    pub const CORRUPT_MESSAGE: i16 = E::CorruptMessage.code();
    pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = E::UnknownTopicOrPartition.code();
    pub const LEADER_NOT_AVAILABLE: i16 = E::LeaderNotAvailable.code();
    pub const NOT_LEADER_OR_FOLLOWER: i16 = E::NotLeaderOrFollower.code();
    pub const REQUEST_TIMED_OUT: i16 = E::RequestTimedOut.code();
    pub const MESSAGE_TOO_LARGE: i16 = E::MessageTooLarge.code();
    pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = E::CoordinatorLoadInProgress.code();
    pub const COORDINATOR_NOT_AVAILABLE: i16 = E::CoordinatorNotAvailable.code();
    pub const NOT_COORDINATOR: i16 = E::NotCoordinator.code();
    pub const INVALID_TOPIC: i16 = E::InvalidTopicException.code();
    pub const RECORD_LIST_TOO_LARGE: i16 = E::RecordListTooLarge.code();
    pub const NOT_ENOUGH_REPLICAS: i16 = E::NotEnoughReplicas.code();
    pub const TOPIC_AUTHORIZATION_FAILED: i16 = E::TopicAuthorizationFailed.code();
    pub const GROUP_AUTHORIZATION_FAILED: i16 = E::GroupAuthorizationFailed.code();
    pub const CLUSTER_AUTHORIZATION_FAILED: i16 = E::ClusterAuthorizationFailed.code();
    pub const UNSUPPORTED_SASL_MECHANISM: i16 = E::UnsupportedSaslMechanism.code();
    pub const ILLEGAL_SASL_STATE: i16 = E::IllegalSaslState.code();
    pub const SASL_AUTHENTICATION_FAILED: i16 = E::SaslAuthenticationFailed.code();
    pub const INVALID_TIMESTAMP: i16 = E::InvalidTimestamp.code();
    pub const UNSUPPORTED_VERSION: i16 = E::UnsupportedVersion.code();
    pub const TOPIC_ALREADY_EXISTS: i16 = E::TopicAlreadyExists.code();
    pub const INVALID_REPLICATION_FACTOR: i16 = E::InvalidReplicationFactor.code();
    pub const INVALID_CONFIG: i16 = E::InvalidConfig.code();
    pub const NOT_CONTROLLER: i16 = E::NotController.code();
    pub const INVALID_REQUEST: i16 = E::InvalidRequest.code();
    pub const POLICY_VIOLATION: i16 = E::PolicyViolation.code();
    pub const OUT_OF_ORDER_SEQUENCE: i16 = E::OutOfOrderSequenceNumber.code();
    pub const DUPLICATE_SEQUENCE: i16 = E::DuplicateSequenceNumber.code();
    pub const INVALID_PRODUCER_EPOCH: i16 = E::InvalidProducerEpoch.code();
    pub const INVALID_TXN_STATE: i16 = E::InvalidTxnState.code();
    pub const INVALID_PRODUCER_ID_MAPPING: i16 = E::InvalidProducerIdMapping.code();
    pub const INVALID_TRANSACTION_TIMEOUT: i16 = E::InvalidTransactionTimeout.code();
    pub const CONCURRENT_TRANSACTIONS: i16 = E::ConcurrentTransactions.code();
    pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = E::TransactionalIdAuthorizationFailed.code();
    pub const OPERATION_NOT_ATTEMPTED: i16 = E::OperationNotAttempted.code();
    pub const KAFKA_STORAGE_ERROR: i16 = E::KafkaStorageError.code();
    pub const UNKNOWN_PRODUCER_ID: i16 = E::UnknownProducerId.code();
    pub const ILLEGAL_GENERATION: i16 = E::IllegalGeneration.code();
    pub const UNKNOWN_MEMBER_ID: i16 = E::UnknownMemberId.code();
    pub const NON_EMPTY_GROUP: i16 = E::NonEmptyGroup.code();
    pub const GROUP_SUBSCRIBED_TO_TOPIC: i16 = E::GroupSubscribedToTopic.code();
    pub const GROUP_ID_NOT_FOUND: i16 = E::GroupIdNotFound.code();
    pub const FENCED_LEADER_EPOCH: i16 = E::FencedLeaderEpoch.code();
    pub const UNKNOWN_LEADER_EPOCH: i16 = E::UnknownLeaderEpoch.code();
    pub const OFFSET_NOT_AVAILABLE: i16 = E::OffsetNotAvailable.code();
    pub const PRODUCER_FENCED: i16 = E::ProducerFenced.code();
    pub const UNKNOWN_TOPIC_ID: i16 = E::UnknownTopicId.code();
    pub const INCONSISTENT_TOPIC_ID: i16 = E::InconsistentTopicId.code();
}

/// The error's own class for retries. No request needs another one.
pub(crate) fn retry(error: E) -> Retry {
    match error {
        // Something moved: who leads, coordinates or controls is looked up first.
        E::UnknownTopicOrPartition
        | E::LeaderNotAvailable
        | E::NotLeaderOrFollower
        | E::ReplicaNotAvailable
        | E::CoordinatorNotAvailable
        | E::NotCoordinator
        | E::NotController
        | E::KafkaStorageError
        | E::ListenerNotFound
        | E::FencedLeaderEpoch
        | E::UnknownLeaderEpoch
        | E::OffsetNotAvailable
        | E::UnknownTopicId
        | E::InconsistentTopicId
        | E::FetchSessionTopicIdError
        | E::PreferredLeaderNotAvailable
        | E::EligibleLeadersNotAvailable
        | E::ElectionNotNeeded
        | E::NewLeaderElected => Retry::Refresh,
        // The same broker answers better a little later.
        E::UnknownServerError
        | E::CorruptMessage
        | E::RequestTimedOut
        | E::NetworkException
        | E::CoordinatorLoadInProgress
        | E::NotEnoughReplicas
        | E::NotEnoughReplicasAfterAppend
        | E::ConcurrentTransactions
        | E::FetchSessionIdNotFound
        | E::InvalidFetchSessionEpoch
        | E::UnstableOffsetCommit
        | E::ThrottlingQuotaExceeded => Retry::Again,
        // A verdict on the request: the same question gets the same answer. Also what only other clients can meet
        // (members of groups, brokers, controllers), and numbers that are newer than this table.
        E::OffsetOutOfRange
        | E::InvalidFetchSize
        | E::BrokerNotAvailable
        | E::MessageTooLarge
        | E::StaleControllerEpoch
        | E::OffsetMetadataTooLarge
        | E::InvalidTopicException
        | E::RecordListTooLarge
        | E::InvalidRequiredAcks
        | E::IllegalGeneration
        | E::InconsistentGroupProtocol
        | E::InvalidGroupId
        | E::UnknownMemberId
        | E::InvalidSessionTimeout
        | E::RebalanceInProgress
        | E::InvalidCommitOffsetSize
        | E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::InvalidTimestamp
        | E::UnsupportedSaslMechanism
        | E::IllegalSaslState
        | E::UnsupportedVersion
        | E::TopicAlreadyExists
        | E::InvalidPartitions
        | E::InvalidReplicationFactor
        | E::InvalidReplicaAssignment
        | E::InvalidConfig
        | E::InvalidRequest
        | E::UnsupportedForMessageFormat
        | E::PolicyViolation
        | E::OutOfOrderSequenceNumber
        | E::DuplicateSequenceNumber
        | E::InvalidProducerEpoch
        | E::InvalidTxnState
        | E::InvalidProducerIdMapping
        | E::InvalidTransactionTimeout
        | E::TransactionCoordinatorFenced
        | E::TransactionalIdAuthorizationFailed
        | E::SecurityDisabled
        | E::OperationNotAttempted
        | E::LogDirNotFound
        | E::SaslAuthenticationFailed
        | E::UnknownProducerId
        | E::ReassignmentInProgress
        | E::DelegationTokenAuthDisabled
        | E::DelegationTokenNotFound
        | E::DelegationTokenOwnerMismatch
        | E::DelegationTokenRequestNotAllowed
        | E::DelegationTokenAuthorizationFailed
        | E::DelegationTokenExpired
        | E::InvalidPrincipalType
        | E::NonEmptyGroup
        | E::GroupIdNotFound
        | E::TopicDeletionDisabled
        | E::UnsupportedCompressionType
        | E::StaleBrokerEpoch
        | E::MemberIdRequired
        | E::GroupMaxSizeReached
        | E::FencedInstanceId
        | E::NoReassignmentInProgress
        | E::GroupSubscribedToTopic
        | E::InvalidRecord
        | E::ProducerFenced
        | E::ResourceNotFound
        | E::DuplicateResource
        | E::UnacceptableCredential
        | E::InconsistentVoterSet
        | E::InvalidUpdateVersion
        | E::FeatureUpdateFailed
        | E::PrincipalDeserializationFailure
        | E::SnapshotNotFound
        | E::PositionOutOfRange
        | E::DuplicateBrokerRegistration
        | E::BrokerIdNotRegistered
        | E::InconsistentClusterId
        | E::TransactionalIdNotFound
        | E::IneligibleReplica
        | E::OffsetMovedToTieredStorage
        | E::FencedMemberEpoch
        | E::UnreleasedInstanceId
        | E::UnsupportedAssignor
        | E::StaleMemberEpoch
        | E::MismatchedEndpointType
        | E::UnsupportedEndpointType
        | E::UnknownControllerId
        | E::UnknownSubscriptionId
        | E::TelemetryTooLarge
        | E::InvalidRegistration
        | E::TransactionAbortable
        | E::InvalidRecordState
        | E::ShareSessionNotFound
        | E::InvalidShareSessionEpoch
        | E::FencedStateEpoch
        | E::InvalidVoterKey
        | E::DuplicateVoter
        | E::VoterNotFound
        | E::InvalidRegularExpression
        | E::RebootstrapRequired
        | E::StreamsInvalidTopology
        | E::StreamsInvalidTopologyEpoch
        | E::StreamsTopologyFenced
        | E::ShareSessionLimitReached
        | E::Unknown(_) => Retry::Never,
    }
}

/// How a run ends that this answer to `request` ended: at once, or at the deadline when it was asked again.
pub(crate) fn ending(request: Request, error: E) -> Code {
    special(request, error).unwrap_or(match retry(error) {
        Retry::Never => Code::RequestRefused,
        Retry::Again | Retry::Refresh => Code::BrokerFailed,
    })
}

/// The errors with an ending of their own; some only as answers to the request that they are about.
fn special(request: Request, error: E) -> Option<Code> {
    use Request::{AddPartitionsToTxn, EndTxn, Fetch, InitProducerId, Produce};
    let (any, only) = match error {
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::DelegationTokenAuthorizationFailed => (Some(Code::NotAuthorized), None),
        E::UnsupportedSaslMechanism | E::IllegalSaslState | E::SaslAuthenticationFailed | E::DelegationTokenExpired => {
            (Some(Code::AuthenticationFailed), None)
        }
        E::UnsupportedVersion | E::UnsupportedForMessageFormat | E::UnsupportedCompressionType => {
            (Some(Code::BrokerUnsupported), None)
        }
        E::UnknownTopicId | E::InconsistentTopicId => (Some(Code::TopicChanged), None),
        E::CorruptMessage => (None, Some((Code::CorruptBatch, &[Fetch][..]))),
        E::MessageTooLarge | E::RecordListTooLarge => (None, Some((Code::BatchTooLarge, &[Produce][..]))),
        E::InvalidTimestamp => (None, Some((Code::TimestampRefused, &[Produce][..]))),
        E::OutOfOrderSequenceNumber | E::DuplicateSequenceNumber => (None, Some((Code::ForeignWriter, &[Produce][..]))),
        // A newer epoch of the same transactional id: another attempt of this restore, not a stranger.
        E::InvalidProducerEpoch | E::ProducerFenced => {
            (None, Some((Code::Fenced, &[Produce, InitProducerId, AddPartitionsToTxn, EndTxn][..])))
        }
        _ => (None, None), // the retry class decides, in a match without a wildcard
    };
    any.or_else(|| only.filter(|(_, requests)| requests.contains(&request)).map(|(code, _)| code))
}

/// The error's name in the protocol guide.
pub(crate) fn name(code: i16) -> String {
    match E::try_from_code(code) {
        None => "NONE".to_owned(),
        Some(E::Unknown(_)) => "an error that this release does not know".to_owned(),
        Some(error) => screaming(&format!("{error:?}")),
    }
}

/// `CamelCase` of the library to the protocol guide's upper case.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (position, c) in name.chars().enumerate() {
        if position > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests;
