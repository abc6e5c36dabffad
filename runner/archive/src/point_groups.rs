//! Committed offsets of a time: those of the newest recovery point of a set that is not after it.

use crate::chain::Chain;
use crate::index::Index;
use crate::point::{Point, side};
use crate::state::TopicState;
use crate::{ArchiveError, GroupSnapshot};

/// The consumer groups of a recovery point.
#[derive(Debug, Clone)]
pub struct PointGroups {
    /// Name of the recovery point that has them.
    pub point: String,
    /// Topics of the set then: positions name them, and a name may have meant another topic.
    pub topics: Vec<TopicState>,
    /// The groups.
    pub groups: Vec<GroupSnapshot>,
}

impl Point {
    /// Consumer groups of the newest point up to this one that has any and is not after `time_ms`; without a time, of this
    /// point. `None` when no such point has them.
    ///
    /// # Errors
    /// When an entry or a document is missing or damaged.
    pub async fn groups_not_after(&self, time_ms: Option<i64>) -> Result<Option<PointGroups>, ArchiveError> {
        let Some(time_ms) = time_ms.filter(|time| *time < millis(&self.seal.at)) else {
            let found = self.groups().await?;
            let (point, topics) = (self.seal.point.clone(), self.seal.topics.clone());
            return Ok(found.map(|groups| PointGroups { point, topics, groups }));
        };
        if self.guest.is_some() {
            return Ok(None); // it has the positions of one moment only
        }
        let chain = Chain::new(self.store.clone(), self.layout.clone());
        let (last, digest) = chain.entry(self.entry).await?;
        let index = Index::up_to(&self.store, &self.layout, (&last, &digest), true).await?;
        let is_before = |stamp: &str| millis(&contract::stamp::stamp_time(stamp)) <= time_ms;
        for sealed in index.seals.iter().rev().filter(|sealed| is_before(&sealed.stamp)) {
            let (entry, _) = chain.entry(sealed.entry).await?;
            let Some(seal) = entry.seal else { continue };
            if let Some(reference) = &seal.groups {
                let groups = side(&self.store, &self.layout, entry.n, "groups.json", reference).await?;
                return Ok(Some(PointGroups { point: seal.point, topics: seal.topics, groups }));
            }
        }
        Ok(None)
    }
}

/// Milliseconds of a time that a seal tells. One that does not read is after every other: its point is not used.
fn millis(at: &str) -> i64 {
    contract::stamp::parse_millis(at).unwrap_or(i64::MAX)
}
