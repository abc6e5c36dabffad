//! An archive or a set as one word of a command line: its store, and behind the last slash its name. Pure.

use contract::{StoreSpec, names, store_url};

/// A name in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The store.
    pub store: StoreSpec,
    /// The name.
    pub name: String,
}

impl Place {
    /// Reads `s3://bucket/prefix/name?region=...`, or a path that ends with the name.
    ///
    /// # Errors
    /// What is wrong, and how such a place is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let base = base.trim_end_matches('/');
        let no_name = || format!("{text:?} names no archive: write STORE/NAME, as s3://backups/kafka/nightly");
        let (scheme, path) = match base.split_once("://") {
            Some((scheme, path)) => (Some(scheme), path),
            None => (None, base),
        };
        let (store, name) = match (scheme, path.rsplit_once('/')) {
            (Some(scheme), Some((store, name))) => (format!("{scheme}://{store}"), name),
            (Some(_), None) => return Err(no_name()),
            (None, Some(("", name))) => ("/".to_owned(), name),
            (None, Some((store, name))) => (with_slash(store), name),
            (None, None) => ("./".to_owned(), path),
        };
        if name.is_empty() {
            return Err(no_name());
        }
        names::check_name(name).map_err(|rule| format!("{text:?}: the name {name:?} {rule}"))?;
        let store = if query.is_empty() { store } else { format!("{store}?{query}") };
        Ok(Self { store: store_url::parse(&store)?, name: name.to_owned() })
    }
}

/// A folder whose path has no slash is one of this folder.
fn with_slash(path: &str) -> String {
    if path.contains('/') { path.to_owned() } else { format!("./{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_place_is_the_name() {
        let read = |text: &str| Place::parse(text).map(|place| (place.store, place.name));
        let folder = |path: &str, name: &str| {
            Ok((StoreSpec::Filesystem { path: path.into(), prefix: String::new() }, name.to_owned()))
        };
        assert_eq!(read("/srv/backups/nightly"), folder("/srv/backups", "nightly"));
        assert_eq!(read("backups/nightly/"), folder("./backups", "nightly"));
        assert_eq!(read("nightly"), folder("./", "nightly"));
        assert_eq!(read("/nightly"), folder("/", "nightly"));
        assert_eq!(read("file:///srv/nightly"), folder("/srv", "nightly"));
        let (store, name) = read("s3://b/kafka/old/nightly?region=eu-west-1").unwrap();
        let StoreSpec::S3 { bucket, prefix, region, .. } = store else { panic!("{store:?}") };
        assert_eq!((bucket.as_str(), prefix.as_str(), region.as_str()), ("b", "kafka/old", "eu-west-1"));
        assert_eq!(name, "nightly");
        let (store, name) = read("azure://account/container/nightly").unwrap();
        assert!(matches!(store, StoreSpec::Azure { ref prefix, .. } if prefix.is_empty()), "{store:?}");
        assert_eq!(name, "nightly");
    }

    #[test]
    fn what_names_no_archive_is_refused() {
        for (text, word) in [
            ("s3://bucket", "STORE/NAME"),
            ("", "STORE/NAME"),
            ("/", "STORE/NAME"),
            ("/srv/Not A Name", "Not A Name"),
            ("azure://account/nightly", "container"),
            ("ftp://x/y", "ftp"),
        ] {
            let error = Place::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
