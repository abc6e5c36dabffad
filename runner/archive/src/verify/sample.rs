//! Which segments a sample has: drawn by a seed, so that the same seed draws the same ones of the same point. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use contract::SampleSize;

use crate::SegmentRef;
use crate::limit::total;

/// A sample that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How much of the segments.
    pub size: SampleSize,
    /// What draws them.
    pub seed: u64,
}

/// The segments of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    ids: Arc<HashSet<(u64, u64)>>,
    /// How many were drawn.
    pub segments: u64,
    /// Of how many.
    pub of_segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of how many.
    pub of_bytes: u64,
}

impl Drawn {
    /// Whether the segment of this claim and number was drawn.
    pub(super) fn has(&self, id: (u64, u64)) -> bool {
        self.ids.contains(&id)
    }
}

/// Draws whole segments until they have as many bytes as the sample asks for; one at least, where there is any.
pub(super) fn draw(segments: &[SegmentRef], sample: Sample) -> Drawn {
    let of_bytes = total(segments.iter().map(|segment| segment.size));
    let wanted = match sample.size {
        SampleSize::Bytes(bytes) => bytes,
        SampleSize::Percent(percent) => {
            let share = (u128::from(of_bytes) * u128::from(percent)).div_ceil(100);
            u64::try_from(share).unwrap_or(u64::MAX)
        }
    };
    let mut order: Vec<_> = segments.iter().map(|segment| (place(segment, sample.seed), segment)).collect();
    order.sort_unstable_by_key(|(place, segment)| (*place, segment.claim, segment.seq));
    let (mut ids, mut bytes) = (HashSet::new(), 0u64);
    for (_, segment) in order {
        if bytes >= wanted && !ids.is_empty() {
            break;
        }
        ids.insert((segment.claim, segment.seq));
        bytes = bytes.saturating_add(segment.size);
    }
    Drawn { segments: ids.len() as u64, of_segments: segments.len() as u64, bytes, of_bytes, ids: Arc::new(ids) }
}

/// Where a segment stands in the order of a seed.
fn place(segment: &SegmentRef, seed: u64) -> [u8; 16] {
    let text = format!("{seed} {}-{}/{}", segment.claim, segment.nonce, segment.seq);
    let mut out = [0; 16];
    for (place, byte) in out.iter_mut().zip(blake3::hash(text.as_bytes()).as_bytes()) {
        *place = *byte;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Digest;

    fn segments(sizes: &[u64]) -> Vec<SegmentRef> {
        let one = |(seq, size): (u64, &u64)| SegmentRef {
            claim: 3,
            nonce: "n".into(),
            seq,
            size: *size,
            footer_at: 0,
            footer_length: 0,
            digest: Digest::of(b""),
        };
        (0..).zip(sizes).map(one).collect()
    }

    #[test]
    fn the_seed_decides_and_nothing_else() {
        let all = segments(&[10; 100]);
        let of = |seed| draw(&all, Sample { size: SampleSize::Percent(20), seed });
        assert_eq!(of(1), of(1));
        assert_ne!(of(1).ids, of(2).ids);
        assert_eq!((of(1).segments, of(1).bytes, of(1).of_segments, of(1).of_bytes), (20, 200, 100, 1000));
        let mut turned = all.clone();
        turned.reverse();
        assert_eq!(draw(&turned, Sample { size: SampleSize::Percent(20), seed: 1 }).ids, of(1).ids);
        assert_eq!(draw(&[], Sample { size: SampleSize::Percent(100), seed: 1 }).segments, 0);
    }

    proptest! {
        #[test]
        fn a_sample_has_its_bytes_and_not_a_segment_more(
            sizes in proptest::collection::vec(0u64..1_000, 1..50), seed: u64, percent in 1u32..=100, bytes in 1u64..100_000,
        ) {
            let all = segments(&sizes);
            let sum: u64 = sizes.iter().sum();
            for size in [SampleSize::Percent(percent), SampleSize::Bytes(bytes)] {
                let wanted = match size {
                    SampleSize::Percent(percent) => (sum * u64::from(percent)).div_ceil(100),
                    SampleSize::Bytes(bytes) => bytes,
                };
                let drawn = draw(&all, Sample { size, seed });
                prop_assert!(drawn.segments >= 1);
                prop_assert!(drawn.bytes >= wanted.min(sum));
                let largest = sizes.iter().max().copied().unwrap_or(0);
                prop_assert!(drawn.bytes <= wanted.saturating_add(largest));
                let mine: u64 = all.iter().filter(|s| drawn.has((s.claim, s.seq))).map(|s| s.size).sum();
                prop_assert_eq!(mine, drawn.bytes);
            }
            let whole = draw(&all, Sample { size: SampleSize::Percent(100), seed });
            prop_assert_eq!(whole.bytes, sum);
        }
    }
}
