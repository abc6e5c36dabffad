//! What a broker's answer to Produce says about the batch that it answers: one table of all error codes. Pure.
//!
//! With `acks` -1 a leader appends first and answers when the followers have the batch. A leader that loses its place
//! in between answers `NOT_LEADER_OR_FOLLOWER`, and the batch may be in the new leader's log. So an error says that a
//! batch was not appended only where brokers check it before the append and nowhere else.

use contract::Code;
use kafka_protocol::error::ResponseError;

/// What is known about a batch after an answer, and so what may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was appended.
    Appended,
    /// It surely was not appended, and nothing is wrong with it: the same bytes may go again after a pause.
    NotYet,
    /// It surely was not appended, because it is too large: its halves may be taken.
    TooLarge,
    /// It was not appended because the broker expects another sequence: of a batch before it, which was refused, or the
    /// broker lost track of the producer.
    OutOfSequence,
    /// Whether it was appended is not known: the producer must be fenced, and the end of the partition read.
    Unknown,
    /// A newer epoch of the producer writes.
    Fenced,
    /// It was refused, and will be until somebody changes something.
    Refused(Code),
}

impl Verdict {
    /// The verdict of this error code in an answer to Produce; 0 is no error.
    #[must_use]
    pub fn of_produce(code: i16) -> Self {
        ResponseError::try_from_code(code).map_or(Self::Appended, judge)
    }
}

fn judge(error: ResponseError) -> Verdict {
    use ResponseError as E;
    match error {
        // Checked by the leader before it appends; `NOT_ENOUGH_REPLICAS_AFTER_APPEND` is its opposite.
        E::NotEnoughReplicas => Verdict::NotYet,
        E::MessageTooLarge | E::RecordListTooLarge => Verdict::TooLarge,
        E::OutOfOrderSequenceNumber => Verdict::OutOfSequence,
        E::InvalidProducerEpoch | E::ProducerFenced => Verdict::Fenced,

        // Answered before the append or after it; a code of a newer release is not known, either.
        E::UnknownServerError
        | E::CorruptMessage
        | E::UnknownTopicOrPartition
        | E::LeaderNotAvailable
        | E::NotLeaderOrFollower
        | E::RequestTimedOut
        | E::BrokerNotAvailable
        | E::ReplicaNotAvailable
        | E::StaleControllerEpoch
        | E::NetworkException
        | E::CoordinatorLoadInProgress
        | E::CoordinatorNotAvailable
        | E::NotCoordinator
        | E::NotEnoughReplicasAfterAppend
        | E::NotController
        | E::DuplicateSequenceNumber
        | E::ConcurrentTransactions
        | E::KafkaStorageError
        | E::UnknownProducerId
        | E::FetchSessionIdNotFound
        | E::InvalidFetchSessionEpoch
        | E::ListenerNotFound
        | E::FencedLeaderEpoch
        | E::UnknownLeaderEpoch
        | E::StaleBrokerEpoch
        | E::OffsetNotAvailable
        | E::PreferredLeaderNotAvailable
        | E::EligibleLeadersNotAvailable
        | E::ElectionNotNeeded
        | E::UnstableOffsetCommit
        | E::ThrottlingQuotaExceeded
        | E::UnknownTopicId
        | E::InconsistentTopicId
        | E::FetchSessionTopicIdError
        | E::NewLeaderElected
        | E::ShareSessionNotFound
        | E::InvalidShareSessionEpoch
        | E::ShareSessionLimitReached
        | E::Unknown(_) => Verdict::Unknown,

        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::DelegationTokenAuthorizationFailed => Verdict::Refused(Code::NotAuthorized),
        E::UnsupportedSaslMechanism | E::IllegalSaslState | E::SaslAuthenticationFailed => {
            Verdict::Refused(Code::AuthenticationFailed)
        }
        E::UnsupportedVersion | E::UnsupportedForMessageFormat | E::UnsupportedCompressionType => {
            Verdict::Refused(Code::BrokerUnsupported)
        }
        E::InvalidTimestamp => Verdict::Refused(Code::TimestampRefused),

        // Refusals of Produce that no pause changes, and answers that are none to Produce: asking again brings the same.
        E::OffsetOutOfRange
        | E::InvalidFetchSize
        | E::OffsetMetadataTooLarge
        | E::InvalidTopicException
        | E::InvalidRequiredAcks
        | E::IllegalGeneration
        | E::InconsistentGroupProtocol
        | E::InvalidGroupId
        | E::UnknownMemberId
        | E::InvalidSessionTimeout
        | E::RebalanceInProgress
        | E::InvalidCommitOffsetSize
        | E::TopicAlreadyExists
        | E::InvalidPartitions
        | E::InvalidReplicationFactor
        | E::InvalidReplicaAssignment
        | E::InvalidConfig
        | E::InvalidRequest
        | E::PolicyViolation
        | E::InvalidTxnState
        | E::InvalidProducerIdMapping
        | E::InvalidTransactionTimeout
        | E::TransactionCoordinatorFenced
        | E::SecurityDisabled
        | E::OperationNotAttempted
        | E::LogDirNotFound
        | E::ReassignmentInProgress
        | E::DelegationTokenAuthDisabled
        | E::DelegationTokenNotFound
        | E::DelegationTokenOwnerMismatch
        | E::DelegationTokenRequestNotAllowed
        | E::DelegationTokenExpired
        | E::InvalidPrincipalType
        | E::NonEmptyGroup
        | E::GroupIdNotFound
        | E::TopicDeletionDisabled
        | E::MemberIdRequired
        | E::GroupMaxSizeReached
        | E::FencedInstanceId
        | E::NoReassignmentInProgress
        | E::GroupSubscribedToTopic
        | E::InvalidRecord
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
        | E::FencedStateEpoch
        | E::InvalidVoterKey
        | E::DuplicateVoter
        | E::VoterNotFound
        | E::InvalidRegularExpression
        | E::RebootstrapRequired
        | E::StreamsInvalidTopology
        | E::StreamsInvalidTopologyEpoch
        | E::StreamsTopologyFenced => Verdict::Refused(Code::WriteRefused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::ExitCode;

    /// Every code that Kafka defines, with what it says about a batch.
    #[test]
    fn every_code_has_its_verdict() {
        let unknown = [
            -1, 2, 3, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 20, 41, 46, 51, 56, 59, 70, 71, 72, 74, 75, 77, 78, 80, 83,
            84, 88, 89, 100, 103, 106, 108, 122, 123, 133,
        ];
        for code in -1..=133 {
            let found = Verdict::of_produce(code);
            match code {
                0 => assert_eq!(found, Verdict::Appended),
                19 => assert_eq!(found, Verdict::NotYet),
                10 | 18 => assert_eq!(found, Verdict::TooLarge),
                45 => assert_eq!(found, Verdict::OutOfSequence),
                47 | 90 => assert_eq!(found, Verdict::Fenced),
                29 | 30 | 31 | 53 | 65 => assert_eq!(found, Verdict::Refused(Code::NotAuthorized), "{code}"),
                33 | 34 | 58 => assert_eq!(found, Verdict::Refused(Code::AuthenticationFailed), "{code}"),
                35 | 43 | 76 => assert_eq!(found, Verdict::Refused(Code::BrokerUnsupported), "{code}"),
                32 => assert_eq!(found, Verdict::Refused(Code::TimestampRefused)),
                code if unknown.contains(&code) => assert_eq!(found, Verdict::Unknown, "{code}"),
                code => assert_eq!(found, Verdict::Refused(Code::WriteRefused), "{code}"),
            }
        }
    }

    #[test]
    fn a_code_of_a_newer_release_says_nothing() {
        for code in [134, 1000, i16::MAX, i16::MIN, -2] {
            assert_eq!(Verdict::of_produce(code), Verdict::Unknown, "{code}");
        }
    }

    /// "Run again" is never said about what another run meets as well.
    #[test]
    fn refusals_are_final() {
        for code in -1..=133 {
            if let Verdict::Refused(code) = Verdict::of_produce(code) {
                assert_eq!(code.exit(), ExitCode::Final, "{code}");
            }
        }
    }
}
