//! What reads an archive of another layout, so that the rest of the engine takes it as one of ours.
//!
//! Whoever implements it knows that layout; nobody else does. It never writes.

use std::sync::Arc;

use async_trait::async_trait;
use batch::RawBatch;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::ArchiveError;
use crate::documents::{GroupSnapshot, TopicConfigs};
use crate::entry::SegmentRef;
use crate::segment::Footer;
use crate::wanted::Wanted;

/// Committed batches of one partition, side by side in the archive.
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// Topic id.
    pub topic: Uuid,
    /// Partition.
    pub partition: i32,
    /// Batches with records of committed data, and markers if they are wanted, in offset order; the first may begin
    /// before the wanted offset.
    pub batches: Vec<RawBatch>,
    /// First offset that counts: records of the first batch before it are not wanted.
    pub from: i64,
    /// Offsets from here on do not count: a later timeline replaced them.
    pub until: i64,
    /// Bytes of the batches.
    pub bytes: usize,
}

/// What a reader gets from a guest; whoever drops it ends the reading.
pub type Served = mpsc::Receiver<Result<ReadBatch, ArchiveError>>;

/// An archive of another layout.
#[async_trait]
pub trait Guest: std::fmt::Debug + Send + Sync {
    /// Name of the set.
    fn name(&self) -> &str;

    /// The object of a segment.
    fn key(&self, segment: &SegmentRef) -> String;

    /// Topic configs, as far as they are known.
    fn configs(&self) -> TopicConfigs;

    /// Group positions; `None` where the archive has none.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn groups(&self) -> Result<Option<Vec<GroupSnapshot>>, ArchiveError>;

    /// What a segment holds, block by block: a block is a batch of what [`Guest::read`] gives.
    ///
    /// # Errors
    /// When it is missing or damaged.
    async fn footer(&self, segment: &SegmentRef) -> Result<Footer, ArchiveError>;

    /// Looks whether a segment is there, as far as its size and its first bytes say.
    ///
    /// # Errors
    /// When it is missing or damaged.
    async fn check(&self, segment: &SegmentRef) -> Result<(), ArchiveError>;

    /// Begins to read the batches of `wanted`; each partition comes in offset order.
    ///
    /// # Errors
    /// When the archive cannot be read.
    async fn read(&self, wanted: Arc<Wanted>) -> Result<Served, ArchiveError>;
}
