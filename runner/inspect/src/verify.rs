//! Whether everything of a recovery point is there and unchanged.

use archive::{Chain, Level, Store, Verification, verify_named};
use contract::Failure;
use foreign::Set;

use crate::replies::Replies;
use crate::{Answer, Depth, Verified};

/// Answers with what a verification found.
pub(crate) async fn verify(store: &Store, name: &str, depth: Depth, replies: &mut Replies) -> Result<(), Failure> {
    let level = match depth {
        Depth::Structure => Level::Structure,
        Depth::Checksum => Level::Checksum,
        Depth::Decode => Level::Decode,
    };
    if let Some(set) = Set::find(store, name).await? {
        let found = set.verify(level).await?;
        return replies.send(Answer::Verified(answer(set.manifest().id.clone(), found))).await;
    }
    let (layout, seal, found) = verify_named(store, name, level).await?;
    // Where the entry itself is damaged, it has no name to tell.
    let entry = Chain::new(store.clone(), layout.clone()).entry(seal).await.ok();
    let point = entry.and_then(|(entry, _)| Some(entry.seal?.point));
    let name = point.unwrap_or_else(|| format!("{}, entry {seal}", layout.set()));
    replies.send(Answer::Verified(answer(name, found))).await
}

fn answer(name: String, found: Verification) -> Verified {
    Verified {
        name,
        segments: found.segments,
        bytes: found.bytes,
        batches: found.batches,
        records: found.records,
        problems: found.problems,
        notes: found.notes,
    }
}
