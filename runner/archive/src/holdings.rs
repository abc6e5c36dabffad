//! The segments of a set added up: how many the log names, how many bytes, and a sum over their keys and sizes that does
//! not depend on order. A listing that adds up to the same proves that every segment is there with its size, without
//! reading which they are. Pure.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Segments added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sum modulo 2^128 of the first 128 bits of the BLAKE3 of each `<claim>-<nonce>/<seq> <size>`, numbers in decimal.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub sum: u128,
}

/// What a set holds as of a seal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// Segments that the log names, up to this seal and with it.
    pub named: Tally,
    /// Objects beside them that the writer's claim found: segments of runs that ended before they were named.
    pub stray: Tally,
}

impl Tally {
    /// Adds a segment.
    pub(crate) fn add(&mut self, claim: u64, nonce: &str, seq: u64, size: u64) {
        let hash = blake3::hash(format!("{claim}-{nonce}/{seq} {size}").as_bytes());
        let first = hash.as_bytes().iter().take(16).fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
        self.segments += 1;
        self.bytes += size;
        self.sum = self.sum.wrapping_add(first);
    }

    /// Takes a segment out that was added.
    pub(crate) fn remove(&mut self, claim: u64, nonce: &str, seq: u64, size: u64) {
        let mut one = Self::default();
        one.add(claim, nonce, seq, size);
        self.segments = self.segments.saturating_sub(one.segments);
        self.bytes = self.bytes.saturating_sub(one.bytes);
        self.sum = self.sum.wrapping_sub(one.sum);
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            segments: self.segments + other.segments,
            bytes: self.bytes + other.bytes,
            sum: self.sum.wrapping_add(other.sum),
        }
    }
}

/// Claim, nonce and number in the key of a segment: `.../data/<claim>-<nonce>/<seq>.seg`.
pub(crate) fn of_key(key: &str) -> Option<(u64, &str, u64)> {
    let mut parts = key.rsplit('/');
    let seq = parts.next()?.strip_suffix(".seg")?.parse().ok()?;
    let (claim, nonce) = parts.next()?.split_once('-')?;
    Some((claim.parse().ok()?, nonce, seq))
}

fn to_hex<S: Serializer>(sum: &u128, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&format!("{sum:032x}"))
}

fn from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
    let text = String::deserialize(from)?;
    u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let tally = |all: &[(u64, u64, u64)]| {
            let mut tally = Tally::default();
            for (claim, seq, size) in all {
                tally.add(*claim, "ab", *seq, *size);
            }
            tally
        };
        let good = tally(&[(1, 0, 5), (1, 1, 5), (7, 0, 5)]);
        assert_eq!(good, tally(&[(7, 0, 5), (1, 1, 5), (1, 0, 5)]));
        assert_eq!(good, tally(&[(1, 0, 5)]).plus(tally(&[(1, 1, 5), (7, 0, 5)])));
        // The same number of objects and bytes, but other ones.
        assert_ne!(good, tally(&[(1, 0, 5), (1, 1, 5), (7, 1, 5)]));
        assert_ne!(good, tally(&[(1, 0, 4), (1, 1, 6), (7, 0, 5)]));
        let mut less = tally(&[(1, 0, 5), (1, 1, 5), (7, 0, 5)]);
        less.remove(1, "ab", 1, 5);
        assert_eq!(less, tally(&[(1, 0, 5), (7, 0, 5)]));
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), good);
    }

    #[test]
    fn keys_of_segments_are_read() {
        let layout = crate::Layout::new("orders");
        let key = layout.segment(12, "0123456789abcdef", 3);
        assert_eq!(of_key(key.as_ref()), Some((12, "0123456789abcdef", 3)));
        assert_eq!(of_key("orders/data/x-y/1.seg"), None);
        assert_eq!(of_key("orders/data/1-y/1.tmp"), None);
    }
}
