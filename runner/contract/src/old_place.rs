//! Where earlier releases put archives of stores with an address of their own: they left the bucket out of requests unless
//! `pathStyle` was said, so that the first folder of each key stood in its place. Pure.

use crate::StoreSpec;
use crate::store_address::bucket_address;

impl StoreSpec {
    /// The place that earlier releases took for this one, where that is another one: the first folder of the prefix as the
    /// bucket, and the rest as the prefix. `None` without a prefix, too: what was made then has no folder for its set.
    #[must_use]
    pub fn old_place(&self) -> Option<Self> {
        let Self::S3 { bucket, prefix, endpoint: Some(endpoint), path_style: None, .. } = self else { return None };
        let whole = prefix.trim_matches('/');
        if whole.is_empty() || !bucket_address(bucket, Some(endpoint), None).path_style {
            return None;
        }
        let (first, rest) = whole.split_once('/').unwrap_or((whole, ""));
        let mut old = self.clone();
        if let Self::S3 { bucket, prefix, .. } = &mut old {
            first.clone_into(bucket);
            rest.clone_into(prefix);
        }
        Some(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(more: &serde_json::Value) -> StoreSpec {
        let mut spec = serde_json::json!({"type": "s3", "bucket": "archive", "region": "us-east-1"});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        serde_json::from_value(spec).unwrap()
    }

    fn old(more: &serde_json::Value) -> Option<(String, String)> {
        store(more).old_place().map(|old| match old {
            StoreSpec::S3 { bucket, prefix, .. } => (bucket, prefix),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_first_folder_stood_in_the_place_of_the_bucket() {
        let place = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned()));
        let at = serde_json::json!({"endpoint": "http://minio:9000", "prefix": "/team/backups/"});
        assert_eq!(old(&at), place("team", "backups"));
        assert_eq!(old(&serde_json::json!({"endpoint": "http://minio:9000", "prefix": "team"})), place("team", ""));
        // There the bucket was in each request, or nothing says where the set began.
        for same in [
            serde_json::json!({"endpoint": "http://minio:9000"}),
            serde_json::json!({"prefix": "team"}),
            serde_json::json!({"endpoint": "http://minio:9000", "prefix": "team", "pathStyle": true}),
            serde_json::json!({"endpoint": "https://archive.minio:9000", "prefix": "team"}),
        ] {
            assert_eq!(old(&same), None, "{same}");
        }
    }
}
