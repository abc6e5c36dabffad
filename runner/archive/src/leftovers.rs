//! Parts of segments that a killed run left in a store: the next run of the set ends their uploads.
//!
//! The log decides what is dead, never a clock: segments belong to a claim, and once a newer claim stands, nothing that
//! an older one still sends can ever be named by the log. Only uploads of this set's segments under older claims are
//! ended. Objects are never touched.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::classify::is_no_upload;
use crate::holdings::of_key;
use crate::{ArchiveError, Entry, EntryKind, Layout, Store};

/// Uploads that are ended at once.
const AT_ONCE: usize = 16;
/// Uploads that are ended by one run; the next one goes on.
const MOST: usize = 10_000;

/// Whether a run that ended after this entry, the newest of the log, may have left parts: it did not seal, or it went on
/// after its seal as continuous runs do.
pub(crate) fn may_be_left(newest: &Entry, continuous: bool) -> bool {
    let sealed_before = newest.last_seal.is_some_and(|seal| seal > newest.claim);
    newest.kind != EntryKind::Seal || sealed_before || continuous
}

/// Uploads of dead runs of one set.
#[derive(Debug, Clone)]
pub struct Leftovers {
    store: Store,
    layout: Layout,
    /// Number of the claim that is alive: what is older is dead.
    claim: u64,
}

impl Leftovers {
    /// Those of a set whose live claim has this number.
    #[must_use]
    pub fn new(store: Store, layout: Layout, claim: u64) -> Self {
        Self { store, layout, claim }
    }

    /// Ends them; returns how many there were. Nothing depends on it: it is tried once.
    ///
    /// # Errors
    /// When the store does not list uploads, or does not end one.
    pub async fn abort(self) -> Result<u64, ArchiveError> {
        let Some(uploads) = self.store.uploads() else { return Ok(0) };
        let prefix = format!("{}/", self.store.path(&self.layout.data()));
        let place = self.store.show(&self.layout.data());
        let failed = |operation, error: &object_store::Error| ArchiveError::store(operation, &place, error);
        let (mut dead, mut after) = (Vec::new(), None);
        loop {
            let page = uploads.page(&prefix, after.as_ref()).await;
            let page = page.map_err(|error| failed("list the uploads of", &error))?;
            dead.extend(page.uploads.iter().filter_map(|upload| Some((self.dead(&upload.key)?, upload.id.clone()))));
            // A store that names the same place again would be asked for ever.
            if page.next.is_none() || page.next == after || dead.len() >= MOST {
                break;
            }
            after = page.next;
        }
        let abort = |(key, id): (Path, String)| {
            let uploads = Arc::clone(uploads);
            async move {
                match uploads.abort(&key, &id).await {
                    // Somebody ended it before.
                    Err(error) if is_no_upload(&error) => Ok(0),
                    Err(error) => Err(error),
                    Ok(()) => Ok(1),
                }
            }
        };
        let ended = futures::stream::iter(dead).map(abort).buffer_unordered(AT_ONCE);
        let ended = ended.try_fold(0u64, |sum, one| async move { Ok(sum + one) }).await;
        ended.map_err(|error| failed("end an upload of", &error))
    }

    /// The path of a key that is a segment of this set under an older claim.
    fn dead(&self, key: &str) -> Option<Path> {
        let (claim, nonce, seq) = of_key(key)?;
        let path = self.store.path(&self.layout.segment(claim, nonce, seq));
        (claim < self.claim && path.as_ref() == key).then_some(path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use object_store::memory::InMemory;

    use super::*;
    use crate::uploads::{Page, Upload, Uploads};

    /// Lists one upload a page, and remembers what was ended.
    #[derive(Debug, Default)]
    struct Listed {
        keys: Vec<String>,
        ended: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Uploads for Listed {
        async fn page(&self, prefix: &str, after: Option<&Upload>) -> Result<Page, object_store::Error> {
            assert!(prefix.ends_with("/data/"), "{prefix}");
            let place = after.map_or(0, |after| after.id.parse::<usize>().unwrap() + 1);
            let upload = |place: usize| Some(Upload { key: self.keys.get(place)?.clone(), id: place.to_string() });
            let next = upload(place).filter(|_| place + 1 < self.keys.len());
            Ok(Page { uploads: upload(place).into_iter().collect(), next })
        }

        async fn abort(&self, key: &Path, _: &str) -> Result<(), object_store::Error> {
            self.ended.lock().unwrap().push(key.to_string());
            Ok(())
        }
    }

    #[tokio::test]
    async fn only_segments_of_older_claims_of_this_set_are_ended() {
        let key = |set: &str, claim: u64| format!("team/{}", Layout::new(set).segment(claim, "0123456789abcdef", 3));
        let dead = vec![key("orders", 2), key("orders", 6)];
        let alive = [
            // Our own claim, and a newer one.
            key("orders", 7),
            key("orders", 8),
            // Other sets, also where a store does not look at the prefix.
            key("orders-2", 2),
            key("orders", 2).replacen("team/", "team/team/", 1),
            key("orders", 2).replacen("team/", "", 1),
            // What is no segment.
            "team/orders/data/00000000000000000002-0123456789abcdef/readme".to_owned(),
            "team/orders/data/2-0123456789abcdef/3.seg".to_owned(),
            "team/orders/manifest.json".to_owned(),
        ];
        let listed = Arc::new(Listed { keys: dead.iter().chain(&alive).cloned().collect(), ..Listed::default() });
        let store = Store::new(Arc::new(InMemory::new()), "team", "memory");
        let store = store.with_uploads(Arc::clone(&listed) as Arc<dyn Uploads>);
        let leftovers = Leftovers::new(store, Layout::new("orders"), 7);
        assert_eq!(leftovers.abort().await.unwrap(), 2);
        let mut ended = listed.ended.lock().unwrap().clone();
        ended.sort();
        assert_eq!(ended, dead);
    }

    #[tokio::test]
    async fn a_store_that_lists_no_uploads_has_none() {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        assert_eq!(Leftovers::new(store, Layout::new("orders"), 7).abort().await.unwrap(), 0);
    }
}
