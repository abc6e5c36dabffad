//! The fixed bytes at both ends of a segment. All numbers are little-endian.

use crate::ArchiveError;

/// First bytes of a segment.
const HEADER_MAGIC: [u8; 8] = *b"KBSEGMT1";
/// Last bytes of a segment.
const TRAILER_MAGIC: [u8; 8] = *b"KBSEGEND";

/// magic (8) | claim (8) | sequence (8) | BLAKE3 of the nonce, first 8 bytes.
pub(crate) const HEADER_LEN: u64 = 32;
/// footer length (8) | BLAKE3-256 of the footer (32) | magic (8).
pub(crate) const TRAILER_LEN: u64 = 48;

/// The header of segment `seq` of a claim.
pub(crate) fn header(claim: u64, nonce: &str, seq: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    out.extend_from_slice(&HEADER_MAGIC);
    out.extend_from_slice(&claim.to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(blake3::hash(nonce.as_bytes()).as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
    out
}

/// The end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Bytes of the footer before it.
    pub(crate) footer_length: u64,
    /// BLAKE3-256 of the footer.
    pub(crate) footer_digest: [u8; 32],
}

impl Trailer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.extend_from_slice(&self.footer_length.to_le_bytes());
        out.extend_from_slice(&self.footer_digest);
        out.extend_from_slice(&TRAILER_MAGIC);
        out
    }

    /// Reads a trailer.
    pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let broken = || ArchiveError::damaged(key, "the trailer is not that of a segment");
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(broken)?;
        let (digest, magic) = rest.split_first_chunk::<32>().ok_or_else(broken)?;
        if magic != TRAILER_MAGIC {
            return Err(broken());
        }
        Ok(Self { footer_length: u64::from_le_bytes(*length), footer_digest: *digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_have_their_documented_sizes() {
        assert_eq!(header(1, "n", 2).len() as u64, HEADER_LEN);
        let trailer = Trailer { footer_length: 7, footer_digest: [3; 32] };
        assert_eq!(trailer.encode().len() as u64, TRAILER_LEN);
        assert_eq!(Trailer::decode("k", &trailer.encode()).unwrap(), trailer);
        assert!(Trailer::decode("k", &[0; 48]).is_err() && Trailer::decode("k", &[]).is_err());
    }
}
