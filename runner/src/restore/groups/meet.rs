//! From where a group stood in the source to where it stands in a target partition. Pure.

use std::collections::BTreeMap;

use contract::OffsetFound;

use crate::restore::standing::{Standings, end};

/// A source partition whose records go to a target partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) partition: i32,
    /// The first offset of what is restored of it.
    pub(crate) first: i64,
    /// Its records that go there, and where offsets stand among them.
    pub(crate) standings: Standings,
}

/// The source partitions whose records meet in one target partition, in the order in which they are restored there: all
/// records of one before those of the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meeting {
    pub(crate) target: i32,
    pub(crate) sources: Vec<Source>,
    /// Whether records of a source partition go to other targets, too.
    pub(crate) is_dealt: bool,
    /// Whether the restore ends with a time.
    pub(crate) ends_in_time: bool,
}

impl Meeting {
    /// How many restored records of the target partition lie before the place where a group goes on that stood at
    /// `offsets` (by source partition), and how that was found; `None` when it stood in none of the sources. Where several
    /// sources meet, the group goes on at the first record that it has not read, so that none is left out: those of a
    /// partition where it had no offset count as not read.
    pub(crate) fn place(&self, offsets: &BTreeMap<i32, i64>) -> Option<(u64, OffsetFound)> {
        if !self.sources.iter().any(|source| offsets.contains_key(&source.partition)) {
            return None;
        }
        if let ([source], false) = (self.sources.as_slice(), self.is_dealt) {
            let offset = *offsets.get(&source.partition)?;
            let standing = *source.standings.at.get(&offset)?;
            return Some((standing.before, standing.found(offset, source.first, self.ends_in_time)));
        }
        let mut before = 0;
        for source in &self.sources {
            let unread_from = match offsets.get(&source.partition) {
                Some(offset) => source.standings.at.get(offset)?.before,
                None => 0,
            };
            if unread_from < source.standings.total {
                return Some((before + unread_from, OffsetFound::LowestUnread));
            }
            before += source.standings.total;
        }
        Some((before, end(self.ends_in_time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::standing::Standing;

    fn source(partition: i32, total: u64, at: &[(i64, u64, bool)]) -> Source {
        let standing = |(offset, before, is_there): &(i64, u64, bool)| {
            (*offset, Standing { before: *before, is_there: *is_there, has_more: *before < total })
        };
        Source { partition, first: 10, standings: Standings { total, at: at.iter().map(standing).collect() } }
    }

    fn meeting(sources: Vec<Source>) -> Meeting {
        Meeting { target: 0, sources, is_dealt: false, ends_in_time: false }
    }

    fn place(meeting: &Meeting, offsets: &[(i32, i64)]) -> Option<(u64, OffsetFound)> {
        meeting.place(&offsets.iter().copied().collect())
    }

    #[test]
    fn one_source_keeps_the_next_record() {
        let alone = meeting(vec![source(3, 5, &[(4, 0, false), (10, 0, true), (12, 2, false), (20, 5, false)])]);
        for (offset, expected) in [
            (4, (0, OffsetFound::Start)),
            (10, (0, OffsetFound::Record)),
            (12, (2, OffsetFound::NextRecord)),
            (20, (5, OffsetFound::End)),
        ] {
            assert_eq!(place(&alone, &[(3, offset)]), Some(expected), "{offset}");
        }
        assert_eq!(place(&alone, &[(4, 10)]), None);
        let ends = Meeting { ends_in_time: true, ..alone };
        assert_eq!(place(&ends, &[(3, 20)]), Some((5, OffsetFound::EndOfWindow)));
    }

    #[test]
    fn where_several_meet_no_unread_record_is_left_out() {
        let both = meeting(vec![
            source(0, 5, &[(12, 2, true), (20, 5, false)]),
            source(1, 4, &[(11, 1, true), (30, 4, false)]),
        ]);
        assert_eq!(place(&both, &[(0, 12), (1, 30)]), Some((2, OffsetFound::LowestUnread)));
        assert_eq!(place(&both, &[(0, 20), (1, 11)]), Some((6, OffsetFound::LowestUnread)), "all of the first is read");
        assert_eq!(place(&both, &[(0, 20)]), Some((5, OffsetFound::LowestUnread)), "no offset: nothing is read");
        assert_eq!(place(&both, &[(0, 20), (1, 30)]), Some((9, OffsetFound::End)));
        assert_eq!(place(&both, &[(2, 1)]), None);
    }
}
