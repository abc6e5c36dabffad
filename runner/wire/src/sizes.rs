//! How large an answer may be, by what was asked. A broker announces a length, and nothing holds it to that. What an answer
//! becomes in memory is up to thirty times as much where its lists are of empty things: so those of which a small one says
//! enough have a small limit. Pure.

use crate::Request;

/// Before the login is over: versions, mechanisms, and a few texts of the login.
pub(crate) const EARLY: usize = 64 << 10;
/// Records. Brokers refuse requests above 100 MiB unless told otherwise, so no batch is larger; the rest is room for those
/// that were told.
pub(crate) const RECORDS: usize = 512 << 20;
/// Of a whole cluster: a million partitions take less.
const CLUSTER: usize = 64 << 20;
/// Of one group, of 200 topics, of one partition.
const PART: usize = 16 << 20;
/// What tells whether something was done.
const SHORT: usize = 4 << 20;

/// Most bytes of an answer. One without flexible fields is of a kind that has no other, or of a broker that is older than
/// those that runs are made for: a large list in it would be none.
pub(crate) const fn largest(request: Request, is_flexible: bool) -> usize {
    let most = match request {
        Request::Fetch => return RECORDS,
        Request::ListOffsets
        | Request::Metadata
        | Request::OffsetCommit
        | Request::ListGroups
        | Request::OffsetForLeaderEpoch
        | Request::AddPartitionsToTxn => CLUSTER,
        Request::OffsetFetch
        | Request::DescribeGroups
        | Request::DescribeConfigs
        | Request::DescribeProducers
        | Request::ConsumerGroupDescribe
        | Request::ShareGroupDescribe
        | Request::StreamsGroupDescribe
        | Request::DescribeShareGroupOffsets
        | Request::AlterShareGroupOffsets => PART,
        Request::Produce
        | Request::FindCoordinator
        | Request::SaslHandshake
        | Request::ApiVersions
        | Request::CreateTopics
        | Request::DeleteRecords
        | Request::InitProducerId
        | Request::EndTxn
        | Request::SaslAuthenticate
        | Request::IncrementalAlterConfigs
        | Request::OffsetDelete
        | Request::DeleteShareGroupOffsets => SHORT,
    };
    if is_flexible { most } else { SHORT }
}
