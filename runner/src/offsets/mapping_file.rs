//! An offset mapping where it lies: read as a stream, so that files of any size are.

use std::collections::{BTreeMap, BTreeSet};

use archive::Store;
use contract::{Code, Failure};
use wire::TopicPartition;

use super::mapping::{Heads, Mapping};

/// A file, and what stands in it beside the records.
#[derive(Debug)]
pub(crate) struct MappingFile {
    store: Store,
    path: String,
    pub(crate) heads: Heads,
}

impl MappingFile {
    /// Opens a file, with what it has of these groups.
    ///
    /// # Errors
    /// When it is missing, damaged, or of another cluster, or the store fails.
    pub(crate) async fn open(store: Store, path: &str, cluster: &str, groups: &[String]) -> Result<Self, Failure> {
        let (place, cluster) = (path.to_owned(), cluster.to_owned());
        let groups: BTreeSet<String> = groups.iter().cloned().collect();
        let heads = store.read_at(path, move |bytes| Heads::read(bytes, &place, &cluster, &groups)).await?;
        let heads = heads.ok_or_else(|| missing(&store, path))??;
        Ok(Self { store, path: path.to_owned(), heads })
    }

    /// The mapping with the records to which these offsets lead.
    ///
    /// # Errors
    /// When it is damaged, or the store fails.
    pub(crate) async fn with_details(
        &self,
        asked: BTreeMap<TopicPartition, BTreeSet<i64>>,
    ) -> Result<Mapping, Failure> {
        let heads = self.heads.clone();
        let mapping = self.store.read_at(&self.path, move |bytes| heads.with_details(bytes, &asked)).await?;
        mapping.ok_or_else(|| missing(&self.store, &self.path))?
    }
}

fn missing(store: &Store, path: &str) -> Failure {
    let text = format!("there is no offset mapping {path} in {}; correct the path", store.place());
    Failure::new(Code::NoOffsetMapping, text)
}
