//! Putting an error code into a good answer, at every place where that answer can carry one.

use kafka_protocol::messages::{
    AddPartitionsToTxnResponse, ApiVersionsResponse, CreatePartitionsResponse, CreateTopicsResponse,
    DeleteRecordsResponse, DeleteTopicsResponse, DescribeConfigsResponse, DescribeProducersResponse,
    DescribeTransactionsResponse, EndTxnResponse, FetchResponse, FindCoordinatorResponse,
    IncrementalAlterConfigsResponse, InitProducerIdResponse, ListGroupsResponse, ListOffsetsResponse, MetadataResponse,
    OffsetCommitResponse, OffsetFetchResponse, OffsetForLeaderEpochResponse, ProduceResponse,
};

/// An answer that can carry an error code.
pub(super) trait Inject {
    /// Puts the code where brokers put it; false where the answer has no place for it.
    fn inject(&mut self, code: i16) -> bool;
}

/// An answer with the code at its top.
macro_rules! at_top {
    ($($answer:ident $(, $list:ident)?;)*) => {
        $(impl Inject for $answer {
            fn inject(&mut self, code: i16) -> bool {
                self.error_code = code;
                $(self.$list.clear();)?
                true
            }
        })*
    };
}

/// An answer with the code at each thing of a list, or of lists in a list, whose other content is then void.
macro_rules! at_each {
    ($($answer:ident, $list:ident $(. $inner:ident)?, |$one:ident| $void:expr;)*) => {
        $(impl Inject for $answer {
            fn inject(&mut self, code: i16) -> bool {
                let mut carried = false;
                for $one in self.$list.iter_mut()$(.flat_map(|outer| &mut outer.$inner))? {
                    $one.error_code = code;
                    $void;
                    carried = true;
                }
                carried
            }
        })*
    };
}

at_top! {
    InitProducerIdResponse;
    EndTxnResponse;
    ApiVersionsResponse;
    ListGroupsResponse, groups;
}

at_each! {
    MetadataResponse, topics, |topic| topic.partitions.clear();
    FetchResponse, responses.partitions, |p| p.records = Some(bytes::Bytes::new());
    ListOffsetsResponse, topics.partitions, |p| p.offset = -1;
    OffsetForLeaderEpochResponse, topics.partitions, |p| p.end_offset = -1;
    DescribeConfigsResponse, results, |result| result.configs.clear();
    DescribeProducersResponse, topics.partitions, |p| p.active_producers.clear();
    DescribeTransactionsResponse, transaction_states, |state| state.topics.clear();
    ProduceResponse, responses.partition_responses, |p| p.base_offset = -1;
    CreateTopicsResponse, topics, |topic| topic.num_partitions = -1;
    IncrementalAlterConfigsResponse, responses, |result| result.error_message = None;
    DeleteRecordsResponse, topics.partitions, |p| p.low_watermark = -1;
    FindCoordinatorResponse, coordinators, |found| found.port = -1;
    OffsetFetchResponse, groups, |group| group.topics.clear();
    OffsetCommitResponse, topics.partitions, |p| p.unknown_tagged_fields.clear();
    DeleteTopicsResponse, responses, |result| result.error_message = None;
    CreatePartitionsResponse, results, |result| result.error_message = None;
}

impl Inject for AddPartitionsToTxnResponse {
    fn inject(&mut self, code: i16) -> bool {
        let mut carried = false;
        for p in self.results_by_topic_v3_and_below.iter_mut().flat_map(|topic| &mut topic.results_by_partition) {
            p.partition_error_code = code;
            carried = true;
        }
        carried
    }
}
