//! Which version of a request to use: the broker's range, the library's, and our own cap.

use std::collections::HashMap;

use kafka_protocol::messages::ApiVersionsResponse;

use crate::api::Api;

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
        let (min, max) = *self.ranges.get(&R::KEY)?;
        let version = max.min(R::VERSIONS.max).min(cap);
        (version >= min && version >= R::VERSIONS.min).then_some(version)
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
}
