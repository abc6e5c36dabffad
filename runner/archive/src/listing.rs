//! How much a store may say in a listing: a name is no longer than stores let names be, and all names that are kept at once
//! have a bound, however many pages the store sends. What goes over a listing without keeping it needs none.

use std::cell::Cell;

use object_store::path::Path;

use crate::ArchiveError;

/// Most bytes of a name with its folders: S3, Azure and GCS take 1024, file systems 4096.
const LONGEST: usize = 4096;
/// Most bytes of the pages of one listing whose names are kept: two hundred thousand names and more.
const KEPT: u64 = 64 << 20;

tokio::task_local! {
    /// What the pages of the listing that is waited for may still have.
    static LEFT: Cell<u64>;
}

/// Waits for a listing whose names are kept.
pub(crate) async fn kept<F: Future>(listing: F) -> F::Output {
    LEFT.scope(Cell::new(KEPT), listing).await
}

/// Takes a piece of a page; `false` when the listing that is waited for has no room for it.
pub(crate) fn take(bytes: u64) -> bool {
    let take = |left: &Cell<u64>| left.get().checked_sub(bytes).map(|rest| left.set(rest)).is_some();
    // Nothing is kept of any other listing.
    LEFT.try_with(take).unwrap_or(true)
}

/// What to say of a listing without room.
pub(crate) fn no_room() -> String {
    format!(
        "the store lists more than {} MiB of names in one folder, and no set has so many; is storage.prefix a folder of backups alone?",
        KEPT >> 20
    )
}

/// A listed name, if it can be one.
///
/// # Errors
/// When it is longer than names are.
pub(crate) fn name<'a>(listed: &'a Path, place: &str) -> Result<&'a str, ArchiveError> {
    let name = listed.as_ref();
    if name.len() <= LONGEST {
        return Ok(name);
    }
    let reason = format!(
        "{place}: the store lists a name of {} bytes, and no store takes one of more than {LONGEST}; is storage.endpoint a store?",
        name.len()
    );
    Err(ArchiveError::Config { reason, code: contract::Code::StoreRefused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_of_a_listing_has_room_once() {
        assert!(take(u64::MAX), "nothing is kept here");
        let taken = kept(async { [take(KEPT - 1), take(1), take(1)] }).await;
        assert_eq!(taken, [true, true, false]);
        assert!(kept(async { take(KEPT) }).await, "each listing has its own");
    }

    #[test]
    fn a_name_has_a_length() {
        assert!(name(&Path::from("a".repeat(LONGEST)), "s3://b").is_ok());
        let error = name(&Path::from("a".repeat(LONGEST + 1)), "s3://b").unwrap_err();
        assert_eq!(error.code(), contract::Code::StoreRefused);
        let words = error.to_string();
        assert!(words.contains("a name of 4097 bytes") && words.len() < 300, "{words}");
    }
}
