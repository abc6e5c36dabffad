//! The requests that this client sends: their names, numbers, and the versions that it can use. One table; nothing
//! here talks to a broker.

macro_rules! requests {
    ($($name:ident = $key:literal, $oldest:literal..=$newest:literal;)*) => {
        /// A request of the Kafka protocol that this client sends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // the names are the protocol's own
        pub enum Request {
            $($name,)*
        }

        impl Request {
            /// Every request.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name in the protocol guide.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The number in the protocol guide ("Api Keys").
            #[must_use]
            pub const fn key(self) -> i16 {
                match self { $(Self::$name => $key,)* }
            }

            /// The oldest and the newest version that this client can use.
            #[must_use]
            pub const fn versions(self) -> (i16, i16) {
                match self { $(Self::$name => ($oldest, $newest),)* }
            }
        }
    };
}

requests! {
    // The newest version without flexible fields, whose body is written by hand. From 12 on the broker takes part in
    // transactions by itself (KIP-890), and these batches are plain idempotent ones.
    Produce = 0, 3..=8;
    Fetch = 1, 4..=17;
    // Version 1 knows no isolation level.
    ListOffsets = 2, 2..=7;
    // Before version 4 a question makes the topic that it asks for.
    Metadata = 3, 4..=12;
    // Version 10 names topics by id only.
    OffsetCommit = 8, 2..=9;
    // From version 2 on one question is about all topics of a group.
    OffsetFetch = 9, 2..=9;
    // Version 0 knows no transactional ids.
    FindCoordinator = 10, 1..=4;
    // Version 6 makes an error of a group that is not there.
    DescribeGroups = 15, 0..=5;
    ListGroups = 16, 0..=5;
    // After version 0 the mechanism's messages come without frames.
    SaslHandshake = 17, 1..=1;
    ApiVersions = 18, 0..=3;
    CreateTopics = 19, 2..=7;
    DeleteRecords = 21, 0..=2;
    InitProducerId = 22, 0..=4;
    OffsetForLeaderEpoch = 23, 2..=4;
    // From version 4 on for brokers only.
    AddPartitionsToTxn = 24, 0..=3;
    // From version 5 on the epoch changes once more (KIP-890).
    EndTxn = 26, 0..=4;
    DescribeConfigs = 32, 1..=4;
    SaslAuthenticate = 36, 0..=2;
    IncrementalAlterConfigs = 44, 0..=1;
    OffsetDelete = 47, 0..=0;
    DescribeProducers = 61, 0..=0;
    ConsumerGroupDescribe = 69, 0..=1;
    ShareGroupDescribe = 77, 1..=1;
    // The protocol library does not have it: `streams_groups` does.
    StreamsGroupDescribe = 89, 0..=0;
    DescribeShareGroupOffsets = 90, 0..=0;
    AlterShareGroupOffsets = 91, 0..=0;
    DeleteShareGroupOffsets = 92, 0..=0;
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What every backup asks a broker for.
pub const BACKUP_NEEDS: &[Request] =
    &[Request::Metadata, Request::Fetch, Request::ListOffsets, Request::DescribeConfigs];

/// What a backup with consumer groups asks for besides.
pub const GROUP_NEEDS: &[Request] = &[Request::ListGroups, Request::FindCoordinator, Request::OffsetFetch];

/// What a restore that takes consumer groups along asks for besides; what only some kinds of groups need is asked of those.
pub const GROUP_RESTORE_NEEDS: &[Request] = &[
    Request::ListGroups,
    Request::FindCoordinator,
    Request::OffsetFetch,
    Request::DescribeGroups,
    Request::OffsetCommit,
];

/// What runs that change the committed offsets of groups, and nothing else, ask a broker for.
pub const OFFSET_NEEDS: &[Request] = &[
    Request::Metadata,
    Request::ListOffsets,
    Request::ListGroups,
    Request::FindCoordinator,
    Request::OffsetFetch,
    Request::DescribeGroups,
    Request::OffsetCommit,
];

/// What every restore asks a broker for.
pub const RESTORE_NEEDS: &[Request] = &[
    Request::Metadata,
    Request::Produce,
    Request::Fetch,
    Request::ListOffsets,
    Request::FindCoordinator,
    Request::InitProducerId,
    Request::DescribeConfigs,
    Request::IncrementalAlterConfigs,
];
