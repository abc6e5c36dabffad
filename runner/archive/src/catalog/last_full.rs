//! The newest recovery point among the full sets of one name.

use super::{Catalog, UNFINISHED_DEPTH, newest_seal};
use crate::{ArchiveError, Chain, Entry, Layout};

/// What lies before a full set.
#[derive(Debug)]
pub enum LastFull {
    /// A recovery point: its set, and its seal.
    Point(Layout, Box<Entry>),
    /// No set.
    Nothing,
    /// Sets, of which the newest few have no recovery point.
    Unfinished,
}

impl Catalog {
    /// The newest recovery point of the full sets of `name` that are older than the set `before`, with its set. Only the
    /// newest few of them are looked at.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_full(&self, name: &str, before: &str) -> Result<LastFull, ArchiveError> {
        let sets = self.stamped_folders(name).await?;
        let mut older = sets.into_iter().rev().filter(|set| set.as_str() < before).take(UNFINISHED_DEPTH).peekable();
        let none = if older.peek().is_none() { LastFull::Nothing } else { LastFull::Unfinished };
        for set in older {
            let layout = Layout::new(&set);
            let newest = newest_seal(&Chain::new(self.store.clone(), layout.clone())).await?;
            if let Some((entry, _)) = newest.seal
                // A set of another name that ends as points do.
                && entry.seal.as_ref().is_some_and(|seal| seal.owner.name == name)
            {
                return Ok(LastFull::Point(layout, Box::new(entry)));
            }
        }
        Ok(none)
    }
}
