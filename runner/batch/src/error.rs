//! What can be wrong with the bytes of a batch. Positions are bytes from the start of the input.

/// Why bytes are not a readable record batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The input ends before the value that the format demands.
    #[error("the batch ends at byte {position} inside {what}")]
    Truncated {
        /// Where the input ended.
        position: usize,
        /// The value that was being read.
        what: &'static str,
    },
    /// A length, count or variable-length integer breaks the format.
    #[error("invalid {what} at byte {position}")]
    Invalid {
        /// The value that is wrong.
        what: &'static str,
        /// Where it stands.
        position: usize,
    },
    /// The CRC32C of the batch does not match its bytes.
    #[error("CRC32C of the batch at offset {base_offset} is {actual:08x}, its header says {expected:08x}")]
    Checksum {
        /// First offset of the batch.
        base_offset: i64,
        /// The checksum in the header.
        expected: u32,
        /// The checksum of the bytes.
        actual: u32,
    },
    /// A compressed payload is damaged.
    #[error("cannot decompress {codec} data: {reason}")]
    Decompress {
        /// Name of the codec.
        codec: &'static str,
        /// The library's words.
        reason: String,
    },
    /// A payload grows past the limit that the caller gave.
    #[error("decompressed data exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The codec cannot compress this (level out of range, or the library refused).
    #[error("cannot compress with {codec}: {reason}")]
    Compress {
        /// Name of the codec.
        codec: &'static str,
        /// The library's words.
        reason: String,
    },
    /// One record alone does not fit into a batch of the wanted size.
    #[error("a batch of {size} bytes with a single record exceeds the limit of {limit} bytes")]
    RecordTooLarge {
        /// Size of the batch that holds just this record.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}
