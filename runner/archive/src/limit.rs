//! How large documents may be. Pure.

use crate::ArchiveError;

/// Most bytes of an unpacked document or footer: what a hostile one can make a reader allocate, and more than a million
/// partitions take. FORMAT.md, "Threat model".
pub(crate) const LIMIT: usize = 256 << 20;
/// Most bytes of a block, packed or not. Brokers take no larger batch unless they are told otherwise.
pub(crate) const BLOCK: u64 = 512 << 20;
/// Most bytes that a block has when it is unpacked; larger ones are stored as they are.
pub(crate) const UNPACKED: u64 = 128 << 20;

/// A sum of numbers from a store.
pub(crate) fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// What readers would refuse is not written.
pub(crate) fn within_limit(json: Vec<u8>) -> Result<Vec<u8>, ArchiveError> {
    if json.len() <= LIMIT {
        return Ok(json);
    }
    let text = format!(
        "a document of {} MiB is larger than any reader takes ({} MiB); divide the topics among several backups",
        json.len() >> 20,
        LIMIT >> 20
    );
    Err(ArchiveError::unencodable(text))
}
