//! Verifying a recovery point at three levels. It collects every problem instead of stopping at the first.

mod blocks;

use std::collections::HashMap;

use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use self::blocks::check_blocks;
use crate::entry::{FORMAT, decode_document, rows_of};
use crate::index::{remade, rollups};
use crate::rollup::FANOUT;
use crate::segment::{Footer, HEADER_LEN, header};
use crate::{ArchiveError, Chain, Entry, Layout, Point, SegmentRef, Store};

/// How deep to look; each level includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Chain, sizes, headers and footers.
    Structure,
    /// The digest of every block.
    Checksum,
    /// Every batch and record: CRC, counts, continuity, timestamps.
    Decode,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The object.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// The result of verifying.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    /// Segments looked at.
    pub segments: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// Batches checked.
    pub batches: u64,
    /// Records counted, control records included.
    pub records: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

impl Verification {
    fn add(&mut self, found: Self) {
        self.segments += found.segments;
        self.bytes += found.bytes;
        self.batches += found.batches;
        self.records += found.records;
        self.problems.extend(found.problems);
    }

    fn problem(&mut self, key: &str, what: impl ToString) {
        self.problems.push(Problem { key: key.to_owned(), what: what.to_string() });
    }

    fn error(&mut self, error: &ArchiveError) {
        match error {
            ArchiveError::Damaged { key, reason } => self.problem(key, reason),
            other => self.problem("", other),
        }
    }
}

/// Verifies the point that entry `seal` of a set makes.
///
/// # Errors
/// Only when the store cannot be reached; damage is part of the result.
pub async fn verify_point(
    store: &Store,
    layout: &Layout,
    seal: u64,
    level: Level,
) -> Result<Verification, ArchiveError> {
    let mut out = Verification::default();
    let point = match Point::load(store, layout, seal).await {
        Ok(point) => point,
        Err(error @ ArchiveError::Store { .. }) => return Err(error),
        Err(error) => {
            out.error(&error);
            return Ok(out);
        }
    };
    for result in [point.configs().await.map(drop), point.groups().await.map(drop)] {
        if let Err(error) = result {
            out.error(&error);
        }
    }
    check_hint(store, layout, &point, &mut out).await?;
    check_set(store, layout, &mut out).await?;
    let mut ends = HashMap::new();
    let mut before = None;
    let mut from = 0;
    // Every entry is read, even where roll-ups say the same: a few at a time.
    while from <= seal {
        let to = (from + FANOUT - 1).min(seal);
        let entries = match Chain::new(store.clone(), layout.clone()).read_after(from, to, before.as_ref()).await {
            Ok(entries) => entries,
            Err(error @ ArchiveError::Store { .. }) => return Err(error),
            Err(error) => {
                out.error(&error);
                return Ok(out);
            }
        };
        for (entry, _) in &entries {
            check_entry(&point, entry, level, &mut ends, &mut out).await?;
        }
        before = entries.last().map(|(_, digest)| digest.clone());
        from = to + 1;
    }
    check_rollups(store, layout, seal, &mut out).await?;
    for row in &point.seal.partitions {
        let Some(topic) = point.seal.topics.get(row.topic as usize) else { continue };
        if let Some(end) = ends.get(&(topic.id, row.partition, row.timeline))
            && *end > row.next
        {
            let what = format!(
                "{}/{} ends at {end}, behind the position {} of the point",
                topic.name, row.partition, row.next
            );
            out.problem(layout.set(), what);
        }
    }
    Ok(out)
}

/// The segments of one entry are what it says of them.
async fn check_entry(
    point: &Point,
    entry: &Entry,
    level: Level,
    ends: &mut HashMap<(Uuid, i32, u32), i64>,
    out: &mut Verification,
) -> Result<(), ArchiveError> {
    let (store, layout) = (&point.store, &point.layout);
    for (segment, number) in entry.segments.iter().zip(0u32..) {
        out.segments += 1;
        let key = layout.segment(segment.claim, &segment.nonce, segment.seq);
        let footer = match check_structure(store, layout, point, segment, &key).await {
            Err(error @ ArchiveError::Store { .. }) => return Err(error),
            Err(error) => {
                out.error(&error);
                continue;
            }
            Ok(footer) => footer,
        };
        let shown = store.show(&key);
        let facts = |row: &crate::SegmentRow| (row.partition, row.timeline, row.first, row.next, row.committed);
        let named = entry.rows.iter().filter(|row| row.segment == number).map(facts);
        if !named.eq(rows_of(&footer).iter().map(facts)) {
            out.problem(&shown, "the log and the footer disagree on what it holds");
        }
        check_order(&footer, ends, &shown, out);
        if level >= Level::Checksum {
            check_blocks(store, &key, footer, level, out).await?;
        }
    }
    Ok(())
}

/// Roll-ups say what their entries say: they are made again, in memory, and compared.
async fn check_rollups(store: &Store, layout: &Layout, seal: u64, out: &mut Verification) -> Result<(), ArchiveError> {
    let (entry, _) = Chain::new(store.clone(), layout.clone()).entry(seal).await?;
    let scratch = Store::new(std::sync::Arc::new(object_store::memory::InMemory::new()), "", "memory");
    for (rollup, directory) in rollups(store, layout, entry.last_rollup).await? {
        let key = layout.rollup(rollup.level, rollup.from, rollup.to);
        let shown = store.show(&key);
        let same = remade(store, &scratch, layout, &rollup, &directory).await;
        match same {
            Err(error @ ArchiveError::Store { .. }) => return Err(error),
            Err(error) => out.error(&error),
            Ok(false) => out.problem(&shown, "it does not say what its entries say"),
            Ok(true) => {}
        }
        if store.size(&key).await? != Some(rollup.size) {
            out.problem(&shown, "it has not the size that the log names");
        }
    }
    Ok(())
}

/// The seal is the newest link: nothing in the chain covers it, but the hint to it does.
async fn check_hint(store: &Store, layout: &Layout, point: &Point, out: &mut Verification) -> Result<(), ArchiveError> {
    for name in store.objects(&layout.points()).await? {
        let bytes = store.get(&layout.point(&name)).await?.unwrap_or_default();
        match decode_document::<crate::writer::Hint>(&name, &bytes) {
            Ok(hint) if hint.entry == point.entry && hint.digest == point.digest && hint.format == FORMAT => {
                return Ok(());
            }
            Ok(hint) if hint.entry == point.entry => {
                let key = store.show(&layout.entry(point.entry));
                out.problem(
                    &key,
                    format!("the seal's digest is not the one that the hint {name} names: one of them was changed"),
                );
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => out.problem(&store.show(&layout.point(&name)), error),
        }
    }
    out.problem(&store.show(&layout.points()), "no hint leads to this seal; readers find it without");
    Ok(())
}

/// The first claim names the digest of `set.json`.
async fn check_set(store: &Store, layout: &Layout, out: &mut Verification) -> Result<(), ArchiveError> {
    let key = layout.set_document();
    let bytes = store.get(&key).await?.unwrap_or_default();
    let (claim, _) = match Chain::new(store.clone(), layout.clone()).entry(0).await {
        Ok(found) => found,
        Err(error @ ArchiveError::Store { .. }) => return Err(error),
        Err(error) => {
            out.error(&error);
            return Ok(());
        }
    };
    let digest = crate::Digest::of(&bytes);
    let named = |set: &crate::Digest| {
        decode_document::<crate::SetDocument>("set.json", &bytes).is_ok_and(|found| found.is_named(&digest, set))
    };
    if !claim.set.as_ref().is_some_and(named) {
        out.problem(&store.show(&key), "its digest is not the one that the first claim names");
    }
    Ok(())
}

async fn check_structure(
    store: &Store,
    layout: &Layout,
    point: &Point,
    segment: &SegmentRef,
    key: &Path,
) -> Result<Footer, ArchiveError> {
    let shown = store.show(key);
    match store.size(key).await? {
        None => return Err(ArchiveError::damaged(shown, "the segment is missing")),
        Some(size) if size != segment.size => {
            return Err(ArchiveError::damaged(shown, format!("{size} bytes instead of {}", segment.size)));
        }
        Some(_) => {}
    }
    let head = store.get_range(&layout.segment(segment.claim, &segment.nonce, segment.seq), 0..HEADER_LEN).await?;
    if head != header(segment.claim, &segment.nonce, segment.seq) {
        return Err(ArchiveError::damaged(shown, "the header is not that of this segment"));
    }
    point.footer(segment).await
}

/// Offsets of a timeline only grow from share to share and from segment to segment.
fn check_order(footer: &Footer, ends: &mut HashMap<(Uuid, i32, u32), i64>, key: &str, out: &mut Verification) {
    for share in &footer.shares {
        let Some(topic) = footer.topics.get(share.topic as usize) else { continue };
        let end = ends.entry((topic.id, share.partition, share.timeline)).or_insert(i64::MIN);
        if share.first < *end {
            out.problem(key, format!("{}/{} goes back from {end} to {}", topic.name, share.partition, share.first));
        }
        *end = share.next;
    }
}
