//! The point that a question names, of the owner that may be asked about.

use archive::{ArchiveError, Layout, Store, check_owner, resolve};
use contract::{Failure, SetOwner};

/// As [`resolve`]; the set of another owner is refused.
///
/// # Errors
/// When there is no such point, it cannot be read, or it belongs to another owner.
pub async fn owned(store: &Store, name: &str, owner: Option<&SetOwner>) -> Result<(Layout, u64), ArchiveError> {
    let (layout, seal) = resolve(store, name).await?;
    if let Some(expected) = owner {
        check_owner(store, &layout, seal, expected).await?;
    }
    Ok((layout, seal))
}

/// Whether the set may be asked about, whatever is damaged of it: for whoever looks for damage.
pub(crate) async fn may_be_asked(store: &Store, name: &str, owner: Option<&SetOwner>) -> Result<(), Failure> {
    match owned(store, name, owner).await {
        Err(error) if !error.is_damage() => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}
