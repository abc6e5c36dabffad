//! The point that a question names, of the owner that may be asked about.

use archive::{ArchiveError, Layout, Point, Store, check_owner};
use contract::{Failure, SetOwner};
use foreign::Named;

/// As [`archive::resolve`]; the set of another owner is refused, and so is an archive of another tool.
///
/// # Errors
/// When there is no such point, it cannot be read, or it belongs to another owner.
pub async fn owned(store: &Store, name: &str, owner: Option<&SetOwner>) -> Result<(Layout, u64), ArchiveError> {
    let found = foreign::ours(store, name, "to compare").await?;
    let (layout, seal) = (found.layout, found.seal);
    if let Some(expected) = owner {
        check_owner(store, &layout, seal, expected).await?;
    }
    Ok((layout, seal))
}

/// The point that a name means, of whichever tool; that of another owner is refused.
///
/// # Errors
/// As [`owned`].
pub(crate) async fn opened(store: &Store, name: &str, owner: Option<&SetOwner>) -> Result<Point, ArchiveError> {
    let point = foreign::open(store, name).await?;
    if let Some(expected) = owner {
        point.check_owner(expected).await?;
    }
    Ok(point)
}

/// Whether the set may be asked about, whatever is damaged of it: for whoever looks for damage.
pub(crate) async fn may_be_asked(store: &Store, name: &str, owner: Option<&SetOwner>) -> Result<(), Failure> {
    let asked = match foreign::find(store, name).await {
        Ok(Named::Ours(found)) => match owner {
            Some(expected) => check_owner(store, &found.layout, found.seal, expected).await,
            None => Ok(()),
        },
        Ok(Named::Theirs(_)) => opened(store, name, owner).await.map(drop),
        Err(error) => Err(error),
    };
    match asked {
        Err(error) if !error.is_damage() => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
