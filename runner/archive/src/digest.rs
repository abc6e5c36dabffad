//! BLAKE3 digests, written as lower-case hexadecimal: 256 bits for documents and footers, 128 for blocks.

use serde::{Deserialize, Serialize};

/// A BLAKE3 digest as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// The 256-bit digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// The digest of what this is the digest of with these bytes behind it: the same for the same pieces in the same order.
    #[must_use]
    pub fn before(&self, bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.0.as_bytes());
        hasher.update(bytes);
        Self(hasher.finalize().to_hex().to_string())
    }

    /// The first 128 bits of a running digest.
    pub(crate) fn half(hasher: &blake3::Hasher) -> Self {
        Self(hex::encode(hasher.finalize().as_bytes().first_chunk::<16>().copied().unwrap_or_default()))
    }

    /// The first 128 bits of the digest of these bytes.
    #[must_use]
    pub fn half_of(bytes: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytes);
        Self::half(&hasher)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
