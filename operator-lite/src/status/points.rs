//! The recovery points that a status keeps, so that a list of them needs no pod. They are what runs said when they made them,
//! less those that retention may have removed; nothing here knows whether somebody else removed one since.

use contract::PointLine;

/// Points that a status keeps at most.
const MOST: usize = 64;

/// Keeps what was made, in the order of time.
pub(super) fn remember<'a>(known: &mut Vec<PointLine>, made: impl IntoIterator<Item = &'a PointLine>) {
    for line in made {
        // Each look at a log meets the same lines again.
        match known.iter_mut().find(|point| point.name == line.name) {
            Some(same) => same.clone_from(line),
            None => known.push(line.clone()),
        }
    }
    // Times of one form: their text sorts as they do.
    known.sort_by(|a, b| (&a.at, &a.name).cmp(&(&b.at, &b.name)));
    let surplus = known.len().saturating_sub(MOST);
    known.drain(..surplus);
}

/// Forgets points that retention may have removed: up to and with this one (RFC 3339), or all where nobody knows.
pub(super) fn forget(known: &mut Vec<PointLine>, until: Option<&str>) {
    known.retain(|point| until.is_some_and(|until| point.at.as_str() > until));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: usize, records: u64) -> PointLine {
        let at = format!("2026-11-28T10:{:02}:{:02}Z", second / 60, second % 60);
        PointLine {
            name: format!("b-{second}"),
            at,
            topics: 1,
            partitions: 1,
            records,
            bytes: 1,
            newest: None,
            held_back: 0,
            before: None,
            cluster_id: None,
        }
    }

    #[test]
    fn points_are_kept_once_by_time_and_the_newest_of_many() {
        let mut known = Vec::new();
        remember(&mut known, &[line(5, 1), line(3, 1)]);
        remember(&mut known, &[line(3, 9), line(4, 1)]);
        let kept: Vec<_> = known.iter().map(|line| (line.name.as_str(), line.records)).collect();
        assert_eq!(kept, [("b-3", 9), ("b-4", 1), ("b-5", 1)]);
        let many: Vec<_> = (0..200).map(|second| line(second, 1)).collect();
        remember(&mut known, &many);
        assert_eq!((known.len(), known[0].name.as_str(), known[63].name.as_str()), (64, "b-136", "b-199"));
    }
}
