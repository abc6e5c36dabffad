//! Each request's type with its answer's, and where the answer says how long to be silent.

use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};

use crate::Request;

/// A request and its answer.
pub(crate) trait Api: Encodable + HeaderVersion + Message {
    /// Which request it is.
    const REQUEST: Request;
    /// The answer.
    type Response: Decodable + HeaderVersion;
    /// Milliseconds for which the broker asks us to be silent (KIP-219).
    fn throttle_ms(answer: &Self::Response) -> i32;
}

macro_rules! apis {
    ($($name:ident = $request:ident, $response:ident, |$answer:ident| $throttle:expr;)*) => {
        $(impl Api for messages::$request {
            const REQUEST: Request = Request::$name;
            type Response = messages::$response;
            fn throttle_ms($answer: &Self::Response) -> i32 { $throttle }
        })*
    };
}

apis! {
    Produce = ProduceRequest, ProduceResponse, |a| a.throttle_time_ms;
    Fetch = FetchRequest, FetchResponse, |a| a.throttle_time_ms;
    ListOffsets = ListOffsetsRequest, ListOffsetsResponse, |a| a.throttle_time_ms;
    Metadata = MetadataRequest, MetadataResponse, |a| a.throttle_time_ms;
    OffsetCommit = OffsetCommitRequest, OffsetCommitResponse, |a| a.throttle_time_ms;
    DescribeGroups = DescribeGroupsRequest, DescribeGroupsResponse, |a| a.throttle_time_ms;
    ConsumerGroupDescribe = ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, |a| a.throttle_time_ms;
    ShareGroupDescribe = ShareGroupDescribeRequest, ShareGroupDescribeResponse, |a| a.throttle_time_ms;
    OffsetDelete = OffsetDeleteRequest, OffsetDeleteResponse, |a| a.throttle_time_ms;
    DeleteShareGroupOffsets = DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse,
        |a| a.throttle_time_ms;
    AlterShareGroupOffsets = AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, |a| a.throttle_time_ms;
    OffsetFetch = OffsetFetchRequest, OffsetFetchResponse, |a| a.throttle_time_ms;
    FindCoordinator = FindCoordinatorRequest, FindCoordinatorResponse, |a| a.throttle_time_ms;
    ListGroups = ListGroupsRequest, ListGroupsResponse, |a| a.throttle_time_ms;
    SaslHandshake = SaslHandshakeRequest, SaslHandshakeResponse, |_a| 0;
    ApiVersions = ApiVersionsRequest, ApiVersionsResponse, |a| a.throttle_time_ms;
    CreateTopics = CreateTopicsRequest, CreateTopicsResponse, |a| a.throttle_time_ms;
    DeleteRecords = DeleteRecordsRequest, DeleteRecordsResponse, |a| a.throttle_time_ms;
    InitProducerId = InitProducerIdRequest, InitProducerIdResponse, |a| a.throttle_time_ms;
    OffsetForLeaderEpoch = OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, |a| a.throttle_time_ms;
    AddPartitionsToTxn = AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, |a| a.throttle_time_ms;
    EndTxn = EndTxnRequest, EndTxnResponse, |a| a.throttle_time_ms;
    DescribeConfigs = DescribeConfigsRequest, DescribeConfigsResponse, |a| a.throttle_time_ms;
    SaslAuthenticate = SaslAuthenticateRequest, SaslAuthenticateResponse, |_a| 0;
    IncrementalAlterConfigs = IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
        |a| a.throttle_time_ms;
    DescribeProducers = DescribeProducersRequest, DescribeProducersResponse, |a| a.throttle_time_ms;
    DescribeShareGroupOffsets = DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse,
        |a| a.throttle_time_ms;
}
