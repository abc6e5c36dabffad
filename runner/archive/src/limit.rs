//! How large documents may be.

use crate::{ArchiveError, memory};

/// Most bytes of an unpacked document or footer: what a hostile one can make a reader allocate, and more than a million
/// partitions take. FORMAT.md, "Threat model".
pub(crate) const LIMIT: usize = 256 << 20;
/// Most bytes of a document that only says who or where: a set's own, a hint.
pub(crate) const SMALL: usize = 1 << 20;
/// Most bytes of a block, packed or not. Brokers take no larger batch unless they are told otherwise.
pub(crate) const BLOCK: u64 = 512 << 20;
/// Most bytes that a block has when it is unpacked; larger ones are stored as they are.
pub(crate) const UNPACKED: u64 = 128 << 20;

/// Most bytes of a document, packed or not, that are read here: no more than the reading of it may take.
pub(crate) fn readable() -> usize {
    usize::try_from(memory::of_document()).map_or(LIMIT, |most| most.min(LIMIT))
}

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
