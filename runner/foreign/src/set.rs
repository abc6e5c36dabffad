//! An archive that was recognised: its manifest, and what a look at its objects shows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use archive::{ArchiveError, Catalog, Digest, GroupPosition, GroupSnapshot, Store};
use batch::{Codec, Decompressor};
use bytes::Bytes;
use contract::ForeignRecords;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use serde::Deserialize;
use uuid::Uuid;

use crate::batcher::Rule;
use crate::fault::Fault;
use crate::manifest::{Manifest, Partition, Segment, Topic};
use crate::object;
use crate::pieces::{Piece, Span, pieces};
use crate::segment::Head;

/// Most bytes of an unpacked document.
const DOCUMENT: usize = 256 << 20;
/// Objects that are looked at at once.
const AT_ONCE: usize = 16;
/// Endings of a manifest, plain or packed.
const ENDINGS: [&str; 3] = ["", ".zst", ".gz"];
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a look at an object shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is there; without a header it is a list of JSON.
    There { size: u64, head: Option<Head> },
    /// It is not there.
    Missing,
    /// It is there and no segment.
    Bad { size: u64, fault: Fault },
}

impl Look {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::There { size, .. } | Self::Bad { size, .. } => *size,
            Self::Missing => 0,
        }
    }
}

/// A partition by the places of its topic and of itself in the manifest.
pub(crate) type Place = (usize, usize);

/// An archive that the OSO tool wrote.
#[derive(Debug, Clone)]
pub struct Set {
    pub(crate) store: Store,
    pub(crate) manifest: Arc<Manifest>,
    /// Of the manifest as it is stored.
    pub(crate) digest: Digest,
    /// The manifest, and its name for messages.
    key: Path,
    shown: String,
    looks: Arc<Mutex<HashMap<Place, Arc<Vec<Look>>>>>,
}

impl Set {
    /// The archive of this name; `None` where there is none, or one of our own.
    ///
    /// # Errors
    /// When the store fails, or the archive is one whose manifest cannot be read.
    pub async fn find(store: &Store, name: &str) -> Result<Option<Self>, ArchiveError> {
        if contract::names::check_name(name).is_err() || Catalog::new(store.clone()).has_set(name).await? {
            return Ok(None);
        }
        for ending in ENDINGS {
            let key = Path::from(format!("{name}/manifest.json{ending}"));
            let Some(bytes) = store.get(&key).await? else { continue };
            let shown = store.show(&key);
            let json = plain(&shown, &bytes)?;
            let manifest = match Manifest::parse(&shown, &json) {
                Ok(manifest) => manifest,
                Err(_) if !Manifest::is_one(&json) => continue,
                Err(error) => return Err(error),
            };
            if manifest.id != name {
                let reason = format!(
                    "it is the manifest of the set {:?}; rename the folder {name} to that",
                    contract::words::safe(&manifest.id)
                );
                return Err(ArchiveError::Damaged { key: shown, reason });
            }
            let (store, manifest, looks) = (store.clone(), Arc::new(manifest), Arc::default());
            return Ok(Some(Self { store, manifest, digest: Digest::of(&bytes), key, shown, looks }));
        }
        Ok(None)
    }

    /// Names of all such archives of a store, sorted. Their manifests are not read whole.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn names(store: &Store) -> Result<Vec<String>, ArchiveError> {
        let folders = store.folders(&Path::default()).await?;
        let look = |name: String| async move {
            if contract::names::check_name(&name).is_err() || Catalog::new(store.clone()).has_set(&name).await? {
                return Ok(None);
            }
            for ending in ENDINGS {
                let key = Path::from(format!("{name}/manifest.json{ending}"));
                let Some(bytes) = store.get(&key).await? else { continue };
                if plain(&store.show(&key), &bytes).is_ok_and(|json| Manifest::is_one(&json)) {
                    return Ok(Some(name));
                }
            }
            Ok(None)
        };
        let found = futures::stream::iter(folders).map(look).buffered(AT_ONCE);
        let found: Vec<Option<String>> = found.try_collect::<Vec<_>>().await.map_err(|error: ArchiveError| error)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Its manifest as it is written.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub async fn document(&self) -> Result<serde_json::Value, ArchiveError> {
        let missing = || ArchiveError::Damaged { key: self.shown.clone(), reason: "it is missing".to_owned() };
        let bytes = self.store.get(&self.key).await?.ok_or_else(missing)?;
        let json = plain(&self.shown, &bytes)?;
        archive::from_json(&json)
            .map_err(|error| ArchiveError::Damaged { key: self.shown.clone(), reason: error.to_string() })
    }

    /// What it says that it holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Digest of its manifest as it is stored.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// When the newest of its segments was stored, or its first run began, where nobody says more.
    #[must_use]
    pub fn moment(&self) -> Timestamp {
        let newest = self.manifest.segments().filter_map(|(_, _, segment)| segment.uploaded_at);
        let millis = newest.chain(self.manifest.created_at).max().unwrap_or(0);
        // What is no time is before all others.
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The id that a topic has here: the archive knows none.
    pub(crate) fn id_of(&self, topic: &str) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}/{topic}", self.manifest.id).as_bytes())
    }

    pub(crate) fn at(&self, (topic, partition): Place) -> Option<(&Topic, &Partition)> {
        let topic = self.manifest.topics.get(topic)?;
        Some((topic, topic.partitions.get(partition)?))
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        let of = |(topic, found): (usize, &Topic)| (0..found.partitions.len()).map(move |place| (topic, place));
        self.manifest.topics.iter().enumerate().flat_map(of).collect()
    }

    /// Looks at the objects of a partition; each once.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn looks(&self, place: Place) -> Result<Arc<Vec<Look>>, ArchiveError> {
        let known = || self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&place) {
            return Ok(Arc::clone(found));
        }
        let segments: &[Segment] = self.at(place).map_or(&[], |(_, partition)| &partition.segments);
        let keys: Vec<String> = segments.iter().map(|segment| segment.key.clone()).collect();
        let looks = futures::stream::iter(keys).map(|key| self.look(key)).buffered(AT_ONCE);
        let looks = Arc::new(looks.try_collect::<Vec<_>>().await?);
        known().insert(place, Arc::clone(&looks));
        Ok(looks)
    }

    async fn look(&self, key: String) -> Result<Look, ArchiveError> {
        let Some(size) = self.store.size(&Path::from(key.as_str())).await? else { return Ok(Look::Missing) };
        // Stores refuse to read nothing of nothing, and are asked again for minutes.
        if size == 0 {
            return Ok(Look::Bad { size, fault: Fault::Short(size) });
        }
        let first = match object::begins(&self.store, &key, size).await {
            Ok(first) => first,
            Err(error) if error.is_damage() => return Ok(Look::Bad { size, fault: Fault::Short(size) }),
            Err(error) => return Err(error),
        };
        Ok(match Head::parse(&first) {
            Ok(head) => Look::There { size, head },
            Err(fault) => Look::Bad { size, fault },
        })
    }

    /// What is taken from which segment of a partition, by offset, as far as the manifest says.
    pub(crate) fn listed_pieces(&self, place: Place) -> Vec<Piece> {
        let segments: &[Segment] = self.at(place).map_or(&[], |(_, partition)| &partition.segments);
        let span = |segment: &Segment| {
            let (start, end) = segment.span();
            Span { start, end, covered: segment.covered.is_some(), uploaded: segment.uploaded_at.unwrap_or(0) }
        };
        pieces(&segments.iter().map(span).collect::<Vec<_>>())
    }

    /// The same, as the objects themselves say it.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn pieces(&self, place: Place) -> Result<Vec<Piece>, ArchiveError> {
        let looks = self.looks(place).await?;
        let segments: &[Segment] = self.at(place).map_or(&[], |(_, partition)| &partition.segments);
        let spans: Vec<Span> = segments.iter().zip(looks.iter()).map(|(segment, look)| span(segment, look)).collect();
        Ok(pieces(&spans))
    }

    /// What is done with the records of a piece.
    pub(crate) fn rule(&self, segment: &Segment, look: &Look, piece: Piece, records: ForeignRecords) -> Rule {
        let cleaned = records == ForeignRecords::Cleaned;
        let rewritten = !is_as_listed(segment, look);
        // A writer that left markers out says so; one that does not say what it covers left none out.
        let committed = segment.covered.is_some() && !rewritten && (segment.left_out > 0 || self.manifest.committed);
        Rule { from: piece.from, to: piece.to, strip: cleaned, drop_markers: cleaned && !committed }
    }

    /// Positions of groups; `None` where the archive has none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn groups(&self) -> Result<Option<Vec<GroupSnapshot>>, ArchiveError> {
        let key = Path::from(format!("{}/consumer-groups-snapshot.json", self.manifest.id));
        let Some(bytes) = self.store.get(&key).await? else { return Ok(None) };
        let shown = self.store.show(&key);
        let json = plain(&shown, &bytes)?;
        let snapshot: Snapshot = archive::from_json(&json)
            .map_err(|error| ArchiveError::Damaged { key: shown.clone(), reason: error.to_string() })?;
        let impossible = |what: &str| ArchiveError::Damaged { key: shown.clone(), reason: what.to_owned() };
        let mut out = Vec::new();
        for group in snapshot.groups {
            let mut offsets = Vec::new();
            for (topic, partitions) in group.offsets {
                for (partition, offset) in partitions {
                    let partition: i32 = partition.parse().map_err(|_| impossible("it names no partition"))?;
                    if partition < 0 || offset < 0 {
                        return Err(impossible("it has a partition or an offset below zero"));
                    }
                    offsets.push(GroupPosition {
                        topic: topic.clone(),
                        partition,
                        offset,
                        leader_epoch: -1,
                        metadata: None,
                    });
                }
            }
            offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
            out.push(GroupSnapshot {
                group: group.group_id,
                kind: "unknown".to_owned(),
                state: "unknown".to_owned(),
                offsets,
                configs: None,
                missing: None,
            });
        }
        out.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(Some(out))
    }
}

#[derive(Deserialize)]
struct Snapshot {
    groups: Vec<SnapshotGroup>,
}

#[derive(Deserialize)]
struct SnapshotGroup {
    group_id: String,
    #[serde(default)]
    offsets: HashMap<String, HashMap<String, i64>>,
}

/// Whether the object is the one that the manifest describes, as far as its header says.
pub(crate) fn is_as_listed(segment: &Segment, look: &Look) -> bool {
    match look {
        Look::There { head: Some(head), .. } => (head.start, head.end) == (segment.start, segment.end),
        Look::There { head: None, .. } => true,
        Look::Missing | Look::Bad { .. } => false,
    }
}

/// The offsets that a segment answers for: an object that was written over says other ones than the manifest.
fn span(segment: &Segment, look: &Look) -> Span {
    let (start, end) = segment.span();
    let uploaded = segment.uploaded_at.unwrap_or(0);
    match look {
        // It answers for them, behind all others: what is missing is told and not passed over.
        Look::Missing | Look::Bad { .. } => Span { start, end, covered: false, uploaded: -1 },
        Look::There { head: Some(head), .. }
            if !is_as_listed(segment, look) && (0..=head.end).contains(&head.start) && head.end < i64::MAX =>
        {
            Span { start: head.start, end: head.end, covered: false, uploaded }
        }
        Look::There { .. } => Span { start, end, covered: segment.covered.is_some(), uploaded },
    }
}

/// A document, unpacked by what its first bytes say.
fn plain(shown: &str, bytes: &Bytes) -> Result<Bytes, ArchiveError> {
    let codec = if bytes.starts_with(&GZIP) {
        Codec::Gzip
    } else if bytes.starts_with(&ZSTD) {
        Codec::Zstd
    } else {
        return Ok(bytes.clone());
    };
    let mut out = Vec::new();
    Decompressor::default()
        .decompress(codec, bytes, DOCUMENT, &mut out)
        .map_err(|source| ArchiveError::Batch { key: shown.to_owned(), source })?;
    Ok(out.into())
}
