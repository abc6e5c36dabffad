//! What is lost of the base of a run, in words.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::entry::SegmentRow;
use crate::error::LostPartition;
use crate::index::Index;
use crate::state::SetState;
use crate::{ArchiveError, Layout, Store};

/// Partitions, and objects, that a message names.
const NAMED: usize = 10;

/// The failure that names these lost segments of an index.
pub(super) async fn tell(
    store: &Store,
    layout: &Layout,
    index: &Index,
    lost: &HashSet<u32>,
    state: &SetState,
) -> Result<ArchiveError, ArchiveError> {
    let mut ranges: BTreeMap<(String, i32, Uuid), (i64, i64, u64)> = BTreeMap::new();
    let mut take = |topic: Uuid, row: &SegmentRow| {
        if lost.contains(&row.segment) {
            let name = state.topics.get(&topic).map_or_else(|| topic.to_string(), |topic| topic.name.clone());
            let range = ranges.entry((name, row.partition, topic)).or_insert((row.first, row.next, 0));
            *range = (range.0.min(row.first), range.1.max(row.next), range.2 + row.committed);
        }
    };
    index.each_row(None, &mut take).await?;
    let tell = |((topic, partition, _), (from, to, records)): (&(String, i32, Uuid), &(i64, i64, u64))| {
        format!("{topic}/{partition} offsets {from} to {} ({records} records)", to - 1)
    };
    let mut shown: Vec<_> = ranges.iter().take(NAMED).map(tell).collect();
    if ranges.len() > NAMED {
        shown.push(format!("and of {} more partitions", ranges.len() - NAMED));
    }
    let mut places: Vec<_> = lost.iter().copied().collect();
    places.sort_unstable();
    let key_of = |place: &u32| {
        let segment = index.segments.get(*place as usize)?;
        Some(layout.segment(segment.claim, &segment.nonce, segment.seq).to_string())
    };
    let mut objects: Vec<_> = places.iter().take(NAMED).filter_map(key_of).collect();
    if places.len() > NAMED {
        objects.push(format!("and {} more", places.len() - NAMED));
    }
    let set = layout.set();
    let text = format!(
        "{} of {} segments that set {set} builds on are not in the store, or have another size: {} below {}. Lost are {}. Something deleted them: look for a lifecycle rule of the bucket. `kafka-backup-runner verify SPEC {set}` names all. Bring them back from a copy or from older versions of the objects and run again; or set onMissingSegments: reread, which reads again what the source still has and names the rest as gaps; or begin a new set under another name",
        lost.len(),
        index.segments.len(),
        objects.join(", "),
        store.place(),
        shown.join(", ")
    );
    let partitions =
        ranges.into_keys().map(|(name, partition, topic)| LostPartition { topic, name, partition }).collect();
    Ok(ArchiveError::BaseLost { text, partitions })
}
