//! Where earlier releases put archives of stores with an address of their own: they left the bucket out of requests unless
//! `pathStyle: true` was said, later only where the host began with the bucket's name, so that the first folder of each key
//! stood in its place. Pure.

use crate::StoreSpec;
use crate::store_address::{bucket_address, check_bucket};

/// A place where earlier releases put sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldPlace {
    /// The first folder of the prefix was the bucket, and the rest the prefix.
    Store(StoreSpec),
    /// There was no prefix: the set's own name was the bucket, and what is in the set is at its root.
    Root(StoreSpec),
}

impl StoreSpec {
    /// The place that earlier releases took for this one, where that may be another one. Without a prefix it depends on the
    /// name of the set.
    #[must_use]
    pub fn old_place(&self, set: Option<&str>) -> Option<OldPlace> {
        let Self::S3 { bucket, prefix, endpoint: Some(endpoint), path_style, .. } = self else { return None };
        if *path_style == Some(true) {
            return None;
        }
        let address = bucket_address(bucket, Some(endpoint), *path_style);
        if !address.path_style && address.endpoint.as_deref() == Some(endpoint.trim_end_matches('/')) {
            // The bucket was in the host then, too.
            return None;
        }
        let whole = prefix.trim_matches('/');
        let (first, rest) = whole.split_once('/').unwrap_or((whole, ""));
        if !first.is_empty() {
            return Some(OldPlace::Store(self.at(first, rest)));
        }
        let set = set.filter(|set| check_bucket(set).is_ok())?;
        Some(OldPlace::Root(self.at(set, "")))
    }

    /// Another bucket at the same address.
    fn at(&self, other: &str, folder: &str) -> Self {
        let mut at = self.clone();
        if let Self::S3 { bucket, prefix, path_style, .. } = &mut at {
            other.clone_into(bucket);
            folder.clone_into(prefix);
            *path_style = Some(true);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(more: &serde_json::Value) -> Option<(String, String, bool)> {
        let mut spec = serde_json::json!({"type": "s3", "bucket": "archive", "region": "us-east-1"});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let spec: StoreSpec = serde_json::from_value(spec).unwrap();
        let (old, is_root) = match spec.old_place(Some("nightly"))? {
            OldPlace::Store(old) => (old, false),
            OldPlace::Root(old) => (old, true),
        };
        let StoreSpec::S3 { bucket, prefix, path_style: Some(true), .. } = old else { panic!("{old:?}") };
        Some((bucket, prefix, is_root))
    }

    #[test]
    fn the_first_folder_stood_in_the_place_of_the_bucket() {
        let place = |bucket: &str, prefix: &str| Some((bucket.to_owned(), prefix.to_owned(), false));
        for at in [
            serde_json::json!({"endpoint": "http://minio:9000"}),
            serde_json::json!({"endpoint": "http://minio:9000", "pathStyle": false}),
            serde_json::json!({"endpoint": "https://archive.minio:9000"}),
        ] {
            let below = |prefix: &str| {
                let mut at = at.clone();
                at["prefix"] = prefix.into();
                old(&at)
            };
            assert_eq!(below("/team/backups/"), place("team", "backups"), "{at}");
            assert_eq!(below("team"), place("team", ""), "{at}");
            assert_eq!(below(""), Some(("nightly".to_owned(), String::new(), true)), "{at}");
        }
        // There the bucket was in each request.
        for same in [
            serde_json::json!({"prefix": "team"}),
            serde_json::json!({"endpoint": "http://minio:9000", "prefix": "team", "pathStyle": true}),
            serde_json::json!({"endpoint": "https://archive.minio:9000", "prefix": "team", "pathStyle": false}),
            serde_json::json!({"endpoint": "https://archive.s3.eu-central-1.amazonaws.com", "prefix": "team"}),
        ] {
            assert_eq!(old(&same), None, "{same}");
        }
    }
}
