//! Putting an error code into a good answer, at every place where that answer can carry one.

use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeConfigsResponse, DescribeProducersResponse, FetchResponse, FindCoordinatorResponse,
    ListGroupsResponse, ListOffsetsResponse, MetadataResponse, OffsetFetchResponse, OffsetForLeaderEpochResponse,
};

/// An answer that can carry an error code.
pub(super) trait Inject {
    /// Puts the code where brokers put it.
    fn inject(&mut self, code: i16);
}

impl Inject for ApiVersionsResponse {
    fn inject(&mut self, code: i16) {
        self.error_code = code;
    }
}

impl Inject for MetadataResponse {
    fn inject(&mut self, code: i16) {
        for topic in &mut self.topics {
            topic.error_code = code;
        }
    }
}

impl Inject for FetchResponse {
    fn inject(&mut self, code: i16) {
        for p in self.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            p.error_code = code;
            p.records = Some(bytes::Bytes::new());
        }
    }
}

impl Inject for ListOffsetsResponse {
    fn inject(&mut self, code: i16) {
        for p in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            p.error_code = code;
            p.offset = -1;
        }
    }
}

impl Inject for OffsetForLeaderEpochResponse {
    fn inject(&mut self, code: i16) {
        for p in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            p.error_code = code;
            p.end_offset = -1;
        }
    }
}

impl Inject for DescribeConfigsResponse {
    fn inject(&mut self, code: i16) {
        for result in &mut self.results {
            result.error_code = code;
            result.configs.clear();
        }
    }
}

impl Inject for DescribeProducersResponse {
    fn inject(&mut self, code: i16) {
        for p in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            p.error_code = code;
            p.active_producers.clear();
        }
    }
}

impl Inject for FindCoordinatorResponse {
    fn inject(&mut self, code: i16) {
        self.error_code = code;
        for found in &mut self.coordinators {
            found.error_code = code;
        }
    }
}

impl Inject for ListGroupsResponse {
    fn inject(&mut self, code: i16) {
        self.error_code = code;
        self.groups.clear();
    }
}

impl Inject for OffsetFetchResponse {
    fn inject(&mut self, code: i16) {
        self.error_code = code;
        for group in &mut self.groups {
            group.error_code = code;
            group.topics.clear();
        }
    }
}
