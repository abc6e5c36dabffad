//! What a conversion is asked for, and what it tells on its way.

use archive::{ArchiveError, Digest, Owner};
use contract::{Code, Compression, ForeignRecords};
use foreign::Set;
use uuid::Uuid;

/// What a conversion makes.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name of the set.
    pub set: String,
    /// Who goes on with it. Without a cluster id the first run that goes on says which cluster it is.
    pub owner: Owner,
    /// What is done with the records of the archive.
    pub records: ForeignRecords,
    /// Whether restores add offset headers unless told otherwise.
    pub include_offset_headers: bool,
    /// Codec of blocks.
    pub compression: Compression,
    /// Its level.
    pub level: i32,
    /// Threads that pack.
    pub workers: usize,
    /// Size at which a segment is closed, and after which progress is saved.
    pub segment_max_bytes: u64,
    /// Random text: 16 hexadecimal digits.
    pub nonce: String,
    /// Random identity for the set.
    pub uuid: Uuid,
    /// Release that writes.
    pub release: String,
    /// The time now, RFC 3339.
    pub now: String,
}

/// Where a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The archive is read once.
    Reading,
    /// So many of its records are stored.
    Stored {
        /// Records.
        records: u64,
        /// All records of the archive.
        of: u64,
    },
    /// What is stored is read back.
    Comparing,
}

/// Takes what a conversion tells.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Request {
    /// The work as a digest: another archive, or the same that changed, is other work.
    pub(crate) fn work(&self, from: &Set) -> Result<Digest, ArchiveError> {
        let work = serde_json::json!({
            "convert": from.manifest().id, "manifest": from.digest(), "records": self.records, "set": self.set,
        });
        let bytes = serde_json::to_vec(&work).map_err(|error| internal(error.to_string()))?;
        Ok(Digest::of(&bytes))
    }
}

/// The id of the run that does this work.
pub(crate) fn run_of(from: &Set, work: &Digest) -> String {
    format!("convert-{}-{}", from.manifest().id, work.0.get(..16).unwrap_or(&work.0))
}

/// A defect.
pub(crate) fn internal(reason: String) -> ArchiveError {
    ArchiveError::Config { reason, code: Code::Internal }
}
