//! Which segment answers for which offsets of a partition, and which offsets nobody answers for. Pure.
//!
//! Runs of older releases read what was archived before once more, so segments overlap. Of those, one that says what it covers
//! counts before one that does not, then the one that was stored later, then the longer one.

use std::collections::BTreeMap;

/// The offsets of a segment, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Whether its writer said what it covers.
    pub(crate) covered: bool,
    /// When it was stored; 0 when nobody says.
    pub(crate) uploaded: i64,
}

/// Offsets that are taken from one segment, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Its place among the spans.
    pub(crate) segment: usize,
}

/// The pieces of a partition, by offset; no two have an offset in common.
pub(crate) fn pieces(spans: &[Span]) -> Vec<Piece> {
    let mut order: Vec<(usize, &Span)> = spans.iter().enumerate().filter(|(_, span)| span.start <= span.end).collect();
    order.sort_by_key(|(place, span)| {
        let length = i128::from(span.end) - i128::from(span.start);
        (!span.covered, std::cmp::Reverse(span.uploaded), std::cmp::Reverse(length), *place)
    });
    // Intervals that are taken: their ends by their beginnings. None touches another.
    let mut taken: BTreeMap<i64, i64> = BTreeMap::new();
    let mut out = Vec::new();
    for (segment, span) in order {
        let before = taken.range(..span.start).next_back().map(|(start, end)| (*start, *end));
        let touching = before.filter(|(_, end)| end.saturating_add(1) >= span.start);
        let within = taken.range(span.start..=span.end.saturating_add(1)).map(|(start, end)| (*start, *end));
        let met: Vec<(i64, i64)> = touching.into_iter().chain(within).collect();
        let mut next = Some(span.start);
        for (start, end) in &met {
            if let Some(from) = next.filter(|from| from < start && *from <= span.end) {
                out.push(Piece { from, to: (start - 1).min(span.end), segment });
            }
            next = next.and_then(|from| Some(from.max(end.checked_add(1)?)));
        }
        if let Some(from) = next.filter(|from| *from <= span.end) {
            out.push(Piece { from, to: span.end, segment });
        }
        let (mut start, mut end) = (span.start, span.end);
        for (met_start, met_end) in met {
            taken.remove(&met_start);
            (start, end) = (start.min(met_start), end.max(met_end));
        }
        taken.insert(start, end);
    }
    out.sort_unstable();
    out
}

/// Offsets between the first and the last that nobody answers for, both ends included, given what does in any order.
pub(crate) fn holes(mut known: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    known.retain(|(start, end)| start <= end);
    known.sort_unstable();
    let mut out = Vec::new();
    let mut reach: Option<i64> = None;
    for (start, end) in known {
        if let Some(reach) = reach
            && reach.checked_add(1).is_some_and(|next| next < start)
        {
            out.push((reach + 1, start - 1));
        }
        reach = Some(reach.map_or(end, |reach| reach.max(end)));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn span() -> impl Strategy<Value = Span> {
        (0i64..60, 0i64..25, any::<bool>(), 0i64..3).prop_map(|(start, length, covered, uploaded)| Span {
            start,
            end: start + length - 1,
            covered,
            uploaded,
        })
    }

    proptest! {
        #[test]
        fn each_offset_is_answered_by_the_best_segment_that_has_it(spans in proptest::collection::vec(span(), 0..12)) {
            let found = pieces(&spans);
            let mut of: HashMap<i64, usize> = HashMap::new();
            for piece in &found {
                prop_assert!(piece.from <= piece.to);
                for offset in piece.from..=piece.to {
                    prop_assert!(of.insert(offset, piece.segment).is_none(), "twice: {}", offset);
                }
            }
            prop_assert!(found.is_sorted());
            for offset in 0..100 {
                let best = spans.iter().enumerate().filter(|(_, span)| (span.start..=span.end).contains(&offset));
                let best = best.min_by_key(|(place, span)| {
                    (!span.covered, -span.uploaded, -(span.end - span.start), *place)
                });
                prop_assert_eq!(of.get(&offset).copied(), best.map(|(place, _)| place), "offset {}", offset);
            }
        }

        #[test]
        fn holes_are_what_is_left_between(known in proptest::collection::vec((0i64..60, -2i64..10), 0..10)) {
            let known: Vec<(i64, i64)> = known.into_iter().map(|(start, length)| (start, start + length)).collect();
            let has = |offset: i64| known.iter().any(|(start, end)| (*start..=*end).contains(&offset));
            let sound: Vec<i64> = (0..100).filter(|offset| has(*offset)).collect();
            let found: Vec<i64> = holes(known.clone()).into_iter().flat_map(|(from, to)| from..=to).collect();
            let expected: Vec<i64> = match (sound.first(), sound.last()) {
                (Some(first), Some(last)) => (*first..*last).filter(|offset| !has(*offset)).collect(),
                _ => Vec::new(),
            };
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_ends_of_numbers_are_no_trouble() {
        let all = Span { start: i64::MIN, end: i64::MAX, covered: false, uploaded: 0 };
        let found = pieces(&[all, Span { start: 5, end: 9, covered: true, uploaded: 0 }, all]);
        assert_eq!(found.len(), 3);
        assert_eq!(holes(vec![(i64::MIN, i64::MAX), (0, 1)]), []);
    }

    #[test]
    fn many_segments_that_overlap_take_no_time() {
        let small = (0..100_000).map(|n| Span { start: n * 3, end: n * 3 + 1, covered: true, uploaded: 0 });
        let large = Span { start: 0, end: 400_000, covered: false, uploaded: 0 };
        let spans: Vec<Span> = small.chain(std::iter::repeat_n(large, 1_000)).collect();
        assert!(pieces(&spans).len() <= 200_002);
    }
}
