//! Offsets that could not be put where they belong, because the cluster does not have that place any more: told by group,
//! topic and partition, and never counted as what they should be. Pure.

use std::collections::{BTreeMap, BTreeSet};

use contract::words::plural;
use contract::{Code, Failure, GroupLine, InexactOffset, OffsetFound, OffsetLine};

use super::work::GroupWork;

/// Such offsets by group.
pub(crate) type Inexact = BTreeMap<String, Vec<InexactOffset>>;
/// Offsets that a message names.
const NAMED: usize = 5;

/// Moves an offset whose record is deleted to the first one that is left; returns what became of it.
pub(super) fn to_start(line: &mut OffsetLine, start: i64) -> InexactOffset {
    let wanted = line.offset;
    (line.offset, line.found) = (start, OffsetFound::Nearest);
    let reason = format!("its records up to {start} are deleted");
    InexactOffset { topic: line.topic.clone(), partition: line.partition, wanted, got: Some(start), reason }
}

/// An offset that is not put back at all.
pub(super) fn left_out(line: &OffsetLine, reason: &str) -> InexactOffset {
    let (topic, partition, wanted) = (line.topic.clone(), line.partition, line.offset);
    InexactOffset { topic, partition, wanted, got: None, reason: reason.to_owned() }
}

/// Those of a report's lines.
pub(crate) fn inexact_of<'a>(lines: impl IntoIterator<Item = &'a GroupLine>) -> Inexact {
    let inexact = lines.into_iter().filter(|line| line.is_inexact());
    inexact.map(|line| (line.target.clone(), line.inexact.clone())).collect()
}

/// All of them in one sentence, the first by name; `None` when there are none.
pub(crate) fn words(all: &Inexact) -> Option<String> {
    let count = all.values().map(Vec::len).sum::<usize>();
    let named: Vec<_> = all.iter().flat_map(|(id, places)| places.iter().map(|at| at.words(id))).take(NAMED).collect();
    if named.is_empty() {
        return None;
    }
    let more = match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more, which the report names"),
    };
    let (offsets, groups) = (plural(count as u64, "committed offset"), plural(all.len() as u64, "consumer group"));
    Some(format!("{offsets} of {groups} cannot be what they should be: {}{more}", named.join("; ")))
}

/// The failure of a run that did all that can be done, and not all that was asked for.
pub(crate) fn not_exact(all: &Inexact) -> Option<Failure> {
    Some(Failure::new(Code::OffsetsNotExact, words(all)?))
}

/// Offsets that were asked for by number and that partitions do not have: their nearer end is what was asked for then, and told.
pub(super) fn tell_nearest(work: &[GroupWork]) -> Option<String> {
    let nearest = || {
        let lines = work.iter().flat_map(|work| work.line.offsets.iter().map(|at| (&work.line.target, at)));
        lines.filter(|(_, at)| at.found == OffsetFound::Nearest)
    };
    let groups: BTreeSet<_> = nearest().map(|(group, _)| group).collect();
    let places: BTreeSet<_> =
        nearest().map(|(_, at)| format!("{}/{} at {}", at.topic, at.partition, at.offset)).collect();
    if groups.is_empty() {
        return None;
    }
    let more = if places.len() > NAMED { ", ..." } else { "" };
    let named: Vec<_> = places.into_iter().take(NAMED).collect();
    let (offsets, groups) =
        (plural(nearest().count() as u64, "committed offset"), plural(groups.len() as u64, "consumer group"));
    Some(format!(
        "{offsets} of {groups} go to the nearer end of their partitions, which do not have the offset that was asked for \
         (`nearest` in the report): {}{more}",
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::reset::empty;

    fn at(partition: i32) -> OffsetLine {
        OffsetLine::planned("t".into(), partition, 5, OffsetFound::Saved)
    }

    #[test]
    fn what_took_the_place_of_an_offset_is_named_with_what_was_wanted() {
        let mut line = at(0);
        let moved = to_start(&mut line, 50);
        assert_eq!((line.offset, line.found), (50, OffsetFound::Nearest));
        assert_eq!(
            moved.words("g"),
            "group \"g\", t/0: offset 50 instead of 5, since its records up to 50 are deleted"
        );
        let gone = left_out(&at(1), "it does not exist any more");
        assert_eq!(gone.words("g"), "group \"g\", t/1: no offset instead of 5, since it does not exist any more");
        let mut work = empty("g", "classic");
        assert_eq!(words(&inexact_of([&work.line])), None);
        work.line.inexact = vec![moved, gone];
        let failure = not_exact(&inexact_of([&work.line])).unwrap();
        assert_eq!(failure.code, Code::OffsetsNotExact);
        assert!(failure.message.starts_with("2 committed offsets of 1 consumer group cannot be"), "{failure}");
        // One that failed says why itself.
        work.fail("it has members".into());
        assert!(inexact_of([&work.line]).is_empty());
    }

    #[test]
    fn many_are_counted_and_the_first_are_named() {
        let places: Vec<_> = (0..9).map(|partition| left_out(&at(partition), "x")).collect();
        let text = words(&Inexact::from([("g".to_owned(), places)])).unwrap();
        assert!(text.contains("t/4") && !text.contains("t/5") && text.ends_with("and 4 more, which the report names"));
    }

    #[test]
    fn an_end_that_is_nearer_is_told() {
        let mut work = vec![empty("g", "classic")];
        assert_eq!(tell_nearest(&work), None);
        work[0].line.offsets = vec![at(0), at(1)];
        let _ = to_start(&mut work[0].line.offsets[1], 50);
        let text = tell_nearest(&work).unwrap();
        assert!(text.starts_with("1 committed offset of 1 consumer group go") && text.ends_with("t/1 at 50"), "{text}");
    }
}
