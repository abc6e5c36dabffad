//! Entries of a set's log: what they say and how they are stored.

pub(crate) mod check;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::columns::columns;
use crate::converted::Converted;
use crate::holdings::{Holdings, Tally};
use crate::json::from_json_beside;
use crate::limit::{SMALL, readable, total, within_limit};
use crate::lost::LostSegment;
use crate::prune_entry::{Prune, is_known};
use crate::reason::{GapReason, HeldReason};
use crate::rollup_ref::RollupRef;
use crate::segment::{Footer, TopicRow};
use crate::state::{PartitionState, TopicState};
use crate::{ArchiveError, Digest};

/// Format number of sets and their documents.
pub const FORMAT: u32 = 1;
/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A writer starts; its segments live under this entry's number.
    Claim,
    /// Segments are durable and positions were reached.
    Progress,
    /// A recovery point is complete.
    Seal,
    /// Older data becomes invisible.
    Prune,
    /// The set has another owner from here on.
    Adopt,
}

/// Who may write to a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Namespace of the resource, empty outside Kubernetes.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Id that the source cluster gives itself.
    pub cluster_id: String,
}

impl Owner {
    /// Whether this may be `other`, of which it is not known which cluster it is on: converted archives do not say it.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        other.cluster_id.is_empty() && (&self.namespace, &self.name) == (&other.namespace, &other.name)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cluster = if self.cluster_id.is_empty() { "unknown" } else { &self.cluster_id };
        write!(f, "{:?} in namespace {:?} on cluster {cluster}", self.name, self.namespace)
    }
}

/// A durable segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentRef {
    /// Claim that wrote it.
    pub claim: u64,
    /// Nonce of that claim.
    pub nonce: String,
    /// Number within the claim.
    pub seq: u64,
    /// Bytes of the object.
    pub size: u64,
    /// First byte of the footer.
    pub footer_at: u64,
    /// Bytes of the footer.
    pub footer_length: u64,
    /// BLAKE3-256 of the footer.
    pub digest: Digest,
}

/// Adds segments to a sum of them.
pub(crate) fn add_all(tally: &mut Tally, segments: &[SegmentRef]) {
    for one in segments {
        tally.add(one.claim, &one.nonce, one.seq, one.size);
    }
}

columns! {
    /// What one segment holds of one partition.
    pub struct SegmentRow as SegmentRowColumns {
        /// Position in the entry's segments.
        segment: u32 = "segment",
        /// Position in the entry's topics.
        topic: u32 = "topic",
        /// Partition.
        partition: i32 = "partition",
        /// Timeline.
        timeline: u32 = "timeline",
        /// First base offset.
        first: i64 = "first",
        /// Offset after the last batch.
        next: i64 = "next",
        /// Decompressed bytes.
        bytes: u64 = "bytes",
        /// Records stored.
        records: u64 = "records",
        /// Records of committed data.
        committed: u64 = "committed",
        /// Largest timestamp of committed records, exact; 0 when there are none.
        max_timestamp: i64 = "maxTimestamp",
        /// Lower bound of their timestamps.
        min_timestamp: i64 = "minTimestamp",
        /// Whether the lower bound is exact.
        min_exact: bool = "minExact",
    }
}

/// A row of zeros, from which differences begin.
pub(crate) fn empty_row() -> SegmentRow {
    SegmentRow {
        segment: 0,
        topic: 0,
        partition: 0,
        timeline: 0,
        first: 0,
        next: 0,
        bytes: 0,
        records: 0,
        committed: 0,
        max_timestamp: 0,
        min_timestamp: 0,
        min_exact: false,
    }
}

/// A seal of these topics and partitions, for tests.
#[cfg(test)]
pub(crate) fn seal_of(topics: Vec<TopicState>, partitions: Vec<PartitionState>) -> Seal {
    Seal {
        point: "s-20260131-080000".into(),
        at: String::new(),
        topics,
        partitions,
        owner: Owner { namespace: String::new(), name: "s".into(), cluster_id: "c".into() },
        source_cluster_id: None,
        include_offset_headers: false,
        held_back: vec![],
        configs: SideRef { size: 0, digest: Digest::of(b"") },
        groups: None,
        holdings: None,
        converted: None,
        writer: String::new(),
    }
}

/// Offsets that the source no longer had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Topic id.
    pub topic: Uuid,
    /// Topic name.
    pub name: String,
    /// Partition.
    pub partition: i32,
    /// First missing offset.
    pub from: i64,
    /// First offset after the gap.
    pub to: i64,
    /// Why.
    pub reason: GapReason,
    /// The timeline that lacks them, where newer ones do not show its offsets; absent: the newest of the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<u32>,
}

/// A new timeline: the source's log was cut at an offset below what was archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// Topic id.
    pub topic: Uuid,
    /// Topic name.
    pub name: String,
    /// Partition.
    pub partition: i32,
    /// The new timeline.
    pub timeline: u32,
    /// Its first offset; below it inherits from the timelines before.
    pub from: i64,
}

/// Offsets below a run's target that are not part of its recovery point, and may be part of a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBack {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Where the point ends.
    pub from: i64,
    /// Where it should have ended.
    pub to: i64,
    /// What kept them out.
    #[serde(default)]
    pub reason: HeldReason,
    /// Producer of the oldest open transaction, when the broker tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer_id: Option<i64>,
    /// Milliseconds since its last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<i64>,
}

impl std::fmt::Display for HeldBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { topic, partition, from, to, .. } = self;
        if to > from {
            write!(f, "{topic}/{partition} offsets {from} to {}", to - 1)?;
        } else {
            // Nobody told how far the source goes.
            write!(f, "{topic}/{partition} from offset {from} on")?;
        }
        f.write_str(match self.reason {
            HeldReason::OpenTransaction => ": a transaction was open",
            HeldReason::Unavailable => ": no broker that leads the partition answered",
            HeldReason::Damaged => ": the next batch is damaged on every replica",
            HeldReason::Forbidden => ": the backup's user may not read the topic",
            HeldReason::Other => ": for a reason of a newer release",
        })
    }
}

/// A document beside a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRef {
    /// Bytes of the object.
    pub size: u64,
    /// BLAKE3-256 of the object.
    pub digest: Digest,
}

/// What a seal adds: everything that a restore needs to know of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seal {
    /// Name of the recovery point.
    pub point: String,
    /// UTC second of the point, RFC 3339.
    pub at: String,
    /// Topics of the set; those that the source had are `live`.
    pub topics: Vec<TopicState>,
    /// Positions of all partitions.
    #[serde(with = "PartitionState")]
    pub partitions: Vec<PartitionState>,
    /// Who owns the set.
    pub owner: Owner,
    /// The user's label of the source cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_cluster_id: Option<String>,
    /// Whether restores add offset headers unless told otherwise.
    pub include_offset_headers: bool,
    /// What open transactions kept out.
    pub held_back: Vec<HeldBack>,
    /// Topic configs.
    pub configs: SideRef,
    /// Group positions, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<SideRef>,
    /// The set's segments added up; absent in seals of older releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdings: Option<Holdings>,
    /// What the set was converted from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converted: Option<Converted>,
    /// Release that wrote it.
    pub writer: String,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Format number; a newer one is refused.
    pub format: u32,
    /// Features that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// Kind.
    pub kind: EntryKind,
    /// Number of this entry.
    pub n: u64,
    /// Digest of entry n-1 as stored.
    pub previous: Option<Digest>,
    /// Number of the claim that this entry belongs to; its own for a claim.
    pub claim: u64,
    /// Nonce of that claim.
    pub nonce: String,
    /// Run id.
    pub run: String,
    /// Digest of the run's specification.
    pub spec: Digest,
    /// Stamp of the recovery point that the run makes.
    pub point: String,
    /// Newest seal before this entry.
    pub last_seal: Option<u64>,
    /// Newest entry before this one that carries full state.
    pub last_state: Option<u64>,
    /// Newest roll-up before this entry.
    pub last_rollup: Option<RollupRef>,
    /// Newest `prune` entry before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_prune: Option<u64>,
    /// Digest of `set.json`, in the entry with number 0, in claims and in seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Digest>,
    /// Topics that rows and positions of this entry name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<TopicRow>,
    /// Segments that became durable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SegmentRef>,
    /// What they hold.
    #[serde(with = "SegmentRow")]
    pub rows: Vec<SegmentRow>,
    /// Positions that moved.
    #[serde(with = "PartitionState")]
    pub positions: Vec<PartitionState>,
    /// Gaps that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Timelines that begin here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Fork>,
    /// Segments that count no more from this claim on: the store lost them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostSegment>,
    /// The recovery point, for a seal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Box<Seal>>,
    /// Topics that join the set with this claim: the source had them, and no entry before names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<TopicState>,
    /// The new owner, for an adoption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// What retention took away, for a `prune` entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Box<Prune>>,
}

/// Bytes of a row or another element of an entry, rounded up.
const ROW: u64 = 128;

impl Entry {
    /// An entry that is no part of a log: a seal of these topics, segments, rows and gaps.
    #[must_use]
    pub fn sealing(
        stamp: String,
        (topics, segments, rows): (Vec<TopicRow>, Vec<SegmentRef>, Vec<SegmentRow>),
        gaps: Vec<Gap>,
        seal: Seal,
    ) -> Self {
        Self {
            point: stamp,
            topics,
            segments,
            rows,
            gaps,
            seal: Some(Box::new(seal)),
            ..Self::empty(EntryKind::Seal, 0)
        }
    }

    /// An entry of a kind and number that says nothing.
    pub(crate) fn empty(kind: EntryKind, n: u64) -> Self {
        Self {
            format: FORMAT,
            requires: Vec::new(),
            kind,
            n,
            previous: None,
            claim: 0,
            nonce: String::new(),
            run: String::new(),
            spec: Digest::of(b""),
            point: String::new(),
            last_seal: None,
            last_state: None,
            last_rollup: None,
            last_prune: None,
            set: None,
            topics: Vec::new(),
            segments: Vec::new(),
            rows: Vec::new(),
            positions: Vec::new(),
            gaps: Vec::new(),
            forks: Vec::new(),
            lost: Vec::new(),
            seal: None,
            members: Vec::new(),
            owner: None,
            prune: None,
        }
    }

    /// Whether it takes every recovery point of its set away, and with them the set.
    #[must_use]
    pub(crate) fn takes_all(&self) -> bool {
        self.prune.as_ref().is_some_and(|prune| prune.oldest.is_none())
    }

    /// Bytes that it takes, without its texts.
    pub(crate) fn weight(&self) -> u64 {
        let sealed = self.seal.as_ref().map_or(0, |seal| {
            seal.partitions.len().saturating_add(seal.topics.len()).saturating_add(seal.held_back.len())
        });
        let lists = [self.topics.len(), self.segments.len(), self.rows.len(), self.positions.len(), self.gaps.len()];
        let pruned = self.prune.as_ref().map_or(0, |prune| prune.dead.len().saturating_add(prune.hidden.len()));
        let more = [self.forks.len(), self.lost.len(), self.members.len(), sealed, pruned];
        total(lists.into_iter().chain(more).map(|count| count as u64)).saturating_mul(ROW)
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// When they cannot be made: a defect.
    pub fn encode(&self) -> Result<Bytes, ArchiveError> {
        encode_document(self)
    }

    /// Reads an entry and checks its number.
    ///
    /// # Errors
    /// When it is damaged or from a newer release.
    pub fn decode(key: &str, number: u64, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let entry: Self = decode_document(key, bytes)?;
        if entry.n != number {
            return Err(ArchiveError::damaged(key, format!("it says that it is entry {}", entry.n)));
        }
        match check::impossible(&entry) {
            Some(why) => Err(ArchiveError::damaged(key, why)),
            None => Ok(entry),
        }
    }
}

/// JSON in a zstd frame with a checksum: the newest entry of a log has nothing else that covers it.
pub(crate) fn encode_document<T: Serialize>(document: &T) -> Result<Bytes, ArchiveError> {
    let json = within_limit(serde_json::to_vec(document).map_err(ArchiveError::unencodable)?)?;
    let packed = zstd::bulk::Compressor::new(3).and_then(|mut compressor| {
        compressor.include_checksum(true)?;
        compressor.compress(&json)
    });
    packed.map(Bytes::from).map_err(ArchiveError::unencodable)
}

/// Reads a document that only says who or where; checks format and required features first.
pub(crate) fn decode_small<T: for<'de> Deserialize<'de>>(key: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    decode_within(key, bytes, SMALL)
}

/// Reads a document; checks format and required features first.
pub(crate) fn decode_document<T: for<'de> Deserialize<'de>>(key: &str, bytes: &[u8]) -> Result<T, ArchiveError> {
    decode_within(key, bytes, readable())
}

fn decode_within<T: for<'de> Deserialize<'de>>(key: &str, bytes: &[u8], most: usize) -> Result<T, ArchiveError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        #[serde(default)]
        requires: Vec<String>,
    }
    let mut plain = Vec::new();
    let json = if bytes.starts_with(&ZSTD_MAGIC) {
        batch::Decompressor::default()
            .decompress(batch::Codec::Zstd, bytes, most, &mut plain)
            .map_err(|error| ArchiveError::damaged(key, error))?;
        plain.as_slice()
    } else {
        bytes
    };
    if json.len() > most {
        return Err(ArchiveError::damaged(key, format!("it has {} bytes, and at most {most} are read", json.len())));
    }
    let head: Head = from_json_beside(json, bytes.len()).map_err(|fault| ArchiveError::unreadable(key, fault))?;
    let feature = head.requires.into_iter().find(|feature| !is_known(feature));
    if head.format > FORMAT || feature.is_some() {
        return Err(ArchiveError::Newer { key: key.to_owned(), format: head.format, known: FORMAT, feature });
    }
    from_json_beside(json, bytes.len()).map_err(|fault| ArchiveError::unreadable(key, fault))
}

/// Sums up a footer: one row per partition and timeline.
pub(crate) fn rows_of(footer: &Footer) -> Vec<SegmentRow> {
    let same = |a: &crate::segment::ShareRow, b: &crate::segment::ShareRow| {
        (a.topic, a.partition, a.timeline) == (b.topic, b.partition, b.timeline)
    };
    let mut out = Vec::new();
    for group in footer.shares.chunk_by(same) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let data = || group.iter().filter(|share| share.committed > 0);
        out.push(SegmentRow {
            segment: 0,
            topic: first.topic,
            partition: first.partition,
            timeline: first.timeline,
            first: first.first,
            next: last.next,
            bytes: total(group.iter().map(|share| share.length)),
            records: total(group.iter().map(|share| share.records)),
            committed: total(group.iter().map(|share| share.committed)),
            max_timestamp: data().map(|share| share.max_timestamp).max().unwrap_or(0),
            min_timestamp: data().map(|share| share.min_timestamp).min().unwrap_or(0),
            min_exact: data().all(|share| share.min_exact),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_told_with_its_reason_and_without_made_up_ends() {
        let held = |reason, to| {
            let topic = "t".to_owned();
            HeldBack { topic, partition: 3, from: 5, to, reason, producer_id: None, age_ms: None }.to_string()
        };
        assert_eq!(held(HeldReason::OpenTransaction, 9), "t/3 offsets 5 to 8: a transaction was open");
        let unknown = "t/3 from offset 5 on: no broker that leads the partition answered";
        assert_eq!(held(HeldReason::Unavailable, 5), unknown);
        assert_eq!(held(HeldReason::Forbidden, 6), "t/3 offsets 5 to 5: the backup's user may not read the topic");
    }
}
