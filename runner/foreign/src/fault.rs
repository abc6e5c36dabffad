//! What can be wrong with the bytes of a segment, in our words: those of libraries stay out of messages.

/// Why a segment cannot be read, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The store failed; the error itself is kept by whoever read.
    #[error("it could not be read from the store")]
    Input,
    /// It is shorter than the smallest segment.
    #[error("it has {0} bytes; a segment has at least 40")]
    Short(u64),
    /// A version that nobody wrote.
    #[error("it has segment version {0}; only version 1 is known")]
    Version(u8),
    /// A codec that nobody wrote.
    #[error("it has the codec number {0}; 0, 1 and 2 are known")]
    Codec(u8),
    /// The last bytes are not those of a segment.
    #[error("it does not end as a segment does: it is cut off, or overwritten")]
    Footer,
    /// The checksum does not match.
    #[error("its CRC-32 is {actual:08x}, and {stored:08x} is stored")]
    Crc {
        /// As stored.
        stored: u32,
        /// Of the bytes.
        actual: u32,
    },
    /// The body cannot be unpacked.
    #[error("its {0} data cannot be unpacked")]
    Unpack(&'static str),
    /// The body unpacks to more than is read.
    #[error("it unpacks to more than {0} bytes, which is the most that is read of one segment")]
    Bomb(u64),
    /// A record is not one.
    #[error("its record number {number} {what}")]
    Record {
        /// Counted from 0.
        number: u64,
        /// How it shows.
        what: &'static str,
    },
    /// The body ends early.
    #[error("it has {found} records, and its header counts {counted}")]
    Count {
        /// What the header says.
        counted: u64,
        /// What is there.
        found: u64,
    },
    /// A document of an old release is not JSON of the right form.
    #[error("it is neither a segment nor a list of records in JSON")]
    Json,
}
