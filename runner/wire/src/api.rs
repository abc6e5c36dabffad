//! The requests that this client sends: number, name, answer, and where the answer says how long to be silent.

use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};

/// A request and its answer.
pub(crate) trait Api: Encodable + HeaderVersion + Message {
    /// Number of the request (protocol guide, "Api Keys").
    const KEY: i16;
    /// Name for messages.
    const NAME: &'static str;
    /// The answer.
    type Response: Decodable + HeaderVersion;
    /// Milliseconds for which the broker asks us to be silent (KIP-219).
    fn throttle_ms(answer: &Self::Response) -> i32;
}

macro_rules! apis {
    ($($name:ident = $request:ident, $response:ident, $key:literal, |$answer:ident| $throttle:expr;)*) => {
        $(impl Api for messages::$request {
            const KEY: i16 = $key;
            const NAME: &'static str = stringify!($name);
            type Response = messages::$response;
            fn throttle_ms($answer: &Self::Response) -> i32 { $throttle }
        })*
    };
}

apis! {
    Produce = ProduceRequest, ProduceResponse, 0, |a| a.throttle_time_ms;
    Fetch = FetchRequest, FetchResponse, 1, |a| a.throttle_time_ms;
    ListOffsets = ListOffsetsRequest, ListOffsetsResponse, 2, |a| a.throttle_time_ms;
    Metadata = MetadataRequest, MetadataResponse, 3, |a| a.throttle_time_ms;
    OffsetFetch = OffsetFetchRequest, OffsetFetchResponse, 9, |a| a.throttle_time_ms;
    FindCoordinator = FindCoordinatorRequest, FindCoordinatorResponse, 10, |a| a.throttle_time_ms;
    ListGroups = ListGroupsRequest, ListGroupsResponse, 16, |a| a.throttle_time_ms;
    SaslHandshake = SaslHandshakeRequest, SaslHandshakeResponse, 17, |_a| 0;
    ApiVersions = ApiVersionsRequest, ApiVersionsResponse, 18, |a| a.throttle_time_ms;
    CreateTopics = CreateTopicsRequest, CreateTopicsResponse, 19, |a| a.throttle_time_ms;
    DeleteRecords = DeleteRecordsRequest, DeleteRecordsResponse, 21, |a| a.throttle_time_ms;
    InitProducerId = InitProducerIdRequest, InitProducerIdResponse, 22, |a| a.throttle_time_ms;
    OffsetForLeaderEpoch = OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, 23, |a| a.throttle_time_ms;
    AddPartitionsToTxn = AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, 24, |a| a.throttle_time_ms;
    EndTxn = EndTxnRequest, EndTxnResponse, 26, |a| a.throttle_time_ms;
    DescribeConfigs = DescribeConfigsRequest, DescribeConfigsResponse, 32, |a| a.throttle_time_ms;
    SaslAuthenticate = SaslAuthenticateRequest, SaslAuthenticateResponse, 36, |_a| 0;
    IncrementalAlterConfigs = IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, 44,
        |a| a.throttle_time_ms;
    DescribeCluster = DescribeClusterRequest, DescribeClusterResponse, 60, |a| a.throttle_time_ms;
    DescribeProducers = DescribeProducersRequest, DescribeProducersResponse, 61, |a| a.throttle_time_ms;
    DescribeShareGroupOffsets = DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, 90,
        |a| a.throttle_time_ms;
}
