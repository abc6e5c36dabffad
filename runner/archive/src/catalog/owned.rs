//! Whether a set is the one that its reader expects: of this resource, from this cluster. Stores are shared, and a name is
//! soon given twice.

use contract::SetOwner;

use super::identity::{SetCheck, set_document};
use super::seals::newest_seal;
use crate::{ArchiveError, Chain, Layout, Owner, Seal, Store};

/// Refuses the point that entry `seal` of a set makes when it belongs to another owner. A set that was adopted belongs to its
/// new owner with all its points; the cluster is the one that the point itself was read from.
///
/// # Errors
/// [`ArchiveError::NotOwned`] names both. When the seal cannot be read.
pub async fn check_owner(store: &Store, layout: &Layout, seal: u64, expected: &SetOwner) -> Result<(), ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let (entry, _) = chain.entry(seal).await?;
    let Some(sealed) = entry.seal else {
        return Err(ArchiveError::damaged(store.show(&layout.root()), format!("entry {seal} is no seal")));
    };
    check_sealed(&chain, &sealed, expected).await
}

/// The same of a seal that was read.
pub(crate) async fn check_sealed(chain: &Chain, sealed: &Seal, expected: &SetOwner) -> Result<(), ArchiveError> {
    let from_there = expected.cluster_id.as_ref().is_none_or(|id| *id == sealed.owner.cluster_id);
    if from_there && (is_resource(&sealed.owner, expected) || was_adopted(chain, expected).await?) {
        return Ok(());
    }
    let (owner, expected) = (sealed.owner.to_string(), expected.to_string());
    Err(ArchiveError::NotOwned { point: sealed.point.clone(), owner, expected })
}

/// The same of a point of an archive with another layout, which has no log.
pub(crate) fn check_guest(sealed: &Seal, expected: &SetOwner) -> Result<(), ArchiveError> {
    let from_there = expected.cluster_id.as_ref().is_none_or(|id| *id == sealed.owner.cluster_id);
    // It does not say whose it is: whoever names its storage means it, and a namespace is never known to be its own.
    if from_there && expected.namespace.is_none() {
        return Ok(());
    }
    let (owner, expected) = ("nobody that it names".to_owned(), expected.to_string());
    Err(ArchiveError::NotOwned { point: sealed.point.clone(), owner, expected })
}

/// Refuses a set that belongs to another resource now; a set that nobody can be named for is not refused.
///
/// # Errors
/// [`ArchiveError::NotOwned`] names both. When the store fails.
pub async fn check_set_owner(store: &Store, layout: &Layout, expected: &SetOwner) -> Result<(), ArchiveError> {
    let newest = newest_seal(&Chain::new(store.clone(), layout.clone())).await?.seal;
    let owner = match newest.and_then(|(entry, _)| entry.seal) {
        Some(seal) => seal.owner,
        None => match set_document(store, layout).await? {
            SetCheck::Sound(document) | SetCheck::Other(document, _) => document.owner,
            SetCheck::Damaged(_) => return Ok(()),
        },
    };
    if is_resource(&owner, expected) {
        return Ok(());
    }
    let (point, expected) = (layout.set().to_owned(), expected.to_string());
    Err(ArchiveError::NotOwned { point, owner: owner.to_string(), expected })
}

fn is_resource(owner: &Owner, expected: &SetOwner) -> bool {
    owner.name == expected.name && expected.namespace.as_ref().is_none_or(|namespace| *namespace == owner.namespace)
}

/// Whether the newest seal of the set is of this resource.
async fn was_adopted(chain: &Chain, expected: &SetOwner) -> Result<bool, ArchiveError> {
    let newest = newest_seal(chain).await?.seal;
    Ok(newest.and_then(|(entry, _)| entry.seal).is_some_and(|seal| is_resource(&seal.owner, expected)))
}
