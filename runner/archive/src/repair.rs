//! Making `set.json` again from what the log knows. Creates what is absent and touches nothing else.

use uuid::Uuid;

use crate::documents::SetDocument;
use crate::entry::{FORMAT, encode_document};
use crate::replay::{Replay, create_document, named_set, read_set};
use crate::{ArchiveError, Chain, Layout, Owner, Store};

/// What repairing a set found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// `set.json` is the one that the log names.
    Sound,
    /// It is missing; this would be created.
    Planned(SetDocument),
    /// It was missing and is created.
    Done(SetDocument),
}

/// Creates the missing `set.json` of a set that has a log; only says what it would create without `apply`. The owner is
/// the newest recovery point's. The document says which one it replaces, so that it counts as the one that entry 0 names.
///
/// # Errors
/// When there is no log, no recovery point, or another `set.json`, which is never touched; the store's failures.
pub async fn repair_set(store: &Store, layout: &Layout, apply: bool) -> Result<Repair, ArchiveError> {
    let chain = Chain::new(store.clone(), layout.clone());
    let missing = |what| ArchiveError::Missing { what, name: layout.set().to_owned(), place: store.place().to_owned() };
    let head = chain.head().await?.ok_or_else(|| missing("the log of set"))?;
    if head.entry.takes_all() {
        return Err(ArchiveError::Removed { point: layout.set().to_owned(), entry: head.entry.n });
    }
    let by_log = named_set(&chain, &head).await?;
    let key = layout.set_document();
    if let Some((document, digest)) = read_set(store, layout).await? {
        if document.is_named(&digest, &by_log) {
            return Ok(Repair::Sound);
        }
        return Err(ArchiveError::SetLost(format!(
            "{} is there and is another set's. Move it away first: repair only creates what is absent",
            store.show(&key)
        )));
    }
    // Whose set it is stands in seals; replaced below.
    let nobody = Owner { namespace: String::new(), name: String::new(), cluster_id: String::new() };
    let replay = Replay::read(&chain, Some(head), nobody.clone()).await?;
    let point = replay.newest_point().ok_or_else(|| missing("a recovery point of set"))?;
    if replay.owner == nobody {
        return Err(missing("an owner in the log of set"));
    }
    let document = SetDocument {
        format: FORMAT,
        requires: Vec::new(),
        optional: Vec::new(),
        uuid: Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("kafka-backup-set:{}", by_log.0).as_bytes()).to_string(),
        owner: replay.owner.clone(),
        // A full set has the name of its one point.
        incremental: point != layout.set(),
        replaces: Some(by_log),
    };
    if !apply {
        return Ok(Repair::Planned(document));
    }
    create_document(store, &key, encode_document(&document)?).await?;
    Ok(Repair::Done(document))
}
