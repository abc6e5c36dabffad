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
    /// The endpoint begins with the bucket, and its server takes it from there.
    InHost(StoreSpec),
}

impl StoreSpec {
    /// The places that earlier releases took for this one, where they may be others, in the order in which they are to be looked
    /// at: the first that holds sets is it. Without a prefix one depends on the name of the set.
    #[must_use]
    pub fn old_places(&self, set: Option<&str>) -> Vec<OldPlace> {
        let Self::S3 { bucket, prefix, endpoint: Some(endpoint), path_style, .. } = self else { return Vec::new() };
        if *path_style == Some(true) {
            return Vec::new();
        }
        let address = bucket_address(bucket, Some(endpoint), *path_style);
        if !address.path_style && address.endpoint.as_deref() == Some(endpoint.trim_end_matches('/')) {
            // The bucket was in the host then, too.
            return Vec::new();
        }
        let whole = prefix.trim_matches('/');
        let (first, rest) = whole.split_once('/').unwrap_or((whole, ""));
        let without = match set.filter(|set| check_bucket(set).is_ok()) {
            _ if !first.is_empty() => Some(OldPlace::Store(self.at(first, rest))),
            set => set.map(|set| OldPlace::Root(self.at(set, ""))),
        };
        let in_host = bucket_address(bucket, Some(endpoint), Some(false));
        let begins = path_style.is_none() && in_host.endpoint.as_deref() == Some(endpoint.trim_end_matches('/'));
        let in_host = begins.then(|| {
            let mut spec = self.clone();
            if let Self::S3 { path_style, .. } = &mut spec {
                *path_style = Some(false);
            }
            OldPlace::InHost(spec)
        });
        without.into_iter().chain(in_host).collect()
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

    fn old(more: &serde_json::Value) -> Vec<(String, String, &'static str)> {
        let mut spec = serde_json::json!({"type": "s3", "bucket": "archive", "region": "us-east-1"});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let spec: StoreSpec = serde_json::from_value(spec).unwrap();
        let told = |place: OldPlace| {
            let (old, what, style) = match place {
                OldPlace::Store(old) => (old, "store", true),
                OldPlace::Root(old) => (old, "root", true),
                OldPlace::InHost(old) => (old, "host", false),
            };
            let StoreSpec::S3 { bucket, prefix, path_style, .. } = old else { panic!("{old:?}") };
            assert_eq!(path_style, Some(style));
            (bucket, prefix, what)
        };
        spec.old_places(Some("nightly")).into_iter().map(told).collect()
    }

    #[test]
    fn the_first_folder_stood_in_the_place_of_the_bucket() {
        let place = |bucket: &str, prefix: &str, what: &'static str| (bucket.to_owned(), prefix.to_owned(), what);
        for (at, in_host) in [
            (serde_json::json!({"endpoint": "http://minio:9000"}), false),
            (serde_json::json!({"endpoint": "http://minio:9000", "pathStyle": false}), false),
            (serde_json::json!({"endpoint": "https://archive.minio:9000"}), true),
        ] {
            let below = |prefix: &str| {
                let mut at = at.clone();
                at["prefix"] = prefix.into();
                old(&at)
            };
            let host = |prefix: &str| in_host.then(|| place("archive", prefix, "host"));
            let all = |first, prefix: &str| [Some(first), host(prefix)].into_iter().flatten().collect::<Vec<_>>();
            assert_eq!(below("/team/backups/"), all(place("team", "backups", "store"), "/team/backups/"), "{at}");
            assert_eq!(below("team"), all(place("team", "", "store"), "team"), "{at}");
            assert_eq!(below(""), all(place("nightly", "", "root"), ""), "{at}");
        }
        // There the bucket was in each request.
        for same in [
            serde_json::json!({"prefix": "team"}),
            serde_json::json!({"endpoint": "http://minio:9000", "prefix": "team", "pathStyle": true}),
            serde_json::json!({"endpoint": "https://archive.minio:9000", "prefix": "team", "pathStyle": false}),
            serde_json::json!({"endpoint": "https://archive.s3.eu-central-1.amazonaws.com", "prefix": "team"}),
        ] {
            assert_eq!(old(&same), [], "{same}");
        }
    }
}
