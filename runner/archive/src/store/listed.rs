//! Going over listings without keeping them.

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::Store;
use crate::{ArchiveError, listing};

/// An object in a listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// Its key, the prefix with it.
    pub(crate) key: &'a str,
    /// Its bytes.
    pub(crate) size: u64,
    /// When it was written, by the store's clock; `None` where the store does not tell.
    pub(crate) at: Option<Timestamp>,
}

impl<'a> Listed<'a> {
    fn of(meta: &'a ObjectMeta) -> Self {
        Self { key: meta.location.as_ref(), size: meta.size, at: written_at(meta) }
    }
}

/// When an object was written; a store that does not tell the time says that it is 1970.
pub(super) fn written_at(meta: &ObjectMeta) -> Option<Timestamp> {
    let at = Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).ok();
    at.filter(|at| *at > Timestamp::UNIX_EPOCH)
}

impl Store {
    /// Goes over every object below a folder with its key and size, in the store's order, without keeping them.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn fold<T>(
        &self,
        folder: &Path,
        begin: impl Fn() -> T,
        take: impl Fn(&mut T, &str, u64),
    ) -> Result<T, ArchiveError> {
        self.fold_listed(folder, begin, |sum, listed| take(sum, listed.key, listed.size)).await
    }

    /// The same, with the times at which objects were written.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn fold_listed<T>(
        &self,
        folder: &Path,
        begin: impl Fn() -> T,
        take: impl Fn(&mut T, &Listed<'_>),
    ) -> Result<T, ArchiveError> {
        let path = self.path(folder);
        let ask = async || {
            let mut sum = begin();
            let mut all = self.inner.list(Some(&path));
            while let Some(meta) = all.try_next().await? {
                if let Err(error) = listing::name(&meta.location, self.place()) {
                    return Ok(Err(error));
                }
                take(&mut sum, &Listed::of(&meta));
            }
            Ok(Ok(sum))
        };
        self.again(ask).await.map_err(|error| ArchiveError::store("list", self.show(folder), &error))?
    }
}
