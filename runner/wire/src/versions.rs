//! Which version of a request to use: the broker's range, the library's, and our own cap.

use std::collections::HashMap;

use kafka_protocol::messages::ApiVersionsResponse;

use crate::Request;
use crate::api::Api;

/// The request of brokers that only controllers answer (`BrokerRegistration`).
const FOR_CONTROLLERS: i16 = 62;

/// What a broker offers (KIP-511).
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions {
    ranges: HashMap<i16, (i16, i16)>,
}

impl Versions {
    pub(crate) fn from_answer(answer: &ApiVersionsResponse) -> Self {
        let ranges = answer.api_keys.iter().map(|k| (k.api_key, (k.min_version, k.max_version))).collect();
        Self { ranges }
    }

    /// The newest version that all sides know, at most `cap`.
    pub(crate) fn pick<R: Api>(&self, cap: i16) -> Option<i16> {
        let (oldest, newest) = R::REQUEST.versions();
        let (min, max) = *self.ranges.get(&R::REQUEST.key())?;
        let version = max.min(newest).min(cap);
        (version >= min && version >= oldest).then_some(version)
    }

    /// Whether this is what a controller offers, which answers no clients.
    pub(crate) fn are_of_a_controller(&self) -> bool {
        self.ranges.contains_key(&FOR_CONTROLLERS) && !self.ranges.contains_key(&Request::Metadata.key())
    }

    /// What of `needs` the broker does not offer in a usable version, in words; `None` when it offers all.
    pub(crate) fn missing(&self, needs: &[Request]) -> Option<String> {
        let lacks = |request: &Request| {
            let (oldest, newest) = request.versions();
            match self.ranges.get(&request.key()) {
                None => Some(format!("{request} (not offered)")),
                Some((min, max)) if *max < oldest || *min > newest => {
                    Some(format!("{request} (versions {min} to {max} offered, {oldest} to {newest} can be used)"))
                }
                Some(_) => None,
            }
        };
        let missing: Vec<_> = needs.iter().filter_map(lacks).collect();
        (!missing.is_empty()).then(|| missing.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::FetchRequest;

    #[test]
    fn the_pick_lies_in_all_ranges() {
        let with = |min, max| Versions { ranges: HashMap::from([(1, (min, max))]) };
        assert_eq!(with(4, 17).pick::<FetchRequest>(99), Some(17));
        assert_eq!(with(4, 17).pick::<FetchRequest>(12), Some(12));
        assert_eq!(with(0, 3).pick::<FetchRequest>(99), None);
        assert_eq!(with(13, 17).pick::<FetchRequest>(12), None);
        assert_eq!(Versions::default().pick::<FetchRequest>(99), None);
    }

    #[test]
    fn what_is_missing_is_named_all_at_once() {
        let versions = Versions { ranges: HashMap::from([(3, (0, 3)), (1, (4, 11)), (2, (8, 9))]) };
        let all = [Request::Metadata, Request::Fetch, Request::ListOffsets, Request::Produce];
        let missing = versions.missing(&all).unwrap();
        assert_eq!(
            missing,
            "Metadata (versions 0 to 3 offered, 4 to 12 can be used), ListOffsets (versions 8 to 9 offered, 2 to 7 can \
             be used), Produce (not offered)"
        );
        assert_eq!(versions.missing(&[Request::Fetch]), None);
    }

    #[test]
    fn the_library_knows_every_version_that_can_be_used() {
        fn known<R: Api>() {
            let (oldest, newest) = R::REQUEST.versions();
            assert!(oldest >= R::VERSIONS.min && newest <= R::VERSIONS.max, "{}", R::REQUEST);
        }
        use kafka_protocol::messages as m;
        known::<m::ProduceRequest>();
        known::<m::FetchRequest>();
        known::<m::ListOffsetsRequest>();
        known::<m::MetadataRequest>();
        known::<m::OffsetFetchRequest>();
        known::<m::FindCoordinatorRequest>();
        known::<m::ListGroupsRequest>();
        known::<m::SaslHandshakeRequest>();
        known::<m::ApiVersionsRequest>();
        known::<m::CreateTopicsRequest>();
        known::<m::DeleteRecordsRequest>();
        known::<m::InitProducerIdRequest>();
        known::<m::OffsetForLeaderEpochRequest>();
        known::<m::AddPartitionsToTxnRequest>();
        known::<m::EndTxnRequest>();
        known::<m::DescribeConfigsRequest>();
        known::<m::SaslAuthenticateRequest>();
        known::<m::IncrementalAlterConfigsRequest>();
        known::<m::DescribeProducersRequest>();
        known::<m::DescribeShareGroupOffsetsRequest>();
    }
}
