//! The newest recovery point among the full sets of one name.

use super::{Catalog, UNFINISHED_DEPTH, newest_seal};
use crate::{ArchiveError, Chain, Entry, Layout};

impl Catalog {
    /// The newest recovery point of the full sets of `name` that are older than the set `before`, with its set. Only the
    /// newest few of them are looked at.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_full(&self, name: &str, before: &str) -> Result<Option<(Layout, Entry)>, ArchiveError> {
        let sets = self.stamped_folders(name).await?;
        for set in sets.into_iter().rev().filter(|set| set.as_str() < before).take(UNFINISHED_DEPTH) {
            let layout = Layout::new(&set);
            let newest = newest_seal(&Chain::new(self.store.clone(), layout.clone())).await?;
            if let Some((entry, _)) = newest.seal {
                return Ok(Some((layout, entry)));
            }
        }
        Ok(None)
    }
}
