//! Restores that have not ended: each needs its recovery point until it is over, or until somebody ends it by `release`.

use std::collections::BTreeMap;

use contract::retention::Hold;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use serde::Deserialize;

use super::stored::believed;
use crate::again::reread;
use crate::chain::END;
use crate::entry::decode_document;
use crate::layout::RESTORES_FOLDER;
use crate::{ArchiveError, Store};

/// States that are read at once.
const AT_ONCE: usize = 16;

/// A point that somebody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its set; `None` where that is not known: then every point may be meant.
    pub(crate) set: Option<String>,
    /// Number of its seal.
    pub(crate) entry: u64,
    pub(crate) hold: Hold,
}

impl Held {
    /// Whether it is about a point of this set.
    pub(crate) fn is_of(&self, set: &str) -> bool {
        self.set.as_ref().is_none_or(|held| held == set)
    }
}

/// The fields of a restore's state that count here.
#[derive(Deserialize)]
struct Document {
    content: State,
}

#[derive(Deserialize)]
struct State {
    namespace: String,
    name: String,
    set: String,
    entry: u64,
    #[serde(default)]
    ended: Option<serde::de::IgnoredAny>,
}

/// The state of one restore, as a listing shows it.
#[derive(Debug, Clone, Copy)]
struct Shown {
    newest: u64,
    /// When its first document was written.
    since: Option<Timestamp>,
}

/// The points that restores with their state in this store need. Times behind `latest` are not believed.
pub(crate) async fn holds(store: &Store, latest: Timestamp) -> Result<Vec<Held>, ArchiveError> {
    let folder = Path::from(RESTORES_FOLDER);
    let keep = |found: &mut BTreeMap<String, Shown>, listed: &crate::store::Listed<'_>| {
        let Some((folder, number)) = state_of(listed.key) else { return };
        let at = believed(listed.at, latest);
        let shown = found.entry(folder.to_owned()).or_insert(Shown { newest: number, since: at });
        shown.newest = shown.newest.max(number);
        // Nobody knows less than a time.
        shown.since = shown.since.min(at).or(shown.since).or(at);
    };
    let found = store.fold_listed(&folder, BTreeMap::new, keep).await?;
    let read = |(folder, shown): (String, Shown)| {
        let store = store.clone();
        async move { held(&store, &folder, shown).await }
    };
    let all: Vec<_> = futures::stream::iter(found).map(read).buffered(AT_ONCE).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}

/// Folder and number of a document of a restore's state, from its key: `.../_restores/<cluster>/<identity>/state/<n>`. Claims of topics lie
/// deeper.
fn state_of(key: &str) -> Option<(&str, u64)> {
    let (folder, number) = key.rsplit_once("/state/")?;
    let below = folder.rsplit_once(&format!("{RESTORES_FOLDER}/")).map(|(_, below)| below)?;
    let number = number.parse().ok().filter(|number| *number < END)?;
    // The folder relative to the prefix is made anew from what follows `_restores`.
    (below.split('/').count() == 2).then_some((below, number))
}

/// The point that the restore of a folder needs; `None` when it has ended.
async fn held(store: &Store, below: &str, shown: Shown) -> Result<Option<Held>, ArchiveError> {
    let key = |number: u64| Path::from(format!("{RESTORES_FOLDER}/{below}/state/{number:020}"));
    let mut number = shown.newest;
    // A listing may be late: the end is where the next number is absent.
    while store.size(&key(number + 1)).await?.is_some() {
        number += 1;
    }
    let at = store.show(&key(number));
    let read = reread(|| async {
        let missing = || ArchiveError::damaged(&at, "the state of a restore is missing");
        let bytes = store.get(&key(number)).await?.ok_or_else(missing)?;
        decode_document::<Document>(&at, &bytes)
    });
    let state = match read.await {
        Ok(document) => document.content,
        Err(error @ ArchiveError::Store { .. }) => return Err(error),
        Err(error) => {
            let hold = Hold::Unread { key: at, what: error.to_string() };
            return Ok(Some(Held { set: None, entry: 0, hold }));
        }
    };
    let State { namespace, name, set, entry, ended } = state;
    let hold = Hold::Restore { namespace, name, since: shown.since };
    Ok(ended.is_none().then_some(Held { set: Some(set), entry, hold }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use serde_json::json;

    use super::*;
    use crate::RestoreJournal;

    #[test]
    fn only_states_of_restores_are_looked_at() {
        let number = format!("{:020}", 3);
        let key = |rest: &str| format!("some/prefix/{RESTORES_FOLDER}/{rest}/{number}");
        assert_eq!(state_of(&key("c/0af/state")), Some(("c/0af", 3)));
        assert_eq!(state_of(&key("c/claims/0af/state")), None);
        assert_eq!(state_of(&key("c/0af/plan")), None);
        assert_eq!(state_of(&format!("{RESTORES_FOLDER}/c/0af/state/x")), None);
    }

    async fn save(store: &Store, identity: &str, contents: &[serde_json::Value]) {
        for content in contents {
            let opened = RestoreJournal::open::<serde_json::Value>(store, "c", identity, "n".to_owned()).await.unwrap();
            let (mut journal, _) = opened;
            journal.save(content).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_restore_holds_its_point_until_it_has_ended() {
        for prefix in ["", "team/kafka"] {
            let store = Store::new(Arc::new(InMemory::new()), prefix, "memory");
            assert!(holds(&store, Timestamp::MAX).await.unwrap().is_empty());
            let state = |name: &str, ended: serde_json::Value| json!({"namespace": "shop", "name": name, "set": "orders", "entry": 7, "ended": ended, "more": 1});
            save(&store, "a", &[state("copy", json!(null)), state("copy", json!(null))]).await;
            save(&store, "b", &[state("done", json!(null)), state("done", json!("completed"))]).await;
            save(&store, "c", &[state("failed", json!({"failed": {"code": "KB5004", "message": ""}}))]).await;
            let found = holds(&store, Timestamp::MAX).await.unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            let held = found.first().unwrap();
            assert!(held.is_of("orders") && !held.is_of("orders-eu") && held.entry == 7);
            assert!(
                matches!(&held.hold, Hold::Restore { namespace, name, since: Some(_) } if namespace == "shop" && name == "copy")
            );
            // What cannot be read may be about any point.
            store
                .put(&Path::from(format!("{RESTORES_FOLDER}/c/d/state/{:020}", 0)), b"{".to_vec().into())
                .await
                .unwrap();
            let found = holds(&store, Timestamp::MAX).await.unwrap();
            let unread = found.iter().find(|held| matches!(held.hold, Hold::Unread { .. })).unwrap();
            assert!(unread.is_of("orders") && unread.is_of("payments"));
        }
    }
}
