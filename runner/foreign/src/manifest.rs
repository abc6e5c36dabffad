//! `manifest.json` of all releases, checked once: what the rest of the crate takes can be calculated with.
//!
//! What is absent stays unknown. Fields that nobody knows are passed over, reasons are open words.

mod written;

use std::collections::{BTreeMap, BTreeSet};

use archive::ArchiveError;
use contract::words::safe;

use self::written::Written;

/// Most partitions of a topic, and most bytes or records of a segment: sums of them stay numbers.
const PARTITIONS: i32 = 1_000_000;
const COUNT: u64 = 1 << 50;

/// What a set holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the set.
    pub id: String,
    /// When its first run began (milliseconds); `None` where that is no time.
    pub created_at: Option<i64>,
    /// Id of the source cluster, where somebody said it.
    pub cluster: Option<String>,
    /// Whether its newest run left aborted records out; releases before 0.25 do not say it, and did not.
    pub committed: bool,
    /// Topics by name.
    pub topics: Vec<Topic>,
    /// Topics that the newest run did not find.
    pub missing: Vec<String>,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Partitions of the source, where they are known.
    pub count: Option<i32>,
    /// Replicas, where they are known.
    pub replication: Option<i16>,
    /// Configs of its own, where they are known; they may be those of an earlier run.
    pub configs: BTreeMap<String, String>,
    /// Partitions that it names, by number.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Number.
    pub id: i32,
    /// Segments by their first offset.
    pub segments: Vec<Segment>,
    /// Offsets that the source no longer had.
    pub gaps: Vec<Range>,
    /// Offsets that were taken away from the archive.
    pub pruned: Vec<Range>,
    /// Last offset that is accounted for, where somebody said it.
    pub covered_through: Option<i64>,
    /// Where the newest snapshot ended, the end not included.
    pub snapshot_end: Option<i64>,
    /// Where the log ended then.
    pub high_watermark: Option<i64>,
}

/// Offsets, both ends included, and why they are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// First.
    pub start: i64,
    /// Last.
    pub end: i64,
    /// In the words of the archive.
    pub reason: String,
}

/// A segment as the manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its object.
    pub key: String,
    /// Offset of its first record.
    pub start: i64,
    /// Offset of its last record.
    pub end: i64,
    /// Offsets that it answers for, both ends included, where its writer said it.
    pub covered: Option<(i64, i64)>,
    /// Records.
    pub records: u64,
    /// Bytes before compression, where they are known.
    pub plain: Option<u64>,
    /// Bytes of the object, where they are known.
    pub size: Option<u64>,
    /// SHA-256 of the object, where it is known.
    pub sha256: Option<String>,
    /// When it was stored (milliseconds), where that is known.
    pub uploaded_at: Option<i64>,
    /// Timestamps of its first and its last record.
    pub timestamps: (i64, i64),
    /// Markers and aborted records that were left out.
    pub left_out: u64,
}

impl Segment {
    /// The offsets that it answers for.
    #[must_use]
    pub fn span(&self) -> (i64, i64) {
        self.covered.unwrap_or((self.start, self.end))
    }
}

impl Manifest {
    /// Whether this is such a document, and not another one of the same name. No more is looked at.
    #[must_use]
    pub fn is_one(json: &[u8]) -> bool {
        archive::from_json::<written::Marks>(json).is_ok_and(|marks| marks.is_one())
    }

    /// Reads a document; `key` names it in messages.
    ///
    /// # Errors
    /// When it is not one, or its numbers cannot be.
    pub fn parse(key: &str, json: &[u8]) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::Damaged { key: key.to_owned(), reason };
        let written: Written = archive::from_json(json).map_err(|error| damaged(error.to_string()))?;
        written.checked().map_err(damaged)
    }

    /// Bytes of all segments as stored; `None` where one of them is not known.
    #[must_use]
    pub fn stored(&self) -> Option<u64> {
        self.segments().map(|(_, _, segment)| segment.size).try_fold(0u64, |sum, size| Some(sum.saturating_add(size?)))
    }

    /// All segments, with their topic and partition.
    pub fn segments(&self) -> impl Iterator<Item = (&Topic, &Partition, &Segment)> {
        let partitions = self.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |part| (topic, part)));
        partitions.flat_map(|(topic, part)| part.segments.iter().map(move |segment| (topic, part, segment)))
    }
}

/// Whether Kafka takes this name of a topic.
fn is_topic(name: &str) -> bool {
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    legal && !name.is_empty() && name.len() <= 249 && name != "." && name != ".."
}

/// What is wrong with a topic's name, or a key, in words that are safe to print.
fn unfit(what: &str, text: &str, rule: &str) -> String {
    format!("the {what} {:?} {rule}", safe(text))
}

/// Names that come twice.
fn twice<T: Ord + Clone>(names: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(name.clone()))
}
