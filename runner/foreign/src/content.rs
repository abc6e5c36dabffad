//! What an archive holds, for whoever writes it down anew: digests over its batches, and the offsets that it lost.

use archive::{ArchiveError, Digest, Gap, GapReason, Point};
use contract::ForeignRecords;
use uuid::Uuid;

use crate::manifest::{Partition, Segment};
use crate::pieces::{Piece, holes};
use crate::set::{Place, Set};
use crate::survey::Survey;

/// What is taken of one segment: batches of one partition that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Topic id, as the point has it.
    pub topic: Uuid,
    /// Partition.
    pub partition: i32,
    /// First offset that the segment answers for.
    pub from: i64,
    /// Last one.
    pub to: i64,
    /// Records.
    pub records: u64,
    /// Bytes of its batches.
    pub bytes: u64,
    /// [`Digest::before`] of its batches in their order, from an empty one on.
    pub digest: Digest,
}

/// An archive that was read once.
#[derive(Debug)]
pub struct Surveyed {
    /// The point.
    pub point: Point,
    /// What it holds, by topic, partition and offset.
    pub contents: Vec<Content>,
    /// Offsets that are lost for good.
    pub gaps: Vec<Gap>,
}

impl Set {
    /// As [`Set::surveyed`], with what the archive holds and what it lost.
    ///
    /// # Errors
    /// As [`Set::surveyed`].
    pub async fn contents(&self, records: ForeignRecords) -> Result<Surveyed, ArchiveError> {
        let found = self.examined(Survey { records, digests: true }).await?;
        let mut contents = Vec::new();
        for one in &found {
            let Some((topic, partition)) = self.at(one.place) else { continue };
            for taken in &one.pieces {
                contents.push(Content {
                    topic: self.id_of(&topic.name),
                    partition: partition.id,
                    from: taken.piece.from,
                    to: taken.piece.to,
                    records: taken.shares.iter().map(|share| share.committed).fold(0, u64::saturating_add),
                    bytes: taken.shares.iter().map(|share| share.length).fold(0, u64::saturating_add),
                    digest: taken.digest.clone().unwrap_or_default(),
                });
            }
        }
        contents.sort_by_key(|content| (content.topic, content.partition, content.from));
        let mut gaps = Vec::new();
        for place in self.places() {
            let pieces = self.pieces(place).await?;
            gaps.extend(self.lost(place, &pieces));
        }
        Ok(Surveyed { point: self.point_of(found, records)?, contents, gaps })
    }

    /// Offsets of a partition that the archive says it lost, or that are missing though every segment says what it covers.
    fn lost(&self, place: Place, pieces: &[Piece]) -> Vec<Gap> {
        let Some((topic, partition)) = self.at(place) else { return Vec::new() };
        let gap = |reason: GapReason| {
            move |(from, to): (i64, i64)| Gap {
                topic: self.id_of(&topic.name),
                name: topic.name.clone(),
                partition: partition.id,
                from,
                to: to + 1,
                reason,
                timeline: None,
            }
        };
        let held: Vec<(i64, i64)> = pieces.iter().map(|piece| (piece.from, piece.to)).collect();
        let gone = left(partition.gaps.iter().map(|range| (range.start, range.end)), &held);
        let known: Vec<(i64, i64)> = held.iter().chain(&gone).copied().collect();
        let removed = left(removed(partition), &known);
        let gone = gone.into_iter().map(gap(GapReason::LogStartMoved));
        let mut out: Vec<Gap> = gone.chain(removed.into_iter().map(gap(GapReason::SegmentLost))).collect();
        out.sort_by_key(|gap| gap.from);
        out
    }
}

/// Offsets that were in the archive once: pruned behind its beginning, or missing where every segment says what it covers.
fn removed(partition: &Partition) -> impl Iterator<Item = (i64, i64)> + use<> {
    let begin = partition.segments.iter().map(|segment| segment.span().0).min().unwrap_or(i64::MAX);
    let pruned: Vec<(i64, i64)> = partition.pruned.iter().map(|range| (range.start, range.end)).collect();
    let all_covered = partition.segments.iter().all(|segment| segment.covered.is_some());
    let ranges = partition.gaps.iter().chain(&partition.pruned).map(|range| (range.start, range.end));
    let known = partition.segments.iter().map(Segment::span).chain(ranges).collect();
    let missing = if all_covered { holes(known) } else { Vec::new() };
    pruned.into_iter().filter(move |(start, _)| *start >= begin).chain(missing)
}

/// What is left of ranges, both ends included, without those of `held`; sorted, and none touches another.
fn left(ranges: impl Iterator<Item = (i64, i64)>, held: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = ranges.filter(|(start, end)| start <= end).collect();
    ranges.sort_unstable();
    let mut held: Vec<(i64, i64)> = held.iter().filter(|(start, end)| start <= end).copied().collect();
    held.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (start, end) in ranges {
        // What a range before it has is not named twice.
        let reach = out.last().map_or(i64::MIN, |(_, end)| *end);
        let mut next = Some(start.max(reach.saturating_add(1)));
        for (from, to) in held.iter().filter(|(from, to)| *to >= start && *from <= end) {
            if let Some(at) = next.filter(|at| at < from && *at <= end) {
                out.push((at, (from - 1).min(end)));
            }
            next = next.and_then(|at| Some(at.max(to.checked_add(1)?)));
        }
        if let Some(at) = next.filter(|at| *at <= end) {
            out.push((at, end));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_ranges_is_what_nobody_holds() {
        let left = |ranges: &[(i64, i64)], held: &[(i64, i64)]| left(ranges.iter().copied(), held);
        assert_eq!(left(&[(0, 9)], &[]), [(0, 9)]);
        assert_eq!(left(&[(0, 9)], &[(3, 5)]), [(0, 2), (6, 9)]);
        assert_eq!(left(&[(0, 9)], &[(0, 3), (8, 20)]), [(4, 7)]);
        assert_eq!(left(&[(0, 9)], &[(0, 9)]), []);
        assert_eq!(left(&[(0, 9), (5, 12)], &[(2, 2)]), [(0, 1), (3, 9), (10, 12)]);
        assert_eq!(left(&[(5, 4)], &[]), [], "a range of nothing");
        assert_eq!(left(&[(0, i64::MAX)], &[(0, i64::MAX)]), []);
    }
}
