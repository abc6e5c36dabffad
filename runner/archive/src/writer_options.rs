//! The values that go into and come out of a writer.

use std::collections::BTreeMap;

use batch::Codec;
use contract::{Compression, Moved, PointLine};
use uuid::Uuid;

use crate::converted::Converted;
use crate::documents::TopicConfigs;
use crate::regain::LogStart;
use crate::{
    Digest, Fork, Gap, GroupSnapshot, HeadCopy, HeldBack, Layout, Owner, PartitionState, TopicIdPartition, TopicState,
};

/// The codec that a specification names.
#[must_use]
pub fn codec_of(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::None,
        Compression::Gzip => Codec::Gzip,
        Compression::Snappy => Codec::Snappy,
        Compression::Lz4 => Codec::Lz4,
        Compression::Zstd => Codec::Zstd,
    }
}

/// Who writes what.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// The set.
    pub layout: Layout,
    /// On whose behalf.
    pub owner: Owner,
    /// Whether several runs extend the set.
    pub incremental: bool,
    /// Whether the run goes on after a seal.
    pub continuous: bool,
    /// A copy of the newest entry's digest outside the store.
    pub head: Option<HeadCopy>,
    /// Take over a foreign set.
    pub adopt: bool,
    /// Run id.
    pub run: String,
    /// Digest of the run's specification.
    pub spec: Digest,
    /// Stamp of the recovery point.
    pub stamp: String,
    /// Random text of this writer: 16 hexadecimal digits.
    pub nonce: String,
    /// Random identity for a new set.
    pub uuid: Uuid,
    /// Codec of blocks.
    pub codec: Codec,
    /// Its level.
    pub level: i32,
    /// Threads that pack; 0: blocks are packed where they are added.
    pub workers: usize,
    /// Size at which a segment is closed.
    pub segment_max_bytes: u64,
    /// What the source has, as found before the claim.
    pub source: Source,
}

/// What the source has when a run claims its set.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Its topics, as far as the run is about them.
    pub topics: Vec<TopicState>,
    /// Where partitions begin when this is the first claim of the set. Others begin at their start.
    pub begin: Vec<(Uuid, PartitionState)>,
    /// Where the source's logs start, for a run that may give up lost segments: of each partition that has rows in them.
    /// Without it such a run is refused, and told of which partitions it must ask.
    pub starts: Option<BTreeMap<(Uuid, i32), LogStart>>,
}

/// A writer's claim on a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Number of the claim entry.
    pub number: u64,
    /// Whether the store refused to create it twice.
    pub exclusive: bool,
    /// Whether an unfinished run goes on.
    pub resumed: bool,
    /// Where earlier attempts of this run said that it reads partitions to.
    pub targets: BTreeMap<TopicIdPartition, i64>,
    /// Segments that the claim gave up, because the store lost them.
    pub given_up: u64,
    /// What follows from that.
    pub lost: Named,
    /// What earlier attempts of this run named.
    pub before: Named,
    /// What they stored.
    pub moved: Moved,
}

/// A run that was finished before, as its entries tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its recovery point.
    pub line: PointLine,
    /// What all its attempts stored.
    pub moved: Moved,
    /// What they named.
    pub named: Named,
    /// What the point lacks for now.
    pub held_back: Vec<HeldBack>,
}

/// Gaps of the newest timelines, and timelines that began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Gaps.
    pub gaps: Vec<Gap>,
    /// New timelines.
    pub forks: Vec<Fork>,
}

/// What the next entry says besides its segments.
#[derive(Debug, Clone, Default)]
pub struct Moves {
    /// Partitions that moved, or all of them for a seal.
    pub positions: Vec<(Uuid, PartitionState)>,
    /// Gaps that no entry names yet.
    pub gaps: Vec<Gap>,
    /// Timelines that no entry names yet.
    pub forks: Vec<Fork>,
}

/// What a seal adds to the state of the set.
#[derive(Debug, Clone)]
pub struct SealFacts {
    /// Stamp of the recovery point.
    pub stamp: String,
    /// Name of the recovery point.
    pub point: String,
    /// UTC second of the point, RFC 3339.
    pub at: String,
    /// The user's label of the source cluster.
    pub source_cluster_id: Option<String>,
    /// Whether restores add offset headers unless told otherwise.
    pub include_offset_headers: bool,
    /// What open transactions kept out.
    pub held_back: Vec<HeldBack>,
    /// Topic configs.
    pub configs: TopicConfigs,
    /// Group positions, when they were asked for.
    pub groups: Option<Vec<GroupSnapshot>>,
    /// What the point was converted from; absent: what the set was converted from before, if it was.
    pub converted: Option<Converted>,
    /// Release that writes.
    pub writer: String,
}

/// Totals of what this writer stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Written {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}
