//! What a name means, whichever tool wrote it.

use archive::{ArchiveError, Found, Point, Store};
use contract::{Code, ForeignRecords};

use crate::set::Set;

/// What a name means.
#[derive(Debug, Clone)]
pub enum Named {
    /// A recovery point of ours.
    Ours(Found),
    /// An archive that the OSO tool wrote.
    Theirs(Box<Set>),
}

/// As [`archive::find`]; where that finds nothing, an archive of the OSO tool that has this name.
///
/// # Errors
/// As [`archive::find`], and as [`Set::find`].
pub async fn find(store: &Store, name: &str) -> Result<Named, ArchiveError> {
    match Box::pin(archive::find(store, name)).await {
        Ok(found) => Ok(Named::Ours(found)),
        Err(error @ ArchiveError::Missing { .. }) => match Box::pin(Set::find(store, name)).await? {
            Some(set) => Ok(Named::Theirs(Box::new(set))),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// The recovery point that a name means; one of the OSO tool as far as its manifest tells it.
///
/// # Errors
/// As [`find`], and when it cannot be read.
pub async fn open(store: &Store, name: &str) -> Result<Point, ArchiveError> {
    match find(store, name).await? {
        Named::Ours(found) => Box::pin(Point::open(store, &found)).await,
        Named::Theirs(set) => Box::pin(set.listed(ForeignRecords::Cleaned)).await,
    }
}

/// As [`archive::find`], for what is done with our own points only; `what` says what that is ("to validate").
///
/// # Errors
/// As [`archive::find`]; that an archive was recognised, and that this cannot be done with it.
pub async fn ours(store: &Store, name: &str, what: &str) -> Result<Found, ArchiveError> {
    match find(store, name).await? {
        Named::Ours(found) => Ok(found),
        Named::Theirs(set) => Err(set.refused(what)),
    }
}

impl Set {
    /// That something cannot be done with it.
    #[must_use]
    pub fn refused(&self, what: &str) -> ArchiveError {
        let reason = format!(
            "{} in {} was recognised as an archive that the OSO tool wrote. It can be listed, shown, searched, verified and \
             restored; {what} it is not possible yet",
            self.manifest.id,
            self.store.place()
        );
        ArchiveError::Config { reason, code: Code::NoSuchPoint }
    }
}
